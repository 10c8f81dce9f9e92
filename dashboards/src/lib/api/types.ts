/**
 * The shapes the pages work with. They are the generated ones of `schema.d.ts`, made total: the API leaves
 * out what has its default (a call that never held has no `hold_us`), and a page should not have to know.
 */

export type CallState = 'new' | 'ringing' | 'answered' | 'bridged' | 'held' | 'ended';
export type LegState = 'new' | 'ringing' | 'early' | 'answered' | 'ended';

export interface Recording {
  leg: string;
  path: string;
  started_us: number;
  stopped_us: number;
  samples: number;
  size: number;
  cause: string;
}

export interface Leg {
  uuid: string;
  direction: string;
  state: LegState;
  channel_name: string;
  caller: string;
  caller_name: string;
  destination: string;
  created_us: number;
  progress_us: number;
  progress_media_us: number;
  answered_us: number;
  bridged_us: number;
  hangup_us: number;
  hold_us: number;
  held_since_us: number;
  muted: boolean;
  parked: boolean;
  bridged_to: string;
  other_leg: string;
  conference: string;
  conference_member: string;
  hangup_cause: string;
  hangup_q850: number;
  sip_status: number;
  sip_disposition: string;
  sip_call_id: string;
  billsec: number;
  duration: number;
  codec: string;
  trunk: string;
  digits: number;
  recordings: readonly Recording[];
  recovered: boolean;
  inferred: boolean;
}

export interface Call {
  id: string;
  tenant_id: string;
  node: string;
  direction: string;
  state: CallState;
  caller: string;
  caller_name: string;
  destination: string;
  created_us: number;
  ringing_us: number;
  answered_us: number;
  ended_us: number;
  hangup_cause: string;
  legs: readonly Leg[];
  conference: string;
  merged_into: string;
  inferred: boolean;
  in_doubt: boolean;
  request_id: string;
  surprises: number;
  version: number;
}

export interface LogEvent {
  seq: number;
  id: string;
  type: string;
  occurred_at: string;
  recorded_at: string;
  resource: string;
  data: Readonly<Record<string, unknown>> & { readonly call?: Call };
  causation_id?: string | null;
  request_id?: string | null;
  schema_version: number;
}

const LEG: Leg = {
  uuid: '', direction: 'inbound', state: 'new', channel_name: '', caller: '', caller_name: '', destination: '',
  created_us: 0, progress_us: 0, progress_media_us: 0, answered_us: 0, bridged_us: 0, hangup_us: 0, hold_us: 0,
  held_since_us: 0, muted: false, parked: false, bridged_to: '', other_leg: '', conference: '',
  conference_member: '', hangup_cause: '', hangup_q850: 0, sip_status: 0, sip_disposition: '', sip_call_id: '',
  billsec: 0, duration: 0, codec: '', trunk: '', digits: 0, recordings: [], recovered: false, inferred: false
};

const CALL: Call = {
  id: '', tenant_id: '', node: '', direction: 'inbound', state: 'new', caller: '', caller_name: '',
  destination: '', created_us: 0, ringing_us: 0, answered_us: 0, ended_us: 0, hangup_cause: '', legs: [],
  conference: '', merged_into: '', inferred: false, in_doubt: false, request_id: '', surprises: 0, version: 0
};

const RECORDING: Recording = { leg: '', path: '', started_us: 0, stopped_us: 0, samples: 0, size: 0, cause: '' };

export const legOf = (raw: object): Leg => {
  const leg = { ...LEG, ...raw } as Leg;
  if (leg.recordings.length) leg.recordings = leg.recordings.map((item) => ({ ...RECORDING, ...item }));
  return leg;
};

/** A call with all its fields, from the API's short form. */
export function callOf(raw: object): Call {
  const call = { ...CALL, ...raw } as Call;
  call.legs = (call.legs as readonly object[]).map(legOf);
  return call;
}
