"""The numbered log: every change that anybody may want to follow, numbered without gaps for each tenant.

A reader remembers the last number it has seen and asks for what comes after; when that is older than `bounds`
says is kept, it re-reads the things themselves and goes on from the head. Numbers are given inside the
transaction that makes the change (`core.storage.schema.functions`), so a number that can be read is a fact.

asyncio.
"""

from collections.abc import Sequence
from datetime import timedelta

from core.model.entries import LogEntry
from core.storage.appending import append
from core.storage.database import SYSTEM, Database
from core.storage.entries import READ_BODY, NewEntry

__all__ = ["LogEntry", "NewEntry", "append", "bounds", "get", "prune", "read", "read_entries"]

PRUNE_CHUNK = 10_000
"""Entries deleted in one transaction: some ten milliseconds, so no writer of the tenant waits long."""
LEAST_DAYS = 7
"""What readers are promised (product: "stored for at least 7 days")."""


async def read(
    db: Database,
    tenant_id: str,
    *,
    after_seq: int = 0,
    limit: int = 100,
    types: Sequence[str] = (),
    resource: str = "",
    up_to: int | None = None,
) -> list[bytes]:
    """Entries after ``after_seq`` in the order of their numbers, as JSON.

    ``types`` are whole types or, ending in ``.*``, groups (``call.*``). ``up_to`` is the last number wanted.
    """
    return [
        entry.body
        for entry in await read_entries(
            db, tenant_id, after_seq=after_seq, limit=limit, types=types, resource=resource, up_to=up_to
        )
    ]


async def read_entries(
    db: Database,
    tenant_id: str,
    *,
    after_seq: int = 0,
    limit: int = 100,
    types: Sequence[str] = (),
    resource: str = "",
    up_to: int | None = None,
) -> list[LogEntry]:
    """Like `read`, with the number, type and resource of each beside its JSON."""
    values: list[object] = [tenant_id, after_seq, limit]
    where = ""
    if types:
        whole = [kind for kind in types if not kind.endswith(".*")]
        groups = [kind[:-1] for kind in types if kind.endswith(".*")]
        values += [whole, groups]
        where += (
            " and (type = any($4) or exists (select from unnest($5::text[]) g where starts_with(type, g)))"
        )
    if resource:
        values.append(resource)
        where += f" and resource = ${len(values)}"
    if up_to is not None:
        values.append(up_to)
        where += f" and seq <= ${len(values)}"
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            f"select seq, type, resource, {READ_BODY} as body from events"  # noqa: S608 - our own text
            f" where tenant_id = $1 and seq > $2{where} order by seq limit $3",
            *values,
        )
    return [LogEntry(row["seq"], row["type"], row["resource"], row["body"]) for row in rows]


async def get(db: Database, tenant_id: str, entry_id: str) -> bytes | None:
    """One entry by its id, as JSON; None when it is not (or no longer) there."""
    async with db.reader(tenant_id) as connection:
        body: bytes | None = await connection.fetchval(
            f"select {READ_BODY} from events where tenant_id = $1 and id = $2",  # noqa: S608 - our own text
            tenant_id,
            entry_id,
        )
    return body


async def bounds(db: Database, tenant_id: str) -> tuple[int, int]:
    """(the lowest number that is kept, the last number given); (1, 0) for a tenant nothing happened to.

    A reader with ``after_seq >= oldest - 1`` misses nothing.
    """
    async with db.reader(tenant_id) as connection:
        row = await connection.fetchrow("select oldest, head from log_heads where tenant_id = $1", tenant_id)
    return (row["oldest"], row["head"]) if row else (1, 0)


async def prune(db: Database, days: int = LEAST_DAYS) -> int:
    """Forget entries that were recorded more than ``days`` (at least 7) ago; how many that were.

    Each step moves the tenant's ``oldest`` and deletes below it in one transaction, so a reader never finds a
    hole: either the entries are there or the bound says that they are not.
    """
    age = timedelta(days=max(days, LEAST_DAYS))
    async with db.reader(SYSTEM) as connection:
        tenants = [row["tenant_id"] for row in await connection.fetch("select tenant_id from log_heads")]
    gone = 0
    for tenant_id in tenants:
        while count := await _prune_some(db, tenant_id, age):
            gone += count
    return gone


async def _prune_some(db: Database, tenant_id: str, age: timedelta) -> int:
    async with db.tenant(tenant_id) as connection:
        # Numbers and times grow together, so the old entries are the lowest numbers; looking at the entry a
        # chunk ahead and halving would find more at once, but a chunk is as much as one transaction should do.
        last = await connection.fetchval(
            "select max(seq) from (select seq, recorded_at from events where tenant_id = $1 order by seq limit $2) e"
            " where recorded_at < now() - $3::interval",
            tenant_id,
            PRUNE_CHUNK,
            age,
        )
        if last is None:
            return 0
        await connection.execute(
            "update log_heads set oldest = greatest(oldest, $2 + 1) where tenant_id = $1", tenant_id, last
        )
        done: str = await connection.execute(
            "delete from events where tenant_id = $1 and seq <= $2", tenant_id, last
        )
    return int(done.split()[-1])
