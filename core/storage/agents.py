"""Agents: who takes work, whether they are there, and what they chose to be.

Every change is a log entry in the same transaction; a beat is none, it only says that a page still holds its agent.
"""

from collections.abc import Iterable, Sequence

from core.errors import Conflict, NotFound
from core.ids import new_id
from core.model.queueing_records import Agent
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.queue_moves import back_to_waiting, moved
from core.storage.queue_rows import AGENT, agent_of, lock_agents, now_of, told
from core.storage.texts import storable

__all__ = [
    "Agent",
    "agent_of_user",
    "beat",
    "by_extension",
    "get_agent",
    "offline",
    "online",
    "set_state",
]

SILENT_S = 30
"""An agent whose page has not been heard for so long is gone."""
MAX_REASON = 200


async def get_agent(db: Database, tenant_id: str, agent_id: str) -> Agent:
    """Raises `NotFound`."""
    found = await _one(db, tenant_id, "a.id = $2", agent_id)
    if found is None:
        raise no_such(agent_id)
    return found


async def agent_of_user(db: Database, tenant_id: str, user_id: str) -> Agent | None:
    """The agent that a user is; None when they are none."""
    return await _one(db, tenant_id, "a.user_id = $2", user_id)


async def by_extension(db: Database, tenant_id: str, extension: str) -> Agent | None:
    """Who is called by these digits."""
    return await _one(db, tenant_id, "a.extension = $2 and a.extension <> ''", extension)


async def set_state(
    db: Database, tenant_id: str, agent_id: str, state: str, *, reason: str = "", actor: str = ""
) -> Agent:
    """Choose ``ready``, ``not_ready`` or ``offline``. Raises `NotFound`; `Conflict` for another word.

    What is under way goes on: being not ready keeps new work away.
    """
    if state not in ("ready", "not_ready", "offline"):
        raise Conflict(f"an agent cannot be {state}", code="bad_state")
    async with db.tenant(tenant_id) as connection:
        await _locked(connection, tenant_id, agent_id)
        entries = await change_state(connection, tenant_id, [agent_id], state, reason=reason, actor=actor)
        after = (await lock_agents(connection, tenant_id, [agent_id]))[agent_id]
        await append(connection, entries)
    return after


async def online(db: Database, tenant_id: str, agent_id: str, *, session: str, controller: str) -> Agent:
    """A page holds this agent from now on, instead of whichever did. Raises `NotFound`.

    Whoever was offline is not ready until they say so; whoever comes back in time is what they were.
    """
    async with db.tenant(tenant_id) as connection:
        before = await _locked(connection, tenant_id, agent_id)
        moment = await now_of(connection)
        await connection.execute(
            "update agents set session = $3, controller = $4, seen_at = clock_timestamp(), updated_us = $5,"
            " version = version + 1 where tenant_id = $1 and id = $2",
            tenant_id,
            agent_id,
            session,
            controller,
            moment,
        )
        entries: list[NewEntry] = []
        if before.state == "offline":
            entries = await change_state(
                connection, tenant_id, [agent_id], "not_ready", reason="signed_in", quiet=True
            )
        after = (await lock_agents(connection, tenant_id, [agent_id]))[agent_id]
        await append(connection, [*entries, told("agent.online", after, moment)])
    return after


async def beat(db: Database, rows: Sequence[tuple[str, str, str]]) -> set[tuple[str, str]]:
    """These (tenant, agent, session) are still there; the (tenant, agent) of those that still hold their agent."""
    if not rows:
        return set()
    tenants, agents, sessions = zip(*rows, strict=True)
    async with db.system() as connection:
        found = await connection.fetch(
            "update agents a set seen_at = clock_timestamp() from unnest($1::text[], $2::text[], $3::text[])"
            " b (tenant_id, id, session) where a.tenant_id = b.tenant_id and a.id = b.id and a.session = b.session"
            " returning a.tenant_id, a.id",
            list(tenants),
            list(agents),
            list(sessions),
        )
    return {(row["tenant_id"], row["id"]) for row in found}


async def offline(db: Database, tenant_id: str, agent_id: str, *, session: str) -> bool:
    """The page is gone; nothing happens (False) when another session holds the agent by now."""
    async with db.tenant(tenant_id) as connection:
        held = await connection.fetchval(
            "select session from agents where tenant_id = $1 and id = $2 and deleted_us = 0 for update",
            tenant_id,
            agent_id,
        )
        if held != session or not session:
            return False
        await append(connection, await leave(connection, tenant_id, [agent_id], reason="signed_out"))
    return True


async def silent(db: Database) -> list[tuple[str, str]]:
    """(tenant, agent) whose pages have not been heard for `SILENT_S`."""
    async with db.system() as connection:
        rows = await connection.fetch(
            "select tenant_id, id from agents where session <> '' and deleted_us = 0"  # noqa: S608
            f" and seen_at < clock_timestamp() - interval '{SILENT_S} seconds' order by 1, 2"
        )
    return [(row["tenant_id"], row["id"]) for row in rows]


async def let_go(db: Database, tenant_id: str, agent_ids: Iterable[str]) -> int:
    """Set those of ``agent_ids`` offline that are still silent; how many."""
    async with db.tenant(tenant_id) as connection:
        rows = await connection.fetch(
            "select id from agents where tenant_id = $1 and id = any($2) and session <> ''"  # noqa: S608
            f" and seen_at < clock_timestamp() - interval '{SILENT_S} seconds' order by id for update",
            tenant_id,
            list(agent_ids),
        )
        gone = [row["id"] for row in rows]
        await append(connection, await leave(connection, tenant_id, gone, reason="silent"))
    return len(gone)


async def leave(
    connection: Connection, tenant_id: str, agent_ids: list[str], *, reason: str
) -> list[NewEntry]:
    """Nobody holds these agents any more; what the log is to be told of it. They must be locked.

    What rings at them rings for nobody: whoever was offered waits again at once. What they talk about goes on.
    """
    if not agent_ids:
        return []
    moment = await now_of(connection)
    ringing = await connection.fetch(
        "select id from reservations where tenant_id = $1 and agent_id = any($2) and state = 'offered' order by id",
        tenant_id,
        agent_ids,
    )
    ids = [row["id"] for row in ringing]
    gone = await moved(
        connection, tenant_id, ids, "withdrawn", moment, "done_us = $4, reason = $5", "agent_gone"
    )
    entries = await back_to_waiting(connection, tenant_id, [one.entry_id for one in gone], moment)
    entries += [told("reservation.withdrawn", one, moment) for one in gone]
    await connection.execute(
        "update agents set session = '', controller = '', version = version + 1, updated_us = $3"
        " where tenant_id = $1 and id = any($2)",
        tenant_id,
        agent_ids,
        moment,
    )
    await change_state(connection, tenant_id, agent_ids, "offline", reason=reason, quiet=True)
    after = await lock_agents(connection, tenant_id, agent_ids)
    return [*entries, *(told("agent.offline", one, moment) for one in after.values())]


async def change_state(
    connection: Connection,
    tenant_id: str,
    agent_ids: list[str],
    state: str,
    *,
    reason: str = "",
    actor: str = "",
    quiet: bool = False,
) -> list[NewEntry]:
    """Set a chosen state in the caller's transaction and keep it in the agents' timeline; what the log is to be told
    (nothing of those who are that already, or when ``quiet``)."""
    moment = await now_of(connection)
    changed = await connection.fetch(
        "update agents set idle_since_us = case when $3 = 'ready' and state <> 'ready' then $5 else idle_since_us end,"
        " state = $3, reason = $4, since_us = $5, version = version + 1, updated_us = $5"
        " where tenant_id = $1 and id = any($2) and (state, reason) <> ($3, $4) returning id",
        tenant_id,
        agent_ids,
        state,
        storable(reason[:MAX_REASON]),
        moment,
    )
    ids = [row["id"] for row in changed]
    await connection.executemany(
        "insert into agent_state_log (tenant_id, agent_id, at_us, id, state, reason, actor)"
        " values ($1, $2, $3, $4, $5, $6, $7)",
        [(tenant_id, one, moment, new_id("ast"), state, storable(reason[:MAX_REASON]), actor) for one in ids],
    )
    if quiet:
        return []
    after = await lock_agents(connection, tenant_id, ids)
    return [told("agent.state_changed", one, moment) for one in after.values()]


async def _one(db: Database, tenant_id: str, which: str, value: str) -> Agent | None:
    async with db.reader(tenant_id) as connection:
        row = await connection.fetchrow(
            f"select {AGENT} from agents a where a.tenant_id = $1 and {which} and a.deleted_us = 0",  # noqa: S608
            tenant_id,
            value,
        )
    return None if row is None else agent_of(row)


async def _locked(connection: Connection, tenant_id: str, agent_id: str) -> Agent:
    found = await lock_agents(connection, tenant_id, [agent_id])
    if agent_id not in found:
        raise no_such(agent_id)
    return found[agent_id]


def no_such(agent_id: str) -> NotFound:
    return NotFound(f"there is no agent {agent_id}", code="no_such_agent")
