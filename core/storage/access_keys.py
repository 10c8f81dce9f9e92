"""The api_keys table. Of a key's secret only a hash is kept."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from core.storage.database import Connection


class ApiKey(Struct, frozen=True):
    id: str
    tenant_id: str
    name: str
    scopes: list[str]
    all_tenants: bool
    """An operator's key that may name another tenant in the ``Tenant`` header."""
    state: str
    """``active``, ``expired`` or ``revoked``."""
    created_by: str
    version: int
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


COLUMNS = """id, tenant_id, name, scopes, all_tenants,
  case when revoked_at is not null then 'revoked'
       when expires_at is not null and expires_at <= now() then 'expired' else 'active' end as state,
  created_by, version, created_at, updated_at, expires_at, last_used_at"""


def _key(row: Any) -> ApiKey:
    return ApiKey(**dict(row))


async def insert_key(
    conn: Connection,
    *,
    tenant_id: str,
    key_id: str,
    name: str,
    scopes: Sequence[str],
    all_tenants: bool,
    secret_hash: bytes,
    created_by: str,
    expires_at: datetime | None,
) -> ApiKey:
    row = await conn.fetchrow(
        f"""insert into api_keys
              (tenant_id, id, name, scopes, all_tenants, secret_hash, created_by, expires_at)
            values ($1, $2, $3, $4, $5, $6, $7, $8) returning {COLUMNS}""",  # noqa: S608
        tenant_id,
        key_id,
        name,
        list(scopes),
        all_tenants,
        secret_hash,
        created_by,
        expires_at,
    )
    return _key(row)


async def get_key(conn: Connection, key_id: str, *, lock: bool = False) -> ApiKey | None:
    row = await conn.fetchrow(
        f"select {COLUMNS} from api_keys where id = $1" + (" for update" if lock else ""),  # noqa: S608
        key_id,
    )
    return None if row is None else _key(row)


async def list_keys(conn: Connection, where: str, values: Sequence[object], limit: int) -> list[ApiKey]:
    """Keys that match ``where`` (SQL made by `core.storage.access_filters`), newest first."""
    rows = await conn.fetch(
        f"""select {COLUMNS} from api_keys where true {where}
            order by created_at desc, id desc limit {int(limit)}""",  # noqa: S608
        *values,
    )
    return [_key(row) for row in rows]


async def keys_made_by(conn: Connection, user_id: str) -> list[ApiKey]:
    """The keys of a user that still work."""
    rows = await conn.fetch(
        f"select {COLUMNS} from api_keys where created_by = $1 and revoked_at is null",  # noqa: S608
        user_id,
    )
    return [_key(row) for row in rows]


async def update_key(
    conn: Connection,
    key_id: str,
    *,
    name: str | None,
    scopes: Sequence[str] | None,
    change_expiry: bool,
    expires_at: datetime | None,
) -> ApiKey:
    """Change what is given; the key must exist. ``expires_at`` counts only with ``change_expiry``."""
    row = await conn.fetchrow(
        f"""update api_keys set
              name = coalesce($2, name),
              scopes = coalesce($3::text[], scopes),
              expires_at = case when $4 then $5 else expires_at end,
              version = version + 1,
              updated_at = date_trunc('milliseconds', now())
            where id = $1 returning {COLUMNS}""",  # noqa: S608
        key_id,
        name,
        None if scopes is None else list(scopes),
        change_expiry,
        expires_at,
    )
    return _key(row)


async def rotate_key(conn: Connection, key_id: str, secret_hash: bytes, old_until: datetime | None) -> ApiKey:
    """A new secret; the one before it goes on working until ``old_until``."""
    row = await conn.fetchrow(
        f"""update api_keys set
              previous_hash = case when $3::timestamptz is null then null else secret_hash end,
              previous_until = $3,
              secret_hash = $2,
              version = version + 1,
              updated_at = date_trunc('milliseconds', now())
            where id = $1 returning {COLUMNS}""",  # noqa: S608
        key_id,
        secret_hash,
        old_until,
    )
    return _key(row)


async def revoke_key(conn: Connection, key_id: str) -> None:
    """For ever. The row stays, so that what the key did can still be told."""
    await conn.execute(
        """update api_keys set revoked_at = now(), previous_hash = null, version = version + 1
           where id = $1 and revoked_at is null""",
        key_id,
    )


async def revoke_keys_of(conn: Connection, user_id: str) -> list[str]:
    """Revoke what a user made who is leaving; the ids."""
    rows = await conn.fetch(
        """update api_keys set revoked_at = now(), previous_hash = null, version = version + 1
           where created_by = $1 and revoked_at is null returning id""",
        user_id,
    )
    return [row["id"] for row in rows]


async def note_key_use(conn: Connection, key_ids: Sequence[str]) -> None:
    """Record that these keys were used just now; at most once a minute for each, whoever calls."""
    await conn.execute(
        """update api_keys set last_used_at = date_trunc('seconds', now())
           where id = any($1::text[]) and (last_used_at is null or last_used_at < now() - interval '1 minute')""",
        list(key_ids),
    )
