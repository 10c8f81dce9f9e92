/**
 * Every action has a name, a key and a button. Pages hand theirs in while they are shown; the command palette,
 * the keyboard and the list of shortcuts all read from here.
 */
import { untrack, type Component } from 'svelte';
import { recall, remember } from './theme.svelte';

export interface Action {
  id: string;
  words: string;
  group: string;
  /** `g c`, `Shift+X`, `/`, `e`. Single characters are ignored while a text field has the focus. */
  key?: string;
  icon?: Component;
  /** Why it cannot be done now; empty when it can. */
  blocked?: string;
  keywords?: string;
  /** Shown in the list of shortcuts only, such as `j`, which a list handles itself. */
  hint?: boolean;
  /** Has a key, but is no thing to look for by name: the next row. */
  quiet?: boolean;
  run: () => void;
}

const OFF = 'irisx.keys';
/** `g`, then within this time a letter. */
const LEADER_MS = 1_200;

class Actions {
  #sets = $state.raw<ReadonlyMap<symbol, readonly Action[]>>(new Map());
  paletteOpen = $state(false);
  helpOpen = $state(false);
  keysOff = $state(recall(OFF) === 'off');
  #leader = '';
  #leaderAt = 0;

  all = $derived([...this.#sets.values()].flat());

  put(owner: symbol, actions: readonly Action[]): void {
    const next = new Map(this.#sets);
    next.set(owner, actions);
    this.#sets = next;
  }
  drop(owner: symbol): void {
    const next = new Map(this.#sets);
    next.delete(owner);
    this.#sets = next;
  }

  switchKeys(off: boolean): void {
    this.keysOff = off;
    remember(OFF, off ? 'off' : null);
  }

  /** What a key means; true when it was ours. */
  key(event: KeyboardEvent): boolean {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === 'k') {
      this.paletteOpen = !this.paletteOpen;
      return true;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return false;
    if (this.keysOff || isTyping(event.target) || document.querySelector('[role=dialog],[role=alertdialog],[role=menu]')) return false;
    const name = event.shiftKey && event.key.length === 1 && /[A-Z]/.test(event.key) ? `Shift+${event.key}` : event.key;
    const now = performance.now();
    const chord = this.#leader && now - this.#leaderAt < LEADER_MS ? `${this.#leader} ${event.key}` : '';
    this.#leader = '';
    if (name === 'g' && !chord) {
      this.#leader = 'g';
      this.#leaderAt = now;
      return true;
    }
    const wanted = chord || name;
    if (wanted === '?') {
      this.helpOpen = true;
      return true;
    }
    // The page put last knows best what a key means here.
    const found = this.all.findLast((action) => action.key === wanted && !action.hint);
    if (!found) return false;
    if (!found.blocked) found.run();
    return true;
  }
}

export function isTyping(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  if (!element?.tagName) return false;
  if (element.isContentEditable || element.tagName === 'TEXTAREA' || element.tagName === 'SELECT') return true;
  return element.tagName === 'INPUT' && !/^(checkbox|radio|button|range)$/.test((element as HTMLInputElement).type);
}

export const actions = new Actions();

/** Hands a page's actions in for as long as the component lives. Call it while a component is set up. */
export function useActions(list: () => readonly Action[]): void {
  const owner = Symbol('actions');
  $effect(() => {
    const mine = list();
    untrack(() => actions.put(owner, mine));
  });
  $effect(() => () => untrack(() => actions.drop(owner)));
}
