"""The sessions table: one row a sign-in, which is one family of refresh tokens."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from core.storage.database import Connection


class Session(Struct, frozen=True):
    """A sign-in of a user on one device."""

    id: str
    tenant_id: str
    user_id: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    address: str
    user_agent: str


class Family(Struct, frozen=True):
    """What decides about a refresh token."""

    id: str
    tenant_id: str
    user_id: str
    generation: int
    seed: bytes
    alive: bool


COLUMNS = "id, tenant_id, user_id, created_at, last_used_at, expires_at, address, user_agent"
_ALIVE = "revoked_at is null and expires_at > now()"


def _session(row: Any) -> Session:
    return Session(**dict(row))


async def insert_session(
    conn: Connection,
    *,
    tenant_id: str,
    session_id: str,
    user_id: str,
    seed: bytes,
    expires_at: datetime,
    address: str,
    user_agent: str,
) -> None:
    await conn.execute(
        """insert into sessions (tenant_id, id, user_id, seed, expires_at, address, user_agent)
           values ($1, $2, $3, $4, $5, $6, $7)""",
        tenant_id,
        session_id,
        user_id,
        seed,
        expires_at,
        address,
        user_agent,
    )


async def get_family(conn: Connection, session_id: str) -> Family | None:
    row = await conn.fetchrow(
        f"""select id, tenant_id, user_id, generation, seed, {_ALIVE} as alive
            from sessions where id = $1""",  # noqa: S608
        session_id,
    )
    return None if row is None else Family(**dict(row))


async def next_generation(conn: Connection, session_id: str, generation: int, expires_at: datetime) -> bool:
    """Move the family from ``generation`` to the next. False when somebody else has done so, or it is dead."""
    row = await conn.fetchval(
        f"""update sessions set generation = generation + 1, last_used_at = date_trunc('milliseconds', now()),
              expires_at = $3
            where id = $1 and generation = $2 and {_ALIVE} returning true""",  # noqa: S608
        session_id,
        generation,
        expires_at,
    )
    return row is True


async def list_sessions(conn: Connection, user_id: str) -> list[Session]:
    """The living sessions of a user, last used first; at most 200."""
    rows = await conn.fetch(
        f"""select {COLUMNS} from sessions where user_id = $1 and {_ALIVE}
            order by last_used_at desc, id limit 200""",  # noqa: S608
        user_id,
    )
    return [_session(row) for row in rows]


async def revoke_session(conn: Connection, session_id: str, user_id: str, reason: str) -> bool:
    """End a session. False when the user has no such living one."""
    row = await conn.fetchval(
        f"""update sessions set revoked_at = now(), revoked_reason = $3
            where id = $1 and user_id = $2 and {_ALIVE} returning true""",  # noqa: S608
        session_id,
        user_id,
        reason,
    )
    return row is True


async def revoke_sessions_of(conn: Connection, user_id: str, reason: str, *, but: str = "") -> list[str]:
    """End all sessions of a user (except ``but``); their ids."""
    rows = await conn.fetch(
        f"""update sessions set revoked_at = now(), revoked_reason = $2
            where user_id = $1 and id <> $3 and {_ALIVE} returning id""",  # noqa: S608
        user_id,
        reason,
        but,
    )
    return [row["id"] for row in rows]


async def prune_sessions(conn: Connection) -> int:
    """Remove what ended more than 30 days ago: until then it can be told why somebody was signed out."""
    status: str = await conn.execute(
        """delete from sessions where coalesce(revoked_at, expires_at) < now() - interval '30 days'"""
    )
    return int(status.split()[-1])
