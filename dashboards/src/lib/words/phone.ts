/**
 * Numbers in their international form, grouped as people of that country write them.
 *
 * The patterns are libphonenumber's (`scripts/phone-formats.mjs` takes them over); what does not look like
 * an international number (an extension, a SIP user) is shown as it is.
 */
import formats from './phone-formats.json';

type Format = readonly [pattern: string, shape: string, leading: string];
type Country = readonly [region: string, ...formats: Format[]];

const TABLE = formats as unknown as Readonly<Record<string, Country>>;
const regex = new Map<string, RegExp>();
const names = typeof Intl.DisplayNames === 'function' ? new Intl.DisplayNames(undefined, { type: 'region' }) : null;
const done = new Map<string, Phone>();

export interface Phone {
  text: string;
  /** The country's name; empty when it cannot be told. */
  country: string;
}

/** A list of calls shows the same few numbers again and again. */
const REMEMBERED = 2_000;

function compiled(source: string, whole: boolean): RegExp {
  const key = whole ? `^(?:${source})$` : `^(?:${source})`;
  let found = regex.get(key);
  if (!found) regex.set(key, (found = new RegExp(key)));
  return found;
}

export function phone(raw: string): Phone {
  const known = done.get(raw);
  if (known) return known;
  const made = make(raw);
  if (done.size >= REMEMBERED) done.clear();
  done.set(raw, made);
  return made;
}

function make(raw: string): Phone {
  const plain = { text: raw, country: '' };
  if (!/^\+[1-9]\d{6,14}$/.test(raw)) return plain;
  const digits = raw.slice(1);
  for (const length of [1, 2, 3]) {
    const code = digits.slice(0, length);
    const country = TABLE[code];
    if (!country) continue;
    const rest = digits.slice(length);
    const [region, ...shapes] = country;
    const name = /^[A-Z]{2}$/.test(region) && code !== '1' && code !== '7' ? (names?.of(region) ?? region) : '';
    for (const [pattern, shape, leading] of shapes) {
      if (leading && !compiled(leading, false).test(rest)) continue;
      const whole = compiled(pattern, true);
      if (whole.test(rest)) return { text: `+${code} ${rest.replace(whole, shape)}`, country: name };
    }
    return { text: `+${code} ${rest}`, country: name };
  }
  return plain;
}

const IN_WORDS = /\+[1-9]\d{6,14}(?!\d)/g;
/** A sentence with its numbers grouped: `Missed call from +44 20 7946 0018`. */
export const withPhones = (text: string): string => (text.includes('+') ? text.replace(IN_WORDS, (one) => phone(one).text) : text);
