"""Calls that end: somebody gave up waiting, or a talk is over and is to be written down."""

from collections.abc import Sequence

from core.model.records import Call
from core.model.reservations import Reservation
from core.storage import queue_intervals
from core.storage.database import Connection
from core.storage.entries import NewEntry
from core.storage.queue_arrivals import withdraw_these
from core.storage.queue_moves import leave, moved, not_busy_any_more
from core.storage.queue_rows import RESERVATION, reservation_of, told
from core.storage.reservations import ended_counts

GONE = "caller_gone"


async def call_over(
    connection: Connection, tenant_id: str, call: Call, moment: int, entries: list[NewEntry]
) -> None:
    """The last leg of a call has ended."""
    await _gave_up(connection, tenant_id, "call_id = $2", call.id, moment, entries)
    rows = await connection.fetch(
        f"select {RESERVATION} from reservations where tenant_id = $1 and (call_id = $2 or agent_leg = any($3))"  # noqa: S608
        " and state in ('offered', 'accepted', 'connected') order by id",
        tenant_id,
        call.id,
        [leg.uuid for leg in call.legs],
    )
    found = [reservation_of(row) for row in rows]
    await withdraw_these(
        connection, tenant_id, [one.id for one in found if one.state != "connected"], GONE, moment, entries
    )
    await _talked(connection, tenant_id, [one for one in found if one.state == "connected"], moment, entries)


async def legs_over(
    connection: Connection,
    tenant_id: str,
    call: Call,
    legs: Sequence[str],
    moment: int,
    entries: list[NewEntry],
) -> None:
    """A leg has ended and its call goes on: an agent has left, or the one who waited."""
    await _gave_up(connection, tenant_id, "leg = any($2)", list(legs), moment, entries)
    rows = await connection.fetch(
        f"select {RESERVATION} from reservations where tenant_id = $1 and call_id = $2"  # noqa: S608
        " and (agent_leg = any($3) or leg = any($3)) and state in ('offered', 'accepted', 'connected') order by id",
        tenant_id,
        call.id,
        list(legs),
    )
    found = [reservation_of(row) for row in rows]
    vain = [one.id for one in found if one.state != "connected" and one.leg in legs]
    await withdraw_these(connection, tenant_id, vain, GONE, moment, entries)
    left = [one for one in found if one.state == "connected" and one.agent_leg in legs]
    await _talked(connection, tenant_id, left, moment, entries)


async def call_renamed(connection: Connection, tenant_id: str, call_id: str, into: str) -> None:
    """A call became part of another one: what is under way is about that one now."""
    if into:
        for table in ("queue_entries", "reservations"):
            states = (
                "('waiting', 'offered')"
                if table == "queue_entries"
                else "('offered', 'accepted', 'connected')"
            )
            await connection.execute(
                f"update {table} set call_id = $3 where tenant_id = $1 and call_id = $2 and state in {states}",  # noqa: S608
                tenant_id,
                call_id,
                into,
            )


async def _gave_up(
    connection: Connection,
    tenant_id: str,
    which: str,
    value: object,
    moment: int,
    entries: list[NewEntry],
) -> None:
    rows = await connection.fetch(
        f"select id from queue_entries where tenant_id = $1 and {which} and state in ('waiting', 'offered')"  # noqa: S608
        " and kind = 'call'",
        tenant_id,
        value,
    )
    found, told_of = await leave(connection, tenant_id, [row["id"] for row in rows], "abandoned", moment)
    await queue_intervals.add(connection, tenant_id, [queue_intervals.lost(one, moment) for one in found])
    entries += told_of


async def _talked(
    connection: Connection,
    tenant_id: str,
    found: Sequence[Reservation],
    moment: int,
    entries: list[NewEntry],
) -> None:
    """Talks are over: there is something to write down, or the agent is free."""
    if not found:
        return
    ids = [one.id for one in found]
    rows = await connection.fetch(
        "select id, wrap_up_s from reservations where tenant_id = $1 and id = any($2)", tenant_id, ids
    )
    plain = [row["id"] for row in rows if row["wrap_up_s"] == 0]
    wrapping = await moved(
        connection,
        tenant_id,
        [one for one in ids if one not in plain],
        "wrap_up",
        moment,
        "ended_us = $4, wrap_until_us = $4 + wrap_up_s::bigint * 1000000",
    )
    done = await moved(connection, tenant_id, plain, "done", moment, "ended_us = $4, done_us = $4")
    before = {one.id: one for one in found}
    await queue_intervals.add(connection, tenant_id, ended_counts([before[one.id] for one in done], moment))
    await not_busy_any_more(connection, tenant_id, sorted({one.agent_id for one in done}), moment)
    entries += [told("reservation.wrap_up", one, moment) for one in wrapping]
    entries += [told("reservation.done", one, moment) for one in done]
