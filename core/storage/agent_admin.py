"""Making, changing and listing agents: what administrators do. What agents do is in `core.storage.agents`."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from core.errors import Conflict
from core.ids import new_id
from core.model.capacity import CAPACITY, Load
from core.model.queueing_records import Agent
from core.storage.access_filters import Asked, where
from core.storage.agents import leave, no_such
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.queue_rows import AGENT, NOW, agent_of, agents_by_id, lock_agents, now_of, told
from core.storage.queues import check_skills, set_queues
from core.storage.texts import json_text, storable
from core.storage.versions import check_version

MOST = 10_000
"""Agents of a tenant."""
COLUMNS = {"state": "a.state", "user_id": "a.user_id", "extension": "a.extension", "name": "a.name"}


class NewAgent(Struct, frozen=True, kw_only=True):
    """Somebody who is to take work."""

    user_id: str
    name: str
    extension: str = ""
    skills: dict[str, int] = {}
    capacity: Load = CAPACITY
    queues: dict[str, int] = {}
    """Queues and tiers."""


async def insert_agent(
    connection: Connection, tenant_id: str, new: NewAgent, *, request_id: str = ""
) -> Agent:
    """A user is an agent from now on; in the caller's transaction, as its last statement.

    Raises `Conflict` when they are one already (`already_agent`), or another has the extension (`extension_taken`);
    `RequestError` for skills and queues that are not there.
    """
    await check_skills(connection, tenant_id, sorted(new.skills))
    count = await connection.fetchval(
        "select count(*) from agents where tenant_id = $1 and deleted_us = 0", tenant_id
    )
    if count >= MOST:
        raise Conflict(f"there are at most {MOST} agents", code="too_many")
    await _check_free(connection, tenant_id, "", new.user_id, new.extension)
    agent_id, moment = new_id("agt"), await now_of(connection)
    await connection.execute(
        "insert into agents (tenant_id, id, user_id, name, extension, since_us, skills, capacity, idle_since_us,"
        " created_us, updated_us) values ($1, $2, $3, $4, $5, $6, $7::jsonb, $8::jsonb, $6, $6, $6)",
        tenant_id,
        agent_id,
        new.user_id,
        storable(new.name),
        new.extension,
        moment,
        json_text(new.skills),
        json_text(new.capacity),
    )
    await set_queues(connection, tenant_id, agent_id, new.queues)
    agent = (await agents_by_id(connection, tenant_id, [agent_id]))[agent_id]
    await append(connection, [told("agent.created", agent, moment, request_id)])
    return agent


async def update_agent(
    db: Database,
    tenant_id: str,
    agent_id: str,
    *,
    name: str | None = None,
    extension: str | None = None,
    skills: Mapping[str, int] | None = None,
    capacity: Load | None = None,
    queues: Mapping[str, int] | None = None,
    version: int | None = None,
    request_id: str = "",
) -> Agent:
    """Change what is given; skills and queues as a whole. Raises `NotFound`, `ChangedMeanwhile`, and as `insert_agent`."""
    async with db.tenant(tenant_id) as connection:
        found = await lock_agents(connection, tenant_id, [agent_id])
        if agent_id not in found:
            raise no_such(agent_id)
        check_version(found[agent_id].version, version)
        if skills is not None:
            await check_skills(connection, tenant_id, sorted(skills))
        if extension is not None:
            await _check_free(connection, tenant_id, agent_id, "", extension)
        moment = await now_of(connection)
        await connection.execute(
            "update agents set name = coalesce($3, name), extension = coalesce($4, extension),"
            " skills = coalesce($5::jsonb, skills), capacity = coalesce($6::jsonb, capacity), version = version + 1,"
            " updated_us = $7 where tenant_id = $1 and id = $2",
            tenant_id,
            agent_id,
            None if name is None else storable(name),
            extension,
            None if skills is None else json_text(dict(skills)),
            None if capacity is None else json_text(capacity),
            moment,
        )
        if queues is not None:
            await set_queues(connection, tenant_id, agent_id, queues)
        agent = (await agents_by_id(connection, tenant_id, [agent_id]))[agent_id]
        await append(connection, [told("agent.updated", agent, moment, request_id)])
    return agent


async def delete_agent(
    db: Database, tenant_id: str, agent_id: str, *, version: int | None = None, request_id: str = ""
) -> None:
    """They take no more work; their user stays. Raises `NotFound`, `ChangedMeanwhile`, `Conflict` while they have work."""
    async with db.tenant(tenant_id) as connection:
        found = await lock_agents(connection, tenant_id, [agent_id])
        if agent_id not in found:
            raise no_such(agent_id)
        check_version(found[agent_id].version, version)
        if await connection.fetchval(
            "select exists (select from reservations where tenant_id = $1 and agent_id = $2"
            " and state in ('offered', 'accepted', 'connected', 'wrap_up') and kind = 'call')"
            " or exists (select from inbound_routes where tenant_id = $1 and agent_id = $2)",
            tenant_id,
            agent_id,
        ):
            raise Conflict("they have work, or a number leads to them", code="in_use")
        moment = await now_of(connection)
        entries = await leave(connection, tenant_id, [agent_id], reason="deleted")
        await connection.execute(
            "delete from queue_agents where tenant_id = $1 and agent_id = $2", tenant_id, agent_id
        )
        after = (await agents_by_id(connection, tenant_id, [agent_id]))[agent_id]
        await connection.execute(
            "update agents set deleted_us = $3 where tenant_id = $1 and id = $2", tenant_id, agent_id, moment
        )
        await append(connection, [*entries, told("agent.deleted", after, moment, request_id)])


async def list_agents(
    db: Database,
    tenant_id: str,
    conditions: Iterable[Asked] = (),
    *,
    queue_id: str = "",
    limit: int,
    after: tuple[int, str] | None = None,
) -> list[Agent]:
    """Newest first, one more than ``limit`` when there are more; ``queue_id``: only those who work there."""
    values: list[object] = [tenant_id, limit]
    asked = where(conditions, COLUMNS, values)
    if after is not None:
        values += after
        asked += f" and (a.created_us, a.id) < (${len(values) - 1}, ${len(values)})"
    if queue_id:
        values.append(queue_id)
        asked += (
            " and exists (select from queue_agents q where q.tenant_id = a.tenant_id and q.agent_id = a.id"
            f" and q.queue_id = ${len(values)})"
        )
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            f"select {AGENT} from agents a where a.tenant_id = $1 and a.deleted_us = 0{asked}"  # noqa: S608
            " order by a.created_us desc, a.id desc limit $2::bigint + 1",
            *values,
        )
    return [agent_of(row) for row in rows]


async def timeline_of(
    db: Database, tenant_id: str, agent_id: str, *, limit: int, after: tuple[int, str] | None = None
) -> list[dict[str, Any]]:
    """The states that an agent chose, newest first, one more than ``limit`` when there are more."""
    values: list[object] = [tenant_id, agent_id, limit]
    asked = ""
    if after is not None:
        values += after
        asked = " and (at_us, id) < ($4, $5)"
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            f"select id, at_us, state, reason, actor from agent_state_log where tenant_id = $1 and agent_id = $2{asked}"  # noqa: S608
            " order by at_us desc, id desc limit $3::bigint + 1",
            *values,
        )
    return [dict(row) for row in rows]


class Day(Struct, frozen=True, kw_only=True):
    """What an agent did in a stretch of time; microseconds."""

    agent_id: str
    name: str
    here_us: int
    """Signed in."""
    ready_us: int
    paused: dict[str, int]
    """Not ready, by reason."""
    ring_us: int
    talk_us: int
    wrap_us: int
    offered: int
    handled: int
    declined: int
    missed: int


async def days_of(
    db: Database, tenant_id: str, *, from_us: int, to_us: int, agent_id: str = "", limit: int = 1000
) -> list[Day]:
    """Every agent's doings in ``[from_us, to_us)``: states from their log, work from their reservations."""
    async with db.reader(tenant_id) as connection:
        now = int(await connection.fetchval(f"select {NOW}"))
        people = await connection.fetch(
            "select id, name from agents where tenant_id = $1 and deleted_us = 0 and ($2 = '' or id = $2)"
            " order by id limit $3",
            tenant_id,
            agent_id,
            limit,
        )
        states = await connection.fetch(
            "select agent_id, state, reason, greatest(at_us, $3) as begun, least(coalesce(lead(at_us) over"
            " (partition by agent_id order by at_us, id), $4), $4) as ended from agent_state_log"
            " where tenant_id = $1 and ($2 = '' or agent_id = $2) and at_us < $4"
            " and at_us >= coalesce((select max(l.at_us) from agent_state_log l where l.tenant_id = $1"
            " and l.agent_id = agent_state_log.agent_id and l.at_us <= $3), 0)",
            tenant_id,
            agent_id,
            from_us,
            min(to_us, max(now, from_us)),
        )
        works = await connection.fetch(
            "select agent_id, count(*) as offered, count(*) filter (where connected_us > 0) as handled,"
            " count(*) filter (where state = 'declined') as declined, count(*) filter (where state = 'missed') as missed,"
            " sum(case when accepted_us > 0 then accepted_us when done_us > 0 then done_us else $5 end - offered_us)::bigint"
            " as ring,"
            " sum(case when kind = 'call' and connected_us > 0 then case when ended_us > 0 then ended_us else $5 end"
            " - connected_us else 0 end)::bigint as talk,"
            " sum(case when kind = 'call' and ended_us > 0 then case when done_us > 0 then done_us else $5 end - ended_us"
            " else 0 end)::bigint as wrap"
            " from reservations where tenant_id = $1 and ($2 = '' or agent_id = $2) and offered_us >= $3 and offered_us < $4"
            " group by agent_id",
            tenant_id,
            agent_id,
            from_us,
            to_us,
            now,
        )
    done = {row["agent_id"]: row for row in works}
    spent: dict[str, dict[tuple[str, str], int]] = {}
    for row in states:
        of = spent.setdefault(row["agent_id"], {})
        key = row["state"], row["reason"] if row["state"] == "not_ready" else ""
        of[key] = of.get(key, 0) + max(row["ended"] - row["begun"], 0)
    return [_day(row, spent.get(row["id"], {}), done.get(row["id"])) for row in people]


def _day(person: Any, spent: Mapping[tuple[str, str], int], work: Any) -> Day:
    ready = sum(us for (state, _), us in spent.items() if state == "ready")
    paused = {reason or "other": us for (state, reason), us in spent.items() if state == "not_ready"}
    numbers = {
        name: int(work[column]) if work is not None else 0
        for name, column in (
            ("offered", "offered"), ("handled", "handled"), ("declined", "declined"), ("missed", "missed"),
            ("ring_us", "ring"), ("talk_us", "talk"), ("wrap_us", "wrap"),
        )
    }  # fmt: skip
    return Day(
        agent_id=person["id"],
        name=person["name"],
        here_us=ready + sum(paused.values()),
        ready_us=ready,
        paused=paused,
        **numbers,
    )


async def _check_free(
    connection: Connection, tenant_id: str, agent_id: str, user_id: str, extension: str
) -> None:
    if user_id and await connection.fetchval(
        "select true from agents where tenant_id = $1 and user_id = $2 and deleted_us = 0", tenant_id, user_id
    ):
        raise Conflict("this user is an agent already", code="already_agent")
    if extension and await connection.fetchval(
        "select true from agents where tenant_id = $1 and extension = $2 and id <> $3 and deleted_us = 0",
        tenant_id,
        extension,
        agent_id,
    ):
        raise Conflict("another agent has this extension", code="extension_taken")
