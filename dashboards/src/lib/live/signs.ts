/** Signs that run out: who types where. Pure. */
import type { Moment } from './frames';

/** How often a page says that somebody looks; the platform forgets after 30 s. */
export const EVERY_MS = 10_000;
/** How long a sign of typing holds, as on the platform (`core/presence.py`). */
export const TYPING_MS = 8_000;
export type Typing = ReadonlyMap<string, { readonly user: string; readonly until: number }>;

/** With a moment that was just heard: the first one who types has the claim, until the sign runs out or is taken back. */
export function heardOf(typing: Typing, moment: Moment, now: number): Typing {
  const held = typing.get(moment.conversation);
  const next = new Map(typing);
  if (!moment.typing) {
    if (held?.user !== moment.user) return typing;
    next.delete(moment.conversation);
  } else {
    if (held && held.user !== moment.user && held.until > now) return typing;
    next.set(moment.conversation, { user: moment.user, until: now + TYPING_MS });
  }
  return next;
}

/** Without what has run out. */
export function pruned(typing: Typing, now: number): Typing {
  return [...typing.values()].every((one) => one.until > now) ? typing : new Map([...typing].filter(([, one]) => one.until > now));
}
