/** Who hears whom, in a sentence. */
import { describe, expect, it } from 'vitest';
import { callViewOf } from '$lib/phone/protocol';
import { hearing } from './calls';

const call = (state: string, more = {}) => callViewOf({ id: 'c', leg: 'l', state, other: '+1', other_name: 'Maria', ...more });

describe('who hears whom', () => {
  it('is said for every state a call can be in', () => {
    expect(hearing(call('talking'), false)).toBe('You hear each other.');
    expect(hearing(call('talking'), true)).toBe('You are muted: you hear Maria, nobody hears you.');
    expect(hearing(call('held'), false)).toBe('Maria waits and hears music. Nobody hears you.');
    expect(hearing(call('held', { transfer: { to: '12', state: 'ringing' } }), false, 'Ben')).toBe('Maria waits and hears music, while Ben is rung.');
    expect(hearing(call('consulting', { transfer: { to: '12', state: 'talking' } }), false, 'Ben')).toBe('Maria waits and hears music, while you talk with Ben.');
    expect(hearing(call('held', { other_name: '' }), false)).toBe('They wait and hear music. Nobody hears you.');
  });
});
