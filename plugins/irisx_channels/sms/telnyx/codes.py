"""Telnyx's states and error codes: what they mean for us. See developers.telnyx.com, "Messaging error code reference"."""

from collections.abc import Mapping
from typing import Final

from irisx_channels.sms.outcomes import Codes
from irisx_sdk import State

STATES: Final[Mapping[str, State]] = {
    "queued": "queued",
    "sending": "queued",
    "sent": "sent",
    "delivered": "delivered",
    "sending_failed": "failed",
    "expired": "failed",
    "delivery_failed": "undelivered",
    # Final, and nobody will ever know more.
    "delivery_unconfirmed": "sent",
}

CODES: Final[Codes] = {
    "10001": ("config", "the sender's number is not active"),
    "10002": ("refused", "a number is not valid"),
    "10003": ("refused", "an address in the request is not valid"),
    "10004": ("refused", "something is missing in the request"),
    "10005": ("config", "the number or messaging profile does not exist"),
    "10006": ("config", "an id in the account's settings is not valid"),
    "10009": ("config", "the key is not accepted"),
    "40001": ("refused", "the receiver cannot be reached"),
    "40002": ("away", "taken for spam for a while: send slower"),
    "40003": ("refused", "taken for spam"),
    "40004": ("refused", "the receiver's network refused it"),
    "40005": ("away", "it took too long on the way"),
    "40006": ("away", "the receiver's network is out of order"),
    "40007": ("refused", "it went round in circles"),
    "40008": ("refused", "it could not be delivered"),
    "40009": ("refused", "the text is not valid"),
    "40011": ("throttled", "too fast for the network behind"),
    "40012": ("refused", "the receiver's number is not valid"),
    "40013": ("config", "the sender is not valid"),
    "40014": ("retry", "it waited too long to be sent"),
    "40015": ("refused", "Telnyx took it for spam"),
    "40300": ("opted_out", "the receiver has opted out"),
}
