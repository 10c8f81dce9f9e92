"""Route plans: a draft that is worked on, published as versions, of which one is in force (`core.model.plans`)."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from core.clock import now_us
from core.errors import Conflict, NotFound, RequestError
from core.ids import new_id
from core.model.plans import Step
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.texts import json_text, storable
from core.storage.versions import check_version

_COLUMNS = "id, name, kind, steps::text as steps, live, versions, version, created_us, updated_us"
_steps = msgspec.json.Decoder(tuple[Step, ...])


class Plan(Struct, frozen=True, kw_only=True):
    """A plan with its draft."""

    id: str
    name: str
    kind: str
    steps: tuple[Step, ...]
    live: int
    """The version that is in force; 0: none of this plan's."""
    versions: int
    version: int
    """Of this document, for changes; not a published one."""
    created_us: int
    updated_us: int


class Published(Struct, frozen=True, kw_only=True):
    """A version as it was published."""

    number: int
    steps: tuple[Step, ...]
    live: bool
    actor: str
    published_us: int


async def create_plan(
    db: Database, tenant_id: str, *, name: str, kind: str, steps: tuple[Step, ...], actor: str
) -> Plan:
    """A new plan; nothing of it is in force. Raises `RequestError` for a carrier that is not there."""
    async with db.tenant(tenant_id) as connection:
        await _check_carriers(connection, tenant_id, kind, steps)
        row = await connection.fetchrow(
            "insert into routing_plans (tenant_id, id, name, kind, steps, created_us, updated_us)"  # noqa: S608
            f" values ($1, $2, $3, $4, $5::json, $6, $6) returning {_COLUMNS}",
            tenant_id,
            new_id("rpl"),
            storable(name),
            kind,
            json_text(steps),
            now_us(),
        )
        await _tell(connection, tenant_id, row, "routing_plan.created", actor)
    return _plan(row)


async def get_plan(db: Database, tenant_id: str, plan_id: str) -> Plan:
    """Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        row = await connection.fetchrow(
            f"select {_COLUMNS} from routing_plans where tenant_id = $1 and id = $2 and deleted_us = 0",  # noqa: S608
            tenant_id,
            plan_id,
        )
    if row is None:
        raise NotFound(f"there is no plan {plan_id}", code="no_such_plan")
    return _plan(row)


async def list_plans(db: Database, tenant_id: str) -> list[Plan]:
    """All of a tenant's, newest first: a handful."""
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            f"select {_COLUMNS} from routing_plans where tenant_id = $1 and deleted_us = 0"  # noqa: S608
            " order by created_us desc, id desc",
            tenant_id,
        )
    return [_plan(row) for row in rows]


async def versions_of(db: Database, tenant_id: str, plan_id: str) -> list[Published]:
    """Newest first. Raises `NotFound`."""
    plan = await get_plan(db, tenant_id, plan_id)
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            "select number, steps::text as steps, actor, published_us from routing_plan_versions"
            " where tenant_id = $1 and plan_id = $2 order by number desc",
            tenant_id,
            plan_id,
        )
    return [
        Published(
            number=row["number"],
            steps=_steps.decode(row["steps"]),
            live=row["number"] == plan.live,
            actor=row["actor"],
            published_us=row["published_us"],
        )
        for row in rows
    ]


async def change_plan(
    db: Database,
    tenant_id: str,
    plan_id: str,
    *,
    name: str | None,
    steps: tuple[Step, ...] | None,
    version: int | None,
    actor: str,
) -> Plan:
    """Change the draft; what is in force stays. Raises `NotFound`, `RequestError`, `ChangedMeanwhile`."""
    async with db.tenant(tenant_id) as connection:
        plan = await _held(connection, tenant_id, plan_id, version)
        if steps is not None:
            await _check_carriers(connection, tenant_id, plan.kind, steps)
        row = await connection.fetchrow(
            "update routing_plans set name = coalesce($3, name), steps = coalesce($4::json, steps),"  # noqa: S608
            f" version = version + 1, updated_us = $5 where tenant_id = $1 and id = $2 returning {_COLUMNS}",
            tenant_id,
            plan_id,
            None if name is None else storable(name),
            None if steps is None else json_text(steps),
            now_us(),
        )
        await _tell(connection, tenant_id, row, "routing_plan.updated", actor)
    return _plan(row)


async def publish(db: Database, tenant_id: str, plan_id: str, *, version: int | None, actor: str) -> Plan:
    """The draft becomes a version and is in force, in place of whatever plan of its kind was.

    Raises `NotFound`, `ChangedMeanwhile`, `RequestError` for a carrier that is gone since.
    """
    async with db.tenant(tenant_id) as connection:
        plan = await _held(connection, tenant_id, plan_id, version)
        await _check_carriers(connection, tenant_id, plan.kind, plan.steps)
        await connection.execute(
            "insert into routing_plan_versions (tenant_id, plan_id, number, steps, actor, published_us)"
            " values ($1, $2, $3, $4::json, $5, $6)",
            tenant_id,
            plan_id,
            plan.versions + 1,
            json_text(plan.steps),
            actor,
            now_us(),
        )
        return await _force(connection, tenant_id, plan, plan.versions + 1, "routing_plan.published", actor)


async def roll_back(
    db: Database, tenant_id: str, plan_id: str, *, to: int | None, version: int | None, actor: str
) -> Plan:
    """An earlier version is in force again: ``to``, or the one before the present. The draft stays as it is.

    Raises `NotFound`, `ChangedMeanwhile`, `Conflict` when there is no such version.
    """
    async with db.tenant(tenant_id) as connection:
        plan = await _held(connection, tenant_id, plan_id, version)
        wanted = to if to is not None else (plan.live or plan.versions + 1) - 1
        if not 1 <= wanted <= plan.versions or wanted == plan.live:
            raise Conflict("there is no such version to go back to", code="no_such_version")
        return await _force(connection, tenant_id, plan, wanted, "routing_plan.rolled_back", actor)


async def delete_plan(db: Database, tenant_id: str, plan_id: str, *, version: int | None, actor: str) -> None:
    """It holds no more; decisions that it made stay. Raises `NotFound`, `ChangedMeanwhile`."""
    async with db.tenant(tenant_id) as connection:
        await _held(connection, tenant_id, plan_id, version)
        row = await connection.fetchrow(
            "update routing_plans set deleted_us = $3, live = 0, version = version + 1, updated_us = $3"  # noqa: S608
            f" where tenant_id = $1 and id = $2 returning {_COLUMNS}",
            tenant_id,
            plan_id,
            now_us(),
        )
        await _tell(connection, tenant_id, row, "routing_plan.deleted", actor)


async def steps_in_force(connection: Connection, tenant_id: str) -> dict[str, tuple[Step, ...]]:
    """By kind of carrier."""
    rows = await connection.fetch(
        "select p.kind, v.steps::text as steps from routing_plans p join routing_plan_versions v"
        " on v.tenant_id = p.tenant_id and v.plan_id = p.id and v.number = p.live"
        " where p.tenant_id = $1 and p.live > 0 and p.deleted_us = 0",
        tenant_id,
    )
    return {row["kind"]: _steps.decode(row["steps"]) for row in rows}


async def _force(
    connection: Connection, tenant_id: str, plan: Plan, number: int, kind: str, actor: str
) -> Plan:
    await connection.execute(
        "update routing_plans set live = 0, version = version + 1 where tenant_id = $1 and kind = $2 and id <> $3"
        " and live > 0",
        tenant_id,
        plan.kind,
        plan.id,
    )
    row = await connection.fetchrow(
        "update routing_plans set live = $3, versions = greatest(versions, $3), version = version + 1,"  # noqa: S608
        f" updated_us = $4 where tenant_id = $1 and id = $2 returning {_COLUMNS}",
        tenant_id,
        plan.id,
        number,
        now_us(),
    )
    await _tell(connection, tenant_id, row, kind, actor)
    return _plan(row)


async def _held(connection: Connection, tenant_id: str, plan_id: str, version: int | None) -> Plan:
    # Two that publish plans of one kind come one after the other.
    await connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 17))", tenant_id)
    row = await connection.fetchrow(
        f"select {_COLUMNS} from routing_plans where tenant_id = $1 and id = $2 and deleted_us = 0 for update",  # noqa: S608
        tenant_id,
        plan_id,
    )
    if row is None:
        raise NotFound(f"there is no plan {plan_id}", code="no_such_plan")
    check_version(row["version"], version)
    return _plan(row)


async def _check_carriers(connection: Connection, tenant_id: str, kind: str, steps: Iterable[Step]) -> None:
    wanted = sorted({one for step in steps for one in step.carriers})
    rows = await connection.fetch(
        "select id from carriers where tenant_id = $1 and id = any($2) and kind = $3 and deleted_us = 0",
        tenant_id,
        wanted,
        kind,
    )
    missing = sorted(set(wanted) - {row["id"] for row in rows})
    if missing:
        raise RequestError(f"there is no carrier {missing[0]} of this kind", code="no_such_carrier")


def _plan(row: Any) -> Plan:
    return Plan(**{**dict(row), "steps": _steps.decode(row["steps"])})


async def _tell(connection: Connection, tenant_id: str, row: Any, kind: str, actor: str) -> None:
    told = {name: row[name] for name in ("id", "name", "kind", "live", "versions", "version")}
    entry = NewEntry(
        tenant_id=tenant_id,
        type=kind,
        resource=row["id"],
        data=msgspec.json.encode({"routing_plan": told, "actor": actor}),
        occurred_us=row["updated_us"],
    )
    await append(connection, [entry])
