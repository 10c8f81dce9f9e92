"""The controller process: owns some switches, stands by for the others.

One trio run, one extra thread for asyncio (`core.aio`). The nursery in `serve` holds one task for each switch that
the store knows; a switch that is added, changed or removed there is followed within `LOOK_S`.
"""

import os
import random
import secrets
import signal
import socket
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from functools import partial
from typing import TypeVar

import msgspec
import trio

from core import heap, log
from core.aio import Bridge, open_bridge
from core.bus import Bus
from core.clock import now_us
from core.config import Settings
from core.errors import PeerError
from core.logs import get_logger, set_up
from core.queueing.keeper import keep_queues
from core.recorder import open_recorder
from core.signaling import serve_signaling
from core.storage import calls as call_store
from core.storage import jobs as job_store
from core.storage import nodes as node_store
from core.storage.blobs import Blobs, open_blobs
from core.storage.database import Database
from core.telephony.node import keep_node
from core.telephony.parts import Parts

LOG = get_logger("controller")
T = TypeVar("T")

LOOK_S = 2.0
PRESENCE_S = 1.0
TIDY_S = 600.0
FIRST_RETRY_S = 0.2
MAX_RETRY_S = 5.0


def run(settings: Settings) -> None:
    """Run a controller until SIGTERM or SIGINT; then hand its switches over and return."""
    set_up(process="controller", level=settings.log_level, form=settings.log_format)
    heap.settle()
    trio.run(_until_told, settings, strict_exception_groups=True)


async def _until_told(settings: Settings) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_end_on_signal, nursery.cancel_scope)
        await serve(settings)
        nursery.cancel_scope.cancel()


async def _end_on_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            LOG.info("stopping", signal=signal.Signals(number).name)
            scope.cancel()
            return


async def serve(settings: Settings, *, name: str = "") -> None:
    """Everything a controller does. Cancelling it is its orderly end."""
    name = name or f"ctl-{socket.gethostname()}-{secrets.token_hex(3)}"
    async with AsyncExitStack() as stack:
        bridge = await stack.enter_async_context(open_bridge())
        db = await _patiently(partial(bridge.run, partial(Database.open, max_size=6), settings.database_url))
        stack.push_async_callback(_aclose, bridge, db.close)
        bus = await bridge.run(Bus.open, settings.redis_url)
        stack.push_async_callback(_aclose, bridge, bus.aclose)
        db.show = bus.publish
        blobs = open_blobs(settings)
        parts = Parts(name, bridge, bus, db, settings.state_dir)
        LOG.info("controller started", name=name, pid=os.getpid())
        async with trio.open_nursery() as nursery:
            # (the switches first: agents can do nothing without them)
            nursery.start_soon(_Fleet(parts, settings, blobs).run)
            nursery.start_soon(keep_queues, parts)
            await nursery.start(serve_signaling, parts, settings)


async def _aclose(bridge: Bridge, close: Callable[[], Awaitable[None]]) -> None:
    with trio.CancelScope(shield=True), trio.move_on_after(3.0):
        await bridge.run(close)


async def _patiently(act: Callable[[], Awaitable[T]]) -> T:
    """Wait for the database as long as it takes: a controller that starts first is no error."""
    delay = FIRST_RETRY_S
    while True:
        try:
            return await act()
        except PeerError as exc:
            LOG.warning("the store is not there yet", error=exc.code)
        await trio.sleep(delay)
        delay = min(delay * 2, MAX_RETRY_S)


class _Fleet:
    """The switches this controller knows, each with its task."""

    def __init__(self, parts: Parts, settings: Settings, blobs: Blobs) -> None:
        self._parts = parts
        self._settings = settings
        self._blobs = blobs
        self._tasks: dict[str, tuple[node_store.Node, trio.CancelScope]] = {}
        self._started_us = now_us()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._show_presence)
            nursery.start_soon(self._tidy)
            while True:
                try:
                    nodes = await self._parts.bridge.run(
                        partial(node_store.all_nodes, secret=self._settings.secret), self._parts.db
                    )
                except PeerError as exc:
                    LOG.info("the list of switches is not to be had now", error=exc.code)
                else:
                    self._follow(nursery, nodes)
                await trio.sleep(LOOK_S)

    def _follow(self, nursery: trio.Nursery, nodes: Iterable[node_store.Node]) -> None:
        wanted = self._parts.nodes = {node.id: node for node in nodes}
        for node_id, (node, scope) in list(self._tasks.items()):
            if node_id not in wanted or wanted[node_id].url != node.url:
                LOG.info("leaving a switch", node=node_id)
                scope.cancel()
                del self._tasks[node_id]
        for node_id, node in wanted.items():
            if node_id not in self._tasks:
                scope = trio.CancelScope()
                self._tasks[node_id] = (node, scope)
                nursery.start_soon(self._keep, node, scope)

    async def _keep(self, node: node_store.Node, scope: trio.CancelScope) -> None:
        folder = self._settings.state_dir / "journal" / self._parts.name
        with scope:
            async with open_recorder(node.id, folder, self._blobs, tenant=node.default_tenant) as recorder:
                await keep_node(self._parts, node, recorder)

    async def _show_presence(self) -> None:
        """Tell the status pages that this controller lives, and what it owns. Runs out in Redis by itself."""
        while True:
            said = {
                "name": self._parts.name,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "started_us": self._started_us,
                "nodes": sorted(self._tasks),
                "owns": sorted(self._parts.owned),
                **self._parts.shown,
            }
            await self._parts.bridge.run(self._parts.bus.present, self._parts.name, msgspec.json.encode(said))
            await trio.sleep(PRESENCE_S)

    async def _tidy(self) -> None:
        """Forget what has been kept long enough. Every controller does it; what one has done is nothing for the next."""
        while True:
            await trio.sleep(TIDY_S * random.uniform(0.5, 1.5))
            try:
                await self._parts.bridge.run(self._forget_old)
            except PeerError as exc:
                LOG.info("tidying waits for the store", error=exc.code)

    async def _forget_old(self) -> None:
        db = self._parts.db
        entries = await log.prune(db, self._settings.events_days)
        calls = await call_store.prune_calls(db, self._settings.calls_days)
        jobs = await job_store.fail_abandoned(db)
        if entries or calls or jobs:
            LOG.info("tidied", entries=entries, calls=calls, jobs=jobs)
