"""Plivo's states and error codes: what they mean for us. See docs.plivo.com, "Message error codes"."""

from collections.abc import Mapping
from typing import Final

from irisx_channels.sms.outcomes import Codes
from irisx_sdk import State

STATES: Final[Mapping[str, State]] = {
    "queued": "queued",
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "undelivered": "undelivered",
    "failed": "failed",
    "rejected": "failed",
}

CODES: Final[Codes] = {
    "10": ("refused", "the message is not valid"),
    "20": ("retry", "an error of the network"),
    "30": ("refused", "taken for spam"),
    "40": ("config", "the sender is not valid"),
    "50": ("refused", "the receiver is not valid"),
    "200": ("opted_out", "the receiver has opted out"),
    "420": ("retry", "it waited too long to be sent"),
}
