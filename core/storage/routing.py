"""What routing decisions depend on, read together; settings of a tenant; decisions for people to read."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from core.errors import NotFound
from core.model.outcomes import Breaker, Counts
from core.model.plans import Step
from core.model.rates import Exchange
from core.model.routing import EXPLORE, SECOND_COSTS
from core.storage.carriers import CarrierRow, Limits
from core.storage.database import Database
from core.storage.learning import day_of
from core.storage.listing import Listing
from core.storage.route_plans import steps_in_force
from core.storage.texts import json_text
from core.storage.versions import ChangedMeanwhile

OVERLAP_US = 30_000_000
"""How much of what was read already is read again: a transaction that began earlier may have ended later."""

_DECISION = (
    "id message_id attempt kind prefix segments carrier_id channel_id explored probe candidates decided_us".split()  # noqa: SIM905
)
_DOCUMENT = "json_build_object({})::text".format(", ".join(f"'{name}', {name}" for name in _DECISION))
DECISIONS = Listing(
    "routing_decisions",
    place="decided_us",
    columns="id message_id kind carrier_id channel_id prefix explored probe decided_us",
    document=_DOCUMENT,
)


class Settings(Struct, frozen=True, omit_defaults=True):
    """How a tenant wants to be routed. Money is in ``currency``."""

    currency: str = "EUR"
    second_costs: float = SECOND_COSTS
    """What a second of delay is worth."""
    explore: float = EXPLORE
    """The share of messages by which the second best carrier is tried, to learn."""
    exchange: tuple[Exchange, ...] = ()
    second_try: bool = True
    """What a carrier took and did not deliver by its own fault goes by another one, once (`core.storage.rerouting`)."""


class Facts(Struct, kw_only=True):
    """What is known of a tenant's carriers at one moment."""

    carriers: list[CarrierRow]
    working: Mapping[str, str]
    """Accounts that work, with their types."""
    breakers: dict[str, Breaker]
    spent: dict[str, float]
    """Today, by carrier."""
    settings: Settings
    plans: Mapping[str, tuple[Step, ...]]
    """What is in force, by kind of carrier."""
    read_us: int


async def read_facts(db: Database, tenant_id: str, now_us: int) -> Facts:
    """Carriers, accounts, breakers, today's spending and settings."""
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            "select c.id, c.name, c.kind, c.channel_ids, c.state, c.priority, c.pays, c.abilities, c.limits, c.version,"
            " c.created_us, c.updated_us, d.spend::float8 as spend, b.fails, b.open_until_us, b.open_s, b.probe_until_us"
            " from carriers c left join carrier_days d on d.tenant_id = c.tenant_id and d.carrier_id = c.id and d.day = $2"
            " left join carrier_breakers b on b.tenant_id = c.tenant_id and b.carrier_id = c.id"
            " where c.tenant_id = $1 and c.deleted_us = 0 order by c.id",
            tenant_id,
            day_of(now_us),
        )
        accounts = await connection.fetch(
            "select id, type from channels where tenant_id = $1 and state = 'active' and deleted_us = 0",
            tenant_id,
        )
        text = await connection.fetchval(
            "select settings::text from routing_settings where tenant_id = $1", tenant_id
        )
        plans = await steps_in_force(connection, tenant_id) if rows else {}
    members = CarrierRow.__struct_fields__
    return Facts(
        carriers=[
            CarrierRow(
                **{
                    **{name: row[name] for name in members},
                    "limits": msgspec.json.decode(row["limits"], type=Limits),
                }
            )
            for row in rows
        ],
        working={row["id"]: row["type"] for row in accounts},
        breakers={
            row["id"]: Breaker(row["fails"], row["open_until_us"], row["open_s"], row["probe_until_us"])
            for row in rows
            if row["fails"] is not None
        },
        spent={row["id"]: row["spend"] or 0.0 for row in rows},
        settings=_settings(text),
        plans=plans,
        read_us=now_us,
    )


async def read_counts(
    db: Database, tenant_id: str, since_us: int
) -> tuple[dict[tuple[str, str], Counts], int]:
    """Counts by carrier and prefix that changed since, and up to when this is: what to ask for next time."""
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            "select carrier_id, prefix, tries, wins, failed_s, since, halved_us, updated_us from carrier_outcomes"
            " where tenant_id = $1 and updated_us > $2",
            tenant_id,
            since_us - OVERLAP_US,
        )
    newest = max((row["updated_us"] for row in rows), default=since_us)
    return {
        (row["carrier_id"], row["prefix"]): Counts(
            row["tries"], row["wins"], row["failed_s"], row["since"], row["halved_us"]
        )
        for row in rows
    }, max(newest, since_us)


async def get_settings(db: Database, tenant_id: str) -> tuple[Settings, int]:
    """A tenant's settings and their version; 0 for one that has set nothing."""
    async with db.reader(tenant_id) as connection:
        row = await connection.fetchrow(
            "select settings::text as settings, version from routing_settings where tenant_id = $1", tenant_id
        )
    return (Settings(), 0) if row is None else (_settings(row["settings"]), row["version"])


async def put_settings(
    db: Database, tenant_id: str, settings: Settings, *, version: int | None = None
) -> int:
    """Replace a tenant's settings; the new version. Raises `ChangedMeanwhile` when ``version`` is not the present one."""
    async with db.tenant(tenant_id) as connection:
        written: int | None = await connection.fetchval(
            "insert into routing_settings as s (tenant_id, settings, version) select $1, $2, 1 where coalesce($3, 0) = 0"
            " or exists (select from routing_settings where tenant_id = $1)"
            " on conflict (tenant_id) do update set settings = excluded.settings, version = s.version + 1"
            " where $3::bigint is null or s.version = $3 returning version",
            tenant_id,
            json_text(settings),
            version,
        )
    if written is None:
        raise ChangedMeanwhile("they were changed since you read them; read them again")
    return written


async def get_decision(db: Database, tenant_id: str, decision_id: str) -> bytes:
    """One decision as JSON. Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        body: bytes | None = await connection.fetchval(
            f"select convert_to({_DOCUMENT}, 'UTF8') from routing_decisions where tenant_id = $1 and id = $2",  # noqa: S608
            tenant_id,
            decision_id,
        )
    if body is None:
        raise NotFound(f"there is no decision {decision_id}", code="no_such_decision")
    return body


def _settings(text: Any) -> Settings:
    return msgspec.json.decode(text, type=Settings) if text else Settings()
