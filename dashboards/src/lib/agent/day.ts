/** How long somebody was in which state, from the states that they chose: pure. */

export interface Phase {
  readonly at_us: number;
  readonly state: string;
  readonly reason: string;
}
export interface Spent {
  readonly state: string;
  readonly reason: string;
  readonly ms: number;
  /** Of all the time that is told here, 0 to 1. */
  readonly share: number;
}

/** Newest first in, longest first out; `from` and `to` in ms of the epoch. Time before the first state is not told, nor is being away. */
export function timesOf(phases: readonly Phase[], from: number, to: number): Spent[] {
  const sums = new Map<string, { state: string; reason: string; ms: number }>();
  let end = to;
  for (const one of [...phases].sort((a, b) => b.at_us - a.at_us)) {
    const begin = Math.max(from, one.at_us / 1000);
    const ms = end - begin;
    end = Math.min(end, begin);
    if (ms <= 0 || one.state === 'offline') continue;
    const reason = one.state === 'ready' ? '' : one.reason;
    const key = `${one.state} ${reason}`;
    sums.set(key, { state: one.state, reason, ms: (sums.get(key)?.ms ?? 0) + ms });
  }
  const all = [...sums.values()].reduce((sum, one) => sum + one.ms, 0);
  return [...sums.values()].map((one) => ({ ...one, share: all ? one.ms / all : 0 })).sort((a, b) => b.ms - a.ms);
}
