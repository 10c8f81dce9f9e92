/** How well a call sounds, from two looks at the browser's counters: pure, in words and with its numbers. */
import type { Tone } from '$lib/words/causes';

/** One look. Counters run from the beginning of the connection; round trip and jitter in ms, -1 where unknown. */
export interface Sample {
  readonly at: number;
  readonly received: number;
  readonly lost: number;
  readonly sent: number;
  readonly rtt_ms: number;
  readonly jitter_ms: number;
  /** Sound that the browser had to make up, and all that it played, in samples. */
  readonly concealed: number;
  readonly played: number;
}

export interface Quality {
  readonly tone: Tone;
  readonly word: string;
  /** The numbers behind the word. */
  readonly help: string;
  readonly loss: number;
  readonly rtt_ms: number;
  readonly jitter_ms: number;
}

export const UNKNOWN: Quality = { tone: 'plain', word: 'Listening', help: 'The first seconds are measured', loss: 0, rtt_ms: -1, jitter_ms: -1 };

/** Share of packets that did not arrive between two looks, 0 to 1; the counter of lost ones may go back. */
export function lossBetween(before: Sample, after: Sample): number {
  const lost = Math.max(0, after.lost - before.lost);
  const all = lost + Math.max(0, after.received - before.received);
  return all ? lost / all : 0;
}

/** Limits: loss above 1 % is heard now and then, above 5 % in every sentence; 400 ms there and back make people talk at once. */
export function judge(before: Sample, after: Sample): Quality {
  const loss = lossBetween(before, after);
  const made = after.played > before.played ? (after.concealed - before.concealed) / (after.played - before.played) : 0;
  const { rtt_ms, jitter_ms } = after;
  const numbers = [`${(loss * 100).toFixed(1)} % lost`, jitter_ms >= 0 ? `${Math.round(jitter_ms)} ms jitter` : '', rtt_ms >= 0 ? `${Math.round(rtt_ms)} ms there and back` : ''].filter(Boolean).join(', ');
  const verdict = (tone: Tone, word: string): Quality => ({ tone, word, help: numbers, loss, rtt_ms, jitter_ms });
  if (after.received === before.received) return verdict('bad', 'No sound arrives');
  if (loss > 0.05 || made > 0.12 || rtt_ms > 800) return verdict('bad', 'Bad sound');
  if (loss > 0.01 || made > 0.03 || rtt_ms > 400 || jitter_ms > 60) return verdict('attention', 'Uneven sound');
  return verdict('good', 'Good sound');
}
