/** The one live state of this page, fed by the stream and read by every view. */
import { get, post, type ListPage } from '$lib/api/client';
import { callOf, type Call, type LogEvent } from '$lib/api/types';
import { isProblem } from '$lib/words/events';
import { LiveClient, type Mark, type Socket } from './client';
import { EMPTY, type Live } from './reduce';
import { presence } from './presence.svelte';
import { threads } from './threads.svelte';

/** One look at the platform, every two seconds, for the sparklines: ten minutes of them. */
export interface Sample {
  at: number;
  calls: number;
  talking: number;
  ringing: number;
  held: number;
  /** Calls that began, and entries that tell of a problem, in the two seconds before. */
  began: number;
  problems: number;
}

export const SAMPLE_MS = 2_000;
const SAMPLES = 300;
export const RATE_WINDOW_MS = 60_000;
const PROBLEMS_KEPT = 100;
/** While changes keep coming, they are drawn together this often. */
const DRAW_MS = 80;
const HANDOVER_MS = 1_000;

class LiveStore {
  state = $state.raw<Live>(EMPTY);
  /** What the stream says of itself. */
  told = $state.raw<Mark>({ kind: 'connecting' });
  /** Live only when everything that is shown is: rows that could not be read yet count as behind. */
  mark = $derived<Mark>(this.told.kind === 'live' && threads.behind > 0 ? { kind: 'catching_up', behind: threads.behind } : this.told);
  history = $state.raw<readonly Sample[]>([]);
  /** Entries that an operator should look at, newest last; the tail forgets them sooner. */
  problems = $state.raw<readonly LogEvent[]>([]);
  /** What people did rather than what calls do by themselves (orders, conferences), newest last. */
  changes = $state.raw<readonly LogEvent[]>([]);
  /** When the page was last known to equal the store. */
  goodAt = $state(0);

  #client: LiveClient;
  #began = 0;
  #failed = 0;
  #seen = -1;
  #drawnAt = 0;
  #holders = 0;
  #ending: ReturnType<typeof setTimeout> | undefined;
  #stop: (() => void) | null = null;

  constructor() {
    this.#client = new LiveClient({
      connect: () => new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/v1/stream`) as unknown as Socket,
      token: async () => (await post<{ token: string }>('/v1/auth/tokens/realtime')).token,
      list: async (cursor) => {
        const page = await get<ListPage<object>>('/v1/calls', { query: { live: true, limit: 200, cursor } });
        return { calls: page.data.map(callOf), next: page.has_more ? page.next_cursor : null };
      },
      now: () => Date.now(),
      random: () => Math.random(),
      after: (ms, run) => {
        const timer = setTimeout(run, ms);
        return () => clearTimeout(timer);
      },
      soon: (run) => {
        // A hidden page has no frames; it still keeps up, four times a second. A visible one draws the first change
        // with the next frame, and while more come in, a batch of them every few frames: nobody reads faster.
        const wait = document.hidden ? 250 : this.#drawnAt + DRAW_MS - performance.now();
        const draw = (): void => {
          this.#drawnAt = performance.now();
          run();
        };
        if (document.hidden) setTimeout(draw, wait);
        else if (wait > 16) setTimeout(() => requestAnimationFrame(draw), wait - 16);
        else requestAnimationFrame(draw);
      },
      publish: (state, mark) => this.#publish(state, mark),
      heard: (events) => threads.hear(events),
      jumped: () => threads.jumped(),
      moment: (moment) => presence.hear(moment)
    });
  }

  #publish(state: Live, mark: Mark): void {
    if (state !== this.state) {
      if (state.tail !== this.state.tail) this.#notice(state.tail);
      this.state = state;
    }
    if (mark !== this.told && !(mark.kind === 'live' && this.told.kind === 'live')) {
      if (mark.kind === 'live') threads.retry();
      this.told = mark;
    }
    if (mark.kind === 'live') this.goodAt = Date.now();
  }

  /** Counts and sorts what is new at the end of the tail. */
  #notice(tail: readonly LogEvent[]): void {
    let from = tail.length;
    while (from > 0 && (tail[from - 1] as LogEvent).seq > this.#seen) from -= 1;
    const problems: LogEvent[] = [];
    const changes: LogEvent[] = [];
    for (const event of tail.slice(from)) {
      this.#seen = event.seq;
      if (event.type === 'call.created') this.#began += 1;
      if (isProblem(event)) problems.push(event);
      else if (event.type === 'call.ordered' || event.type === 'conference.created' || event.type === 'conference.ended') changes.push(event);
    }
    this.#failed += problems.length;
    if (problems.length) this.problems = [...this.problems, ...problems].slice(-PROBLEMS_KEPT);
    if (changes.length) this.changes = [...this.changes, ...changes].slice(-PROBLEMS_KEPT);
  }

  #sample(): void {
    if (this.mark.kind === 'offline' || this.mark.kind === 'connecting') return;
    const sample: Sample = { at: Date.now(), calls: 0, talking: 0, ringing: 0, held: 0, began: this.#began, problems: this.#failed };
    this.#began = this.#failed = 0;
    for (const call of this.state.calls.values()) {
      sample.calls += 1;
      if (call.state === 'bridged') sample.talking += 1;
      else if (call.state === 'held') sample.held += 1;
      else if (call.state === 'ringing' || call.state === 'new') sample.ringing += 1;
    }
    this.history = [...this.history.slice(1 - SAMPLES), sample];
  }

  /** Calls that began per second, over the last minute (or since the page is open, if that is shorter). */
  callsPerSecond = $derived.by(() => {
    const recent = this.history.slice(-RATE_WINDOW_MS / SAMPLE_MS);
    if (recent.length === 0) return 0;
    return recent.reduce((sum, sample) => sum + sample.began, 0) / ((recent.length * SAMPLE_MS) / 1000);
  });

  /**
   * Followed while somebody holds it. Two sections of the site may hand it over to each other: it ends a moment after
   * the last one let go.
   */
  start(): () => void {
    this.#holders += 1;
    if (this.#ending) clearTimeout(this.#ending);
    this.#ending = undefined;
    this.#stop ??= this.#begin();
    return () => {
      this.#holders -= 1;
      if (this.#holders > 0) return;
      this.#ending = setTimeout(() => {
        this.#stop?.();
        this.#stop = null;
      }, HANDOVER_MS);
    };
  }

  #begin(): () => void {
    this.#client.start();
    const timer = setInterval(() => this.#sample(), SAMPLE_MS);
    const lost = (): void => this.#client.lost('this computer has no network');
    const back = (): void => this.#client.retry();
    const seen = (): void => {
      if (!document.hidden) this.#client.retry();
    };
    addEventListener('offline', lost);
    addEventListener('online', back);
    document.addEventListener('visibilitychange', seen);
    return () => {
      clearInterval(timer);
      removeEventListener('offline', lost);
      removeEventListener('online', back);
      document.removeEventListener('visibilitychange', seen);
      this.#client.stop();
    };
  }

  retry(): void {
    threads.retry();
    this.#client.retry();
  }

  /** Another tenant: nothing that is held belongs to it. */
  restart(): void {
    this.history = [];
    this.problems = [];
    this.changes = [];
    this.#seen = -1;
    threads.reset();
    presence.reset();
    this.#client.restart();
  }

  /** Calls that a page read by itself: from now on they follow the log like the others. */
  take(calls: readonly Call[]): void {
    this.#client.take(calls);
  }

  /** What is known of a call here, live or just ended. */
  call(id: string): Call | undefined {
    return this.state.calls.get(id) ?? this.state.ended.get(id);
  }
}

export const live = new LiveStore();
