"""What all providers of mail that speak HTTP share: the channel around a codec, and what their statuses mean."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import httpx
from msgspec import Struct

from irisx_channels.email import outgoing, unsubscribe
from irisx_channels.email.mail import Mail
from irisx_sdk import (
    Account,
    Capabilities,
    Channel,
    ChannelError,
    Misconfigured,
    NotSent,
    Outbound,
    OutcomeUnknown,
    Parsed,
    Refused,
    Request,
    Sent,
    Throttled,
    Tools,
)
from irisx_sdk.http import call, retry_after_s

Upload = tuple[str, tuple[str, bytes, str]]


class Ask(Struct, frozen=True):
    """One request: what `httpx` is given."""

    method: str
    url: str
    headers: Mapping[str, str] = {}
    auth: tuple[str, str] | None = None
    json: Any = None
    data: Mapping[str, Sequence[str]] | None = None
    files: Sequence[Upload] | None = None

    async def by(self, http: httpx.AsyncClient) -> httpx.Response:
        """The answer. Raises as `irisx_sdk.http.call`."""
        given = {"json": self.json, "data": self.data, "files": self.files, "auth": self.auth}
        more = {name: value for name, value in given.items() if value is not None}
        return await call(http, self.method, self.url, headers=dict(self.headers), **more)


class Codec(Protocol):
    """What a provider's module ``codec`` has."""

    TITLE: str
    MOST_BYTES: int

    def request(self, settings: Any, mail: Mail) -> Ask:
        """The request that sends a mail."""

    def answer(self, status: int, headers: Mapping[str, str], body: bytes, mail: Mail) -> Sent:
        """What its answer means. Raises the SDK's errors."""

    def parse(self, account: Account, request: Request) -> Parsed:
        """A webhook."""

    def inquiry(self, settings: Any) -> Ask:
        """A request that changes nothing, to see whether the account works."""


class OverHttp(Channel):
    """Base of these channels."""

    address: ClassVar[Any] = "email"
    wire: ClassVar[Codec]

    def parse_webhook(self, account: Account, request: Request) -> Parsed:
        return unsubscribe.asked(account.settings, request) or self.wire.parse(account, request)

    async def send(self, account: Account, message: Outbound, tools: Tools) -> Sent:
        mail = await outgoing.composed(account.settings, message, tools, most_bytes=self.wire.MOST_BYTES)
        response = await self.wire.request(account.settings, mail).by(tools.http)
        try:
            return self.wire.answer(response.status_code, response.headers, response.content, mail)
        except Throttled as error:
            raise Throttled(str(error), code=error.code, retry_after_s=retry_after_s(response)) from None

    async def check(self, account: Account, tools: Tools) -> str:
        response = await self.wire.inquiry(account.settings).by(tools.http)
        if response.status_code >= 400:
            raise failure(self.wire.TITLE, response.status_code)
        return f"{self.wire.TITLE} knows this account"


def capabilities(most_bytes: int) -> Capabilities:
    """What every provider of mail can do; they differ in the size of a mail only."""
    return Capabilities(
        sends=frozenset(["text", "media"]),
        max_files=100,
        max_file_bytes=most_bytes,
        max_total_bytes=most_bytes,
        html=True,
        subject=True,
        threads=True,
        receipts="delivered",
    )


def failure(title: str, status: int, code: str = "") -> ChannelError:
    """The error for an answer that is no success, by its HTTP status.

    A 5xx may come after the mail was taken; only 503 says that it was not.
    """
    label = code or f"http {status}"
    if status in (401, 403) or 300 <= status < 400 or status in (404, 405):
        return Misconfigured(f"{title}: the account, its key or its address is not accepted", code=label)
    if status == 402:
        return Misconfigured(f"{title}: the account has to be paid", code=label)
    if status == 429:
        return Throttled(f"{title}: too many mails at once", code=label)
    if status == 413:
        return Refused(f"{title}: the mail is too large", code=label)
    if status in (408, 425, 503):
        return NotSent(f"{title}: not available at the moment", code=label)
    if 400 <= status < 500:
        return Refused(f"{title}: the mail was refused", code=label)
    return OutcomeUnknown(f"{title}: the answer does not say whether the mail was taken", code=label)
