"""One controller at a time keeps all queues: whoever holds the lease ``queues``. The others stand by.

The store is the truth. Whoever takes the lease reads it and goes on; nothing that the one before had in mind is needed. Should
two believe that they hold it, both are right about little: places in logs are locked, offers are checked again when they are
stored, so they do the same work twice and neither gives anybody too much.

trio outside; everything about the store is asyncio, one crossing a round.
"""

import random

import trio

from core.clock import monotonic
from core.cluster.lease import Lease
from core.errors import IrisxError, PeerError
from core.logs import get_logger
from core.queueing.tenant import TenantKeeper
from core.storage import agents
from core.storage.queue_follow import tenants_with_queues
from core.telephony.parts import Parts

LOG = get_logger("queues")

NAME = "queues"
"""The lease's name, in the place of a switch's."""
LOOK_S = 1.0
"""How often it is looked for tenants that have got their first queue or agent."""
SILENT_LOOK_S = 5.0
"""How often it is looked for agents whose pages are gone."""


async def keep_queues(parts: Parts) -> None:
    """Keep the queues whenever the lease is ours. Runs until it is cancelled, and hands the lease over then."""
    lease = Lease(parts.bridge, parts.bus, NAME, parts.name)
    try:
        while True:
            await lease.wait_taken()
            lease.token = 1  # (there is no switch whose store would draw one)
            LOG.info("this controller keeps the queues", name=parts.name)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_lost, lease, nursery.cancel_scope)
                nursery.start_soon(_tenants, parts, lease)
                nursery.start_soon(_silent_agents, parts)
            LOG.warning("this controller keeps the queues no more", name=parts.name)
    finally:
        with trio.CancelScope(shield=True):
            await lease.release()


async def _until_lost(lease: Lease, scope: trio.CancelScope) -> None:
    await lease.keep()
    scope.cancel()


async def _tenants(parts: Parts, lease: Lease) -> None:
    """One task for each tenant that has queues or agents."""
    known: dict[str, trio.CancelScope] = {}
    async with trio.open_nursery() as nursery:
        while True:
            try:
                wanted = set(await parts.bridge.run(tenants_with_queues, parts.db))
            except PeerError as exc:
                LOG.info("the queues wait for the store", error=exc.code)
            else:
                for tenant_id in wanted - set(known):
                    known[tenant_id] = trio.CancelScope()
                    nursery.start_soon(_keep, parts, lease, tenant_id, known[tenant_id])
                for tenant_id in set(known) - wanted:
                    known.pop(tenant_id).cancel()
            await trio.sleep(LOOK_S * random.uniform(0.8, 1.2))


async def _keep(parts: Parts, lease: Lease, tenant_id: str, scope: trio.CancelScope) -> None:
    with scope:
        await TenantKeeper(parts, lease, tenant_id).run()


async def _silent_agents(parts: Parts) -> None:
    """Agents whose pages say nothing any more are offline."""
    began = monotonic()
    while True:
        # (an heir gives pages that were connected to a dead controller their time to come back)
        if monotonic() - began > SILENT_LOOK_S:
            try:
                gone: dict[str, list[str]] = {}
                for tenant_id, agent_id in await parts.bridge.run(agents.silent, parts.db):
                    gone.setdefault(tenant_id, []).append(agent_id)
                for tenant_id, ids in gone.items():
                    await parts.bridge.run(agents.let_go, parts.db, tenant_id, ids)
            except IrisxError as exc:
                LOG.info("silent agents wait for the store", error=exc.code)
        await trio.sleep(SILENT_LOOK_S * random.uniform(0.8, 1.2))
