"""Sinch's states and codes: what they mean for us. See developers.sinch.com, "Delivery report error codes"."""

from collections.abc import Mapping
from typing import Final

from irisx_channels.sms.outcomes import Codes
from irisx_sdk import State

STATES: Final[Mapping[str, State]] = {
    "queued": "queued",
    "dispatched": "sent",
    "delivered": "delivered",
    "aborted": "failed",
    "rejected": "failed",
    "cancelled": "failed",
    "deleted": "undelivered",
    "failed": "undelivered",
    "expired": "undelivered",
    # Final, and nobody will ever know more.
    "unknown": "sent",
}
"""In lower case: the wire and the vendor's own libraries differ in that."""

CODES: Final[Codes] = {
    "402": ("refused", "there is no way to this number"),
    "403": ("retry", "an error of Sinch's own"),
    "404": ("away", "the network or handset is out of reach for a while"),
    "405": ("refused", "a value for a place in the text is missing"),
    "406": ("retry", "it waited too long to be sent"),
    "407": ("refused", "it was cancelled"),
    "408": ("refused", "Sinch refused it"),
    "410": ("config", "no sender fits this receiver"),
    "411": ("refused", "the text has too many parts"),
    "412": ("config", "the account may not send to this country"),
    "413": ("refused", "the receiver is blocked"),
}

FINE: Final = frozenset(["0", "400", "401"])
"""Delivered, queued, dispatched: no reasons for anything."""
