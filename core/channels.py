"""Connected accounts in a running process: which channel they belong to, their settings, and reading their webhooks.

asyncio. The channels themselves are handed in by whoever composes the process: this room knows none. A channel is a
stranger's code, so its `parse_webhook` runs in a thread with a deadline; one that does not come back keeps its thread,
and when all threads of that channel are gone its webhooks are refused with a reason, while everything else goes on.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
from msgspec import Struct

from core.clock import monotonic
from core.conversations import Intake, Source
from core.errors import Conflict, IrisxError, NotFound, PeerError, RequestError, Unavailable
from core.ids import new_id
from core.logs import get_logger
from core.storage import channels as store
from core.storage.channels import ChannelRow
from core.storage.database import Database
from core.threads import AllHang, Threads
from irisx_sdk import Account, BadSignature, Channel, Malformed, NeedsKey, Parsed, Reply, Request

LOG = get_logger("channels")

REMEMBER_S = 2.0
"""How old an account may be: a change is followed within this time by every process."""
MOST_REMEMBERED = 10_000
PARSE_S = 2.0
PARSE_BYTES_PER_S = 2_000_000
"""Added to the deadline: a mail of 25 MB with 200 files takes 1.2 s alone on a core, and it is rarely alone."""
THREADS = 4
MAX_KEY_BYTES = 1 << 20
MOST_KEYS = 3
"""Published documents that one webhook may need (a configuration, its keys, a certificate)."""
KEEP_UNREAD_BYTES = 64 * 1024
LARGE = 1 << 20
"""Bytes of a body from which on few are in memory at once."""
LARGE_AT_ONCE = 3
"""A mail of 25 MB takes some 150 MB while it is read: its base64, the mail, its parts."""
LARGE_WAIT_S = 10.0


class Forged(RequestError):
    """A webhook that its provider did not send."""

    status_hint = 401
    code = "bad_signature"

    def __init__(self, detail: str, *, challenge: str = "") -> None:
        super().__init__(detail)
        self.challenge = challenge
        """How the provider may prove itself (``Basic``), when it waits to be asked."""


class Unreadable(RequestError):
    """A webhook that cannot be read; it is kept for people."""

    status_hint = 400
    code = "unreadable_webhook"


class ChannelFailed(PeerError):
    """A channel's own code failed on a webhook; the provider may try again."""

    status_hint = 503
    code = "channel_failed"


class Opened(Struct, frozen=True):
    """An account with its channel."""

    row: ChannelRow
    channel: Channel
    account: Account


def hidden_members(channel: Channel) -> frozenset[str]:
    """The settings that nobody is shown again: those marked with `irisx_sdk.secret`."""
    (schema,), _ = msgspec.json.schema_components([channel.Settings])
    components = msgspec.json.schema_components([channel.Settings])[1]
    members = components.get(channel.Settings.__name__, schema).get("properties", {})
    return frozenset(name for name, said in members.items() if _is_secret(said))


def _is_secret(said: Mapping[str, Any]) -> bool:
    return bool(said.get("writeOnly")) or any(_is_secret(one) for one in said.get("anyOf", ()))


class Channels:
    """The accounts of a process."""

    def __init__(
        self,
        db: Database,
        intake: Intake,
        channels: Mapping[str, Channel],
        *,
        secret: str,
        http: httpx.AsyncClient | None = None,
        local: bool = False,
    ) -> None:
        """``local``: keys may be published on this machine, too (`core.config.Settings.reaches_this_machine`)."""
        self.known = channels
        """Every installed channel by its name."""
        self._db = db
        self._intake = intake
        self._secret = secret
        self._local = local
        self._http = http or httpx.AsyncClient(timeout=5.0, follow_redirects=False)
        self._opened: dict[str, tuple[float, Opened | None]] = {}
        self._keys: dict[str, tuple[float, bytes]] = {}
        self._threads: dict[str, Threads] = {}
        """For each type of channel its own: one whose code hangs hangs alone."""
        self._room = asyncio.Semaphore(LARGE_AT_ONCE)

    @asynccontextmanager
    async def room_for(self, size: int | None) -> AsyncIterator[None]:
        """Memory for a body of ``size`` bytes (None: nobody told). Raises `Unavailable` when too many large ones wait."""
        if size is not None and size <= LARGE:
            yield
            return
        try:
            await asyncio.wait_for(self._room.acquire(), LARGE_WAIT_S)
        except TimeoutError:
            raise Unavailable("too many large webhooks at once", code="busy") from None
        try:
            yield
        finally:
            self._room.release()

    async def aclose(self) -> None:
        await self._http.aclose()
        for threads in self._threads.values():
            threads.close()

    def check_settings(self, name: str, settings: Mapping[str, Any]) -> Channel:
        """The channel, if it is installed and takes these settings. Raises `RequestError` naming the member."""
        channel = self.known.get(name)
        if channel is None:
            raise RequestError(f"there is no channel {name}", code="no_such_channel_type")
        try:
            msgspec.convert(settings, channel.Settings)
        except msgspec.ValidationError as exc:
            raise RequestError(f"settings: {exc}", code="bad_settings") from None
        unknown = sorted(
            set(settings) - {field.encode_name for field in msgspec.structs.fields(channel.Settings)}
        )
        if unknown:
            raise RequestError(f"settings: {channel.title} has no {unknown[0]}", code="bad_settings")
        return channel

    async def open(self, channel_id: str) -> Opened:
        """An account by its id, whoever's it is. Raises `NotFound`, `Unavailable` for one whose channel is missing."""
        known = self._opened.get(channel_id)
        if known is None or known[0] < monotonic():
            row = await store.open_channel(self._db, channel_id, secret=self._secret)
            if len(self._opened) >= MOST_REMEMBERED:
                self._opened.clear()
            known = self._opened[channel_id] = (
                monotonic() + REMEMBER_S,
                None if row is None else self._of(row),
            )
        if known[1] is None:
            raise NotFound(f"there is no channel {channel_id}", code="no_such_channel")
        return known[1]

    def forget(self, channel_id: str) -> None:
        """It has been changed here."""
        self._opened.pop(channel_id, None)

    def _of(self, row: ChannelRow) -> Opened:
        channel = self.known.get(row.type)
        if channel is None:
            raise Unavailable(f"the plugin that brings {row.type} is not installed here", code="no_plugin")
        return Opened(row, channel, Account(row.id, msgspec.convert(row.settings, channel.Settings)))

    async def receive(self, channel_id: str, request: Request) -> Reply:
        """Read a webhook and store everything in it; what to answer the provider.

        Raises `NotFound`, `Forged`, `Unreadable`, `ChannelFailed`, and the store's errors: then nothing is stored.
        """
        opened = await self.open(channel_id)
        if opened.row.state == "disabled":
            raise Conflict("the channel is switched off", code="channel_disabled")
        try:
            parsed = await self._parse(opened, request)
        except BadSignature as exc:
            raise Forged(str(exc), challenge=exc.challenge) from None
        except Malformed as exc:
            await self._keep(opened, request, str(exc))
            raise Unreadable(str(exc)) from None
        source = Source(opened.row.tenant_id, opened.row.id, opened.row.type)
        await self._intake.take(source, parsed, received_us=request.received_us)
        return parsed.reply

    async def _parse(self, opened: Opened, request: Request) -> Parsed:
        """In a thread, with the documents that it asks for."""
        keys = {url: body for url, (until, body) in self._keys.items() if until > monotonic()}
        for _ in range(MOST_KEYS + 1):
            account = msgspec.structs.replace(opened.account, keys=keys) if keys else opened.account
            try:
                return await self._in_thread(opened, account, request)
            except NeedsKey as wanted:
                if wanted.url in keys:
                    raise ChannelFailed("the channel asks for what it has") from None
                keys[wanted.url] = await self._fetch(wanted)
        raise ChannelFailed("the channel asks for ever more documents")

    async def _in_thread(self, opened: Opened, account: Account, request: Request) -> Parsed:
        threads = self._threads.get(opened.row.type)
        if threads is None:
            threads = self._threads[opened.row.type] = Threads(THREADS, f"webhook-{opened.row.type}")
        try:
            return await threads.run(
                opened.channel.parse_webhook,
                account,
                request,
                limit_s=PARSE_S + len(request.body) / PARSE_BYTES_PER_S,
            )
        except AllHang:
            raise Unavailable(
                "the channel's code hangs; restart this process", code="channel_failed"
            ) from None
        except TimeoutError:
            LOG.error("a channel took too long over a webhook", channel=opened.row.id, type=opened.row.type)
            raise ChannelFailed("the channel took too long") from None
        except (BadSignature, Malformed, NeedsKey, IrisxError):
            raise
        except Exception as exc:  # noqa: BLE001 - a plugin may raise anything
            LOG.error(
                "a channel failed on a webhook",
                channel=opened.row.id,
                type=opened.row.type,
                error=type(exc).__name__,
            )
            raise ChannelFailed("the channel failed on this webhook") from None

    async def _fetch(self, wanted: NeedsKey) -> bytes:
        """A document that a provider publishes."""
        allowed = ("https://", "http://127.0.0.1:") if self._local else ("https://",)
        if not wanted.url.startswith(allowed):
            raise ChannelFailed("a published key must be fetched over https")
        try:
            async with self._http.stream("GET", wanted.url) as answer:
                answer.raise_for_status()
                body = b""
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > MAX_KEY_BYTES:
                        raise ChannelFailed("a published key is too large")
        except httpx.HTTPError:
            raise ChannelFailed("a key that the provider publishes could not be fetched") from None
        self._keys[wanted.url] = monotonic() + wanted.keep_s, body
        return body

    async def _keep(self, opened: Opened, request: Request, reason: str) -> None:
        async with self._db.reader(opened.row.tenant_id) as connection:
            await connection.execute(
                "insert into unread_webhooks (tenant_id, id, channel_id, media_type, body, reason, received_us)"
                " values ($1, $2, $3, $4, $5, $6, $7)",
                opened.row.tenant_id,
                new_id("whk"),
                opened.row.id,
                request.headers.get("content-type", "")[:200],
                request.body[:KEEP_UNREAD_BYTES],
                reason[:500],
                request.received_us,
            )
