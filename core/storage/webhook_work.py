"""The work of webhooks: from the numbered log to claimed deliveries, and what became of each.

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
from core.model.webhooks import OFF_AFTER_S, WARN_AFTER_S, After, Attempt
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import READ_BODY, NewEntry
from core.storage.texts import json_text, storable
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
SLOW_MS = 2000
"""An endpoint that takes longer gets one delivery at a time."""
KEPT_ATTEMPTS = 20
KEEP_DELIVERED_US = 3 * 86_400_000_000
KEEP_FAILED_US = 30 * 86_400_000_000
PRUNED = 5_000
HOUR_US = 3_600_000_000

_NOW = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"
_OF = "d.tenant_id = w.tenant_id and d.webhook_id = w.id"
_WORK = f"""
    select w.tenant_id, w.id, w.name, w.state, w.url, w.types, w.place, w.secrets, w.version, h.head, h.oldest,
        n.room, n.wants, m.us as now_us
    from webhooks w join log_heads h on h.tenant_id = w.tenant_id
    cross join lateral (select {_NOW} as us) m
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
    update webhook_deliveries d set claimed_by = $1, claimed_until_us = {_NOW} + $6
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
        f" select $1, u.id, $2, u.seq, u.type, $3, m.us, m.us from (select {_NOW} as us) m,"
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
        await connection.fetchval(f"select {_NOW}"),
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


async def finish(db: Database, job: Job, owner: str, attempt: Attempt, then: After) -> None:
    """Write down what came of an attempt, and what follows for its endpoint.

    A failure of a host that lost its claim changes nothing (somebody else tries); a success counts whoever had it.
    """
    async with db.tenant(job.tenant_id) as connection:
        # (the endpoint first: whoever removes it locks in this order, too)
        endpoint = await connection.fetchrow(
            "select name, state, failing_since_us, warned, slow, last_delivered_us from webhooks"
            " where tenant_id = $1 and id = $2 and deleted_us = 0 for update",
            job.tenant_id,
            job.webhook_id,
        )
        written = await connection.fetchval(
            "update webhook_deliveries set state = $3, tries = tries + 1, status = $4, reason = $5,"  # noqa: S608
            " attempts = (case when jsonb_array_length(attempts) >= $6 then attempts - 0 else attempts end)"
            f" || jsonb_build_array($7::jsonb), due_us = case when $3 = 'waiting' then {_NOW} + $8 else due_us end,"
            f" ended_us = case when $3 = 'waiting' then 0 else {_NOW} end, claimed_by = '', claimed_until_us = 0"
            " where tenant_id = $1 and id = $2 and state = 'waiting' and (claimed_by = $9 or $3 = 'delivered')"
            " returning id",
            job.tenant_id,
            job.id,
            "waiting" if then.step == "again" else then.step,
            attempt.status,
            storable(then.reason),
            KEPT_ATTEMPTS,
            json_text(attempt),
            round(then.pause_s * 1e6),
            owner,
        )
        if written is None or endpoint is None:
            return
        good = then.step == "delivered"
        await connection.execute(
            "insert into webhook_hours as was (tenant_id, webhook_id, hour_us, delivered, failed)"
            " values ($1, $2, $3, $4, $5) on conflict (tenant_id, webhook_id, hour_us) do update set"
            " delivered = was.delivered + excluded.delivered, failed = was.failed + excluded.failed",
            job.tenant_id,
            job.webhook_id,
            attempt.at_us // HOUR_US * HOUR_US,
            int(good),
            int(not good),
        )
        await append(connection, await _judge(connection, job, endpoint, attempt, then))


async def _judge(connection: Connection, job: Job, was: Any, attempt: Attempt, then: After) -> list[NewEntry]:
    """What an attempt says of its endpoint: written where it changes something, and what to put into the log."""
    now, slow = attempt.at_us + attempt.took_ms * 1000, attempt.took_ms > SLOW_MS
    kinds: list[str] = []
    changes: dict[str, object] = {}
    if slow != was["slow"]:
        changes["slow"] = slow
    if then.step == "delivered":
        if was["failing_since_us"]:
            changes |= {"failing_since_us": 0, "warned": False}
            kinds += ["webhook.recovered"] if was["warned"] else []
        if changes or now - was["last_delivered_us"] > 1_000_000:
            changes["last_delivered_us"] = now
    else:
        since = was["failing_since_us"] or attempt.at_us
        failed_s = (now - since) / 1e6
        if not was["failing_since_us"]:
            changes["failing_since_us"] = since
        if was["state"] == "active" and (then.off or failed_s > OFF_AFTER_S):
            why = "it answered 410: it wants no more" if then.off else f"three days of failure: {then.reason}"
            changes |= {"state": "disabled", "reason": storable(why)}
            kinds.append("webhook.disabled")
        elif failed_s > WARN_AFTER_S and not was["warned"]:
            changes["warned"] = True
            kinds.append("webhook.failing")
    if changes:
        if "state" in changes:
            changes["updated_us"] = now
        bump = "version = version + 1, " if "state" in changes else ""
        assignments = bump + ", ".join(f"{column} = ${n}" for n, column in enumerate(changes, start=3))
        await connection.execute(
            f"update webhooks set {assignments} where tenant_id = $1 and id = $2",  # noqa: S608 - our own columns
            job.tenant_id,
            job.webhook_id,
            *changes.values(),
        )
    state, reason = str(changes.get("state", was["state"])), str(changes.get("reason", then.reason))
    return [
        entry_of(job.tenant_id, job.webhook_id, was["name"], state, kind, reason=reason) for kind in kinds
    ]


async def let_go(db: Database, jobs: Sequence[Job], owner: str) -> None:
    """Give back what was claimed and not tried: the host ends."""
    async with db.system() as connection:
        await connection.execute(
            "update webhook_deliveries d set claimed_by = '', claimed_until_us = 0"
            " from unnest($1::text[], $2::text[]) as u (tenant_id, id)"
            " where d.tenant_id = u.tenant_id and d.id = u.id and d.claimed_by = $3 and d.state = 'waiting'",
            [job.tenant_id for job in jobs],
            [job.id for job in jobs],
            owner,
        )


async def prune(db: Database) -> int:
    """Forget deliveries that ended long ago, some thousand at a time; how many that were."""
    async with db.system() as connection:
        done: str = await connection.execute(
            "delete from webhook_deliveries d using (select tenant_id, id from webhook_deliveries"  # noqa: S608
            f" where state <> 'waiting' and ended_us < {_NOW} - case state when 'failed' then $2::bigint else $1 end"
            " order by ended_us limit $3) o where d.tenant_id = o.tenant_id and d.id = o.id",
            KEEP_DELIVERED_US,
            KEEP_FAILED_US,
            PRUNED,
        )
        await connection.execute(
            f"delete from webhook_hours where hour_us < {_NOW} - $1",  # noqa: S608 - our own word
            KEEP_FAILED_US,
        )
    return int(done.split()[-1])
