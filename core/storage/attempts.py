"""Attempts to send, and what came of them, for many messages of a tenant in one transaction.

`begin` is the only way to a provider: it asks `core.model.policy.decide` about every message, in the transaction that
marks it as being called, with what the receiver has said up to this moment. Each answer is kept. After it the provider
may have the message, whatever happens to us; `sent`, `again`, `over` or `unknown` writes what came of it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from core.ids import new_id
from core.model.policy import Answer
from core.model.routing import Candidate, Decision
from core.storage import outbox, receipts
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.learning import Lesson, close_breakers, learn, money
from core.storage.outbox import Claimed, entry_of
from core.storage.sending import Facts, read_facts
from core.storage.texts import json_text, storable
from irisx_sdk.messages import Sent


class Route(Struct, frozen=True, kw_only=True):
    """Why this carrier: the whole decision."""

    decision: Decision
    chosen: Candidate
    kind: str
    digits: str
    segments: int


class Nobody(Struct, frozen=True):
    """A decision that no carrier can take it."""

    decision: Decision
    kind: str


class Start(Struct, frozen=True, kw_only=True):
    """An attempt that is about to be made."""

    one: Claimed
    why: Mapping[str, object] = {}
    """What else decided that it is made so, for people."""
    carrier_id: str = ""
    cost: float = 0.0
    route: Route | None = None


class Started(Struct, frozen=True):
    """What became of a `Start`. Only ``send`` may go to the provider."""

    verdict: Literal["send", "wait", "refuse", "gone"]
    number: int = 0
    first_us: int = 0
    """When this account was called for this message first."""


GONE = Started("gone")
Judge = Callable[[str, Facts], Answer]


async def begin(
    db: Database,
    tenant_id: str,
    owner: str,
    starts: Sequence[Start],
    judge: Judge,
    *,
    channel_id: str,
    channel: str,
    now_us: int,
) -> list[Started]:
    """Decide about each, and mark those that may go as being called through ``channel_id``.

    ``judge(message_id, facts)`` puts the facts to `core.model.policy.decide`. Messages that are not ``owner``'s any more
    (taken back, looked after by somebody else) are ``gone``. Raises the store's errors: then nothing has begun.
    """
    wanted = {start.one.message_id: start for start in starts}
    async with db.keyed(tenant_id) as connection:
        facts = await read_facts(connection, tenant_id, sorted(wanted), owner)
        answers = {message_id: judge(message_id, one) for message_id, one in facts.items()}
        going = [one for one in facts if answers[one].verdict == "send"]
        begun = await _mark(connection, tenant_id, going, channel_id, now_us)
        found = {one: Started("send", row["attempts"], row["first_us"]) for one, row in begun.items()}
        entries: list[NewEntry] = []
        for message_id, answer in answers.items():
            if answer.verdict == "wait":
                await _wait(connection, tenant_id, message_id, answer.until_us)
                found[message_id] = Started("wait")
            elif answer.verdict == "refuse":
                number = facts[message_id].attempts + 1
                found[message_id] = Started("refuse", number)
                entries += await _refuse(connection, tenant_id, message_id, answer, now_us)
        tried = [one for one in facts if found[one].verdict != "wait"]
        await _insert_attempts(
            connection, tenant_id, [(wanted[one], found[one], answers[one]) for one in tried],
            channel_id, channel, now_us,
        )  # fmt: skip
        await _keep_answers(connection, tenant_id, facts, answers, channel, now_us)
        await _keep_routes(
            connection, tenant_id, [(wanted[one], found[one]) for one in going], channel_id, now_us
        )
        await append(connection, entries)
    return [found.get(start.one.message_id, GONE) for start in starts]


async def _mark(
    connection: Connection, tenant_id: str, ids: Sequence[str], channel_id: str, now_us: int
) -> dict[str, Any]:
    if not ids:
        return {}
    rows = await connection.fetch(
        "update outbox set calling = true, attempts = attempts + 1, claimed_until_us = $4,"
        " first_us = case when channel_id = $3 and first_us > 0 then first_us else $5 end, channel_id = $3"
        " where tenant_id = $1 and message_id = any($2) returning message_id, attempts, first_us",
        tenant_id,
        list(ids),
        channel_id,
        now_us + outbox.CLAIM_S * 1_000_000,
        now_us,
    )
    return {row["message_id"]: row for row in rows}


async def _wait(connection: Connection, tenant_id: str, message_id: str, until_us: int) -> None:
    await connection.execute(
        "update outbox set claimed_by = '', claimed_until_us = 0, due_us = $3 where tenant_id = $1 and message_id = $2",
        tenant_id,
        message_id,
        until_us,
    )


async def _refuse(
    connection: Connection, tenant_id: str, message_id: str, answer: Answer, now_us: int
) -> list[NewEntry]:
    return await _finish(connection, tenant_id, message_id, "failed", answer.code, answer.detail, now_us)


async def _insert_attempts(
    connection: Connection,
    tenant_id: str,
    rows: Sequence[tuple[Start, Started, Answer]],
    channel_id: str,
    channel: str,
    now_us: int,
) -> None:
    if not rows:
        return
    decisions = [
        json_text(
            {"policy": {"verdict": answer.verdict, "code": answer.code}, "channel": channel, **start.why}
        )
        for start, _, answer in rows
    ]
    refused = [answer.verdict == "refuse" for _, _, answer in rows]
    await connection.execute(
        "insert into attempts (tenant_id, message_id, number, channel_id, carrier_id, cost, started_us, ended_us, outcome,"
        " code, reason, decision) select $1, id, number, $2, carrier_id, cost, $3::bigint, case when over then $3::bigint else 0 end,"
        " case when over then code else '' end, case when over then code else '' end,"
        " case when over then reason else '' end, decision::json from unnest($4::text[], $5::int[], $6::text[],"
        " $7::numeric[], $8::bool[], $9::text[], $10::text[], $11::text[])"
        " w (id, number, carrier_id, cost, over, code, reason, decision)",
        tenant_id,
        channel_id,
        now_us,
        [start.one.message_id for start, _, _ in rows],
        [started.number for _, started, _ in rows],
        [start.carrier_id for start, _, _ in rows],
        [money(start.cost) for start, _, _ in rows],
        refused,
        [answer.code for _, _, answer in rows],
        [answer.detail for _, _, answer in rows],
        decisions,
    )


async def _keep_answers(
    connection: Connection,
    tenant_id: str,
    facts: Mapping[str, Facts],
    answers: Mapping[str, Answer],
    channel: str,
    now_us: int,
) -> None:
    if not facts:
        return
    ids = list(facts)
    await connection.execute(
        "insert into contact_decisions (tenant_id, id, message_id, contact_id, channel, purpose, verdict, code, detail,"
        " until_us, decided_us) select $1, id, message_id, contact_id, $2, purpose, verdict, code, detail, until_us, $3"
        " from unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::bigint[])"
        " w (id, message_id, contact_id, purpose, verdict, code, detail, until_us)",
        tenant_id,
        channel,
        now_us,
        [new_id("dec", at_us=now_us) for _ in ids],
        ids,
        [facts[one].contact_id for one in ids],
        [facts[one].purpose for one in ids],
        [answers[one].verdict for one in ids],
        [answers[one].code for one in ids],
        [answers[one].detail for one in ids],
        [answers[one].until_us for one in ids],
    )


async def _keep_routes(
    connection: Connection,
    tenant_id: str,
    rows: Sequence[tuple[Start, Started]],
    channel_id: str,
    now_us: int,
) -> None:
    routed = [(start, started, start.route) for start, started in rows if start.route is not None]
    if not routed:
        return
    await connection.execute(
        "insert into routing_decisions (tenant_id, id, message_id, attempt, kind, prefix, segments, carrier_id, channel_id,"
        " explored, probe, candidates, decided_us) select $1, id, message_id, attempt, kind, prefix, segments, carrier_id,"
        " $2, explored, probe, candidates::json, $3 from unnest($4::text[], $5::text[], $6::int[], $7::text[], $8::text[],"
        " $9::int[], $10::text[], $11::bool[], $12::bool[], $13::text[]) w (id, message_id, attempt, kind, prefix,"
        " segments, carrier_id, explored, probe, candidates)",
        tenant_id,
        channel_id,
        now_us,
        [new_id("rtd", at_us=now_us) for _ in routed],
        [start.one.message_id for start, _, _ in routed],
        [started.number for _, started, _ in routed],
        [route.kind for _, _, route in routed],
        [route.digits[:6] for _, _, route in routed],
        [route.segments for _, _, route in routed],
        [route.chosen.carrier_id for _, _, route in routed],
        [route.decision.explored for _, _, route in routed],
        [route.chosen.probe for _, _, route in routed],
        [json_text([*route.decision.order, *route.decision.skipped]) for _, _, route in routed],
    )


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
        entries = await _finish(connection, one.tenant_id, one.message_id, state, *said, now_us)
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
        entries = await _finish(connection, one.tenant_id, one.message_id, "unknown", code, reason, now_us)
        await _end(connection, one, number, "unknown", code=code, reason=reason, now_us=now_us)
        await learn(connection, one.tenant_id, [lesson] if lesson else [], now_us)
        await append(connection, entries)


async def _finish(
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
