/**
 * Texts on their way from the composer to the platform: shown at once, settled by the answer, or explained.
 *
 * Each keeps its idempotency key from the first press to the end, also over a reload: however often it is repeated,
 * it is stored once. Only a refusal ends it; a missing answer is asked for again.
 */
import { post } from '$lib/api/client';
import { asProblem, type Problem } from '$lib/api/problem';
import type { Message } from '$lib/api/types';
import { session } from '$lib/session.svelte';
import { keepOnTheirWay, readOnTheirWay, type OnItsWay } from './drafts';

export interface Underway extends OnItsWay {
  state: 'sending' | 'waiting' | 'refused';
  problem: Problem | null;
}

const FIRST_MS = 800;
const MOST_MS = 15_000;
/** Idempotency keys are remembered for a day; a text that old is shown again to be decided on, not repeated. */
const MOST_AGE_MS = 20 * 3_600_000;

export class Outgoing {
  list = $state.raw<readonly Underway[]>([]);
  #who = session.person?.id ?? '';
  #stopped = false;
  #timers = new Set<ReturnType<typeof setTimeout>>();

  constructor(
    readonly talk: string,
    readonly settled: (message: Message) => void
  ) {
    this.list = readOnTheirWay(this.#who, talk).map((one) => ({ ...one, state: 'waiting' as const, problem: null }));
    for (const one of this.list) {
      if (Date.now() - one.at < MOST_AGE_MS) void this.#try(one.key, FIRST_MS);
      else this.#change(one.key, { state: 'refused' });
    }
  }

  send(text: OnItsWay): void {
    this.#put([...this.list, { ...text, state: 'sending', problem: null }]);
    void this.#try(text.key, FIRST_MS);
  }
  again(key: string): void {
    this.#change(key, { state: 'sending', problem: null });
    void this.#try(key, FIRST_MS);
  }
  /** Given up: its text, so that it can be written anew. */
  drop(key: string): string {
    const text = this.list.find((one) => one.key === key)?.text ?? '';
    this.#put(this.list.filter((one) => one.key !== key));
    return text;
  }
  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
  }

  async #try(key: string, pause: number): Promise<void> {
    const one = this.list.find((entry) => entry.key === key);
    if (!one || this.#stopped) return;
    try {
      const body = { text: one.text, ...(one.note ? { note: true } : {}), ...(one.sendAtUs ? { send_at_us: one.sendAtUs } : {}), ...(one.files.length ? { attachments: one.files } : {}), ...(one.via ? { channel_id: one.via } : {}), ...(one.to ? { to: one.to } : {}) };
      const message = await post<Message>(`/v1/conversations/${this.talk}/messages`, body, { idempotencyKey: key });
      this.settled(message);
      this.#put(this.list.filter((entry) => entry.key !== key));
    } catch (error) {
      const problem = asProblem(error);
      const again = problem.status === 0 || problem.status === 429 || problem.status >= 500;
      this.#change(key, { state: again ? 'waiting' : 'refused', problem });
      if (!again) return;
      const wait = Math.max(problem.retryAfter * 1000, pause * (0.5 + Math.random()));
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        void this.#try(key, Math.min(pause * 2, MOST_MS));
      }, wait);
      this.#timers.add(timer);
    }
  }

  #change(key: string, patch: Partial<Underway>): void {
    this.#put(this.list.map((one) => (one.key === key ? { ...one, ...patch } : one)));
  }
  #put(list: readonly Underway[]): void {
    this.list = list;
    keepOnTheirWay(this.#who, this.talk, list.map(({ state: _, problem: __, ...one }) => one));
  }
}
