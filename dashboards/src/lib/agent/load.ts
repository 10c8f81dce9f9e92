/** How much of an agent is taken, in the three components of the capacity: pure. The platform decides; this shows. */

export interface Load {
  readonly attention: number;
  readonly audio: number;
  readonly slots: number;
}
export interface Item {
  readonly class: string;
  readonly awaits_us: boolean;
  readonly quiet_since_us: number;
}
export const WHOLE: Load = { attention: 1, audio: 1, slots: 4 };
/** What each kind of work takes, as the tenant set it: `call`, `chat` while we are to answer, `idle_chat` while they are. */
export type Weights = Readonly<Record<string, Load | number>>;
const NOTHING: Load = { attention: 0, audio: 0, slots: 0 };

/** The moment is in ms of the epoch: work that has slept for long enough takes nothing. */
export function loadOf(items: readonly Item[], weights: Weights, now: number): Load {
  const asleep = typeof weights['asleep_after_s'] === 'number' ? weights['asleep_after_s'] * 1000 : Number.POSITIVE_INFINITY;
  return items.reduce<Load>((sum, one) => {
    const sleeps = one.class !== 'call' && !one.awaits_us && one.quiet_since_us > 0 && now - one.quiet_since_us / 1000 > asleep;
    const found = weights[one.class === 'call' || one.awaits_us ? one.class : `idle_${one.class}`];
    const take = sleeps || typeof found !== 'object' ? NOTHING : found;
    return { attention: sum.attention + take.attention, audio: sum.audio + take.audio, slots: sum.slots + take.slots };
  }, NOTHING);
}
