"""Twilio's states and error codes: what they mean for us. See twilio.com/docs/api/errors.

Twilio splits codes now and then (July 2024), so an unknown code falls back to what the HTTP status says.
"""

from collections.abc import Mapping
from typing import Final

from irisx_channels.sms.outcomes import Codes
from irisx_sdk import State

STATES: Final[Mapping[str, State]] = {
    "accepted": "queued",
    "scheduled": "queued",
    "queued": "queued",
    "sending": "queued",
    "sent": "sent",
    "delivered": "delivered",
    "partially_delivered": "delivered",
    "read": "read",
    "undelivered": "undelivered",
    "failed": "failed",
    "canceled": "failed",
}

CODES: Final[Codes] = {
    "20003": ("config", "the account's SID or token is not accepted"),
    "20429": ("throttled", "too many requests at once for this account"),
    "21211": ("refused", "the receiver's number is not valid"),
    "21212": ("config", "the sender is not valid"),
    "21408": ("config", "the account may not send to this country: allow it in the console"),
    "21606": ("config", "the sender is not one of this account's that can send texts"),
    "21610": ("opted_out", "the receiver has opted out"),
    "21611": ("throttled", "the sender's queue is full"),
    "21612": ("refused", "this sender cannot reach this receiver"),
    "21614": ("refused", "the receiver's number is not mobile"),
    "21617": ("refused", "the text is too long"),
    "30001": ("retry", "the queue was full"),
    "30002": ("config", "the account is suspended"),
    "30003": ("away", "the handset is switched off or out of reach"),
    "30004": ("refused", "the message was blocked"),
    "30005": ("refused", "the number does not exist"),
    "30006": ("refused", "a landline, or a network that cannot be reached"),
    "30007": ("refused", "the network took the message for spam"),
    "30008": ("away", "the network gave no reason"),
    "30034": ("config", "the sender is not registered for business messages in the USA"),
}
