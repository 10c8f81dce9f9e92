"""Attempts to send, begun for many messages of a tenant in one transaction.

`begin` is the only way to a provider: it asks `core.model.policy.decide` about every message, in the transaction that
marks it as being called, with what the receiver has said up to this moment. Each answer is kept. After it the provider
may have the message, whatever happens to us; `core.storage.attempt_results` writes what came of it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from core.ids import new_id
from core.model.policy import Answer
from core.model.routing import Candidate, Decision
from core.storage import outbox
from core.storage.appending import append
from core.storage.attempt_results import finish
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.learning import money
from core.storage.outbox import Claimed
from core.storage.sending import Facts, read_facts
from core.storage.texts import json_text


class Route(Struct, frozen=True, kw_only=True):
    """Why this carrier: the whole decision."""

    decision: Decision
    chosen: Candidate
    kind: str
    digits: str
    segments: int


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
    return await finish(connection, tenant_id, message_id, "failed", answer.code, answer.detail, now_us)


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
