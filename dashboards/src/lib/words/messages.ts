/** What became of a message, and what it is, in words. */
import type { Conversation, Message } from '$lib/api/types';
import type { State } from './states';
import { plural, spanWords } from './time';

const STATES: Readonly<Record<string, State>> = {
  received: { word: 'Received', tone: 'plain', help: 'Came in' },
  noted: { word: 'Note', tone: 'plain', help: 'For colleagues only' },
  queued: { word: 'Waits to go out', tone: 'info', help: 'Stored; it is sent as soon as the provider takes it' },
  sent: { word: 'Sent', tone: 'plain', help: 'The provider has it' },
  delivered: { word: 'Delivered', tone: 'good', help: 'It reached the device or the mailbox' },
  read: { word: 'Read', tone: 'good', help: 'The receiver opened it' },
  failed: { word: 'Not sent', tone: 'bad', help: 'It never left the provider' },
  undelivered: { word: 'Not delivered', tone: 'bad', help: 'It was sent and did not arrive' },
  unknown: { word: 'May have been sent', tone: 'attention', help: 'The connection broke while the provider took it. It may or may not have arrived, so it is not sent again by itself' },
  cancelled: { word: 'Taken back', tone: 'plain', help: 'Cancelled before it went out' }
};

export function messageState(message: Pick<Message, 'state' | 'send_at_us'>, nowMs: number): State {
  if (message.state === 'queued' && message.send_at_us > nowMs * 1000) return { word: 'Goes out later', tone: 'info', help: 'Waits for its time' };
  return STATES[message.state] ?? { word: message.state, tone: 'attention', help: message.state };
}

export const isBad = (state: string): boolean => state === 'failed' || state === 'undelivered' || state === 'unknown';

const TALK: Readonly<Record<string, State>> = {
  open: { word: 'Open', tone: 'info', help: 'Somebody should answer, or has' },
  pending: { word: 'Pending', tone: 'attention', help: 'Waits for something outside' },
  snoozed: { word: 'Snoozed', tone: 'plain', help: 'Put away until later, or until they write' },
  resolved: { word: 'Resolved', tone: 'good', help: 'Done; the next message begins a new conversation' }
};
export const talkState = (state: string): State => TALK[state] ?? { word: state, tone: 'plain', help: state };

/** `Priority 2`, `Low priority`; empty for the usual one. */
export const priorityWords = (talk: Pick<Conversation, 'priority'>): string =>
  talk.priority > 0 ? `Priority ${talk.priority}` : talk.priority < 0 ? 'Low priority' : '';

export interface Content {
  type: string;
  text: string;
  html: string;
  /** What is new in a mail, without what it quotes. */
  fresh: string;
  caption: string;
  kind: string;
  emoji: string;
  target: string;
  name: string;
  address: string;
  latitude: number;
  longitude: number;
  title: string;
  options: readonly { id: string; title: string; description?: string }[];
  values: readonly string[];
  file: { name?: string; media_type?: string; size?: number };
}

/** The content with every member that some kind of content has. */
export function contentOf(message: { readonly content: object }): Content {
  return {
    type: 'text', text: '', html: '', fresh: '', caption: '', kind: '', emoji: '', target: '', name: '', address: '',
    latitude: 0, longitude: 0, title: '', options: [], values: [], file: {}, ...(message.content as Partial<Content>)
  };
}

/** How long free text may still be written, where a channel has a window; null where it has none. */
export function windowLeft(windowS: number, lastInboundUs: number, nowMs: number): number | null {
  if (windowS <= 0) return null;
  return Math.max(0, lastInboundUs / 1000 + windowS * 1000 - nowMs);
}

export const windowWords = (leftMs: number): string => (leftMs > 0 ? `Free text for another ${spanWords(Math.ceil(leftMs / 60_000) * 60_000)}` : 'Only templates until they write again');

export const segmentWords = (segments: number): string => plural(segments, 'SMS', 'SMS');
