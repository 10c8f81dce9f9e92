/** The states of calls, legs and switches in words, each with the meaning of its colour. */
import type { Call, Leg } from '$lib/api/types';
import type { Tone } from './causes';
import { spanWords } from './time';

/** The shape beside the word; `StateMark` knows its picture. */
export type Shape = 'new' | 'ringing' | 'answered' | 'talking' | 'held' | 'parked' | 'ended' | 'doubt';

export interface State {
  word: string;
  tone: Tone;
  /** What it means, for the hover. */
  help: string;
  shape?: Shape;
}

const CALL: Readonly<Record<string, State>> = {
  new: { word: 'New', tone: 'info', help: 'The switch has the call; nothing rings yet', shape: 'new' },
  ringing: { word: 'Ringing', tone: 'info', help: 'Waiting for somebody to answer', shape: 'ringing' },
  parked: { word: 'Parked', tone: 'attention', help: 'Waits on the switch for somebody to take it', shape: 'parked' },
  answered: { word: 'Answered', tone: 'good', help: 'One side is connected and hears the switch', shape: 'answered' },
  bridged: { word: 'Talking', tone: 'good', help: 'Both sides hear each other', shape: 'talking' },
  held: { word: 'On hold', tone: 'attention', help: 'One side waits', shape: 'held' },
  ended: { word: 'Ended', tone: 'plain', help: 'Nobody is connected any more', shape: 'ended' }
};

const LEG: Readonly<Record<string, State>> = {
  new: { word: 'New', tone: 'info', help: 'Being set up', shape: 'new' },
  ringing: { word: 'Ringing', tone: 'info', help: 'The far side rings', shape: 'ringing' },
  early: { word: 'Early sound', tone: 'info', help: 'Sound before the answer, such as a ring tone', shape: 'ringing' },
  answered: { word: 'Connected', tone: 'good', help: 'Answered', shape: 'answered' },
  ended: { word: 'Ended', tone: 'plain', help: 'Hung up', shape: 'ended' }
};

const unknown = (name: string): State => ({ word: name || 'Unknown', tone: 'attention', help: name });

export const callState = (name: string): State => CALL[name] ?? unknown(name);
export const legState = (name: string): State => LEG[name] ?? unknown(name);
export const CALL_STATES = ['new', 'ringing', 'parked', 'answered', 'bridged', 'held'] as const;

/** Who speaks: the number or, without one, the name or the channel. */
export const partyOf = (number: string, name: string): string => number || name || 'Unknown';

export const liveLegs = (call: Call): readonly Leg[] => call.legs.filter((leg) => leg.state !== 'ended');
export const isMuted = (call: Call): boolean => call.legs.some((leg) => leg.muted && leg.state !== 'ended');
export const runningRecordings = (call: Call) =>
  call.legs.flatMap((leg) => leg.recordings.filter((item) => item.stopped_us === 0 && leg.state !== 'ended'));
export const isParked = (call: Call): boolean => call.legs.some((leg) => leg.parked && leg.state !== 'ended');

/** `Talking`, `Parked`, `On hold`: parked is the answered call that nobody took yet. */
export function stateOfCall(call: Call): State {
  if (call.merged_into) return { word: 'Joined another', tone: 'info', help: 'It became part of another call and goes on there', shape: 'ended' };
  if (call.in_doubt) return { word: 'In doubt', tone: 'attention', help: 'Its switch is out of reach; this is the last state we know', shape: 'doubt' };
  return callState(shownState(call));
}

/** The state as it is shown and filtered by: `parked` is what waits on the switch for somebody to take it. */
export const shownState = (call: Call): string => ((call.state === 'answered' || call.state === 'new' || call.state === 'ringing') && isParked(call) ? 'parked' : call.state);

/** One sentence of how long a call rang, talked or took. */
export function lengthOf(call: Call): string {
  if (!call.ended_us) return '';
  const total = spanWords((call.ended_us - call.created_us) / 1000);
  return call.answered_us ? `${spanWords((call.ended_us - call.answered_us) / 1000)} answered, ${total} in all` : `${total}, never answered`;
}

const NODE: Readonly<Record<string, State>> = {
  active: { word: 'In service', tone: 'good', help: 'Takes new calls' },
  draining: { word: 'Draining', tone: 'attention', help: 'Takes no new calls; those it has go on' },
  drained: { word: 'Drained', tone: 'info', help: 'Has no calls and takes none' }
};

export function nodeState(state: string, up: boolean): State {
  if (!up) return { word: 'Unreachable', tone: 'bad', help: 'No Event Socket connection to this switch' };
  return NODE[state] ?? unknown(state);
}

const HEALTH: Readonly<Record<string, State>> = {
  good: { word: 'Working', tone: 'good', help: 'Working as it should' },
  attention: { word: 'Needs a look', tone: 'attention', help: 'Works, but somebody should look' },
  bad: { word: 'Not working', tone: 'bad', help: 'Does not work now' },
  notice: { word: 'Notice', tone: 'info', help: 'Worth knowing, nothing stopped' },
  degraded: { word: 'Degraded', tone: 'attention', help: 'Worked with limits' },
  down: { word: 'Outage', tone: 'bad', help: 'Did not work' }
};

export const health = (name: string): State => HEALTH[name] ?? unknown(name);
