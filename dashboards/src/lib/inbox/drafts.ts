/**
 * What a person has begun to write, kept in this browser until it is sent: it survives a reload, a closed tab and a
 * session that ended. A text that is on its way is kept with the key of its request, so that a repetition is harmless.
 */
import { recall, remember } from '$lib/theme.svelte';

export interface Draft {
  text: string;
  note: boolean;
  /** Local date and time to send it at; empty for at once. */
  later: string;
}
export interface OnItsWay {
  key: string;
  text: string;
  note: boolean;
  sendAtUs: number;
  files: string[];
  at: number;
  /** The account to answer through, and the number, where the conversation has calls only. */
  via?: string;
  to?: string;
}

export const EMPTY_DRAFT: Draft = { text: '', note: false, later: '' };
const MOST = 50;
const name = (who: string, talk: string): string => `irisx.draft.${who}.${talk}`;
const INDEX = 'irisx.drafts';

export function readDraft(who: string, talk: string): Draft {
  return { ...EMPTY_DRAFT, ...parsed<Partial<Draft>>(recall(name(who, talk)), {}) };
}

export function keepDraft(who: string, talk: string, draft: Draft): void {
  const empty = !draft.text.trim();
  remember(name(who, talk), empty ? null : JSON.stringify(draft));
  // The oldest drafts go: a browser's store is small.
  const kept = parsed<string[]>(recall(INDEX), []).filter((one) => one !== name(who, talk));
  if (!empty) kept.push(name(who, talk));
  for (const old of kept.slice(0, -MOST)) remember(old, null);
  remember(INDEX, JSON.stringify(kept.slice(-MOST)));
}

export const readOnTheirWay = (who: string, talk: string): OnItsWay[] => parsed<OnItsWay[]>(recall(`irisx.sending.${who}.${talk}`), []);
export const keepOnTheirWay = (who: string, talk: string, list: readonly OnItsWay[]): void =>
  remember(`irisx.sending.${who}.${talk}`, list.length ? JSON.stringify(list) : null);

function parsed<T>(text: string | null, otherwise: T): T {
  try {
    return text ? (JSON.parse(text) as T) : otherwise;
  } catch {
    return otherwise; // written by something else, or cut off
  }
}
