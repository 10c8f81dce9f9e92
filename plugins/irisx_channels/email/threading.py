"""Which message a mail answers, by what survives the way there and back.

Every mail of ours carries `Outbound.id` twice: in its Message-ID (``<irisx-msg_01…@example.org>``) and, where the
account says that its server allows it, behind a plus sign in Reply-To (``support+irisx-msg_01…@example.org``). Some
providers write a Message-ID of their own (Amazon SES), some mail programs forget References, but people answer to the
address that they are given. So the order is: our token in any recipient's header, then References from the newest to
the oldest, then In-Reply-To. Subjects are compared by nobody here: two people write "Invoice" on the same day.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence

from irisx_channels.email import words
from irisx_channels.email.mail import MAX_HEADER, Received

PREFIX = "irisx-"
_SAFE = re.compile(r"[a-z0-9_]{1,40}")
_CODED = "b32-"
MAX_REFERENCES = 12
"""Ids in one References: the first names the thread, the last ones are what mail programs compare (RFC 5322, 3.6.4)."""
RECIPIENT_HEADERS = (
    "to", "cc", "bcc", "delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "x-forwarded-to",
    "resent-to", "resent-cc", "original-recipient", "x-delivered-to",
)  # fmt: skip
_ID = re.compile(r"<([^<>\s]{1,400})>")
_BARE = re.compile(r"[^<>\s,;]+@[^<>\s,;]+")
_OURS = re.compile(rf"{PREFIX}([a-z0-9_-]+)", re.IGNORECASE)
_REPLY_MARK = re.compile(
    # "Re" and "Fwd", and what they are called elsewhere; with a number (Re[2]:), or a full-width colon
    r"^\s*(?:(?:re|r|aw|antw|antwort|sv|vs|odp|res|ynt|ref|rif|tr|fw|fwd|wg|i|rv|enc|doorst|vl|pd|回复|答复|转发|回覆|轉寄|返信)"
    r"\s*(?:\[\d{1,3}\]|\(\d{1,3}\)|\^\d{1,3})?\s*[:：]\s*)+",
    re.IGNORECASE,
)


def token(message_id: str) -> str:
    """`Outbound.id` for the left side of an address: lower case only, because some servers change the case."""
    if _SAFE.fullmatch(message_id):
        return PREFIX + message_id
    coded = base64.b32encode(message_id.encode()).decode().rstrip("=").lower()
    return f"{PREFIX}{_CODED}{coded}"


def reference(text: str) -> str:
    """`Outbound.id` out of a token, empty when it is none of ours."""
    found = _OURS.fullmatch(text)
    if found is None:
        return ""
    inner = found.group(1).lower()
    if not inner.startswith(_CODED):
        return inner if _SAFE.fullmatch(inner) else ""
    coded = inner.removeprefix(_CODED).upper()
    try:
        return base64.b32decode(coded + "=" * (-len(coded) % 8)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def message_id(outbound_id: str, sender: str) -> str:
    """The Message-ID of a mail of ours: the same at every try, so that a doubled mail is recognised by its reader."""
    return f"{token(outbound_id)}@{sender.rpartition('@')[2] or 'localhost'}"


def with_token(address: str, outbound_id: str) -> str:
    """``support@…`` with the token; unchanged if the left side would be longer than the 64 allowed (RFC 5321, 4.5.3)."""
    local, _, domain = address.rpartition("@")
    tagged = f"{local.partition('+')[0]}+{token(outbound_id)}"
    return f"{tagged}@{domain}" if len(tagged) <= 64 else address


def without_token(address: str) -> str:
    """The address as its owner knows it."""
    local, _, domain = address.rpartition("@")
    plain, plus, tag = local.partition("+")
    return f"{plain}@{domain}" if plus and reference(tag) else address


def reference_of_address(address: str) -> str:
    """`Outbound.id` out of an address with a token."""
    return reference(address.rpartition("@")[0].partition("+")[2])


def reference_of_id(one: str) -> str:
    """`Outbound.id` out of a Message-ID of ours."""
    return reference(one.partition("@")[0])


def ids(value: str) -> tuple[str, ...]:
    """The ids in a header, in order; programs that forget the angle brackets are forgiven."""
    value = value[:MAX_HEADER]
    return tuple(dict.fromkeys(_ID.findall(value) or _BARE.findall(value)))


def answered(mail: Received) -> str:
    """`Outbound.id` of the message of ours that this mail answers, empty when nothing in it says so."""
    for name in RECIPIENT_HEADERS:
        for value in mail.all(name):
            for address in words.addresses(value):
                if found := reference_of_address(address.value):
                    return found
    if found := reference_of_address(mail.recipient):
        return found
    return _first_ours(reversed(references(mail))) or _first_ours(ids(mail.first("in-reply-to")))


def _first_ours(candidates: Iterable[str]) -> str:
    return next(filter(None, map(reference_of_id, candidates)), "")


def references(mail: Received) -> tuple[str, ...]:
    """The ids of References, oldest first."""
    return tuple(dict.fromkeys(one for value in mail.all("references") for one in ids(value)))


def parent(mail: Received) -> str:
    """The id of the mail that this one answers: In-Reply-To, or the newest reference."""
    found = ids(mail.first("in-reply-to")) or references(mail)[-1:]
    return found[0] if found else ""


def chain(earlier: Sequence[str], parent_id: str) -> tuple[str, ...]:
    """References of an answer (RFC 5322, 3.6.4): what came before, and the mail that is answered; cut in the middle."""
    every = [one for one in dict.fromkeys([*earlier, parent_id]) if "@" in one and _ID.fullmatch(f"<{one}>")]
    return tuple(every if len(every) <= MAX_REFERENCES else [every[0], *every[1 - MAX_REFERENCES :]])


def root(subject: str) -> str:
    """A subject without the marks of answering and forwarding: what the exchange is called."""
    return _REPLY_MARK.sub("", subject[:1000]).strip()
