/**
 * Being seen at a conversation, and seeing who else is. Nothing of it is kept by the platform. Typing is heard at once over
 * the stream (`presence`); who looks is asked every few seconds.
 */
import { post } from '$lib/api/client';
import type { Schemas } from '$lib/api/types';
import { session } from '$lib/session.svelte';
import { presence } from './presence.svelte';
import { EVERY_MS, heardOf } from './signs';
import { Writing } from './writing';

/** One conversation on the screen: says that one is here, and knows who else is. */
export class Here {
  looking = $state.raw<readonly string[]>([]);
  #writing: Writing;
  #timer: ReturnType<typeof setInterval> | undefined;
  #seen = (): void => void this.#say(!document.hidden);

  constructor(readonly conversation: string) {
    this.#writing = new Writing((typing) => void this.#type(typing), { now: () => Date.now(), after: (ms, run) => { const timer = setTimeout(run, ms); return () => clearTimeout(timer); } });
    void this.#say(!document.hidden);
    this.#timer = setInterval(() => { if (!document.hidden) void this.#say(true); }, EVERY_MS);
    document.addEventListener('visibilitychange', this.#seen);
  }
  /** Who else is writing an answer; empty for nobody. */
  writer = $derived.by(() => presence.typing.get(this.conversation)?.user ?? '');

  /** A key was pressed in an answer. */
  pressed(): void {
    if (session.can('conversations:write')) this.#writing.pressed();
  }
  /** It was sent, or thrown away. */
  stopped(): void {
    this.#writing.stop();
  }
  leave(): void {
    this.#writing.stop();
    clearInterval(this.#timer);
    document.removeEventListener('visibilitychange', this.#seen);
    void this.#say(false);
  }

  async #say(here: boolean): Promise<void> {
    // Without an answer one simply sees nobody: presence is a courtesy, not a promise.
    const seen = await post<Schemas['Presence']>(`/v1/conversations/${this.conversation}/presence`, { here }).catch(() => null);
    if (seen) this.#take(seen);
  }
  async #type(typing: boolean): Promise<void> {
    const seen = await post<Schemas['Presence']>(`/v1/conversations/${this.conversation}/typing`, { typing }).catch(() => null);
    if (seen) this.#take(seen);
  }
  #take(seen: Schemas['Presence']): void {
    const me = session.person?.id ?? '';
    const others = seen.looking.filter((id) => id !== me).sort();
    if (others.join() !== this.looking.join()) this.looking = others;
    const writes = seen.typing && seen.typing !== me ? seen.typing : '';
    if (writes) presence.put(heardOf(presence.typing, { what: 'typing', conversation: this.conversation, user: writes, typing: true }, Date.now()));
    else if (presence.typing.has(this.conversation)) presence.put(heardOf(presence.typing, { what: 'typing', conversation: this.conversation, user: this.writer, typing: false }, Date.now()));
  }
}
