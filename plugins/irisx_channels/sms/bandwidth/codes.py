"""Bandwidth's error codes: what they mean for us, and where a message was when it failed. See dev.bandwidth.com/docs/messaging/errors."""

from typing import Final

from irisx_channels.sms.outcomes import Codes
from irisx_sdk import State

CODES: Final[Codes] = {
    "4001": ("config", "the service is not allowed for this account"),
    "4301": ("refused", "the text cannot be encoded"),
    "4302": ("config", "the sender is malformed"),
    "4303": ("refused", "the receiver's number is malformed"),
    "4360": ("away", "it took too long"),
    "4401": ("refused", "there is no way to this number"),
    "4403": ("config", "the sender is forbidden"),
    "4404": ("refused", "the receiver is forbidden"),
    "4405": ("config", "the sender's number is not in use"),
    "4406": ("refused", "the receiver's number is not in use"),
    "4410": ("refused", "the file is not of an allowed kind"),
    "4411": ("refused", "the file is too large"),
    "4412": ("refused", "the file could not be had"),
    "4432": ("refused", "the country is not allowed"),
    "4435": ("refused", "too many receivers"),
    "4452": ("config", "the application's id is not known"),
    "4470": ("refused", "taken for spam"),
    "4481": ("config", "the sender is blocked"),
    "4482": ("refused", "the receiver is blocked"),
    "4492": ("refused", "an emergency number"),
    "4700": ("away", "the receiver's network is out of order"),
    "4701": ("away", "the receiver's network is out of order"),
    "4702": ("away", "the handset is out of reach"),
    "4720": ("refused", "the receiver's number is not valid"),
    "4721": ("refused", "the receiver's number is no longer in use"),
    "4750": ("refused", "the receiver's network refused it"),
    "4770": ("refused", "the receiver's network took it for spam"),
    "4775": ("opted_out", "the receiver has opted out"),
    "4780": ("throttled", "too many messages for the receiver's network"),
    "4781": ("throttled", "too many messages for the receiver's network"),
    "4785": ("throttled", "too many messages for the receiver's network"),
    "4795": ("config", "the toll-free sender is not verified"),
    "9902": ("unknown", "nobody told what became of it"),
    "9999": ("unknown", "no reason given"),
}


def meaning_of(code: str) -> str:
    """The code itself if it is known, else its family's example: 51xx, 52xx and 56xx are passing troubles."""
    return "4700" if code not in CODES and code[:2] in ("51", "52", "56") else code


def failed_as(code: str) -> State:
    """Whether a failed message had left Bandwidth."""
    if code == "9902":
        return "sent"  # final: no report came within two hours
    return "failed" if "4000" <= code <= "4699" or code[:2] in ("51", "52") else "undelivered"
