"""FreeSWITCH's vocabularies: event names, channel and call states, hangup causes in numbers, SIP and plain words.

Copied names age, so a test holds every table against a transcription of the facts. Sources: switch_event.c
(names of events), switch_channel.c (states, causes), switch_types.h (numbers), mod_sofia.c
hangup_cause_to_sip and sofia_glue.c (SIP status, out and in), as of 1.10.12; CERT_RELOAD is newer. Pure.

The two SIP directions are not each other's inverse: a 480 that comes in is NO_USER_RESPONSE, which goes out as 408.
"""

from types import MappingProxyType

import msgspec

_EVENT_NAMES = """
CUSTOM CLONE CHANNEL_CREATE CHANNEL_DESTROY CHANNEL_STATE CHANNEL_CALLSTATE CHANNEL_ANSWER CHANNEL_HANGUP
CHANNEL_HANGUP_COMPLETE CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CHANNEL_HOLD CHANNEL_UNHOLD
CHANNEL_BRIDGE CHANNEL_UNBRIDGE CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA CHANNEL_OUTGOING CHANNEL_PARK
CHANNEL_UNPARK CHANNEL_APPLICATION CHANNEL_ORIGINATE CHANNEL_UUID API LOG INBOUND_CHAN OUTBOUND_CHAN
STARTUP SHUTDOWN PUBLISH UNPUBLISH TALK NOTALK SESSION_CRASH MODULE_LOAD MODULE_UNLOAD DTMF MESSAGE
PRESENCE_IN NOTIFY_IN PRESENCE_OUT PRESENCE_PROBE MESSAGE_WAITING MESSAGE_QUERY ROSTER CODEC
BACKGROUND_JOB DETECTED_SPEECH DETECTED_TONE PRIVATE_COMMAND HEARTBEAT TRAP ADD_SCHEDULE DEL_SCHEDULE
EXE_SCHEDULE RE_SCHEDULE RELOADXML NOTIFY PHONE_FEATURE PHONE_FEATURE_SUBSCRIBE SEND_MESSAGE RECV_MESSAGE
REQUEST_PARAMS CHANNEL_DATA GENERAL COMMAND SESSION_HEARTBEAT CLIENT_DISCONNECTED SERVER_DISCONNECTED
SEND_INFO RECV_INFO RECV_RTCP_MESSAGE SEND_RTCP_MESSAGE CALL_SECURE NAT RECORD_START RECORD_STOP
PLAYBACK_START PLAYBACK_STOP CALL_UPDATE FAILURE SOCKET_DATA MEDIA_BUG_START MEDIA_BUG_STOP
CONFERENCE_DATA_QUERY CONFERENCE_DATA CALL_SETUP_REQ CALL_SETUP_RESULT CALL_DETAIL DEVICE_STATE TEXT
SHUTDOWN_REQUESTED CERT_RELOAD
"""

EVENT_NAMES = frozenset(_EVENT_NAMES.split())
"""Every event type; the keyword ``ALL`` and the subclasses of CUSTOM are no types."""

CHANNEL_STATES = (
    "CS_NEW",
    "CS_INIT",
    "CS_ROUTING",
    "CS_SOFT_EXECUTE",
    "CS_EXECUTE",
    "CS_EXCHANGE_MEDIA",
    "CS_PARK",
    "CS_CONSUME_MEDIA",
    "CS_HIBERNATE",
    "CS_RESET",
    "CS_HANGUP",
    "CS_REPORTING",
    "CS_DESTROY",
    "CS_NONE",
)
"""The place is the number in ``Channel-State-Number``."""

CALL_STATES = (
    "DOWN",
    "DIALING",
    "RINGING",
    "EARLY",
    "ACTIVE",
    "HELD",
    "RING_WAIT",
    "HANGUP",
    "UNHELD",
)
"""``Channel-Call-State``, in FreeSWITCH's own order."""

UNLISTED_SIP = 480
"""The SIP status that FreeSWITCH sends for a cause without one of its own."""

UNLISTED_CAUSE = "NORMAL_UNSPECIFIED"
"""The cause that FreeSWITCH gives a SIP status it has no cause for."""


class Cause(msgspec.Struct, frozen=True):
    """One hangup cause."""

    name: str
    number: int
    """Q.850 up to 127; above that FreeSWITCH's own."""
    sip: int
    """The SIP status that FreeSWITCH sends for it."""
    words: str
    """What people read: ``No answer``."""

    @property
    def q850(self) -> int | None:
        """The Q.850 number, None for causes that are FreeSWITCH's own inventions."""
        return self.number if 0 < self.number <= 127 else None


# number, name, SIP status sent, words for people
_CAUSES = """
0 NONE 480 No cause given
1 UNALLOCATED_NUMBER 404 Number not in service
2 NO_ROUTE_TRANSIT_NET 404 No route to the network
3 NO_ROUTE_DESTINATION 404 No route to the number
6 CHANNEL_UNACCEPTABLE 480 Channel not acceptable
7 CALL_AWARDED_DELIVERED 480 Delivered on an existing channel
16 NORMAL_CLEARING 480 Hung up
17 USER_BUSY 486 Busy
18 NO_USER_RESPONSE 408 No response
19 NO_ANSWER 480 No answer
20 SUBSCRIBER_ABSENT 480 Not reachable
21 CALL_REJECTED 603 Rejected
22 NUMBER_CHANGED 410 Number has changed
23 REDIRECTION_TO_NEW_DESTINATION 410 Redirected
25 EXCHANGE_ROUTING_ERROR 483 Routing loop
27 DESTINATION_OUT_OF_ORDER 502 Destination out of order
28 INVALID_NUMBER_FORMAT 484 Invalid number
29 FACILITY_REJECTED 501 Facility rejected
30 RESPONSE_TO_STATUS_ENQUIRY 480 Answer to a status enquiry
31 NORMAL_UNSPECIFIED 480 Ended, no reason given
34 NORMAL_CIRCUIT_CONGESTION 503 All lines busy
38 NETWORK_OUT_OF_ORDER 503 Network out of order
41 NORMAL_TEMPORARY_FAILURE 503 Temporary failure
42 SWITCH_CONGESTION 503 Switch overloaded
43 ACCESS_INFO_DISCARDED 480 Access information lost
44 REQUESTED_CHAN_UNAVAIL 503 Requested channel not free
45 PRE_EMPTED 480 Pre-empted by a more important call
50 FACILITY_NOT_SUBSCRIBED 480 Facility not subscribed
52 OUTGOING_CALL_BARRED 403 Outgoing calls barred
54 INCOMING_CALL_BARRED 403 Incoming calls barred
57 BEARERCAPABILITY_NOTAUTH 403 Kind of call not allowed
58 BEARERCAPABILITY_NOTAVAIL 503 Kind of call not available now
63 SERVICE_UNAVAILABLE 480 Service not available
65 BEARERCAPABILITY_NOTIMPL 488 Kind of call not supported
66 CHAN_NOT_IMPLEMENTED 480 Channel type not supported
69 FACILITY_NOT_IMPLEMENTED 501 Facility not supported
79 SERVICE_NOT_IMPLEMENTED 501 Service not supported
81 INVALID_CALL_REFERENCE 480 Unknown call reference
88 INCOMPATIBLE_DESTINATION 488 No common codec or media
95 INVALID_MSG_UNSPECIFIED 480 Invalid signaling message
96 MANDATORY_IE_MISSING 480 Signaling element missing
97 MESSAGE_TYPE_NONEXIST 480 Unknown signaling message
98 WRONG_MESSAGE 480 Unexpected signaling message
99 IE_NONEXIST 480 Unknown signaling element
100 INVALID_IE_CONTENTS 480 Invalid signaling element
101 WRONG_CALL_STATE 480 Message in the wrong call state
102 RECOVERY_ON_TIMER_EXPIRE 504 Timed out
103 MANDATORY_IE_LENGTH_ERROR 480 Signaling element of wrong length
111 PROTOCOL_ERROR 480 Signaling error
127 INTERWORKING 480 Interworking failure
142 SUCCESS 480 Success
487 ORIGINATOR_CANCEL 487 Cancelled by the caller
700 CRASH 480 Switch crashed
701 SYSTEM_SHUTDOWN 480 Switch shut down
702 LOSE_RACE 480 Answered elsewhere
703 MANAGER_REQUEST 480 Ended by an operator
800 BLIND_TRANSFER 480 Transferred
801 ATTENDED_TRANSFER 480 Transferred after consultation
802 ALLOTTED_TIMEOUT 480 Time allowed is used up
803 USER_CHALLENGE 480 Asked for a password
804 MEDIA_TIMEOUT 480 No sound from the other side
805 PICKED_OFF 480 Picked up by someone else
806 USER_NOT_REGISTERED 480 Phone not registered
807 PROGRESS_TIMEOUT 480 No progress in time
808 INVALID_GATEWAY 484 Unknown gateway
809 GATEWAY_DOWN 503 Gateway is down
810 INVALID_URL 484 Invalid address
811 INVALID_PROFILE 502 Unknown SIP profile
812 NO_PICKUP 480 Nobody to pick up from
813 SRTP_READ_ERROR 480 Encrypted media unreadable
814 BOWOUT 480 Helper leg stepped out
815 BUSY_EVERYWHERE 600 Busy everywhere
816 DECLINE 603 Declined
817 DOES_NOT_EXIST_ANYWHERE 604 Exists nowhere
818 NOT_ACCEPTABLE 606 Not acceptable
819 UNWANTED 607 Caller marked as unwanted
820 NO_IDENTITY 428 Caller identity missing
821 BAD_IDENTITY_INFO 429 Caller identity information bad
822 UNSUPPORTED_CERTIFICATE 437 Identity certificate not supported
823 INVALID_IDENTITY 438 Caller identity invalid
824 STALE_DATE 403 Caller identity too old
825 REJECT_ALL 603 Rejected everywhere
"""


def _read_causes() -> dict[str, Cause]:
    causes = {}
    for line in _CAUSES.strip().split("\n"):
        number, name, sip, words = line.split(" ", 3)
        causes[name] = Cause(name, int(number), int(sip), words)
    return causes


CAUSES: MappingProxyType[str, Cause] = MappingProxyType(_read_causes())
"""Every hangup cause by its name."""

_BY_NUMBER = {one.number: one for one in CAUSES.values()}

_SIP_RECEIVED = {
    200: "NORMAL_CLEARING",
    400: "NORMAL_TEMPORARY_FAILURE",
    401: "CALL_REJECTED",
    402: "CALL_REJECTED",
    403: "CALL_REJECTED",
    404: "UNALLOCATED_NUMBER",
    405: "SERVICE_UNAVAILABLE",
    406: "SERVICE_NOT_IMPLEMENTED",
    407: "CALL_REJECTED",
    408: "RECOVERY_ON_TIMER_EXPIRE",
    410: "NUMBER_CHANGED",
    413: "INTERWORKING",
    414: "INTERWORKING",
    415: "SERVICE_NOT_IMPLEMENTED",
    416: "INTERWORKING",
    420: "INTERWORKING",
    421: "INTERWORKING",
    423: "INTERWORKING",
    428: "NO_IDENTITY",
    429: "BAD_IDENTITY_INFO",
    437: "UNSUPPORTED_CERTIFICATE",
    438: "INVALID_IDENTITY",
    480: "NO_USER_RESPONSE",
    481: "NORMAL_TEMPORARY_FAILURE",
    482: "EXCHANGE_ROUTING_ERROR",
    483: "EXCHANGE_ROUTING_ERROR",
    484: "INVALID_NUMBER_FORMAT",
    485: "NO_ROUTE_DESTINATION",
    486: "USER_BUSY",
    487: "ORIGINATOR_CANCEL",
    488: "INCOMPATIBLE_DESTINATION",
    500: "NORMAL_TEMPORARY_FAILURE",
    501: "SERVICE_NOT_IMPLEMENTED",
    502: "NETWORK_OUT_OF_ORDER",
    503: "NORMAL_TEMPORARY_FAILURE",
    504: "RECOVERY_ON_TIMER_EXPIRE",
    505: "INTERWORKING",
    513: "INTERWORKING",
    600: "USER_BUSY",
    603: "CALL_REJECTED",
    604: "NO_ROUTE_DESTINATION",
    606: "INCOMPATIBLE_DESTINATION",
    607: "UNWANTED",
    608: "CALL_REJECTED",
}


def cause(name_or_number: str | int) -> Cause | None:
    """The cause of that name (any casing) or number; None for one that FreeSWITCH does not know."""
    if isinstance(name_or_number, int):
        return _BY_NUMBER.get(name_or_number)
    text = name_or_number.strip().upper()
    # isdecimal() also takes other scripts' digits, and so does int(); harmless, but keep to ASCII.
    if text.isascii() and text.isdecimal() and len(text) < 6:
        return _BY_NUMBER.get(int(text))
    return CAUSES.get(text)


def cause_words(name: str) -> str:
    """What people read for a cause; an unknown one is shown as its own name in lower case."""
    known = cause(name)
    return known.words if known else name.replace("_", " ").strip().capitalize() or CAUSES["NONE"].words


def sip_of_cause(name: str) -> int:
    """The SIP status that FreeSWITCH sends when a call ends with this cause."""
    known = cause(name)
    return known.sip if known else UNLISTED_SIP


def cause_of_sip(status: int) -> str:
    """The cause that FreeSWITCH derives from a SIP status that came in."""
    return _SIP_RECEIVED.get(status, UNLISTED_CAUSE)
