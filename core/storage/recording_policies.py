"""Recording policies: which calls are recorded, and how (`core.model.recording_policy` decides by them)."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from core.clock import now_us
from core.errors import NotFound, RequestError
from core.ids import new_id
from core.model.recording_policy import Policy
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.texts import storable
from core.storage.versions import check_version

_COLUMNS = (
    "id, name, position, action, state, directions, prefixes, queues, agents, share, moment, announcement, stereo,"
    " pause_allowed, retention_days, hold, version, created_us, updated_us"
)


class PolicyRow(Struct, frozen=True, kw_only=True):
    """A policy as it is stored."""

    id: str
    name: str
    position: int
    action: str
    state: str
    directions: list[str]
    prefixes: list[str]
    queues: list[str]
    agents: list[str]
    share: int
    moment: str
    announcement: str
    stereo: bool
    pause_allowed: bool
    retention_days: int
    hold: bool
    version: int
    created_us: int
    updated_us: int

    def policy(self) -> Policy:
        """As the decision takes it."""
        given = msgspec.structs.asdict(self)
        return msgspec.convert({**given, "on": self.state == "on"}, Policy)


async def read_policies(connection: Connection, tenant_id: str) -> list[PolicyRow]:
    """All of a tenant's in their turn: some dozens."""
    rows = await connection.fetch(
        f"select {_COLUMNS} from recording_policies where tenant_id = $1 and deleted_us = 0 order by position, id",  # noqa: S608
        tenant_id,
    )
    return [PolicyRow(**dict(row)) for row in rows]


async def list_policies(db: Database, tenant_id: str) -> list[PolicyRow]:
    """All of a tenant's, in the order in which they are looked at."""
    async with db.reader(tenant_id) as connection:
        return await read_policies(connection, tenant_id)


async def get_policy(db: Database, tenant_id: str, policy_id: str) -> PolicyRow:
    """Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        row = await connection.fetchrow(
            f"select {_COLUMNS} from recording_policies where tenant_id = $1 and id = $2 and deleted_us = 0",  # noqa: S608
            tenant_id,
            policy_id,
        )
    if row is None:
        raise _no_such(policy_id)
    return PolicyRow(**dict(row))


async def create_policy(
    db: Database, tenant_id: str, given: Mapping[str, Any], *, actor: str = ""
) -> PolicyRow:
    """A new policy. Raises `RequestError` for an announcement that is not there."""
    values, moment = _columns(given), now_us()
    async with db.tenant(tenant_id) as connection:
        await _check(connection, tenant_id, values)
        names = "".join(f", {name}" for name in values)
        places = "".join(f", ${n}" for n in range(4, 4 + len(values)))
        row = await connection.fetchrow(
            f"insert into recording_policies (tenant_id, id, created_us, updated_us{names})"  # noqa: S608 - our own words
            f" values ($1, $2, $3, $3{places}) returning {_COLUMNS}",
            tenant_id,
            new_id("rpo"),
            moment,
            *values.values(),
        )
        await _tell(connection, tenant_id, row, "recording_policy.created", actor)
    return PolicyRow(**dict(row))


async def update_policy(
    db: Database,
    tenant_id: str,
    policy_id: str,
    given: Mapping[str, Any],
    *,
    version: int | None = None,
    actor: str = "",
) -> PolicyRow:
    """Change what is given; calls that are recorded already stay so. Raises `NotFound`, `RequestError`, `ChangedMeanwhile`."""
    values = _columns(given)
    async with db.tenant(tenant_id) as connection:
        present = await connection.fetchval(
            "select version from recording_policies where tenant_id = $1 and id = $2 and deleted_us = 0 for update",
            tenant_id,
            policy_id,
        )
        if present is None:
            raise _no_such(policy_id)
        check_version(present, version)
        await _check(connection, tenant_id, values)
        assignments = "".join(f"{name} = ${n}, " for n, name in enumerate(values, start=4))
        row = await connection.fetchrow(
            f"update recording_policies set {assignments}version = version + 1, updated_us = $3"  # noqa: S608 - our own words
            f" where tenant_id = $1 and id = $2 returning {_COLUMNS}",
            tenant_id,
            policy_id,
            now_us(),
            *values.values(),
        )
        await _tell(connection, tenant_id, row, "recording_policy.updated", actor)
    return PolicyRow(**dict(row))


async def delete_policy(db: Database, tenant_id: str, policy_id: str, *, actor: str = "") -> None:
    """It decides nothing more; what it had recorded stays as it is. Raises `NotFound`."""
    async with db.tenant(tenant_id) as connection:
        row = await connection.fetchrow(
            "update recording_policies set deleted_us = $3, updated_us = $3, version = version + 1"  # noqa: S608
            f" where tenant_id = $1 and id = $2 and deleted_us = 0 returning {_COLUMNS}",
            tenant_id,
            policy_id,
            now_us(),
        )
        if row is None:
            raise _no_such(policy_id)
        await _tell(connection, tenant_id, row, "recording_policy.deleted", actor)


def _no_such(policy_id: str) -> NotFound:
    return NotFound(f"there is no recording policy {policy_id}", code="no_such_recording_policy")


def _columns(given: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(given)
    if "name" in values:
        values["name"] = storable(values["name"])
    for name in ("directions", "prefixes", "queues", "agents"):
        if name in values:
            values[name] = list(dict.fromkeys(values[name]))
    return values


async def _check(connection: Connection, tenant_id: str, values: Mapping[str, Any]) -> None:
    announcement = values.get("announcement", "")
    if announcement and not await connection.fetchval(
        "select exists (select from media where tenant_id = $1 and id = $2 and deleted_us = 0)",
        tenant_id,
        announcement,
    ):
        raise RequestError(f"announcement: there is no prompt {announcement}", code="no_such_media")


async def _tell(connection: Connection, tenant_id: str, row: Any, kind: str, actor: str) -> None:
    told = {name: row[name] for name in ("id", "name", "action", "state", "version")}
    entry = NewEntry(
        tenant_id=tenant_id,
        type=kind,
        resource=row["id"],
        data=msgspec.json.encode({"recording_policy": told, "actor": actor}),
        occurred_us=row["updated_us"],
    )
    await append(connection, [entry])
