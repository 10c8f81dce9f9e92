/**
 * One call's timeline: events, commands and decisions in one order, from the trace and from the live log.
 *
 * The ladder and the list are two drawings of the same moments.
 */
import type { Call, Leg, LogEvent, Schemas } from '$lib/api/types';
import type { Tone } from '$lib/words/causes';
import { sentence } from '$lib/words/events';
import { phone } from '$lib/words/phone';
import { partyOf } from '$lib/words/states';

export type Kind = 'event' | 'order' | 'decision';

/** A line of `GET /v1/calls/{id}/trace`; one from the stream has the same form. */
export type Moment = Omit<Schemas['Moment'], 'data' | 'kind'> & { kind: string; data: Record<string, unknown> };

export interface Line extends Moment {
  key: string;
  sort: Kind;
  words: string;
  detail: string;
  tone: Tone;
}

const kindOf = (kind: string, type: string): Kind => (kind === 'order' || type === 'call.ordered' ? 'order' : kind === 'decision' || /routed|decided|queued/.test(type) ? 'decision' : 'event');

export function lineOf(moment: Moment, call: Call): Line {
  const sort = kindOf(moment.kind, moment.type);
  // The trace names an order by its action, the log by `call.ordered` with the action in its data.
  const event: LogEvent = {
    seq: moment.seq, id: '', type: sort === 'order' ? 'call.ordered' : moment.type, occurred_at: '', recorded_at: '', resource: call.id, causation_id: '', request_id: '', schema_version: 1,
    data: { action: moment.type, ...moment.data, call: moment.type === 'call.ended' ? call : undefined }
  };
  const said = sentence(event);
  return { ...moment, key: `${moment.seq}-${moment.type}-${moment.at_us}`, sort, words: said.words, detail: said.detail, tone: said.tone };
}

/** A moment from the stream, for what happens while one looks. */
export function momentOf(event: LogEvent): Moment {
  const { call: _, ...data } = event.data;
  return { at_us: Date.parse(event.occurred_at) * 1000, kind: event.type === 'call.ordered' ? 'order' : 'event', type: event.type, leg: String(data['leg'] ?? ''), seq: event.seq, data };
}

/** What the trace had, then what came since; by time, then by number. */
export function joined(trace: readonly Moment[], later: readonly Moment[]): Moment[] {
  const known = new Set(trace.map((moment) => moment.seq));
  return [...trace, ...later.filter((moment) => !known.has(moment.seq))].sort((a, b) => a.at_us - b.at_us || a.seq - b.seq);
}

/** `Caller`, `+44 20 …`: what a leg is called here. The first leg is the caller of an inbound call. */
export function legName(call: Call, leg: Leg): string {
  const number = leg.direction === 'inbound' ? partyOf(leg.caller, leg.caller_name) : leg.destination || leg.channel_name || 'Outbound';
  return phone(number).text;
}

/** `+0.000 s`, `+12.3 s`, `+3:05`: since the call began. */
export function offset(us: number): string {
  // The log has milliseconds, the call microseconds: within one they are the same moment.
  const seconds = Math.abs(us) < 1500 ? 0 : us / 1e6;
  if (seconds < 0) return `-${offset(-us).slice(1)}`;
  if (seconds < 60) return `+${seconds.toFixed(seconds < 10 ? 3 : 1)} s`;
  const whole = Math.floor(seconds);
  return `+${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

/** Where an arrow of the ladder begins and ends: columns are the legs with the switch after the first. */
export function arrow(line: Line, call: Call): { from: number; to: number } {
  const SWITCH = 1;
  const column = (uuid: string): number => {
    const at = call.legs.findIndex((leg) => leg.uuid === uuid);
    return at <= 0 ? 0 : at + 1;
  };
  const leg = column(line.leg);
  const inbound = call.legs[leg === 0 ? 0 : leg - 1]?.direction !== 'outbound';
  switch (line.type) {
    case 'call.created':
    case 'call.leg_added':
      return inbound ? { from: leg, to: SWITCH } : { from: SWITCH, to: leg };
    case 'call.ringing':
      return inbound ? { from: SWITCH, to: leg } : { from: leg, to: SWITCH };
    case 'call.answered':
      return inbound ? { from: SWITCH, to: leg } : { from: leg, to: SWITCH };
    case 'call.bridged':
    case 'call.unbridged': {
      const other = column(String(line.data['other_leg'] ?? ''));
      return { from: leg, to: other !== leg ? other : leg === 0 ? Math.min(2, call.legs.length) : 0 };
    }
    case 'call.dtmf':
    case 'call.leg_ended':
      return { from: leg, to: SWITCH };
    default:
      return line.sort === 'order' || line.type === 'call.ended' ? { from: SWITCH, to: SWITCH } : { from: SWITCH, to: leg };
  }
}
