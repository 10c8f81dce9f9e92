"""What the numbered log means for queues: every tenant's log is read once, from a stored place.

A parked call whose number leads somewhere waits in a queue from then on; calls that end are abandoned, or the end of a talk;
conversations that somebody waits in come and go. The place (`queue_places`) is moved in the transaction that does what the
entries ask for, so each is done once, whoever reads them.

Lock order: place, then as in `queue_rows`.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from core.logs import get_logger
from core.model.records import Call, Leg
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.queue_arrivals import Arriving, arrive, wants_callback
from core.storage.queue_endings import call_over, call_renamed, legs_over
from core.storage.queue_rows import begin_place, now_of, queue_of
from core.storage.queue_talks import look_at_conversations, takes_conversations

LOG = get_logger("queues")

SCAN = 2_000
"""Entries that are passed in one transaction at most."""
CALLS = ("call.parked", "call.answered", "call.dtmf", "call.leg_ended", "call.merged", "call.ended")
CONVERSATIONS = (
    "conversation.created",
    "conversation.updated",
    "conversation.assigned",
    "conversation.reopened",
    "conversation.resolved",
    "conversation.snoozed",
    "conversation.transferred",
    "conversation.merged",
)


class Goodbye(Struct, frozen=True):
    """A call that is to be ended once the change is stored: its caller will be called back, or was sent away."""

    node: str
    call_id: str
    tenant_id: str
    sound: str = ""


class Read(Struct, frozen=True):
    """What came of a round."""

    more: bool
    goodbyes: Sequence[Goodbye] = ()


class _Data(Struct):
    call: Call
    leg: str = ""
    into: str = ""


class _Body(Struct):
    data: _Data


_bodies = msgspec.json.Decoder(_Body)


async def tenants_with_queues(db: Database) -> list[str]:
    """Those for whom there is anything to decide."""
    async with db.system() as connection:
        rows = await connection.fetch(
            "select tenant_id from queues where deleted_us = 0 union select tenant_id from agents where deleted_us = 0"
        )
    return [row["tenant_id"] for row in rows]


async def work(db: Database, tenant_id: str) -> Read:
    """Deal with the next entries of a tenant's log. Raises the store's errors."""
    async with db.tenant(tenant_id) as connection:
        await begin_place(connection, tenant_id)
        seq = await connection.fetchval(
            "select seq from queue_places where tenant_id = $1 for update skip locked", tenant_id
        )
        if seq is None:
            return Read(False)  # another keeper is at it
        head = await connection.fetchval("select head from log_heads where tenant_id = $1", tenant_id)
        if head is None or head <= seq:
            return Read(False)
        up_to = min(head, seq + SCAN)
        rows = await connection.fetch(
            "select type, resource, body from events where tenant_id = $1 and seq > $2 and seq <= $3"
            " and type = any($4) order by seq",
            tenant_id,
            seq,
            up_to,
            [*CALLS, *CONVERSATIONS],
        )
        goodbyes: list[Goodbye] = []
        entries: list[NewEntry] = []
        if rows:
            calls = [(row["type"], row["body"]) for row in rows if row["type"].startswith("call.")]
            talks = [row["resource"] for row in rows if row["type"].startswith("conversation.")]
            goodbyes = await _calls(connection, tenant_id, calls, entries)
            await _talks(connection, tenant_id, talks, entries)
        await connection.execute("update queue_places set seq = $2 where tenant_id = $1", tenant_id, up_to)
        await append(connection, entries)
    return Read(up_to < head, goodbyes)


async def _calls(
    connection: Connection, tenant_id: str, told: Sequence[tuple[str, str]], entries: list[NewEntry]
) -> list[Goodbye]:
    """One after the other: what the first does, the next finds done."""
    goodbyes: list[Goodbye] = []
    arriving = Arriving(connection, tenant_id)
    for kind, body in told:
        try:
            data = _bodies.decode("{" + body).data
        except msgspec.MsgspecError as exc:
            LOG.error("an entry about a call has no call in it", error=str(exc)[:200])
            continue
        moment = await now_of(connection)
        call = data.call
        if kind == "call.parked":
            leg = _caller(call, data.leg)
            if leg is not None:
                sent_away = await arrive(arriving, call, leg, moment, entries)
                if sent_away is not None:
                    goodbyes.append(Goodbye(call.node, call.id, tenant_id, sent_away))
        elif kind == "call.answered":
            await connection.execute(
                "update queue_entries set answered_call = true where tenant_id = $1 and call_id = $2 and leg = $3"
                " and state in ('waiting', 'offered')",
                tenant_id,
                call.id,
                data.leg,
            )
        elif kind == "call.dtmf":
            if await wants_callback(connection, tenant_id, call, data.leg, moment, entries):
                goodbyes.append(Goodbye(call.node, call.id, tenant_id))
        elif kind == "call.leg_ended":
            await legs_over(connection, tenant_id, call, [data.leg], moment, entries)
        elif kind == "call.merged":
            await call_renamed(connection, tenant_id, call.id, data.into or call.merged_into)
        else:
            await call_over(connection, tenant_id, call, moment, entries)
    return goodbyes


def _caller(call: Call, leg_id: str) -> Leg | None:
    """The leg of a caller who is parked and alone; None for a call that is something else, or over."""
    if call.direction != "inbound" or not call.live:
        return None
    alive = [leg for leg in call.legs if leg.state != "ended"]
    if len(alive) != 1 or alive[0].uuid != leg_id or alive[0].direction != "inbound":
        return None
    return alive[0]


async def _talks(connection: Connection, tenant_id: str, ids: Sequence[str], entries: list[NewEntry]) -> None:
    if not ids:
        return
    rows = await connection.fetch(
        "select id, tenant_id, name, settings, version, created_us, updated_us, deleted_us from queues"
        " where tenant_id = $1 and deleted_us = 0 order by created_us, id",
        tenant_id,
    )
    queues = [queue for row in rows if takes_conversations(queue := queue_of(row))]
    await look_at_conversations(connection, tenant_id, sorted(set(ids)), queues, entries)
