/** The keys of a call. */
import { describe, expect, it } from 'vitest';
import { AT_REST, press, SECOND_MS, type Leader } from './keys';

const plain = { ctrl: false, meta: false, alt: false };
const lead = (now: number): Leader => press(AT_REST, { key: '.', ctrl: true, meta: false, alt: false }, now).leader;

describe('the call leader', () => {
  it('makes a letter an order, for a moment, and leaves letters alone otherwise', () => {
    expect(press(AT_REST, { key: 'm', ...plain }, 1000)).toMatchObject({ act: '', ours: false });
    expect(press(lead(1000), { key: 'm', ...plain }, 1500)).toEqual({ leader: AT_REST, act: 'm', ours: true });
    expect(press(lead(1000), { key: 'm', ...plain }, 9000)).toMatchObject({ act: '', ours: false });
    expect(press(lead(1000), { key: 'x', ...plain }, 1500)).toEqual({ leader: AT_REST, act: '', ours: false });
    expect(press(lead(1000), { key: 'Escape', ...plain }, 1500)).toMatchObject({ leader: AT_REST, ours: true });
  });

  it('ends a call with the second press only, and not by a key that is held down', () => {
    const first = press(lead(1000), { key: 'e', ...plain }, 1200);
    expect(first).toMatchObject({ act: '', ours: true, leader: { armed: true } });
    expect(press(first.leader, { key: 'e', ...plain, repeat: true }, 1300)).toMatchObject({ act: '', ours: true });
    expect(press(first.leader, { key: 'e', ...plain }, 1300)).toMatchObject({ act: 'e' });
    expect(press(first.leader, { key: 'e', ...plain }, 1200 + SECOND_MS)).toMatchObject({ act: '', ours: false });
    expect(press(first.leader, { key: 'h', ...plain }, 1300)).toMatchObject({ act: 'h' });
  });

  it('is the command key on a Mac, and does not mind the modifier itself', () => {
    expect(press(AT_REST, { key: '.', ctrl: false, meta: true, alt: false }, 0).ours).toBe(true);
    expect(press(lead(1000), { key: 'Control', ...plain, ctrl: true }, 1100)).toMatchObject({ ours: false, leader: lead(1000) });
  });
});
