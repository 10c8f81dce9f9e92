/** Rules, promises and macros as people say them. Pure. */
import type { Schemas } from '$lib/api/types';
import type { State } from '$lib/words/states';
import { spanWords } from '$lib/words/time';

export type Rule = Schemas['RuleInfo'];
export type Condition = Schemas['Condition'];
export type Action = Rule['actions'][number];
export type Do = Action['do'];
export type Event = Rule['on'][number];

export const EVENTS: Readonly<Record<Event, string>> = {
  'message.received': 'Somebody writes',
  'conversation.created': 'A conversation begins',
  'message.queued': 'We answer',
  'message.noted': 'A note is left',
  'conversation.assigned': 'Somebody gets it',
  'conversation.transferred': 'It is handed on',
  'conversation.labelled': 'Its labels change',
  'conversation.snoozed': 'It is put away',
  'conversation.resolved': 'It is resolved',
  'conversation.reopened': 'It is opened again',
  'sla.breached': 'A promise is broken'
};

/** What a condition may ask about: its words, and what kind of value it has. */
export const FIELDS: Readonly<Record<string, readonly [words: string, kind: 'text' | 'number' | 'yes' | 'time']>> = {
  text: ['the message', 'text'],
  channel_type: ['the kind of channel', 'text'],
  channel_id: ['the account', 'text'],
  state: ['its state', 'text'],
  labels: ['its labels', 'text'],
  queue: ['its queue', 'text'],
  assignee: ['who has it', 'text'],
  subject: ['the subject', 'text'],
  priority: ['its priority', 'number'],
  unread: ['unread messages', 'number'],
  messages: ['messages in it', 'number'],
  first_reply: ['it was answered', 'yes'],
  waiting: ['somebody waits for an answer', 'yes'],
  automatic: ['an automatic mail', 'yes'],
  now: ['the time', 'time'],
  clock: ['the promise that broke', 'text'],
  event: ['what happened', 'text'],
  direction: ['the direction', 'text'],
  author: ['the author', 'text'],
  'contact.name': ['the person’s name', 'text'],
  'contact.company': ['the person’s company', 'text'],
  'contact.language': ['the person’s language', 'text'],
  'contact.timezone': ['the person’s time zone', 'text']
};
export const ATTRIBUTE = 'contact.attributes.';

export const OPERATORS: Readonly<Record<Condition['op'], string>> = {
  contains: 'contains', not_contains: 'does not contain', eq: 'is', ne: 'is not', in: 'is one of', not_in: 'is none of', starts_with: 'begins with', exists: 'is there', missing: 'is not there',
  gt: 'is more than', gte: 'is at least', lt: 'is less than', lte: 'is at most', within_hours: 'is within', outside_hours: 'is outside'
};
const OF: Readonly<Record<string, readonly Condition['op'][]>> = {
  text: ['contains', 'not_contains', 'eq', 'ne', 'in', 'not_in', 'starts_with', 'exists', 'missing'],
  number: ['eq', 'ne', 'gt', 'gte', 'lt', 'lte'],
  yes: ['eq'],
  time: ['within_hours', 'outside_hours']
};
export const kindOf = (field: string): 'text' | 'number' | 'yes' | 'time' => FIELDS[field]?.[1] ?? 'text';
export const operatorsOf = (field: string): readonly Condition['op'][] => OF[kindOf(field)] ?? [];
export const takesValue = (op: Condition['op']): boolean => op !== 'exists' && op !== 'missing';
const takesList = (op: Condition['op']): boolean => op === 'in' || op === 'not_in';

/** What is typed for a condition, as the API wants it. */
export function valueOf(field: string, op: Condition['op'], typed: string): Condition['value'] {
  if (!takesValue(op)) return null;
  const kind = kindOf(field);
  if (kind === 'yes') return typed !== 'no';
  if (kind === 'number' && /^-?\d+$/.test(typed.trim())) return Number(typed.trim());
  if (takesList(op)) return typed.split(',').map((one) => one.trim()).filter(Boolean);
  return typed.trim();
}
/** And back. */
export const typedOf = (value: Condition['value']): string =>
  value === null || value === undefined ? '' : Array.isArray(value) ? value.join(', ') : value === true ? 'yes' : value === false ? 'no' : String(value);

/** Names for ids, where they are known. */
export type Names = (id: string) => string;

export function conditionWords(one: Condition, names: Names): string {
  const field = FIELDS[one.field]?.[0] ?? (one.field.startsWith(ATTRIBUTE) ? `the person’s ${one.field.slice(ATTRIBUTE.length)}` : one.field);
  if (kindOf(one.field) === 'yes') return one.value === false ? `not so: ${field}` : field;
  const said = typedOf(one.value);
  return [field, OPERATORS[one.op], takesValue(one.op) ? (Array.isArray(one.value) ? said : `“${names(said) || said}”`) : ''].filter(Boolean).join(' ');
}

export const DO: Readonly<Record<Do, string>> = {
  assign: 'Give it to', label: 'Labels', priority: 'Priority', queue: 'Into the queue', reply: 'Answer', note: 'Leave a note', snooze: 'Put it away for', resolve: 'Resolve it', reopen: 'Open it again', emit: 'Tell webhooks'
};

export function actionWords(one: Action, names: Names): string {
  switch (one.do) {
    case 'assign': return one.to ? `give it to ${names(one.to) || one.to}` : 'give it to nobody';
    case 'label': return [one.add?.length ? `put on ${one.add.join(', ')}` : '', one.remove?.length ? `take away ${one.remove.join(', ')}` : ''].filter(Boolean).join(' and ') || 'no label';
    case 'priority': return `priority ${one.value}`;
    case 'queue': return `into the queue ${one.name}`;
    case 'reply': return one.template_id ? `answer with “${names(one.template_id) || one.template_id}”` : `answer “${short(one.text ?? '')}”`;
    case 'note': return `leave the note “${short(one.text)}”`;
    case 'snooze': return `put it away for ${spanWords(one.for_s * 1000)}`;
    case 'resolve': return 'resolve it';
    case 'reopen': return 'open it again';
    case 'emit': return `tell webhooks “${one.name}”`;
  }
}
const short = (text: string): string => ([...text].length > 40 ? `${[...text].slice(0, 39).join('')}…` : text);

/** `When somebody writes and the message contains “refund”: put on money and into the queue Billing`. */
export function ruleWords(rule: Pick<Rule, 'on' | 'all' | 'any' | 'actions'>, names: Names): { when: string; then: string } {
  const when = rule.on.map((one) => low(EVENTS[one])).join(' or ');
  const all = rule.all.map((one) => conditionWords(one, names)).join(' and ');
  const any = rule.any.map((one) => conditionWords(one, names)).join(' or ');
  return { when: [`When ${when}`, all, any && (rule.any.length > 1 ? `(${any})` : any)].filter(Boolean).join(', and '), then: rule.actions.map((one) => actionWords(one, names)).join(', then ') };
}
const low = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);

const OUTCOMES: Readonly<Record<Schemas['RuleRun']['outcome'], State>> = {
  done: { word: 'Done', tone: 'good', help: 'All that it wanted' },
  partly: { word: 'Partly', tone: 'attention', help: 'Some of it could not be done' },
  failed: { word: 'Not done', tone: 'bad', help: 'Nothing of it could be done' },
  limited: { word: 'Held back', tone: 'attention', help: 'Rules had done enough in this conversation within an hour' }
};
export const outcomeWords = (outcome: Schemas['RuleRun']['outcome']): State => OUTCOMES[outcome];

export const CLOCKS: Readonly<Record<Schemas['SlaBreach']['clock'], string>> = { first_reply: 'First answer', next_reply: 'Next answer', resolution: 'Resolved' };

export function targetWords(targets: Schemas['Targets']): string {
  const said = [['first answer', targets.first_reply_s], ['next answer', targets.next_reply_s], ['resolved', targets.resolution_s]] as const;
  return said.filter(([, s]) => s).map(([words, s]) => `${words} within ${spanWords((s ?? 0) * 1000)}`).join(', ') || 'nothing';
}

/** `90`, `1:30`, `2 h`, `1 d`: minutes where no unit stands. Seconds, or null for what is none. */
export function secondsOf(text: string): number | null {
  const said = text.trim().toLowerCase();
  if (!said) return 0;
  const clock = /^(\d+):([0-5]\d)$/.exec(said);
  if (clock) return (Number(clock[1]) * 60 + Number(clock[2])) * 60;
  const parts = [...said.matchAll(/(\d+(?:\.\d+)?)\s*(s|min|m|h|d)?\s*/gy)];
  if (!parts.length || parts.map((one) => one[0]).join('').length !== said.length) return null;
  const size = { s: 1, min: 60, m: 60, h: 3600, d: 86_400 };
  return Math.round(parts.reduce((sum, one) => sum + Number(one[1]) * size[(one[2] ?? 'min') as keyof typeof size], 0));
}
/** And back: the shortest that `secondsOf` reads. */
export function secondsWords(s: number): string {
  if (!s) return '';
  for (const [unit, size] of [['d', 86_400], ['h', 3600], ['min', 60]] as const) if (s % size === 0) return `${s / size} ${unit}`;
  return s > 60 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${s} s`;
}
