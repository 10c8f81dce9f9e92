"""The tenants table, for those who manage tenants."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from core.storage.database import Connection


class Tenant(Struct, frozen=True):
    """A customer of the platform: everything else belongs to one."""

    id: str
    name: str
    state: str
    """``active``, ``suspended`` (nobody of it can sign in) or ``deleted``."""
    version: int
    created_at: datetime
    updated_at: datetime


COLUMNS = "id, name, state, version, created_at, updated_at"
MAIN = "tnt_main"
"""The tenant of the platform itself: it can be neither suspended nor deleted."""


async def insert_tenant(conn: Connection, *, tenant_id: str, name: str, limits: dict[str, Any]) -> Tenant:
    row = await conn.fetchrow(
        f"""insert into tenants (id, name, limits, created_at, updated_at)
            values ($1, $2, $3::text::jsonb, date_trunc('milliseconds', now()), date_trunc('milliseconds', now()))
            returning {COLUMNS}""",  # noqa: S608  # constant columns
        tenant_id,
        name,
        msgspec.json.encode(limits).decode(),
    )
    return Tenant(**dict(row))


async def get_tenant(conn: Connection, tenant_id: str, *, lock: bool = False) -> Tenant | None:
    row = await conn.fetchrow(
        f"select {COLUMNS} from tenants where id = $1 and state <> 'deleted'"  # noqa: S608
        + (" for update" if lock else ""),
        tenant_id,
    )
    return None if row is None else Tenant(**dict(row))


async def list_tenants(conn: Connection, where: str, values: Sequence[object], limit: int) -> list[Tenant]:
    """Tenants that match ``where`` (SQL made by `core.storage.access_filters`), newest first."""
    rows = await conn.fetch(
        f"""select {COLUMNS} from tenants where state <> 'deleted' {where}
            order by created_at desc, id desc limit {int(limit)}""",  # noqa: S608
        *values,
    )
    return [Tenant(**dict(row)) for row in rows]


async def update_tenant(
    conn: Connection, tenant_id: str, *, name: str | None = None, state: str | None = None
) -> Tenant:
    """Change what is given; the tenant must exist (lock it first)."""
    row = await conn.fetchrow(
        f"""update tenants set name = coalesce($2, name), state = coalesce($3, state),
              version = version + 1, updated_at = date_trunc('milliseconds', now())
            where id = $1 returning {COLUMNS}""",  # noqa: S608
        tenant_id,
        name,
        state,
    )
    return Tenant(**dict(row))


async def get_limits(conn: Connection, tenant_id: str) -> dict[str, Any] | None:
    text = await conn.fetchval(
        "select limits::text from tenants where id = $1 and state <> 'deleted'", tenant_id
    )
    return None if text is None else msgspec.json.decode(text, type=dict[str, Any])


async def put_limits(conn: Connection, tenant_id: str, limits: dict[str, Any]) -> None:
    await conn.execute(
        """update tenants set limits = $2::text::jsonb, version = version + 1,
             updated_at = date_trunc('milliseconds', now()) where id = $1""",
        tenant_id,
        msgspec.json.encode(limits).decode(),
    )


async def users_of(conn: Connection, tenant_id: str) -> int:
    """Active users: what stands in the way of deleting a tenant."""
    value: int = await conn.fetchval(
        "select count(*) from users where tenant_id = $1 and deleted_at is null and state = 'active'",
        tenant_id,
    )
    return value


async def live_calls_of(conn: Connection, tenant_id: str) -> int:
    value: int = await conn.fetchval("select count(*) from calls where tenant_id = $1 and live", tenant_id)
    return value
