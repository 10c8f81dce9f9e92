"""From a session or a key to everything that decides about a request, in one round trip each."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from core.storage.database import Connection


class SessionFacts(Struct, frozen=True):
    """What is true now of the user behind a session."""

    user_id: str
    tenant_id: str
    name: str
    email: str
    roles: list[str]
    custom: dict[str, list[str]]
    """The permissions of those of ``roles`` that the tenant made itself."""
    alive: bool
    """The session, the user and the tenant are all in force."""
    limits: dict[str, Any]


class KeyFacts(Struct, frozen=True):
    """What is true now of an API key."""

    key_id: str
    tenant_id: str
    name: str
    scopes: list[str]
    all_tenants: bool
    secret_hash: bytes
    previous_hash: bytes | None
    alive: bool
    limits: dict[str, Any]


async def session_facts(conn: Connection, session_id: str) -> SessionFacts | None:
    row = await conn.fetchrow(
        """select u.id as user_id, u.tenant_id, u.name, u.email, u.roles,
             coalesce((select jsonb_object_agg(r.id, r.permissions) from roles r
                       where r.tenant_id = u.tenant_id and r.id = any(u.roles)), '{}')::text as custom,
             s.revoked_at is null and s.expires_at > now() and u.state = 'active'
               and u.deleted_at is null and t.state = 'active' as alive,
             t.limits::text as limits
           from sessions s
           join users u on u.id = s.user_id
           join tenants t on t.id = u.tenant_id
           where s.id = $1""",
        session_id,
    )
    return None if row is None else msgspec.convert(_decoded(row, "custom", "limits"), SessionFacts)


async def key_facts(conn: Connection, key_id: str) -> KeyFacts | None:
    """Needs sight of all tenants: which one a key belongs to is what this finds out."""
    row = await conn.fetchrow(
        """select k.id as key_id, k.tenant_id, k.name, k.scopes, k.all_tenants, k.secret_hash,
             case when k.previous_until > now() then k.previous_hash end as previous_hash,
             k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
               and t.state = 'active' as alive,
             t.limits::text as limits
           from api_keys k join tenants t on t.id = k.tenant_id
           where k.id = $1""",
        key_id,
    )
    return None if row is None else KeyFacts(**_decoded(row, "limits"))


async def tenant_facts(conn: Connection, tenant_id: str) -> tuple[str, dict[str, Any]] | None:
    """State and limits of a tenant that an operator named."""
    row = await conn.fetchrow("select state, limits::text as limits from tenants where id = $1", tenant_id)
    return None if row is None else (row["state"], msgspec.json.decode(row["limits"] or "{}"))


def _decoded(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    columns = dict(row)
    for name in names:
        columns[name] = msgspec.json.decode(columns[name] or "{}")
    return columns
