"""The clocks of conversations as they are stored: begun by a promise, moved by entries of the log, broken once.

Called by `core.storage.rules` while it holds the tenant's place, so nobody else touches them meanwhile.
"""

from typing import Any

import msgspec

from core.errors import NotFound
from core.ids import new_id
from core.model import automation, servicelevel
from core.model.hours import ALWAYS
from core.model.servicelevel import Breach, Clocks
from core.storage.appending import append
from core.storage.database import Connection
from core.storage.entries import NewEntry
from core.storage.facts import read_situation
from core.storage.rule_book import CLOCK_KINDS, Book, Entry

LATE_US = 1_000_000
"""How long after its end a clock is said to be broken: an answer of the last moment is in the log by then."""
DUE = 100


async def advance(
    connection: Connection, tenant_id: str, book: Book, entry: Entry, author: str
) -> list[NewEntry]:
    """Move the conversation's clocks by an entry; what to tell of those that broke."""
    kind = CLOCK_KINDS.get(entry.type)
    if kind is None or (kind == "asked" and entry.automatic):
        return []
    if kind == "answered" and (not author or author.startswith(automation.RULE_PREFIX)):
        # What a rule wrote is no answer, nor what nobody did (the confirmation of a stop).
        return []
    row = await connection.fetchrow(
        "select * from conversation_clocks where tenant_id = $1 and conversation_id = $2",
        tenant_id,
        entry.conversation_id,
    )
    if row is not None and row["policy_id"] in book.policies:
        policy_id, clocks = row["policy_id"], _clocks_of(row)
    elif kind == "asked":
        policy_id = await _promise(connection, tenant_id, book, entry)
        if not policy_id:
            return []
        clocks = Clocks()
    else:
        return []
    policy = book.policies[policy_id]
    schedule = book.schedules.get(policy.schedule_id, ALWAYS)
    before = clocks
    clocks, broken = servicelevel.advance(clocks, kind, entry.at_us, policy.targets, schedule)
    await _write_clocks(connection, tenant_id, entry.conversation_id, policy_id, entry.seq, clocks)
    if entry.merged_into:
        gone = msgspec.structs.replace(before, breached=clocks.breached)
        await _hand_over(connection, tenant_id, book, entry, policy_id, gone)
    return await _write_breaches(connection, tenant_id, entry.conversation_id, policy_id, broken)


async def _hand_over(
    connection: Connection, tenant_id: str, book: Book, entry: Entry, policy_id: str, gone: Clocks
) -> None:
    """The conversation that was kept answers for what was promised in the one that went."""
    row = await connection.fetchrow(
        "select * from conversation_clocks where tenant_id = $1 and conversation_id = $2",
        tenant_id,
        entry.merged_into,
    )
    kept = Clocks()
    if row is not None and row["policy_id"] in book.policies:
        policy_id, kept = row["policy_id"], _clocks_of(row)
    await _write_clocks(
        connection, tenant_id, entry.merged_into, policy_id, entry.seq, servicelevel.joined(kept, gone)
    )


async def _promise(connection: Connection, tenant_id: str, book: Book, entry: Entry) -> str:
    """The policy of a conversation that has none yet; empty when none is for it."""
    if not book.policies:
        return ""
    try:
        situation = await read_situation(connection, tenant_id, entry.conversation_id, now_us=entry.at_us)
    except NotFound:  # part of another one by now, which answers for it
        return ""
    for policy_id, policy in book.policies.items():
        if all(automation.holds(one, situation.facts, book.schedules) for one in policy.all):
            return policy_id
    return ""


async def break_due(connection: Connection, tenant_id: str, book: Book, now_us: int) -> bool:
    """Break the clocks that are over; whether any broke.

    The caller has seen to it that everything in the log has been dealt with: an answer may be among it.
    """
    at_us = now_us - LATE_US
    rows = await connection.fetch(
        "select * from conversation_clocks where tenant_id = $1 and due_us > 0 and due_us < $2 order by due_us limit $3",
        tenant_id,
        at_us,
        DUE,
    )
    told: list[NewEntry] = []
    for row in rows:
        policy = book.policies.get(row["policy_id"])
        if policy is None:
            # The promise was taken back.
            await connection.execute(
                "delete from conversation_clocks where tenant_id = $1 and conversation_id = $2",
                tenant_id,
                row["conversation_id"],
            )
            continue
        schedule = book.schedules.get(policy.schedule_id, ALWAYS)
        clocks, broken = servicelevel.advance(_clocks_of(row), "passed", at_us, policy.targets, schedule)
        where = (connection, tenant_id, row["conversation_id"], row["policy_id"])
        await _write_clocks(*where, row["seq"], clocks)
        told += await _write_breaches(*where, broken)
    await append(connection, told)
    return bool(rows)


def _clocks_of(row: Any) -> Clocks:
    members = {f"{name}_due_us": row[f"{name}_due_us"] for name in servicelevel.CLOCKS}
    return Clocks(**members, breached=tuple(row["breached"]), answered=row["answered"])


async def _write_clocks(
    connection: Connection, tenant_id: str, conversation_id: str, policy_id: str, seq: int, clocks: Clocks
) -> None:
    await connection.execute(
        "insert into conversation_clocks as k (tenant_id, conversation_id, policy_id, seq, first_reply_due_us,"
        " next_reply_due_us, resolution_due_us, breached, answered, due_us) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
        " on conflict (tenant_id, conversation_id) do update set policy_id = excluded.policy_id, seq = excluded.seq,"
        " first_reply_due_us = excluded.first_reply_due_us, next_reply_due_us = excluded.next_reply_due_us,"
        " resolution_due_us = excluded.resolution_due_us, breached = excluded.breached, answered = excluded.answered,"
        " due_us = excluded.due_us",
        tenant_id,
        conversation_id,
        policy_id,
        seq,
        clocks.first_reply_due_us,
        clocks.next_reply_due_us,
        clocks.resolution_due_us,
        list(clocks.breached),
        clocks.answered,
        clocks.due_us,
    )


async def _write_breaches(
    connection: Connection, tenant_id: str, conversation_id: str, policy_id: str, broken: list[Breach]
) -> list[NewEntry]:
    told: list[NewEntry] = []
    for one in broken:
        breach_id = await connection.fetchval(
            "insert into sla_breaches (tenant_id, id, conversation_id, policy_id, clock, due_us, at_us)"
            " values ($1, $2, $3, $4, $5, $6, $7) on conflict (tenant_id, conversation_id, clock, due_us) do nothing"
            " returning id",
            tenant_id,
            new_id("brc", at_us=one.at_us),
            conversation_id,
            policy_id,
            one.clock,
            one.due_us,
            one.at_us,
        )
        if breach_id is not None:
            data = {
                "conversation": {"id": conversation_id},
                "breach": breach_id,
                "policy": policy_id,
                "clock": one.clock,
                "due_us": one.due_us,
            }
            told.append(
                NewEntry(
                    tenant_id=tenant_id,
                    type="sla.breached",
                    resource=conversation_id,
                    data=msgspec.json.encode(data),
                    occurred_us=one.at_us,
                )
            )
    return told
