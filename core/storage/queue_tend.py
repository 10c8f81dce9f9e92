"""What time does in queues: offers run out, wrap-ups end, people go on to another queue, closed queues send away.

Every function is one transaction that looks at the database's clock, so it may be run by anybody, and twice.
"""

import contextlib
from collections.abc import Sequence

import msgspec

from core.errors import Conflict, NotFound
from core.model.queueing_numbers import Counted
from core.model.queueing_records import QueueEntry
from core.model.records import Call
from core.storage import queue_intervals
from core.storage.agents import change_state
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.queue_endings import call_over, call_renamed, legs_over
from core.storage.queue_intervals import of_entry
from core.storage.queue_moves import back_to_waiting, leave, moved, not_busy_any_more
from core.storage.queue_rows import (
    ENTRY,
    NOW,
    RESERVATION,
    entry_of,
    lock_agents,
    now_of,
    reservation_of,
    told,
)
from core.storage.reservations import ended_counts, failed

ACCEPTED_S = 60
"""Longer than any order to join legs may take."""
SETTLED_S = 5
"""What is younger is left to the log."""

_call = msgspec.json.Decoder(Call).decode


async def expire(db: Database, tenant_id: str) -> int:
    """Offers that nobody answered are missed: their agents pause (by the queue's policy), whoever waited waits again."""
    async with db.tenant(tenant_id) as connection:
        due = await connection.fetch(
            "select id, agent_id, missed_reason from reservations where tenant_id = $1 and state = 'offered'"  # noqa: S608
            f" and expires_us <= {NOW}",
            tenant_id,
        )
        if not due:
            return 0
        await lock_agents(connection, tenant_id, [row["agent_id"] for row in due])
        moment = await now_of(connection)
        ids = [row["id"] for row in due]
        missed = await moved(connection, tenant_id, ids, "missed", moment, "done_us = $4")
        agents = sorted({one.agent_id for one in missed})
        why = {row["id"]: row["missed_reason"] for row in due}
        entries = await back_to_waiting(connection, tenant_id, [one.entry_id for one in missed], moment)
        await not_busy_any_more(connection, tenant_id, agents, moment)
        for reason in sorted({why[one.id] for one in missed} - {""}):
            paused = sorted({one.agent_id for one in missed if why[one.id] == reason})
            ready = await connection.fetch(
                "select id from agents where tenant_id = $1 and id = any($2) and state = 'ready'",
                tenant_id,
                paused,
            )
            entries += await change_state(
                connection, tenant_id, [row["id"] for row in ready], "not_ready", reason=reason
            )
        await append(connection, [*entries, *(told("reservation.missed", one, moment) for one in missed)])
    return len(missed)


async def give_up(db: Database, tenant_id: str) -> int:
    """What was accepted and came to nothing within `ACCEPTED_S` has failed: whoever was to join the legs has died over it."""
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            "select id, agent_id from reservations where tenant_id = $1 and state = 'accepted'"  # noqa: S608
            f" and accepted_us < {NOW} - {ACCEPTED_S * 1_000_000}::bigint",
            tenant_id,
        )
    done = 0
    for row in rows:
        with contextlib.suppress(Conflict):  # (connected in this moment)
            await failed(db, tenant_id, row["id"], row["agent_id"], reason="timeout")
            done += 1
    return done


async def reconcile(db: Database, tenant_id: str) -> int:
    """End the talks whose calls are over: a page may say that they began after they have ended. How many were looked at."""
    async with db.tenant(tenant_id) as connection:
        rows = await connection.fetch(
            "select r.call_id, r.agent_leg, c.doc::text as doc from reservations r join calls c"  # noqa: S608
            " on c.tenant_id = r.tenant_id and c.id = r.call_id where r.tenant_id = $1 and r.kind = 'call'"
            " and r.call_id <> '' and r.state in ('accepted', 'connected')"
            f" and greatest(r.accepted_us, r.connected_us) < {NOW} - {SETTLED_S * 1_000_000}::bigint"
            " order by r.agent_id, r.id limit 1000",
            tenant_id,
        )
        entries: list[NewEntry] = []
        for row in rows:
            call = _call(row["doc"])
            moment = await now_of(connection)
            ended = [leg.uuid for leg in call.legs if leg.state == "ended" and leg.uuid == row["agent_leg"]]
            if call.merged_into:
                await call_renamed(connection, tenant_id, call.id, call.merged_into)
            elif not call.live:
                await call_over(connection, tenant_id, call, moment, entries)
            elif ended:
                await legs_over(connection, tenant_id, call, ended, moment, entries)
        await append(connection, entries)
    return len(rows)


async def end_wrap_ups(db: Database, tenant_id: str) -> int:
    """Who has written long enough is free."""
    async with db.tenant(tenant_id) as connection:
        rows = await connection.fetch(
            f"select {RESERVATION} from reservations where tenant_id = $1 and state = 'wrap_up'"  # noqa: S608
            f" and wrap_until_us > 0 and wrap_until_us <= {NOW}",
            tenant_id,
        )
        if not rows:
            return 0
        before = {row["id"]: reservation_of(row) for row in rows}
        await lock_agents(connection, tenant_id, [one.agent_id for one in before.values()])
        moment = await now_of(connection)
        over = await moved(connection, tenant_id, sorted(before), "done", moment, "done_us = $4")
        await queue_intervals.add(
            connection, tenant_id, ended_counts([before[one.id] for one in over], moment)
        )
        await not_busy_any_more(connection, tenant_id, sorted({one.agent_id for one in over}), moment)
        await append(connection, [told("reservation.done", one, moment) for one in over])
    return len(over)


async def move_on(db: Database, tenant_id: str, moves: Sequence[tuple[str, str]]) -> int:
    """Entries go on to other queues: (entry, queue). They keep since when they wait; how many went."""
    async with db.tenant(tenant_id) as connection:
        moment = await now_of(connection)
        entries: list[NewEntry] = []
        counts = []
        for entry_id, queue_id in sorted(moves):
            before = await _waiting(connection, tenant_id, entry_id)
            if before is None or before.queue_id == queue_id:
                continue
            row = await connection.fetchrow(
                "update queue_entries e set queue_id = $3, queued_us = $4, sticky_until_us = 0, version = version + 1"  # noqa: S608
                " where tenant_id = $1 and id = $2 and exists (select 1 from queues q where q.tenant_id = $1"
                f" and q.id = $3 and q.deleted_us = 0) returning {ENTRY}",
                tenant_id,
                entry_id,
                queue_id,
                moment,
            )
            if row is not None:
                after = entry_of(row)
                counts += [of_entry(before, Counted(overflowed=1)), of_entry(after, Counted(offered=1))]
                entries.append(told("queue.changed", after, moment))
        await queue_intervals.add(connection, tenant_id, counts)
        await append(connection, entries)
    return len(entries)


async def send_away(db: Database, tenant_id: str, entry_ids: Sequence[str], outcome: str) -> list[QueueEntry]:
    """They wait no more: the queue is closed, or full, or gave up (`closed`, `full`, `failed`). Who was offered stays."""
    async with db.tenant(tenant_id) as connection:
        moment = await now_of(connection)
        rows = await connection.fetch(
            "select id from queue_entries where tenant_id = $1 and id = any($2) and state = 'waiting'"
            " order by id for update",
            tenant_id,
            list(entry_ids),
        )
        found, entries = await leave(connection, tenant_id, [row["id"] for row in rows], outcome, moment)
        sums = Counted(closed=1) if outcome == "closed" else Counted(other=1)
        await queue_intervals.add(connection, tenant_id, [of_entry(one, sums) for one in found])
        await append(connection, entries)
    return found


async def _waiting(connection: Connection, tenant_id: str, entry_id: str) -> QueueEntry | None:
    row = await connection.fetchrow(
        f"select {ENTRY} from queue_entries where tenant_id = $1 and id = $2 and state = 'waiting' for update",  # noqa: S608
        tenant_id,
        entry_id,
    )
    return None if row is None else entry_of(row)


async def move(db: Database, tenant_id: str, queue_id: str, entry_id: str, to: str) -> QueueEntry:
    """Somebody has one entry wait in another queue. Raises `NotFound`, and `Conflict` for who does not wait."""
    async with db.reader(tenant_id) as connection:
        state = await connection.fetchval(
            "select state from queue_entries where tenant_id = $1 and id = $2 and queue_id = $3",
            tenant_id,
            entry_id,
            queue_id,
        )
    if state is None:
        raise NotFound(f"there is no entry {entry_id} in this queue", code="no_such_entry")
    if not await move_on(db, tenant_id, [(entry_id, to)]) and to != queue_id:
        raise Conflict("nobody waits there any more: it is offered to somebody, or over", code="not_waiting")
    async with db.reader(tenant_id) as connection:
        row = await connection.fetchrow(
            f"select {ENTRY} from queue_entries where tenant_id = $1 and id = $2",  # noqa: S608
            tenant_id,
            entry_id,
        )
    return entry_of(row)
