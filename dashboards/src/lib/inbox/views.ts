/** The tabs of the inbox: what each asks the API for, and which of the conversations at hand belong to it. Pure. */
import type { Query } from '$lib/api/client';
import type { Conversation } from '$lib/api/types';
import type { Kind } from '$lib/live/listed';

export const TABS = ['mine', 'unassigned', 'all', 'snoozed', 'resolved'] as const;
export type Tab = (typeof TABS)[number];
export const TAB_WORDS: Readonly<Record<Tab, string>> = { mine: 'Mine', unassigned: 'Unassigned', all: 'All', snoozed: 'Snoozed', resolved: 'Resolved' };

export interface View {
  tab: Tab;
  /** The account whose conversations are wanted; empty for all. */
  channel: string;
}

const ACTIVE = ['open', 'pending'];

export function viewQuery(view: View, me: string): Query {
  const query: Query = view.channel ? { 'channel_id[eq]': view.channel } : {};
  if (view.tab === 'snoozed' || view.tab === 'resolved') return { ...query, 'state[eq]': view.tab };
  query['state[in]'] = ACTIVE.join(',');
  if (view.tab === 'mine') query['assignee[eq]'] = { exactly: me };
  if (view.tab === 'unassigned') query['assignee[eq]'] = { exactly: '' };
  return query;
}

export function viewKind(view: View, me: string): Kind<Conversation> {
  const wanted = view.tab === 'snoozed' || view.tab === 'resolved' ? [view.tab] : ACTIVE;
  return {
    place: (talk) => talk.last_message_us,
    matches: (talk) =>
      !talk.merged_into && wanted.includes(talk.state) && (!view.channel || talk.channel_id === view.channel) &&
      (view.tab === 'mine' ? talk.assignee === me : view.tab === 'unassigned' ? talk.assignee === '' : true)
  };
}

export const EMPTY_WORDS: Readonly<Record<Tab, readonly [string, string]>> = {
  mine: ['Nothing waits for you', 'Take a conversation from Unassigned, or press “a” on one.'],
  unassigned: ['Everything has somebody', 'A conversation appears here when somebody writes and nobody has it yet.'],
  all: ['No open conversation', 'A conversation appears here with the first message that comes in through a channel.'],
  snoozed: ['Nothing is put away', 'A snoozed conversation comes back by itself, or when they write.'],
  resolved: ['Nothing is resolved yet', 'What you resolve stays here to be looked up and opened again.']
};

/** Moments to put a conversation away until, in the person's own time. */
export function snoozeChoices(now: Date): { words: string; at: Date }[] {
  const at = (days: number, hour: number): Date => new Date(now.getFullYear(), now.getMonth(), now.getDate() + days, hour);
  const toMonday = ((8 - now.getDay()) % 7) || 7;
  const found = [{ words: 'In an hour', at: new Date(now.getTime() + 3_600_000) }];
  if (now.getHours() < 16) found.push({ words: 'This evening', at: at(0, 18) });
  found.push({ words: 'Tomorrow morning', at: at(1, 9) });
  if (toMonday > 1 && toMonday < 7) found.push({ words: 'Monday morning', at: at(toMonday, 9) });
  found.push({ words: 'In a week', at: at(7, 9) });
  return found;
}
