"""Calls in the store: writing what happened to them, and reading them back.

`write_changes` is the hot path of the whole program. One call of it is one statement, and so one transaction and
one round trip: the fencing token is checked, the newest document of each call and the records of what ended are
put in place, and the changes get their numbers in the log (`core.storage.schema.functions`).

It may be repeated: an entry's id follows from its change, an older version of a call never replaces a newer one,
a record is written once. So a caller that does not know whether a write arrived writes again.

Reading for the API gives JSON as Postgres keeps it: nothing is decoded on the way.
"""

from collections.abc import Iterable, Sequence

import msgspec

from core.clock import now_us
from core.model.entries import LogEntry
from core.model.records import Call, Change
from core.storage.batch import WRITE, Batch
from core.storage.database import SYSTEM, Database, show_later
from core.storage.entries import NewEntry
from core.storage.errors import FenceLost
from core.storage.listing import Asked, Listing, Page, list_json

__all__ = [
    "CALLS",
    "FenceLost",
    "calls_for_takeover",
    "calls_of_agent",
    "get_call_json",
    "get_calls_json",
    "list_calls_json",
    "node_of_call",
    "open_calls",
    "prune_calls",
    "write_changes",
]

_call = msgspec.json.Decoder(Call).decode

CALLS = Listing(
    "calls",
    place="created_us",
    columns="id node state direction caller destination hangup_cause created_us answered_us ended_us",
)
PRUNE_CHUNK = 1000
NEVER_US = 2**62


async def write_changes(
    db: Database,
    *,
    node: str,
    fence: int,
    changes: Sequence[Change],
    events_extra: Iterable[NewEntry] = (),
) -> dict[str, list[LogEntry]]:
    """Store what happened to the calls of a switch; the numbered entries by tenant, as they are shown.

    Raises `FenceLost` when ``fence`` is not the newest token drawn for ``node``: nothing was written. Raises
    `core.errors.PeerError` when the store failed: then it may or may not be written, and writing it again is safe.
    """
    batch = Batch(node)
    for change in changes:
        batch.add(change)
    for entry in events_extra:
        batch.entries.add(entry)
    if not batch.entries.ids:
        return {}
    async with db.reader(SYSTEM) as connection:
        row = await connection.fetchrow(WRITE, node, fence, *batch.arguments())
        written = batch.entries.numbered(row["seqs"], row["recorded"])
        show_later(connection, written)
    return written


async def open_calls(db: Database, node: str) -> list[Call]:
    """The live calls of a switch as the store knows them, oldest first."""
    return await calls_for_takeover(db, node, NEVER_US)


async def calls_for_takeover(db: Database, node: str, ended_since_us: int) -> list[Call]:
    """The live calls of a switch and those that ended after ``ended_since_us`` of its clock, oldest first.

    An heir needs the latter to know late events of them for what they are.
    """
    async with db.reader(SYSTEM) as connection:
        rows = await connection.fetch(
            "select doc::text as doc from calls where node = $1 and live"
            " union all select doc::text from calls where node = $1 and not live and ended_us > $2",
            node,
            ended_since_us,
        )
    return sorted((_call(row["doc"]) for row in rows), key=_age)


def _age(call: Call) -> tuple[int, str]:
    return call.created_us, call.id


async def get_call_json(db: Database, tenant_id: str, call_id: str) -> bytes | None:
    """A call's document, None when this tenant has no such call."""
    async with db.reader(tenant_id) as connection:
        body: bytes | None = await connection.fetchval(
            "select convert_to(doc::text, 'UTF8') from calls where tenant_id = $1 and id = $2",
            tenant_id,
            call_id,
        )
    return body


async def get_calls_json(db: Database, tenant_id: str, call_ids: Sequence[str]) -> dict[str, bytes]:
    """The documents of those of ``call_ids`` that this tenant has, in one round trip for all of them."""
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            "select id, convert_to(doc::text, 'UTF8') as doc from calls where tenant_id = $1 and id = any($2)",
            tenant_id,
            call_ids,
        )
    return {row["id"]: row["doc"] for row in rows}


async def calls_of_agent(db: Database, tenant_id: str, agent_id: str) -> list[Call]:
    """The live calls in which this agent has, or had, a leg; the oldest first."""
    async with db.reader(tenant_id) as connection:
        # A search in the text: the documents are not made to be taken apart for each of thousands of agents.
        rows = await connection.fetch(
            "select doc::text as doc from calls where tenant_id = $1 and live and strpos(doc::text, $2) > 0",
            tenant_id,
            f'"{agent_id}"',
        )
    found = [_call(row["doc"]) for row in rows]
    return sorted((call for call in found if any(leg.agent == agent_id for leg in call.legs)), key=_age)


async def node_of_call(db: Database, tenant_id: str, call_id: str) -> tuple[str, bool] | None:
    """(the switch of a call, whether it is live), None when this tenant has no such call."""
    async with db.reader(tenant_id) as connection:
        row = await connection.fetchrow(
            "select node, live from calls where tenant_id = $1 and id = $2", tenant_id, call_id
        )
    return (row["node"], row["live"]) if row else None


async def list_calls_json(
    db: Database,
    tenant_id: str,
    *,
    live: bool | None = None,
    conditions: Iterable[Asked] = (),
    limit: int = 50,
    after: tuple[int, str] | None = None,
) -> Page:
    """Calls, newest first: only live ones, only ended ones, or both (None)."""
    only = {None: "", True: " and live", False: " and not live"}[live]
    return await list_json(db, tenant_id, CALLS, conditions, limit=limit, after=after, only=only)


async def prune_calls(db: Database, days: int) -> int:
    """Forget the documents of calls that ended more than ``days`` ago; how many. Their CDRs stay."""
    before = now_us() - days * 86_400_000_000
    gone = 0
    while True:
        async with db.system() as connection:
            done: str = await connection.execute(
                "delete from calls where (tenant_id, id) in (select tenant_id, id from calls"
                " where not live and ended_us < $1 and created_us < $1 limit $2)",
                before,
                PRUNE_CHUNK,
            )
        count = int(done.split()[-1])
        gone += count
        if count < PRUNE_CHUNK:
            return gone
