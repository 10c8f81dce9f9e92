/**
 * One tab of this browser holds the phone, the others show what it shows and hand their orders to it.
 *
 * Who holds it is decided by a lock of the browser (Web Locks): when that tab goes, another one has it at once. It can be
 * taken over on purpose. Where there are no locks there is no secure context, hence no microphone and no phone either.
 */

export interface Chief {
  /** This tab has the phone from now on. */
  begin(): void;
  /** Another tab took it. */
  end(): void;
  /** What another tab published of the phone. */
  seen(state: unknown): void;
  /** Another tab asks for the state. */
  asked(): void;
  /** An order of another tab; its answer goes back there. */
  order(name: string, args: Record<string, unknown>): Promise<unknown>;
}

export interface Failure {
  code: string;
  detail: string;
}

type Said =
  | { kind: 'state'; state: unknown }
  | { kind: 'who' }
  | { kind: 'order'; id: string; name: string; args: Record<string, unknown> }
  | { kind: 'done'; id: string; answer?: unknown; failure?: Failure };

/** The switch may take its time; the tab that holds the phone answers sooner than this or is gone. */
const ORDER_MS = 40_000;

export class Tabs {
  leads = false;
  #name: string;
  #chief: Chief;
  #channel: BroadcastChannel | null = null;
  #release: (() => void) | null = null;
  #waiting = new AbortController();
  #open = new Map<string, { done: (answer: unknown) => void; failed: (failure: Failure) => void; timer: ReturnType<typeof setTimeout> }>();

  constructor(name: string, chief: Chief) {
    this.#name = name;
    this.#chief = chief;
  }

  start(): void {
    if (typeof BroadcastChannel === 'function') {
      this.#channel = new BroadcastChannel(this.#name);
      this.#channel.onmessage = ({ data }: MessageEvent<Said>) => void this.#hear(data);
    }
    if (!navigator.locks) return this.#begin();
    this.#wait();
    this.#say({ kind: 'who' });
  }

  stop(): void {
    this.#waiting.abort();
    this.#release?.();
    this.#channel?.close();
    this.#channel = null;
    this.leads = false;
  }

  /** The phone is wanted in this tab. */
  take(): void {
    if (this.leads || !navigator.locks) return;
    this.#waiting.abort();
    void this.#hold({ steal: true });
  }

  publish(state: unknown): void {
    if (this.leads) this.#say({ kind: 'state', state });
  }

  /** Hands an order to the tab that has the phone. Raises a `Failure`. */
  order(name: string, args: Record<string, unknown>): Promise<unknown> {
    const id = crypto.randomUUID();
    return new Promise((done, failed) => {
      const timer = setTimeout(() => {
        this.#open.delete(id);
        failed({ code: 'timeout', detail: 'The tab that has the phone does not answer.' });
      }, ORDER_MS);
      this.#open.set(id, { done, failed, timer });
      this.#say({ kind: 'order', id, name, args });
    });
  }

  #wait(): void {
    this.#waiting = new AbortController();
    void this.#hold({ signal: this.#waiting.signal });
  }

  async #hold(options: LockOptions): Promise<void> {
    try {
      await navigator.locks.request(this.#name, options, () => {
        this.#begin();
        return new Promise<void>((done) => (this.#release = done));
      });
    } catch {
      // Taken over by another tab, or not waited for any more.
      const led = this.leads;
      this.leads = false;
      if (led) {
        this.#chief.end();
        this.#wait();
        this.#say({ kind: 'who' });
      }
    }
  }

  #begin(): void {
    this.leads = true;
    this.#chief.begin();
  }

  #say(said: Said): void {
    this.#channel?.postMessage(said);
  }

  async #hear(said: Said): Promise<void> {
    if (said.kind === 'state') {
      if (!this.leads) this.#chief.seen(said.state);
    } else if (said.kind === 'who') {
      if (this.leads) this.#chief.asked();
    } else if (said.kind === 'order') {
      if (!this.leads) return;
      try {
        this.#say({ kind: 'done', id: said.id, answer: await this.#chief.order(said.name, said.args) });
      } catch (error) {
        const failure = error as Partial<Failure>;
        this.#say({ kind: 'done', id: said.id, failure: { code: failure.code ?? 'page', detail: failure.detail ?? (error instanceof Error ? error.message : '') } });
      }
    } else {
      const open = this.#open.get(said.id);
      if (!open) return;
      this.#open.delete(said.id);
      clearTimeout(open.timer);
      if (said.failure) open.failed(said.failure);
      else open.done(said.answer);
    }
  }
}
