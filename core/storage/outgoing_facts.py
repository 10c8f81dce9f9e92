"""How everything that leaves is: accounts, messages that wait, endpoints for webhooks and what waits for them."""

from typing import Any

from msgspec import Struct

from core.clock import now_us
from core.storage.database import Connection, Database

MOST_COUNTED = 100_000
"""More that wait are not counted."""


class OutgoingFacts(Struct, frozen=True, kw_only=True):
    """The figures of one tenant, or of all. Ages are seconds, 0 when nothing waits."""

    accounts: int
    misconfigured: int
    messages_waiting: int
    """Due, and not sent."""
    oldest_message_s: float
    endpoints: int
    """That are switched on."""
    failing: int
    """Of these."""
    failing_s: float
    """For how long the one that fails longest has."""
    switched_off: int
    """By failure, not by hand."""
    deliveries_waiting: int
    oldest_delivery_s: float


async def outgoing_facts(db: Database, tenant_id: str) -> OutgoingFacts:
    """What is on its way out of a tenant (``*``: of all)."""
    async with db.reader(tenant_id) as connection:
        return await facts_of(connection)


async def facts_of(connection: Connection) -> OutgoingFacts:
    """The same over a connection: row level security says whose."""
    now = now_us()
    accounts: Any = await connection.fetchrow(
        "select count(*) filter (where state = 'active') as active,"
        " count(*) filter (where state = 'misconfigured') as misconfigured from channels where deleted_us = 0"
    )
    messages: Any = await connection.fetchrow(
        "select count(*) as n, coalesce(min(due_us), 0)::bigint as oldest from"
        " (select due_us from outbox where due_us <= $1 order by due_us limit $2) x",
        now,
        MOST_COUNTED,
    )
    hooks: Any = await connection.fetchrow(
        "select count(*) filter (where state = 'active') as active,"
        " count(*) filter (where state = 'active' and failing_since_us > 0) as failing,"
        " coalesce(min(failing_since_us) filter (where state = 'active' and failing_since_us > 0), 0)::bigint as since,"
        " count(*) filter (where state = 'disabled' and reason <> 'switched off by hand') as off"
        " from webhooks where deleted_us = 0"
    )
    deliveries: Any = await connection.fetchrow(
        "select count(*) as n, coalesce(min(created_us), 0)::bigint as oldest from"
        " (select created_us from webhook_deliveries where state = 'waiting' limit $1) x",
        MOST_COUNTED,
    )

    def age_s(since_us: int) -> float:
        return max(0.0, (now - since_us) / 1e6) if since_us else 0.0

    return OutgoingFacts(
        accounts=accounts["active"],
        misconfigured=accounts["misconfigured"],
        messages_waiting=messages["n"],
        oldest_message_s=age_s(messages["oldest"]),
        endpoints=hooks["active"],
        failing=hooks["failing"],
        failing_s=age_s(hooks["since"]),
        switched_off=hooks["off"],
        deliveries_waiting=deliveries["n"],
        oldest_delivery_s=age_s(deliveries["oldest"]),
    )
