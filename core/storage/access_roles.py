"""The roles table: the roles a tenant made for itself."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg
from msgspec import Struct

from core.errors import Conflict
from core.storage.database import Connection


class CustomRole(Struct, frozen=True):
    id: str
    tenant_id: str
    name: str
    description: str
    permissions: list[str]
    version: int
    created_at: datetime
    updated_at: datetime


class RoleNameTaken(Conflict):
    code = "name_taken"


COLUMNS = "id, tenant_id, name, description, permissions, version, created_at, updated_at"


async def insert_role(
    conn: Connection,
    *,
    tenant_id: str,
    role_id: str,
    name: str,
    description: str,
    permissions: Sequence[str],
) -> CustomRole:
    """Raises `RoleNameTaken`."""
    row = await conn.fetchrow(
        f"""insert into roles (tenant_id, id, name, description, permissions)
            values ($1, $2, $3, $4, $5) on conflict do nothing returning {COLUMNS}""",  # noqa: S608
        tenant_id,
        role_id,
        name,
        description,
        list(permissions),
    )
    if row is None:
        raise RoleNameTaken("another role has this name")
    return CustomRole(**dict(row))


async def get_role(conn: Connection, role_id: str, *, lock: bool = False) -> CustomRole | None:
    row = await conn.fetchrow(
        f"select {COLUMNS} from roles where id = $1" + (" for update" if lock else ""),  # noqa: S608
        role_id,
    )
    return None if row is None else CustomRole(**dict(row))


async def list_roles(conn: Connection) -> list[CustomRole]:
    """All of them: a tenant has at most `MOST_ROLES`."""
    rows = await conn.fetch(f"select {COLUMNS} from roles order by created_at, id")  # noqa: S608
    return [CustomRole(**dict(row)) for row in rows]


async def permissions_of(conn: Connection, role_ids: Sequence[str]) -> dict[str, frozenset[str]]:
    """The permissions of those of ``role_ids`` that exist."""
    rows = await conn.fetch("select id, permissions from roles where id = any($1::text[])", list(role_ids))
    return {row["id"]: frozenset(row["permissions"]) for row in rows}


async def update_role(
    conn: Connection,
    role_id: str,
    *,
    name: str | None,
    description: str | None,
    permissions: Sequence[str] | None,
) -> CustomRole:
    """Change what is given; the role must exist. Raises `RoleNameTaken`."""
    try:
        row = await conn.fetchrow(
            f"""update roles set
                  name = coalesce($2, name),
                  description = coalesce($3, description),
                  permissions = coalesce($4::text[], permissions),
                  version = version + 1,
                  updated_at = date_trunc('milliseconds', now())
                where id = $1 returning {COLUMNS}""",  # noqa: S608
            role_id,
            name,
            description,
            None if permissions is None else list(permissions),
        )
    except asyncpg.UniqueViolationError as exc:
        raise RoleNameTaken("another role has this name") from exc
    return CustomRole(**dict(row))


async def users_with(conn: Connection, role_id: str) -> list[str]:
    """The ids of up to 20 users who have the role."""
    rows = await conn.fetch(
        "select id from users where $1 = any(roles) and deleted_at is null order by id limit 20", role_id
    )
    return [row["id"] for row in rows]


async def delete_role(conn: Connection, role_id: str) -> None:
    await conn.execute("delete from roles where id = $1", role_id)
