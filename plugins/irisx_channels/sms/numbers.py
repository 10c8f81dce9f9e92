"""Ends of a text message: E.164 numbers, short codes and names, and how each provider wants them written."""

import re
from typing import Literal

from irisx_sdk import Address, Outbound, Refused

Kind = Literal["number", "short", "name"]

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
"""ITU-T E.164, 6.1: at most 15 digits, of which the country's are the first; none begins with 0."""
_DIGITS = re.compile(r"[0-9]{3,15}")
_SHORT = re.compile(r"[1-9][0-9]{2,7}")
_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 _.&+\-]{1,11}")
"""A sender's name: at most 11 characters (the address field of 3GPP TS 23.040, 9.1.2.5, in septets), one of them a
letter. Networks agree on letters, digits and the space; the rest here is what most of them also take."""
_WRITTEN = re.compile(r"[\s().\-/\u00a0]")

MAX_SHORT = 6
"""A number without plus of at most so many digits is a short code. Numbers with their country's code begin at seven."""
MAX_SHORT_PLUS = 8
"""The same where the provider writes a plus before every long number: Australia has short codes of eight digits."""


def kind_of(sender: str) -> Kind | None:
    """What an address can be, None for what no network would take."""
    if _E164.fullmatch(sender):
        return "number"
    if _SHORT.fullmatch(sender):
        return "short"
    return "name" if _NAME.fullmatch(sender) else None


def address(written: str, *, plus: bool = True) -> Address:
    """One end of a message as a provider wrote it. ``plus``: this provider writes one before every long number.

    Numbers become E.164, short codes stay digits (both of kind ``phone``); a name is of kind ``user``, because nobody
    can be called under it and no other channel knows it.
    """
    bare = _WRITTEN.sub("", written)
    if _E164.fullmatch(bare):
        return Address("phone", bare)
    if bare.startswith("00") and _E164.fullmatch("+" + bare[2:]):
        return Address("phone", "+" + bare[2:])
    if _DIGITS.fullmatch(bare):
        if len(bare) > (MAX_SHORT_PLUS if plus else MAX_SHORT) and _E164.fullmatch("+" + bare):
            return Address("phone", "+" + bare)
        return Address("phone", bare)
    return Address("user", written.strip())


def receiver(message: Outbound, *, plus: bool = True) -> str:
    """Whom to send to, as the provider wants it: with a plus or only digits. Raises `Refused` for what is no number."""
    value = _WRITTEN.sub("", message.to.value)
    if message.to.kind == "phone" and _SHORT.fullmatch(value):
        return value  # short codes can be written to, within their country
    if message.to.kind != "phone" or not _E164.fullmatch(value):
        raise Refused("the receiver is not a telephone number with its country's code", code="receiver")
    return value if plus else value[1:]


def sender(message: Outbound, settled: str, *, plus: bool = True) -> str:
    """Whom to send as: the message's sender or the account's ("" when neither has one). Raises `Refused`."""
    value = (message.sender.value if message.sender is not None else settled).strip()
    if not value:
        return ""
    bare = _WRITTEN.sub("", value)
    if _E164.fullmatch(bare) or _SHORT.fullmatch(bare):
        value = bare
    kind = kind_of(value)
    if kind is None:
        text = "the sender must be a number with its country's code, a short code, or a name of at most 11 letters"
        raise Refused(text, code="sender")
    return value[1:] if kind == "number" and not plus else value
