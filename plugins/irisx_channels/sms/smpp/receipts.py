"""Delivery receipts of SMPP, pure: fields where a centre sends them, otherwise a text that every vendor writes a little
differently. SMPP v3.4, appendix B.

And the id in it. Many centres answer a sending with the id in hexadecimal and report on it in decimal, or the reverse,
with zeros in front or not. `Ids` finds the one that was meant among those that were given out.
"""

import re
from collections import OrderedDict
from typing import Literal

from msgspec import Struct

from irisx_channels.sms import outcomes
from irisx_channels.sms.outcomes import Codes
from irisx_channels.sms.smpp import words
from irisx_channels.sms.smpp.codec import Short
from irisx_sdk import Status

Bases = Literal["auto", "same", "hex-decimal", "decimal-hex"]
"""How ids are written: in answers, then in receipts. ``auto`` finds out."""

_NAMES = r"\b(?:id|sub|dlvrd|submit[ _]date|done[ _]date|stat|err|text):"
_FIELD = re.compile(rf"({_NAMES})(.*?)(?={_NAMES}|\Z)", re.IGNORECASE | re.DOTALL)
_MOST = 1000
"""Characters of a receipt that are looked at: a hostile payload has 64 KiB."""
_REMEMBERED = 50_000
_HEX = re.compile(r"[0-9a-f]+")

ERRORS: Codes = {}
"""``err`` is the network's own: no two centres share a list."""


def known(bases: str) -> Bases:
    """A way of writing ids that was kept somewhere; ``same`` for anything else."""
    return "hex-decimal" if bases == "hex-decimal" else "decimal-hex" if bases == "decimal-hex" else "same"


class Receipt(Struct, frozen=True):
    """What a receipt says. Its times are left: they are in the centre's own zone, which nobody tells."""

    id: str
    state: str
    """One of `words.STATES`."""
    error: str = ""


def read(short: Short, text: str) -> Receipt | None:
    """What a delivery says as a receipt, None when it is an ordinary message.

    Some centres leave the mark away, so a message without it counts as a receipt, too, when it has the fields or is
    worded like one from its beginning.
    """
    marked = short.esm_class & words.TYPES in (words.RECEIPT, words.INTERMEDIATE)
    named = (short.tlv(words.RECEIPTED_ID) or b"").partition(b"\0")[0].decode("latin-1").strip()
    number = short.tlv(words.MESSAGE_STATE) or b""
    fields = _fields(text)
    worded = text.lstrip()[:3].lower() == "id:" and "stat" in fields
    if not (marked or worded or (named and number)):
        return None
    name = named or fields.get("id", "")
    state = ""
    if number and 1 <= number[0] <= len(words.STATE_WORDS):
        state = words.STATE_WORDS[number[0] - 1]
    state = state or _state(fields.get("stat", ""))
    if not name or not state:
        return None  # marked, and says nothing that could be used: shown to people as it came
    error = fields.get("err", "")
    if not error and (network := short.tlv(words.NETWORK_ERROR)):
        error = str(int.from_bytes(network[1:3], "big"))
    return Receipt(name, state, error)


def _fields(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in _FIELD.findall(text[:_MOST]):
        key = name[:-1].lower().replace("_", " ")
        found.setdefault(key, value.strip())
        if key == "text":
            break  # (a piece of the message itself, which may look like anything)
    return found


def _state(word: str) -> str:
    upper = word.upper()[:7]
    if upper in words.STATES:
        return upper
    # Vendors write the words out, or shorten them in their own way: "DELIVERED", "UNDELIVERABLE", "ACCEPTED".
    return next((one for one in words.STATE_WORDS if upper[:5] and one.startswith(upper[:5])), "")


def status(receipt: Receipt, name: str) -> Status:
    """The receipt as the platform knows it; ``name`` is the id as `Sent` had it."""
    state = words.STATES[receipt.state]
    error = "" if not receipt.error.strip("0") else receipt.error
    made = outcomes.receipt(name, state, error, ERRORS)
    return made if state in ("sent", "delivered") else _with_reason(made, receipt.state)


def _with_reason(made: Status, state: str) -> Status:
    return Status(
        id=made.id,
        state=made.state,
        code=made.code or state,
        reason=_REASONS[state],
        permanent=state == "REJECTD" or None,
    )


_REASONS = {
    "EXPIRED": "it took too long",
    "DELETED": "the centre deleted it",
    "UNDELIV": "it could not be delivered",
    "REJECTD": "the centre refused it",
}


def plain(name: str) -> str:
    """An id in the one form that we keep: small letters, no zeros in front."""
    lower = name.strip().lower()
    return lower.lstrip("0") or lower[:1]


class Ids:
    """The ids that were given out lately, to find the one that a receipt means.

    ``auto`` tries each way of writing on every receipt and believes the one that has fitted most often: with ids that
    are plain counters a wrong way fits by chance, the right one always. What it believes counts for ids that are not
    remembered, too (those from before a restart).
    """

    def __init__(self, bases: Bases = "auto", *, learned: Bases = "same") -> None:
        self.bases = bases
        self._given: OrderedDict[str, None] = OrderedDict()
        self._hits: dict[Bases, int] = {"same": 0, "hex-decimal": 0, "decimal-hex": 0}
        self._hits[learned] += 1

    @property
    def learned(self) -> Bases:
        """The way that is believed in: the first one of those that fitted most often."""
        return max(self._hits, key=lambda way: self._hits[way])

    def given(self, name: str) -> str:
        """An id of an answer as we keep it."""
        made = plain(name)
        self._given[made] = None
        if len(self._given) > _REMEMBERED:
            self._given.popitem(last=False)
        return made

    def meant(self, name: str) -> str:
        """The id that a receipt is about, in the form that `given` gave it."""
        made = plain(name)
        if self.bases != "auto":
            return _converted(made, self.bases)
        fitting = [way for way in self._hits if _converted(made, way) in self._given]
        for way in fitting:
            self._hits[way] += 1
        return _converted(made, self.learned if self.learned in fitting or not fitting else fitting[0])


def _converted(name: str, bases: Bases) -> str:
    if bases == "hex-decimal" and name.isascii() and name.isdigit() and len(name) <= 40:
        return f"{int(name):x}"
    if bases == "decimal-hex" and _HEX.fullmatch(name) and len(name) <= 40:
        return str(int(name, 16))
    return name
