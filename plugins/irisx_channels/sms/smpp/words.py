"""SMPP's numbers: commands, states, fields and refusals, with what they mean for us. SMPP v3.4, issue 1.2, section 5."""

from collections.abc import Mapping
from typing import Final

from irisx_channels.sms.outcomes import Codes
from irisx_sdk import State

GENERIC_NACK: Final = 0x80000000
BIND_RECEIVER: Final = 0x01
BIND_TRANSMITTER: Final = 0x02
SUBMIT_SM: Final = 0x04
DELIVER_SM: Final = 0x05
UNBIND: Final = 0x06
BIND_TRANSCEIVER: Final = 0x09
OUTBIND: Final = 0x0B
ENQUIRE_LINK: Final = 0x15
ALERT_NOTIFICATION: Final = 0x102
DATA_SM: Final = 0x103
RESPONSE: Final = 0x80000000
"""Set in the command of every answer."""

OK: Final = 0x00
BAD_LENGTH: Final = 0x02
BAD_COMMAND: Final = 0x03
BAD_STATE: Final = 0x04
ALREADY_BOUND: Final = 0x05
SYSTEM_ERROR: Final = 0x08
BAD_RECEIVER: Final = 0x0B
BIND_FAILED: Final = 0x0D
BAD_PASSWORD: Final = 0x0E
BAD_SYSTEM_ID: Final = 0x0F
QUEUE_FULL: Final = 0x14
THROTTLED: Final = 0x58
TRY_AGAIN: Final = 0x64
"""A receiver's temporary trouble: in our answer to a `DELIVER_SM` it asks for another delivery."""

# TON, NPI: section 5.2.5 and 5.2.6.
UNKNOWN: Final = 0
INTERNATIONAL: Final = 1
ALPHANUMERIC: Final = 5
ISDN: Final = 1

UDHI: Final = 0x40
"""``esm_class``: the text begins with a user data header."""
TYPES: Final = 0x3C
RECEIPT: Final = 0x04
INTERMEDIATE: Final = 0x20
"""``esm_class`` of deliveries, masked by `TYPES`."""
MODES: Final = 0x03

SAR_REFERENCE: Final = 0x020C
SAR_TOTAL: Final = 0x020E
SAR_NUMBER: Final = 0x020F
SC_VERSION: Final = 0x0210
NETWORK_ERROR: Final = 0x0423
PAYLOAD: Final = 0x0424
MESSAGE_STATE: Final = 0x0427
RECEIPTED_ID: Final = 0x001E

STATES: Final[Mapping[str, State]] = {
    "ENROUTE": "sent",
    "DELIVRD": "delivered",
    "EXPIRED": "undelivered",
    "DELETED": "undelivered",
    "UNDELIV": "undelivered",
    "ACCEPTD": "sent",
    # Final, and nobody will ever know more.
    "UNKNOWN": "sent",
    "REJECTD": "failed",
}
"""``stat:`` of a receipt's text, in the order of ``message_state`` from 1 (section 5.2.28)."""
STATE_WORDS: Final = tuple(STATES)

CODES: Final[Codes] = {
    "01": ("refused", "the message is too long"),
    "02": ("refused", "the length of the command is wrong"),
    "03": ("config", "the centre does not know the command"),
    "04": ("config", "this session may not send"),
    "05": ("retry", "there is a session already, and no second one is allowed"),
    "06": ("refused", "the priority is not allowed"),
    "07": ("refused", "the wish for receipts is not allowed"),
    "08": ("retry", "an error of the centre's own"),
    "0A": ("config", "the sender is not valid"),
    "0B": ("refused", "the receiver's number is not valid"),
    "0D": ("config", "the centre does not let us in"),
    "0E": ("config", "the password is not accepted"),
    "0F": ("config", "the system id is not known"),
    "14": ("throttled", "the centre's queue is full"),
    "15": ("config", "the service type is not valid"),
    "33": ("refused", "the number of receivers is not valid"),
    "40": ("refused", "the destination is not valid"),
    "42": ("refused", "the header flags are not allowed"),
    "43": ("refused", "the kind of message is not allowed"),
    "44": ("refused", "the centre cannot send this"),
    "45": ("refused", "the centre refused the message"),
    "48": ("config", "the kind of the sender's number is not allowed"),
    "49": ("config", "the plan of the sender's number is not allowed"),
    "50": ("refused", "the kind of the receiver's number is not allowed"),
    "51": ("refused", "the plan of the receiver's number is not allowed"),
    "53": ("config", "the system type is not valid"),
    "58": ("throttled", "too many messages at once"),
    "61": ("refused", "the time of sending is not valid"),
    "62": ("refused", "the time of expiry is not valid"),
    "64": ("retry", "a passing trouble at the centre"),
    "65": ("refused", "a lasting trouble at the centre"),
    "66": ("refused", "the centre's application refused it"),
    "C0": ("refused", "the optional fields are not valid"),
    "C1": ("refused", "an optional field is not allowed"),
    "C2": ("refused", "an optional field has a wrong length"),
    "C3": ("refused", "an optional field is missing"),
    "C4": ("refused", "an optional field has a wrong value"),
    "FE": ("refused", "the delivery failed"),
    "FF": ("retry", "an error without a name"),
}
"""``command_status`` of an answer, as two hexadecimal digits (section 5.1.3)."""


def code_of(status: int) -> str:
    """How a status is written in `CODES`, logs and errors."""
    return f"{status:02X}"
