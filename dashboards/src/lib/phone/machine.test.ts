/** What the agent has in hand. */
import { describe, expect, it } from 'vitest';
import { currentCall, EMPTY_DESK, greeted, heard } from './machine';
import { callViewOf, helloOf, moment, offerOf, parseFrame, wrapUpOf, type Raw } from './protocol';

const call = (id: string, state: string, more: Raw = {}) => callViewOf({ id, leg: `leg-${id}`, state, other: '+442079460018', since: 1_700_000_000, ...more });

describe('the desk', () => {
  it('takes an offer off the table when its call is there, and remembers what was over', () => {
    let desk = heard(EMPTY_DESK, { kind: 'offer', offer: offerOf({ id: 'rsv_1', call_id: 'call_1', caller: '+1' }) });
    desk = heard(desk, { kind: 'offer', offer: offerOf({ id: 'rsv_2', call_id: 'call_2', caller: '+2' }) });
    expect(desk.offers.map((one) => one.id)).toEqual(['rsv_1', 'rsv_2']);
    desk = heard(desk, { kind: 'call', call: call('call_1', 'talking') });
    expect(desk.offers.map((one) => one.id)).toEqual(['rsv_2']);
    desk = heard(desk, { kind: 'offer_ended', offer: 'rsv_2', reason: 'withdrawn' });
    desk = heard(desk, { kind: 'call_ended', call: 'call_1', cause: 'NORMAL_CLEARING' });
    expect(desk.offers).toEqual([]);
    expect(desk.calls).toEqual([]);
    expect(desk.over.map((one) => [one.what, one.id, one.why])).toEqual([['offer', 'rsv_2', 'withdrawn'], ['call', 'call_1', 'NORMAL_CLEARING']]);
  });

  it('knows whom a wrap-up is about when the event names only the reservation', () => {
    let desk = heard(EMPTY_DESK, { kind: 'call', call: call('call_1', 'talking', { other_name: 'Maria' }) });
    desk = heard(desk, { kind: 'call_ended', call: 'call_1', cause: '' });
    desk = heard(desk, { kind: 'wrap_up', wrapUp: wrapUpOf({ offer: 'rsv_1', until: '2026-11-23T08:00:30Z' }) });
    expect(desk.wrapUps[0]).toMatchObject({ offer: 'rsv_1', caller_name: 'Maria', until: Date.parse('2026-11-23T08:00:30Z') });
    desk = heard(desk, { kind: 'wrap_up', wrapUp: wrapUpOf({ offer: 'rsv_1', until: '2026-11-23T08:01:30Z' }) });
    expect(desk.wrapUps).toHaveLength(1);
    expect(desk.wrapUps[0]?.caller_name).toBe('Maria');
  });

  it('believes the lists of a new session, and tells what ended in between', () => {
    const before = heard(EMPTY_DESK, { kind: 'call', call: call('call_1', 'talking') });
    const after = greeted(before, helloOf({ session: 's', n: 4, calls: [{ id: 'call_2', leg: 'x', state: 'held' }], offers: [], wrap_ups: [] }));
    expect(after.calls.map((one) => one.id)).toEqual(['call_2']);
    expect(after.over.map((one) => one.id)).toEqual(['call_1']);
  });

  it('has the keys act on the call with sound, not on the one that is held', () => {
    const desk = { ...EMPTY_DESK, calls: [call('held', 'held'), call('talks', 'talking')] };
    expect(currentCall(desk)?.id).toBe('talks');
    expect(currentCall(EMPTY_DESK)).toBeUndefined();
  });
});

describe('a frame', () => {
  it('is an answer, an event with its number, or an error', () => {
    expect(parseFrame('{"re":"7","ok":true,"sdp":"v=0"}')).toMatchObject({ kind: 'answer', re: '7', ok: true });
    expect(parseFrame('{"re":"7","ok":false,"code":"offer_gone","detail":"too late"}')).toMatchObject({ ok: false, code: 'offer_gone', retryable: false });
    expect(parseFrame('{"n":3,"type":"something_new","x":1}')).toEqual({ kind: 'event', n: 3, told: { kind: 'unknown', name: 'something_new' } });
    expect(() => parseFrame('{"type":"call"}')).toThrow();
    expect(() => parseFrame('no json')).toThrow();
  });

  it('gives a moment in whatever unit', () => {
    const at = Date.parse('2026-11-23T08:00:00Z');
    expect([moment('2026-11-23T08:00:00Z'), moment(at), moment(at * 1000), moment(at / 1000), moment(undefined), moment('')]).toEqual([at, at, at, at, 0, 0]);
  });
});
