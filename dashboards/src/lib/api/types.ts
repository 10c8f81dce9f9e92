/**
 * The shapes the pages work with: those of the generated `schema.d.ts`, made total. The API leaves out what has
 * its default (a call that never held has no `hold_us`), and a page should not have to know.
 */
import type { components } from './schema';

export type Schemas = components['schemas'];
export type Leg = Schemas['Leg'];
/** A recording as its leg tells of it; the stored file is another thing of that name. */
export type Recording = Leg['recordings'][number];
export type Call = Schemas['Call'];
export type LogItem = Schemas['LogItem'];
export type Conversation = Schemas['Conversation'];
export type Message = Schemas['Message'];
export type Account = Schemas['ChannelInfo'];
export type ChannelKind = Schemas['ChannelKind'];

/** One entry of the numbered log; entries about a call carry the call as it was right after. */
export interface LogEvent extends Omit<LogItem, 'data'> {
  data: Readonly<Record<string, unknown>> & { readonly call?: Call };
}

const LEG: Leg = {
  uuid: '', direction: 'inbound', state: 'new', channel_name: '', caller: '', caller_name: '', destination: '',
  created_us: 0, progress_us: 0, progress_media_us: 0, answered_us: 0, bridged_us: 0, hangup_us: 0, hold_us: 0,
  held_since_us: 0, muted: false, parked: false, bridged_to: '', other_leg: '', conference: '', conference_id: '', conference_member: '',
  hangup_cause: '', hangup_q850: 0, sip_status: 0, sip_disposition: '', sip_call_id: '', disposition: '', billsec: 0,
  duration: 0, codec: '', trunk: '', digits: 0, recordings: [], recovered: false, recovered_us: 0, transfer: '',
  marks: [], inferred: false, agent: ''
};

const CALL: Call = {
  id: '', tenant_id: '', node: '', direction: 'inbound', state: 'new', caller: '', caller_name: '', destination: '',
  created_us: 0, ringing_us: 0, answered_us: 0, ended_us: 0, hangup_cause: '', legs: [], conference: '',
  merged_into: '', inferred: false, in_doubt: false, request_id: '', surprises: 0, version: 0
};

const RECORDING: Recording = { leg: '', path: '', started_us: 0, stopped_us: 0, samples: 0, size: 0, cause: '', conference: '' };

export function legOf(raw: object): Leg {
  const leg: Leg = { ...LEG, ...raw };
  if (leg.recordings.length) leg.recordings = leg.recordings.map((item) => ({ ...RECORDING, ...item }));
  return leg;
}

/** A call with all its fields, from the API's short form. */
export function callOf(raw: object): Call {
  const call: Call = { ...CALL, ...raw };
  call.legs = call.legs.map(legOf);
  return call;
}
