/**
 * Why a call ended, in a person's words. The exact code stays one hover away.
 *
 * The names and numbers are FreeSWITCH's (`switch_cause_t`; Q.850 where the number is below 128).
 */
export type Tone = 'good' | 'attention' | 'bad' | 'info' | 'plain';

const TABLE: Readonly<Record<string, readonly [number, string, Tone]>> = {
  NONE: [0, 'No reason given', 'plain'],
  UNALLOCATED_NUMBER: [1, 'Number does not exist', 'bad'],
  NO_ROUTE_TRANSIT_NET: [2, 'No route through the network', 'bad'],
  NO_ROUTE_DESTINATION: [3, 'No route to this number', 'bad'],
  CHANNEL_UNACCEPTABLE: [6, 'Channel not acceptable', 'bad'],
  CALL_AWARDED_DELIVERED: [7, 'Delivered on another channel', 'plain'],
  NORMAL_CLEARING: [16, 'Hung up normally', 'plain'],
  USER_BUSY: [17, 'Busy', 'attention'],
  NO_USER_RESPONSE: [18, 'Phone did not respond', 'attention'],
  NO_ANSWER: [19, 'No answer', 'attention'],
  SUBSCRIBER_ABSENT: [20, 'Not reachable', 'attention'],
  CALL_REJECTED: [21, 'Declined', 'attention'],
  NUMBER_CHANGED: [22, 'Number has changed', 'bad'],
  REDIRECTION_TO_NEW_DESTINATION: [23, 'Redirected elsewhere', 'plain'],
  EXCHANGE_ROUTING_ERROR: [25, 'Routing loop', 'bad'],
  DESTINATION_OUT_OF_ORDER: [27, 'Destination out of order', 'bad'],
  INVALID_NUMBER_FORMAT: [28, 'Number is incomplete or wrong', 'bad'],
  FACILITY_REJECTED: [29, 'Feature refused', 'bad'],
  RESPONSE_TO_STATUS_ENQUIRY: [30, 'Ended after a status check', 'plain'],
  NORMAL_UNSPECIFIED: [31, 'Ended, no reason given', 'plain'],
  NORMAL_CIRCUIT_CONGESTION: [34, 'All lines busy', 'bad'],
  NETWORK_OUT_OF_ORDER: [38, 'Network out of order', 'bad'],
  NORMAL_TEMPORARY_FAILURE: [41, 'Temporary failure', 'bad'],
  SWITCH_CONGESTION: [42, 'Switch overloaded', 'bad'],
  ACCESS_INFO_DISCARDED: [43, 'Access information lost', 'bad'],
  REQUESTED_CHAN_UNAVAIL: [44, 'No free line', 'bad'],
  PRE_EMPTED: [45, 'Displaced by a priority call', 'attention'],
  FACILITY_NOT_SUBSCRIBED: [50, 'Feature not subscribed', 'bad'],
  OUTGOING_CALL_BARRED: [52, 'Outgoing calls are barred', 'bad'],
  INCOMING_CALL_BARRED: [54, 'Incoming calls are barred', 'bad'],
  BEARERCAPABILITY_NOTAUTH: [57, 'Not authorised', 'bad'],
  BEARERCAPABILITY_NOTAVAIL: [58, 'Service not available now', 'bad'],
  SERVICE_UNAVAILABLE: [63, 'Service unavailable', 'bad'],
  BEARERCAPABILITY_NOTIMPL: [65, 'Media not supported', 'bad'],
  CHAN_NOT_IMPLEMENTED: [66, 'Channel type not supported', 'bad'],
  FACILITY_NOT_IMPLEMENTED: [69, 'Feature not supported', 'bad'],
  SERVICE_NOT_IMPLEMENTED: [79, 'Service not supported', 'bad'],
  INVALID_CALL_REFERENCE: [81, 'Unknown call', 'bad'],
  INCOMPATIBLE_DESTINATION: [88, 'No common codec', 'bad'],
  INVALID_MSG_UNSPECIFIED: [95, 'Invalid message', 'bad'],
  MANDATORY_IE_MISSING: [96, 'Message incomplete', 'bad'],
  MESSAGE_TYPE_NONEXIST: [97, 'Unknown message type', 'bad'],
  WRONG_MESSAGE: [98, 'Unexpected message', 'bad'],
  IE_NONEXIST: [99, 'Unknown message element', 'bad'],
  INVALID_IE_CONTENTS: [100, 'Invalid message element', 'bad'],
  WRONG_CALL_STATE: [101, 'Message out of turn', 'bad'],
  RECOVERY_ON_TIMER_EXPIRE: [102, 'Far side timed out', 'bad'],
  MANDATORY_IE_LENGTH_ERROR: [103, 'Message element too long', 'bad'],
  PROTOCOL_ERROR: [111, 'Protocol error', 'bad'],
  INTERWORKING: [127, 'Networks did not understand each other', 'bad'],
  SUCCESS: [142, 'Completed', 'good'],
  ORIGINATOR_CANCEL: [487, 'Caller gave up', 'attention'],
  CRASH: [700, 'Switch crashed', 'bad'],
  SYSTEM_SHUTDOWN: [701, 'Switch was shut down', 'bad'],
  LOSE_RACE: [702, 'Answered elsewhere', 'plain'],
  MANAGER_REQUEST: [703, 'Ended by an operator', 'plain'],
  BLIND_TRANSFER: [800, 'Transferred', 'plain'],
  ATTENDED_TRANSFER: [801, 'Transferred after consultation', 'plain'],
  ALLOTTED_TIMEOUT: [802, 'Time allowed was used up', 'attention'],
  USER_CHALLENGE: [803, 'Login required', 'attention'],
  MEDIA_TIMEOUT: [804, 'Sound stopped arriving', 'bad'],
  PICKED_OFF: [805, 'Picked up elsewhere', 'plain'],
  USER_NOT_REGISTERED: [806, 'Phone not registered', 'bad'],
  PROGRESS_TIMEOUT: [807, 'Did not start ringing in time', 'bad'],
  INVALID_GATEWAY: [808, 'Unknown gateway', 'bad'],
  GATEWAY_DOWN: [809, 'Gateway is down', 'bad'],
  INVALID_URL: [810, 'Invalid address', 'bad'],
  INVALID_PROFILE: [811, 'Unknown SIP profile', 'bad'],
  NO_PICKUP: [812, 'Nobody picked up', 'attention'],
  SRTP_READ_ERROR: [813, 'Encrypted sound could not be read', 'bad'],
  BOWOUT: [814, 'Switch stepped out of the way', 'plain'],
  BUSY_EVERYWHERE: [815, 'Busy everywhere', 'attention'],
  DECLINE: [816, 'Declined', 'attention'],
  DOES_NOT_EXIST_ANYWHERE: [817, 'Exists nowhere', 'bad'],
  NOT_ACCEPTABLE: [818, 'Not acceptable', 'bad'],
  UNWANTED: [819, 'Marked as unwanted', 'attention'],
  NO_IDENTITY: [820, 'Caller identity missing', 'bad'],
  BAD_IDENTITY_INFO: [821, 'Caller identity invalid', 'bad'],
  UNSUPPORTED_CERTIFICATE: [822, 'Certificate not supported', 'bad'],
  INVALID_IDENTITY: [823, 'Caller identity could not be verified', 'bad'],
  STALE_DATE: [824, 'Request was too old', 'bad'],
  REJECT_ALL: [825, 'Declines all calls', 'attention']
};

export interface Cause {
  words: string;
  /** `USER_BUSY (17)`: for the hover. */
  code: string;
  tone: Tone;
}

/** The words for a hangup cause; an unknown one is made readable rather than hidden. */
export function cause(name: string): Cause {
  if (!name) return { words: '', code: '', tone: 'plain' };
  const known = TABLE[name];
  if (known) return { words: known[1], code: `${name} (${known[0]})`, tone: known[2] };
  const words = name.toLowerCase().replaceAll('_', ' ');
  return { words: words.charAt(0).toUpperCase() + words.slice(1), code: name, tone: 'attention' };
}

export const CAUSE_NAMES: readonly string[] = Object.keys(TABLE);
