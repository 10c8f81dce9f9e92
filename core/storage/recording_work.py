"""What is done about recordings: giving the order to begin, bringing files home, saying what is missing.

Orders are claimed by the database's clock, so any number of hosts share them, and what a killed host had claimed is given
by another. Files belong to the one `irisx node` that holds the folder's lock, so nobody claims them.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from core.model.recording_policy import came_from
from core.storage.appending import append
from core.storage.database import SYSTEM, Database
from core.storage.recording_ledger import told

CLAIM_S = 20
"""Seconds that an order is with one host; asking has a deadline well below."""
FORGET_US = 86_400_000_000
"""How long what was known of a call beside its record is kept."""


class Wish(Struct, frozen=True, kw_only=True):
    """A recording that has to be begun."""

    tenant_id: str
    id: str
    call_id: str
    node: str
    leg: str
    stereo: bool
    announcement: str
    announced_us: int
    announcement_ms: int
    """How long the prompt is; 0 when it is not there any more."""
    tries: int
    """With this one."""


class Known(Struct, frozen=True, kw_only=True):
    """What the ledger says of a file."""

    tenant_id: str
    id: str
    path: str
    state: str
    expected_us: int
    started_us: int
    stopped_us: int
    call_ended_us: int
    size: int
    sha256: bytes | None
    key: str


class Brought(Struct, frozen=True, kw_only=True):
    """A file that is in the object store, as it was verified there."""

    key: str
    size: int
    sha256: bytes
    duration_ms: int = 0
    channels: int = 0
    samples: int = 0
    peaks: bytes = b""


# -- orders


async def claim_wishes(db: Database, owner: str, *, now_us: int, limit: int = 50) -> list[Wish]:
    """Take wishes that are due, of any tenant, oldest first."""
    async with db.system() as connection:
        rows = await connection.fetch(
            "update recordings r set claimed_by = $1, claimed_until = now() + make_interval(secs => $2), tries = tries + 1"
            " from (select tenant_id, id from recordings where state = 'expected' and due_us <= $3 and claimed_until <= now()"
            " order by expected_us limit $4 for update skip locked) w"
            " where r.tenant_id = w.tenant_id and r.id = w.id returning r.tenant_id, r.id, r.call_id, r.node, r.leg, r.stereo,"
            " r.announcement, r.announced_us, r.tries, coalesce((select duration_ms from media m"
            " where m.tenant_id = r.tenant_id and m.id = r.announcement and m.deleted_us = 0), 0) as announcement_ms",
            owner,
            CLAIM_S,
            now_us,
            limit,
        )
    return [Wish(**dict(row)) for row in rows]


async def settle_wish(
    db: Database, wish: Wish, owner: str, *, due_us: int, announced_us: int = 0, reason: str = ""
) -> None:
    """Let go of a wish; it comes up again at ``due_us`` unless the log has said by then that it came true."""
    async with db.reader(wish.tenant_id) as connection:
        await connection.execute(
            "update recordings set claimed_by = '', claimed_until = '-infinity', due_us = $4,"
            " announced_us = greatest(announced_us, $5), reason = case when state = 'expected' then $6 else reason end"
            " where tenant_id = $1 and id = $2 and claimed_by = $3",
            wish.tenant_id,
            wish.id,
            owner,
            due_us,
            announced_us,
            reason,
        )


async def give_up(db: Database, tenant_id: str, recording_id: str, *, reason: str, now_us: int) -> bool:
    """It is missing, and why; False when it is not one that could be."""
    return await _move(db, tenant_id, recording_id, "missing", "reason = $4", reason, now_us=now_us)


# -- files


async def known_files(db: Database, paths: Sequence[str], *, node: str) -> dict[str, Known]:
    """What the ledger says of these files of a switch; where a path was used again, of the latest."""
    async with db.system() as connection:
        rows = await connection.fetch(
            "select distinct on (path) tenant_id, id, path, state, expected_us, started_us, stopped_us, call_ended_us, size,"
            " sha256, key from recordings where node = $1 and path = any($2) order by path, started_us desc, id desc",
            node,
            list(paths),
        )
    return {row["path"]: Known(**dict(row)) for row in rows}


async def awaited_files(db: Database, *, node: str, before_us: int, limit: int = 500) -> list[Known]:
    """Recordings of a switch whose file should be there: they, or their calls, ended before then."""
    async with db.system() as connection:
        rows = await connection.fetch(
            "select tenant_id, id, path, state, expected_us, started_us, stopped_us, call_ended_us, size, sha256, key"
            " from recordings where node = $1 and state in ('recording', 'stopped', 'uploading')"
            " and greatest(stopped_us, call_ended_us) between 1 and $2 order by expected_us limit $3",
            node,
            before_us,
            limit,
        )
    return [Known(**dict(row)) for row in rows]


async def uploading(db: Database, known: Known, *, now_us: int) -> bool:
    """Its file is on its way. False when it is not wanted any more."""
    if known.state == "uploading":
        return True
    return await _move(db, known.tenant_id, known.id, "uploading", "reason = ''", now_us=now_us, quiet=True)


async def brought(db: Database, known: Known, found: Brought, *, now_us: int) -> bool:
    """Its file is in the object store, verified. Saying it again changes nothing; False for one that is erased."""
    if await _move(
        db,
        known.tenant_id,
        known.id,
        "stored",
        "reason = case when $11::bigint = 0 then 'empty' else '' end, key = $4, size = $5, sha256 = $6, duration_ms = $7, channels = $8, peaks = $9, stored_us = $10,"
        " samples = greatest(samples, $11), stopped_us = case when stopped_us = 0 then call_ended_us else stopped_us end",
        found.key,
        found.size,
        found.sha256,
        found.duration_ms,
        found.channels,
        found.peaks,
        now_us,
        found.samples,
        now_us=now_us,
    ):
        return True
    async with db.reader(known.tenant_id) as connection:
        return bool(
            await connection.fetchval(
                "select state = 'stored' and sha256 = $3 from recordings where tenant_id = $1 and id = $2",
                known.tenant_id,
                known.id,
                found.sha256,
            )
        )


async def nobody_looked(db: Database, *, before_us: int, now_us: int, limit: int = 200) -> int:
    """Say of recordings whose calls ended before then, and whose files nobody has brought, that they are missing."""
    async with db.system() as connection:
        rows = await connection.fetch(
            "select tenant_id, id from recordings where state in ('recording', 'stopped') and call_ended_us between 1 and $1"
            " order by expected_us limit $2",
            before_us,
            limit,
        )
    said = 0
    for row in rows:
        said += await give_up(db, row["tenant_id"], row["id"], reason="nobody_looked", now_us=now_us)
    return said


class Figures(Struct, frozen=True, kw_only=True):
    """How recordings are. Of the last 24 hours, but for what waits."""

    today: int
    missing: int
    waiting: int
    """Whole, and not in the object store yet."""
    oldest_s: float


async def figures(db: Database, tenant_id: str, *, now_us: int) -> Figures:
    """A tenant's figures; everybody's for ``*``."""
    mine = "" if tenant_id == SYSTEM else " and tenant_id = $2"
    values: list[object] = [now_us - FORGET_US, *([tenant_id] if mine else [])]
    async with db.reader(tenant_id) as connection:
        row = await connection.fetchrow(
            "select (select count(*) from recordings where expected_us >= $1"  # noqa: S608 - our own words
            f" and state <> 'erased'{mine}) as today,"
            f" (select count(*) from recordings where state = 'missing' and call_ended_us >= $1{mine}) as missing,"
            f" count(*) as waiting, coalesce(min(stopped_us), 0) as oldest_us"
            f" from recordings where state in ('stopped', 'uploading'){mine}",
            *values,
        )
    oldest_s = (now_us - row["oldest_us"]) / 1e6 if row["oldest_us"] else 0.0
    return Figures(today=row["today"], missing=row["missing"], waiting=row["waiting"], oldest_s=oldest_s)


async def missing_since(db: Database, since_us: int) -> int:
    """How many recordings of all tenants are missing of calls that ended since then."""
    async with db.reader(SYSTEM) as connection:
        return int(
            await connection.fetchval(
                "select count(*) from recordings where state = 'missing' and call_ended_us >= $1", since_us
            )
        )


async def forget_calls(db: Database, *, now_us: int) -> None:
    """What was known of calls that are long over."""
    async with db.system() as connection:
        await connection.execute("delete from recording_calls where updated_us < $1", now_us - FORGET_US)


async def _move(
    db: Database,
    tenant_id: str,
    recording_id: str,
    state: str,
    changes: str,
    *values: Any,
    now_us: int,
    quiet: bool = False,
) -> bool:
    """Change its state as the table allows it, and say so in the log."""
    async with db.tenant(tenant_id) as connection:
        row = await connection.fetchrow(
            f"update recordings set state = '{state}', {changes}, version = version + 1 where tenant_id = $1 and id = $2"  # noqa: S608 - our own words
            " and state = any($3) returning id, call_id, state, reason",
            tenant_id,
            recording_id,
            came_from(state),
            *values,
        )
        if row is not None and not quiet:
            more = {"reason": row["reason"]} if row["reason"] else {}
            await append(connection, [told(tenant_id, f"recording.{state}", row, now_us, **more)])
    return row is not None
