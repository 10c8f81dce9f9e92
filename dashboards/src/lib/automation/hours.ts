/** Business hours as people type them: `9-17`, `09:00–12:30, 13:30–24:00`, `closed`. Pure. */
import type { Schemas } from '$lib/api/types';

export type Slot = Schemas['Slot'];
export type Span = Schemas['Span'];

export const DAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'] as const;

const CLOCK = /^(\d{1,2})(?::([0-5]\d))?$/;
function clockOf(text: string): string | null {
  const [, hours, minutes = '00'] = CLOCK.exec(text) ?? [];
  if (hours === undefined || Number(hours) > 24 || (Number(hours) === 24 && minutes !== '00')) return null;
  return `${hours.padStart(2, '0')}:${minutes}`;
}

/** The spans in a text; a string says what is wrong with it. */
export function spansOf(text: string): readonly Span[] | string {
  const said = text.trim().toLowerCase();
  if (!said || said === 'closed') return [];
  const found: Span[] = [];
  for (const part of said.split(/[,;]/)) {
    const [from = '', to = '', ...more] = part.trim().split(/\s*(?:[-–—]|to|until)\s*/);
    const start = clockOf(from);
    const end = clockOf(to);
    if (!start || !end || more.length) return `“${part.trim()}” is no span of hours: write 09:00–17:00`;
    if (start >= end) return `“${part.trim()}” ends before it begins`;
    const before = found.at(-1);
    if (before && start < before.end) return `“${part.trim()}” begins before the one before it ends`;
    found.push({ start, end });
  }
  return found;
}
export const spansWords = (spans: readonly Span[]): string => (spans.length ? spans.map((one) => `${one.start}–${one.end}`).join(', ') : '');

/** What is typed for each day, Monday first. */
export const weekOf = (weekly: readonly Slot[]): string[] => DAYS.map((_, day) => spansWords(weekly.filter((one) => one.day === day).sort((a, b) => (a.start < b.start ? -1 : 1))));

/** `Mon–Fri 09:00–17:00, Sat 10:00–14:00`: days that are alike and follow each other are said once. */
export function weekWords(weekly: readonly Slot[]): string {
  const days = weekOf(weekly);
  const said: string[] = [];
  for (let day = 0; day < 7; ) {
    let last = day;
    while (last < 6 && days[last + 1] === days[day]) last += 1;
    const name = (n: number): string => (DAYS[n] ?? '').slice(0, 3);
    if (days[day]) said.push(`${day === last ? name(day) : `${name(day)}–${name(last)}`} ${days[day]}`);
    day = last + 1;
  }
  return said.join('; ') || 'Never open';
}
