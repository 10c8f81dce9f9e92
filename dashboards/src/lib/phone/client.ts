/**
 * Holds the connection to a controller: any of several, and another one when it goes away.
 *
 * One connection: a ticket (short-lived token and addresses) from the API, a socket, `hello`, then requests with
 * answers and events with numbers. Whatever goes wrong has one cure: close, wait a jittered moment, the next address,
 * `hello` with the session and the last number. A session that is still known goes on where it was; else the lists that
 * come with the answer are the truth. A call does not notice any of it: its sound goes another way.
 *
 * Sockets, timers, chance and the clock are handed in, so that tests own them.
 */
import { helloOf, parseFrame, PROTOCOL, type Frame, type Hello, type Raw, type Told } from './protocol';

export const FIRST_RETRY_MS = 250;
export const MAX_RETRY_MS = 8_000;
/** For the socket to open and the greeting to be answered. */
export const GREETING_MS = 6_000;
/** For an answer to a ping. */
export const PONG_MS = 5_000;
export const ANSWER_MS = 12_000;
/** The switch is asked in between. */
export const SWITCH_MS = 35_000;
/** A ticket is worth 60 s; one that ends sooner than this is not used. */
const TICKET_LEFT_MS = 10_000;
const GOOD_MS = 10_000;

export interface IceServer {
  urls: string | string[];
  username?: string;
  credential?: string;
}
export interface Ticket {
  token: string;
  urls: readonly string[];
  ice: readonly IceServer[];
  /** Ms of the epoch, our clock. */
  expires: number;
}

export type Mark =
  | { kind: 'off' }
  | { kind: 'connecting' }
  | { kind: 'live' }
  | { kind: 'catching_up'; behind: number }
  | { kind: 'offline'; since: number; retryAt: number; why: string }
  /** Another device or browser has the phone; nothing is tried until somebody asks for it. */
  | { kind: 'elsewhere'; why: string }
  /** It cannot be had, and trying again does not help: this person is no agent. */
  | { kind: 'refused'; why: string };

export interface Socket {
  send(text: string): void;
  close(): void;
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code?: number; reason?: string }) => void) | null;
  onerror: (() => void) | null;
}

/** What a controller, or the way to it, refused. */
export class Refused extends Error {
  constructor(
    readonly code: string,
    readonly detail: string,
    readonly retryable: boolean
  ) {
    super(detail || code);
  }
}

export interface Surroundings {
  connect(url: string, protocol: string): Socket;
  /** Raises `Refused` when there is no use in trying again. */
  ticket(): Promise<Ticket>;
  device: { id: string; label: string };
  tab: string;
  now(): number;
  random(): number;
  after(ms: number, run: () => void): () => void;
  mark(mark: Mark): void;
  /** The lists of a session that begins (`fresh`), or that it goes on. */
  greeted(hello: Hello, fresh: boolean): void;
  heard(told: Told): void;
}

interface Asked {
  resolve: (body: Raw) => void;
  reject: (error: Refused) => void;
  cancel: () => void;
}

export class SignalingClient {
  mark: Mark = { kind: 'off' };
  counts = { connects: 0, cuts: 0, resumed: 0, events: 0, probes: 0 };
  ticket: Ticket | null = null;

  #world: Surroundings;
  #socket: Socket | null = null;
  #round = 0;
  #asked = new Map<string, Asked>();
  #made = 0;
  #session = '';
  #last = 0;
  #target = 0;
  #delay = FIRST_RETRY_MS;
  #tries = 0;
  #greetedAt = 0;
  #offlineSince = 0;
  #takeOver = false;
  #stopped = true;
  #cancelRetry: (() => void) | null = null;
  #cancelBeat: (() => void) | null = null;
  #cancelWait: (() => void) | null = null;

  constructor(world: Surroundings) {
    this.#world = world;
  }

  get open(): boolean {
    return this.#greetedAt > 0;
  }
  /** The number of the last event that was applied. */
  get n(): number {
    return this.#last;
  }

  start(): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#say({ kind: 'connecting' });
    this.#open();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelRetry?.();
    this.#drop('the desk was left');
    this.#session = '';
    this.#last = this.#target = 0;
    this.#say({ kind: 'off' });
  }

  /** The phone is wanted here, wherever it is now. */
  takeOver(): void {
    this.#takeOver = true;
    this.#stopped = false;
    this.#again(0);
  }

  /** Try now instead of at the end of the wait. */
  retry(): void {
    if (this.#stopped || this.#socket || this.mark.kind !== 'offline') return;
    this.#again(0);
  }

  /** The browser says that the network went away, or came back another way. */
  lost(why: string): void {
    if (!this.#stopped && this.#socket) this.#fail(why);
  }

  /** Asks one thing; raises `Refused`. After a cut what became of it is not known (`connection_lost`): the lists tell. */
  ask(name: string, args: Raw = {}, ms = ANSWER_MS): Promise<Raw> {
    const socket = this.#socket;
    if (!socket || !this.#greetedAt) return Promise.reject(new Refused('offline', 'There is no connection to the phone system now.', true));
    return this.#send(socket, name, args, ms);
  }

  #send(socket: Socket, name: string, args: Raw, ms: number): Promise<Raw> {
    this.#made += 1;
    const id = String(this.#made);
    return new Promise<Raw>((resolve, reject) => {
      const cancel = this.#world.after(ms, () => {
        this.#asked.delete(id);
        reject(new Refused('timeout', 'No answer came in time: whether it was done is not known.', true));
      });
      this.#asked.set(id, { resolve, reject, cancel });
      try {
        socket.send(JSON.stringify({ id, type: name, ...args }));
      } catch {
        this.#fail('the connection was cut');
      }
    });
  }

  #again(wait: number): void {
    this.#cancelRetry?.();
    this.#drop('the connection is made anew');
    this.#cancelRetry = this.#world.after(wait, () => this.#open());
    if (!wait) this.#say({ kind: 'connecting' });
  }

  #open(): void {
    const round = ++this.#round;
    this.#cancelRetry = null;
    const kept = this.ticket && this.ticket.expires - this.#world.now() > TICKET_LEFT_MS ? this.ticket : null;
    (kept ? Promise.resolve(kept) : this.#world.ticket()).then(
      (ticket) => {
        if (round !== this.#round || this.#stopped) return;
        this.ticket = ticket;
        this.#dial(round, ticket);
      },
      (error: unknown) => {
        if (round !== this.#round || this.#stopped) return;
        if (error instanceof Refused && !error.retryable) this.#give({ kind: 'refused', why: error.detail || error.code });
        else this.#fail(error instanceof Error ? error.message : 'no ticket');
      }
    );
  }

  #dial(round: number, ticket: Ticket): void {
    const url = ticket.urls[this.#tries % Math.max(1, ticket.urls.length)];
    this.#tries += 1;
    if (!url) {
      this.ticket = null;
      return this.#fail('no controller takes phones now');
    }
    this.counts.connects += 1;
    let socket: Socket;
    try {
      socket = this.#world.connect(url, PROTOCOL);
    } catch (error) {
      return this.#fail(error instanceof Error ? error.message : 'it cannot be connected');
    }
    this.#socket = socket;
    const mine = (): boolean => round === this.#round;
    this.#cancelWait = this.#world.after(GREETING_MS, () => {
      if (mine() && !this.#greetedAt) this.#fail('the controller did not answer');
    });
    socket.onopen = () => {
      if (!mine()) return;
      const resume = this.#session && !this.#takeOver ? { session: this.#session, n: this.#last } : null;
      this.#send(socket, 'hello', { token: ticket.token, device: this.#world.device, tab: this.#world.tab, take_over: this.#takeOver, resume }, GREETING_MS).then(
        (body) => {
          if (mine()) this.#greeted(helloOf(body));
        },
        (error: unknown) => {
          if (mine()) this.#turnedAway(error instanceof Refused ? error : new Refused('error', '', true));
        }
      );
    };
    socket.onmessage = (message) => {
      if (!mine()) return;
      let frame: Frame;
      try {
        frame = parseFrame(String(message.data));
      } catch (error) {
        return this.#fail(error instanceof Error ? error.message : 'not understood');
      }
      this.#take(frame);
    };
    socket.onclose = (event) => {
      if (mine()) this.#fail(event.reason || 'the connection was cut');
    };
    socket.onerror = () => undefined; // `close` always follows and is where we act
  }

  #turnedAway(error: Refused): void {
    if (error.code === 'other_device') return this.#give({ kind: 'elsewhere', why: error.detail || 'Your phone is on another device.' });
    this.ticket = null; // worth nothing there: the next try asks for another one
    if (error.code === 'no_agent') return this.#give({ kind: 'refused', why: error.detail });
    this.#fail(error.detail || error.code);
  }

  /** No further try by itself. */
  #give(mark: Mark): void {
    this.#cancelRetry?.();
    this.#drop('the phone is elsewhere');
    this.#session = '';
    this.#say(mark);
  }

  #greeted(hello: Hello): void {
    const now = this.#world.now();
    const goesOn = hello.resumed && hello.session === this.#session;
    this.#greetedAt = now;
    this.#offlineSince = 0;
    this.#takeOver = false;
    this.#session = hello.session;
    if (goesOn) this.counts.resumed += 1;
    else this.#last = hello.n;
    this.#target = hello.n;
    this.#cancelWait?.();
    this.#beat(hello.heartbeat_s * 1000);
    this.#world.greeted(hello, !goesOn);
    this.#judge();
  }

  #take(frame: Frame): void {
    if (frame.kind === 'answer') {
      const asked = this.#asked.get(frame.re);
      if (!asked) return;
      this.#asked.delete(frame.re);
      asked.cancel();
      if (frame.ok) asked.resolve(frame.body);
      else asked.reject(new Refused(frame.code, frame.detail, frame.retryable));
      return;
    }
    // Before the greeting's answer was taken nothing is known of the session: its events come after it.
    if (frame.told.kind === 'probe') return this.#probed(frame.n, frame.told.probe);
    if (!this.#number(frame.n)) return;
    this.counts.events += 1;
    if (frame.told.kind === 'bye') return this.#bye(frame.told.code, frame.told.reconnect);
    this.#world.heard(frame.told);
    this.#judge();
  }

  /** Whether this event is the next one; one that is missing ends the connection. */
  #number(n: number): boolean {
    if (n <= this.#last) return false;
    if (this.#greetedAt && n !== this.#last + 1) {
      this.#fail('an event was missing');
      return false;
    }
    this.#last = n;
    return true;
  }

  /** Answered at once, before anything else, also while nobody looks at the page: it proves that we are here. */
  #probed(n: number, probe: string): void {
    this.counts.probes += 1;
    if (this.#socket) void this.#send(this.#socket, 'probed', { probe }, ANSWER_MS).catch(() => undefined);
    this.#number(n);
    this.#judge();
  }

  #bye(code: string, reconnect: boolean): void {
    if (!reconnect || code === 'replaced') return this.#give({ kind: 'elsewhere', why: 'Your phone is used in another window or on another device.' });
    if (code === 'expired') this.#session = '';
    if (code === 'draining') this.ticket = null; // the addresses have changed
    this.#fail(code === 'draining' ? 'the controller goes out of service' : code);
  }

  #beat(every: number): void {
    this.#cancelBeat?.();
    const round = this.#round;
    this.#cancelBeat = this.#world.after(every, () => {
      if (round !== this.#round) return;
      this.ask('ping', {}, PONG_MS).then(
        (body) => {
          if (round !== this.#round) return;
          // Where the answer tells the head, events that were swallowed without a sound are missed here.
          if (typeof body['n'] === 'number' && body['n'] > this.#last) this.#fail('events did not arrive');
          else this.#beat(every);
        },
        (error: unknown) => {
          if (round === this.#round && error instanceof Refused && error.code === 'timeout') this.#fail('nothing is heard');
          else if (round === this.#round) this.#beat(every);
        }
      );
    });
  }

  #drop(why: string): void {
    this.#round += 1;
    this.#cancelBeat?.();
    this.#cancelWait?.();
    this.#cancelBeat = this.#cancelWait = null;
    this.#greetedAt = 0;
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    const asked = [...this.#asked.values()];
    this.#asked.clear();
    for (const one of asked) {
      one.cancel();
      one.reject(new Refused('connection_lost', `The connection was lost (${why}): whether it was done is shown when it is back.`, true));
    }
  }

  #fail(why: string): void {
    if (this.#stopped) return;
    const now = this.#world.now();
    if (this.#socket) this.counts.cuts += 1;
    // The first try after a good connection is at once: a second counts when somebody talks.
    const good = this.#greetedAt > 0 && now - this.#greetedAt > GOOD_MS;
    if (good) this.#delay = FIRST_RETRY_MS;
    this.#drop(why);
    this.#cancelRetry?.();
    this.#offlineSince ||= now;
    const wait = Math.round((good ? FIRST_RETRY_MS / 2 : this.#delay) * (0.5 + this.#world.random()));
    this.#delay = Math.min(this.#delay * 2, MAX_RETRY_MS);
    this.#cancelRetry = this.#world.after(wait, () => this.#open());
    this.#say({ kind: 'offline', since: this.#offlineSince, retryAt: now + wait, why });
  }

  #judge(): void {
    if (!this.#greetedAt) return;
    if (this.#world.now() - this.#greetedAt > GOOD_MS) this.#delay = FIRST_RETRY_MS;
    const behind = this.#target - this.#last;
    this.#say(behind > 0 ? { kind: 'catching_up', behind } : { kind: 'live' });
  }

  #say(mark: Mark): void {
    if (this.mark.kind === mark.kind && (mark.kind === 'live' || mark.kind === 'off' || mark.kind === 'connecting')) return;
    this.mark = mark;
    this.#world.mark(mark);
  }
}
