/**
 * What the page and a controller say to each other over `/v1/signaling`, version 1, with defaults filled in.
 *
 * The page asks with an `id` and gets exactly one answer; the controller tells with `n`, which has no gaps within a
 * session. What is not known here is passed over, so that a newer controller can say more.
 */

export const PROTOCOL = 'irisx.signaling.v1';

export interface Named {
  readonly id: string;
  readonly name: string;
}

/** Work that is offered, with the moment until when it waits for an answer (ms of the epoch, the server's clock). */
export interface Offer {
  readonly id: string;
  readonly kind: 'call' | 'conversation';
  readonly queue: Named | null;
  readonly caller: string;
  readonly caller_name: string;
  readonly waited_s: number;
  readonly expires: number;
  readonly call_id: string;
  readonly conversation_id: string;
  readonly contact_id: string;
}

export type CallState = 'connecting' | 'ringing' | 'talking' | 'held' | 'consulting' | 'ended';

export interface Transfer {
  readonly to: string;
  readonly to_name: string;
  readonly state: string;
}

/** A call of ours, as the one who talks sees it. */
export interface CallView {
  readonly id: string;
  readonly leg: string;
  readonly state: CallState;
  readonly direction: string;
  readonly other: string;
  readonly other_name: string;
  readonly muted: boolean;
  readonly recording: 'off' | 'on' | 'paused';
  /** Ms of the epoch: when it was answered, else when it began. */
  readonly since: number;
  readonly conversation_id: string;
  readonly contact_id: string;
  readonly queue: Named | null;
  readonly transfer: Transfer | null;
}

export interface AgentView {
  readonly id: string;
  readonly name: string;
  readonly extension: string;
  /** What the agent chose. */
  readonly state: 'offline' | 'ready' | 'not_ready';
  readonly reason: string;
  /** What follows from the work in hand: reserved, busy, wrap_up; empty when there is none. */
  readonly activity: string;
  readonly since: number;
  readonly queues: readonly string[];
  readonly skills: Readonly<Record<string, number>>;
  readonly capacity: Readonly<Record<string, number>>;
}

/** What is left to do after a call: `offer` names the reservation. */
export interface WrapUp {
  readonly offer: string;
  readonly until: number;
  readonly caller: string;
  readonly caller_name: string;
  readonly queue: Named | null;
  readonly call_id: string;
  readonly conversation_id: string;
}

export type Told =
  | { kind: 'offer'; offer: Offer }
  | { kind: 'offer_ended'; offer: string; reason: string }
  | { kind: 'call'; call: CallView }
  | { kind: 'call_ended'; call: string; cause: string }
  | { kind: 'agent'; agent: AgentView }
  | { kind: 'wrap_up'; wrapUp: WrapUp }
  | { kind: 'probe'; probe: string }
  | { kind: 'bye'; code: string; reconnect: boolean }
  | { kind: 'unknown'; name: string };

export interface Hello {
  readonly session: string;
  readonly n: number;
  readonly resumed: boolean;
  readonly heartbeat_s: number;
  readonly agent: AgentView | null;
  readonly calls: readonly CallView[];
  readonly offers: readonly Offer[];
  readonly wrapUps: readonly WrapUp[];
}

export type Frame =
  | { kind: 'answer'; re: string; ok: true; body: Raw }
  | { kind: 'answer'; re: string; ok: false; code: string; detail: string; retryable: boolean }
  | { kind: 'event'; n: number; told: Told };

export type Raw = Record<string, unknown>;

const text = (value: unknown): string => (typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '');
const num = (value: unknown, otherwise = 0): number => (typeof value === 'number' && Number.isFinite(value) ? value : otherwise);
const list = (value: unknown): Raw[] => (Array.isArray(value) ? (value as Raw[]) : []);

/** Ms of the epoch from an ISO time, or from a number of seconds, milliseconds or microseconds of the epoch. */
export function moment(value: unknown): number {
  if (typeof value === 'string') return Number.isFinite(Date.parse(value)) ? Date.parse(value) : 0;
  const n = num(value);
  return n > 1e14 ? n / 1000 : n > 1e11 ? n : n * 1000;
}

function named(value: unknown): Named | null {
  if (!value) return null;
  if (typeof value === 'string') return { id: value, name: value };
  const raw = value as Raw;
  return text(raw['id']) || text(raw['name']) ? { id: text(raw['id']), name: text(raw['name']) || text(raw['id']) } : null;
}

export function offerOf(raw: Raw): Offer {
  return {
    id: text(raw['id']), kind: raw['kind'] === 'conversation' ? 'conversation' : 'call', queue: named(raw['queue']), caller: text(raw['caller']), caller_name: text(raw['caller_name']),
    waited_s: num(raw['waited_s']), expires: moment(raw['expires_at']), call_id: text(raw['call_id']), conversation_id: text(raw['conversation_id']), contact_id: text(raw['contact_id'])
  };
}

const STATES: readonly string[] = ['connecting', 'ringing', 'talking', 'held', 'consulting', 'ended'];

function transferOf(value: unknown): Transfer | null {
  if (!value) return null;
  if (typeof value === 'string') return { to: value, to_name: '', state: '' };
  const raw = value as Raw;
  return { to: text(raw['to']), to_name: text(raw['to_name']), state: text(raw['state']) };
}

export function callViewOf(raw: Raw): CallView {
  const recording = raw['recording'];
  return {
    id: text(raw['id']), leg: text(raw['leg']), state: (STATES.includes(text(raw['state'])) ? text(raw['state']) : 'connecting') as CallState, direction: text(raw['direction']) || 'inbound',
    other: text(raw['other']), other_name: text(raw['other_name']), muted: raw['muted'] === true, recording: recording === 'paused' ? 'paused' : recording === true || recording === 'on' ? 'on' : 'off',
    since: moment(raw['since']), conversation_id: text(raw['conversation_id']), contact_id: text(raw['contact_id']), queue: named(raw['queue']), transfer: transferOf(raw['transfer'])
  };
}

export function agentOf(raw: Raw): AgentView {
  const state = text(raw['state']);
  return {
    id: text(raw['id']), name: text(raw['name']), extension: text(raw['extension']), state: state === 'ready' || state === 'not_ready' ? state : 'offline', reason: text(raw['reason']),
    activity: text(raw['activity']), since: moment(raw['since'] ?? raw['since_us']), queues: Array.isArray(raw['queues']) ? (raw['queues'] as unknown[]).map((one) => text(named(one)?.id)) : [],
    skills: (raw['skills'] ?? {}) as Record<string, number>, capacity: (raw['capacity'] ?? {}) as Record<string, number>
  };
}

export function wrapUpOf(raw: Raw): WrapUp {
  return {
    offer: text(raw['offer']) || text(raw['id']), until: moment(raw['until'] ?? raw['wrap_until_us']), caller: text(raw['caller']), caller_name: text(raw['caller_name']),
    queue: named(raw['queue'] ?? (raw['queue_id'] ? { id: raw['queue_id'], name: raw['queue_name'] } : null)), call_id: text(raw['call_id']), conversation_id: text(raw['conversation_id'])
  };
}

export function helloOf(raw: Raw): Hello {
  return {
    session: text(raw['session']), n: num(raw['n']), resumed: raw['resumed'] === true, heartbeat_s: Math.max(2, num(raw['heartbeat_s'], 15)), agent: raw['agent'] ? agentOf(raw['agent'] as Raw) : null,
    calls: list(raw['calls']).map(callViewOf), offers: list(raw['offers']).map(offerOf), wrapUps: list(raw['wrap_ups']).map(wrapUpOf)
  };
}

function toldOf(name: string, raw: Raw): Told {
  switch (name) {
    case 'offer': return { kind: 'offer', offer: offerOf((raw['offer'] ?? {}) as Raw) };
    case 'offer_ended': return { kind: 'offer_ended', offer: text(raw['offer']), reason: text(raw['reason']) };
    case 'call': return { kind: 'call', call: callViewOf((raw['call'] ?? {}) as Raw) };
    case 'call_ended': return { kind: 'call_ended', call: text(raw['call']), cause: text(raw['cause']) };
    case 'agent': return { kind: 'agent', agent: agentOf((raw['agent'] ?? {}) as Raw) };
    case 'wrap_up': return { kind: 'wrap_up', wrapUp: wrapUpOf(raw) };
    case 'probe': return { kind: 'probe', probe: text(raw['probe']) };
    case 'bye': return { kind: 'bye', code: text(raw['code']), reconnect: raw['reconnect'] !== false };
    default: return { kind: 'unknown', name };
  }
}

/** The frame in `message`. Raises when it is none: the connection is then not to be trusted any further. */
export function parseFrame(message: string): Frame {
  const raw = JSON.parse(message) as Raw;
  if (raw['re'] !== undefined) {
    const re = text(raw['re']);
    if (raw['ok'] === true) return { kind: 'answer', re, ok: true, body: raw };
    return { kind: 'answer', re, ok: false, code: text(raw['code']) || 'refused', detail: text(raw['detail']), retryable: raw['retryable'] === true };
  }
  const n = num(raw['n'], Number.NaN);
  if (!Number.isInteger(n)) throw new Error('a frame without its number');
  return { kind: 'event', n, told: toldOf(text(raw['type'] ?? raw['event']), raw) };
}
