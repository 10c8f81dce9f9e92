"""Offers that the keeper decided on, made true: one transaction for all of a tenant's.

The decision was made from what the keeper knew; what is true now is looked at again under locks: the agent is ready and has room,
the entry still waits. So two keepers, or a keeper and a person, who act at the same moment cannot give anybody too much.
"""

from collections.abc import Mapping, Sequence

import msgspec

from core.ids import new_id
from core.model.capacity import total
from core.model.queueing import Assignment
from core.model.queueing_records import Agent, Queue, QueueEntry
from core.model.reservations import Reservation
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.queue_moves import insert_rows, open_works
from core.storage.queue_rows import ENTRY, entry_of, lock_agents, now_of, settings_of, told

MISSED = "missed"


async def offer_many(
    db: Database, tenant_id: str, wanted: Sequence[Assignment], queues: Mapping[str, Queue]
) -> set[str]:
    """Make these offers; the entries that were offered. The others' facts have changed meanwhile."""
    async with db.tenant(tenant_id) as connection:
        agents = await lock_agents(connection, tenant_id, [one.agent_id for one in wanted])
        rows = await connection.fetch(
            f"select {ENTRY} from queue_entries where tenant_id = $1 and id = any($2) and state = 'waiting'"  # noqa: S608
            " order by id for update",
            tenant_id,
            [one.entry_id for one in wanted],
        )
        waiting = {row["id"]: entry_of(row) for row in rows}
        works = await open_works(connection, tenant_id, sorted(agents))
        weights = (await settings_of(connection, tenant_id)).weights
        moment = await now_of(connection)
        made: list[Reservation] = []
        told_of: list[NewEntry] = []
        for one in wanted:
            agent, entry, queue = (
                agents.get(one.agent_id),
                waiting.get(one.entry_id),
                queues.get(one.queue_id),
            )
            if agent is None or entry is None or queue is None or entry.queue_id != queue.id:
                continue
            load = weights.of(entry.class_)
            has = works.setdefault(agent.id, [])
            if not _there(agent, entry) or not total(has, weights, moment).fits(load, agent.capacity):
                continue
            del waiting[entry.id]
            made.append(_offer(entry, agent, queue, moment))
            has.append(made[-1].work)
        await _store(connection, tenant_id, made, queues, moment)
        changed = await connection.fetch(
            f"update queue_entries set state = 'offered', offers = offers + 1, version = version + 1"  # noqa: S608
            f" where tenant_id = $1 and id = any($2) returning {ENTRY}",
            tenant_id,
            [one.entry_id for one in made],
        )
        told_of += [told("queue.changed", entry_of(row), moment) for row in changed]
        told_of += [told("reservation.offered", one, moment) for one in made]
        await append(connection, told_of)
    return {one.entry_id for one in made}


def _there(agent: Agent, entry: QueueEntry) -> bool:
    return agent.state == "ready" and (entry.kind == "conversation" or bool(agent.session))


def _offer(entry: QueueEntry, agent: Agent, queue: Queue, moment: int) -> Reservation:
    written = entry.kind == "conversation"
    seconds = queue.settings.conversation_offer_s if written else queue.settings.offer_s
    return Reservation(
        id=new_id("rsv", at_us=moment),
        tenant_id=entry.tenant_id,
        agent_id=agent.id,
        kind="conversation" if written else "call",
        class_=entry.class_,
        queue_id=queue.id,
        queue_name=queue.name,
        entry_id=entry.id,
        node=entry.node,
        call_id=entry.call_id,
        leg=entry.leg,
        dial=entry.caller if entry.kind == "callback" else "",
        conversation_id=entry.conversation_id,
        contact_id=entry.contact_id,
        caller=entry.caller,
        caller_name=entry.caller_name,
        offered_us=moment,
        expires_us=moment + seconds * 1_000_000,
        waited_s=max(moment - entry.entered_us, 0) / 1e6,
    )


async def _store(
    connection: Connection,
    tenant_id: str,
    made: Sequence[Reservation],
    queues: Mapping[str, Queue],
    moment: int,
) -> None:
    rows = []
    for one in made:
        of = queues[one.queue_id].settings
        policy = {
            "wrap_up_s": of.wrap_up_s if one.kind == "call" else 0,
            "missed_reason": MISSED if of.after_missed == "not_ready" else "",
        }
        rows.append({**msgspec.to_builtins(one), **policy})
    await insert_rows(connection, "reservations", rows)
    await connection.execute(
        "update agents set offered_us = $3 where tenant_id = $1 and id = any($2)",
        tenant_id,
        sorted({one.agent_id for one in made}),
        moment,
    )
