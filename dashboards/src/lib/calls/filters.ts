/**
 * Filters of the Live calls page: one value in three forms. As text a person types (`state:held from:+4420`),
 * as chips, and in the address in the API's own grammar (`state[in]=held&caller[prefix]=%2B4420`).
 */
import type { Call } from '$lib/api/types';
import { CALL_STATES, callState, shownState, stateOfCall } from '$lib/words/states';

export interface Filters {
  state: string[];
  direction: string;
  node: string;
  caller: string;
  destination: string;
  /** Free text: found anywhere in the numbers, names and ids. */
  words: string;
}

export const NO_FILTERS: Filters = { state: [], direction: '', node: '', caller: '', destination: '', words: '' };

const KEYS: Readonly<Record<string, keyof Filters>> = {
  state: 'state', is: 'state', direction: 'direction', dir: 'direction', node: 'node', switch: 'node',
  from: 'caller', caller: 'caller', to: 'destination', destination: 'destination'
};
const ADDRESS: readonly (readonly [keyof Filters, string])[] = [
  ['state', 'state[in]'], ['direction', 'direction[eq]'], ['node', 'node[eq]'],
  ['caller', 'caller[prefix]'], ['destination', 'destination[prefix]'], ['words', 'q']
];

/** States by their code or by the word they are shown with: `talking` is `bridged`. */
function stateNamed(text: string): string | null {
  const wanted = text.toLowerCase().replaceAll('-', ' ');
  return CALL_STATES.find((name) => name === wanted || callState(name).word.toLowerCase() === wanted) ?? null;
}

/** Takes `name:value` parts out of what was typed; the rest stays free text. */
export function readText(text: string, base: Filters): Filters {
  const out: Filters = { ...base, state: [...base.state] };
  const words: string[] = [];
  for (const part of text.split(/\s+/).filter(Boolean)) {
    const at = part.indexOf(':');
    const key = at > 0 ? KEYS[part.slice(0, at).toLowerCase()] : undefined;
    const value = part.slice(at + 1);
    if (!key || !value) words.push(part);
    else if (key === 'state') {
      for (const name of value.split(',')) {
        const state = stateNamed(name);
        if (state && !out.state.includes(state)) out.state.push(state);
      }
    } else if (key !== 'words') out[key] = value;
  }
  out.words = words.join(' ');
  return out;
}

export function readAddress(query: URLSearchParams): Filters {
  const out: Filters = { ...NO_FILTERS, state: [] };
  for (const [key, name] of ADDRESS) {
    const value = query.get(name);
    if (!value) continue;
    if (key === 'state') out.state = value.split(',').filter((state) => (CALL_STATES as readonly string[]).includes(state));
    else out[key] = value;
  }
  return out;
}

export function writeAddress(filters: Filters, query: URLSearchParams): URLSearchParams {
  for (const [key, name] of ADDRESS) {
    const value = filters[key];
    const text = Array.isArray(value) ? value.join(',') : value;
    if (text) query.set(name, text);
    else query.delete(name);
  }
  return query;
}

/** The part of the filters that the API understands, for a tenant with more calls than a page holds. */
export function forApi(filters: Filters): Record<string, string> {
  const out: Record<string, string> = {};
  for (const [key, name] of ADDRESS) {
    const value = filters[key];
    const text = Array.isArray(value) ? value.join(',') : value;
    // Parked is a property of legs: the API cannot be asked for it.
    if (text && key !== 'words' && !(key === 'state' && filters.state.includes('parked'))) out[name] = text;
  }
  return out;
}

export interface Chip {
  key: keyof Filters;
  label: string;
  value: string;
  without: Filters;
}

export function chips(filters: Filters): Chip[] {
  const out: Chip[] = filters.state.map((state) => ({
    key: 'state', label: 'State', value: callState(state).word, without: { ...filters, state: filters.state.filter((other) => other !== state) }
  }));
  const named: [keyof Filters, string][] = [['direction', 'Direction'], ['node', 'Switch'], ['caller', 'From begins with'], ['destination', 'To begins with'], ['words', 'Contains']];
  for (const [key, label] of named) {
    if (filters[key]) out.push({ key, label, value: String(filters[key]), without: { ...filters, [key]: '' } });
  }
  return out;
}

export const isFiltered = (filters: Filters): boolean => chips(filters).length > 0;

/** Whether a call is among the filtered ones. Built once per change of the filters, run for every call. */
export function matcher(filters: Filters): (call: Call) => boolean {
  const states = new Set(filters.state);
  const words = filters.words.toLowerCase().split(/\s+/).filter(Boolean);
  return (call) => {
    if (states.size && !states.has(shownState(call))) return false;
    if (filters.direction && call.direction !== filters.direction) return false;
    if (filters.node && call.node !== filters.node) return false;
    if (filters.caller && !call.caller.startsWith(filters.caller)) return false;
    if (filters.destination && !call.destination.startsWith(filters.destination)) return false;
    if (words.length === 0) return true;
    const all = `${call.caller} ${call.caller_name} ${call.destination} ${call.id} ${call.node} ${stateOfCall(call).word}`.toLowerCase();
    return words.every((word) => all.includes(word));
  };
}
