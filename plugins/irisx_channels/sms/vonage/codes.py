"""Vonage's states and codes: what they mean for us. Its two interfaces and their receipts each have a list of their own.

See developer.vonage.com, "Messages API errors", "SMS delivery receipts" and "Troubleshooting SMS".
"""

from collections.abc import Mapping
from typing import Final

from irisx_channels.sms.outcomes import Codes
from irisx_sdk import State

STATES: Final[Mapping[str, State]] = {
    "submitted": "sent",
    "delivered": "delivered",
    "read": "read",
    "rejected": "failed",
    "undeliverable": "undelivered",
}
"""Of the Messages interface."""

CLASSIC_STATES: Final[Mapping[str, State]] = {
    "accepted": "sent",
    "buffered": "sent",
    "delivered": "delivered",
    "expired": "undelivered",
    "failed": "undelivered",
    "rejected": "failed",
    "unknown": "sent",
}
"""Of the SMS interface."""

CODES: Final[Codes] = {
    "1000": ("throttled", "too many requests at once"),
    "1010": ("refused", "something is missing"),
    "1020": ("refused", "something in the request is not valid"),
    "1022": ("refused", "the template is not valid"),
    "1030": ("retry", "an error of Vonage's own"),
    "1040": ("refused", "the text is not valid"),
    "1050": ("refused", "the receiver's number is barred"),
    "1060": ("config", "the account is barred"),
    "1070": ("config", "the account has no credit left"),
    "1080": ("config", "the account may not use this interface"),
    "1090": ("refused", "the text is too long"),
    "1100": ("retry", "the network could not be reached"),
    "1120": ("config", "the sender is not allowed"),
    "1130": ("refused", "the time to live is not valid"),
    "1150": ("refused", "something in the request is not valid"),
}
"""Of the Messages interface."""

CLASSIC_CODES: Final[Codes] = {
    "1": ("throttled", "too many messages at once"),
    "2": ("refused", "something is missing"),
    "3": ("refused", "something in the request is not valid"),
    "4": ("config", "the key or secret is not accepted"),
    "5": ("retry", "an error of Vonage's own"),
    "6": ("refused", "the text is not valid"),
    "7": ("refused", "the receiver's number is barred"),
    "8": ("config", "the account is barred"),
    "9": ("config", "the account has no credit left"),
    "10": ("throttled", "too many connections"),
    "11": ("config", "the account may not use this interface"),
    "12": ("refused", "the text is too long"),
    "14": ("config", "our signature is not accepted"),
    "15": ("config", "the sender is not allowed"),
    "22": ("refused", "the network's code is not valid"),
    "23": ("config", "the address for receipts is not valid"),
    "29": ("config", "a trial account may only send to numbers that are named there"),
    "32": ("config", "signed and with a secret at once"),
    "33": ("refused", "the number is no longer in use"),
}
"""What the SMS interface answers."""

RECEIPT_CODES: Final[Codes] = {
    "1": ("unknown", "no reason given"),
    "2": ("away", "the receiver is away for a while"),
    "3": ("refused", "the number is not in use"),
    "4": ("refused", "the receiver has barred it"),
    "5": ("refused", "the number moved to another network"),
    "6": ("refused", "the network took it for spam"),
    "7": ("away", "the handset was busy"),
    "8": ("retry", "an error of the network"),
    # (a wrong number and an opt-out share this code: it cannot be called an opt-out)
    "9": ("refused", "a wrong number, or its owner wants nothing"),
    "10": ("refused", "the text is not valid"),
    "11": ("refused", "there is no way to this number"),
    "12": ("away", "the handset is out of reach"),
    "13": ("refused", "only for grown-ups"),
    "14": ("refused", "the network blocked it"),
    "15": ("refused", "the receiver's credit is used up"),
    "50": ("refused", "against the country's rules"),
    "51": ("refused", "against the country's rules"),
    "52": ("refused", "against the country's rules"),
    "53": ("refused", "against the country's rules"),
    "54": ("refused", "against the country's rules"),
    "99": ("unknown", "no reason given"),
}
"""In receipts of the SMS interface."""
