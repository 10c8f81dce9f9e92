/**
 * Keeps a `Live` state equal to the store over a socket that may break at any moment.
 *
 * One connection: ask for a short-lived token, open the socket, send `subscribe` with the last number we have,
 * get `hello` with the head, then events. Whatever goes wrong (closed, silent for 35 s, a number missing,
 * garbage) has the same cure: close, wait a jittered moment, resume from the last number. Only when the
 * server says those numbers are gone (`gap`) are the live calls listed again.
 *
 * Sockets, timers, chance and the clock are handed in, so that tests own them.
 */
import type { Call, LogEvent } from '$lib/api/types';
import { parseFrame, type Frame, type Moment } from './frames';
import { EMPTY, jumpTo, listingBegins, listingEnds, listingPage, reduceAll, startedOver, type Live } from './reduce';

/** The server says something at least every 15 s (heartbeat); two missed and a little make it dead. */
export const SILENCE_MS = 35_000;
/** How long events may lag behind a heartbeat's head before we take them for lost. */
export const LAG_MS = 3_000;
export const FIRST_RETRY_MS = 400;
export const MAX_RETRY_MS = 15_000;
/** A connection that lasted this long was a good one: the next retry starts from the first delay again. */
const GOOD_MS = 10_000;
/** How many events one flush applies: catching up over thousands stays visible and never blocks a frame. */
const PER_FLUSH = 1500;
/** The most live calls a browser holds; beyond it the newest are shown and the page says so. */
export const MOST_CALLS = 5_000;

export type Mark =
  | { kind: 'connecting' }
  | { kind: 'live' }
  | { kind: 'catching_up'; behind: number }
  | { kind: 'offline'; since: number; retryAt: number; why: string };

export interface Socket {
  send(text: string): void;
  close(): void;
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code?: number; reason?: string }) => void) | null;
  onerror: (() => void) | null;
}

export interface Page {
  calls: Call[];
  next: string | null;
}

export interface Surroundings {
  connect(): Socket;
  token(): Promise<string>;
  /** One page of live calls, newest first. */
  list(cursor: string | null): Promise<Page>;
  now(): number;
  random(): number;
  after(ms: number, run: () => void): () => void;
  /** Runs `run` once before the next frame (or soon, when the page is hidden). */
  soon(run: () => void): void;
  publish(state: Live, mark: Mark): void;
  /** Entries that have just been applied, each once and in order: for what else follows the log. */
  heard?(events: readonly LogEvent[]): void;
  /** Numbers are missing for ever, or others count now: whoever follows the log has to read anew. */
  jumped?(): void;
  /** Something goes on that is in no log. */
  moment?(moment: Moment): void;
}

export class LiveClient {
  state: Live = EMPTY;
  mark: Mark = { kind: 'connecting' };
  /** Frames and events since the start, for the connection's details. */
  counts = { events: 0, connects: 0, cuts: 0, gaps: 0, listings: 0 };

  #world: Surroundings;
  #socket: Socket | null = null;
  #round = 0;
  #queue: LogEvent[] = [];
  #head = -1;
  #delay = FIRST_RETRY_MS;
  #openedAt = 0;
  #offlineSince = 0;
  #flushing = false;
  #unlisted = true;
  #stopped = true;
  #cancelSilence: (() => void) | null = null;
  #cancelLag: (() => void) | null = null;
  #cancelRetry: (() => void) | null = null;

  constructor(world: Surroundings) {
    this.#world = world;
  }

  start(): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#open();
  }

  stop(): void {
    this.#stopped = true;
    this.#drop();
    this.#cancelRetry?.();
  }

  /** Forget everything (another tenant) and start anew. */
  restart(): void {
    this.stop();
    this.state = EMPTY;
    this.#head = -1;
    this.#offlineSince = 0;
    this.#delay = FIRST_RETRY_MS;
    this.#say({ kind: 'connecting' });
    this.start();
  }

  /** Try again now instead of at the end of the wait. */
  retry(): void {
    if (this.#stopped || this.#socket) return;
    this.#cancelRetry?.();
    this.#open();
  }

  /** Calls that somebody read beside the listing; whichever version is newer stays. */
  take(calls: readonly Call[]): void {
    this.state = listingPage(this.state, calls);
    this.#judge();
  }

  /** The browser says that the network went away. */
  lost(why: string): void {
    if (!this.#stopped) this.#fail(why);
  }

  #open(): void {
    const round = ++this.#round;
    this.#cancelRetry = null;
    this.#world.token().then(
      (token) => {
        if (round !== this.#round || this.#stopped) return;
        this.#dial(round, token);
      },
      (error: unknown) => {
        if (round === this.#round && !this.#stopped) this.#fail(error instanceof Error ? error.message : 'no token');
      }
    );
  }

  #dial(round: number, token: string): void {
    const socket = this.#world.connect();
    this.#socket = socket;
    this.#openedAt = this.#world.now();
    this.counts.connects += 1;
    this.#listen();
    const mine = (): boolean => round === this.#round;
    socket.onopen = () => {
      if (!mine()) return;
      const from = this.state.seq < 0 ? {} : { after_seq: this.state.seq };
      socket.send(JSON.stringify({ type: 'subscribe', token, ...from, ...(this.#world.moment ? { live: true } : {}) }));
    };
    socket.onmessage = (message) => {
      if (!mine()) return;
      try {
        this.#take(parseFrame(String(message.data)));
      } catch (error) {
        this.#fail(error instanceof Error ? error.message : 'not understood');
      }
    };
    socket.onclose = (event) => {
      if (mine()) this.#fail(event.reason || 'the connection was cut');
    };
    socket.onerror = () => undefined; // `close` always follows and is where we act
  }

  #take(frame: Frame): void {
    this.#listen();
    if (frame.kind === 'hello') {
      this.#greeted(frame.head);
    } else if (frame.kind === 'event') {
      this.#queue.push(frame.event);
      this.counts.events += 1;
      this.#head = Math.max(this.#head, frame.event.seq);
      this.#flushSoon();
    } else if (frame.kind === 'heartbeat') {
      this.#head = Math.max(this.#head, frame.head);
      this.#expect(frame.head);
    } else if (frame.kind === 'gap') {
      this.counts.gaps += 1;
      this.#queue.length = 0;
      this.state = jumpTo(this.state, frame.resumeAt);
      this.#world.jumped?.();
      this.#list(this.#round);
    } else if (frame.kind === 'moment') {
      this.#world.moment?.(frame.moment);
    } else {
      this.#fail(frame.detail || frame.code);
    }
  }

  #greeted(head: number): void {
    this.#head = head;
    this.#offlineSince = 0;
    const first = this.state.seq < 0;
    if (first || head < this.state.seq) {
      // Never seen, or the store is younger than we are (set back, or another one): nothing held counts.
      this.state = startedOver(head);
      this.#world.jumped?.();
      this.#list(this.#round);
    } else if (this.#unlisted) {
      this.#list(this.#round); // the last connection broke while it was listing
    }
    this.#judge();
  }

  #list(round: number): void {
    this.counts.listings += 1;
    this.#unlisted = true;
    this.state = listingBegins(this.state);
    this.#judge();
    const read = async (): Promise<void> => {
      let cursor: string | null = null;
      let got = 0;
      do {
        const page: Page = await this.#world.list(cursor);
        if (round !== this.#round) return;
        got += page.calls.length;
        this.#flushNow();
        if (round !== this.#round) return;
        this.state = listingPage(this.state, page.calls);
        cursor = page.next;
        if (got >= MOST_CALLS) break;
      } while (cursor);
      this.state = listingEnds(this.state, cursor === null);
      this.#unlisted = false;
      this.#judge();
    };
    read().catch((error: unknown) => {
      if (round === this.#round) this.#fail(error instanceof Error ? error.message : 'the list could not be read');
    });
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    this.#world.soon(() => {
      this.#flushing = false;
      if (this.#stopped) return;
      this.#flushNow(PER_FLUSH);
      if (this.#queue.length) this.#flushSoon();
      this.#judge();
    });
  }

  #flushNow(most = Number.MAX_SAFE_INTEGER): void {
    if (!this.#queue.length) return;
    const batch = this.#queue.splice(0, most);
    const before = this.state.seq;
    this.state = reduceAll(this.state, batch);
    if (this.#world.heard && this.state.seq > before) this.#world.heard(batch.filter((event) => event.seq > before && event.seq <= this.state.seq));
    if (this.state.stale) {
      this.state = { ...this.state, stale: false };
      this.#fail('a number of the log was missing');
    }
  }

  /** A heartbeat told the head: if we are not there in a moment, something was lost without a sound. */
  #expect(head: number): void {
    if (this.#cancelLag || this.state.seq >= head) return;
    this.#cancelLag = this.#world.after(LAG_MS, () => {
      this.#cancelLag = null;
      if (this.state.seq < head && !this.#queue.length) this.#fail('events did not arrive');
      else if (this.state.seq < this.#head) this.#expect(this.#head);
    });
  }

  #listen(): void {
    this.#cancelSilence?.();
    this.#cancelSilence = this.#world.after(SILENCE_MS, () => this.#fail('nothing heard for 35 s'));
  }

  #drop(): void {
    this.#round += 1;
    this.#cancelSilence?.();
    this.#cancelLag?.();
    this.#cancelSilence = this.#cancelLag = null;
    this.#queue.length = 0;
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }

  #fail(why: string): void {
    if (this.#stopped) return;
    const now = this.#world.now();
    if (this.#socket) this.counts.cuts += 1;
    if (this.#openedAt && now - this.#openedAt > GOOD_MS) this.#delay = FIRST_RETRY_MS;
    this.#openedAt = 0;
    this.#drop();
    this.#cancelRetry?.();
    this.#offlineSince ||= now;
    const wait = Math.round(this.#delay * (0.5 + this.#world.random()));
    this.#delay = Math.min(this.#delay * 2, MAX_RETRY_MS);
    this.#cancelRetry = this.#world.after(wait, () => this.#open());
    this.#say({ kind: 'offline', since: this.#offlineSince, retryAt: now + wait, why });
  }

  #judge(): void {
    if (!this.#socket || this.#head < 0) {
      this.#world.publish(this.state, this.mark);
      return;
    }
    const behind = this.#head - this.state.seq;
    const small = behind <= 50 && !this.state.listing && this.mark.kind === 'live';
    this.#say(small || (behind <= 0 && !this.state.listing) ? { kind: 'live' } : { kind: 'catching_up', behind: Math.max(behind, 0) });
  }

  #say(mark: Mark): void {
    this.mark = mark;
    this.#world.publish(this.state, mark);
  }
}
