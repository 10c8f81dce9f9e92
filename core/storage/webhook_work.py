"""The work of webhooks: from the numbered log to claimed deliveries. (What became of each: `core.storage.webhook_results`.)

An endpoint's place in the log moves in the transaction that makes its deliveries, so every entry is made one exactly once,
whoever dies when. A delivery is claimed by the database's clock for `CLAIM_S`; a host that dies leaves it to the next
one, which sends it again under the same id. So an endpoint hears everything at least once.

Nobody waits for anybody: an endpoint has at most ``at_once`` deliveries under way (one while it fails or is slow) over all
hosts, and what it has not taken waits in the log, not in a table, once `BACKLOG` of them wait.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from core.ids import new_id
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import READ_BODY, NewEntry
from core.storage.webhooks import entry_of

CLAIM_S = 40
"""Longer than an attempt may take with everything around it (`core.webhooks.ATTEMPT_S`)."""
BACKLOG = 500
"""Deliveries of one endpoint that wait before no more are made for it."""
PLANNED = 200
"""Entries that become deliveries of one endpoint in one transaction."""
LOOKED_THROUGH = 20_000
"""Entries that are looked through for one endpoint in one transaction."""
ENDPOINTS = 40
"""Endpoints that are looked after in one transaction."""

NOW = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"
_OF = "d.tenant_id = w.tenant_id and d.webhook_id = w.id"
_WORK = f"""
    select w.tenant_id, w.id, w.name, w.state, w.url, w.types, w.place, w.secrets, w.version, h.head, h.oldest,
        n.room, n.wants, m.us as now_us
    from webhooks w join log_heads h on h.tenant_id = w.tenant_id
    cross join lateral (select {NOW} as us) m
    cross join lateral (
        select case when w.failing_since_us > 0 or w.slow then 1 else w.at_once end - (
                select count(*) from webhook_deliveries d where {_OF} and d.claimed_until_us > m.us) as room,
            w.place < h.head and not exists (select from webhook_deliveries d
                where {_OF} and d.state = 'waiting' order by d.due_us offset {BACKLOG} limit 1) as wants
    ) n
    where w.state = 'active' and w.deleted_us = 0 and (n.wants or (n.room > 0 and exists (
        select from webhook_deliveries d where {_OF} and d.state = 'waiting' and d.due_us <= m.us
            and d.claimed_until_us <= m.us)))
    order by random() limit {ENDPOINTS} for update of w skip locked"""  # noqa: S608 - our own words
_CLAIM = f"""
    update webhook_deliveries d set claimed_by = $1, claimed_until_us = {NOW} + $6
    from (select x.* from unnest($2::text[], $3::text[], $4::int[]) as w (tenant_id, id, n)
        cross join lateral (select d.tenant_id, d.id as delivery_id from webhook_deliveries d
            where {_OF} and d.state = 'waiting' and d.due_us <= $5 and d.claimed_until_us <= $5
            order by d.due_us, d.seq limit w.n for update skip locked) x) c
    where d.tenant_id = c.tenant_id and d.id = c.delivery_id
    returning d.tenant_id, d.id, d.webhook_id, d.seq, d.kind, d.tries"""  # noqa: S608


class Job(Struct, frozen=True, kw_only=True):
    """A delivery that is ours for a while."""

    tenant_id: str
    id: str
    webhook_id: str
    url: str
    secrets: bytes
    """Sealed."""
    seq: int
    kind: str
    tries: int
    event_id: str = ""
    """The ``webhook-id``; empty when the entry is not in the log any more."""
    body: bytes = b""
    """The entry's JSON."""


async def take(
    db: Database, owner: str, *, room: int, tenant_room: int, busy: Mapping[str, int]
) -> tuple[list[Job], bool]:
    """Make deliveries of what is new, claim up to ``room`` of what is due; and whether there may be more right now.

    ``busy`` is how many of a tenant are under way here: it gets at most ``tenant_room``.
    """
    async with db.system() as connection:
        rows = await connection.fetch(_WORK)
        told: list[NewEntry] = []
        more = len(rows) == ENDPOINTS
        for row in rows:
            if row["wants"]:
                more |= await _plan(connection, row, told)
        jobs = await _claim(connection, owner, rows, room, tenant_room, dict(busy))
        await append(connection, told)
    return jobs, more or len(jobs) >= room > 0


async def _plan(connection: Connection, row: Any, told: list[NewEntry]) -> bool:
    """Deliveries of the next entries of the log for one endpoint; whether there are more entries."""
    place, head, oldest = row["place"], row["head"], row["oldest"]
    if place + 1 < oldest:
        gap = {"from_seq": place + 1, "to_seq": oldest - 1}
        told.append(entry_of(row["tenant_id"], row["id"], row["name"], row["state"], "webhook.gap", **gap))
        place = oldest - 1
    end = min(head, place + LOOKED_THROUGH)
    found = await entries_of(connection, row["tenant_id"], row["types"], place, end, PLANNED)
    await insert(connection, row["tenant_id"], row["id"], found, "event")
    reached = found[-1][0] if len(found) == PLANNED else end
    await connection.execute(
        "update webhooks set place = $3 where tenant_id = $1 and id = $2",
        row["tenant_id"],
        row["id"],
        reached,
    )
    return bool(reached < head)


async def entries_of(
    connection: Connection, tenant_id: str, types: Sequence[str], after: int, end: int, limit: int
) -> list[tuple[int, str]]:
    """Number and type of the entries in ``after < seq <= end`` that ``types`` cover, in order."""
    whole = [one for one in types if not one.endswith("*")]
    groups = [one.removesuffix("*") for one in types if one.endswith("*")]
    rows = await connection.fetch(
        "select seq, type from events where tenant_id = $1 and seq > $2 and seq <= $3 and (type = any($4)"
        " or exists (select from unnest($5::text[]) g where starts_with(type, g))) order by seq limit $6",
        tenant_id,
        after,
        end,
        whole,
        groups,
        limit,
    )
    return [(row["seq"], row["type"]) for row in rows]


async def insert(
    connection: Connection, tenant_id: str, webhook_id: str, found: Sequence[tuple[int, str]], kind: str
) -> list[str]:
    """Deliveries of these entries, due now; the ids of those that were not there."""
    if not found:
        return []
    rows = await connection.fetch(
        "insert into webhook_deliveries (tenant_id, id, webhook_id, seq, type, kind, due_us, created_us)"  # noqa: S608
        f" select $1, u.id, $2, u.seq, u.type, $3, m.us, m.us from (select {NOW} as us) m,"
        " unnest($4::text[], $5::bigint[], $6::text[]) as u (id, seq, type) on conflict do nothing returning id",
        tenant_id,
        webhook_id,
        kind,
        [new_id("whd") for _ in found],
        [seq for seq, _ in found],
        [name for _, name in found],
    )
    return [row["id"] for row in rows]


async def _claim(
    connection: Connection, owner: str, rows: Sequence[Any], room: int, tenant_room: int, busy: dict[str, int]
) -> list[Job]:
    wanted: list[tuple[Any, int]] = []
    for row in rows:
        free = min(row["room"], room, tenant_room - busy.get(row["tenant_id"], 0))
        if free > 0:
            wanted.append((row, free))
            room -= free
            busy[row["tenant_id"]] = busy.get(row["tenant_id"], 0) + free
    if not wanted:
        return []
    claimed = await connection.fetch(
        _CLAIM,
        owner,
        [row["tenant_id"] for row, _ in wanted],
        [row["id"] for row, _ in wanted],
        [free for _, free in wanted],
        # (the deliveries that were just made are due a moment later than the first look)
        await connection.fetchval(f"select {NOW}"),
        CLAIM_S * 1_000_000,
    )
    endpoint = {row["id"]: row for row, _ in wanted}
    bodies = await _bodies(connection, claimed)
    jobs = []
    for one in sorted(claimed, key=lambda one: one["seq"]):
        row, entry = endpoint[one["webhook_id"]], bodies.get((one["tenant_id"], one["seq"]))
        job = Job(
            tenant_id=one["tenant_id"],
            id=one["id"],
            webhook_id=one["webhook_id"],
            url=row["url"],
            secrets=row["secrets"],
            seq=one["seq"],
            kind=one["kind"],
            tries=one["tries"],
            event_id=entry["id"] if entry else "",
            body=entry["body"] if entry else b"",
        )
        jobs.append(job)
    return jobs


async def _bodies(connection: Connection, claimed: Sequence[Any]) -> dict[tuple[str, int], Any]:
    if not claimed:
        return {}
    rows = await connection.fetch(
        f"select e.tenant_id, e.seq, e.id, {READ_BODY} as body from events e"  # noqa: S608
        " join unnest($1::text[], $2::bigint[]) as u (tenant_id, n) on e.tenant_id = u.tenant_id and e.seq = u.n",
        [one["tenant_id"] for one in claimed],
        [one["seq"] for one in claimed],
    )
    return {(row["tenant_id"], row["seq"]): row for row in rows}
