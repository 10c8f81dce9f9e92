import { expect, it } from 'vitest';
import type { Account, ChannelKind } from '$lib/api/types';
import { withPhones } from '$lib/words/phone';
import { reaching } from './ways';

const kind = (type: string, address: string, can: object): [string, ChannelKind] => [type, { type, address, capabilities: { sends: ['text'], starts: true, window_s: 0, ...can } } as unknown as ChannelKind];
const account = (id: string, type: string, state = 'active'): Account => ({ id, type, name: id, state }) as unknown as Account;

it('who only called is answered by accounts that work, take numbers, may write first and need no template', () => {
  const kinds = new Map([kind('sms.a', 'phone', {}), kind('whatsapp', 'phone', { window_s: 86_400 }), kind('sms.shy', 'phone', { starts: false }), kind('email.a', 'email', {}), kind('fax', 'phone', { sends: ['media'] })]);
  const all = [account('z', 'sms.a'), account('a', 'sms.a'), account('off', 'sms.a', 'disabled'), account('wa', 'whatsapp'), account('shy', 'sms.shy'), account('mail', 'email.a'), account('fax', 'fax'), account('gone', 'unknown')];
  expect(reaching(all, kinds).map((one) => one.id)).toEqual(['a', 'z']);
});

it('numbers in a sentence stand in groups, and nothing else changes', () => {
  expect(withPhones('Missed call from +442079460018, 1:05')).toBe('Missed call from +44 20 7946 0018, 1:05');
  expect(withPhones('1+1 is 2, +5 % and order 4420794600')).toBe('1+1 is 2, +5 % and order 4420794600');
});
