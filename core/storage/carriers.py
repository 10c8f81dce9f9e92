"""Carriers: who takes messages for money, by which accounts, within which limits, and how well."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from core.clock import now_us
from core.errors import Conflict, NotFound, RequestError
from core.ids import new_id
from core.model.outcomes import Breaker, Gate, gate
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.learning import day_of
from core.storage.texts import json_text, storable
from core.storage.versions import check_version

_COLUMNS = (
    "id, name, kind, channel_ids, state, priority, pays, abilities, limits, version, created_us, updated_us"
)


class Limits(Struct, frozen=True):
    """What a carrier may be used for."""

    per_second: float = 0.0
    """Messages; 0: as many as its accounts take."""
    spend_per_day: str = ""
    """A decimal number in the tenant's currency, for a day of UTC; empty: no cap."""
    only: tuple[str, ...] = ()
    """Prefixes (digits) that it may be used for; empty: all."""
    never: tuple[str, ...] = ()


class CarrierRow(Struct, frozen=True, kw_only=True):
    """A carrier as it is stored."""

    id: str
    name: str
    kind: str
    channel_ids: list[str]
    state: str
    priority: int
    pays: str
    abilities: list[str]
    limits: Limits
    version: int
    created_us: int
    updated_us: int


class Health(Struct, frozen=True, kw_only=True):
    """A carrier's numbers of one day, and its breaker."""

    day: str
    tries: int
    sent: int
    delivered: int
    undelivered: int
    refused: int
    failed: int
    throttled: int
    unknown: int
    took_s: float
    spend: str
    fails: int
    open_until_us: int
    probe_until_us: int
    reason: str


async def create_carrier(
    db: Database, tenant_id: str, given: Mapping[str, Any], *, actor: str = ""
) -> CarrierRow:
    """A new carrier. Raises `RequestError` for an account that is none of this tenant's, or another carrier's."""
    carrier_id, moment = new_id("car"), now_us()
    values = _columns(given)
    async with db.tenant(tenant_id) as connection:
        await _check_accounts(connection, tenant_id, carrier_id, given.get("channel_ids", ()))
        names = "".join(f", {name}" for name in values)
        places = "".join(f", ${n}" for n in range(4, 4 + len(values)))
        row = await connection.fetchrow(
            f"insert into carriers (tenant_id, id, created_us, updated_us{names})"  # noqa: S608 - our own words
            f" values ($1, $2, $3, $3{places}) returning {_COLUMNS}",
            tenant_id,
            carrier_id,
            moment,
            *values.values(),
        )
        await _tell(connection, tenant_id, row, "carrier.created", actor)
    return _row(row)


async def get_carrier(db: Database, tenant_id: str, carrier_id: str) -> CarrierRow:
    """Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        row = await connection.fetchrow(
            f"select {_COLUMNS} from carriers where tenant_id = $1 and id = $2 and deleted_us = 0",  # noqa: S608
            tenant_id,
            carrier_id,
        )
    if row is None:
        raise NotFound(f"there is no carrier {carrier_id}", code="no_such_carrier")
    return _row(row)


async def list_carriers(db: Database, tenant_id: str) -> list[CarrierRow]:
    """All of a tenant's, newest first: some dozens."""
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            f"select {_COLUMNS} from carriers where tenant_id = $1 and deleted_us = 0"  # noqa: S608
            " order by created_us desc, id desc",
            tenant_id,
        )
    return [_row(row) for row in rows]


async def update_carrier(
    db: Database,
    tenant_id: str,
    carrier_id: str,
    given: Mapping[str, Any],
    *,
    version: int | None = None,
    actor: str = "",
) -> CarrierRow:
    """Change what is given. Raises `NotFound`, `RequestError`, `ChangedMeanwhile`."""
    values = _columns(given)
    async with db.tenant(tenant_id) as connection:
        present = await connection.fetchval(
            "select version from carriers where tenant_id = $1 and id = $2 and deleted_us = 0 for update",
            tenant_id,
            carrier_id,
        )
        if present is None:
            raise NotFound(f"there is no carrier {carrier_id}", code="no_such_carrier")
        check_version(present, version)
        await _check_accounts(connection, tenant_id, carrier_id, given.get("channel_ids", ()))
        assignments = "".join(f"{name} = ${n}, " for n, name in enumerate(values, start=4))
        row = await connection.fetchrow(
            f"update carriers set {assignments}version = version + 1, updated_us = $3"  # noqa: S608 - our own words
            f" where tenant_id = $1 and id = $2 returning {_COLUMNS}",
            tenant_id,
            carrier_id,
            now_us(),
            *values.values(),
        )
        await _tell(connection, tenant_id, row, "carrier.updated", actor)
    return _row(row)


async def delete_carrier(db: Database, tenant_id: str, carrier_id: str, *, actor: str = "") -> None:
    """It is used no more; its numbers stay. Raises `NotFound`."""
    async with db.tenant(tenant_id) as connection:
        row = await connection.fetchrow(
            f"update carriers set deleted_us = $3, version = version + 1 where tenant_id = $1 and id = $2"  # noqa: S608
            f" and deleted_us = 0 returning {_COLUMNS}",
            tenant_id,
            carrier_id,
            now_us(),
        )
        if row is None:
            raise NotFound(f"there is no carrier {carrier_id}", code="no_such_carrier")
        await _tell(connection, tenant_id, row, "carrier.deleted", actor)


async def health_of(db: Database, tenant_id: str, carrier_id: str) -> Health:
    """What it did today (UTC), and its breaker. Raises `NotFound`."""
    await get_carrier(db, tenant_id, carrier_id)
    day = day_of(now_us())
    async with db.reader(tenant_id) as connection:
        row = await connection.fetchrow(
            "select coalesce(d.tries, 0) as tries, coalesce(d.sent, 0) as sent, coalesce(d.delivered, 0) as delivered,"
            " coalesce(d.undelivered, 0) as undelivered, coalesce(d.refused, 0) as refused, coalesce(d.failed, 0) as failed,"
            " coalesce(d.throttled, 0) as throttled, coalesce(d.unknown, 0) as unknown, coalesce(d.took_s, 0) as took_s,"
            " trim_scale(coalesce(d.spend, 0))::text as spend, coalesce(b.fails, 0) as fails,"
            " coalesce(b.open_until_us, 0) as open_until_us, coalesce(b.probe_until_us, 0) as probe_until_us,"
            " coalesce(b.reason, '') as reason from (select 1) one"
            " left join carrier_days d on d.tenant_id = $1 and d.carrier_id = $2 and d.day = $3"
            " left join carrier_breakers b on b.tenant_id = $1 and b.carrier_id = $2",
            tenant_id,
            carrier_id,
            day,
        )
    return Health(day=day.isoformat(), **dict(row))


def gate_of(health: Health, now_us: int) -> Gate:
    """How its breaker stands."""
    return gate(Breaker(health.fails, health.open_until_us, 0.0, health.probe_until_us), now_us)


def _columns(given: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(given)
    if "name" in values:
        values["name"] = storable(values["name"])
    if "limits" in values:
        values["limits"] = json_text(values["limits"])
    for name in ("channel_ids", "abilities"):
        if name in values:
            values[name] = list(dict.fromkeys(values[name]))
    return values


async def _check_accounts(
    connection: Connection, tenant_id: str, carrier_id: str, channel_ids: Sequence[str]
) -> None:
    wanted = list(dict.fromkeys(channel_ids))
    if not wanted:
        return
    found = await connection.fetch(
        "select id from channels where tenant_id = $1 and id = any($2) and deleted_us = 0", tenant_id, wanted
    )
    missing = sorted(set(wanted) - {row["id"] for row in found})
    if missing:
        raise RequestError(f"channel_ids: there is no channel {missing[0]}", code="no_such_channel")
    # Two requests that claim one account come one after the other.
    await connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 11))", tenant_id)
    taken = await connection.fetchval(
        "select name from carriers where tenant_id = $1 and id <> $2 and deleted_us = 0 and channel_ids && $3 limit 1",
        tenant_id,
        carrier_id,
        wanted,
    )
    if taken is not None:
        raise Conflict(f"an account belongs to one carrier: this one is {taken}'s", code="in_use")


def _row(row: Any) -> CarrierRow:
    return CarrierRow(**{**dict(row), "limits": msgspec.json.decode(row["limits"], type=Limits)})


async def _tell(connection: Connection, tenant_id: str, row: Any, kind: str, actor: str) -> None:
    told = {name: row[name] for name in ("id", "name", "kind", "state", "version")}
    entry = NewEntry(
        tenant_id=tenant_id,
        type=kind,
        resource=row["id"],
        data=msgspec.json.encode({"carrier": told, "actor": actor}),
        occurred_us=row["updated_us"],
    )
    await append(connection, [entry])
