"""What a channel is: one class, most of it optional.

A channel is shared by all accounts of its type and keeps nothing: what belongs to an account is in `Account`, what
happened is in the platform. Subclass `Channel`, say what you can do in ``capabilities``, and write what you said.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, ClassVar, Literal

import httpx
import msgspec
from msgspec import Struct

from irisx_sdk.errors import Misconfigured, Refused
from irisx_sdk.messages import AddressKind, File, Inbound, Outbound, Preference, Sent, Status

ContentKind = Literal[
    "text", "media", "template", "interactive", "location", "reaction", "edit", "deletion", "typing"
]


class Capabilities(Struct, frozen=True, kw_only=True):
    """What a channel can do. The composer, the router and the conformance kit believe it."""

    sends: frozenset[ContentKind]
    webhook: bool = True
    """It reads webhooks."""
    listens: bool = False
    """It can hold a connection of its own (`Channel.listen`)."""
    max_text: int = 0
    """Characters of one message; 0 for as many as you like."""
    max_files: int = 0
    max_file_bytes: int = 0
    max_total_bytes: int = 0
    html: bool = False
    subject: bool = False
    threads: bool = False
    receipts: Literal["sent", "delivered", "read"] = "sent"
    """The most that a sender ever learns."""
    window_s: int = 0
    """Free text only within so many seconds after the receiver's last message; 0 for always."""
    idempotent: bool = False
    """The provider recognises a repetition by `Outbound.id`: an unknown outcome may be tried again."""
    idempotent_s: int = 0
    """For how many seconds after the first try it does; 0 for always."""
    segments: Literal["", "sms"] = ""
    """How a text is counted and paid."""
    starts: bool = True
    """We may write first."""


class Request(Struct, frozen=True):
    """A webhook as it arrived."""

    method: str
    url: str
    """As the provider called it: scheme, host, path and query."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    received_us: int
    """For checking how old a signature is: a channel reads no clock."""


class Reply(Struct, frozen=True):
    """What the provider is answered once everything is stored."""

    status: int = 200
    body: bytes = b""
    media_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


class Parsed(Struct, frozen=True):
    """What was in a webhook, or what a connection brought."""

    messages: tuple[Inbound, ...] = ()
    statuses: tuple[Status, ...] = ()
    preferences: tuple[Preference, ...] = ()
    reply: Reply = Reply()


class Account(Struct, frozen=True):
    """One connected account of a tenant."""

    id: str
    settings: Any
    """A value of the channel's ``Settings``."""
    keys: Mapping[str, bytes] = {}
    """Documents that the provider publishes, by address: see `irisx_sdk.errors.NeedsKey`."""


async def _no_address(file_id: str) -> str:
    raise Refused(
        "this provider gets files by a public address, and the platform has none", code="file address"
    )


async def _anywhere(host: str, port: int) -> str:
    return host


class Tools(Struct, frozen=True):
    """What the platform lends to a channel that does something."""

    http: httpx.AsyncClient
    """With deadlines set; follows no redirects; refuses private addresses unless the account's operator allows them."""
    read_file: Callable[[str], Awaitable[bytes]]
    """The content of an outbound `File` by its id."""
    now_us: Callable[[], int]
    load: Callable[[], Awaitable[bytes]]
    """What `save` kept for this account: a place in a stream. Empty at first."""
    save: Callable[[bytes], Awaitable[None]]
    file_url: Callable[[str], Awaitable[str]] = _no_address
    """An address of an outbound `File`, by its id, that the provider can get it from for some hours; public, so it is a
    secret. Raises `Refused` where the platform has none."""

    reach: Callable[[str, int], Awaitable[str]] = _anywhere
    """The address to connect to for a host and a port, for channels that open connections of their own (SMTP, IMAP).
    Raises `Misconfigured` for a private address, as ``http`` does, unless the account's operator allows them."""


Deliver = Callable[[Parsed], Awaitable[None]]
"""Returns when everything is stored: only then tell the provider that you have it."""


class Channel:
    """Base of every channel."""

    name: ClassVar[str]
    """``sms.twilio``: what the platform calls it, for ever."""
    title: ClassVar[str]
    address: ClassVar[AddressKind]
    capabilities: ClassVar[Capabilities]
    Settings: ClassVar[type[Struct]]
    """What an account needs to be told. Describe each field with `msgspec.Meta`; `secret` marks those to be sealed."""

    def parse_webhook(self, account: Account, request: Request) -> Parsed:
        """Read a webhook. Pure: no clock, no I/O, at most some milliseconds.

        The signature is checked over ``request.body`` before anything in it is believed. Raises `BadSignature`,
        `Malformed`, `NeedsKey`.
        """
        raise Misconfigured(f"{self.title} takes no webhooks")

    async def send(self, account: Account, message: Outbound, tools: Tools) -> Sent:
        """Hand a message to the provider. Raises the classes of `irisx_sdk.errors`, each only when it is certain."""
        raise Misconfigured(f"{self.title} sends nothing")

    async def listen(self, account: Account, tools: Tools, deliver: Deliver) -> None:
        """Hold a connection for as long as it lasts; trio. Return or raise to be started again, after a growing pause."""
        raise Misconfigured(f"{self.title} has no connection to hold")

    def fetch(self, account: Account, file: File, tools: Tools) -> AsyncIterator[bytes]:
        """The content of an inbound file, in pieces. Called soon after the message: addresses may expire."""
        return _plain(file, tools)

    async def check(self, account: Account, tools: Tools) -> str:
        """Ask the provider whether the account works, without sending anything; a line for people."""
        return "nothing to ask"


async def _plain(file: File, tools: Tools) -> AsyncIterator[bytes]:
    if file.content is not None:
        yield file.content
        return
    async with tools.http.stream("GET", file.url) as answer:
        answer.raise_for_status()
        async for piece in answer.aiter_bytes():
            yield piece


def secret(description: str) -> msgspec.Meta:
    """A setting that nobody is shown again: ``token: Annotated[str, secret("The account's token")]``."""
    return msgspec.Meta(description=description, extra_json_schema={"format": "password", "writeOnly": True})
