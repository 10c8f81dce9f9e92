"""The automation worker: rules and clocks follow every tenant's log. Runs in the channel host, any number of them.

asyncio inside, one crossing for each round (`core.aio`). What is done and how it happens once is `core.storage.rules`; here
is only when: every `LOOK_S`, at once while a tenant has more, and a tenant whose round failed is left alone for a while so
that it holds up nobody.
"""

import random

import trio

from core.bus import Bus
from core.channel_account import Parts
from core.clock import monotonic, now_us
from core.errors import IrisxError, PeerError
from core.logs import get_logger
from core.storage import rules
from core.storage.database import Database

LOG = get_logger("automation")

LOOK_S = 0.5
REST_S = 10.0
"""How long a tenant rests after a round that failed."""
ROUNDS = 20
"""Rounds of one tenant before the others have theirs."""


async def run(parts: Parts) -> None:
    """Follow for ever. Only what the store cannot do now is waited for; a bug of ours ends the process."""
    resting: dict[str, float] = {}
    while True:
        try:
            await parts.bridge.run(_look, parts.db, parts.bus, resting)
        except PeerError as exc:
            LOG.info("rules wait for the store", error=exc.code)
        await trio.sleep(LOOK_S * random.uniform(0.8, 1.2))


async def _look(db: Database, bus: Bus, resting: dict[str, float]) -> None:
    moment = monotonic()
    for tenant_id in [one for one, until in resting.items() if until <= moment]:
        del resting[tenant_id]
    for tenant_id in await rules.tenants_to_do(db, now_us=now_us()):
        if tenant_id in resting:
            continue
        try:
            await follow(db, bus, tenant_id)
        except IrisxError as exc:
            # Its place has not moved: the same entry comes again.
            resting[tenant_id] = monotonic() + REST_S
            LOG.warning("the rules of a tenant stopped", tenant=tenant_id, error=exc.code)


async def follow(db: Database, bus: Bus | None, tenant_id: str) -> None:
    """Deal with what there is of one tenant. Raises the store's errors."""
    for _ in range(ROUNDS):
        progress = await rules.work(db, tenant_id, now_us=now_us())
        if bus is not None:
            for channel_id in dict.fromkeys(progress.ring):
                await bus.ring(channel_id)
        for seq, code in progress.skipped:
            LOG.error("an entry was passed by: its rules did nothing", tenant=tenant_id, seq=seq, error=code)
        if not progress.more:
            return
