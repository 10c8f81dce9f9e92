/**
 * Live state as a pure function of the numbered log: no socket, no clock, no framework.
 *
 * What it holds is what the store holds, at the moment `seq`. Three things can happen to it:
 * an event arrives (`reduceAll`), the list of live calls is read again (`listingBegins`, `listingPage`,
 * `listingEnds`), or the server says that the numbers in between are gone (`jumpTo`, then a listing).
 *
 * Events and list pages race: a page may have been read before an event that is already here. Each call's
 * `version` decides which is newer, and calls that ended are remembered, or an old page would revive them.
 */
import type { Call, LogEvent } from '$lib/api/types';

/** How much of the log's tail stays at hand for the Events page and the Overview. */
export const TAIL = 500;
/** How many ended calls are remembered when no listing runs: more than one page holds on its way here. */
export const ENDED_KEPT = 1000;

export interface Listing {
  readonly listed: ReadonlySet<string>;
  /** Calls that an event spoke of since the listing began: the event is newer than any page. */
  readonly touched: ReadonlySet<string>;
}

export interface Live {
  /** The last event that is in here; -1 before the first `hello`. */
  readonly seq: number;
  /** A number is missing: nothing more is applied until the log is resumed from `seq`. */
  readonly stale: boolean;
  readonly calls: ReadonlyMap<string, Call>;
  readonly ended: ReadonlyMap<string, Call>;
  readonly tail: readonly LogEvent[];
  readonly listing: Listing | null;
  /** Whether `calls` has every live call of the tenant, or only the newest of very many. */
  readonly complete: boolean;
}

export const EMPTY: Live = {
  seq: -1,
  stale: false,
  calls: new Map(),
  ended: new Map(),
  tail: [],
  listing: null,
  complete: false
};

export const isOver = (call: Call): boolean => call.state === 'ended' || Boolean(call.merged_into);

/** One event; see `reduceAll`. */
export const reduce = (state: Live, event: LogEvent): Live => reduceAll(state, [event]);

/**
 * The state after `events`, which are in the order of their numbers. Numbers seen before are skipped. At the
 * first missing number everything from there on is left out and the result is `stale`.
 *
 * Copies the maps once a batch, not once an event: a batch is what one frame of the screen collects.
 */
export function reduceAll(state: Live, events: readonly LogEvent[]): Live {
  let seq = state.seq;
  let stale = state.stale;
  const fresh: LogEvent[] = [];
  for (const event of events) {
    if (event.seq <= seq) continue;
    if (event.seq !== seq + 1) {
      stale = true;
      break;
    }
    seq = event.seq;
    fresh.push(event);
  }
  if (fresh.length === 0) return stale === state.stale ? state : { ...state, stale };
  const tail = state.tail.concat(fresh).slice(-TAIL);
  const withCalls = fresh.filter((event) => event.data.call);
  if (withCalls.length === 0) return { ...state, seq, stale, tail };

  const calls = new Map(state.calls);
  const ended = new Map(state.ended);
  const touched = state.listing ? new Set(state.listing.touched) : null;
  for (const event of withCalls) {
    const call = event.data.call as Call;
    touched?.add(call.id);
    keep(calls, ended, call);
  }
  const listing = state.listing && touched ? { ...state.listing, touched } : null;
  return { ...state, seq, stale, tail, calls, ended: trimmed(ended, listing), listing };
}

/** After a `gap`: the numbers up to `seq` cannot be had any more. A listing must follow. */
export const jumpTo = (state: Live, seq: number): Live => ({ ...state, seq, stale: false });

/** Another tenant, or a store that was set back: nothing held is true any more. */
export const startedOver = (seq: number): Live => ({ ...EMPTY, seq });

export const listingBegins = (state: Live): Live => ({
  ...state,
  listing: { listed: new Set(), touched: new Set() }
});

/** One page of live calls, as the store had them at some moment after the listing began. */
export function listingPage(state: Live, page: readonly Call[]): Live {
  const listing = state.listing ?? { listed: new Set<string>(), touched: new Set<string>() };
  const listed = new Set(listing.listed);
  const calls = new Map(state.calls);
  const ended = new Map(state.ended);
  for (const call of page) {
    listed.add(call.id);
    keep(calls, ended, call);
  }
  return { ...state, calls, ended, listing: state.listing ? { ...listing, listed } : null };
}

/** The listing is through: what was neither on a page nor in an event since is no longer live. */
export function listingEnds(state: Live, complete: boolean): Live {
  const { listing } = state;
  if (!listing) return { ...state, complete };
  const calls = new Map<string, Call>();
  for (const [id, call] of state.calls) {
    if (listing.listed.has(id) || listing.touched.has(id)) calls.set(id, call);
  }
  return { ...state, calls, listing: null, complete, ended: trimmed(state.ended, null) };
}

/** Puts `call` where it belongs unless something newer is known of it. Changes the two maps given. */
function keep(calls: Map<string, Call>, ended: Map<string, Call>, call: Call): void {
  const gone = ended.get(call.id);
  if (gone && gone.version >= call.version) return;
  const held = calls.get(call.id);
  if (held && held.version > call.version) return;
  if (isOver(call)) {
    calls.delete(call.id);
    ended.set(call.id, call);
  } else {
    ended.delete(call.id);
    calls.set(call.id, call);
  }
}

/** Forgets the oldest of the ended calls; never while a listing runs, whose pages may still bring them. */
function trimmed(ended: ReadonlyMap<string, Call>, listing: Listing | null): ReadonlyMap<string, Call> {
  if (listing || ended.size <= ENDED_KEPT) return ended;
  return new Map([...ended].slice(-ENDED_KEPT));
}
