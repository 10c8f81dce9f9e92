/** Notes and dispositions that are not sent yet: kept in this browser by call, over reloads, until the wrap-up is stored. */
import { recall, remember } from '$lib/theme.svelte';

export interface Jotted {
  notes: string;
  disposition: string;
}
const EMPTY: Jotted = { notes: '', disposition: '' };
const INDEX = 'irisx.jotted';
const MOST = 40;
const key = (call: string): string => `irisx.jotted.${call}`;

export function jotted(call: string): Jotted {
  try {
    return { ...EMPTY, ...(JSON.parse(recall(key(call)) ?? '{}') as Partial<Jotted>) };
  } catch {
    return EMPTY; // cut off, or written by something else
  }
}

export function jot(call: string, what: Jotted): void {
  if (!call) return;
  const empty = !what.notes.trim() && !what.disposition;
  remember(key(call), empty ? null : JSON.stringify(what));
  let kept: string[] = [];
  try {
    kept = (JSON.parse(recall(INDEX) ?? '[]') as string[]).filter((one) => one !== call);
  } catch {
    kept = [];
  }
  if (!empty) kept.push(call);
  for (const old of kept.slice(0, -MOST)) remember(key(old), null);
  remember(INDEX, JSON.stringify(kept.slice(-MOST)));
}
