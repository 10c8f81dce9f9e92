/** How much of an agent is taken. */
import { describe, expect, it } from 'vitest';
import { loadOf, type Weights } from './load';

const weights: Weights = { call: { attention: 1, audio: 1, slots: 1 }, chat: { attention: 0.34, audio: 0, slots: 1 }, idle_chat: { attention: 0.1, audio: 0, slots: 0.5 }, asleep_after_s: 600 };
const chat = (awaits_us: boolean, quiet_since_us = 0) => ({ class: 'chat', awaits_us, quiet_since_us });

describe('the capacity of an agent', () => {
  it('is taken by a call as a whole, by a chat in part, and less while they are to answer', () => {
    expect(loadOf([{ class: 'call', awaits_us: true, quiet_since_us: 0 }], weights, 0)).toEqual({ attention: 1, audio: 1, slots: 1 });
    expect(loadOf([chat(true), chat(false)], weights, 0)).toEqual({ attention: 0.44000000000000006, audio: 0, slots: 1.5 });
    expect(loadOf([], weights, 0)).toEqual({ attention: 0, audio: 0, slots: 0 });
  });

  it('is free of what has slept for long, and of what has no weight', () => {
    expect(loadOf([chat(false, 1e6), chat(true, 1e6)], weights, 1_000 + 601_000).slots).toBe(1);
    expect(loadOf([{ class: 'fax', awaits_us: true, quiet_since_us: 0 }], weights, 0).slots).toBe(0);
  });
});
