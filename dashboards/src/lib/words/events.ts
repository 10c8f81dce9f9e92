/** Entries of the numbered log as sentences. */
import type { Call, LogEvent } from '$lib/api/types';
import { cause, type Tone } from './causes';
import { phone } from './phone';
import { partyOf } from './states';

export interface Sentence {
  words: string;
  detail: string;
  tone: Tone;
}

const TITLES: Readonly<Record<string, readonly [string, Tone]>> = {
  'call.created': ['Call began', 'info'],
  'call.ringing': ['Ringing', 'info'],
  'call.answered': ['Answered', 'good'],
  'call.bridged': ['Connected to each other', 'good'],
  'call.unbridged': ['Taken apart', 'plain'],
  'call.held': ['Put on hold', 'attention'],
  'call.resumed': ['Taken off hold', 'good'],
  'call.muted': ['Muted', 'attention'],
  'call.unmuted': ['Unmuted', 'plain'],
  'call.dtmf': ['Key pressed', 'plain'],
  'call.leg_added': ['Another side joined', 'info'],
  'call.leg_ended': ['One side left', 'plain'],
  'call.parked': ['Parked', 'attention'],
  'call.transferred': ['Transferred', 'info'],
  'call.merged': ['Became part of another call', 'info'],
  'call.recording_started': ['Recording started', 'info'],
  'call.recording_stopped': ['Recording stopped', 'plain'],
  'call.playback_started': ['Playing started', 'plain'],
  'call.playback_stopped': ['Playing stopped', 'plain'],
  'call.recovered': ['Continued on a standby switch', 'attention'],
  'call.in_doubt': ['Switch out of reach', 'bad'],
  'call.ended': ['Ended', 'plain'],
  'conference.created': ['Conference began', 'info'],
  'conference.joined': ['Joined a conference', 'info'],
  'conference.left': ['Left a conference', 'plain'],
  'conference.muted': ['Muted in the conference', 'attention'],
  'conference.unmuted': ['Unmuted in the conference', 'plain'],
  'conference.ended': ['Conference ended', 'plain'],
  'call.ordered': ['Order given', 'info'],
  'call.monitored': ['Somebody listens in', 'attention'],
  'conversation.created': ['Conversation began', 'info'],
  'conversation.updated': ['Conversation changed', 'plain'],
  'conversation.assigned': ['Conversation given to somebody', 'info'],
  'conversation.resolved': ['Conversation resolved', 'good'],
  'conversation.reopened': ['Conversation opened again', 'info'],
  'conversation.snoozed': ['Conversation put away', 'plain'],
  'message.received': ['Message came in', 'info'],
  'message.noted': ['Note left', 'plain'],
  'message.queued': ['Answer stored', 'plain'],
  'message.sent': ['Answer sent', 'plain'],
  'message.delivered': ['Answer delivered', 'good'],
  'message.read': ['Answer read', 'good'],
  'message.failed': ['Answer not sent', 'bad'],
  'message.undelivered': ['Answer not delivered', 'bad'],
  'message.unknown': ['Answer may have been sent', 'attention'],
  'message.cancelled': ['Answer taken back', 'plain'],
  'channel.created': ['Account connected', 'info'],
  'channel.updated': ['Account changed', 'plain'],
  'channel.deleted': ['Account disconnected', 'attention'],
  'contact.created': ['New person', 'info'],
  'contact.updated': ['Person changed', 'plain'],
  'contact.merged': ['Two people are one', 'info']
};

/** Names of those who give orders, as far as this page knows them. */
const actors = new Map<string, string>();
export const knowActor = (id: string, name: string): void => void actors.set(id, name);
const nameOfActor = (id: string): string => (id ? `by ${actors.get(id) ?? id}` : '');

/** The orders that `call.ordered` tells of, as what somebody did. */
const DID: Readonly<Record<string, string>> = {
  'call.originate': 'Call placed', 'call.answer': 'Answered by order', 'call.hangup': 'Hung up by order', 'call.hold': 'Put on hold by order',
  'call.unhold': 'Taken off hold by order', 'call.mute': 'Muted by order', 'call.unmute': 'Unmuted by order', 'call.dtmf': 'Keys sent',
  'call.play': 'Sound played', 'call.play_stop': 'Sound stopped', 'call.record_start': 'Recording ordered', 'call.record_stop': 'Recording stopped by order',
  'call.record_pause': 'Recording paused', 'call.record_resume': 'Recording resumed', 'call.transfer_blind': 'Transferred by order',
  'call.transfer_attended': 'Consultation begun', 'call.transfer_complete': 'Consultation connected', 'call.transfer_cancel': 'Consultation called off',
  'call.bridge': 'Joined with another call', 'call.monitor': 'Listening in ordered', 'call.monitor_stop': 'Listening in ended'
};

const text = (value: unknown): string => (typeof value === 'string' || typeof value === 'number' ? String(value) : '');

export function title(type: string): { words: string; tone: Tone } {
  const known = TITLES[type];
  if (known) return { words: known[0], tone: known[1] };
  const words = type.replace(/[._]/g, ' ');
  return { words: words.charAt(0).toUpperCase() + words.slice(1), tone: 'plain' };
}

/** `+44 20 7946 0018 to 1001`. */
export const parties = (call: Call): string =>
  `${phone(partyOf(call.caller, call.caller_name)).text} to ${phone(call.destination || 'nobody yet').text}`;

/** What an entry says, as a heading and what is particular about it. */
export function sentence(event: LogEvent): Sentence {
  const { words, tone } = title(event.type);
  const data = event.data;
  const call = data.call;
  const said: string[] = [];
  let colour = tone;
  if (event.type === 'call.ended' && call) {
    const why = cause(text(data['cause']) || call.hangup_cause);
    said.push(why.words);
    colour = why.tone;
  } else if (event.type === 'call.ordered') {
    const action = text(data['action']);
    const status = text(data['status']);
    if (status && status !== 'done') colour = 'bad';
    said.push(status && status !== 'done' ? `${status}${text(data['code']) ? `, ${text(data['code']).replaceAll('_', ' ')}` : ''}` : '', nameOfActor(text(data['actor'])));
    return { words: DID[action] ?? (action ? title(action).words : words), detail: said.filter(Boolean).join(' · '), tone: colour };
  } else if (event.type === 'call.leg_ended') {
    said.push(cause(text(data['cause'])).words);
  } else if (event.type === 'call.dtmf') {
    // Which keys is nobody's business; how many so far is told.
    said.push(text(data['digits']) ? `${text(data['digits'])} so far` : '');
  } else if (event.type === 'call.transferred') {
    const to = text(data['to'] ?? data['destination']);
    if (to) said.push(`to ${phone(to).text}`);
  } else if (event.type.startsWith('call.recording')) {
    said.push(text(data['path']).split('/').at(-1) ?? '');
  } else if (event.type.startsWith('conference.')) {
    said.push(text(data['conference']));
  } else if (!call) {
    said.push(text(data['name'] ?? data['email'] ?? data['reason'] ?? data['detail']));
  }
  if (call?.inferred && event.type === 'call.ended') said.push('concluded, not seen');
  return { words, detail: said.filter(Boolean).join(' · '), tone: colour };
}

/** Whether an entry is something an operator should look at. */
export function isProblem(event: LogEvent): boolean {
  if (event.type === 'call.ended') {
    const name = event.data.call?.hangup_cause ?? '';
    return cause(name).tone === 'bad' || Boolean(event.data.call?.inferred);
  }
  return event.type === 'call.in_doubt';
}

/** The page that an entry's resource has, if it has one. */
export function addressOf(event: LogEvent): string | null {
  const call = event.data.call;
  if (call) return `/admin/calls/${call.id}`;
  if (event.resource.startsWith('call_')) return `/admin/calls/${event.resource}`;
  if (event.type.startsWith('conference.')) return '/admin/conferences';
  if (event.resource.startsWith('conv_')) return `/inbox?tab=all&conversation=${event.resource}`;
  if (event.resource.startsWith('chn_')) return `/admin/channels?channel=${event.resource}`;
  const talk = (event.data['message'] as { conversation_id?: string } | undefined)?.conversation_id;
  if (talk) return `/inbox?tab=all&conversation=${talk}`;
  return null;
}
