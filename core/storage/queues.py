"""Queues and who works in them. Every change is a log entry in the same transaction."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import Conflict, NotFound, RequestError
from core.ids import new_id
from core.model.queueing_records import Member, Queue, QueueSettings
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.queue_rows import QUEUE, agents_by_id, begin_place, lock_agents, now_of, queue_of, told
from core.storage.texts import json_text, storable
from core.storage.versions import check_version

MOST = 1_000
"""Queues of a tenant."""


async def create_queue(
    db: Database, tenant_id: str, name: str, settings: QueueSettings, *, request_id: str = ""
) -> Queue:
    """Raises `Conflict` for a name that is taken or when there are too many, `RequestError` for what it refers to."""
    async with db.tenant(tenant_id) as connection:
        await _check(connection, tenant_id, settings)
        count = await connection.fetchval(
            "select count(*) from queues where tenant_id = $1 and deleted_us = 0", tenant_id
        )
        if count >= MOST:
            raise Conflict(f"there are at most {MOST} queues", code="too_many")
        moment = await now_of(connection)
        row = await connection.fetchrow(
            f"insert into queues (tenant_id, id, name, settings, created_us, updated_us) values ($1, $2, $3, $4, $5, $5)"  # noqa: S608
            f" on conflict do nothing returning {QUEUE}",
            tenant_id,
            new_id("que"),
            storable(name),
            json_text(settings),
            moment,
        )
        if row is None:
            raise _taken()
        queue = queue_of(row)
        await begin_place(connection, tenant_id)
        await append(connection, [told("queue.changed", queue, moment, request_id)])
    return queue


async def get_queue(db: Database, tenant_id: str, queue_id: str) -> Queue:
    """Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        return await read(connection, tenant_id, queue_id)


async def list_queues(db: Database, tenant_id: str) -> list[Queue]:
    """All of a tenant's, newest first."""
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            f"select {QUEUE} from queues where tenant_id = $1 and deleted_us = 0"  # noqa: S608
            " order by created_us desc, id desc",
            tenant_id,
        )
    return [queue_of(row) for row in rows]


async def update_queue(
    db: Database,
    tenant_id: str,
    queue_id: str,
    *,
    name: str | None = None,
    settings: QueueSettings | None = None,
    version: int | None = None,
    request_id: str = "",
) -> Queue:
    """Change what is given; the settings as a whole. Raises `NotFound`, `ChangedMeanwhile`, `Conflict`, `RequestError`."""
    async with db.tenant(tenant_id) as connection:
        present = await connection.fetchval(
            "select version from queues where tenant_id = $1 and id = $2 and deleted_us = 0 for update",
            tenant_id,
            queue_id,
        )
        if present is None:
            raise no_such(queue_id)
        check_version(present, version)
        if settings is not None:
            await _check(connection, tenant_id, settings, queue_id)
        if name is not None and await connection.fetchval(
            "select true from queues where tenant_id = $1 and id <> $2 and deleted_us = 0 and lower(name) = lower($3)",
            tenant_id,
            queue_id,
            storable(name),
        ):
            raise _taken()
        moment = await now_of(connection)
        row = await connection.fetchrow(
            "update queues set name = coalesce($3, name), settings = coalesce($4::jsonb, settings),"  # noqa: S608
            f" version = version + 1, updated_us = $5 where tenant_id = $1 and id = $2 returning {QUEUE}",
            tenant_id,
            queue_id,
            None if name is None else storable(name),
            None if settings is None else json_text(settings),
            moment,
        )
        queue = queue_of(row)
        await append(connection, [told("queue.changed", queue, moment, request_id)])
    return queue


async def delete_queue(
    db: Database, tenant_id: str, queue_id: str, *, version: int | None = None, request_id: str = ""
) -> None:
    """Raises `NotFound`, `ChangedMeanwhile`, and `Conflict` while somebody waits there or a number leads there."""
    async with db.tenant(tenant_id) as connection:
        row = await connection.fetchrow(
            "select version from queues where tenant_id = $1 and id = $2 and deleted_us = 0 for update",
            tenant_id,
            queue_id,
        )
        if row is None:
            raise no_such(queue_id)
        check_version(row["version"], version)
        waiting = await connection.fetchval(
            "select count(*) from queue_entries where tenant_id = $1 and queue_id = $2"
            " and state in ('waiting', 'offered')",
            tenant_id,
            queue_id,
        )
        routes = await connection.fetchval(
            "select count(*) from inbound_routes where tenant_id = $1 and queue_id = $2", tenant_id, queue_id
        )
        if waiting or routes:
            raise Conflict(f"{waiting} wait there and {routes} numbers lead there", code="in_use")
        moment = await now_of(connection)
        members = await connection.fetch(
            "delete from queue_agents where tenant_id = $1 and queue_id = $2 returning agent_id",
            tenant_id,
            queue_id,
        )
        row = await connection.fetchrow(
            f"update queues set deleted_us = $3, version = version + 1 where tenant_id = $1 and id = $2 returning {QUEUE}",  # noqa: S608
            tenant_id,
            queue_id,
            moment,
        )
        agents = await _touched(connection, tenant_id, [one["agent_id"] for one in members])
        entries = [told("agent.state_changed", one, moment, request_id) for one in agents.values()]
        await append(connection, [*entries, told("queue.changed", queue_of(row), moment, request_id)])


async def members_of(db: Database, tenant_id: str, queue_id: str) -> list[Member]:
    """Who works in a queue. Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        await read(connection, tenant_id, queue_id)
        rows = await connection.fetch(
            "select queue_id, agent_id, tier from queue_agents where tenant_id = $1 and queue_id = $2"
            " order by tier, agent_id",
            tenant_id,
            queue_id,
        )
    return [Member(row["queue_id"], row["agent_id"], row["tier"]) for row in rows]


async def put_member(
    db: Database, tenant_id: str, queue_id: str, agent_id: str, *, tier: int = 1, request_id: str = ""
) -> Member:
    """An agent works in a queue from now on, or at another tier. Raises `NotFound`."""
    async with db.tenant(tenant_id) as connection:
        found = await lock_agents(connection, tenant_id, [agent_id])
        if agent_id not in found:
            raise NotFound(f"there is no agent {agent_id}", code="no_such_agent")
        await read(connection, tenant_id, queue_id)
        await connection.execute(
            "insert into queue_agents (tenant_id, queue_id, agent_id, tier) values ($1, $2, $3, $4)"
            " on conflict (tenant_id, queue_id, agent_id) do update set tier = excluded.tier",
            tenant_id,
            queue_id,
            agent_id,
            tier,
        )
        await _tell_members(connection, tenant_id, queue_id, [agent_id], request_id)
    return Member(queue_id, agent_id, tier)


async def remove_member(
    db: Database, tenant_id: str, queue_id: str, agent_id: str, *, request_id: str = ""
) -> None:
    """They work there no more. Raises `NotFound`."""
    async with db.tenant(tenant_id) as connection:
        await lock_agents(connection, tenant_id, [agent_id])
        await read(connection, tenant_id, queue_id)
        done = await connection.execute(
            "delete from queue_agents where tenant_id = $1 and queue_id = $2 and agent_id = $3",
            tenant_id,
            queue_id,
            agent_id,
        )
        if done.endswith(" 0"):
            raise NotFound(f"{agent_id} is not in this queue", code="no_such_member")
        await _tell_members(connection, tenant_id, queue_id, [agent_id], request_id)


async def set_queues(connection: Connection, tenant_id: str, agent_id: str, tiers: Mapping[str, int]) -> None:
    """The queues of an agent, as a whole, in the caller's transaction. Raises `RequestError` for one that is none."""
    known = await connection.fetch(
        "select id from queues where tenant_id = $1 and id = any($2) and deleted_us = 0",
        tenant_id,
        list(tiers),
    )
    missing = sorted(set(tiers) - {row["id"] for row in known})
    if missing:
        raise RequestError(f"there is no queue {missing[0]}", code="unknown_queue")
    await connection.execute(
        "delete from queue_agents where tenant_id = $1 and agent_id = $2", tenant_id, agent_id
    )
    await connection.executemany(
        "insert into queue_agents (tenant_id, queue_id, agent_id, tier) values ($1, $2, $3, $4)",
        [(tenant_id, queue_id, agent_id, tier) for queue_id, tier in tiers.items()],
    )


async def read(connection: Connection, tenant_id: str, queue_id: str) -> Queue:
    """In the caller's transaction. Raises `NotFound`."""
    row = await connection.fetchrow(
        f"select {QUEUE} from queues where tenant_id = $1 and id = $2 and deleted_us = 0",  # noqa: S608
        tenant_id,
        queue_id,
    )
    if row is None:
        raise no_such(queue_id)
    return queue_of(row)


async def _tell_members(
    connection: Connection, tenant_id: str, queue_id: str, agent_ids: Sequence[str], request_id: str
) -> None:
    moment = await now_of(connection)
    agents = await _touched(connection, tenant_id, agent_ids)
    queue = await read(connection, tenant_id, queue_id)
    entries = [told("agent.state_changed", one, moment, request_id) for one in agents.values()]
    await append(connection, [*entries, told("queue.changed", queue, moment, request_id)])


async def _touched(connection: Connection, tenant_id: str, agent_ids: Sequence[str]) -> dict[str, Any]:
    await connection.execute(
        "update agents set version = version + 1 where tenant_id = $1 and id = any($2)",
        tenant_id,
        list(agent_ids),
    )
    return dict(await agents_by_id(connection, tenant_id, agent_ids))


async def _check(connection: Connection, tenant_id: str, settings: QueueSettings, queue_id: str = "") -> None:
    """What settings refer to must be there."""
    if settings.schedule_id and not await connection.fetchval(
        "select true from content where tenant_id = $1 and kind = 'schedule' and id = $2",
        tenant_id,
        settings.schedule_id,
    ):
        raise RequestError("schedule_id: there is no such schedule", code="unknown_schedule")
    for one in {settings.closed.queue_id, settings.overflow.queue_id} - {""}:
        if one == queue_id or not await connection.fetchval(
            "select true from queues where tenant_id = $1 and id = $2 and deleted_us = 0", tenant_id, one
        ):
            raise RequestError(f"there is no other queue {one}", code="unknown_queue")
    if settings.closed.do == "overflow" and not settings.closed.queue_id:
        raise RequestError("closed: say to which queue", code="unknown_queue")
    await check_skills(connection, tenant_id, [one.skill for one in settings.needs])


async def check_skills(connection: Connection, tenant_id: str, names: Sequence[str]) -> None:
    """Raises `RequestError` for a skill that nobody has named yet."""
    rows = await connection.fetch(
        "select name from skills where tenant_id = $1 and name = any($2)", tenant_id, list(names)
    )
    missing = sorted(set(names) - {row["name"] for row in rows})
    if missing:
        raise RequestError(f"there is no skill {missing[0]}", code="unknown_skill")


def no_such(queue_id: str) -> NotFound:
    return NotFound(f"there is no queue {queue_id}", code="no_such_queue")


def _taken() -> Conflict:
    return Conflict("another queue has this name", code="name_taken")
