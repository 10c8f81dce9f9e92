"""Reservations: work that is offered to an agent, and what becomes of it.

Each of these is one transaction: the reservation's next state, what follows for its entry, its agent and the queue's
numbers, and the log entries of all of it. Which states may follow which is in `core.model.reservations`.
"""

from collections.abc import Sequence

import msgspec

from core.errors import Conflict, NotFound
from core.ids import new_id
from core.model.capacity import total
from core.model.queueing_numbers import Counted
from core.model.queueing_records import QueueSettings
from core.model.reservations import Reservation
from core.storage import queue_intervals
from core.storage.agents import no_such as no_such_agent
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.queue_intervals import Count
from core.storage.queue_moves import (
    assign,
    back_to_waiting,
    insert,
    leave,
    moved,
    not_busy_any_more,
    open_works,
    serve,
)
from core.storage.queue_rows import (
    ENTRY,
    OPEN,
    RESERVATION,
    lock_agents,
    now_of,
    reservation_of,
    settings_of,
    told,
)
from core.storage.texts import storable

__all__ = [
    "Reservation",
    "accept",
    "connected",
    "decline",
    "extend",
    "failed",
    "finish",
    "get_reservation",
    "offer_direct",
    "open_of_agent",
]

LONGEST_WRAP_UP_S = 3600
MAX_NOTES = 10_000
MAX_REASON = 200


async def get_reservation(db: Database, tenant_id: str, reservation_id: str) -> Reservation:
    """Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        row = await connection.fetchrow(
            f"select {RESERVATION} from reservations where tenant_id = $1 and id = $2",  # noqa: S608
            tenant_id,
            reservation_id,
        )
    if row is None:
        raise no_such(reservation_id)
    return reservation_of(row)


async def open_of_agent(db: Database, tenant_id: str, agent_id: str) -> list[Reservation]:
    """What an agent is offered, has, or writes down, oldest first."""
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            f"select {RESERVATION} from reservations where tenant_id = $1 and agent_id = $2 and state in {OPEN}"  # noqa: S608
            " order by offered_us, id",
            tenant_id,
            agent_id,
        )
    return [reservation_of(row) for row in rows]


async def accept(db: Database, tenant_id: str, reservation_id: str, agent_id: str) -> Reservation:
    """The agent takes it: a call is to be joined with their leg now, a conversation is theirs.

    Raises `NotFound`; `Conflict` ``offer_gone`` when it was withdrawn, missed, or answered otherwise.
    """
    async with db.tenant(tenant_id) as connection:
        before = await _mine(connection, tenant_id, reservation_id, agent_id)
        moment = await now_of(connection)
        if before.state != "offered" or before.expires_us <= moment:
            raise gone(before)
        entries: list[NewEntry] = []
        if before.kind == "conversation":
            (after,) = await moved(
                connection,
                tenant_id,
                [before.id],
                "connected",
                moment,
                "accepted_us = $4, connected_us = $4",
            )
            entries += await assign(connection, tenant_id, after, moment)
            entries += await _served(connection, tenant_id, after, moment)
            told_of = [
                told("reservation.accepted", after, moment),
                told("reservation.connected", after, moment),
            ]
        else:
            (after,) = await moved(connection, tenant_id, [before.id], "accepted", moment, "accepted_us = $4")
            told_of = [told("reservation.accepted", after, moment)]
        await append(connection, [*entries, *told_of])
    return after


async def decline(
    db: Database, tenant_id: str, reservation_id: str, agent_id: str, *, reason: str = ""
) -> Reservation:
    """The agent does not want it: somebody else is asked. Raises `NotFound`, `Conflict` ``offer_gone``."""
    async with db.tenant(tenant_id) as connection:
        before = await _mine(connection, tenant_id, reservation_id, agent_id)
        if before.state != "offered":
            raise gone(before)
        return await _over(connection, tenant_id, before, "declined", reason)


async def connected(
    db: Database,
    tenant_id: str,
    reservation_id: str,
    agent_id: str,
    *,
    agent_leg: str,
    call_id: str = "",
) -> Reservation:
    """Customer and agent hear each other. ``call_id`` is the call that was dialled for a callback.

    Raises `NotFound`, `Conflict` ``offer_gone``.
    """
    async with db.tenant(tenant_id) as connection:
        before = await _mine(connection, tenant_id, reservation_id, agent_id)
        if before.state != "accepted":
            raise gone(before)
        moment = await now_of(connection)
        (after,) = await moved(
            connection,
            tenant_id,
            [before.id],
            "connected",
            moment,
            "connected_us = $4, agent_leg = $5, call_id = case when $6 = '' then call_id else $6 end",
            storable(agent_leg),
            storable(call_id),
        )
        entries = await _served(connection, tenant_id, after, moment)
        await append(connection, [*entries, told("reservation.connected", after, moment)])
    return after


async def failed(
    db: Database, tenant_id: str, reservation_id: str, agent_id: str, *, reason: str
) -> Reservation:
    """It was accepted and nothing came of it: whoever waits goes on waiting. Raises `NotFound`, `Conflict`."""
    async with db.tenant(tenant_id) as connection:
        before = await _mine(connection, tenant_id, reservation_id, agent_id)
        if before.state != "accepted":
            raise gone(before)
        return await _over(connection, tenant_id, before, "failed", reason)


async def finish(
    db: Database,
    tenant_id: str,
    reservation_id: str,
    agent_id: str,
    *,
    disposition: str = "",
    notes: str = "",
) -> Reservation:
    """What had to be written down is: the agent is free. Also ends one's part in a conversation.

    Raises `NotFound`; `Conflict` ``not_in_wrap_up`` while they talk, or when it was done before.
    """
    async with db.tenant(tenant_id) as connection:
        before = await _mine(connection, tenant_id, reservation_id, agent_id)
        if before.state != "wrap_up" and (before.state, before.kind) != ("connected", "conversation"):
            raise Conflict(f"it is {before.state}", code="not_in_wrap_up")
        moment = await now_of(connection)
        (after,) = await moved(
            connection,
            tenant_id,
            [before.id],
            "done",
            moment,
            "done_us = $4, disposition = $5, notes = $6, ended_us = case when ended_us = 0 then $4 else ended_us end",
            storable(disposition),
            storable(notes[:MAX_NOTES]),
        )
        await queue_intervals.add(connection, tenant_id, ended_counts([before], moment))
        await not_busy_any_more(connection, tenant_id, [agent_id], moment)
        await append(connection, [told("reservation.done", after, moment)])
    return after


async def extend(
    db: Database, tenant_id: str, reservation_id: str, agent_id: str, *, seconds: int
) -> Reservation:
    """More time to write things down, `LONGEST_WRAP_UP_S` from now at most. Raises `NotFound`, `Conflict`."""
    async with db.tenant(tenant_id) as connection:
        before = await _mine(connection, tenant_id, reservation_id, agent_id)
        if before.state != "wrap_up":
            raise Conflict(f"it is {before.state}", code="not_in_wrap_up")
        moment = await now_of(connection)
        (after,) = await moved(
            connection,
            tenant_id,
            [before.id],
            "wrap_up",
            moment,
            f"wrap_until_us = least(greatest(wrap_until_us, $4) + $5::bigint, $4 + {LONGEST_WRAP_UP_S}::bigint * 1000000)",
            seconds * 1_000_000,
        )
        await append(connection, [told("reservation.extended", after, moment)])
    return after


async def offer_direct(
    db: Database,
    tenant_id: str,
    *,
    agent_id: str,
    node: str,
    call_id: str,
    leg: str,
    caller: str,
    caller_name: str,
    ring_s: float,
) -> Reservation:
    """One colleague calls another: no queue, no wrap-up, no pause when it is missed.

    Raises `NotFound`; `Conflict` ``agent_offline`` when no page holds them, ``agent_busy`` when they have a call.
    """
    async with db.tenant(tenant_id) as connection:
        found = await lock_agents(connection, tenant_id, [agent_id])
        agent = found.get(agent_id)
        if agent is None:
            raise no_such_agent(agent_id)
        if agent.state == "offline" or not agent.session:
            raise Conflict("nobody is there", code="agent_offline")
        settings = await settings_of(connection, tenant_id)
        moment = await now_of(connection)
        works = (await open_works(connection, tenant_id, [agent_id])).get(agent_id, [])
        used = total(works, settings.weights, moment)
        # (a call among colleagues is worth the interruption of what is written: only the ear must be free)
        if used.audio + settings.weights.call.audio > agent.capacity.audio:
            raise Conflict("they are on a call", code="agent_busy")
        made = Reservation(
            id=new_id("rsv", at_us=moment),
            tenant_id=tenant_id,
            agent_id=agent_id,
            kind="call",
            node=node,
            call_id=call_id,
            leg=leg,
            caller=storable(caller),
            caller_name=storable(caller_name),
            offered_us=moment,
            expires_us=moment + round(ring_s * 1e6),
        )
        await insert(connection, [made], wrap_up_s=0, missed_reason="")
        await append(connection, [told("reservation.offered", made, moment)])
    return made


async def _mine(connection: Connection, tenant_id: str, reservation_id: str, agent_id: str) -> Reservation:
    """The reservation, held with its agent until the transaction ends. Raises `NotFound`, also for another agent's."""
    await lock_agents(connection, tenant_id, [agent_id])
    row = await connection.fetchrow(
        f"select {RESERVATION} from reservations where tenant_id = $1 and id = $2 and agent_id = $3 for update",  # noqa: S608
        tenant_id,
        reservation_id,
        agent_id,
    )
    if row is None:
        raise no_such(reservation_id)
    return reservation_of(row)


async def _over(
    connection: Connection, tenant_id: str, before: Reservation, state: str, reason: str
) -> Reservation:
    """It ends without anybody served; its entry waits again."""
    moment = await now_of(connection)
    (after,) = await moved(
        connection,
        tenant_id,
        [before.id],
        state,
        moment,
        "done_us = $4, reason = $5",
        storable(reason[:MAX_REASON]),
    )
    if state == "failed" and after.dial:
        entries = await _try_later(connection, tenant_id, after.entry_id, moment)
    else:
        entries = await back_to_waiting(connection, tenant_id, [after.entry_id], moment)
    await not_busy_any_more(connection, tenant_id, [after.agent_id], moment)
    await append(connection, [*entries, told(f"reservation.{state}", after, moment)])
    return after


async def _try_later(connection: Connection, tenant_id: str, entry_id: str, moment: int) -> list[NewEntry]:
    """Who wanted to be called back was not reached: once more later, unless that was tried often enough."""
    row = await connection.fetchrow(
        f"select {ENTRY}, (select q.settings::text from queues q where q.tenant_id = e.tenant_id and q.id = e.queue_id)"  # noqa: S608
        " as of from queue_entries e where tenant_id = $1 and id = $2 for update of e",
        tenant_id,
        entry_id,
    )
    if row is None or row["of"] is None:
        return []
    policy = msgspec.json.decode(row["of"], type=QueueSettings).callback
    if row["offers"] >= policy.tries:
        found, entries = await leave(connection, tenant_id, [entry_id], "failed", moment)
        sums = [queue_intervals.of_entry(one, Counted(other=1)) for one in found]
        await queue_intervals.add(connection, tenant_id, sums)
        return entries
    await connection.execute(
        "update queue_entries set due_us = $3 where tenant_id = $1 and id = $2",
        tenant_id,
        entry_id,
        moment + policy.retry_s * 1_000_000,
    )
    return await back_to_waiting(connection, tenant_id, [entry_id], moment)


async def _served(connection: Connection, tenant_id: str, after: Reservation, moment: int) -> list[NewEntry]:
    """Their entry has come to its aim."""
    found, entries = await serve(connection, tenant_id, [after.entry_id], moment)
    await queue_intervals.add(connection, tenant_id, [queue_intervals.served(one, moment) for one in found])
    return entries


def ended_counts(before: Sequence[Reservation], moment: int) -> list[Count]:
    """What is counted of those who were talked with and are done with: in the interval in which they were offered."""
    counts = []
    for one in before:
        if one.queue_id and one.connected_us:
            talked = (one.ended_us or moment) - one.connected_us
            wrapped = moment - one.ended_us if one.ended_us else 0
            sums = Counted(handled=1, talk_us=max(talked, 0), wrap_us=max(wrapped, 0))
            counts.append(Count(one.queue_id, one.class_, one.offered_us - round(one.waited_s * 1e6), sums))
    return counts


def no_such(reservation_id: str) -> NotFound:
    return NotFound(f"there is no reservation {reservation_id}", code="no_such_reservation")


def gone(before: Reservation) -> Conflict:
    return Conflict(f"the offer is {before.state}", code="offer_gone")
