"""Looking after messages whose sender died while it called a provider. trio."""

import random
from collections.abc import Callable

import trio

from core.aio import Bridge
from core.clock import now_us
from core.errors import PeerError
from core.logs import get_logger
from core.storage import attempt_results as results
from core.storage import outbox as store
from core.storage.database import Database

LOG = get_logger("outbox")

SWEEP_S = 5.0


async def sweep(bridge: Bridge, db: Database, recognises: Callable[[str, int], bool]) -> None:
    """For ever. ``recognises`` says of an account and the moment when it was called first whether its provider would know a
    repetition now: then the message is tried again, through the same account. Else nobody knows what became of it.
    """

    async def once() -> int:
        found = await store.stranded(db, now_us=now_us())
        for one, number in found:
            if recognises(one.channel_id, one.first_us):
                await results.again(
                    db, one, number, outcome="unknown", code="sender_died", reason="", due_us=now_us(),
                    now_us=now_us(), tried=one.tried, doubtful=True,
                )  # fmt: skip
            else:
                await results.unknown(db, one, number, code="sender_died", reason="", now_us=now_us())
        return len(found)

    while True:
        try:
            if count := await bridge.run(once):
                LOG.warning("messages of a sender that died", count=count)
        except PeerError as exc:
            LOG.warning("the outbox is out of reach", error=exc.code)
        await trio.sleep(SWEEP_S * random.uniform(0.8, 1.2))
