/**
 * What the agent has in hand, as a pure function of what a controller told: no socket, no clock, no microphone.
 *
 * `greeted` takes the lists of a new session, `heard` one numbered event. Both may name things again that are known
 * already; the result is the same.
 */
import type { AgentView, CallView, Hello, Offer, Told, WrapUp } from './protocol';

export interface Desk {
  readonly agent: AgentView | null;
  /** Oldest first: the first one is what the answer key takes. */
  readonly offers: readonly Offer[];
  readonly calls: readonly CallView[];
  readonly wrapUps: readonly WrapUp[];
  /** What became of the last offers and calls that are over, newest last, for those who are told. */
  readonly over: readonly Over[];
}

export interface Over {
  readonly what: 'offer' | 'call';
  readonly id: string;
  readonly why: string;
  readonly offer?: Offer;
  readonly call?: CallView;
}

export const EMPTY_DESK: Desk = { agent: null, offers: [], calls: [], wrapUps: [], over: [] };
const KEPT = 10;

const put = <T>(list: readonly T[], key: (one: T) => string, fresh: T): T[] => (list.some((one) => key(one) === key(fresh)) ? list.map((one) => (key(one) === key(fresh) ? fresh : one)) : [...list, fresh]);

/** The lists of a session that begins: what is not in them is over. */
export function greeted(desk: Desk, hello: Hello): Desk {
  const calls = hello.calls.filter((call) => call.state !== 'ended');
  const gone: Over[] = [
    ...desk.calls.filter((call) => !calls.some((one) => one.id === call.id)).map((call) => ({ what: 'call' as const, id: call.id, why: '', call })),
    ...desk.offers.filter((offer) => !hello.offers.some((one) => one.id === offer.id)).map((offer) => ({ what: 'offer' as const, id: offer.id, why: '', offer }))
  ];
  return { agent: hello.agent ?? desk.agent, offers: hello.offers, calls, wrapUps: hello.wrapUps, over: [...desk.over, ...gone].slice(-KEPT) };
}

export function heard(desk: Desk, told: Told): Desk {
  switch (told.kind) {
    case 'offer':
      return { ...desk, offers: put(desk.offers, (one) => one.id, told.offer) };
    case 'offer_ended': {
      const offer = desk.offers.find((one) => one.id === told.offer);
      const offers = desk.offers.filter((one) => one.id !== told.offer);
      const wrapUps = desk.wrapUps.filter((one) => one.offer !== told.offer);
      if (!offer && wrapUps.length === desk.wrapUps.length) return desk;
      return { ...desk, offers, wrapUps, over: offer ? [...desk.over, { what: 'offer' as const, id: offer.id, why: told.reason, offer }].slice(-KEPT) : desk.over };
    }
    case 'call':
      return told.call.state === 'ended' ? ended(desk, told.call.id, '') : { ...desk, calls: put(desk.calls, (one) => one.id, told.call), offers: desk.offers.filter((one) => !one.call_id || one.call_id !== told.call.id) };
    case 'call_ended':
      return ended(desk, told.call, told.cause);
    case 'agent':
      return { ...desk, agent: told.agent };
    case 'wrap_up': {
      const known = desk.wrapUps.find((one) => one.offer === told.wrapUp.offer);
      const about = [...desk.over].reverse().find((one) => one.call && (!told.wrapUp.call_id || one.call.id === told.wrapUp.call_id))?.call;
      // The event may name the reservation and the time alone: whom it was about is known from before.
      const fresh: WrapUp = {
        offer: told.wrapUp.offer, until: told.wrapUp.until, caller: told.wrapUp.caller || known?.caller || about?.other || '', caller_name: told.wrapUp.caller_name || known?.caller_name || about?.other_name || '',
        queue: told.wrapUp.queue ?? known?.queue ?? about?.queue ?? null, call_id: told.wrapUp.call_id || known?.call_id || about?.id || '', conversation_id: told.wrapUp.conversation_id || known?.conversation_id || about?.conversation_id || ''
      };
      return { ...desk, wrapUps: put(desk.wrapUps, (one) => one.offer, fresh) };
    }
    default:
      return desk;
  }
}

function ended(desk: Desk, id: string, why: string): Desk {
  const call = desk.calls.find((one) => one.id === id);
  if (!call) return desk;
  return { ...desk, calls: desk.calls.filter((one) => one.id !== id), over: [...desk.over, { what: 'call' as const, id, why, call }].slice(-KEPT) };
}

/** A wrap-up that was sent in, or whose time is over. */
export const wrapped = (desk: Desk, offer: string): Desk => ({ ...desk, wrapUps: desk.wrapUps.filter((one) => one.offer !== offer) });
export const declined = (desk: Desk, offer: string): Desk => ({ ...desk, offers: desk.offers.filter((one) => one.id !== offer) });

/** The call one talks in: what keys and the bar are about. Held ones come after those with sound. */
export function currentCall(desk: Desk): CallView | undefined {
  const rank = (call: CallView): number => ['talking', 'consulting', 'connecting', 'ringing', 'held'].indexOf(call.state);
  return [...desk.calls].sort((a, b) => rank(a) - rank(b) || a.since - b.since)[0];
}
