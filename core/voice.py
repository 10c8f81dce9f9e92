"""The worker that brings calls into conversations: it follows every tenant's log (`core.storage.voice`).

trio outside, asyncio inside, one crossing a round. It runs in the channel host, any number of them at once; the path of
calls never waits for it. A tenant whose round failed rests, so that it holds up no other.
"""

import random

import trio

from core.channel_account import Parts
from core.clock import monotonic
from core.errors import IrisxError, PeerError
from core.logs import get_logger
from core.storage import voice
from core.storage.database import Database

LOG = get_logger("voice")

LOOK_S = 0.5
REST_S = 10.0
ROUNDS = 20
"""Rounds of one tenant before the others have theirs."""


async def run(parts: Parts) -> None:
    """Follow for ever."""
    resting: dict[str, float] = {}
    while True:
        try:
            await parts.bridge.run(look, parts.db, resting)
        except PeerError as exc:
            LOG.info("calls wait for the store", error=exc.code)
        await trio.sleep(LOOK_S * random.uniform(0.8, 1.2))


async def look(db: Database, resting: dict[str, float]) -> None:
    """What there is of every tenant. asyncio."""
    moment = monotonic()
    for tenant_id in [one for one, until in resting.items() if until <= moment]:
        del resting[tenant_id]
    for tenant_id in await voice.tenants_to_do(db):
        if tenant_id in resting:
            continue
        try:
            for _ in range(ROUNDS):
                if not await voice.work(db, tenant_id):
                    break
        except IrisxError as exc:
            # Its place has not moved: the same entries come again.
            resting[tenant_id] = monotonic() + REST_S
            LOG.warning("the calls of a tenant wait", tenant=tenant_id, error=exc.code)
