"""All that the decision maker needs of a tenant, read in one snapshot, and how it goes on from there by the log."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from core.model.hours import ALWAYS, Schedule
from core.model.queueing import REFUSED_US, Board
from core.model.queueing_records import Agent, Queue, QueueEntry
from core.model.reservations import REFUSED, Reservation
from core.storage.database import Connection, Database
from core.storage.queue_rows import (
    AGENT,
    ENTRY,
    NOW,
    OPEN,
    QUEUE,
    RESERVATION,
    agent_of,
    entry_of,
    queue_of,
    reservation_of,
    settings_of,
)

READ = 5_000
"""Entries of the log that are read at once."""
GROUPS = ("agent", "reservation", "queue", "queue_settings", "content")


class Loaded(Struct):
    """A board, and the number of the last entry of the log that it knows."""

    board: Board
    seq: int
    moment_us: int
    """The database's clock when it was read."""
    queues: dict[str, Queue]


class _Data(Struct):
    data: msgspec.Raw


_of = msgspec.json.Decoder(_Data)
_agent = msgspec.json.Decoder(Agent)
_queue = msgspec.json.Decoder(Queue)
_entry = msgspec.json.Decoder(QueueEntry)
_reservation = msgspec.json.Decoder(Reservation)


async def load(db: Database, tenant_id: str) -> Loaded:
    """Everything as it is at one moment."""
    async with db.tenant(tenant_id) as connection:
        await connection.execute("set transaction isolation level repeatable read, read only")
        return await _read(connection, tenant_id)


async def _read(connection: Connection, tenant_id: str) -> Loaded:
    moment = int(await connection.fetchval(f"select {NOW}"))
    seq = await connection.fetchval("select head from log_heads where tenant_id = $1", tenant_id)
    board = Board(await settings_of(connection, tenant_id))
    members: dict[str, dict[str, int]] = {}
    for row in await connection.fetch(
        "select queue_id, agent_id, tier from queue_agents where tenant_id = $1", tenant_id
    ):
        members.setdefault(row["queue_id"], {})[row["agent_id"]] = row["tier"]
    queues = {}
    schedules = await _schedules(connection, tenant_id)
    for row in await connection.fetch(
        f"select {QUEUE} from queues where tenant_id = $1 and deleted_us = 0",  # noqa: S608
        tenant_id,
    ):
        queue = queues[row["id"]] = queue_of(row)
        schedule = schedules.get(queue.settings.schedule_id, ALWAYS)
        board.put_queue(queue, members.get(queue.id, {}), schedule, moment)
    for row in await connection.fetch(
        f"select {AGENT} from agents a where a.tenant_id = $1 and a.deleted_us = 0",  # noqa: S608
        tenant_id,
    ):
        board.put_agent(agent_of(row))
    for row in await connection.fetch(
        f"select {ENTRY} from queue_entries where tenant_id = $1 and state in ('waiting', 'offered')",  # noqa: S608
        tenant_id,
    ):
        board.put_entry(entry_of(row))
    for row in await connection.fetch(
        f"select {RESERVATION} from reservations where tenant_id = $1 and state in {OPEN} union all"  # noqa: S608
        f" select {RESERVATION} from reservations where tenant_id = $1 and state = any($2) and offered_us > $3"
        " and done_us > $4",
        tenant_id,
        list(REFUSED),
        moment - 3_600_000_000,
        moment - REFUSED_US,
    ):
        board.put_reservation(reservation_of(row))
    return Loaded(board, seq or 0, moment, queues)


async def _schedules(connection: Connection, tenant_id: str) -> Mapping[str, Schedule]:
    rows = await connection.fetch(
        "select id, doc::text as doc from content where tenant_id = $1 and kind = 'schedule'", tenant_id
    )
    return {row["id"]: msgspec.json.decode(row["doc"], type=Schedule) for row in rows}


async def entries_after(
    db: Database, tenant_id: str, seq: int
) -> tuple[Sequence[tuple[str, str, str]], int, bool]:
    """What the log says to a board after ``seq``: (type, resource, body); the number reached; whether there is more."""
    async with db.reader(tenant_id) as connection:
        # (who sees the head sees all entries up to it)
        head = await connection.fetchval("select head from log_heads where tenant_id = $1", tenant_id)
        if head is None or head <= seq:
            return [], seq, False
        rows = await connection.fetch(
            "select seq, type, resource, body from events where tenant_id = $1 and seq > $2 and seq <= $3"
            " and split_part(type, '.', 1) = any($4) order by seq limit $5",
            tenant_id,
            seq,
            head,
            list(GROUPS),
            READ,
        )
    told = [(row["type"], row["resource"], row["body"]) for row in rows]
    more = len(rows) == READ
    return told, rows[-1]["seq"] if more else head, more


def apply(board: Board, told: Sequence[tuple[str, str, str]]) -> bool:
    """Bring a board up to date; True when it has to be loaded anew (queues, members or hours were changed)."""
    anew = False
    for kind, resource, body in told:
        if kind == "content.created" or kind == "content.updated":
            anew = anew or resource.startswith("sch_")
        elif kind.startswith("content.") or kind == "agent.devices":
            continue  # (says what an agent's page hears with, and is no agent)
        elif resource.startswith("que_") or kind in ("queue_settings.changed", "agent.deleted"):
            anew = True
        else:
            anew = _apply(board, resource, body) or anew
    return anew


def _apply(board: Board, resource: str, body: str) -> bool:
    data: Any = _of.decode("{" + body).data
    if resource.startswith("agt_"):
        agent = _agent.decode(data)
        seat = board.seats.get(agent.id)
        if seat is None or set(seat.tiers) != set(agent.queues):
            return True
        board.put_agent(agent)
    elif resource.startswith("qen_"):
        board.put_entry(_entry.decode(data))
    elif resource.startswith("rsv_"):
        board.put_reservation(_reservation.decode(data))
    return False
