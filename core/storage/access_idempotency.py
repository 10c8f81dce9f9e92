"""What was answered to a request with an ``Idempotency-Key``, so that its repetition gets the same answer."""

from msgspec import Struct

from core.errors import Unavailable
from core.storage.database import Connection

KEEP_HOURS = 24
CLAIM_TRIES = 5


class Kept(Struct, frozen=True):
    """The record of a first request."""

    fingerprint: bytes
    """A hash of what was asked: another request under the same key is a mistake, not a repetition."""
    finished: bool
    age_s: float
    status: int
    body: bytes
    media: str
    location: str


async def claim(conn: Connection, *, tenant_id: str, actor: str, key: str, fingerprint: bytes) -> Kept | None:
    """Take the key for a first request: None. Otherwise the record of the request that has it.

    Raises `Unavailable` when neither comes about.
    """
    for _ in range(CLAIM_TRIES):
        taken = await conn.fetchval(
            """insert into idempotency_keys (tenant_id, actor, key, fingerprint) values ($1, $2, $3, $4)
               on conflict (tenant_id, actor, key) do update
                 set fingerprint = excluded.fingerprint, finished = false, status = 0, body = '', created_at = now()
                 where idempotency_keys.created_at < now() - make_interval(hours => $5)
               returning true""",
            tenant_id,
            actor,
            key,
            fingerprint,
            KEEP_HOURS,
        )
        if taken:
            return None
        row = await conn.fetchrow(
            """select fingerprint, finished, extract(epoch from now() - created_at)::float8 as age_s,
                 status, body, media, location
               from idempotency_keys where tenant_id = $1 and actor = $2 and key = $3""",
            tenant_id,
            actor,
            key,
        )
        if row is not None:
            return Kept(**dict(row))
        # Given back between the two statements: the first request was refused, so ours may be the first now.
    raise Unavailable("others use this key and give it back all the time", code="busy")


async def keep(
    conn: Connection,
    *,
    tenant_id: str,
    actor: str,
    key: str,
    status: int,
    body: bytes,
    media: str,
    location: str,
) -> None:
    """Record the answer."""
    await conn.execute(
        """update idempotency_keys set finished = true, status = $4, body = $5, media = $6, location = $7
           where tenant_id = $1 and actor = $2 and key = $3""",
        tenant_id,
        actor,
        key,
        status,
        body,
        media,
        location,
    )


async def release(conn: Connection, *, tenant_id: str, actor: str, key: str) -> None:
    """Forget a request that did nothing: its key is as good as new."""
    await conn.execute(
        """delete from idempotency_keys
           where tenant_id = $1 and actor = $2 and key = $3 and not finished""",
        tenant_id,
        actor,
        key,
    )


async def prune_idempotency(conn: Connection) -> int:
    """Remove records older than `KEEP_HOURS`."""
    status: str = await conn.execute(
        "delete from idempotency_keys where created_at < now() - make_interval(hours => $1)", KEEP_HOURS
    )
    return int(status.split()[-1])
