"""Rows of agents, queues, entries and reservations as their values, and what all of this part's statements share.

Lock order: place, agents (by id), reservations, entries, intervals, conversations, log.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from core.model.queueing_records import Agent, Queue, QueueEntry, WorkSettings
from core.model.reservations import Reservation, activity
from core.storage.database import Connection
from core.storage.entries import NewEntry

T = TypeVar("T", bound=Struct)

NOW = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"
"""The database's clock: every process that decides about deadlines looks at this one."""
OPEN = "('offered', 'accepted', 'connected', 'wrap_up')"

AGENT = (
    "a.id, a.tenant_id, a.user_id, a.name, a.extension, a.state, a.reason, a.since_us, a.skills, a.capacity, a.session,"  # noqa: S608
    " a.idle_since_us, a.offered_us, a.version, a.created_us, a.updated_us,"
    " array(select q.queue_id from queue_agents q where q.tenant_id = a.tenant_id and q.agent_id = a.id"
    " order by q.queue_id) as queues,"
    " array(select r.kind || ' ' || r.state from reservations r where r.tenant_id = a.tenant_id and r.agent_id = a.id"
    f" and r.state in {OPEN}) as works"
)
QUEUE = "id, tenant_id, name, settings, version, created_us, updated_us, deleted_us"
ENTRY = ", ".join(field.encode_name for field in msgspec.structs.fields(QueueEntry))
RESERVATION = ", ".join(field.encode_name for field in msgspec.structs.fields(Reservation))

_encode = msgspec.json.Encoder().encode


def value_of(row: Mapping[str, Any], kind: type[T], *documents: str) -> T:
    """A row as one of ours; ``documents`` are columns of JSON."""
    members = dict(row)
    for name in documents:
        members[name] = msgspec.json.decode(members[name])
    return msgspec.convert(members, kind)


def agent_of(row: Mapping[str, Any]) -> Agent:
    members = dict(row)
    works = [tuple(one.split(" ", 1)) for one in members.pop("works")]
    members["activity"] = activity(works)
    return value_of(members, Agent, "skills", "capacity")


def queue_of(row: Mapping[str, Any]) -> Queue:
    return value_of(row, Queue, "settings")


def entry_of(row: Mapping[str, Any]) -> QueueEntry:
    return value_of(row, QueueEntry, "skills")


def reservation_of(row: Mapping[str, Any]) -> Reservation:
    return value_of(row, Reservation)


def told(
    kind: str, thing: Agent | Queue | QueueEntry | Reservation, at_us: int, request_id: str = ""
) -> NewEntry:
    """An entry of the log about one of them: its data is the thing itself."""
    return NewEntry(
        tenant_id=thing.tenant_id,
        type=kind,
        resource=thing.id,
        data=_encode(thing),
        occurred_us=at_us,
        request_id=request_id,
    )


async def now_of(connection: Connection) -> int:
    """The database's clock."""
    return int(await connection.fetchval(f"select {NOW}"))


async def agents_by_id(connection: Connection, tenant_id: str, ids: Iterable[str]) -> dict[str, Agent]:
    """Those agents as they are now."""
    rows = await connection.fetch(
        f"select {AGENT} from agents a where a.tenant_id = $1 and a.id = any($2) and a.deleted_us = 0",  # noqa: S608
        tenant_id,
        sorted(set(ids)),
    )
    return {row["id"]: agent_of(row) for row in rows}


async def lock_agents(connection: Connection, tenant_id: str, ids: Iterable[str]) -> dict[str, Agent]:
    """The same, held until the transaction ends, always in the same order."""
    wanted = sorted(set(ids))
    await connection.fetch(
        "select 1 from agents where tenant_id = $1 and id = any($2) order by id for update", tenant_id, wanted
    )
    return await agents_by_id(connection, tenant_id, wanted)


async def settings_of(connection: Connection, tenant_id: str) -> WorkSettings:
    """What holds for all queues of a tenant."""
    doc = await connection.fetchval("select doc::text from queue_settings where tenant_id = $1", tenant_id)
    return WorkSettings() if doc is None else msgspec.json.decode(doc, type=WorkSettings)


async def begin_place(connection: Connection, tenant_id: str) -> None:
    """Read the tenant's log from here on, unless it is read already: what happened before there was a queue is not looked
    at, and whoever calls a moment after it was made is."""
    await connection.execute(
        "insert into queue_places (tenant_id, seq) select $1, coalesce((select head from log_heads"
        " where tenant_id = $1), 0) on conflict do nothing",
        tenant_id,
    )
