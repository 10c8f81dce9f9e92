"""Entries that people make and end: a parked call that is to wait in a queue, somebody who is to wait no more."""

from collections.abc import Mapping

import msgspec

from core.errors import Conflict, NotFound
from core.ids import new_id
from core.model.queueing_numbers import Counted
from core.model.queueing_records import QueueEntry
from core.model.records import Call
from core.storage import queue_intervals
from core.storage.appending import append
from core.storage.database import Database
from core.storage.entries import NewEntry
from core.storage.queue_arrivals import Arriving, enter, withdraw
from core.storage.queue_intervals import of_entry
from core.storage.queue_moves import leave
from core.storage.queue_rows import ENTRY, entry_of, now_of
from core.storage.queues import check_skills, no_such
from core.storage.texts import storable

_call = msgspec.json.Decoder(Call).decode


async def add_call(
    db: Database,
    tenant_id: str,
    queue_id: str,
    call_id: str,
    *,
    priority: float = 0.0,
    skills: Mapping[str, int] | None = None,
) -> QueueEntry:
    """Have a caller wait in a queue who is parked and alone.

    Raises `NotFound`; `Conflict` ``call_ended``, ``not_parked`` for one who talks or waits for somebody, ``already_there``
    for one who waits in a queue, ``queue_closed`` where the queue takes nobody now.
    """
    async with db.tenant(tenant_id) as connection:
        arriving = Arriving(connection, tenant_id)
        queue = await arriving.queue(queue_id)
        if queue is None:
            raise no_such(queue_id)
        await check_skills(connection, tenant_id, sorted(skills or ()))
        doc = await connection.fetchval(
            "select doc::text from calls where tenant_id = $1 and id = $2", tenant_id, call_id
        )
        if doc is None:
            raise NotFound(f"there is no call {call_id}", code="no_such_call")
        call = _call(doc)
        alive = [leg for leg in call.legs if leg.state != "ended"]
        if not call.live or not alive:
            raise Conflict("the call has ended", code="call_ended")
        if len(alive) != 1 or not alive[0].parked or alive[0].direction != "inbound":
            raise Conflict("only a caller who is parked and alone can wait in a queue", code="not_parked")
        if await connection.fetchval(
            "select true from queue_entries where tenant_id = $1 and call_id = $2 and state in ('waiting', 'offered')",
            tenant_id,
            call_id,
        ):
            raise Conflict("it waits in a queue already", code="already_there")
        moment = await now_of(connection)
        leg = alive[0]
        entry = QueueEntry(
            id=new_id("qen", at_us=moment),
            tenant_id=tenant_id,
            queue_id=queue_id,
            kind="call",
            node=call.node,
            call_id=call.id,
            leg=leg.uuid,
            caller=storable(call.caller),
            caller_name=storable(call.caller_name),
            priority=priority,
            skills=dict(skills or {}),
            entered_us=moment,
            queued_us=moment,
            answered_call=leg.state == "answered",
        )
        entries: list[NewEntry] = []
        if await enter(arriving, entry, queue, moment, entries) is not None:
            raise Conflict("the queue takes nobody now: it is closed or full", code="queue_closed")
        row = await connection.fetchrow(
            f"select {ENTRY} from queue_entries where tenant_id = $1 and id = $2",  # noqa: S608
            tenant_id,
            entry.id,
        )
        await append(connection, entries)
    return entry_of(row)


async def remove(db: Database, tenant_id: str, queue_id: str, entry_id: str) -> None:
    """They wait in no queue any more; their call goes on, parked. Raises `NotFound`, `Conflict` for who is gone or served."""
    async with db.tenant(tenant_id) as connection:
        state = await connection.fetchval(
            "select state from queue_entries where tenant_id = $1 and id = $2 and queue_id = $3",
            tenant_id,
            entry_id,
            queue_id,
        )
        if state is None:
            raise NotFound(f"there is no entry {entry_id} in this queue", code="no_such_entry")
        moment = await now_of(connection)
        entries: list[NewEntry] = []
        await withdraw(connection, tenant_id, [entry_id], "removed", moment, entries)
        found, told_of = await leave(connection, tenant_id, [entry_id], "withdrawn", moment)
        if not found:
            raise Conflict("nobody waits there any more", code="not_waiting")
        await queue_intervals.add(connection, tenant_id, [of_entry(one, Counted(other=1)) for one in found])
        await append(connection, [*entries, *told_of])
