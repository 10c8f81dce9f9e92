"""The channel host: the process that sends what waits, holds the connections that channels listen on, delivers webhooks.

One trio run, one extra thread for asyncio (`core.aio`). Here it begins and ends; what it does is `core.channel_desk`. Any
number of hosts share the work: messages are claimed one by one, a connection is held under a lease. The channels are handed
in; this room knows none.
"""

import os
import random
import secrets
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import TypeVar

import pluggy
import trio

from core import heap
from core.aio import Bridge, open_bridge
from core.attachments import Filing
from core.boards import Boards
from core.bus import Bus
from core.channel_account import Parts
from core.channel_desk import Desk
from core.clock import now_us
from core.config import Settings
from core.conversations import Intake
from core.errors import PeerError
from core.hooks import Hooks
from core.logs import get_logger, set_up
from core.pacing import Pace
from core.storage import pauses
from core.storage.blobs import open_blobs
from core.storage.database import Database
from core.watchdog import Charge, Watchdog
from irisx_sdk import Channel

LOG = get_logger("channels")
T = TypeVar("T")

CONNECTIONS = 10
"""To Postgres: some for the senders' small transactions, some for what comes in."""
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
            await Desk(parts, settings.secret).run(stop)


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
