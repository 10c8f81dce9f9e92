/** Actions and conditions while they are written: all members at hand, whatever is chosen. Pure. */
import { ATTRIBUTE, OPERATORS, operatorsOf, secondsOf, secondsWords, takesValue, typedOf, valueOf, type Action, type Condition, type Do } from './words';

export interface ActionDraft {
  /** Keeps a row's fields together while rows move. */
  key: number;
  do: Do;
  to: string;
  add: string;
  remove: string;
  value: string;
  name: string;
  template: string;
  text: string;
  span: string;
}
export interface ConditionDraft {
  key: number;
  field: string;
  attribute: string;
  op: Condition['op'];
  typed: string;
}
/** Of a person, by a name of the tenant's. */
export const OWN = 'attribute';

let keys = 0;
export const newAction = (): ActionDraft => ({ key: ++keys, do: 'label', to: '', add: '', remove: '', value: '1', name: '', template: '', text: '', span: '1 h' });
export const newCondition = (): ConditionDraft => ({ key: ++keys, field: 'text', attribute: '', op: 'contains', typed: '' });

export function draftOfAction(one: Action): ActionDraft {
  const draft = { ...newAction(), do: one.do };
  switch (one.do) {
    case 'assign': return { ...draft, to: one.to ?? '' };
    case 'label': return { ...draft, add: (one.add ?? []).join(', '), remove: (one.remove ?? []).join(', ') };
    case 'priority': return { ...draft, value: String(one.value) };
    case 'queue': return { ...draft, name: one.name };
    case 'emit': return { ...draft, name: one.name };
    case 'reply': return { ...draft, template: one.template_id ?? '', text: one.text ?? '' };
    case 'note': return { ...draft, text: one.text };
    case 'snooze': return { ...draft, span: secondsWords(one.for_s) };
    default: return draft;
  }
}
const list = (text: string): string[] => [...new Set(text.split(',').map((one) => one.trim()).filter(Boolean))];

/** The action, or what is missing for it. */
export function actionOf(draft: ActionDraft): Action | string {
  switch (draft.do) {
    case 'assign': return { do: 'assign', to: draft.to };
    case 'label': {
      const [add, remove] = [list(draft.add), list(draft.remove)];
      return add.length || remove.length ? { do: 'label', add, remove } : 'Name a label to put on or to take away';
    }
    case 'priority': return { do: 'priority', value: Number(draft.value) };
    case 'queue': return draft.name.trim() ? { do: 'queue', name: draft.name.trim() } : 'Name the queue';
    case 'emit': return draft.name.trim() ? { do: 'emit', name: draft.name.trim() } : 'Name what webhooks are told';
    case 'reply': return draft.template ? { do: 'reply', template_id: draft.template, text: '' } : draft.text.trim() ? { do: 'reply', template_id: '', text: draft.text } : 'Choose a template or write the answer';
    case 'note': return draft.text.trim() ? { do: 'note', text: draft.text } : 'Write the note';
    case 'snooze': {
      const for_s = secondsOf(draft.span);
      return for_s ? { do: 'snooze', for_s } : 'Say for how long, such as 2 h';
    }
    case 'resolve': return { do: 'resolve' };
    case 'reopen': return { do: 'reopen' };
  }
}

export function draftOfCondition(one: Condition): ConditionDraft {
  const own = one.field.startsWith(ATTRIBUTE);
  return { ...newCondition(), field: own ? OWN : one.field, attribute: own ? one.field.slice(ATTRIBUTE.length) : '', op: one.op, typed: typedOf(one.value) };
}
export function conditionOf(draft: ConditionDraft): Condition | string {
  const field = draft.field === OWN ? `${ATTRIBUTE}${draft.attribute.trim()}` : draft.field;
  if (field === ATTRIBUTE) return 'Name the member of the person';
  const value = valueOf(field, draft.op, draft.typed);
  if (takesValue(draft.op) && (value === '' || (Array.isArray(value) && !value.length))) return `Say what it ${OPERATORS[draft.op]}`;
  return { field, op: draft.op, value };
}
/** Another field asks in its own way. */
export function withField(draft: ConditionDraft, field: string): ConditionDraft {
  const [first = 'eq'] = operatorsOf(field);
  return { ...draft, field, op: operatorsOf(field).includes(draft.op) ? draft.op : first, typed: '' };
}

/** All of them, or the first thing that is missing, with its place from 1. */
export function allOf<D, T extends object>(drafts: readonly D[], read: (draft: D) => T | string): T[] | string {
  const found: T[] = [];
  for (const [n, draft] of drafts.entries()) {
    const one = read(draft);
    if (typeof one === 'string') return `${n + 1}. ${one}`;
    found.push(one);
  }
  return found;
}
