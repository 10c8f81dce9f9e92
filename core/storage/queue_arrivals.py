"""Callers who come into a queue, and those who would rather be called back."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from core.ids import new_id
from core.model.hours import ALWAYS, Schedule, is_open
from core.model.queueing_numbers import Counted
from core.model.queueing_records import Agent, Queue, QueueEntry
from core.model.records import Call, Leg
from core.model.reservations import Reservation
from core.model.voice import e164
from core.storage import queue_intervals
from core.storage.database import Connection
from core.storage.entries import NewEntry
from core.storage.queue_intervals import of_entry
from core.storage.queue_moves import insert, insert_rows, leave, moved, not_busy_any_more
from core.storage.queue_routes import Route, route_of, routes_of
from core.storage.queue_rows import ENTRY, QUEUE, agents_by_id, entry_of, queue_of, told
from core.storage.texts import storable

RING_S = 30
"""How long a call that leads to one agent rings there."""
REMEMBERED_US = 30 * 86_400_000_000
"""How long ago somebody may have served them to be who knows them."""
_DIALLED = re.compile(r"\+?[0-9]{3,20}")


class Arriving:
    """What is read once for all callers of a round."""

    def __init__(self, connection: Connection, tenant_id: str) -> None:
        self.connection = connection
        self.tenant_id = tenant_id
        self._routes: list[Route] | None = None
        self._queues: dict[str, Queue] | None = None
        self._region: str | None = None

    async def route(self, destination: str) -> Route | None:
        if self._routes is None:
            self._routes = await routes_of(self.connection, self.tenant_id)
        return route_of(self._routes, destination)

    async def queue(self, queue_id: str) -> Queue | None:
        if self._queues is None:
            rows = await self.connection.fetch(
                f"select {QUEUE} from queues where tenant_id = $1 and deleted_us = 0",  # noqa: S608
                self.tenant_id,
            )
            self._queues = {row["id"]: queue_of(row) for row in rows}
        return self._queues.get(queue_id)

    async def region(self) -> str:
        if self._region is None:
            found = await self.connection.fetchval(
                "select coalesce(settings ->> 'country', '') from tenants where id = $1", self.tenant_id
            )
            self._region = found or ""
        return self._region


async def arrive(
    arriving: Arriving, call: Call, leg: Leg, moment: int, entries: list[NewEntry]
) -> str | None:
    """A caller is there. What is played before they are sent away, when that is what happens to them; else None."""
    connection, tenant_id = arriving.connection, arriving.tenant_id
    known = await connection.fetchval(
        "select exists (select from queue_entries where tenant_id = $1 and call_id = $2)"
        " or exists (select from reservations where tenant_id = $1 and call_id = $2)",
        tenant_id,
        call.id,
    )
    route = None if known else await arriving.route(leg.destination or call.destination)
    if route is None:
        return None  # somebody who was here already is moved about, or this number is none of ours
    if route.agent_id:
        await _ring(arriving, route.agent_id, call, leg, moment, entries)
        return None
    queue = await arriving.queue(route.queue_id)
    if queue is None or not queue.settings.calls:
        return None
    entry = QueueEntry(
        id=new_id("qen", at_us=moment),
        tenant_id=tenant_id,
        queue_id=queue.id,
        kind="call",
        node=call.node,
        call_id=call.id,
        leg=leg.uuid,
        contact_id=await _contact(arriving, call.caller),
        caller=storable(call.caller),
        caller_name=storable(call.caller_name),
        priority=route.priority,
        skills=route.skills,
        entered_us=moment,
        queued_us=moment,
        answered_call=leg.state == "answered",
    )
    return await enter(arriving, entry, queue, moment, entries)


async def enter(
    arriving: Arriving, entry: QueueEntry, queue: Queue, moment: int, entries: list[NewEntry]
) -> str | None:
    """Put somebody into a queue, or where it sends them. What is played to who is sent away; None for who waits."""
    connection, tenant_id = arriving.connection, arriving.tenant_id
    for _ in range(8):  # (queues may send people round in circles; the last one keeps them)
        away = await _elsewhere(connection, tenant_id, queue, moment)
        if away is None:
            break
        outcome, to, sound = away
        following = await arriving.queue(to) if to else None
        if following is None:
            if outcome == "overflow":
                break
            gone = replace(entry, queue_id=queue.id, state="left", outcome=outcome, left_us=moment)
            await insert_rows(connection, "queue_entries", [msgspec.to_builtins(gone)])
            sums = Counted(offered=1, closed=1) if outcome == "closed" else Counted(offered=1, other=1)
            await queue_intervals.add(connection, tenant_id, [of_entry(gone, sums)])
            entries += [told("queue.entered", gone, moment), told("queue.left", gone, moment)]
            return sound
        passed = of_entry(replace(entry, queue_id=queue.id), Counted(offered=1, overflowed=1))
        await queue_intervals.add(connection, tenant_id, [passed])
        queue = following
    entry = replace(
        entry, queue_id=queue.id, **await _who_knows_them(connection, tenant_id, entry, queue, moment)
    )
    await insert_rows(connection, "queue_entries", [msgspec.to_builtins(entry)])
    await queue_intervals.add(connection, tenant_id, [of_entry(entry, Counted(offered=1))])
    entries.append(told("queue.entered", entry, moment))
    return None


async def _elsewhere(
    connection: Connection, tenant_id: str, queue: Queue, moment: int
) -> tuple[str, str, str] | None:
    """(outcome, queue, sound) when this queue does not take anybody now."""
    of = queue.settings
    if of.schedule_id and of.closed.do != "wait":
        doc = await connection.fetchval(
            "select doc::text from content where tenant_id = $1 and kind = 'schedule' and id = $2",
            tenant_id,
            of.schedule_id,
        )
        schedule = ALWAYS if doc is None else msgspec.json.decode(doc, type=Schedule)
        if not is_open(schedule, moment):
            to = of.closed.queue_id if of.closed.do == "overflow" else ""
            return ("overflow" if to else "closed"), to, of.closed.sound
    if of.most or of.overflow.above:
        waiting = await connection.fetchval(
            "select count(*) from queue_entries where tenant_id = $1 and queue_id = $2"
            " and state in ('waiting', 'offered')",
            tenant_id,
            queue.id,
        )
        if of.overflow.above and waiting >= of.overflow.above and of.overflow.queue_id:
            return "overflow", of.overflow.queue_id, ""
        if of.most and waiting >= of.most:
            return "full", "", of.closed.sound
    if of.overflow.nobody_there and of.overflow.queue_id:
        there = await connection.fetchval(
            "select exists (select from queue_agents q join agents a on a.tenant_id = q.tenant_id and a.id = q.agent_id"
            " where q.tenant_id = $1 and q.queue_id = $2 and a.deleted_us = 0 and a.state <> 'offline')",
            tenant_id,
            queue.id,
        )
        if not there:
            return "overflow", of.overflow.queue_id, ""
    return None


async def _who_knows_them(
    connection: Connection, tenant_id: str, entry: QueueEntry, queue: Queue, moment: int
) -> dict[str, Any]:
    """The agent who talked with them last and has the first claim for a while."""
    if not queue.settings.sticky_s or not (entry.caller or entry.contact_id):
        return {}
    column, value = ("contact_id", entry.contact_id) if entry.contact_id else ("caller", entry.caller)
    found = await connection.fetchval(
        f"select agent_id from reservations where tenant_id = $1 and {column} = $2 and connected_us > $3"  # noqa: S608
        " order by offered_us desc limit 1",
        tenant_id,
        value,
        moment - REMEMBERED_US,
    )
    if found is None:
        return {}
    return {"sticky_agent": found, "sticky_until_us": moment + queue.settings.sticky_s * 1_000_000}


async def _contact(arriving: Arriving, caller: str) -> str:
    """Who calls, if somebody is known by this number."""
    number = e164(caller, await arriving.region())
    if not number:
        return ""
    found = await arriving.connection.fetchval(
        "select contact_id from identities where tenant_id = $1 and kind = 'phone' and value = $2 limit 1",
        arriving.tenant_id,
        number,
    )
    return found or ""


async def _ring(
    arriving: Arriving, agent_id: str, call: Call, leg: Leg, moment: int, entries: list[NewEntry]
) -> None:
    """A call to one agent: offered to them if they are there, whatever else they do. Who does not answer is as if nobody
    were there: the switch sends the call back in time."""
    agents: Mapping[str, Agent] = await agents_by_id(arriving.connection, arriving.tenant_id, [agent_id])
    agent = agents.get(agent_id)
    if agent is None or not agent.session or agent.activity == "busy":
        return
    made = Reservation(
        id=new_id("rsv", at_us=moment),
        tenant_id=arriving.tenant_id,
        agent_id=agent_id,
        kind="call",
        node=call.node,
        call_id=call.id,
        leg=leg.uuid,
        contact_id=await _contact(arriving, call.caller),
        caller=storable(call.caller),
        caller_name=storable(call.caller_name),
        offered_us=moment,
        expires_us=moment + RING_S * 1_000_000,
    )
    await insert(arriving.connection, [made], wrap_up_s=0, missed_reason="")
    entries.append(told("reservation.offered", made, moment))


async def wants_callback(
    connection: Connection, tenant_id: str, call: Call, leg: str, moment: int, entries: list[NewEntry]
) -> bool:
    """A caller who waits pressed a key: where the queue offers it, they hang up and keep their place. True when so."""
    row = await connection.fetchrow(
        f"select {ENTRY} from queue_entries where tenant_id = $1 and call_id = $2 and leg = $3 and kind = 'call'"  # noqa: S608
        " and state in ('waiting', 'offered') for update",
        tenant_id,
        call.id,
        leg,
    )
    if row is None or not _DIALLED.fullmatch(row["caller"]):
        return False
    entry = entry_of(row)
    found = await connection.fetchrow(
        f"select {QUEUE} from queues where tenant_id = $1 and id = $2",  # noqa: S608
        tenant_id,
        entry.queue_id,
    )
    if found is None:
        return False
    policy = queue_of(found).settings.callback
    # (not before they can have heard of it)
    if not policy.enabled or moment - entry.queued_us < policy.after_s * 1_000_000:
        return False
    await withdraw(connection, tenant_id, [entry.id], "callback", moment, entries)
    _, told_of = await leave(connection, tenant_id, [entry.id], "callback", moment)
    ghost = replace(
        entry, id=new_id("qen", at_us=moment), kind="callback", state="waiting", node=entry.node, call_id="", leg="",
        offers=0, version=1,
    )  # fmt: skip
    await insert_rows(connection, "queue_entries", [msgspec.to_builtins(ghost)])
    await queue_intervals.add(connection, tenant_id, [of_entry(entry, Counted(callbacks=1))])
    entries += [*told_of, told("queue.entered", ghost, moment)]
    return True


async def withdraw(
    connection: Connection,
    tenant_id: str,
    entry_ids: Sequence[str],
    reason: str,
    moment: int,
    entries: list[NewEntry],
) -> None:
    """Nobody needs to answer these any more: offers are withdrawn, what was just accepted has failed."""
    rows = await connection.fetch(
        "select id, state from reservations where tenant_id = $1 and entry_id = any($2)"
        " and state in ('offered', 'accepted')",
        tenant_id,
        list(entry_ids),
    )
    await withdraw_these(connection, tenant_id, [row["id"] for row in rows], reason, moment, entries)


async def withdraw_these(
    connection: Connection,
    tenant_id: str,
    ids: Sequence[str],
    reason: str,
    moment: int,
    entries: list[NewEntry],
) -> None:
    """The same by the reservations' ids."""
    over: list[Reservation] = []
    for state in ("withdrawn", "failed"):
        done = await moved(connection, tenant_id, ids, state, moment, "done_us = $4, reason = $5", reason)
        entries += [told(f"reservation.{state}", one, moment) for one in done]
        over += done
    if over:
        agents = sorted({one.agent_id for one in over})
        await not_busy_any_more(connection, tenant_id, agents, moment)
