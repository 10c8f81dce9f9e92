"""Conversations in queues: those in which somebody waits and whom nobody has come in, others go out."""

from collections.abc import Sequence
from typing import Any

import msgspec

from core.ids import new_id
from core.model.capacity import class_of_channel
from core.model.queueing_numbers import Counted
from core.model.queueing_records import Queue, QueueEntry
from core.model.reservations import Reservation
from core.storage import queue_intervals
from core.storage.database import Connection
from core.storage.entries import NewEntry
from core.storage.queue_arrivals import withdraw
from core.storage.queue_intervals import of_entry
from core.storage.queue_moves import insert_rows, leave, moved, not_busy_any_more
from core.storage.queue_rows import RESERVATION, now_of, reservation_of, told
from core.storage.reservations import ended_counts


def takes_conversations(queue: Queue) -> bool:
    return queue.settings.conversations != "none"


async def look_at_conversations(
    connection: Connection,
    tenant_id: str,
    ids: Sequence[str],
    queues: Sequence[Queue],
    entries: list[NewEntry],
) -> None:
    """Something happened to these conversations: see that each waits where it should, if it should."""
    rows = await connection.fetch(
        "select c.id, c.contact_id, c.state, c.queue, c.assignee, c.waiting_since_us, c.merged_into, c.priority,"
        " coalesce(k.type, '') as channel, coalesce(p.name, '') as name from conversations c"
        " left join channels k on k.tenant_id = c.tenant_id and k.id = c.channel_id"
        " left join contacts p on p.tenant_id = c.tenant_id and p.id = c.contact_id"
        " where c.tenant_id = $1 and c.id = any($2) order by c.id",
        tenant_id,
        list(ids),
    )
    waiting = await _waiting(connection, tenant_id, ids)
    moment = await now_of(connection)
    gone = []
    for row in rows:
        queue = _queue_of(row, queues)
        present = waiting.get(row["id"])
        if queue is not None and present is None:
            await _enter(connection, tenant_id, row, queue, moment, entries)
        elif present is not None and queue is None:
            gone.append(present)
    await _leave(connection, tenant_id, gone, moment, entries)
    await _talks(connection, tenant_id, {row["id"]: row for row in rows}, moment, entries)


def _queue_of(row: Any, queues: Sequence[Queue]) -> Queue | None:
    """Where a conversation should wait: nobody has it, somebody waits for an answer, and a queue takes it."""
    if (
        row["state"] != "open"
        or row["assignee"]
        or not row["waiting_since_us"]
        or row["merged_into"] is not None
    ):
        return None
    named = row["queue"].lower()
    for queue in queues:
        if named and queue.name.lower() == named:
            return queue
    if named:
        return None
    return next((queue for queue in queues if queue.settings.conversations == "all"), None)


async def _waiting(connection: Connection, tenant_id: str, ids: Sequence[str]) -> dict[str, str]:
    rows = await connection.fetch(
        "select id, conversation_id from queue_entries where tenant_id = $1 and conversation_id = any($2)"
        " and kind = 'conversation' and state in ('waiting', 'offered') for update",
        tenant_id,
        list(ids),
    )
    return {row["conversation_id"]: row["id"] for row in rows}


async def _enter(
    connection: Connection, tenant_id: str, row: Any, queue: Queue, moment: int, entries: list[NewEntry]
) -> None:
    entry = QueueEntry(
        id=new_id("qen", at_us=moment),
        tenant_id=tenant_id,
        queue_id=queue.id,
        kind="conversation",
        class_=class_of_channel(row["channel"]),
        conversation_id=row["id"],
        contact_id=row["contact_id"],
        caller_name=row["name"],
        priority=float(row["priority"]),
        entered_us=min(row["waiting_since_us"], moment),
        queued_us=moment,
    )
    await insert_rows(connection, "queue_entries", [msgspec.to_builtins(entry)])
    await queue_intervals.add(connection, tenant_id, [of_entry(entry, Counted(offered=1))])
    entries.append(told("queue.entered", entry, moment))


async def _leave(
    connection: Connection, tenant_id: str, ids: Sequence[str], moment: int, entries: list[NewEntry]
) -> None:
    """Somebody took them without being asked, or there is nothing to answer any more."""
    if ids:
        await withdraw(connection, tenant_id, ids, "resolved", moment, entries)
        found, told_of = await leave(connection, tenant_id, ids, "resolved", moment)
        await queue_intervals.add(connection, tenant_id, [of_entry(one, Counted(other=1)) for one in found])
        entries += told_of


async def _talks(
    connection: Connection, tenant_id: str, rows: dict[str, Any], moment: int, entries: list[NewEntry]
) -> None:
    """What agents have of these: whose turn it is, and whether it is still theirs."""
    found = await connection.fetch(
        f"select {RESERVATION}, (select user_id from agents a where a.tenant_id = r.tenant_id and a.id = r.agent_id)"  # noqa: S608
        " as user_id from reservations r where tenant_id = $1 and conversation_id = any($2) and state = 'connected'"
        " order by id",
        tenant_id,
        sorted(rows),
    )
    over: list[Reservation] = []
    for one in found:
        members = dict(one)
        user_id = members.pop("user_id")
        have, row = reservation_of(members), rows[one["conversation_id"]]
        if row["state"] == "resolved" or row["merged_into"] is not None or row["assignee"] != user_id:
            over.append(have)
        elif (awaits := row["waiting_since_us"] > 0) != have.awaits_us:
            (after,) = await moved(
                connection,
                tenant_id,
                [have.id],
                "connected",
                moment,
                "awaits_us = $5, quiet_since_us = case when $5 then 0 else $4 end",
                awaits,
            )
            entries.append(told("reservation.changed", after, moment))
    if over:
        done = await moved(
            connection, tenant_id, [one.id for one in over], "done", moment, "ended_us = $4, done_us = $4"
        )
        await queue_intervals.add(connection, tenant_id, ended_counts(over, moment))
        await not_busy_any_more(connection, tenant_id, sorted({one.agent_id for one in done}), moment)
        entries += [told("reservation.done", one, moment) for one in done]
