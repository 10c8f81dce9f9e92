"""The parts of the API process: opened in order, waiting for the database as long as it takes.

What is opened is put on the caller's exit stack at once, so an end at any moment lets go of what there is.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack

from api.http.metrics import Metrics
from api.http.origin import Origins
from api.http.ratelimit import Limit, RateLimits
from api.http.server import GRACE_S
from api.http.services import Services
from core.access.passwords import Passwords
from core.access.service import Access
from core.access.tokens import NoSecret
from core.attachments import Filing
from core.bus import Bus
from core.channels import Channels
from core.config import ConfigError, Settings
from core.conversations import Intake
from core.errors import IrisxError, PeerError
from core.hooks import Hooks
from core.logs import get_logger
from core.storage import access_idempotency, access_sessions
from core.storage.blobs import open_blobs
from core.storage.database import Database
from irisx_sdk.loading import installed

LOG = get_logger("api")

CONNECTIONS = 10
"""To Postgres, for each API process: more wait for a core than for a connection."""
FIRST_RETRY_S = 0.2
MAX_RETRY_S = 5.0
NOTE_USES_S = 5.0
PRUNE_S = 3600.0

Limits = dict[tuple[str, str], Limit]


async def open_services(
    settings: Settings,
    stack: AsyncExitStack,
    *,
    origins: Origins,
    limits: Limits | None,
    passwords: Passwords | None,
    missing: Callable[[PeerError], None],
) -> Services:
    """Have everything; ``missing`` is told each time why it goes on waiting. Raises `ConfigError`."""
    database = await _patiently(settings.database_url, missing)
    stack.push_async_callback(database.close)
    bus = await Bus.open(settings.redis_url)
    stack.push_async_callback(bus.aclose)
    database.show = bus.publish
    try:
        access = Access(database, bus, settings.secret, passwords)
    except NoSecret as exc:
        raise ConfigError(str(exc)) from exc
    stack.callback(access.close)
    await access.start()
    found = installed()
    hooks = Hooks(found.hooks)
    stack.push_async_callback(hooks.aclose)
    filing = Filing(open_blobs(settings), settings.secret, settings.attachments)
    channels = Channels(
        database,
        Intake(database, filing, hooks),
        found.channels,
        secret=settings.secret,
        local=settings.reaches_this_machine,
    )
    stack.push_async_callback(channels.aclose)
    services = Services(
        settings=settings,
        secret=settings.secret,
        database=database,
        bus=bus,
        access=access,
        limits=RateLimits(bus.redis, limits),
        metrics=Metrics(),
        origins=origins,
        channels=channels,
        plugins=found.plugins,
    )
    stack.push_async_callback(services.finish, GRACE_S)
    stack.push_async_callback(end, asyncio.create_task(_chores(services)))
    return services


async def _patiently(url: str, missing: Callable[[PeerError], None]) -> Database:
    """The database, however long it takes to come: a process that starts first is no error."""
    delay = FIRST_RETRY_S
    while True:
        try:
            return await Database.open(url, min_size=2, max_size=CONNECTIONS, patience_s=0.0)
        except PeerError as exc:
            missing(exc)
            LOG.warning("the store is not there yet", error=exc.code)
        await asyncio.sleep(delay * random.uniform(0.5, 1.0))
        delay = min(delay * 2, MAX_RETRY_S)


async def _chores(services: Services) -> None:
    """What has to be done now and then: note the use of keys, forget what is old."""
    since_prune = PRUNE_S
    while True:
        await asyncio.sleep(NOTE_USES_S)
        await services.access.write_uses()
        since_prune += NOTE_USES_S
        if since_prune >= PRUNE_S:
            try:
                async with services.database.system() as conn:
                    await access_idempotency.prune_idempotency(conn)
                    await access_sessions.prune_sessions(conn)
                since_prune = 0.0
            except IrisxError as exc:
                LOG.info("old records are not pruned now", error=exc.code)


async def end(task: "asyncio.Task[None]") -> None:
    """Cancel ``task`` and wait until it has ended."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
