/** Times and durations in words. The API speaks microseconds since the epoch for calls and ISO for the rest. */

export const msOfUs = (us: number): number => us / 1000;

const two = (n: number): string => String(n).padStart(2, '0');

/** `7:05`, `1:02:33`: what a running call shows. Negative (clocks differ) counts as 0. */
export function clockSpan(ms: number): string {
  const all = Math.max(0, Math.floor(ms / 1000));
  const hours = Math.floor(all / 3600);
  const minutes = Math.floor((all % 3600) / 60);
  return hours ? `${hours}:${two(minutes)}:${two(all % 60)}` : `${minutes}:${two(all % 60)}`;
}

/** `12 s`, `3 min 20 s`, `2 h 5 min`, `4 d 3 h`: a length in words. */
export function spanWords(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const all = Math.round(ms / 1000);
  if (all < 60) return `${all} s`;
  if (all < 3600) return all % 60 ? `${Math.floor(all / 60)} min ${all % 60} s` : `${all / 60} min`;
  const hours = Math.floor(all / 3600);
  if (hours < 48) {
    const minutes = Math.floor((all % 3600) / 60);
    return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
  }
  const days = Math.floor(hours / 24);
  return hours % 24 ? `${days} d ${hours % 24} h` : `${days} d`;
}

/** `now`, `12 s ago`, `5 min ago`, `3 h ago`, else the date. */
export function ago(ms: number, now: number): string {
  const past = now - ms;
  if (past < -1500) return `in ${coarse(-past)}`;
  if (past < 2000) return 'now';
  if (past < 24 * 3600_000) return `${coarse(past)} ago`;
  return dayFormat.format(ms);
}

function coarse(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

const dayFormat = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hour12: false });
const fullFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium', hour12: false });
const timeFormat = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
const shortFormat = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hour12: false });

/** The absolute moment, to the millisecond, in the person's zone. */
export function absolute(ms: number): string {
  const zone = new Date(ms).getTimezoneOffset();
  const offset = zone === 0 ? 'UTC' : `UTC${zone < 0 ? '+' : '-'}${two(Math.floor(Math.abs(zone) / 60))}:${two(Math.abs(zone) % 60)}`;
  return `${fullFormat.format(ms)}.${String(Math.floor(((ms % 1000) + 1000) % 1000)).padStart(3, '0')} ${offset}`;
}

export const timeOfDay = (ms: number): string => timeFormat.format(ms);
export const shortTime = (ms: number): string => shortFormat.format(ms);

/** Milliseconds of an ISO time; NaN when there is none. */
export const parseIso = (text: string | null | undefined): number => (text ? Date.parse(text) : Number.NaN);

const whole = new Intl.NumberFormat();
export const count = (n: number): string => whole.format(n);
/** `1 call`, `2 calls`. */
export const plural = (n: number, one: string, many = `${one}s`): string => `${whole.format(n)} ${n === 1 ? one : many}`;

/** Bytes as people read them. */
export function bytes(n: number): string {
  if (n < 1024) return `${n} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let value = n;
  let unit = -1;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}
