"""Mails as bytes: written and read with the standard library's email package.

Written with its policy ``SMTP``. Read with its oldest one (``compat32``), because the modern policies parse every header
by the grammar and raise on what strangers write; here headers are taken as they are and read by
`irisx_channels.email.words`. Reading never fails: a mail that is too deep, too large or too odd is attached whole.
"""

import email
import email.message
import email.policy
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.headerregistry import Address as MailAddress
from email.message import EmailMessage, Message
from email.utils import format_datetime

from irisx_channels.email import words
from irisx_channels.email.mail import (
    MAX_FILES,
    MAX_HEADERS,
    MAX_HTML,
    MAX_MAIL,
    MAX_PARTS_INSIDE,
    MAX_TEXT,
    Mail,
    Received,
)
from irisx_sdk import Address, File

_WRITING = email.policy.SMTP.clone(cte_type="7bit")
"""Seven bits: then no server on the way has to know 8BITMIME."""
_NAME = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')
_BOUNDARY = re.compile(rb"boundary\s*=", re.IGNORECASE)
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_KINDS = {"text/plain": ".txt", "text/html": ".html", "message/rfc822": ".eml", "text/calendar": ".ics"}
Part = Message


def write(mail: Mail) -> bytes:
    """The mail on the wire, lines ended by CRLF. Raises `ValueError` for an address that no mail can have."""
    message = EmailMessage(policy=_WRITING)
    message["From"] = _address(mail.sender)
    message["To"] = _address(mail.to)
    if mail.copies:
        message["Cc"] = tuple(_address(one) for one in mail.copies)
    if mail.reply_to:
        message["Reply-To"] = _address(Address("email", mail.reply_to))
    message["Subject"] = words.one_line(mail.subject)
    message["Date"] = format_datetime(datetime.fromtimestamp(mail.at_us / 1e6, UTC))
    message.set_content(mail.text)
    shown = [one for one in mail.attachments if one.cid and mail.html]
    if mail.html:
        message.add_alternative(mail.html, subtype="html")
        body = message.get_payload(1)
        for one in shown:
            main, _, sub = one.media_type.partition("/")
            body.add_related(  # type: ignore[union-attr]
                one.content, main, sub, cid=f"<{one.cid}>", filename=one.name, disposition="inline"
            )
    for one in mail.attachments:
        if one not in shown:
            main, _, sub = one.media_type.partition("/")
            message.add_attachment(one.content, main, sub, filename=one.name)
    return _verbatim(mail) + message.as_bytes()


def _verbatim(mail: Mail) -> bytes:
    """The headers that must not be changed by folding: the library would put a long id into an encoded word."""
    lines = [f"Message-ID: <{mail.message_id}>"]
    for name, value in mail.threading:
        line = f"{name}:"
        for piece in value.split(" "):
            if len(line) - (line.rfind("\n") + 1) + len(piece) > 900:
                line += "\r\n"
            line += f" {piece}"
        lines.append(line)
    return ("\r\n".join(lines) + "\r\n").encode("ascii", "replace")


def _address(address: Address) -> MailAddress:
    if not words.is_address(address.value):
        raise ValueError("not a mail address")
    return MailAddress(words.one_line(address.name), addr_spec=address.value)


def read(raw: bytes, *, sender: str | None = None, recipient: str = "", id: str = "") -> Received:
    """The mail in ``raw``; ``sender`` and ``recipient`` are the envelope's."""
    problem = _problem(raw)
    if problem:
        return _attached(raw, problem, sender, recipient, id)
    try:
        message = email.message_from_bytes(raw, policy=email.policy.compat32)
        return _taken(message, raw, sender, recipient, id)
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError, IndexError, AssertionError):
        # The library's own mistakes on mails that nobody should have written.
        return _attached(raw, "it could not be taken apart", sender, recipient, id)


def _problem(raw: bytes) -> str:
    if len(raw) > MAX_MAIL:
        return f"it has more than {MAX_MAIL >> 20} MB"
    if len(_head(raw)) > MAX_HEADERS:
        return f"its headers have more than {MAX_HEADERS >> 10} KB"
    if len(_BOUNDARY.findall(raw)) > MAX_PARTS_INSIDE:
        return f"it has more than {MAX_PARTS_INSIDE} multiparts"
    return ""


def _head(raw: bytes) -> bytes:
    end = _END_OF_HEAD.search(raw)
    return raw[: end.start()] if end else raw


def _attached(raw: bytes, problem: str, sender: str | None, recipient: str, id: str) -> Received:
    """A mail of which only the headers are read."""
    head = _head(raw[:MAX_HEADERS])
    message = email.message_from_bytes(head + b"\r\n\r\n", policy=email.policy.compat32)
    whole = File("message.eml", "message/rfc822", len(raw), content=raw) if len(raw) <= MAX_MAIL else None
    return Received(
        headers=_headers(message),
        files=(whole,) if whole else (),
        sender=sender,
        recipient=recipient,
        id=id,
        problem=problem,
    )


def _headers(message: Part) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, value if keeps_words(name) else words.header(value))
        for name, value in ((name, str(value)) for name, value in message.raw_items())
    )


def keeps_words(name: str) -> bool:
    """Whether a header's encoded words are read later, address by address: a comma may be inside of one."""
    return name.lower() in ("from", "to", "cc", "bcc", "reply-to", "sender", "resent-to", "resent-cc")


class _Found:
    """What was found in the parts so far."""

    def __init__(self) -> None:
        self.plain: list[str] = []
        self.html: list[str] = []
        self.files: list[File] = []
        self.left_out = 0

    def keep(self, file: File) -> None:
        if len(self.files) < MAX_FILES:
            self.files.append(file)
        else:
            self.left_out += 1


def _taken(message: Part, raw: bytes, sender: str | None, recipient: str, id: str) -> Received:
    found = _Found()
    _walk(message, found, 0)
    text, html = "\n\n".join(found.plain), "".join(found.html)
    if len(text) > MAX_TEXT:
        found.keep(
            File("message.txt", "text/plain; charset=utf-8", len(text.encode()), content=text.encode())
        )
        text = text[:MAX_TEXT]
    if len(html) > MAX_HTML:
        found.keep(
            File("message.html", "text/html; charset=utf-8", len(html.encode()), content=html.encode())
        )
    problem = f"{found.left_out} more files were left out" if found.left_out else ""
    return Received(
        headers=_headers(message), text=text, html=html, files=tuple(found.files),
        sender=sender, recipient=recipient, id=id, problem=problem,
    )  # fmt: skip


def _walk(part: Part, found: _Found, depth: int) -> None:
    """Sort a part: words to show, HTML to show, or a file."""
    kind = _kind(part)
    payload = part.get_payload()
    if kind == "message/rfc822" or kind == "message/global":
        found.keep(_file(part, kind, _inner(part)))
    elif isinstance(payload, list):
        if kind == "message/delivery-status" or kind == "message/feedback-report":
            # The library reads these as messages, one a block of headers: together they are the report again.
            found.keep(_file(part, kind, b"\r\n\r\n".join(_plain_bytes(one).strip() for one in _parts(part))))
            return
        if depth > MAX_PARTS_INSIDE:
            raise ValueError("too deep")
        for one in _parts(part):
            _walk(one, found, depth + 1)
    else:
        _leaf(part, kind, found)


def _leaf(part: Part, kind: str, found: _Found) -> None:
    content = part.get_payload(decode=True)
    content = content if isinstance(content, bytes) else b""
    kept = _disposition(part) == "attachment" or bool(part.get_filename())
    if kind == "text/plain" and not kept:
        text = words.decoded(content, _charset(part)).replace("\r\n", "\n").strip("\n")
        if text.strip():
            found.plain.append(text)
    elif kind == "text/html" and not kept:
        found.html.append(words.decoded(content, _charset(part)))
    elif content or kept:
        found.keep(_file(part, kind, content))


def _file(part: Part, kind: str, content: bytes) -> File:
    cid = str(part.get("content-id", "")).strip().strip("<>")
    return File(
        name=file_name(_named(part), kind),
        media_type=kind,
        size=len(content),
        id=f"cid:{words.one_line(cid)[:200]}" if cid else "",
        content=content,
    )


def file_name(name: str, kind: str = "") -> str:
    """A name that is one, without the way to it: no folder, no control characters, at most 150 characters."""
    plain = _NAME.sub("_", words.storable(name).strip()).strip(". ")
    if len(plain) > 150:
        stem, dot, end = plain.rpartition(".")
        plain = f"{stem[:120]}.{end[:20]}" if dot else plain[:150]
    return plain or f"file{_KINDS.get(kind, '')}"


def _named(part: Part) -> str:
    try:
        return words.header(part.get_filename() or "")
    except (ValueError, TypeError, LookupError, AttributeError):
        return ""


def _kind(part: Part) -> str:
    try:
        kind = part.get_content_type()
    except (ValueError, TypeError, AttributeError):
        return "application/octet-stream"
    return kind if kind.isascii() and len(kind) < 100 else "application/octet-stream"


def _charset(part: Part) -> str:
    found = part.get_param("charset")
    return str(found[2] if isinstance(found, tuple) else found or "")


def _disposition(part: Part) -> str:
    return (part.get_content_disposition() or "").lower()


def _parts(part: Part) -> Iterator[Part]:
    payload = part.get_payload()
    yield from (one for one in payload if isinstance(one, Message)) if isinstance(payload, list) else ()


def _inner(part: Part) -> bytes:
    inner = next(_parts(part), None)
    if inner is not None:
        return _plain_bytes(inner)
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _plain_bytes(part: Part) -> bytes:
    try:
        return part.as_bytes(policy=email.policy.compat32.clone(linesep="\r\n"))
    except (UnicodeError, ValueError, TypeError, AttributeError, LookupError, RecursionError):
        return b""
