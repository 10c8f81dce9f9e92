/** Recordings and their policies as people say them. */
import type { Schemas } from '$lib/api/types';
import type { Tone } from '$lib/words/causes';
import { plural } from '$lib/words/time';

export type Recording = Schemas['RecordingEntry'];
export type Policy = Schemas['RecordingPolicy'];

const STATES: Readonly<Record<Recording['state'], { word: string; tone: Tone; help: string }>> = {
  expected: { word: 'Expected', tone: 'info', help: 'A policy wants it; it has not begun yet' },
  recording: { word: 'Running', tone: 'info', help: 'The switch writes it now' },
  stopped: { word: 'On the switch', tone: 'info', help: 'Whole, and waits to be brought into the object store' },
  uploading: { word: 'On its way', tone: 'info', help: 'It is being brought into the object store' },
  stored: { word: 'Stored', tone: 'good', help: 'In the object store, size and checksum verified' },
  missing: { word: 'Missing', tone: 'bad', help: 'It should be there and is not' },
  erased: { word: 'Erased', tone: 'plain', help: 'Gone for good; the proof stays' }
};
export const STATE_NAMES = Object.keys(STATES) as Recording['state'][];
export const stateOf = (one: Pick<Recording, 'state'>): { word: string; tone: Tone; help: string } => STATES[one.state];

const REASONS: Readonly<Record<string, string>> = {
  never_began: 'The call ended before it could begin',
  leg_ended: 'The leg ended before it could begin',
  call_ended: 'The call ended before it could begin',
  no_such_call: 'The call ended before it could begin',
  not_on_disk: 'The switch said that it was written, and no file is there',
  nobody_looked: 'Nobody has brought its file: no irisx node works beside this switch',
  announcement_failed: 'The announcement could not be played, and without it nothing is recorded',
  no_announcement: 'The announcement is not there any more, and without it nothing is recorded',
  no_owner: 'No controller commands the switch now',
  switch_refused: 'The switch refused to record',
  in_doubt: 'The switch is out of reach',
  empty: 'The file holds no sound'
};
export const reasonOf = (reason: string): string => REASONS[reason] ?? reason;

const SOURCES: Readonly<Record<Recording['source'], string>> = { policy: 'a policy', order: 'somebody’s order', switch: 'the switch itself' };
export const sourceOf = (source: Recording['source']): string => SOURCES[source];

/** Which calls a policy concerns, in one line. */
export function concerns(policy: Policy): string {
  const parts: string[] = [];
  if (policy.directions.length === 1) parts.push(policy.directions[0] === 'inbound' ? 'inbound' : 'outbound');
  if (policy.prefixes.length) parts.push(`numbers ${policy.prefixes.map((one) => `+${one}…`).join(', ')}`);
  if (policy.queues.length) parts.push(plural(policy.queues.length, 'queue'));
  if (policy.agents.length) parts.push(plural(policy.agents.length, 'agent'));
  const whom = parts.length ? parts.join(', ') : 'every call';
  return policy.share < 100 ? `${policy.share} % of ${whom}` : whom;
}

/** How long what it records is kept. */
export const kept = (policy: Pick<Policy, 'retention_days' | 'hold'>): string =>
  policy.hold ? 'until its hold is lifted' : policy.retention_days ? plural(policy.retention_days, 'day') : 'until it is erased';

const SKIPPED: Readonly<Record<string, string>> = {
  '': 'decides', off: 'is off', direction: 'is for the other direction', number: 'is for other numbers', queue: 'is for other queues',
  agent: 'is for other agents', share: 'does not take this call into its share', not_yet: 'waits for a conversation'
};
export const lookedAt = (skipped: string): string => SKIPPED[skipped] ?? skipped;

/** The outline of one lane of a waveform: `points` values 0-255 drawn around the middle of a lane of this size. */
export function outline(points: readonly number[], width: number, top: number, height: number): string {
  if (!points.length) return '';
  const middle = top + height / 2;
  const step = width / points.length;
  return points.map((value, n) => {
    const half = Math.max((value / 255) * (height / 2), 0.5);
    return `M${((n + 0.5) * step).toFixed(1)} ${(middle - half).toFixed(1)}V${(middle + half).toFixed(1)}`;
  }).join('');
}

/** Where masked parts lie, as shares of the whole. */
export function masks(one: Pick<Recording, 'masked' | 'started_us' | 'stopped_us' | 'duration_ms'>): { from: number; width: number }[] {
  const whole = one.duration_ms * 1000;
  if (!whole || !one.started_us) return [];
  const share = (us: number): number => Math.min(Math.max((us - one.started_us) / whole, 0), 1);
  return one.masked.map((pair) => {
    const [from = 0, to = 0] = pair as readonly number[];
    const begin = share(from);
    return { from: begin, width: (to ? share(to) : 1) - begin };
  });
}
