/** What the phone says of states, refusals and ends, in the words of the person at the desk. */
import { cause, type Tone } from '$lib/words/causes';
import type { Shape } from '$lib/words/states';
import type { Mark } from './client';
import type { AgentView, CallView } from './protocol';
import type { Line } from './voice';

export interface Word {
  word: string;
  tone: Tone;
  help: string;
}

const REFUSALS: Readonly<Record<string, string>> = {
  offer_gone: 'Somebody else has it, or the caller hung up',
  no_agent: 'You have no desk: somebody who manages agents can give you one',
  no_phone: 'The switch takes no browsers yet: its inside profile is not set up',
  invalid_sdp: 'The browser gave no usable address for the sound: allow the microphone for this page',
  leg_ended: 'The call is over',
  call_ended: 'The call is over',
  offline: 'There is no connection to the phone system now',
  connection_lost: 'The connection was lost: what became of it is shown when it is back',
  timeout: 'No answer came in time',
  busy: 'You are in a call already',
  not_found: 'It is gone'
};

export const refusal = (code: string, detail: string): string => REFUSALS[code] ?? (detail || 'It was not possible');

const STATES: Readonly<Record<string, Word & { shape: Shape }>> = {
  connecting: { word: 'Connecting', tone: 'info', help: 'The sound is being connected', shape: 'new' },
  ringing: { word: 'Ringing', tone: 'info', help: 'It rings at the other side', shape: 'ringing' },
  talking: { word: 'Talking', tone: 'good', help: 'You hear each other', shape: 'talking' },
  held: { word: 'On hold', tone: 'attention', help: 'They wait and hear music; you hear nothing', shape: 'held' },
  consulting: { word: 'Asking first', tone: 'info', help: 'You talk with the one it shall go to; the caller waits', shape: 'talking' },
  ended: { word: 'Ended', tone: 'plain', help: 'It is over', shape: 'ended' }
};
export const callWord = (call: Pick<CallView, 'state'>): Word & { shape: Shape } => STATES[call.state] ?? STATES['connecting']!;

/** What somebody can be reached by, from what they chose and what they do. */
export function agentWord(agent: Pick<AgentView, 'state' | 'activity' | 'reason'>): Word {
  if (agent.state === 'offline') return { word: 'Not at the desk', tone: 'plain', help: 'No page of theirs is connected' };
  if (agent.activity === 'busy') return { word: 'In a call', tone: 'info', help: agent.state === 'ready' ? 'Ready again afterwards' : 'Not ready afterwards' };
  if (agent.activity === 'reserved') return { word: 'Being offered work', tone: 'info', help: 'Something rings there now' };
  if (agent.activity === 'wrap_up') return { word: 'Wrapping up', tone: 'attention', help: 'Finishes a call in writing' };
  if (agent.state === 'ready') return { word: 'Ready', tone: 'good', help: 'Takes the next thing' };
  return { word: agent.reason ? reasonWord(agent.reason) : 'Not ready', tone: 'attention', help: 'Is offered nothing' };
}

export const REASONS: readonly { value: string; words: string }[] = [
  { value: 'break', words: 'Break' },
  { value: 'lunch', words: 'Lunch' },
  { value: 'meeting', words: 'Meeting' },
  { value: 'training', words: 'Training' },
  { value: 'paperwork', words: 'Paperwork' },
  { value: 'other', words: 'Something else' }
];
/** Reasons that the platform gives by itself. */
const OTHERS: Readonly<Record<string, string>> = { missed: 'An offer was missed', missed_offer: 'An offer was missed', connection_lost: 'The connection was lost', signed_in: 'Just came' };
export const reasonWord = (reason: string): string => REASONS.find((one) => one.value === reason)?.words ?? OTHERS[reason] ?? (reason.charAt(0).toUpperCase() + reason.slice(1)).replaceAll('_', ' ');

export function lineWord(line: Line): Word {
  if (line === 'connected') return { word: 'Connected', tone: 'good', help: 'Sound goes both ways' };
  if (line === 'broken') return { word: 'Sound is being restored', tone: 'bad', help: 'The way to the switch broke; another one is looked for' };
  return { word: 'Connecting sound', tone: 'info', help: 'The browser looks for the way to the switch' };
}

export function markWord(mark: Mark): Word {
  switch (mark.kind) {
    case 'live': return { word: 'Phone live', tone: 'good', help: 'The phone system hears this page' };
    case 'catching_up': return { word: 'Phone catching up', tone: 'info', help: `Reading what happened in between: ${mark.behind}` };
    case 'offline': return { word: 'Phone offline', tone: 'bad', help: `${mark.why}. A call goes on; new ones are not offered` };
    case 'elsewhere': return { word: 'Phone is elsewhere', tone: 'attention', help: mark.why };
    case 'refused': return { word: 'No phone', tone: 'bad', help: mark.why };
    case 'connecting': return { word: 'Phone connecting', tone: 'info', help: 'Looking for a controller' };
    default: return { word: 'Phone is off', tone: 'plain', help: 'You are not at the desk' };
  }
}

const ENDED: Readonly<Record<string, string>> = {
  withdrawn: 'The caller hung up, or somebody else took it',
  missed: 'You did not answer in time: you are not ready now',
  declined: 'You declined it',
  accepted: '',
  done: '',
  failed: 'It could not be connected'
};
export const offerEndWord = (why: string): string => ENDED[why] ?? why.replaceAll('_', ' ');
export const callEndWord = (why: string): string => (why ? cause(why).words : 'It ended while the connection was away');
