"""What other servers say about mails of ours: bounces and delays (RFC 3464), complaints (RFC 5965).

Both are mails with a part for machines and the returned mail (or its headers), whose Message-ID leads to the message.
A report about a mail that is not ours is an ordinary mail, written by a machine.
"""

import email
import email.policy
import re
from collections.abc import Iterator
from email.message import Message

from irisx_channels.email import threading, words
from irisx_channels.email.mail import Received
from irisx_sdk import State, Status

MAX_RECIPIENTS = 100
_ACTIONS: dict[str, State] = {
    "failed": "undelivered", "delayed": "sent", "delivered": "delivered", "relayed": "sent", "expanded": "sent",
}  # fmt: skip
_CODE = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_PLAIN_CODE = re.compile(r"(?:^|[\s;])([45]\d\d)(?=[\s-])")
_RETURNED = ("message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "message/global")
_WORDS = {
    # RFC 3463, and RFC 7372 for authentication
    "1.1": "there is no such mailbox", "1.2": "there is no such domain", "1.3": "the address is not valid",
    "1.6": "the mailbox has moved", "1.10": "the domain takes no mail", "2.0": "the mailbox cannot take it",
    "2.1": "the mailbox is switched off", "2.2": "the mailbox is full", "2.3": "the mail is too large for the mailbox",
    "3.4": "the mail is too large", "4.1": "the server does not answer", "4.4": "the domain cannot be reached",
    "4.7": "it could not be delivered in time", "7.0": "refused by a rule of the receiver",
    "7.1": "refused by a rule of the receiver", "7.23": "SPF does not allow this sender",
    "7.25": "the sending server has no name", "7.26": "neither SPF nor DKIM prove the sender",
    "7.20": "no valid DKIM signature",
}  # fmt: skip
_SUBJECTS = {
    "1": "the address does not work", "2": "the mailbox cannot take it", "3": "the receiver's mail system failed",
    "4": "it cannot be reached at the moment", "5": "the servers did not understand each other",
    "6": "the content cannot be delivered", "7": "refused by a rule of the receiver",
}  # fmt: skip


def statuses(mail: Received) -> tuple[Status, ...]:
    """What a report says about messages of ours; empty for every other mail."""
    found = _returned(mail)
    reference = threading.reference_of_id(found)
    if not reference:
        return ()
    for file in mail.files:
        if file.content is None:
            continue
        if file.media_type == "message/delivery-status":
            return tuple(_delivery(file.content, found, reference))
        if file.media_type == "message/feedback-report":
            return _complaint(file.content, found, reference)
    return ()


def _returned(mail: Received) -> str:
    """The Message-ID of the mail that was returned."""
    for file in mail.files:
        if file.media_type in _RETURNED and file.content:
            inner = _blocks(file.content[:65_536], 1)
            for one in inner:
                if ids := threading.ids(str(one.get("message-id", ""))):
                    return ids[0]
    return ""


def _blocks(content: bytes, limit: int) -> list[Message]:
    """Blocks of headers, divided by empty lines."""
    pieces = re.split(rb"\r?\n[ \t]*\r?\n", content.strip())[:limit]
    return [email.message_from_bytes(one + b"\r\n\r\n", policy=email.policy.compat32) for one in pieces]


def _delivery(content: bytes, message_id: str, reference: str) -> Iterator[Status]:
    for block in _blocks(content, MAX_RECIPIENTS):
        state = _ACTIONS.get(_said(block, "action").lower())
        if state is None:
            continue
        diagnostic = _said(block, "diagnostic-code")
        code = enhanced(_said(block, "status")) or enhanced(diagnostic)
        bad = (code or plain_code(diagnostic))[:1] in ("4", "5")
        yield Status(
            id=message_id,
            state=state,
            code=code or plain_code(diagnostic),
            reason=reason(code, plain_code(diagnostic)) if bad else "",
            permanent=permanent(code, plain_code(diagnostic)) if state == "undelivered" else None,
            reference=reference,
        )


def _complaint(content: bytes, message_id: str, reference: str) -> tuple[Status, ...]:
    block = next(iter(_blocks(content, 1)), None)
    kind = _said(block, "feedback-type").lower() if block is not None else ""
    if kind not in ("abuse", "fraud", "virus", "other", "opt-out", "opt-out-list"):
        return ()  # "not-spam" takes one back, "auth-failure" and "dmarc" are about forgers
    return (Status(message_id, "delivered", code=kind, reason="reported as unwanted", reference=reference, complaint=True),)  # fmt: skip


def _said(block: Message, name: str) -> str:
    return words.header(str(block.get(name, "")))


def enhanced(text: str) -> str:
    """The first enhanced status code (``5.1.1``, RFC 3463) in a text, empty without one."""
    found = _CODE.search(text[:2000])
    return found.group(0) if found else ""


def plain_code(text: str) -> str:
    """The first SMTP code of a failure (``550``) in a text, empty without one."""
    found = _PLAIN_CODE.search(" " + text[:2000])
    return found.group(1) if found else ""


def permanent(code: str, smtp: str = "") -> bool | None:
    """Whether trying again is pointless, by a code's class: 5 for ever, 4 for now."""
    first = (code or smtp)[:1]
    return {"5": True, "4": False}.get(first)


def reason(code: str, smtp: str = "") -> str:
    """What a code means, for people. The servers' own words are not passed on: they quote addresses and mails."""
    _, _, rest = code.partition(".")
    known = _WORDS.get(rest) or _SUBJECTS.get(rest.partition(".")[0])
    if known:
        return known
    by_reply = {"552": "the mailbox is full or the mail too large", "550": "the address does not work"}
    return by_reply.get(smtp, "not delivered" if code or smtp else "")
