"""The users table: people of a tenant."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
from msgspec import Struct

from core.errors import Conflict
from core.storage.database import Connection


class User(Struct, frozen=True):
    """A person who can sign in. The password's hash never leaves this room in this record."""

    id: str
    tenant_id: str
    email: str
    name: str
    roles: list[str]
    """Built-in names (``admin``) or ids of custom roles (``rol_…``)."""
    state: str
    """``active`` or ``deactivated``."""
    version: int
    created_at: datetime
    updated_at: datetime
    last_login_at: datetime | None = None


class EmailTaken(Conflict):
    """Somebody signs in with this address already: an address names one person on the whole platform."""

    code = "email_taken"


COLUMNS = "id, tenant_id, email, name, roles, state, version, created_at, updated_at, last_login_at"


def _user(row: Any) -> User:
    return User(**dict(row))


async def insert_user(
    conn: Connection,
    *,
    tenant_id: str,
    user_id: str,
    email: str,
    name: str,
    password_hash: str,
    roles: Sequence[str],
) -> User:
    """Raises `EmailTaken`."""
    row = await conn.fetchrow(
        f"""insert into users (tenant_id, id, email, name, password_hash, roles)
            values ($1, $2, $3, $4, $5, $6)
            on conflict do nothing returning {COLUMNS}""",  # noqa: S608  # constant columns
        tenant_id,
        user_id,
        email,
        name,
        password_hash,
        list(roles),
    )
    if row is None:
        raise EmailTaken("somebody signs in with this address already")
    return _user(row)


async def get_user(conn: Connection, user_id: str) -> User | None:
    row = await conn.fetchrow(
        f"select {COLUMNS} from users where id = $1 and deleted_at is null",  # noqa: S608
        user_id,
    )
    return None if row is None else _user(row)


async def lock_user(conn: Connection, user_id: str) -> User | None:
    """The user, held until the transaction ends: what is decided about them stays true meanwhile."""
    row = await conn.fetchrow(
        f"select {COLUMNS} from users where id = $1 and deleted_at is null for update",  # noqa: S608
        user_id,
    )
    return None if row is None else _user(row)


async def list_users(conn: Connection, where: str, values: Sequence[object], limit: int) -> list[User]:
    """Users that match ``where`` (SQL made by `core.storage.access_filters`), newest first."""
    rows = await conn.fetch(
        f"""select {COLUMNS} from users where deleted_at is null {where}
            order by created_at desc, id desc limit {int(limit)}""",  # noqa: S608
        *values,
    )
    return [_user(row) for row in rows]


async def find_credentials(conn: Connection, email: str) -> tuple[User, str] | None:
    """The user who signs in with ``email``, and the hash of their password. Needs sight of all tenants."""
    row = await conn.fetchrow(
        f"""select {COLUMNS}, password_hash from users
            where lower(email) = lower($1) and deleted_at is null""",  # noqa: S608
        email,
    )
    if row is None:
        return None
    columns = dict(row)
    password_hash = columns.pop("password_hash")
    return User(**columns), password_hash


async def password_hash_of(conn: Connection, user_id: str) -> str | None:
    value: str | None = await conn.fetchval(
        "select password_hash from users where id = $1 and deleted_at is null", user_id
    )
    return value


async def update_user(
    conn: Connection,
    user_id: str,
    *,
    name: str | None = None,
    email: str | None = None,
    roles: Sequence[str] | None = None,
    state: str | None = None,
    password_hash: str | None = None,
) -> User:
    """Change what is given. Raises `EmailTaken`; the user must exist (lock it first)."""
    try:
        row = await conn.fetchrow(
            f"""update users set
                  name = coalesce($2, name),
                  email = coalesce($3, email),
                  roles = coalesce($4::text[], roles),
                  state = coalesce($5, state),
                  password_hash = coalesce($6, password_hash),
                  version = version + 1,
                  updated_at = date_trunc('milliseconds', now())
                where id = $1 and deleted_at is null returning {COLUMNS}""",  # noqa: S608
            user_id,
            name,
            email,
            None if roles is None else list(roles),
            state,
            password_hash,
        )
    except asyncpg.UniqueViolationError as exc:
        raise EmailTaken("somebody signs in with this address already") from exc
    return _user(row)


async def note_login(conn: Connection, user_id: str) -> None:
    await conn.execute(
        "update users set last_login_at = date_trunc('milliseconds', now()) where id = $1", user_id
    )


async def delete_user(conn: Connection, user_id: str) -> None:
    """Softly: the row stays for what refers to it, the address is free again."""
    await conn.execute(
        """update users set deleted_at = now(), state = 'deactivated', version = version + 1
           where id = $1 and deleted_at is null""",
        user_id,
    )


async def operators(conn: Connection, *, lock: bool = False) -> list[str]:
    """The operators of this tenant who can sign in; with ``lock`` they stay so until the transaction ends."""
    held = "for update" if lock else ""
    rows = await conn.fetch(
        f"""select id from users where 'operator' = any(roles) and state = 'active' and deleted_at is null
            order by id {held}"""  # noqa: S608  # our own words
    )
    return [row["id"] for row in rows]


async def one_at_a_time(conn: Connection) -> None:
    """Let others who call this wait until our transaction ends."""
    await conn.execute("select pg_advisory_xact_lock(hashtext('irisx first operator'))")


async def get_preferences(conn: Connection, user_id: str) -> bytes:
    value: str | None = await conn.fetchval("select preferences::text from users where id = $1", user_id)
    return (value or "{}").encode()


async def put_preferences(conn: Connection, user_id: str, document: str) -> None:
    await conn.execute("update users set preferences = $2::text::jsonb where id = $1", user_id, document)
