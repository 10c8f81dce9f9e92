/**
 * A part of a keyset list that stays equal to the store: which of the rows at hand belong to it. Pure.
 *
 * Pages are read from the newest end down to an edge. Above the edge the list is complete: what was there is on a
 * page, and what changed since was named by the log and read. Below it nothing is known, and nothing is shown.
 */
import type { Row } from './shelf';

export interface Edge {
  readonly place: number;
  readonly id: string;
}

/** `null`: all of the list is at hand; `undefined`: nothing has been read yet. */
export type Reach = Edge | null | undefined;

export interface Kind<T extends Row> {
  readonly place: (row: T) => number;
  readonly matches: (row: T) => boolean;
}

/** Newest first, as the API sorts: by place, then by id. */
export const newestFirst =
  <T extends Row>(place: (row: T) => number) =>
  (a: T, b: T): number =>
    place(b) - place(a) || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0);

export function listed<T extends Row>(rows: ReadonlyMap<string, T>, kind: Kind<T>, reach: Reach): T[] {
  if (reach === undefined) return [];
  const found: T[] = [];
  for (const row of rows.values()) {
    if (!kind.matches(row)) continue;
    const place = kind.place(row);
    if (reach && (place < reach.place || (place === reach.place && row.id < reach.id))) continue;
    found.push(row);
  }
  return found.sort(newestFirst(kind.place));
}

/** How far a list reaches after a page whose last row is `last`. */
export const reachAfter = <T extends Row>(last: T | undefined, more: boolean, place: (row: T) => number): Reach =>
  more && last ? { place: place(last), id: last.id } : null;

export interface Standing<T extends Row> {
  readonly rows: readonly T[];
  /** Rows that belong above or between and are not shown yet, because the list is held. */
  readonly waiting: number;
}

/**
 * Which rows are drawn, and where. While `held` (the pointer or the focus is inside) every row keeps its place, also
 * one that does not belong any more, and new ones wait behind their number; values change in place.
 */
export function standing<T extends Row>(before: Standing<T>, now: readonly T[], known: ReadonlyMap<string, T>, held: boolean): Standing<T> {
  if (!held) {
    const same = before.waiting === 0 && now.length === before.rows.length && now.every((row, n) => row === before.rows[n]);
    return same ? before : { rows: now, waiting: 0 };
  }
  const shown = new Set(before.rows.map((row) => row.id));
  const kept = before.rows.map((row) => known.get(row.id) ?? row);
  // What lies below the last row that is shown comes by scrolling and moves nothing.
  const at = now.findLastIndex((row) => shown.has(row.id));
  const below = at >= 0 ? now.slice(at + 1).filter((row) => !shown.has(row.id)) : [];
  const under = new Set(below.map((row) => row.id));
  const waiting = now.filter((row) => !shown.has(row.id) && !under.has(row.id)).length;
  return { rows: [...kept, ...below], waiting };
}
