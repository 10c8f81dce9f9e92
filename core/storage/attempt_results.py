"""What came of attempts to send: sent, again, over, or unknown; for many messages of a tenant in one transaction.

Each takes the message out of the outbox, or puts it back for another try, ends the attempt and teaches what was learned of
its carrier. What a receipt has told of a message meanwhile stays.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from core.ids import new_id
from core.model.routing import Decision
from core.storage import receipts
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.learning import Lesson, close_breakers, learn
from core.storage.outbox import Claimed, entry_of
from core.storage.texts import json_text, storable
from irisx_sdk.messages import Sent


class Nobody(Struct, frozen=True):
    """A decision that no carrier can take it."""

    decision: Decision
    kind: str


class Done(Struct, frozen=True, kw_only=True):
    """An attempt that the provider took."""

    one: Claimed
    number: int
    result: Sent
    lesson: Lesson | None = None


async def sent(db: Database, tenant_id: str, dones: Sequence[Done], *, channel_id: str, now_us: int) -> None:
    """The provider has them. Receipts that overtook this answer are applied. Writing the same again changes nothing."""
    of = {done.one.message_id: done for done in dones}
    ids = sorted(of)
    parts = [
        (message_id, storable(provider_id), number)
        for message_id in ids
        for number, provider_id in enumerate(dict.fromkeys(of[message_id].result.ids), start=1)
    ]
    async with db.keyed(tenant_id) as connection:
        # Whoever writes receipts takes these locks in the same order.
        await receipts.hold(connection, channel_id, [part[1] for part in parts])
        await connection.execute(
            "select from messages where tenant_id = $1 and id = any($2) order by id for update",
            tenant_id,
            ids,
        )
        first = {message_id: provider_id for message_id, provider_id, number in parts if number == 1}
        moved = await connection.fetch(
            "update messages m set state = case when m.state in ('queued', 'unknown') then w.state else m.state end,"
            " provider_id = w.provider_id, sent_us = case when m.sent_us = 0 then $3 else m.sent_us end,"
            " segments = w.segments, channel_id = $4, code = case when m.state in ('queued', 'unknown') then '' else m.code"
            " end, reason = case when m.state in ('queued', 'unknown') then '' else m.reason end, version = m.version + 1"
            " from unnest($2::text[], $5::text[], $6::text[], $7::int[]) w (id, state, provider_id, segments)"
            # (the array beside the join: their rows are found by the key, not among all of a tenant's)
            " where m.tenant_id = $1 and m.id = w.id and m.id = any($2::text[]) and m.provider_id = ''"
            " returning m.id, m.conversation_id, m.state, m.version",
            tenant_id,
            ids,
            now_us,
            channel_id,
            [of[one].result.state for one in ids],
            [first.get(one, "") for one in ids],
            [of[one].result.segments for one in ids],
        )
        await connection.execute(
            "insert into message_parts (tenant_id, channel_id, provider_id, message_id, part, state)"
            " select $1, $2, provider_id, id, part, state from unnest($3::text[], $4::text[], $5::int[], $6::text[])"
            " p (id, provider_id, part, state) on conflict do nothing",
            tenant_id,
            channel_id,
            [part[0] for part in parts],
            [part[1] for part in parts],
            [part[2] for part in parts],
            [of[part[0]].result.state for part in parts],
        )
        await _learn_context(connection, tenant_id, of, moved, channel_id)
        await connection.execute(
            "update attempts a set ended_us = $4, outcome = 'sent' from unnest($2::text[], $3::int[]) w (id, number)"
            " where a.tenant_id = $1 and a.message_id = w.id and a.message_id = any($2::text[]) and a.number = w.number",
            tenant_id,
            ids,
            [of[one].number for one in ids],
            now_us,
        )
        await connection.execute(
            "delete from outbox where tenant_id = $1 and message_id = any($2)", tenant_id, ids
        )
        fresh = {row["id"] for row in moved}
        lessons = [done.lesson for done in dones if done.lesson is not None and done.one.message_id in fresh]
        await learn(connection, tenant_id, lessons, now_us)
        if lessons:
            await close_breakers(connection, tenant_id, {one.carrier_id for one in lessons}, now_us)
        entries = [
            entry_of(
                tenant_id, f"message.{row['state']}", row["id"], row["conversation_id"], row["state"], now_us,
                row["version"],
            )
            for row in moved
        ]  # fmt: skip
        entries += await receipts.adopt(
            connection, tenant_id, channel_id, [part[1] for part in parts], now_us=now_us
        )
        await append(connection, entries)


async def _learn_context(
    connection: Connection, tenant_id: str, of: Mapping[str, Done], moved: Sequence[Any], channel_id: str
) -> None:
    """What the provider wants to be told next time; and a conversation that had no account yet has this one."""
    for row in moved:
        context = of[row["id"]].result.context
        if context:
            await connection.execute(
                "update conversations set context = context || $3::jsonb where tenant_id = $1 and id = $2",
                tenant_id,
                row["conversation_id"],
                json_text(context),
            )
    routed = sorted({row["conversation_id"] for row in moved if of[row["id"]].one.route})
    if routed:
        await connection.execute(
            "update conversations c set channel_id = $3 where tenant_id = $1 and id = any($2) and channel_id = ''"
            " and not exists (select from conversations o where o.tenant_id = c.tenant_id and o.channel_id = $3 and"
            " o.contact_id = c.contact_id and o.thread = c.thread and o.state <> 'resolved' and o.merged_into is null)",
            tenant_id,
            routed,
            channel_id,
        )


async def again(
    db: Database,
    one: Claimed,
    number: int,
    *,
    outcome: str,
    code: str,
    reason: str,
    due_us: int,
    now_us: int,
    tried: Sequence[str] = (),
    doubtful: bool = False,
    lesson: Lesson | None = None,
    claimed_by: str = "",
) -> None:
    """Certainly not sent: another try at ``due_us``. ``number`` is 0 when no attempt was begun (it has to wait).

    A routed message is free to go another way then, past the carriers in ``tried``. A ``doubtful`` one is not: its account
    may have it, and would recognise it. ``claimed_by`` keeps the row for its present owner.
    """
    async with db.tenant(one.tenant_id) as connection:
        await connection.execute(
            "update outbox set calling = false, claimed_by = $4, claimed_until_us = case when $4 = '' then 0 else"
            " claimed_until_us end, due_us = $3, tried = $5, doubtful = doubtful or $6, channel_id = case when route <> ''"
            " and not (doubtful or $6) then '' else channel_id end where tenant_id = $1 and message_id = $2",
            one.tenant_id,
            one.message_id,
            due_us,
            claimed_by,
            list(tried),
            doubtful,
        )
        await _end(connection, one, number, outcome, code=code, reason=reason, now_us=now_us)
        await learn(connection, one.tenant_id, [lesson] if lesson else [], now_us)


async def over(
    db: Database,
    one: Claimed,
    number: int,
    *,
    outcome: str,
    code: str,
    reason: str,
    now_us: int,
    lesson: Lesson | None = None,
    nobody: Nobody | None = None,
    lost: bool = False,
) -> None:
    """Certainly not sent by this attempt, and nobody will try again.

    If an earlier one had an outcome that nobody knows, so has the message, unless the provider has refused it since. When
    there is no other carrier for one that was ``lost``, what its carrier reported is what became of it.
    """
    state = "unknown" if one.doubtful and outcome != "refused" else "undelivered" if lost else "failed"
    said = ("", "") if lost else (code, reason)
    async with db.tenant(one.tenant_id) as connection:
        entries = await finish(connection, one.tenant_id, one.message_id, state, *said, now_us)
        await _end(connection, one, number, outcome, code=code, reason=reason, now_us=now_us)
        if nobody is not None:
            await connection.execute(
                "insert into routing_decisions (tenant_id, id, message_id, attempt, kind, prefix, segments, carrier_id,"
                " channel_id, explored, probe, candidates, decided_us)"
                " values ($1, $2, $3, 0, $4, '', 0, '', '', false, false, $5::json, $6)",
                one.tenant_id,
                new_id("rtd", at_us=now_us),
                one.message_id,
                nobody.kind,
                json_text(nobody.decision.skipped),
                now_us,
            )
        await learn(connection, one.tenant_id, [lesson] if lesson else [], now_us)
        await append(connection, entries)


async def unknown(
    db: Database,
    one: Claimed,
    number: int,
    *,
    code: str,
    reason: str,
    now_us: int,
    lesson: Lesson | None = None,
) -> None:
    """It may have been sent. The message says so until a receipt or a person tells more; what a receipt has told stays."""
    async with db.tenant(one.tenant_id) as connection:
        entries = await finish(connection, one.tenant_id, one.message_id, "unknown", code, reason, now_us)
        await _end(connection, one, number, "unknown", code=code, reason=reason, now_us=now_us)
        await learn(connection, one.tenant_id, [lesson] if lesson else [], now_us)
        await append(connection, entries)


async def finish(
    connection: Connection, tenant_id: str, message_id: str, state: str, code: str, reason: str, now_us: int
) -> list[NewEntry]:
    """Out of the outbox; the message moves on, unless a receipt has told more of it already."""
    row = await connection.fetchrow(
        # (without a code that which is there stays)
        "update messages set state = $3, code = case when $4 = '' then code else $4 end,"
        " reason = case when $4 = '' then reason else $5 end, version = version + 1 where tenant_id = $1 and id = $2"
        " and state = 'queued' returning conversation_id, version",
        tenant_id,
        message_id,
        state,
        storable(code),
        storable(reason),
    )
    await connection.execute(
        "delete from outbox where tenant_id = $1 and message_id = $2", tenant_id, message_id
    )
    if row is None:
        return []
    return [
        entry_of(
            tenant_id, f"message.{state}", message_id, row["conversation_id"], state, now_us, row["version"]
        )
    ]


async def _end(
    connection: Connection,
    one: Claimed,
    number: int,
    outcome: str,
    *,
    code: str = "",
    reason: str = "",
    now_us: int,
) -> None:
    if number:
        await connection.execute(
            "update attempts set ended_us = $4, outcome = $5, code = $6, reason = $7"
            " where tenant_id = $1 and message_id = $2 and number = $3",
            one.tenant_id,
            one.message_id,
            number,
            now_us,
            outcome,
            storable(code),
            storable(reason),
        )
