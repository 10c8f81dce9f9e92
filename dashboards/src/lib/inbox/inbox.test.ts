/** What the inbox decides without a browser: costs, windows, tabs, drafts. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { address } from '$lib/api/client';
import type { Conversation, Message } from '$lib/api/types';
import { nameOfContact, nameOfSender } from '$lib/contacts/names';
import { contentOf, messageState, windowLeft, windowWords } from '$lib/words/messages';
import { countSegments } from './segments';
import { snoozeChoices, TABS, viewKind, viewQuery } from './views';

interface Example {
  text: string;
  encoding: string;
  units: number;
  segments: number;
}

describe('the composer', () => {
  it('counts segments exactly as the platform that sends them', () => {
    const examples = JSON.parse(readFileSync(new URL('../../../../tests/data/segments.json', import.meta.url), 'utf8')) as Example[];
    expect(examples.length).toBeGreaterThan(40);
    for (const { text, encoding, units, segments } of examples) {
      const { encoding: e, units: u, segments: s } = countSegments(text);
      expect([text, e, u, s]).toEqual([text, encoding, units, segments]);
    }
  });

  it('says which characters make a text dear, and how much room is left', () => {
    expect(countSegments('He said “yes” – twice').foreign).toEqual(['“', '”', '–']);
    expect(countSegments('a'.repeat(155)).left).toBe(5);
    expect(countSegments('a'.repeat(161)).left).toBe(145);
    expect(countSegments('').segments).toBe(1);
  });

  it('tells how long free text is still allowed, and only where a channel has a window', () => {
    const last = 1_000_000_000_000;
    expect(windowLeft(0, last * 1000, last)).toBeNull();
    expect(windowLeft(86_400, last * 1000, last + 3_600_000)).toBe(23 * 3_600_000);
    expect(windowLeft(86_400, last * 1000, last + 90_000_000)).toBe(0);
    expect(windowWords(23 * 3_600_000)).toBe('Free text for another 23 h');
    expect(windowWords(0)).toBe('Only templates until they write again');
  });
});

describe('the tabs', () => {
  const talk = (change: Partial<Conversation>): Conversation => ({ id: 'conv_1', state: 'open', assignee: '', channel_id: 'chn_1', merged_into: null, last_message_us: 1, version: 1, ...change }) as Conversation;
  const all = [
    talk({}), talk({ assignee: 'usr_me' }), talk({ assignee: 'usr_other', state: 'pending' }), talk({ state: 'snoozed', assignee: 'usr_me' }),
    talk({ state: 'resolved' }), talk({ channel_id: 'chn_2' }), talk({ merged_into: 'conv_9' })
  ];

  it('show what the API is asked for, and nothing else', () => {
    const shown = Object.fromEntries(TABS.map((tab) => [tab, all.filter(viewKind({ tab, channel: '' }, 'usr_me').matches).length]));
    expect(shown).toEqual({ mine: 1, unassigned: 2, all: 4, snoozed: 1, resolved: 1 });
    expect(all.filter(viewKind({ tab: 'unassigned', channel: 'chn_2' }, 'usr_me').matches)).toHaveLength(1);
    expect(address('/x', viewQuery({ tab: 'unassigned', channel: '' }, 'usr_me'))).toBe('/x?state%5Bin%5D=open%2Cpending&assignee%5Beq%5D=');
    expect(address('/x', viewQuery({ tab: 'resolved', channel: 'chn_2' }, 'usr_me'))).toBe('/x?channel_id%5Beq%5D=chn_2&state%5Beq%5D=resolved');
  });

  it('offer moments to put away until that lie ahead, in their order', () => {
    for (const now of [new Date(2026, 10, 23, 9), new Date(2026, 10, 22, 23, 30), new Date(2026, 11, 31, 17)]) {
      const moments = snoozeChoices(now).map((one) => one.at.getTime());
      expect(Math.min(...moments)).toBeGreaterThan(now.getTime());
      expect(moments).toEqual([...moments].sort((a, b) => a - b));
    }
  });
});

describe('words of messages', () => {
  it('never show a state as a code', () => {
    for (const state of ['received', 'noted', 'queued', 'sent', 'delivered', 'read', 'failed', 'undelivered', 'unknown', 'cancelled']) {
      expect(messageState({ state, send_at_us: 0 }, 0).word).not.toBe(state);
    }
    expect(messageState({ state: 'queued', send_at_us: 5_000_000 }, 1000).word).toBe('Goes out later');
    expect(messageState({ state: 'queued', send_at_us: 5_000_000 }, 9000).word).toBe('Waits to go out');
  });

  it('name a person by their name, else by the address that they wrote from', () => {
    expect(nameOfContact({ name: 'Kim', identities: [] })).toBe('Kim');
    expect(nameOfContact({ name: '', identities: [{ kind: 'phone', value: '+442079460018' }] })).toBe('+44 20 7946 0018');
    const from = (sender: object): Message => ({ direction: 'in', sender }) as unknown as Message;
    expect(nameOfSender([from({ kind: 'email', value: 'kim@customer.example' })])).toBe('kim@customer.example');
    expect(nameOfSender([])).toBe('');
  });

  it('give every kind of content the members that a page asks for', () => {
    const location = contentOf({ content: { type: 'location', latitude: 1, longitude: 2 } });
    expect([location.type, location.text, location.options, location.latitude]).toEqual(['location', '', [], 1]);
  });
});
