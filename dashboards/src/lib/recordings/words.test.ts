import { describe, expect, it } from 'vitest';
import { concerns, kept, masks, outline, reasonOf, type Policy } from './words';

const POLICY: Policy = {
  id: 'rpo_1', name: 'All', position: 1, action: 'record', state: 'on', directions: [], prefixes: [], queues: [], agents: [], share: 100,
  moment: 'answered', announcement: '', stereo: true, pause_allowed: true, retention_days: 0, hold: false, version: 1, created_us: 1, updated_us: 1
};

describe('policies in words', () => {
  it('say whom they concern', () => {
    expect(concerns(POLICY)).toBe('every call');
    expect(concerns({ ...POLICY, share: 20 })).toBe('20 % of every call');
    expect(concerns({ ...POLICY, directions: ['inbound'], prefixes: ['49'], queues: ['que_1', 'que_2'] })).toBe('inbound, numbers +49…, 2 queues');
  });
  it('say how long it is kept', () => {
    expect(kept(POLICY)).toBe('until it is erased');
    expect(kept({ ...POLICY, retention_days: 1 })).toBe('1 day');
    expect(kept({ ...POLICY, retention_days: 30, hold: true })).toBe('until its hold is lifted');
  });
  it('show a reason that they do not know as it is', () => expect(reasonOf('odd_thing')).toBe('odd_thing'));
});

describe('a waveform', () => {
  it('is drawn around the middle of its lane, silence as a thin line', () => {
    expect(outline([0, 255], 10, 0, 20)).toBe('M2.5 9.5V10.5M7.5 0.0V20.0');
    expect(outline([], 10, 0, 20)).toBe('');
  });
  it('knows where it was masked, also to its end', () => {
    const one = { started_us: 1_000_000, stopped_us: 11_000_000, duration_ms: 10_000, masked: [[3_000_000, 5_000_000], [9_000_000, 0]] as [number, number][] };
    expect(masks(one)).toEqual([{ from: 0.2, width: 0.2 }, { from: 0.8, width: expect.closeTo(0.2, 6) as number }]);
    expect(masks({ ...one, duration_ms: 0 })).toEqual([]);
  });
});
