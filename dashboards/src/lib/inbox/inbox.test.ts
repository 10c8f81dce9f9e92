/** What the inbox decides without a browser: costs, windows, tabs, drafts. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { address } from '$lib/api/client';
import type { Conversation, Message } from '$lib/api/types';
import { nameOfContact, nameOfSender } from '$lib/contacts/names';
import { contentOf, messageState, windowLeft, windowWords } from '$lib/words/messages';
import { filledFrom, labelOf, settingsFrom, settingsOf, wrongWith } from '$lib/channels/schema';
import { chips, forApi, kindOf, NO_FILTERS, readAddress, readText, writeAddress } from './oversight';
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
    for (const now of [new Date(2026, 10, 23, 9), new Date(2026, 10, 23, 4), new Date(2026, 10, 21, 12), new Date(2026, 10, 22, 23, 30), new Date(2026, 11, 31, 17)]) {
      const moments = snoozeChoices(now).map((one) => one.at.getTime());
      expect(Math.min(...moments)).toBeGreaterThan(now.getTime());
      expect(moments).toEqual([...new Set(moments)].sort((a, b) => a - b));
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

describe('filters of all conversations', () => {
  const names = { me: 'usr_me', person: (text: string) => (text === 'sam' ? 'usr_sam' : ''), channel: (text: string) => (text === 'Twilio support' ? 'chn_1' : '') };

  it('are text, chips and address at once', () => {
    const found = readText('state:open is:unread has:nobody by:"Twilio support" waits:2h said:"my lamp" kim lind', NO_FILTERS, names);
    expect(found).toEqual({ state: ['open'], assignee: 'nobody', channel: 'chn_1', waits: 7200, unread: true, words: 'kim lind', said: 'my lamp' });
    expect(readAddress(writeAddress(found))).toEqual(found);
    const shown = chips(found, { person: (id) => id, channel: (id) => id, state: (name) => name });
    expect(shown.map(({ label, value }) => `${label} ${value}`)).toEqual(['State open', 'With nobody', 'By chn_1', 'Waits at least 2h', 'Unread only', 'Person kim lind', 'Said my lamp']);
    expect(shown.reduce((left, chip) => ({ ...left, ...Object.fromEntries(Object.entries(chip.without).filter(([key, value]) => value !== found[key as keyof typeof found])) }), found)).toEqual(NO_FILTERS);
  });

  it('never swallow a word that means nothing', () => {
    expect(readText('has:nobodyknows state:wrong order:4711', NO_FILTERS, names).words).toBe('has:nobodyknows state:wrong order:4711');
    expect(readText('has:me has:sam', NO_FILTERS, names).assignee).toBe('usr_sam');
  });

  it('ask the API for the same that they match', () => {
    const now = 2_000_000_000_000;
    const filters = readText('waits:30m state:open', NO_FILTERS, names);
    expect(address('/x', forApi(filters, { people: ['ctc_1', 'ctc_2'], talks: null }, now))).toBe(
      '/x?state%5Bin%5D=open&waiting_since_us%5Bgt%5D=0&waiting_since_us%5Blte%5D=1999998200000000&contact_id%5Bin%5D=ctc_1%2Cctc_2'
    );
    const talk = (change: Partial<Conversation>): Conversation => ({ id: 'c', state: 'open', contact_id: 'ctc_1', waiting_since_us: 1, merged_into: null, ...change }) as Conversation;
    const { matches } = kindOf(filters, { people: ['ctc_1', 'ctc_2'], talks: null }, now);
    expect(address('/x', forApi({ ...NO_FILTERS, said: 'lamp' }, { people: null, talks: ['conv_1'] }, now))).toBe('/x?id%5Bin%5D=conv_1');
    expect([talk({}), talk({ waiting_since_us: 0 }), talk({ waiting_since_us: now * 1000 }), talk({ contact_id: 'ctc_3' }), talk({ state: 'resolved' })].map(matches)).toEqual([true, false, false, false, false]);
  });
});

describe('the form of a channel', () => {
  const schema = {
    required: ['account', 'token'],
    properties: {
      region: { type: 'string', default: 'eu' }, port: { type: 'integer', default: 587, minimum: 1, maximum: 65_535 }, account: { type: 'string', pattern: '^[0-9]+$' },
      token: { type: 'string', format: 'password', writeOnly: true }, tls: { enum: ['none', 'tls'], default: 'tls' }, mark: { type: 'boolean', default: true }, addresses: { type: 'array', items: { type: 'string' }, default: [] }
    }
  };
  const fields = settingsOf(schema);

  it('comes from its schema: what is needed first, secrets hidden', () => {
    expect(fields.map(({ name, kind }) => `${name} ${kind}`)).toEqual(['account text', 'token secret', 'region text', 'port number', 'tls choice', 'mark yes', 'addresses list']);
    expect(labelOf('account_sid')).toBe('Account SID');
  });

  it('sends what differs from what is usual, in its type, and says what is wrong before', () => {
    expect(settingsFrom(fields, { account: '12', token: ' keep my spaces ', port: '25', mark: 'false', addresses: 'a@b.example, c@d.example', region: 'eu', tls: 'tls' })).toEqual({
      account: '12', token: ' keep my spaces ', port: 25, mark: false, addresses: ['a@b.example', 'c@d.example']
    });
    expect(wrongWith(fields, { account: 'x', port: '0' })).toEqual({ account: 'Does not look right', token: 'Is needed', port: 'At least 1' });
  });

  it('never shows a secret that is stored', () => {
    expect(filledFrom(fields, { account: '12', token: 'leaked', port: 25, addresses: ['a'] })).toEqual({ account: '12', token: '', region: 'eu', port: '25', tls: 'tls', mark: 'true', addresses: 'a' });
  });
});
