import { describe, expect, it } from 'vitest';
import { TYPING_MS, heardOf, pruned, type Typing } from './signs';
import { AGAIN_MS, IDLE_MS, Writing } from './writing';
import { parseFrame } from './frames';

const types = (user: string, typing = true, conversation = 'conv_1'): { what: string; conversation: string; user: string; typing: boolean } => ({ what: 'typing', conversation, user, typing });

describe('who types', () => {
  it('is read from a frame of the stream', () => {
    expect(parseFrame('{"type":"live","what":"typing","conversation_id":"conv_1","user_id":"usr_2","typing":true}')).toEqual({ kind: 'moment', moment: types('usr_2') });
  });
  it('has the claim while the sign holds, whoever types besides', () => {
    let now: Typing = heardOf(new Map(), types('ada'), 0);
    now = heardOf(now, types('ben'), 100);
    expect(now.get('conv_1')?.user).toBe('ada');
    expect(heardOf(now, types('ben', false), 200)).toBe(now);
    expect(heardOf(now, types('ben'), TYPING_MS).get('conv_1')?.user).toBe('ben');
    expect(heardOf(now, types('ada', false), 200).size).toBe(0);
  });
  it('is forgotten when nothing more is heard', () => {
    const now = heardOf(heardOf(new Map(), types('ada'), 0), types('ben', true, 'conv_2'), 5000);
    expect(pruned(now, TYPING_MS - 1)).toBe(now);
    expect([...pruned(now, TYPING_MS).keys()]).toEqual(['conv_2']);
  });
});

it('typing is said at once, repeated while keys come, and taken back once', () => {
  let now = 1_000_000;
  let due: { at: number; run: () => void } | null = null;
  const said: [number, boolean][] = [];
  const writing = new Writing((typing) => said.push([now, typing]), { now: () => now, after: (ms, run) => { const mine = { at: now + ms, run }; due = mine; return () => { if (due === mine) due = null; }; } });
  const began = now;
  for (let n = 0; n < 50; n++, now += 200) writing.pressed();
  const last = now - 200;
  expect(said.every(([, typing]) => typing)).toBe(true);
  expect(said.map(([at]) => at - began)).toEqual([0, AGAIN_MS, 2 * AGAIN_MS, 3 * AGAIN_MS]);
  const idle = due as { at: number; run: () => void } | null;
  expect(idle?.at).toBe(last + IDLE_MS);
  now = last + IDLE_MS;
  idle?.run();
  writing.stop();
  expect(said.filter(([, typing]) => !typing)).toEqual([[last + IDLE_MS, false]]);
  writing.pressed();
  expect(said.at(-1)).toEqual([now, true]);
});
