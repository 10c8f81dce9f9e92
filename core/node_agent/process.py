"""The process of `irisx node`, from its settings to its end. asyncio."""

import asyncio
import contextlib
import os
import random
import signal
import socket
from functools import partial
from pathlib import Path

from msgspec import Struct

from core.bus import Bus
from core.config import Settings
from core.errors import NotFound, PeerError
from core.logs import get_logger, set_up
from core.node_agent.agent import NodeAgent, show_presence
from core.node_agent.files import Folder
from core.storage import nodes
from core.storage.blobs import open_blobs
from core.storage.database import Database
from core.storage.recording_upload import Sealing, Step

LOG = get_logger("node")

GRACE_S = 8.0
"""How long an upload may go on when the process is to end; `irisx up` waits ten. It is resumed by the next one."""
FIRST_RETRY_S = 0.2
MAX_RETRY_S = 5.0
CONNECTIONS = 4


class Options(Struct, frozen=True, kw_only=True):
    """What the command line says."""

    node: str
    """The switch's name or id."""
    recordings: Path
    there: str = ""
    """How the switch calls that folder, where that is different."""
    sealing: Sealing = Sealing()


def run(settings: Settings, options: Options, step: Step = lambda _name: None) -> None:
    """Run until SIGTERM or SIGINT. Raises `NotFound` for a switch that is none, `Conflict` for a folder that is held."""
    set_up(process="node", level=settings.log_level, form=settings.log_format)
    folder = Folder(options.recordings, there=options.there)
    try:
        asyncio.run(_until_told(settings, options, folder, step))
    finally:
        folder.close()


async def _until_told(settings: Settings, options: Options, folder: Folder, step: Step) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    db = await _database(settings, stop)
    if db is None:
        return
    async with db:
        node = await _switch(db, options.node, stop)
        if node is None:
            return
        bus = await Bus.open(settings.redis_url)
        agent = NodeAgent(
            db, open_blobs(settings), folder, node.id, name=node.name, sealing=options.sealing, step=step
        )
        name = f"node-{node.name}-{socket.gethostname()}"
        LOG.info("node agent started", node=node.id, pid=os.getpid())
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(show_presence(bus, agent, name, node.id, stop))
                tasks.create_task(agent.run(stop))
                tasks.create_task(_end(stop))
        finally:
            await bus.aclose()


async def _end(stop: asyncio.Event) -> None:
    """Threads that are in the middle of a large file cannot be stopped; being killed is what they are made for."""
    await stop.wait()
    asyncio.get_running_loop().call_later(GRACE_S, partial(os._exit, 0))


async def _database(settings: Settings, stop: asyncio.Event) -> Database | None:
    delay = FIRST_RETRY_S
    while not stop.is_set():
        try:
            return await Database.open(settings.database_url, max_size=CONNECTIONS)
        except PeerError as exc:
            LOG.warning("the store is not there yet", error=exc.code)
        delay = await _wait(stop, delay)
    return None


async def _switch(db: Database, wanted: str, stop: asyncio.Event) -> nodes.Node | None:
    """The switch of this name or id. Raises `NotFound` when the store knows switches, and none like it."""
    delay = FIRST_RETRY_S
    while not stop.is_set():
        try:
            known = await nodes.list_nodes(db)
            found = next((one for one in known if wanted in (one.id, one.name)), None)
            if found is not None:
                return found
            if known:
                raise NotFound(f"there is no switch {wanted}", code="no_such_node")
        except PeerError as exc:
            LOG.warning("the switch is not to be had yet", error=exc.code)
        delay = await _wait(stop, delay)
    return None


async def _wait(stop: asyncio.Event, delay: float) -> float:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), delay * random.uniform(0.5, 1.0))
    return min(delay * 2, MAX_RETRY_S)
