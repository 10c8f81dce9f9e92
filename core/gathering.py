"""What inbound messages leave to be done later: texts whose parts never all come, deletions that missed their message by a
moment, files that were put up and never sent.

trio. Each is found by a look every few seconds and done in a transaction that any number of hosts may try.
"""

import random
from functools import partial

import trio

from core.channel_account import Parts
from core.clock import now_us
from core.errors import IrisxError
from core.logs import get_logger
from core.storage import attachments, changes, pieces
from core.storage.database import Database
from core.storage.inbound import write_overdue

LOG = get_logger("conversations")

LOOK_S = 5.0
UNUSED_S = 86_400


async def run(parts: Parts) -> None:
    """Look after them, for ever."""
    while True:
        await trio.sleep(LOOK_S * random.uniform(0.8, 1.2))
        try:
            await parts.bridge.run(once, parts.db)
            await _forget_files(parts)
        except IrisxError as exc:
            LOG.info("what waits for later waits longer", error=exc.code)


async def once(db: Database) -> None:
    """One look. asyncio."""
    moment = now_us()
    for tenant_id, channel_id, group in await pieces.overdue(db, now_us=moment):
        await write_overdue(db, tenant_id, channel_id, group, now_us=moment)
    for tenant_id, change, target in await changes.find_late(db, now_us=moment):
        await changes.apply_late(db, tenant_id, change, target)


async def _forget_files(parts: Parts) -> None:
    unused = partial(attachments.forget_unused, before_us=now_us() - UNUSED_S * 1_000_000)
    for key in await parts.bridge.run(unused, parts.db):
        if key:
            await trio.to_thread.run_sync(parts.blobs.delete, key)
