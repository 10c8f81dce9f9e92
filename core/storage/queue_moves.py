"""The moves that everything about queues is made of, each within its caller's transaction.

They return what the log is to be told, so that `append` can come last: it holds the tenant's numbers.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from core.model.capacity import Work
from core.model.queueing_records import QueueEntry
from core.model.reservations import TRANSITIONS, Reservation
from core.storage.arrivals import entry_of as log_entry
from core.storage.database import Connection
from core.storage.entries import NewEntry
from core.storage.queue_rows import ENTRY, OPEN, RESERVATION, entry_of, reservation_of, told
from core.storage.texts import json_text

CHANGING = ("connected", "wrap_up")
"""States in which a reservation may be changed without leaving them."""


async def insert_rows(connection: Connection, table: str, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows that all have the same members; other columns take their defaults."""
    if not rows:
        return
    names = ", ".join(rows[0])
    await connection.execute(
        f"insert into {table} ({names}) select {names} from json_populate_recordset(null::{table}, $1::json)",  # noqa: S608
        json_text(rows),
    )


async def insert(
    connection: Connection, made: Sequence[Reservation], *, wrap_up_s: int, missed_reason: str
) -> None:
    """Store fresh reservations, and when their agents were offered something last."""
    rows = [
        {**msgspec.to_builtins(one), "wrap_up_s": wrap_up_s, "missed_reason": missed_reason} for one in made
    ]
    await insert_rows(connection, "reservations", rows)
    if made:
        await connection.execute(
            "update agents set offered_us = $3 where tenant_id = $1 and id = any($2)",
            made[0].tenant_id,
            sorted({one.agent_id for one in made}),
            max(one.offered_us for one in made),
        )


async def moved(
    connection: Connection,
    tenant_id: str,
    ids: Sequence[str],
    state: str,
    moment: int,
    assignments: str = "",
    *more: object,
) -> list[Reservation]:
    """Bring those of ``ids`` into ``state`` that may go there (or are there, to change them), in the order of ids.

    ``assignments`` is SQL in which $4 is the moment and $5 and so on are ``more``.
    """
    before = [one for one, after in TRANSITIONS.items() if state in after or one == state in CHANGING]
    values: list[object] = [tenant_id, list(ids), state]
    sets = ""
    if assignments:
        values += [moment, *more]
        sets = f", {assignments}"
    values.append(before)
    rows = await connection.fetch(
        f"update reservations set state = $3, version = version + 1{sets}"  # noqa: S608 - our own words
        f" where tenant_id = $1 and id = any($2) and state = any(${len(values)}) returning {RESERVATION}",
        *values,
    )
    return sorted((reservation_of(row) for row in rows), key=lambda one: one.id)


async def open_works(
    connection: Connection, tenant_id: str, agent_ids: Sequence[str]
) -> dict[str, list[Work]]:
    """What agents have, by agent."""
    rows = await connection.fetch(
        f"select {RESERVATION} from reservations where tenant_id = $1 and agent_id = any($2) and state in {OPEN}",  # noqa: S608
        tenant_id,
        list(agent_ids),
    )
    found: dict[str, list[Work]] = {}
    for one in map(reservation_of, rows):
        found.setdefault(one.agent_id, []).append(one.work)
    return found


async def back_to_waiting(
    connection: Connection, tenant_id: str, entry_ids: Iterable[str], moment: int
) -> list[NewEntry]:
    """Who was offered to somebody in vain waits again, at the place that they had."""
    ids = [one for one in entry_ids if one]
    if not ids:
        return []
    rows = await connection.fetch(
        f"update queue_entries set state = 'waiting', version = version + 1"  # noqa: S608
        f" where tenant_id = $1 and id = any($2) and state = 'offered' returning {ENTRY}",
        tenant_id,
        ids,
    )
    return [told("queue.changed", entry_of(row), moment) for row in rows]


async def serve(
    connection: Connection, tenant_id: str, entry_ids: Iterable[str], moment: int
) -> tuple[list[QueueEntry], list[NewEntry]]:
    """Somebody talks with those who waited: the entries, and what is to be told."""
    return await _ended(connection, tenant_id, entry_ids, "served", "answered", moment)


async def leave(
    connection: Connection, tenant_id: str, entry_ids: Iterable[str], outcome: str, moment: int
) -> tuple[list[QueueEntry], list[NewEntry]]:
    """They wait no more, and nobody talked with them."""
    return await _ended(connection, tenant_id, entry_ids, "left", outcome, moment)


async def _ended(
    connection: Connection, tenant_id: str, entry_ids: Iterable[str], state: str, outcome: str, moment: int
) -> tuple[list[QueueEntry], list[NewEntry]]:
    ids = [one for one in entry_ids if one]
    if not ids:
        return [], []
    rows = await connection.fetch(
        f"update queue_entries set state = $3, outcome = $4, left_us = $5, version = version + 1"  # noqa: S608
        f" where tenant_id = $1 and id = any($2) and state in ('waiting', 'offered') returning {ENTRY}",
        tenant_id,
        ids,
        state,
        outcome,
        moment,
    )
    found = [entry_of(row) for row in rows]
    return found, [told("queue.left", one, moment) for one in found]


async def not_busy_any_more(
    connection: Connection, tenant_id: str, agent_ids: Sequence[str], moment: int
) -> None:
    """Those of these agents who have nothing left to do have been idle since now."""
    await connection.execute(
        "update agents a set idle_since_us = $3 where tenant_id = $1 and id = any($2) and not exists (select 1"  # noqa: S608
        f" from reservations r where r.tenant_id = $1 and r.agent_id = a.id and r.state in {OPEN})",
        tenant_id,
        list(agent_ids),
        moment,
    )


class _Told(Struct, frozen=True):
    conversation: dict[str, Any]


async def assign(connection: Connection, tenant_id: str, taken: Reservation, moment: int) -> list[NewEntry]:
    """The conversation is the agent's who took it, unless somebody has it already."""
    row = await connection.fetchrow(
        "update conversations set assignee = (select user_id from agents where tenant_id = $1 and id = $3),"
        " version = version + 1 where tenant_id = $1 and id = $2 and assignee = ''"
        " returning id, contact_id, channel_id, state, assignee, unread, waiting_since_us, version",
        tenant_id,
        taken.conversation_id,
        taken.agent_id,
    )
    if row is None:
        return []
    data = _Told(dict(row))
    return [log_entry(tenant_id, "conversation.assigned", taken.conversation_id, data, moment)]
