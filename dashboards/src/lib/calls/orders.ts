/** What can be done with a live call: the words, the key, the request, and why not now. */
import type { Component } from 'svelte';
import Ear from '@lucide/svelte/icons/ear';
import Circle from '@lucide/svelte/icons/circle-dot';
import Grip from '@lucide/svelte/icons/grip';
import Link2 from '@lucide/svelte/icons/link-2';
import Mic from '@lucide/svelte/icons/mic';
import MicOff from '@lucide/svelte/icons/mic-off';
import Pause from '@lucide/svelte/icons/pause';
import PhoneForwarded from '@lucide/svelte/icons/phone-forwarded';
import PhoneIncoming from '@lucide/svelte/icons/phone-incoming';
import PhoneOff from '@lucide/svelte/icons/phone-off';
import Play from '@lucide/svelte/icons/play';
import Square from '@lucide/svelte/icons/square';
import Volume2 from '@lucide/svelte/icons/volume-2';
import type { Call } from '$lib/api/types';
import { isMuted, liveLegs, runningRecordings } from '$lib/words/states';

export type OrderId = 'answer' | 'hold' | 'unhold' | 'mute' | 'unmute' | 'dtmf' | 'play' | 'record' | 'record_stop' | 'transfer' | 'transfer_complete' | 'transfer_cancel' | 'bridge' | 'monitor' | 'hangup';

export interface Asked {
  method: string;
  path: string;
  body?: Record<string, unknown>;
}

export interface CallOrder {
  id: OrderId;
  words: string;
  key: string;
  icon: Component<{ size?: number }>;
  /** Not shown at all where it makes no sense (unhold a call that is not held). */
  fits: (call: Call) => boolean;
  /** Why it cannot be done now. */
  blocked: (call: Call) => string;
  asks?: boolean;
  destroys?: boolean;
  /** What it sends when nothing is asked, and the example for "copy as curl". */
  request: (call: Call) => Asked;
  done: string;
}

const path = (call: Call, rest: string): string => `/v1/calls/${call.id}/${rest}`;
const over = (call: Call): string => (call.state === 'ended' ? 'The call has ended' : call.in_doubt ? 'Its switch is out of reach' : '');
const connected = (call: Call): string => over(call) || (call.answered_us || ['answered', 'bridged', 'held'].includes(call.state) ? '' : 'Nobody has answered yet');
const simple = (rest: string) => (call: Call): Asked => ({ method: 'POST', path: path(call, rest), body: {} });
/** A third side is on the line while somebody asks before a transfer. */
const consulting = (call: Call): boolean => liveLegs(call).length >= 3 && !call.conference;
const always = (): boolean => true;

export const ORDERS: readonly CallOrder[] = [
  {
    id: 'answer', words: 'Answer', key: 'a', icon: PhoneIncoming, done: 'Answered',
    fits: (call) => !call.answered_us && call.direction === 'inbound' && call.state !== 'ended', blocked: over, request: simple('answer')
  },
  {
    id: 'hold', words: 'Hold', key: 'h', icon: Pause, done: 'On hold',
    fits: (call) => call.state !== 'held', blocked: connected, request: simple('hold')
  },
  { id: 'unhold', words: 'Take off hold', key: 'h', icon: Play, done: 'Talking again', fits: (call) => call.state === 'held', blocked: connected, request: simple('unhold') },
  { id: 'mute', words: 'Mute', key: 'm', icon: MicOff, done: 'Muted', fits: (call) => !isMuted(call), blocked: connected, request: simple('mute') },
  { id: 'unmute', words: 'Unmute', key: 'm', icon: Mic, done: 'Unmuted', fits: isMuted, blocked: connected, request: simple('unmute') },
  { id: 'dtmf', words: 'Press keys', key: 'd', icon: Grip, done: 'Keys sent', fits: always, blocked: connected, asks: true, request: (call) => ({ method: 'POST', path: path(call, 'dtmf'), body: { digits: '1' } }) },
  { id: 'play', words: 'Play sound', key: 'p', icon: Volume2, done: 'Playing', fits: always, blocked: connected, asks: true, request: (call) => ({ method: 'POST', path: path(call, 'play'), body: { tone: '%(500,500,425)' } }) },
  {
    id: 'record', words: 'Record', key: 'r', icon: Circle, done: 'Recording',
    fits: (call) => runningRecordings(call).length === 0, blocked: connected, request: simple('recordings')
  },
  {
    id: 'record_stop', words: 'Stop recording', key: 'r', icon: Square, done: 'Recording stopped',
    fits: (call) => runningRecordings(call).length > 0,
    blocked: (call) => over(call) || (recordingId(call) ? '' : 'The switch began it by itself; it ends with the call'),
    request: (call) => ({ method: 'PATCH', path: path(call, `recordings/${recordingId(call)}`), body: { action: 'stop' } })
  },
  { id: 'transfer', words: 'Transfer', key: 't', icon: PhoneForwarded, done: 'Transferred', fits: always, blocked: connected, asks: true, request: (call) => ({ method: 'POST', path: path(call, 'transfer'), body: { mode: 'blind', to: '+442079460000' } }) },
  { id: 'transfer_complete', words: 'Connect them', key: 'y', icon: PhoneForwarded, done: 'Connected', fits: consulting, blocked: over, request: simple('transfer/complete') },
  { id: 'transfer_cancel', words: 'Call off', key: 'n', icon: PhoneOff, done: 'Back with the caller', fits: consulting, blocked: over, request: simple('transfer/cancel') },
  { id: 'bridge', words: 'Join calls', key: 'b', icon: Link2, done: 'Joined', fits: always, blocked: connected, asks: true, request: (call) => ({ method: 'POST', path: path(call, 'bridge'), body: { call_id: 'call_…' } }) },
  {
    id: 'monitor', words: 'Listen in', key: 'l', icon: Ear, done: 'Your phone rings', fits: always,
    blocked: (call) => connected(call) || (liveLegs(call).length < 2 ? 'Nobody talks to anybody yet' : ''), asks: true,
    request: (call) => ({ method: 'POST', path: path(call, 'monitor'), body: { to: '1001', mode: 'listen' } })
  },
  { id: 'hangup', words: 'Hang up', key: 'e', icon: PhoneOff, done: 'Hung up', fits: always, blocked: (call) => (call.state === 'ended' ? 'The call has ended' : ''), destroys: true, request: (call) => ({ method: 'DELETE', path: `/v1/calls/${call.id}` }) }
];

/** The newest running recording. Its id is in the file's name, where the controller put it. */
export function recordingId(call: Call): string {
  const name = runningRecordings(call).map((item) => (item.path.split('/').at(-1) ?? '').split('.')[0] ?? '');
  return name.findLast((id) => id.startsWith('rec_')) ?? '';
}

/** `2 people`: who hears something when a call ends. */
export const peopleOn = (call: Call): number => Math.max(1, liveLegs(call).length);
