/** What `/v1/stream` sends, checked before it is believed. */
import { callOf, type LogEvent } from '$lib/api/types';

export type Frame =
  | { kind: 'hello'; head: number; oldest: number; tenant: string }
  | { kind: 'event'; event: LogEvent }
  | { kind: 'heartbeat'; head: number }
  | { kind: 'gap'; resumeAt: number }
  | { kind: 'moment'; moment: Moment }
  | { kind: 'error'; code: string; detail: string };

/** What goes on right now and is in no log: who types. */
export interface Moment {
  what: string;
  conversation: string;
  user: string;
  typing: boolean;
}

type Raw = Record<string, unknown>;

const num = (value: unknown): number => (typeof value === 'number' ? value : Number.NaN);

/** The frame in `text`. Raises when it is none: the connection is then not to be trusted any further. */
export function parseFrame(text: string): Frame {
  const raw = JSON.parse(text) as Raw;
  const name = String(raw['type'] ?? '');
  switch (name) {
    case 'hello':
      return { kind: 'hello', head: whole(raw['head_seq']), oldest: whole(raw['oldest_seq']), tenant: String(raw['tenant'] ?? '') };
    case 'heartbeat':
      return { kind: 'heartbeat', head: whole(raw['head_seq']) };
    case 'gap':
      return { kind: 'gap', resumeAt: whole(raw['resume_at']) };
    case 'event':
      return { kind: 'event', event: eventOf(raw['event'] as Raw) };
    case 'live':
      return { kind: 'moment', moment: { what: String(raw['what'] ?? ''), conversation: String(raw['conversation_id'] ?? ''), user: String(raw['user_id'] ?? ''), typing: raw['typing'] === true } };
    case 'error':
      return { kind: 'error', code: String(raw['code'] ?? 'error'), detail: String(raw['detail'] ?? '') };
    default:
      throw new Error(`unknown frame ${name || '(none)'}`);
  }
}

function whole(value: unknown): number {
  const got = num(value);
  if (!Number.isInteger(got)) throw new Error('a frame without its number');
  return got;
}

/** One entry of the log as `GET /v1/events` and the stream give it, with the call's defaults filled in. */
export function eventOf(raw: Raw): LogEvent {
  const data = (raw['data'] ?? {}) as Raw;
  const call = data['call'] ? callOf(data['call'] as Raw) : undefined;
  return { ...(raw as unknown as LogEvent), seq: whole(raw['seq']), data: call ? { ...data, call } : data } as LogEvent;
}
