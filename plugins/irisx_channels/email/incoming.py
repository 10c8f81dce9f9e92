"""From a mail that came to what the platform stores: one way for every provider, IMAP and our own listener."""

import hashlib
from collections.abc import Iterable
from email.utils import parsedate_to_datetime

from irisx_channels.email import automatic, cleaning, quotes, reports, threading, words
from irisx_channels.email.mail import MAX_ID, MAX_TEXT, Received, Settings
from irisx_sdk import Address, Content, Inbound, Parsed, Text, Unsupported

NOBODY = Address("email", "nobody@unknown.invalid")
"""The sender of mails that name none: they are kept, and nobody can be answered."""
MOST_OTHERS = 50


def parsed(mail: Received, settings: Settings) -> Parsed:
    """A message, or what a report says about messages of ours; nothing for a mail of ours that came back to us."""
    told = reports.statuses(mail)
    if told:
        return Parsed(statuses=told)
    own = {address.lower() for address in (settings.sender, settings.reply_to) if address}
    sender = _sender(mail)
    given = threading.ids(mail.first("message-id"))[:1]
    origin = {threading.without_token(one.value).lower() for one in _addresses(mail, "from")}
    if given and threading.reference_of_id(given[0]) and origin & own:
        return Parsed()  # a copy of our own mail: it is in the store already
    recipient = _recipient(mail, own)
    subject = words.header(mail.first("subject"))[:1000]
    message = Inbound(
        id=_id(mail, given),
        sender=sender,
        content=_content(mail, subject),
        recipient=recipient,
        sent_us=time_us(mail.first("date")),
        thread=threading.root(subject),
        reply_to=threading.parent(mail)[:MAX_ID],
        references=threading.references(mail)[-50:],
        reference=threading.answered(mail),
        subject=subject,
        also_to=_others(mail, {recipient.value.lower() if recipient else "", sender.value.lower(), *own}),
        files=mail.files,
        automatic=bool(automatic.why(mail)),
    )
    return Parsed(messages=(message,))


def _sender(mail: Received) -> Address:
    """Whom to answer: Reply-To where one person is named there (forms of web sites), else From."""
    origin = _addresses(mail, "from") or _addresses(mail, "sender")
    answer = _addresses(mail, "reply-to")
    if len(answer) == 1 and not mail.all("list-id") and not automatic.why(mail):
        same = origin and origin[0].value.lower() == answer[0].value.lower()
        return origin[0] if same else answer[0]
    if origin:
        return origin[0]
    return Address("email", mail.sender) if mail.sender and words.is_address(mail.sender) else NOBODY


def _addresses(mail: Received, name: str) -> list[Address]:
    return [address for value in mail.all(name) for address in words.addresses(value)]


def _recipient(mail: Received, own: set[str]) -> Address | None:
    """Which address of ours it was sent to, without the token."""
    named = [*_addresses(mail, "to"), *_addresses(mail, "cc")]
    envelope = [Address("email", mail.recipient)] if words.is_address(mail.recipient) else []
    delivered = [
        address
        for name in ("delivered-to", "x-original-to", "envelope-to")
        for address in _addresses(mail, name)
    ]
    known = [one for one in named if threading.without_token(one.value).lower() in own]
    found = next(iter([*envelope, *known, *delivered, *named]), None)
    return Address("email", threading.without_token(found.value)) if found else None


def _others(mail: Received, known: set[str]) -> tuple[Address, ...]:
    others: dict[str, Address] = {}
    for address in (*_addresses(mail, "to"), *_addresses(mail, "cc")):
        key = threading.without_token(address.value).lower()
        if key not in known:
            others.setdefault(key, address)
    return tuple(others.values())[:MOST_OTHERS]


def _content(mail: Received, subject: str) -> Content:
    text = words.storable(mail.text)[:MAX_TEXT].replace("\r\n", "\n")
    if not text.strip() and mail.html:
        text = words.storable(cleaning.words(mail.html))
    if not text and mail.problem:
        return Unsupported(f"a mail that is only attached: {mail.problem}")
    html = words.storable(cleaning.clean(mail.html)) if mail.html else ""
    return Text(text, html, fresh=quotes.fresh(text, subject=subject))


def _id(mail: Received, given: Iterable[str]) -> str:
    """Its Message-ID, because answers name that; the provider's id, or a digest, for a mail without one."""
    for one in given:
        if len(one) <= MAX_ID and one.isprintable():
            return one
    if mail.id:
        return mail.id[:MAX_ID]
    said = "\n".join([*(f"{name}:{value}" for name, value in mail.headers), mail.text, mail.html])
    return "mail-" + hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:40]


def time_us(date: str) -> int:
    """Microseconds since 1970 of a Date header, 0 when it cannot be read."""
    try:
        at = parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return 0
    return round(at * 1_000_000) if 0 <= at < 253_402_300_800 else 0
