"""A mail as a value, going out and coming in; the limits that both keep.

Each limit says what happens beyond it. Nothing is ever dropped for its size: what cannot be shown is attached.
"""

import hashlib
from typing import Annotated

import msgspec
from msgspec import Struct

from irisx_sdk import Address, File, secret

MAX_MAIL = 40 << 20
"""Bytes of a whole mail. 25 MB of attachments (Gmail's and Exchange Online's limit for what a person attaches) become
34 MB in base64 with its line ends; the rest is room for the words. Beyond it a mail is refused, by us or before us."""
MAX_FILES = 250
"""Attachments of one mail; those beyond it are counted in the last one's name. A mail of 200 pictures is a real thing."""
MAX_FILE_BYTES = 25_000_000
MAX_TEXT = 1 << 20
"""Characters of the words; the whole is attached as ``message.txt`` when there are more."""
MAX_HTML = 256 << 10
"""Characters of HTML that are cleaned: about 0.1 s of one core; Gmail shows the first 102 KB. More is attached, and its words are shown."""
MAX_HEADERS = 256 << 10
"""Bytes of a mail's headers; Postfix's `header_size_limit` is 102,400. Beyond it the mail is attached unread."""
MAX_HEADER = 32_768
"""Characters of one header that are read: some hundred addresses, or ids."""
MAX_PARTS_INSIDE = 60
"""Multiparts in one mail. The standard library's parser asks every open one about each line: thousands would be hours."""
MAX_ADDRESSES = 200
MAX_ID = 400
"""Characters of a Message-ID; longer ones are known by their digest."""


class Settings(Struct, frozen=True, kw_only=True):
    """What every account of mail is told."""

    sender: Annotated[str, msgspec.Meta(description="The address that mails come from: support@example.org")]
    sender_name: Annotated[str, msgspec.Meta(description="The name beside it")] = ""
    reply_to: Annotated[
        str,
        msgspec.Meta(
            description="The address that answers go to, if its mail comes back to IRISX and its server takes"
            " support+anything@ for support@. It is what makes threads certain at providers that rewrite ids."
        ),
    ] = ""
    unsubscribe_key: Annotated[
        str, secret("Any long random text: mails that nobody asked for then carry one-click unsubscribe")
    ] = ""


class Attachment(Struct, frozen=True):
    """A file that goes out."""

    name: str
    media_type: str
    content: bytes
    cid: str = ""
    """The name by which the HTML shows it (``cid:``); empty for a file to keep."""


class Mail(Struct, frozen=True, kw_only=True):
    """A mail that goes out: everything is decided and checked, and can be written on any wire."""

    message_id: str
    """Without angle brackets, as all ids here."""
    sender: Address
    to: Address
    copies: tuple[Address, ...] = ()
    reply_to: str = ""
    subject: str = ""
    text: str = ""
    html: str = ""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    """More of them, ASCII, in one line each."""
    attachments: tuple[Attachment, ...] = ()
    reference: str = ""
    """`Outbound.id`."""
    at_us: int = 0

    @property
    def recipients(self) -> tuple[str, ...]:
        """Everybody who gets it, each once."""
        return tuple(dict.fromkeys([self.to.value, *(copy.value for copy in self.copies)]))

    @property
    def threading(self) -> tuple[tuple[str, str], ...]:
        """``In-Reply-To``, ``References`` and the other headers, for providers that take headers as pairs."""
        found = [("In-Reply-To", f"<{self.in_reply_to}>")] if self.in_reply_to else []
        if self.references:
            found.append(("References", " ".join(f"<{one}>" for one in self.references)))
        return (*found, *self.headers)


class Received(Struct, frozen=True, kw_only=True):
    """A mail that came, whichever way: headers decoded, words as Unicode, HTML as it came."""

    headers: tuple[tuple[str, str], ...] = ()
    text: str = ""
    html: str = ""
    files: tuple[File, ...] = ()
    sender: str | None = None
    """The envelope's; empty for the null path of bounces, None when nobody told."""
    recipient: str = ""
    """The envelope's."""
    id: str = ""
    """The provider's, for a mail without a usable Message-ID."""
    problem: str = ""
    """Why it could only be attached, in words for people."""

    def all(self, name: str) -> list[str]:
        """The values of a header, in order."""
        wanted = name.lower()
        return [value for key, value in self.headers if key.lower() == wanted]

    def first(self, name: str) -> str:
        """The first value of a header, empty without one."""
        return next(iter(self.all(name)), "")


def digest(address: str) -> str:
    """A short name for a recipient, to recognise the main one in reports without telling who it is."""
    return hashlib.sha256(address.strip().lower().encode("utf-8", "replace")).hexdigest()[:12]
