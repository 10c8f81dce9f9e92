"""The rules and clocks of a tenant, entry by entry of its log: each is dealt with once, whoever does it.

A tenant's place (`automation_places`) is moved in the transaction that does what the entry asks for, and that transaction
holds the place's row. So a worker that dies leaves the place where it was and nothing done; two workers at once take turns,
and what one has done the other finds done. `rule_runs` and `sla_breaches` have keys that say the same again.

Lock order: place, conversation, log (`core.storage.acting`), as everybody else takes the last two.
"""

from msgspec import Struct

from core.errors import IrisxError, PeerError
from core.ids import new_id
from core.model import automation
from core.model.automation import Rule
from core.storage import acting, clocks
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.facts import read_situation
from core.storage.rule_book import BATCH, Book, Entry, read_book, read_entries
from core.storage.texts import json_text


class Progress(Struct, frozen=True):
    """What a round did."""

    more: bool
    ring: list[str]
    skipped: tuple[tuple[int, str], ...] = ()
    """Entries (with the code of what went wrong) that cannot be dealt with, so that nobody waits behind them."""


async def tenants_to_do(db: Database, *, now_us: int, limit: int = 500) -> list[str]:
    """Those whose log goes on, or that have a clock that is over."""
    async with db.system() as connection:
        rows = await connection.fetch(
            "select tenant_id from automation_places p join log_heads h using (tenant_id) where h.head > p.seq"
            " union select distinct tenant_id from conversation_clocks where due_us > 0 and due_us < $1 limit $2",
            now_us - clocks.LATE_US,
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
        entries = await read_entries(connection, tenant_id, row["seq"], row["head"], book.kinds)
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
    broken = await clocks.advance(connection, tenant_id, book, entry, author)
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


async def _look_at_clocks(connection: Connection, tenant_id: str, book: Book, now_us: int) -> bool:
    """Break the clocks that are over, if everything that happened before has been dealt with; whether any broke."""
    seq = await _take_place(connection, tenant_id)
    head = await connection.fetchval("select head from log_heads where tenant_id = $1", tenant_id)
    if seq is None or seq < head:
        return False
    return await clocks.break_due(connection, tenant_id, book, now_us)
