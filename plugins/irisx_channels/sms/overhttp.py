"""A channel of text messages over HTTP, the same for all providers: what differs is in each one's pure `Codec`."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar, Protocol

import httpx
import msgspec
from msgspec import Struct

from irisx_channels.sms import media, reading
from irisx_channels.sms.outcomes import failure
from irisx_sdk import (
    Account,
    Channel,
    File,
    Malformed,
    Media,
    Misconfigured,
    NotSent,
    Outbound,
    OutcomeUnknown,
    Parsed,
    Request,
    Sent,
    Tools,
)
from irisx_sdk.http import call, retry_after_s
from irisx_sdk.messages import AddressKind

_SPARE_S = 60
_MOST_TOKENS = 1000


class Ask(Struct, frozen=True):
    """A request to a provider. At most one of ``json``, ``form`` and ``content`` is its body."""

    method: str
    url: str
    json: Any = None
    form: Mapping[str, str | list[str]] | None = None
    content: bytes | None = None
    headers: Mapping[str, str] = {}
    login: tuple[str, str] | None = None
    """User and password of HTTP basic authentication."""


class Codec(Protocol):
    """What a provider's ``codec`` module has. All of it is pure."""

    TITLE: str

    def submission(self, settings: Any, message: Outbound, now_us: int) -> Ask:
        """The request that sends a message. Raises `Refused`, `Misconfigured`."""

    def sent(self, message: Outbound, status: int, body: bytes, retry_after_s: float | None = None) -> Sent:
        """What the answer to it says. Raises the SDK's errors."""

    def parse(self, account: Account, request: Request) -> Parsed:
        """As `Channel.parse_webhook`."""

    def probe(self, settings: Any, now_us: int) -> Ask:
        """A request that changes nothing and succeeds with good credentials."""

    def working(self, answer: Any) -> str:
        """A line for people out of the answer to `probe`."""

    def file_login(self, settings: Any) -> tuple[str, tuple[str, str]] | None:
        """The origin whose files want the account's password, and the password."""

    def token(self, settings: Any) -> Ask | None:
        """The request for a token (RFC 6749, 4.4) that takes the place of a password; None when none is used."""


class OverHttp(Channel):
    """Base of the channels here."""

    address: ClassVar[AddressKind] = "phone"
    wire: ClassVar[Codec]

    def __init__(self) -> None:
        # Tokens are no state of an account: one that is lost is asked for again. Keyed by all they were asked with.
        self._tokens: dict[str, tuple[str, int]] = {}

    def parse_webhook(self, account: Account, request: Request) -> Parsed:
        return self.wire.parse(account, request)

    async def send(self, account: Account, message: Outbound, tools: Tools) -> Sent:
        message = await self._reachable(account, message, tools)
        ask = self.wire.submission(account.settings, message, tools.now_us())
        answer = await self.ask(account, ask, tools)
        return self.wire.sent(message, answer.status_code, answer.content, retry_after_s(answer))

    async def check(self, account: Account, tools: Tools) -> str:
        answer = await self.ask(account, self.wire.probe(account.settings, tools.now_us()), tools)
        if answer.status_code != 200:
            raise failure(self.wire.TITLE, answer.status_code, "", {}, retry_after_s(answer))
        try:
            return self.wire.working(reading.json_value(answer.content))
        except Malformed:
            raise OutcomeUnknown(f"{self.wire.TITLE} answered something that is not its interface") from None

    def fetch(self, account: Account, file: File, tools: Tools) -> AsyncIterator[bytes]:
        at, login = self.wire.file_login(account.settings) or ("", None)
        return media.download(file, tools, title=self.wire.TITLE, at=at, auth=login)

    async def address_of(self, account: Account, file: File, tools: Tools) -> str:
        """Where the provider can get a file of ours. Raises `Refused` where the platform has no public address."""
        return await tools.file_url(file.id)

    async def _reachable(self, account: Account, message: Outbound, tools: Tools) -> Outbound:
        """The message with an address for each of its files."""

        async def placed(file: File) -> File:
            if file.url or not file.id:
                return file
            return msgspec.structs.replace(file, url=await self.address_of(account, file, tools))

        content = message.content
        if not message.files and not isinstance(content, Media):
            return message
        if isinstance(content, Media) and not content.file.url:
            content = msgspec.structs.replace(content, file=await placed(content.file))
        files = tuple([await placed(file) for file in message.files])
        return msgspec.structs.replace(message, content=content, files=files)

    async def ask(self, account: Account, ask: Ask, tools: Tools) -> httpx.Response:
        """The answer to a request, with the account's credentials."""
        way = self.wire.token(account.settings)
        if way is None:
            return await _call(tools, ask)
        answer = await _call(tools, ask, await self._bearer(way, tools))
        if answer.status_code == 401:
            # Tokens can be revoked before their time. A 401 was certainly not carried out: once more with a new one.
            self._tokens.pop(_key(way), None)
            answer = await _call(tools, ask, await self._bearer(way, tools))
        return answer

    async def _bearer(self, way: Ask, tools: Tools) -> str:
        key, now_s = _key(way), tools.now_us() // 1_000_000
        token, until_s = self._tokens.get(key, ("", 0))
        if now_s < until_s:
            return token
        try:
            answer = await _call(tools, way)
        except OutcomeUnknown:
            raise NotSent(f"{self.wire.TITLE}: no token could be had") from None
        if answer.status_code in (400, 401, 403):
            raise Misconfigured(f"{self.wire.TITLE}: the client's id or secret is not accepted")
        try:
            given = reading.json_object(answer.content)
        except Malformed:
            given = {}
        token = reading.word(given, "access_token")
        if answer.status_code != 200 or not token:
            raise NotSent(f"{self.wire.TITLE}: no token could be had", code=f"http {answer.status_code}")
        if len(self._tokens) >= _MOST_TOKENS:
            self._tokens.clear()
        lasts_s = reading.whole(reading.word(given, "expires_in")) or 2 * _SPARE_S
        self._tokens[key] = (token, now_s + max(0, lasts_s - _SPARE_S))
        return token


def _key(way: Ask) -> str:
    return hashlib.sha256(repr((way.url, way.login, way.form)).encode()).hexdigest()


async def _call(tools: Tools, ask: Ask, bearer: str = "") -> httpx.Response:
    more: dict[str, Any] = {"headers": dict(ask.headers)}
    if bearer:
        more["headers"]["Authorization"] = f"Bearer {bearer}"
    elif ask.login is not None:
        more["auth"] = ask.login
    if ask.json is not None:
        more["json"] = ask.json
    elif ask.form is not None:
        more["data"] = dict(ask.form)
    elif ask.content is not None:
        more["content"] = ask.content
    return await call(tools.http, ask.method, ask.url, **more)
