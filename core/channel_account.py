"""One connected account at work: its sender, and its connection if it holds one.

trio. What a channel does in `listen` is a stranger's code: it may raise, return or hang, and concerns its own account
only. One host of all holds the connection of an account, under a lease; that two hold it for a moment does no harm,
because what comes twice is stored once.
"""

import random
import ssl
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec
import trio
from msgspec import Struct

from core.aio import Bridge
from core.attachments import Links
from core.boards import Boards
from core.bus import Bus
from core.channel_tools import open_tools
from core.clock import now_us
from core.cluster.lease import Lease
from core.config import Settings
from core.conversations import Intake, Source
from core.errors import PeerError, RequestError
from core.hooks import Hooks
from core.logs import get_logger
from core.outbox import BeforeSend, Sender
from core.pacing import Pace
from core.storage import channels as store
from core.storage.blobs import Blobs
from core.storage.channels import ChannelRow
from core.storage.database import Database
from core.watchdog import CHARGE, Charge
from irisx_sdk import Account, Channel, Misconfigured, Parsed, Tools

LOG = get_logger("channels")

LEASE_S = 5.0
"""How long nobody listens after a host died. Longer than a switch's lease: providers keep messages for us meanwhile."""
FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 60.0
CALM_S = 60.0
"""After a connection that lasted so long the next pause is the shortest again."""
CHECK_S = 20.0
MAX_REASON = 300


class Parts(Struct):
    """What all accounts of a process share."""

    name: str
    bridge: Bridge
    bus: Bus
    db: Database
    intake: Intake
    blobs: Blobs
    tls: ssl.SSLContext
    channels: Mapping[str, Channel]
    secret: str = ""
    """The installation's: what is sealed is opened with it."""
    webhook_networks: tuple[str, ...] = ()
    """Private networks that webhooks may reach (`core.config.Settings.webhook_networks`)."""
    settings: Settings = Settings()
    hooks: Hooks | None = None
    boards: Boards | None = None
    pace: Pace | None = None
    public_url: str = ""
    """How providers reach our API; empty: they are told no address to report to."""


class Pause:
    """The time between two tries: it doubles, jitters, and is short again after something lasted."""

    def __init__(self) -> None:
        self._next_s = FIRST_PAUSE_S

    def seconds(self, lasted_s: float) -> float:
        """How long to wait before the next try; the last one went well for ``lasted_s``."""
        if lasted_s >= CALM_S:
            self._next_s = FIRST_PAUSE_S
        now_s = self._next_s
        self._next_s = min(now_s * 2, MAX_PAUSE_S)
        return now_s * random.uniform(0.5, 1.0)


class ConnectedAccount:
    """An account while it is served here; `run` ends after `stop`."""

    def __init__(self, parts: Parts, row: ChannelRow, number: int) -> None:
        self.row = row
        """As it was read last: its version moves on while its settings stay."""
        self.listening = False
        self._parts = parts
        self._channel = parts.channels[row.type]
        self._lease_name = f"{parts.name}/{number}"
        self._sender: Sender | None = None
        self._connection = trio.CancelScope()
        self._told_to_stop = trio.Event()

    def same_as(self, row: ChannelRow) -> bool:
        """Whether ``row`` needs no other tasks than these."""
        mine = self.row
        return (row.type, row.settings, row.limits) == (mine.type, mine.settings, mine.limits)

    @property
    def sender(self) -> Sender | None:
        """What sends through it, while it is served."""
        return None if self._told_to_stop.is_set() else self._sender

    def wake(self) -> None:
        """There may be something to send."""
        if self._sender is not None:
            self._sender.wake()

    def stop(self) -> None:
        """Take nothing more, let the connection go, finish what is under way."""
        self._told_to_stop.set()
        self._connection.cancel()
        if self._sender is not None:
            self._sender.stop()

    async def run(self) -> None:
        """Send and listen until `stop`."""
        CHARGE.set(Charge(self.row.tenant_id, self.row.id, self.row.type))
        try:
            settings = msgspec.convert(self.row.settings, self._channel.Settings)
        except msgspec.ValidationError:
            await self._blame("bad_settings", "the settings do not fit the installed version of the channel")
            return
        account, parts = Account(self.row.id, settings), self._parts
        async with (
            open_tools(
                parts.bridge,
                parts.db,
                parts.blobs,
                parts.tls,
                tenant_id=self.row.tenant_id,
                channel_id=self.row.id,
                settings=settings,
                local_allowed=parts.settings.reaches_this_machine,
                links=Links(parts.secret, parts.public_url) if parts.public_url else None,
            ) as tools,
            trio.open_nursery() as nursery,
        ):
            if self._channel.capabilities.listens:
                nursery.start_soon(self._listen, account, tools)
            await self._send(account, tools)
            self._connection.cancel()

    @property
    def _status_url(self) -> str:
        """Where the provider may report what became of a message."""
        base = self._parts.public_url.rstrip("/")
        takes = bool(base) and self._channel.capabilities.webhook
        return f"{base}/v1/channels/{self.row.id}/inbound" if takes else ""

    async def _send(self, account: Account, tools: Tools) -> None:
        parts, pause = self._parts, Pause()
        while not self._told_to_stop.is_set():
            began = trio.current_time()
            self._sender = Sender(
                parts.bridge,
                parts.db,
                self._channel,
                account,
                tools,
                owner=parts.name,
                before_send=_before_send(parts.hooks),
                blame=self._blame,
                status_url=self._status_url,
                tolls=parts.boards.toll if parts.boards is not None else None,
                pace=parts.pace,
                per_second=_rate(self.row.limits),
            )
            try:
                await self._sender.run()
            except* Exception as group:  # noqa: BLE001 - a bug of ours over one message
                # It is taken again when its claim has run out.
                LOG.error("a sender failed", channel=self.row.id, errors=_names(group))
            with trio.move_on_after(pause.seconds(trio.current_time() - began)):
                await self._told_to_stop.wait()

    async def _listen(self, account: Account, tools: Tools) -> None:
        """Hold the connection whenever the lease is ours, until `stop`."""
        parts = self._parts
        lease = Lease(parts.bridge, parts.bus, self.row.id, self._lease_name, ttl_s=LEASE_S)
        with self._connection:
            try:
                while True:
                    await lease.wait_taken()
                    self.listening = True
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._hold, account, tools)
                        await lease.keep()
                        nursery.cancel_scope.cancel()
                    self.listening = False
            finally:
                self.listening = False
                with trio.CancelScope(shield=True):
                    await lease.release()

    async def _hold(self, account: Account, tools: Tools) -> None:
        """Let the channel listen, again and again, whatever becomes of it."""
        pause = Pause()
        while True:
            began = trio.current_time()
            refused: list[Misconfigured] = []
            try:
                await self._channel.listen(account, tools, self._deliver)
                LOG.info("a connection ended", channel=self.row.id, type=self.row.type)
            except* Misconfigured as group:
                refused += _leaves(group)
            except* Exception as group:  # noqa: BLE001 - a plugin may raise anything
                LOG.warning(
                    "a connection failed", channel=self.row.id, type=self.row.type, errors=_names(group)
                )
            if refused:
                await self._refused(refused[0], account, tools)
            await trio.sleep(pause.seconds(trio.current_time() - began))

    async def _refused(self, why: Misconfigured, account: Account, tools: Tools) -> None:
        """The account has no connection as it is now. Whether it works otherwise (by webhooks), its provider knows."""
        LOG.warning("an account has no connection", channel=self.row.id, type=self.row.type, code=why.code)
        if self._channel.capabilities.webhook and await self._works(account, tools):
            await trio.sleep_forever()  # until its settings change
        await self._blame(why.code, str(why))

    async def _works(self, account: Account, tools: Tools) -> bool:
        """What the provider says of the account itself; an answer that does not come speaks for it."""
        works = True
        try:
            with trio.fail_after(CHECK_S):
                await self._channel.check(account, tools)
        except* Misconfigured:
            works = False
        except* Exception as group:  # noqa: BLE001 - a plugin may raise anything
            LOG.info("an account could not be checked", channel=self.row.id, errors=_names(group))
        return works

    async def _deliver(self, parsed: Parsed) -> None:
        """Returns when all of it is stored; raises `core.errors.Unavailable` when too much waits."""
        source = Source(self.row.tenant_id, self.row.id, self.row.type)
        await self._parts.bridge.run(partial(self._parts.intake.take, source, parsed, received_us=now_us()))

    async def _blame(self, code: str, reason: str) -> None:
        """Mark the account, so that a person looks at it and nobody tries it until it is changed."""
        mark = partial(
            store.update_channel,
            self._parts.db,
            self.row.tenant_id,
            self.row.id,
            version=self.row.version,
            state="misconfigured",
            reason=reason[:MAX_REASON],
        )
        try:
            await self._parts.bridge.run(mark)
        except RequestError:
            return  # somebody changed or removed it meanwhile: it is looked at anew
        except PeerError as exc:
            LOG.warning("an account could not be marked", channel=self.row.id, error=exc.code)
            return
        LOG.warning("an account is misconfigured", channel=self.row.id, type=self.row.type, code=code)


def _before_send(hooks: Hooks | None) -> BeforeSend | None:
    """None when no plugin takes part: a crossing to the other loop for each message is not for nothing."""
    return hooks.before_send if hooks is not None and hooks.has("irisx_before_send") else None


def _rate(limits: Mapping[str, Any]) -> float:
    """How many messages a second the account may be given; 0 for any number."""
    said = limits.get("per_second", 0)
    return float(said) if isinstance(said, int | float) and said > 0 else 0.0


def _leaves(group: BaseExceptionGroup[Misconfigured]) -> list[Misconfigured]:
    found: list[Misconfigured] = []
    for one in group.exceptions:
        found += _leaves(one) if isinstance(one, BaseExceptionGroup) else [one]
    return found


def _names(group: BaseExceptionGroup[Exception]) -> list[str]:
    """What was raised, by name only: texts of strangers' exceptions can quote anything."""
    return sorted(
        {
            name
            for one in group.exceptions
            for name in (_names(one) if isinstance(one, BaseExceptionGroup) else [type(one).__name__])
        }
    )
