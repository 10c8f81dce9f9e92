/**
 * The call leader: `Ctrl/Cmd .`, then a letter, also inside text fields. Pure: what a press means, and when. Ending a call
 * needs the letter twice.
 */

export const LETTERS = { a: 'answer', d: 'decline', m: 'mute', h: 'hold', t: 'transfer', c: 'conference', k: 'keypad', e: 'end' } as const;
export type Letter = keyof typeof LETTERS;

export interface Leader {
  /** Until when a letter counts; 0: the leader was not pressed. */
  readonly until: number;
  /** Ending was asked for once. */
  readonly armed: boolean;
}
export const AT_REST: Leader = { until: 0, armed: false };
/** For the letter after the leader, and for the second press. */
export const LEADER_MS = 2_500;
export const SECOND_MS = 2_000;

export interface Press {
  readonly key: string;
  readonly ctrl: boolean;
  readonly meta: boolean;
  readonly alt: boolean;
  /** The key is held down and repeats: nobody ends a call by holding a key. */
  readonly repeat?: boolean;
}

/** What a press does: the leader after it, the letter to act on, and whether it was ours. */
export function press(leader: Leader, { key, ctrl, meta, alt, repeat = false }: Press, now: number): { leader: Leader; act: Letter | ''; ours: boolean } {
  if ((ctrl || meta) && !alt && key === '.') return { leader: { until: now + LEADER_MS, armed: false }, act: '', ours: true };
  if (now >= leader.until || key === 'Control' || key === 'Meta' || key === 'Shift') return { leader: now >= leader.until ? AT_REST : leader, act: '', ours: false };
  if (key === 'Escape') return { leader: AT_REST, act: '', ours: true };
  const letter = key.toLowerCase();
  if (repeat) return { leader, act: '', ours: letter in LETTERS };
  if (!(letter in LETTERS)) return { leader: AT_REST, act: '', ours: false };
  if (letter === 'e' && !leader.armed) return { leader: { until: now + SECOND_MS, armed: true }, act: '', ours: true };
  return { leader: AT_REST, act: letter as Letter, ours: true };
}
