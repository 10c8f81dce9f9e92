/** Who is writing an answer, and where: heard over the stream. Each sign runs out by itself, here as on the platform. */
import { session } from '$lib/session.svelte';
import type { Moment } from './frames';
import { heardOf, pruned, type Typing } from './signs';

class Presence {
  /** Who types where, without oneself. */
  typing = $state.raw<Typing>(new Map());
  #timer: ReturnType<typeof setTimeout> | undefined;

  hear(moment: Moment): void {
    if (moment.what !== 'typing' || moment.user === session.person?.id) return;
    this.put(heardOf(this.typing, moment, Date.now()));
  }
  put(typing: Typing): void {
    this.typing = typing;
    clearTimeout(this.#timer);
    if (typing.size) this.#timer = setTimeout(() => this.put(pruned(this.typing, Date.now())), 1000);
  }
  reset(): void {
    this.put(new Map());
  }
}

export const presence = new Presence();
