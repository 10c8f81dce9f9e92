/** Words, numbers and times as people read them. */
import { parsePhoneNumberFromString } from 'libphonenumber-js/max';
import examples from 'libphonenumber-js/mobile/examples';
import { getExampleNumber } from 'libphonenumber-js/max';
import { describe, expect, it } from 'vitest';
import { cause, CAUSE_NAMES } from './causes';
import { phone } from './phone';
import { ago, clockSpan, plural, spanWords } from './time';

describe('a phone number', () => {
  it('is grouped exactly as libphonenumber groups it, in every country with an example', () => {
    const wrong: string[] = [];
    let seen = 0;
    for (const region of Object.keys(examples)) {
      const example = getExampleNumber(region as 'GB', examples);
      if (!example) continue;
      seen += 1;
      const expected = parsePhoneNumberFromString(example.number)?.formatInternational();
      if (phone(example.number).text !== expected) wrong.push(`${region}: ${phone(example.number).text} / ${expected}`);
    }
    expect(seen).toBeGreaterThan(200);
    expect(wrong).toEqual([]);
  });

  it('stays as it is when it is an extension or a name', () => {
    expect(phone('1001').text).toBe('1001');
    expect(phone('alice').text).toBe('alice');
    expect(phone('').text).toBe('');
  });

  it('names the country where one calling code means one country', () => {
    expect(phone('+442079460018')).toEqual({ text: '+44 20 7946 0018', country: 'United Kingdom' });
    expect(phone('+12025550123').country).toBe('');
  });
});

describe('a hangup cause', () => {
  it('has words that are not its code', () => {
    for (const name of CAUSE_NAMES) expect(cause(name).words).not.toMatch(/_|^[A-Z ]+$/);
    expect(cause('USER_BUSY')).toEqual({ words: 'Busy', code: 'USER_BUSY (17)', tone: 'attention' });
  });

  it('that is new to us is still readable', () => {
    expect(cause('SOME_NEW_THING').words).toBe('Some new thing');
  });
});

describe('a time', () => {
  it('reads like speech', () => {
    expect(spanWords(320)).toBe('320 ms');
    expect(spanWords(20_000)).toBe('20 s');
    expect(spanWords(200_000)).toBe('3 min 20 s');
    expect(spanWords(7_500_000)).toBe('2 h 5 min');
    expect(ago(1_000, 13_000)).toBe('12 s ago');
    expect(ago(13_000, 1_000)).toBe('in 12 s');
    expect(clockSpan(3_753_000)).toBe('1:02:33');
    expect(clockSpan(-5)).toBe('0:00');
    expect(plural(1, 'call')).toBe('1 call');
    expect(plural(12, 'call')).toBe('12 calls');
  });
});
