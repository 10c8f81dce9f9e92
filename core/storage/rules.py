"""The rules and clocks of a tenant, entry by entry of its log: each is dealt with once, whoever does it.

A tenant's place (`automation_places`) is moved in the transaction that does what the entry asks for, and that transaction
holds the place's row. So a worker that dies leaves the place where it was and nothing done; two workers at once take turns,
and what one has done the other finds done. `rule_runs` and `sla_breaches` have keys that say the same again.

Lock order: place, conversation, log (`core.storage.acting`), as everybody else takes the last two.
"""

from typing import Any

import msgspec
from msgspec import Struct

from core.errors import IrisxError, PeerError
from core.ids import new_id
from core.model import automation, servicelevel
from core.model.automation import Rule
from core.model.content import SlaPolicy
from core.model.hours import ALWAYS, Schedule
from core.model.servicelevel import Breach, Clocks
from core.storage import acting, content
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.facts import read_situation
from core.storage.texts import json_text

BATCH = 100
"""Entries that are looked at under one reading of the rules."""
LATE_US = 1_000_000
"""How long after its end a clock is said to be broken: an answer of the last moment is in the log by then."""
DUE = 100

CLOCK_KINDS: dict[str, servicelevel.Kind] = {
    "message.received": "asked",
    "message.queued": "answered",
    "conversation.resolved": "resolved",
    "conversation.merged": "resolved",
    "conversation.reopened": "reopened",
}
"""What the clocks hear."""


class Book(Struct, frozen=True):
    """A tenant's rules (in their order), promises and hours."""

    rules: dict[str, Rule]
    policies: dict[str, SlaPolicy]
    schedules: dict[str, Schedule]

    @property
    def kinds(self) -> list[str]:
        """The entries that somebody here waits for."""
        found = {kind for rule in self.rules.values() for kind in rule.on}
        return sorted(found | (set(CLOCK_KINDS) if self.policies else set()))


class Entry(Struct, frozen=True):
    """An entry of the log, as far as it matters here."""

    seq: int
    id: str
    type: str
    at_us: int
    """When it was recorded: these times grow with the numbers."""
    conversation_id: str
    message_id: str
    actor: str
    clock: str
    """Of a breach."""
    automatic: bool = False
    """A machine wrote it, or it was a sign or a correction: nobody waits for an answer."""


class Progress(Struct, frozen=True):
    """What a round did."""

    more: bool
    ring: list[str]
    skipped: tuple[tuple[int, str], ...] = ()
    """Entries (with the code of what went wrong) that cannot be dealt with, so that nobody waits behind them."""


async def read_book(connection: Connection, tenant_id: str) -> Book:
    """Those that are enabled."""
    rules = await content.load_all(connection, tenant_id, "rule", Rule)
    policies = await content.load_all(connection, tenant_id, "sla_policy", SlaPolicy)
    schedules = await content.load_all(connection, tenant_id, "schedule", Schedule)
    ordered = sorted(rules.items(), key=lambda one: one[1].position)
    promised = sorted(policies.items(), key=lambda one: one[1].position)
    return Book(
        {key: rule for key, rule in ordered if rule.enabled},
        {key: policy for key, policy in promised if policy.enabled},
        schedules,
    )


async def tenants_to_do(db: Database, *, now_us: int, limit: int = 500) -> list[str]:
    """Those whose log goes on, or that have a clock that is over."""
    async with db.system() as connection:
        rows = await connection.fetch(
            "select tenant_id from automation_places p join log_heads h using (tenant_id) where h.head > p.seq"
            " union select distinct tenant_id from conversation_clocks where due_us > 0 and due_us < $1 limit $2",
            now_us - LATE_US,
            limit,
        )
    return [row["tenant_id"] for row in rows]


async def work(db: Database, tenant_id: str, *, now_us: int) -> Progress:
    """Deal with the next entries of a tenant, and with its clocks when there are no more."""
    async with db.reader(tenant_id) as connection:
        book = await read_book(connection, tenant_id)
        row = await connection.fetchrow(
            "select p.seq, h.head from automation_places p join log_heads h using (tenant_id) where p.tenant_id = $1",
            tenant_id,
        )
        if row is None:
            return Progress(more=False, ring=[])
        entries = await _read_entries(connection, tenant_id, row["seq"], row["head"], book.kinds)
    ring: list[str] = []
    skipped: list[tuple[int, str]] = []
    for entry in entries:
        try:
            async with db.tenant(tenant_id) as connection:
                turn = await _deal_with(connection, tenant_id, book, entry)
        except PeerError:
            raise
        except IrisxError as exc:
            skipped.append((entry.seq, exc.code))
            async with db.tenant(tenant_id) as connection:
                turn = await _pass_by(connection, tenant_id, entry.seq)
        if turn is None:
            return Progress(more=False, ring=ring, skipped=tuple(skipped))
        ring += turn
    if len(entries) == BATCH:
        return Progress(more=True, ring=ring, skipped=tuple(skipped))
    async with db.tenant(tenant_id) as connection:
        seq = await _take_place(connection, tenant_id)
        if seq is not None and seq < row["head"]:
            await _set_place(connection, tenant_id, row["head"])
    async with db.tenant(tenant_id) as connection:
        broke = await _look_at_clocks(connection, tenant_id, book, now_us)
    return Progress(more=broke, ring=ring, skipped=tuple(skipped))


async def _read_entries(
    connection: Connection, tenant_id: str, after: int, head: int, kinds: list[str]
) -> list[Entry]:
    rows = await connection.fetch(
        "select seq, id, type, resource, (extract(epoch from recorded_at) * 1000000)::bigint as at_us, body from events"
        " where tenant_id = $1 and seq > $2 and seq <= $3 and type = any($4) order by seq limit $5",
        tenant_id,
        after,
        head,
        kinds,
        BATCH,
    )
    return [entry_of(row) for row in rows]


def entry_of(row: Any) -> Entry:
    """An entry from its row: ``body`` is its JSON without the first brace."""
    data = msgspec.json.decode("{" + row["body"], type=dict[str, Any]).get("data") or {}
    message, conversation = data.get("message") or {}, data.get("conversation") or {}
    about = row["resource"] if row["resource"].startswith("conv_") else ""
    return Entry(
        seq=row["seq"],
        id=row["id"],
        type=row["type"],
        at_us=row["at_us"],
        conversation_id=str(about or message.get("conversation_id") or conversation.get("id") or ""),
        message_id=row["resource"] if row["resource"].startswith("msg_") else "",
        actor=str(data.get("actor") or ""),
        clock=str(data.get("clock") or ""),
        automatic=message.get("asks") is False,
    )


async def _take_place(connection: Connection, tenant_id: str) -> int | None:
    """How far the tenant is; None while somebody else holds the place."""
    seq: int | None = await connection.fetchval(
        "select seq from automation_places where tenant_id = $1 for update skip locked", tenant_id
    )
    return seq


async def _set_place(connection: Connection, tenant_id: str, seq: int) -> None:
    await connection.execute("update automation_places set seq = $2 where tenant_id = $1", tenant_id, seq)


async def _pass_by(connection: Connection, tenant_id: str, seq: int) -> list[str] | None:
    present = await _take_place(connection, tenant_id)
    if present is None:
        return None
    await _set_place(connection, tenant_id, max(present, seq))
    return []


async def _deal_with(connection: Connection, tenant_id: str, book: Book, entry: Entry) -> list[str] | None:
    """The accounts to ring; None when it is somebody else's turn."""
    seq = await _take_place(connection, tenant_id)
    if seq is None:
        return None
    if seq >= entry.seq:
        return []
    ring: list[str] = []
    await _set_place(connection, tenant_id, entry.seq)
    there = await connection.fetchrow(
        "select merged_into, (select author from messages m where m.tenant_id = $1 and m.id = $3) as author"
        " from conversations where tenant_id = $1 and id = $2 for update",
        tenant_id,
        entry.conversation_id,
        entry.message_id,
    )
    if there is None:
        return ring
    author = there["author"] or ""
    broken = await _advance(connection, tenant_id, book, entry, author)
    if there["merged_into"] is None and automation.may_trigger(entry.actor, "", author):
        for rule_id, rule in book.rules.items():
            if entry.type in rule.on:
                ring += await _run(connection, tenant_id, book, rule_id, rule, entry)
    await append(connection, broken)
    return ring


# -- rules


async def _run(
    connection: Connection, tenant_id: str, book: Book, rule_id: str, rule: Rule, entry: Entry
) -> list[str]:
    # Read for each rule: it sees what the one before it did.
    situation = await read_situation(
        connection, tenant_id, entry.conversation_id, message_id=entry.message_id, now_us=entry.at_us
    )
    facts = {
        **situation.facts,
        "event": entry.type,
        "clock": entry.clock,
        "automatic": entry.automatic,
    }
    if not automation.judge(rule, facts, book.schedules).applies:
        return []
    ran = await connection.fetchval(
        "select count(*) from rule_runs where tenant_id = $1 and conversation_id = $2 and at_us > $3"
        " and outcome in ('done', 'partly')",
        tenant_id,
        entry.conversation_id,
        entry.at_us - automation.HOUR_US,
    )
    ring: list[str] = []
    report: list[acting.Done] = []
    if ran >= automation.PER_HOUR:
        outcome = "limited"
    else:
        try:
            async with connection.transaction():
                # Machines are not answered by machines (RFC 3834, section 2).
                silent = [
                    one for one in rule.actions if entry.automatic and isinstance(one, automation.Reply)
                ]
                acted = await acting.act(
                    connection,
                    tenant_id,
                    entry.conversation_id,
                    [one for one in rule.actions if one not in silent],
                    actor=rule_id,
                    now_us=entry.at_us,
                    strict=False,
                    causation_id=entry.id,
                )
            told = "nobody waits for an answer: a machine wrote, or it was a sign or a correction"
            report = [*acted.done, *(acting.Done("reply", False, "automatic", told) for _ in silent)]
            ring = acted.ring
            good = sum(one.ok for one in report)
            outcome = "done" if good == len(report) else "partly" if good else "failed"
        except IrisxError as exc:
            outcome, report = "failed", [acting.Done("", ok=False, code=exc.code, detail=exc.detail)]
    await connection.execute(
        "insert into rule_runs (tenant_id, rule_id, seq, id, conversation_id, outcome, report, at_us)"
        " values ($1, $2, $3, $4, $5, $6, $7::json, $8) on conflict do nothing",
        tenant_id,
        rule_id,
        entry.seq,
        new_id("run", at_us=entry.at_us),
        entry.conversation_id,
        outcome,
        json_text(report),
        entry.at_us,
    )
    return ring


# -- clocks


async def _advance(
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
    clocks, broken = servicelevel.advance(clocks, kind, entry.at_us, policy.targets, schedule)
    await _write_clocks(connection, tenant_id, entry.conversation_id, policy_id, entry.seq, clocks)
    return await _write_breaches(connection, tenant_id, entry.conversation_id, policy_id, broken)


async def _promise(connection: Connection, tenant_id: str, book: Book, entry: Entry) -> str:
    """The policy of a conversation that has none yet; empty when none is for it."""
    if not book.policies:
        return ""
    situation = await read_situation(connection, tenant_id, entry.conversation_id, now_us=entry.at_us)
    for policy_id, policy in book.policies.items():
        if all(automation.holds(one, situation.facts, book.schedules) for one in policy.all):
            return policy_id
    return ""


async def _look_at_clocks(connection: Connection, tenant_id: str, book: Book, now_us: int) -> bool:
    """Break the clocks that are over, if everything that happened before has been dealt with; whether any broke."""
    seq = await _take_place(connection, tenant_id)
    head = await connection.fetchval("select head from log_heads where tenant_id = $1", tenant_id)
    if seq is None or seq < head:
        return False
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
