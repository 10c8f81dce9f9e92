"""Telephones that register at a switch. Their passwords are told once and kept as what digest authentication needs."""

import secrets
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from core.clock import now_us
from core.errors import NotFound, RequestError
from core.ids import new_id
from core.model.directory import a1_hash
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.sealing import Sealer
from core.storage.texts import json_text, storable
from core.storage.versions import check_version

PURPOSE = "endpoints"
_COLUMNS = (
    "id, name, username, agent_id, caller_number, enabled, secret_changed_us, version, created_us, updated_us"
)
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that are mistaken for each other: people type them into telephones."""
_CHANGES = frozenset({"name", "agent_id", "caller_number", "enabled"})


class EndpointRow(Struct, frozen=True, kw_only=True):
    """A telephone as it is stored. Times are microseconds since the epoch."""

    id: str
    name: str
    username: str
    agent_id: str
    caller_number: str
    enabled: bool
    secret_changed_us: int
    version: int
    created_us: int
    updated_us: int


class Credentials(Struct, frozen=True):
    """What the directory says of a user."""

    tenant_id: str
    endpoint_id: str
    a1_hash: str


async def create_endpoint(
    db: Database, tenant_id: str, *, secret: str, name: str, agent_id: str = "", caller_number: str = ""
) -> tuple[EndpointRow, str]:
    """A new telephone, and its password, which is not told again. Raises `RequestError` for an agent that is none."""
    endpoint_id, moment = new_id("ept"), now_us()
    username, password = _word(12), _word(24)
    async with db.tenant(tenant_id) as connection:
        await _check_agent(connection, tenant_id, agent_id)
        row = await connection.fetchrow(
            "insert into endpoints (tenant_id, id, name, username, agent_id, caller_number, secret, secret_changed_us,"  # noqa: S608
            f" created_us, updated_us) values ($1, $2, $3, $4, $5, $6, $7, $8, $8, $8) returning {_COLUMNS}",
            tenant_id,
            endpoint_id,
            storable(name),
            username,
            agent_id,
            caller_number,
            Sealer(secret, PURPOSE).seal(a1_hash(username, password)),
            moment,
        )
        await _tell(connection, tenant_id, row, "endpoint.created")
    return _row(row), password


async def get_endpoint(db: Database, tenant_id: str, endpoint_id: str) -> EndpointRow:
    """Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        row = await connection.fetchrow(
            f"select {_COLUMNS} from endpoints where tenant_id = $1 and id = $2 and deleted_us = 0",  # noqa: S608
            tenant_id,
            endpoint_id,
        )
    if row is None:
        raise _no_such(endpoint_id)
    return _row(row)


async def list_endpoints(
    db: Database, tenant_id: str, *, after: tuple[int, str] | None, most: int
) -> list[EndpointRow]:
    """A tenant's, newest first, ``most`` of them behind a place."""
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            f"select {_COLUMNS} from endpoints where tenant_id = $1 and deleted_us = 0"  # noqa: S608
            " and ($2::bigint is null or (created_us, id) < ($2, $3::text)) order by created_us desc, id desc limit $4",
            tenant_id,
            after[0] if after else None,
            after[1] if after else None,
            most,
        )
    return [_row(row) for row in rows]


async def by_usernames(db: Database, tenant_id: str, usernames: list[str]) -> dict[str, EndpointRow]:
    """Those of these users that are this tenant's."""
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            f"select {_COLUMNS} from endpoints where tenant_id = $1 and username = any($2) and deleted_us = 0",  # noqa: S608
            tenant_id,
            usernames,
        )
    return {row["username"]: _row(row) for row in rows}


async def update_endpoint(
    db: Database, tenant_id: str, endpoint_id: str, given: Mapping[str, Any], *, version: int | None = None
) -> EndpointRow:
    """Change what is given of name, agent_id, caller_number, enabled. Raises `NotFound`, `ChangedMeanwhile`."""
    values = {name: value for name, value in given.items() if name in _CHANGES}
    async with db.tenant(tenant_id) as connection:
        await _locked(connection, tenant_id, endpoint_id, version)
        await _check_agent(connection, tenant_id, str(values.get("agent_id", "")))
        assignments = "".join(f"{name} = ${n}, " for n, name in enumerate(values, start=4))
        row = await connection.fetchrow(
            f"update endpoints set {assignments}version = version + 1, updated_us = $3"  # noqa: S608 - our own words
            f" where tenant_id = $1 and id = $2 returning {_COLUMNS}",
            tenant_id,
            endpoint_id,
            now_us(),
            *values.values(),
        )
        await _tell(connection, tenant_id, row, "endpoint.updated")
    return _row(row)


async def rotate_secret(
    db: Database, tenant_id: str, endpoint_id: str, *, secret: str
) -> tuple[EndpointRow, str]:
    """A new password; the old one is none any more. Raises `NotFound`."""
    password = _word(24)
    async with db.tenant(tenant_id) as connection:
        username = await _locked(connection, tenant_id, endpoint_id, None)
        row = await connection.fetchrow(
            "update endpoints set secret = $4, secret_changed_us = $3, version = version + 1, updated_us = $3"  # noqa: S608
            f" where tenant_id = $1 and id = $2 returning {_COLUMNS}",
            tenant_id,
            endpoint_id,
            now_us(),
            Sealer(secret, PURPOSE).seal(a1_hash(username, password)),
        )
        await _tell(connection, tenant_id, row, "endpoint.secret_rotated")
    return _row(row), password


async def delete_endpoint(db: Database, tenant_id: str, endpoint_id: str) -> EndpointRow:
    """It registers no more. Its user name is not given to another. Raises `NotFound`."""
    async with db.tenant(tenant_id) as connection:
        await _locked(connection, tenant_id, endpoint_id, None)
        row = await connection.fetchrow(
            "update endpoints set deleted_us = $3, enabled = false, version = version + 1, updated_us = $3"  # noqa: S608
            f" where tenant_id = $1 and id = $2 returning {_COLUMNS}",
            tenant_id,
            endpoint_id,
            now_us(),
        )
        await _tell(connection, tenant_id, row, "endpoint.deleted")
    return _row(row)


async def credentials_of(db: Database, username: str, *, secret: str) -> Credentials | None:
    """What a registrar needs of a user of any tenant; None for one that may not register."""
    async with db.system() as connection:
        row = await connection.fetchrow(
            "select e.tenant_id, e.id, e.secret from endpoints e join tenants t on t.id = e.tenant_id"
            " where e.username = $1 and e.enabled and e.deleted_us = 0 and t.state = 'active'",
            username,
        )
    if row is None:
        return None
    return Credentials(row["tenant_id"], row["id"], Sealer(secret, PURPOSE).open(row["secret"]))


async def _locked(connection: Connection, tenant_id: str, endpoint_id: str, version: int | None) -> str:
    row = await connection.fetchrow(
        "select username, version from endpoints where tenant_id = $1 and id = $2 and deleted_us = 0 for update",
        tenant_id,
        endpoint_id,
    )
    if row is None:
        raise _no_such(endpoint_id)
    check_version(row["version"], version)
    return str(row["username"])


async def _check_agent(connection: Connection, tenant_id: str, agent_id: str) -> None:
    if agent_id and not await connection.fetchval(
        "select exists (select from agents where tenant_id = $1 and id = $2 and deleted_us = 0)",
        tenant_id,
        agent_id,
    ):
        raise RequestError(f"there is no agent {agent_id}", code="no_such_agent")


async def _tell(connection: Connection, tenant_id: str, row: Any, kind: str) -> None:
    """The last statement of a transaction."""
    entry = NewEntry(
        tenant_id=tenant_id,
        type=kind,
        resource=row["id"],
        data=json_text(
            {name: row[name] for name in ("id", "name", "agent_id", "enabled", "version")}
        ).encode(),
        occurred_us=row["updated_us"],
    )
    await append(connection, [entry])


def _row(row: Any) -> EndpointRow:
    return EndpointRow(**{name: row[name] for name in EndpointRow.__struct_fields__})


def _no_such(endpoint_id: str) -> NotFound:
    return NotFound(f"there is no endpoint {endpoint_id}", code="no_such_endpoint")


def _word(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))
