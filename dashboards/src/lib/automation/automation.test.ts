import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { actionOf, allOf, conditionOf, draftOfAction, draftOfCondition, newAction, newCondition, OWN, withField } from './drafts';
import { DAYS, spansOf, spansWords, weekOf, weekWords } from './hours';
import { actionWords, conditionWords, operatorsOf, ruleWords, secondsOf, secondsWords, targetWords, typedOf, valueOf, FIELDS, type Action, type Condition } from './words';

const nobody = (): string => '';

describe('business hours', () => {
  it('are read as people write them', () => {
    expect(spansOf('9-17')).toEqual([{ start: '09:00', end: '17:00' }]);
    expect(spansOf('09:00–12:30, 13:30 to 24:00')).toEqual([{ start: '09:00', end: '12:30' }, { start: '13:30', end: '24:00' }]);
    expect(spansOf('closed')).toEqual([]);
    expect(spansOf('')).toEqual([]);
  });
  it('say what is wrong with them', () => {
    expect(spansOf('17-9')).toContain('ends before it begins');
    expect(spansOf('9-12, 11-13')).toContain('begins before the one before it ends');
    for (const wrong of ['all day', '25-26', '9', '9-24:30', '9-10-11']) expect(spansOf(wrong), wrong).toContain('no span of hours');
  });
  it('read back what they say', () => {
    fc.assert(fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 96 }), { maxLength: 8 }), (quarters) => {
      const clock = (n: number): string => `${String(Math.floor(n / 4)).padStart(2, '0')}:${String((n % 4) * 15).padStart(2, '0')}`;
      const sorted = quarters.sort((a, b) => a - b);
      const spans = Array.from({ length: Math.floor(sorted.length / 2) }, (_, n) => ({ start: clock(sorted[2 * n] as number), end: clock(sorted[2 * n + 1] as number) }));
      expect(spansOf(spansWords(spans))).toEqual(spans);
    }));
  });
  it('are said once for days that are alike', () => {
    const weekly = [0, 1, 2, 3, 4].map((day) => ({ day, start: '09:00', end: '17:00' })).concat([{ day: 5, start: '10:00', end: '14:00' }]);
    expect(weekWords(weekly)).toBe('Mon–Fri 09:00–17:00; Sat 10:00–14:00');
    expect(weekWords([])).toBe('Never open');
    expect(weekOf(weekly)).toHaveLength(DAYS.length);
  });
});

describe('times of a promise', () => {
  it('are read with and without a unit', () => {
    expect([secondsOf('90'), secondsOf('1:30'), secondsOf('2 h'), secondsOf('1 d 2 h'), secondsOf('45 s'), secondsOf('')]).toEqual([5400, 5400, 7200, 93_600, 45, 0]);
    expect([secondsOf('soon'), secondsOf('1 week'), secondsOf('-3')]).toEqual([null, null, null]);
  });
  it('read back what they say', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 31_622_400 }), (s) => void expect(secondsOf(secondsWords(s))).toBe(s)));
  });
  it('are in words', () => expect(targetWords({ first_reply_s: 3600, next_reply_s: 0, resolution_s: 172_800 })).toBe('first answer within 1 h, resolved within 2 d'));
});

describe('rules in words', () => {
  it('are a sentence', () => {
    const rule = { on: ['message.received'], all: [{ field: 'text', op: 'contains', value: 'refund' }, { field: 'now', op: 'outside_hours', value: 'sch_1' }], any: [], actions: [{ do: 'label', add: ['money'], remove: [] }, { do: 'assign', to: 'usr_1' }] } as never;
    const names = (id: string): string => ({ sch_1: 'Office', usr_1: 'Sam' })[id] ?? '';
    expect(ruleWords(rule, names)).toEqual({ when: 'When somebody writes, and the message contains “refund” and the time is outside “Office”', then: 'put on money, then give it to Sam' });
  });
  it('know every kind of action', () => {
    const all: Action[] = [{ do: 'assign', to: '' }, { do: 'label', add: [], remove: ['x'] }, { do: 'priority', value: 2 }, { do: 'queue', name: 'Q' }, { do: 'reply', template_id: '', text: 'a'.repeat(60) }, { do: 'note', text: 'n' }, { do: 'snooze', for_s: 3600 }, { do: 'resolve' }, { do: 'reopen' }, { do: 'emit', name: 'e' }];
    expect(all.map((one) => actionWords(one, nobody))).toEqual(['give it to nobody', 'take away x', 'priority 2', 'into the queue Q', `answer “${'a'.repeat(39)}…”`, 'leave the note “n”', 'put it away for 1 h', 'resolve it', 'open it again', 'tell webhooks “e”']);
  });
  it('ask in the kind of value that a field has', () => {
    expect(valueOf('priority', 'gte', '2')).toBe(2);
    expect(valueOf('text', 'eq', '2')).toBe('2');
    expect(valueOf('labels', 'in', 'a, b,')).toEqual(['a', 'b']);
    expect(valueOf('waiting', 'eq', 'no')).toBe(false);
    expect(valueOf('subject', 'missing', 'x')).toBeNull();
    expect(typedOf(valueOf('labels', 'in', 'a, b'))).toBe('a, b');
    expect(conditionWords({ field: 'first_reply', op: 'eq', value: false }, nobody)).toBe('not so: it was answered');
    for (const field of Object.keys(FIELDS)) expect(operatorsOf(field).length, field).toBeGreaterThan(0);
  });
});

describe('what is written of rules', () => {
  const actions: Action[] = [{ do: 'assign', to: 'usr_1' }, { do: 'label', add: ['a', 'b'], remove: ['c'] }, { do: 'priority', value: -2 }, { do: 'queue', name: 'Q' }, { do: 'reply', template_id: 'tpl_1', text: '' }, { do: 'reply', template_id: '', text: 'Hi' }, { do: 'note', text: 'n' }, { do: 'snooze', for_s: 5400 }, { do: 'resolve' }, { do: 'reopen' }, { do: 'emit', name: 'e' }];
  it('is the action that was read', () => expect(allOf(actions.map(draftOfAction), actionOf)).toEqual(actions));
  it('is the condition that was read', () => {
    const all: Condition[] = [{ field: 'text', op: 'contains', value: 'x' }, { field: 'contact.attributes.vip', op: 'exists', value: null }, { field: 'labels', op: 'in', value: ['a', 'b'] }, { field: 'unread', op: 'gt', value: 3 }, { field: 'waiting', op: 'eq', value: true }, { field: 'now', op: 'within_hours', value: 'sch_1' }];
    expect(allOf(all.map(draftOfCondition), conditionOf)).toEqual(all);
  });
  it('says which row lacks what', () => {
    expect(allOf([newAction()], actionOf)).toBe('1. Name a label to put on or to take away');
    expect(allOf([{ ...newCondition(), typed: 'x' }, newCondition()], conditionOf)).toBe('2. Say what it contains');
    expect(conditionOf(withField(newCondition(), OWN))).toBe('Name the member of the person');
  });
  it('keeps no comparison that another field cannot make', () => expect(withField(newCondition(), 'priority').op).toBe('eq'));
});
