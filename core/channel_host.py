"""The channel host: the process that sends what waits, holds the connections that channels listen on, delivers webhooks.

One trio run, one extra thread for asyncio (`core.aio`). It follows the accounts in the store within `LOOK_S`: each has
its tasks (`core.channel_account`), and what one channel does concerns no other. Any number of hosts share the work:
messages are claimed one by one, a connection is held under a lease. The channels are handed in; this room knows none.
"""

import os
import random
import secrets
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import TypeVar

import msgspec
import pluggy
import trio

from core import attachment_fetch, automation, gathering, heap, plugin_checks, recordings, voice
from core.aio import Bridge, Inbox, open_bridge
from core.attachments import Filing
from core.boards import Boards
from core.bus import HOSTS, Bus
from core.channel_account import ConnectedAccount, Parts, Pause
from core.clock import now_us
from core.config import Settings
from core.conversations import Intake
from core.errors import PeerError
from core.hooks import Hooks
from core.logs import get_logger, set_up
from core.model.sending import recognises
from core.outbox import Sender, sweep
from core.pacing import Pace
from core.routing import Router
from core.storage import channels as store
from core.storage import conversations, pauses
from core.storage.blobs import open_blobs
from core.storage.channels import ChannelRow
from core.storage.database import Database
from core.storage.outbox import ROUTED
from core.watchdog import Charge, Watchdog
from core.webhooks import Webhooks
from irisx_sdk import Channel

LOG = get_logger("channels")
T = TypeVar("T")

LOOK_S = 2.0
PRESENCE_S = 1.0
SNOOZE_S = 10.0
GRACE_S = 8.0
"""How long what is under way may take when the process is to end; `irisx up` waits ten."""
CONNECTIONS = 10
"""To Postgres: some for the senders' small transactions, some for what comes in."""
RINGS = 10_000
"""Hints that wait to be heard; what does not fit is found by looking."""
FIRST_RETRY_S = 0.2
MAX_RETRY_S = 5.0
SET_ASIDE_S = 3.0


def run(
    settings: Settings, channels: Mapping[str, Channel], plugins: pluggy.PluginManager | None = None
) -> None:
    """Run a channel host until SIGTERM or SIGINT; then finish what is under way and return.

    ``plugins`` holds the hooks of those that are installed.
    """
    set_up(process="channels", level=settings.log_level, form=settings.log_format)
    heap.settle()
    trio.run(_until_told, settings, channels, plugins, strict_exception_groups=True)


async def _until_told(
    settings: Settings, channels: Mapping[str, Channel], plugins: pluggy.PluginManager | None
) -> None:
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_hear_signals, stop, nursery.cancel_scope)
        await serve(settings, channels, stop, plugins=plugins)
        nursery.cancel_scope.cancel()


async def _hear_signals(stop: trio.Event, scope: trio.CancelScope) -> None:
    """The first ends it in good order, the second at once."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            LOG.info("stopping", signal=signal.Signals(number).name)
            if stop.is_set():
                scope.cancel()
            stop.set()


async def serve(
    settings: Settings,
    channels: Mapping[str, Channel],
    stop: trio.Event,
    *,
    name: str = "",
    plugins: pluggy.PluginManager | None = None,
) -> None:
    """Everything a channel host does, until ``stop``. Being cancelled is its death: what was being sent is unknown."""
    name = name or f"chh-{socket.gethostname()}-{secrets.token_hex(3)}"
    async with AsyncExitStack() as stack:
        bridge = await stack.enter_async_context(open_bridge())
        opening = partial(bridge.run, partial(Database.open, max_size=CONNECTIONS), settings.database_url)
        db = await _patiently(opening, stop)
        if db is None:
            return
        stack.push_async_callback(_aclose, partial(bridge.run, db.close))
        bus = await bridge.run(Bus.open, settings.redis_url)
        stack.push_async_callback(_aclose, partial(bridge.run, bus.aclose))
        db.show = bus.publish
        tls, blobs = ssl.create_default_context(), open_blobs(settings)
        hooks = await bridge.run(_hooks, plugins)
        stack.push_async_callback(_aclose, partial(bridge.run, hooks.aclose))
        parts = Parts(
            name,
            bridge,
            bus,
            db,
            Intake(db, Filing(blobs, settings.secret, settings.attachments), hooks),
            blobs,
            tls,
            channels,
            settings=settings,
            hooks=hooks,
            boards=Boards(db, channels),
            pace=Pace(bus.redis),
            secret=settings.secret,
            webhook_networks=settings.webhook_networks,
            public_url=settings.public_url,
        )
        LOG.info("channel host started", name=name, pid=os.getpid(), channels=len(channels))
        with Watchdog(partial(_set_aside, bridge, db)):
            await _Host(parts, settings.secret).run(stop)


async def _hooks(plugins: pluggy.PluginManager | None) -> Hooks:
    return Hooks(plugins)


def _set_aside(bridge: Bridge, db: Database, charge: Charge) -> None:
    """In the watching thread: the other one, asyncio's, still lives."""
    try:
        act = partial(pauses.pause, now_us=now_us())
        bridge.run_in_loop(
            act, db, charge.tenant_id, charge.channel_id, "blocked_its_host", limit_s=SET_ASIDE_S
        )
    except Exception as exc:  # noqa: BLE001 - the process ends in any case
        LOG.error("an account could not be set aside", channel=charge.channel_id, error=type(exc).__name__)


async def _aclose(close: Callable[[], Awaitable[None]]) -> None:
    with trio.CancelScope(shield=True), trio.move_on_after(3.0):
        await close()


async def _patiently(act: Callable[[], Awaitable[T]], stop: trio.Event) -> T | None:
    """Wait for the database as long as it takes; None when told to stop before."""
    delay = FIRST_RETRY_S
    while not stop.is_set():
        try:
            return await act()
        except PeerError as exc:
            LOG.warning("the store is not there yet", error=exc.code)
        with trio.move_on_after(delay * random.uniform(0.5, 1.0)):
            await stop.wait()
        delay = min(delay * 2, MAX_RETRY_S)
    return None


async def again_and_again(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Keep a worker at it: a bug of one must neither end the host nor be met without a pause, or in silence."""
    pause = Pause()
    while True:
        began = trio.current_time()
        try:
            await work()
            return
        except Exception:
            LOG.exception("a worker failed and begins again", worker=name)
        await trio.sleep(pause.seconds(trio.current_time() - began))


class _Host:
    """The accounts that are served here, each with its tasks."""

    def __init__(self, parts: Parts, secret: str) -> None:
        self._parts = parts
        self._secret = secret
        self._webhooks = Webhooks(parts)
        self._router = Router(parts, self._senders)
        self._served: dict[str, ConnectedAccount] = {}
        self._types: dict[str, str] = {}
        self._looked = trio.Event()
        self._numbers = 0
        self._started_us = now_us()

    async def run(self, stop: trio.Event) -> None:
        async with trio.open_nursery() as accounts:
            accounts.start_soon(self._router.run)
            async with trio.open_nursery() as chores:
                chores.start_soon(self._follow_store, accounts)
                chores.start_soon(self._hear_rings)
                chores.start_soon(self._sweep)
                chores.start_soon(self._wake_snoozed)
                for name, work in self._workers().items():
                    chores.start_soon(again_and_again, name, work)
                chores.start_soon(self._show_presence)
                await stop.wait()
                chores.cancel_scope.cancel()
            self._router.stop()
            for served in self._served.values():
                served.stop()
            accounts.cancel_scope.deadline = trio.current_time() + GRACE_S

    def _workers(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """What is done here besides sending and listening: none of it may hold up the others."""
        parts = self._parts
        return {
            "attachments": partial(attachment_fetch.run, parts),
            "gathering": partial(gathering.run, parts),
            "automation": partial(automation.run, parts),
            "voice": partial(voice.run, parts),
            "recordings": partial(recordings.run, parts),
            "plugin_checks": partial(plugin_checks.run, parts.bridge, parts.db),
            "webhooks": self._webhooks.run,
        }

    async def _follow_store(self, accounts: trio.Nursery) -> None:
        while True:
            try:
                rows = await self._parts.bridge.run(
                    partial(store.all_channels, secret=self._secret), self._parts.db
                )
                paused = await self._parts.bridge.run(partial(pauses.paused, now_us=now_us()), self._parts.db)
            except PeerError as exc:
                LOG.warning("the accounts are not to be had now", error=exc.code)
            else:
                self._follow(accounts, rows, paused)
                self._looked.set()
            await trio.sleep(LOOK_S * random.uniform(0.8, 1.0))

    def _follow(
        self, accounts: trio.Nursery, rows: Iterable[ChannelRow], paused: frozenset[str] = frozenset()
    ) -> None:
        rows = list(rows)
        self._types = {row.id: row.type for row in rows}
        wanted = {
            row.id: row
            for row in rows
            if row.state == "active" and row.type in self._parts.channels and row.id not in paused
        }
        for channel_id, served in list(self._served.items()):
            row = wanted.get(channel_id)
            if row is None or not served.same_as(row):
                LOG.info("leaving an account", channel=channel_id)
                served.stop()
                del self._served[channel_id]
            else:
                served.row = row
        for channel_id, row in wanted.items():
            if channel_id not in self._served:
                self._numbers += 1
                served = self._served[channel_id] = ConnectedAccount(self._parts, row, self._numbers)
                accounts.start_soon(self._keep, served)

    def _senders(self) -> dict[str, Sender]:
        """What sends now, by account."""
        return {key: one.sender for key, one in self._served.items() if one.sender is not None}

    async def _keep(self, served: ConnectedAccount) -> None:
        """Serve an account; if that fails it is begun anew at the next look."""
        try:
            await served.run()
        except* Exception as group:  # noqa: BLE001 - whatever is wrong with one account, the others go on
            LOG.error("an account failed", channel=served.row.id, errors=len(group.exceptions))
        if self._served.get(served.row.id) is served:
            del self._served[served.row.id]

    async def _hear_rings(self) -> None:
        """Wake the sender of an account for which something was just stored."""
        inbox: Inbox[str] = Inbox(RINGS)
        await self._parts.bridge.run(self._parts.bus.hear_rings, inbox.offer)
        while True:
            for channel_id in set(await inbox.take()):
                if channel_id == ROUTED:
                    self._router.wake()
                elif served := self._served.get(channel_id):
                    served.wake()

    async def _sweep(self) -> None:
        # (not before the accounts are known: what they can decides what becomes of a message)
        await self._looked.wait()
        await sweep(self._parts.bridge, self._parts.db, self._recognises)

    def _recognises(self, channel_id: str, first_us: int) -> bool:
        """Whether the account's provider would know a repetition of what it was given first then."""
        channel = self._parts.channels.get(self._types.get(channel_id, ""))
        return channel is not None and recognises(channel.capabilities, first_us, now_us())

    async def _wake_snoozed(self) -> None:
        while True:
            try:
                await self._parts.bridge.run(conversations.wake_snoozed, self._parts.db)
            except PeerError as exc:
                LOG.info("snoozed conversations wait for the store", error=exc.code)
            await trio.sleep(SNOOZE_S * random.uniform(0.8, 1.0))

    async def _show_presence(self) -> None:
        """Tell the status pages that this host lives, and what it does. Runs out in Redis by itself."""
        bus = self._parts.bus
        while True:
            said = {
                "name": self._parts.name,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "started_us": self._started_us,
                "accounts": len(self._served),
                "listens": sorted(key for key, one in self._served.items() if one.listening),
                "webhooks": self._webhooks.statistics(),
            }
            shown = partial(bus.present, self._parts.name, msgspec.json.encode(said), kind=HOSTS)
            await self._parts.bridge.run(shown)
            await trio.sleep(PRESENCE_S)
