/**
 * Rows of one kind (conversations, messages, people) that are kept equal to the store's: pure, as `reduce` is.
 *
 * The log names what changed and at which version; it does not carry the whole row. So a name heard is a row wanted:
 * it is read by its id, and believed when it is at least as new as the log said. Three things race here (pages of a
 * list, rows read by id, the log) and `version` decides between them. Rows that the store no longer has are
 * remembered for a while, or a page that was on its way would bring them back.
 */
export interface Row {
  readonly id: string;
  readonly version: number;
}

export interface Shelf<T extends Row> {
  readonly rows: ReadonlyMap<string, T>;
  /** To be read, with the least version that is new enough; 0 where the log named none: then any later reading is. */
  readonly wanted: ReadonlyMap<string, number>;
  /** Being read now. */
  readonly asked: ReadonlyMap<string, number>;
  readonly gone: ReadonlySet<string>;
}

/** How many rows that went away are remembered: more than one page holds on its way here. */
const GONE_KEPT = 1000;

export const emptyShelf = <T extends Row>(): Shelf<T> => ({ rows: new Map(), wanted: new Map(), asked: new Map(), gone: new Set() });

/** The log said that these changed: `[id, version]`, version 0 when it named none. */
export function heard<T extends Row>(shelf: Shelf<T>, names: Iterable<readonly [string, number]>): Shelf<T> {
  let wanted: Map<string, number> | null = null;
  for (const [id, version] of names) {
    if (version > 0 && (shelf.rows.get(id)?.version ?? -1) >= version) continue;
    wanted ??= new Map(shelf.wanted);
    wanted.set(id, Math.max(version, wanted.get(id) ?? 0));
  }
  return wanted ? { ...shelf, wanted } : shelf;
}

/** Nothing that is held is certain any more (numbers of the log are missing): every row is to be read again. */
export function doubted<T extends Row>(shelf: Shelf<T>): Shelf<T> {
  return heard(shelf, [...shelf.rows.keys(), ...shelf.asked.keys()].map((id) => [id, 0] as const));
}

/** The next `most` rows to read, and the shelf that knows it. */
export function asking<T extends Row>(shelf: Shelf<T>, most: number): [Shelf<T>, string[]] {
  const ids = [...shelf.wanted.keys()].slice(0, most);
  if (!ids.length) return [shelf, ids];
  const wanted = new Map(shelf.wanted);
  const asked = new Map(shelf.asked);
  for (const id of ids) {
    asked.set(id, wanted.get(id) as number);
    wanted.delete(id);
  }
  return [{ ...shelf, wanted, asked }, ids];
}

/** What the store said of `ids`. Those that came older than the log said are wanted again; the missing ones are gone. */
export function answered<T extends Row>(shelf: Shelf<T>, ids: readonly string[], found: readonly T[]): Shelf<T> {
  const rows = new Map(shelf.rows);
  const wanted = new Map(shelf.wanted);
  const asked = new Map(shelf.asked);
  const gone = new Set(shelf.gone);
  const byId = new Map(found.map((row) => [row.id, row]));
  for (const id of ids) {
    const least = asked.get(id) ?? 0;
    asked.delete(id);
    const row = byId.get(id);
    if (!row) {
      rows.delete(id);
      gone.delete(id);
      gone.add(id);
      continue;
    }
    gone.delete(id);
    if (row.version >= (rows.get(id)?.version ?? -1)) rows.set(id, row);
    if (row.version < least) wanted.set(id, Math.max(least, wanted.get(id) ?? 0));
    else if ((wanted.get(id) ?? 0) > 0 && row.version >= (wanted.get(id) as number)) wanted.delete(id);
  }
  return { rows, wanted, asked, gone: trimmed(gone) };
}

/** The reading failed: what was asked is wanted as before. */
export function unanswered<T extends Row>(shelf: Shelf<T>, ids: readonly string[]): Shelf<T> {
  const wanted = new Map(shelf.wanted);
  const asked = new Map(shelf.asked);
  for (const id of ids) {
    wanted.set(id, Math.max(asked.get(id) ?? 0, wanted.get(id) ?? 0));
    asked.delete(id);
  }
  return { ...shelf, wanted, asked };
}

/** Rows that came otherwise: a page of a list, the answer to an action. */
export function taken<T extends Row>(shelf: Shelf<T>, found: readonly T[]): Shelf<T> {
  const rows = new Map(shelf.rows);
  let wanted: Map<string, number> | null = null;
  for (const row of found) {
    if (shelf.gone.has(row.id)) {
      // It went away, or comes back: only a reading of its own can tell.
      wanted ??= new Map(shelf.wanted);
      wanted.set(row.id, Math.max(row.version, wanted.get(row.id) ?? 0));
      continue;
    }
    if (row.version > (rows.get(row.id)?.version ?? -1)) rows.set(row.id, row);
  }
  return { ...shelf, rows, ...(wanted ? { wanted } : {}) };
}

/** Forgets all but `keep`: a browser is no store. */
export function thinned<T extends Row>(shelf: Shelf<T>, keep: (row: T) => boolean): Shelf<T> {
  const rows = new Map([...shelf.rows].filter(([, row]) => keep(row)));
  const wanted = new Map([...shelf.wanted].filter(([id]) => rows.has(id)));
  return { ...shelf, rows, wanted };
}

const trimmed = (gone: Set<string>): Set<string> => (gone.size > GONE_KEPT ? new Set([...gone].slice(-GONE_KEPT)) : gone);
