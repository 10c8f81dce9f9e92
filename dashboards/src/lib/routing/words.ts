/** Decisions of the router in words: why a carrier was asked, why another was not. */
import type { Schemas } from '$lib/api/types';
import type { State } from '$lib/words/states';
import { spanWords } from '$lib/words/time';

export type Candidate = Schemas['RouteCandidate'];

const SKIPPED: Readonly<Record<string, string>> = {
  off: 'Switched off', no_account: 'None of its accounts works', cannot: 'Cannot send this kind of message', not_allowed_there: 'Is not used for this prefix',
  tried: 'Was tried for this message before', no_rate: 'Has no price for this number', margin: 'Costs more than the message may', spend_cap: 'Its spending for today is used up',
  plan: 'The route plan says so', limit: 'Sends as many a second as it may', breaker_open: 'Failed too often just now', probing: 'Is being tried out by another message'
};
export const skippedWords = (code: string): string => SKIPPED[code] ?? (code ? code.replaceAll('_', ' ') : '');

const BREAKERS: Readonly<Record<string, State>> = {
  closed: { word: 'Working', tone: 'good', help: 'Takes messages' },
  open: { word: 'Resting', tone: 'bad', help: 'Failed too often; others take its messages until it is tried again' },
  half_open: { word: 'To be tried', tone: 'attention', help: 'The next message decides whether it works again' },
  probing: { word: 'Being tried', tone: 'attention', help: 'One message is on its way to see whether it works again' }
};
export const breakerState = (name: string): State => BREAKERS[name] ?? { word: name, tone: 'attention', help: name };

export const KINDS: Readonly<Record<string, string>> = { sms: 'SMS', voice: 'Voice', email: 'Mail', chat: 'Chat' };

/** Money that may be a fraction of a cent; `EUR 0.0523`. */
export function money(value: number | string, currency: string): string {
  const n = Number(value);
  if (!Number.isFinite(n)) return '–';
  const digits = n !== 0 && Math.abs(n) < 1 ? 4 : 2;
  return `${n.toFixed(digits)} ${currency}`.trim();
}

/** `97.3 %`, and never 100 % for what is a little less. */
export function share(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  const percent = value * 100;
  return `${percent < 100 && percent > 99.9 ? '99.9' : percent.toFixed(percent === 0 || percent === 100 ? 0 : 1)} %`;
}

export const delay = (seconds: number | null | undefined): string => (seconds === null || seconds === undefined ? '–' : spanWords(seconds * 1000));

/** Why the first was chosen, in one sentence. */
export function because(order: readonly Candidate[], name: (id: string) => string, currency: string): string {
  const [first, second] = order;
  if (!first) return 'No carrier can take it now.';
  if (!second) return `${name(first.carrier_id)} is the only one that can take it.`;
  const by: string[] = [];
  if ((first.cost ?? 0) < (second.cost ?? 0)) by.push(`costs ${money((second.cost ?? 0) - (first.cost ?? 0), currency)} less`);
  if ((first.p ?? 0) > (second.p ?? 0)) by.push(`arrives in ${share(first.p)} instead of ${share(second.p)}`);
  if ((first.tau_s ?? 0) < (second.tau_s ?? 0)) by.push('loses less time when it fails');
  return by.length ? `${name(first.carrier_id)} before ${name(second.carrier_id)}: it ${by.join(' and ')}.` : `${name(first.carrier_id)} has a higher priority than ${name(second.carrier_id)}.`;
}
