/**
 * Filters of the Conversations page: one value as text a person types (`state:open has:nobody waits:1h kim`), as chips,
 * and in the address in the API's own grammar. Pure.
 */
import type { Query } from '$lib/api/client';
import type { Conversation } from '$lib/api/types';
import type { Kind } from '$lib/live/listed';

export interface Filters {
  state: readonly string[];
  /** A user's id, `nobody`, or empty for anybody. */
  assignee: string;
  channel: string;
  /** Waits for an answer at least so many seconds; 0: does not matter. */
  waits: number;
  unread: boolean;
  /** Of the people: a part of their name or address. */
  words: string;
  /** Of what was written, by whomever. */
  said: string;
}

export const NO_FILTERS: Filters = { state: [], assignee: '', channel: '', waits: 0, unread: false, words: '', said: '' };
export const STATES = ['open', 'pending', 'snoozed', 'resolved'] as const;
export const NOBODY = 'nobody';

export interface Names {
  me: string;
  /** The id of who or what is called so; empty when nothing is. */
  person: (text: string) => string;
  channel: (text: string) => string;
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, min: 60, h: 3600, d: 86_400 };

export function secondsOf(text: string): number {
  const [, n, unit] = /^>?(\d+)\s*(s|m|min|h|d)?$/.exec(text.trim()) ?? [];
  return n ? Number(n) * (UNITS[unit ?? 'm'] as number) : 0;
}
export const spanText = (seconds: number): string =>
  seconds % 86_400 === 0 ? `${seconds / 86_400}d` : seconds % 3600 === 0 ? `${seconds / 3600}h` : seconds % 60 === 0 ? `${seconds / 60}m` : `${seconds}s`;

/** Takes `name:value` parts out of what was typed; the rest stays words. What nothing is called stays words, too. */
export function readText(text: string, base: Filters, names: Names): Filters {
  const out = { ...base, state: [...base.state] };
  const words: string[] = [];
  for (const part of text.match(/(?:[^\s"]|"[^"]*")+/g) ?? []) {
    const at = part.indexOf(':');
    const key = at > 0 ? part.slice(0, at).toLowerCase() : '';
    const value = part.slice(at + 1).replaceAll('"', '');
    if ((key === 'state' || key === 'is') && (STATES as readonly string[]).includes(value)) {
      if (!out.state.includes(value)) out.state.push(value);
    } else if ((key === 'is' || key === 'state') && value === 'unread') out.unread = true;
    else if (key === 'has' || key === 'assignee' || key === 'of') {
      const id = value === 'me' ? names.me : value === NOBODY ? NOBODY : names.person(value);
      if (id) out.assignee = id;
      else words.push(part);
    } else if (key === 'channel' || key === 'by') {
      const id = names.channel(value);
      if (id) out.channel = id;
      else words.push(part);
    } else if (key === 'said' && value) out.said = value;
    else if (key === 'waits' && secondsOf(value)) out.waits = secondsOf(value);
    else words.push(part);
  }
  out.words = words.join(' ');
  return out;
}

export function readAddress(query: URLSearchParams): Filters {
  const assignee = query.get('assignee[eq]');
  return {
    state: (query.get('state[in]') ?? '').split(',').filter((one) => (STATES as readonly string[]).includes(one)),
    assignee: assignee === null ? '' : assignee || NOBODY, channel: query.get('channel_id[eq]') ?? '',
    waits: secondsOf(query.get('waits') ?? ''), unread: query.get('unread[gt]') === '0', words: query.get('q') ?? '', said: query.get('said') ?? ''
  };
}

export function writeAddress(filters: Filters): URLSearchParams {
  const out = new URLSearchParams();
  if (filters.state.length) out.set('state[in]', filters.state.join(','));
  if (filters.assignee) out.set('assignee[eq]', filters.assignee === NOBODY ? '' : filters.assignee);
  if (filters.channel) out.set('channel_id[eq]', filters.channel);
  if (filters.waits) out.set('waits', spanText(filters.waits));
  if (filters.unread) out.set('unread[gt]', '0');
  if (filters.words) out.set('q', filters.words);
  if (filters.said) out.set('said', filters.said);
  return out;
}

/** What a search found beforehand: the contacts by `words`, the conversations by `said`; null where none was asked for. */
export interface FoundIds {
  readonly people: readonly string[] | null;
  readonly talks: readonly string[] | null;
}

/** What the API is asked for. */
export function forApi(filters: Filters, { people, talks }: FoundIds, nowMs: number): Query {
  return {
    'state[in]': filters.state.join(','), 'channel_id[eq]': filters.channel,
    ...(filters.assignee ? { 'assignee[eq]': { exactly: filters.assignee === NOBODY ? '' : filters.assignee } } : {}),
    ...(filters.waits ? { 'waiting_since_us[gt]': 0, 'waiting_since_us[lte]': (nowMs - filters.waits * 1000) * 1000 } : {}),
    ...(filters.unread ? { 'unread[gt]': 0 } : {}), ...(people ? { 'contact_id[in]': people.join(',') } : {}), ...(talks ? { 'id[in]': talks.join(',') } : {})
  };
}

export function kindOf(filters: Filters, { people, talks }: FoundIds, nowMs: number): Kind<Conversation> {
  const states = new Set(filters.state);
  const wanted = people ? new Set(people) : null;
  const held = talks ? new Set(talks) : null;
  return {
    place: (talk) => talk.last_message_us,
    matches: (talk) =>
      !talk.merged_into && (states.size === 0 || states.has(talk.state)) && (!filters.channel || talk.channel_id === filters.channel) &&
      (!filters.assignee || talk.assignee === (filters.assignee === NOBODY ? '' : filters.assignee)) &&
      (!filters.waits || (talk.waiting_since_us > 0 && talk.waiting_since_us <= (nowMs - filters.waits * 1000) * 1000)) &&
      (!filters.unread || talk.unread > 0) && (!wanted || wanted.has(talk.contact_id)) && (!held || held.has(talk.id))
  };
}

export interface Chip {
  label: string;
  value: string;
  without: Filters;
}

export function chips(filters: Filters, say: { person: (id: string) => string; channel: (id: string) => string; state: (name: string) => string }): Chip[] {
  const out: Chip[] = filters.state.map((state) => ({ label: 'State', value: say.state(state), without: { ...filters, state: filters.state.filter((one) => one !== state) } }));
  if (filters.assignee) out.push({ label: 'With', value: filters.assignee === NOBODY ? 'nobody' : say.person(filters.assignee), without: { ...filters, assignee: '' } });
  if (filters.channel) out.push({ label: 'By', value: say.channel(filters.channel), without: { ...filters, channel: '' } });
  if (filters.waits) out.push({ label: 'Waits at least', value: spanText(filters.waits), without: { ...filters, waits: 0 } });
  if (filters.unread) out.push({ label: 'Unread', value: 'only', without: { ...filters, unread: false } });
  if (filters.words) out.push({ label: 'Person', value: filters.words, without: { ...filters, words: '' } });
  if (filters.said) out.push({ label: 'Said', value: filters.said, without: { ...filters, said: '' } });
  return out;
}
