/**
 * Which rows a live list shows, and in which order.
 *
 * While the pointer or the focus is inside, nothing moves: rows change in place, calls that end stay (greyed),
 * and new ones wait behind a count. Otherwise the list follows, and an ended call stays a moment so that its
 * end is seen.
 */
import type { Call } from '$lib/api/types';
import type { Live } from '$lib/live/reduce';

export const LINGER_MS = 4_000;

export interface Gone {
  readonly call: Call;
  readonly since: number;
}

export interface Arrangement {
  readonly ids: readonly string[];
  /** Matching calls that are not among `ids` because the list is held. */
  readonly waiting: number;
  /** Rows whose call is no longer live, with the last that was known of it. */
  readonly gone: ReadonlyMap<string, Gone>;
  readonly calls: ReadonlyMap<string, Call>;
}

export const NOTHING: Arrangement = { ids: [], waiting: 0, gone: new Map(), calls: new Map() };

export interface View {
  matches: (call: Call) => boolean;
  order: 'newest' | 'longest';
  held: boolean;
  now: number;
}

export function arrange(before: Arrangement, live: Live, view: View): Arrangement {
  const gone = new Map<string, Gone>();
  for (const id of before.ids) {
    if (live.calls.has(id)) continue;
    const known = before.gone.get(id);
    const last = live.ended.get(id) ?? before.calls.get(id);
    if (known) gone.set(id, known);
    else if (last) gone.set(id, { call: last.state === 'ended' ? last : { ...last, state: 'ended' }, since: view.now });
  }
  if (view.held) {
    const shown = new Set(before.ids);
    let waiting = 0;
    for (const call of live.calls.values()) if (!shown.has(call.id) && view.matches(call)) waiting += 1;
    return { ids: before.ids, waiting, gone, calls: live.calls };
  }
  const rows: Call[] = [];
  for (const call of live.calls.values()) if (view.matches(call)) rows.push(call);
  for (const [id, { call, since }] of gone) {
    if (view.now - since < LINGER_MS) rows.push(call);
    else gone.delete(id);
  }
  const sign = view.order === 'newest' ? -1 : 1;
  rows.sort((a, b) => sign * (a.created_us - b.created_us) || (a.id < b.id ? sign : -sign));
  // The very same list when nothing moved: then no row is looked at again.
  const same = rows.length === before.ids.length && rows.every((call, n) => call.id === before.ids[n]);
  return { ids: same ? before.ids : rows.map((call) => call.id), waiting: 0, gone: same && gone.size === 0 && before.gone.size === 0 ? before.gone : gone, calls: live.calls };
}

/**
 * The rows that are drawn: all of a short list, those around the visible part of a longer one. Painting is what
 * costs: with 120 rows in the document, one changed cell took 20 ms of it, with the visible ones 6.
 */
export function windowOf(total: number, top: number, height: number, row: number): { from: number; to: number } {
  const ALL = 60;
  const MORE = 6;
  if (total <= ALL) return { from: 0, to: total };
  const from = Math.max(0, Math.floor(top / row) - MORE);
  return { from, to: Math.min(total, Math.ceil((top + height) / row) + MORE) };
}
