"""What the fake providers of mail share: who writes to whom, and the mail that a customer's program would write."""

import email
import email.policy
import html
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

from irisx_channels.email import words
from irisx_sdk.fake import Fake, FakeMessage

SENDER = "support@shop.example"
REPLY_TO = "answers@in.shop.example"
UNSUBSCRIBE_KEY = "fake-unsubscribe-key"
ADDRESSES: dict[str, Any] = {
    "sender": SENDER,
    "sender_name": "The shop",
    "reply_to": REPLY_TO,
    "unsubscribe_key": UNSUBSCRIBE_KEY,
}
"""The settings that every account of mail has."""


def written(
    fake: Fake,
    sender: str,
    text: str,
    *,
    subject: str = "A question",
    to: str = REPLY_TO,
    answers: str = "",
    with_html: bool = False,
    files: Sequence[tuple[str, str, bytes]] = (),
    headers: Sequence[tuple[str, str]] = (),
) -> bytes:
    """A mail as a customer's program writes it. ``answers``: a Message-ID; ``files``: name, media type, content."""
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"] = f"Kim Customer <{sender}>"
    message["To"] = to
    message["Subject"] = subject
    message["Date"] = format_datetime(datetime.fromtimestamp(fake.clock(), UTC))
    message["Message-ID"] = f"<{fake.new_id(digits=24)}@customer.example>"
    if answers:
        message["In-Reply-To"] = f"<{answers}>"
        message["References"] = f"<{answers}>"
    for name, value in headers:
        message[name] = value
    # (half a character cannot be sent by any program)
    text = text.encode("utf-8", "replace").decode()
    message.set_content(text)
    if with_html:
        message.add_alternative(f"<p>{html.escape(text)}</p>", subtype="html")
    for name, kind, content in files:
        main, _, sub = kind.partition("/")
        message.add_attachment(content, main, sub, filename=name)
    return message.as_bytes()


def taken(fake: Fake, name: str, raw: bytes, to: str) -> FakeMessage:
    """A mail of ours, read as the receiver's program would."""
    message = email.message_from_bytes(raw, policy=email.policy.default)
    body = message.get_body(("plain",))
    return FakeMessage(
        name,
        to,
        body.get_content().replace("\r\n", "\n").removesuffix("\n") if body is not None else "",
        tuple(str(part.get_filename()) for part in message.iter_attachments()),
        raw=message,
        at=fake.clock(),
        sender=str(message["From"]),
    )


def address_of(text: str) -> str:
    """The address in ``Name <address>``."""
    found = words.addresses(text)
    return found[0].value if found else ""


def form(
    fields: dict[str, str],
    files: Sequence[tuple[str, tuple[str, bytes, str]]],
    *,
    encoding: str = "utf-8",
    multipart: bool = False,
) -> tuple[bytes, str]:
    """A form's body and media type: urlencoded, or multipart when there are files."""
    if not files and not multipart:
        body = urlencode(fields, encoding=encoding, errors="replace").encode()
        return body, "application/x-www-form-urlencoded"
    boundary = "----fakeformboundary7MA4YWxkTrZu0gW"
    pieces: list[bytes] = []
    for name, value in fields.items():
        pieces.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode())
        pieces.append(value.encode(encoding, "replace") + b"\r\n")
    for name, (filename, content, kind) in files:
        shown = filename.replace('"', "%22")
        head = f'Content-Disposition: form-data; name="{name}"; filename="{shown}"\r\nContent-Type: {kind}'
        pieces.append(f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + b"\r\n")
    return b"".join([*pieces, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"
