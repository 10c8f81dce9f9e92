/** How much of an agent is taken, in the three components of the capacity: pure. The platform decides; this shows. */

export interface Load {
  readonly attention: number;
  readonly audio: number;
  readonly slots: number;
}
export interface Item {
  readonly class: string;
  readonly awaits_us: boolean;
}
export const WHOLE: Load = { attention: 1, audio: 1, slots: 4 };
/** What each piece of work takes by default; a tenant may have others. Of a chat: while we are to answer, and while they are. */
const WEIGHTS: Readonly<Record<string, readonly [Load, Load]>> = {
  call: [{ attention: 1, audio: 1, slots: 1 }, { attention: 1, audio: 1, slots: 1 }],
  chat: [{ attention: 0.34, audio: 0, slots: 1 }, { attention: 0.1, audio: 0, slots: 0.5 }],
  message: [{ attention: 0.2, audio: 0, slots: 0.5 }, { attention: 0.2, audio: 0, slots: 0.5 }],
  mail: [{ attention: 0.25, audio: 0, slots: 1 }, { attention: 0.25, audio: 0, slots: 1 }]
};

export function loadOf(items: readonly Item[]): Load {
  return items.reduce<Load>((sum, one) => {
    const [ours, theirs] = WEIGHTS[one.class] ?? WEIGHTS['message']!;
    const take = one.awaits_us ? ours : theirs;
    return { attention: sum.attention + take.attention, audio: sum.audio + take.audio, slots: sum.slots + take.slots };
  }, { attention: 0, audio: 0, slots: 0 });
}
