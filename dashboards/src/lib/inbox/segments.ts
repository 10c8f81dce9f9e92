/**
 * How many segments an SMS takes: GSM-7, UCS-2, and the header of long messages. The same rules as
 * `plugins/irisx_sdk/segments.py`, held to them by one file of examples that both test against.
 *
 * Dividing the length is wrong: what takes two units (`€`, an emoji) is never cut in half, so the text is walked.
 */
const BASIC = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
const EXTENDED = '\f^{}\\[~]|€';
const COST = new Map<string, number>([...[...BASIC].map((one) => [one, 1] as const), ...[...EXTENDED].map((one) => [one, 2] as const)]);

export interface Count {
  encoding: 'gsm7' | 'ucs2';
  /** Septets or UTF-16 units, headers not counted. */
  units: number;
  segments: number;
  /** How many more units the last segment takes. */
  left: number;
  /** The characters that make it UCS-2, each once, in their order: what to change to pay less. */
  foreign: readonly string[];
}

export function countSegments(text: string): Count {
  const characters = [...text];
  const foreign = [...new Set(characters.filter((one) => !COST.has(one)))];
  const encoding = foreign.length ? 'ucs2' : 'gsm7';
  const [alone, shared] = encoding === 'gsm7' ? [160, 153] : [70, 67];
  const cost = (one: string): number => (encoding === 'gsm7' ? (COST.get(one) as number) : one.length);
  const units = characters.reduce((sum, one) => sum + cost(one), 0);
  if (units <= alone) return { encoding, units, segments: 1, left: alone - units, foreign };
  let segments = 1;
  let used = 0;
  for (const one of characters) {
    if (used + cost(one) > shared) {
      segments += 1;
      used = 0;
    }
    used += cost(one);
  }
  return { encoding, units, segments, left: shared - used, foreign };
}
