"""What rules did, what one would do, and which promises were broken: for reading only."""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from core.model import automation
from core.model.automation import Rule
from core.model.hours import Schedule
from core.storage import content
from core.storage.database import Database
from core.storage.facts import read_situation
from core.storage.listing import Asked, Listing, Page, list_json

RUNS = Listing(
    "rule_runs",
    place="at_us",
    columns="rule_id conversation_id outcome at_us",
    document="json_build_object('id', id, 'seq', seq, 'conversation_id', conversation_id, 'outcome', outcome,"
    " 'report', report, 'at_us', at_us)::text",
)
BREACHES = Listing(
    "sla_breaches",
    place="at_us",
    columns="conversation_id policy_id clock due_us at_us",
    document="json_build_object('id', id, 'conversation_id', conversation_id, 'policy_id', policy_id, 'clock', clock,"
    " 'due_us', due_us, 'at_us', at_us)::text",
)


class Trial(Struct, frozen=True):
    """What a rule would have done."""

    looked_at: int
    applies: int
    would: list[str]
    """Its actions, for each conversation in ``found``."""
    found: list["Found"]


class Found(Struct, frozen=True):
    """A conversation to which it applies. ``all`` and ``any`` say what each condition said."""

    conversation_id: str
    all: tuple[bool, ...]
    any: tuple[bool, ...]


class _Is(Struct, frozen=True):
    field: str
    value: object
    op: str = "eq"


async def list_runs(
    db: Database,
    tenant_id: str,
    rule_id: str,
    conditions: Iterable[Asked],
    *,
    limit: int,
    after: tuple[int, str] | None,
) -> Page:
    """Newest first. Raises `NotFound` for a rule that is not there."""
    await content.get_content(db, tenant_id, "rule", rule_id)
    asked = [*conditions, _Is("rule_id", rule_id)]
    return await list_json(db, tenant_id, RUNS, asked, limit=limit, after=after)


async def list_breaches(
    db: Database,
    tenant_id: str,
    conditions: Iterable[Asked],
    *,
    limit: int,
    after: tuple[int, str] | None,
) -> Page:
    """Newest first."""
    return await list_json(db, tenant_id, BREACHES, conditions, limit=limit, after=after)


async def schedule_ids(db: Database, tenant_id: str) -> list[str]:
    """The schedules there are."""
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            "select id from content where tenant_id = $1 and kind = 'schedule'", tenant_id
        )
    return [row["id"] for row in rows]


async def try_out(db: Database, tenant_id: str, rule_id: str, *, last: int, now_us: int) -> Trial:
    """Ask a rule about the ``last`` conversations as they are now. Raises `NotFound`.

    The event is the first of those that it waits for, and the message the last one of the other side.
    """
    found: list[Found] = []
    async with db.reader(tenant_id) as connection:
        rule = await content.load(connection, tenant_id, "rule", rule_id, Rule)
        schedules = await content.load_all(connection, tenant_id, "schedule", Schedule)
        rows = await connection.fetch(
            "select id, last_message_us from conversations where tenant_id = $1 and merged_into is null"
            " order by last_message_us desc, id desc limit $2",
            tenant_id,
            last,
        )
        for row in rows:
            situation = await read_situation(
                connection, tenant_id, row["id"], now_us=row["last_message_us"] or now_us
            )
            verdict = automation.judge(rule, {**situation.facts, "event": rule.on[0]}, schedules)
            if verdict.applies:
                found.append(Found(row["id"], verdict.all, verdict.any))
    would = [str(msgspec.to_builtins(one)["do"]) for one in rule.actions]
    return Trial(len(rows), len(found), would, found)
