/** An agent's day. */
import { describe, expect, it } from 'vitest';
import { timesOf } from './day';

describe('the states of a day', () => {
  it('are added up from midnight until now, and what was before midnight counts from then on', () => {
    const at = (ms: number, state: string, reason = '') => ({ at_us: ms * 1000, state, reason });
    const spent = timesOf([at(9_000, 'ready'), at(7_000, 'not_ready', 'lunch'), at(4_000, 'ready'), at(3_500, 'offline'), at(100, 'not_ready', 'signed_in')], 1_000, 10_000);
    expect(spent).toEqual([
      { state: 'ready', reason: '', ms: 4_000, share: 4_000 / 8_500 },
      { state: 'not_ready', reason: 'signed_in', ms: 2_500, share: 2_500 / 8_500 },
      { state: 'not_ready', reason: 'lunch', ms: 2_000, share: 2_000 / 8_500 }
    ]);
    expect(timesOf([], 0, 1_000)).toEqual([]);
  });
});
