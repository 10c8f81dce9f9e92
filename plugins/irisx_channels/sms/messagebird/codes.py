"""MessageBird's states and codes: what they mean for us. See developers.messagebird.com/api."""

from collections.abc import Mapping
from typing import Final

from irisx_channels.sms.outcomes import Codes
from irisx_sdk import State

STATES: Final[Mapping[str, State]] = {
    "scheduled": "queued",
    "sent": "sent",
    "buffered": "sent",
    "delivered": "delivered",
    "expired": "undelivered",
    "delivery_failed": "undelivered",
}

# (99, an error of MessageBird's own, says less than the HTTP status that comes with it)
CODES: Final[Codes] = {
    "2": ("config", "the key is not accepted, or may not do this"),
    "9": ("refused", "something is missing"),
    "10": ("refused", "something in the request is not valid"),
    "20": ("refused", "not found"),
    "21": ("refused", "the request is not valid"),
    "25": ("config", "the account has no credit left"),
    "98": ("config", "the interface was not found: look at the address"),
}

REASONS: Final[Codes] = {
    "pending dlr": ("unknown", "no report yet"),
    "dlr not received": ("unknown", "the network never reported"),
    "incorrect number": ("refused", "the number is not valid"),
    "unknown subscriber": ("refused", "the number is not in use"),
    "absent subscriber": ("away", "the handset is out of reach"),
    "unavailable subscriber": ("away", "the handset is out of reach"),
    "expired": ("away", "it took too long"),
    "opted out": ("opted_out", "the receiver has opted out"),
    "received network error": ("retry", "an error of the network"),
    "insufficient balance": ("config", "the account has no credit left"),
    "carrier rejected": ("refused", "the network refused it"),
    "capacity limit reached": ("throttled", "too many messages for the network"),
    "generation error": ("refused", "it could not be made"),
}
"""``statusReason`` of a report, in lower case; ``statusErrorCode`` is the network's own."""
