"""Connected accounts of channels: what a tenant told us of them, sealed, and where their connections go on.

An account's settings are one document of the channel's own ``Settings``. The whole of it is sealed; what may be shown
(everything but secrets) is kept beside it in the open. This room knows no channel: it is told which members are secret.
"""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from core.clock import now_us
from core.errors import Conflict, NotFound, RequestError
from core.ids import new_id
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.sealing import Sealer
from core.storage.texts import json_text, storable

PURPOSE = "channel"
STATES = ("active", "disabled", "misconfigured")
_COLUMNS = (
    "tenant_id, id, type, name, state, reason, address, settings, limits, version, created_us, updated_us"
)


class ChannelRow(Struct, frozen=True, kw_only=True):
    """An account. ``settings`` is whole when it was read with the secret, else what may be shown."""

    tenant_id: str
    id: str
    type: str
    name: str
    state: str
    reason: str
    address: str
    """Which of our addresses it is, for people."""
    settings: dict[str, Any]
    limits: dict[str, Any]
    version: int
    created_us: int
    updated_us: int


async def create_channel(
    db: Database,
    tenant_id: str,
    *,
    secret: str,
    type: str,
    name: str,
    settings: Mapping[str, Any],
    hidden: Collection[str],
    address: str = "",
    limits: Mapping[str, Any] | None = None,
) -> ChannelRow:
    """Connect an account; ``hidden`` names the members of ``settings`` that nobody is shown again."""
    channel_id, moment = new_id("chn"), now_us()
    async with db.tenant(tenant_id) as connection:
        row = await connection.fetchrow(
            "insert into channels (tenant_id, id, type, name, address, settings, secret, limits, created_us, updated_us)"  # noqa: S608
            f" values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) returning {_COLUMNS}",
            tenant_id,
            channel_id,
            type,
            storable(name),
            storable(address),
            _shown(settings, hidden),
            Sealer(secret, PURPOSE).seal(json_text(settings)),
            json_text(limits or {}),
            moment,
        )
        await _tell(connection, row, "channel.created")
    return _row(row)


async def get_channel(db: Database, tenant_id: str, channel_id: str) -> ChannelRow:
    """An account as it may be shown. Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        row = await connection.fetchrow(
            f"select {_COLUMNS} from channels where tenant_id = $1 and id = $2 and deleted_us = 0",  # noqa: S608
            tenant_id,
            channel_id,
        )
    if row is None:
        raise NotFound(f"there is no channel {channel_id}", code="no_such_channel")
    return _row(row)


async def list_channels(db: Database, tenant_id: str) -> list[ChannelRow]:
    """A tenant's accounts as they may be shown, newest first: some dozens at most."""
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            f"select {_COLUMNS} from channels where tenant_id = $1 and deleted_us = 0"  # noqa: S608
            " order by created_us desc, id desc",
            tenant_id,
        )
    return [_row(row) for row in rows]


async def all_channels(db: Database, *, secret: str) -> list[ChannelRow]:
    """Every account of every tenant with its whole settings. Raises `core.storage.sealing.WrongSecret`."""
    sealer = Sealer(secret, PURPOSE)
    async with db.system() as connection:
        rows = await connection.fetch(
            f"select {_COLUMNS}, secret from channels where deleted_us = 0 order by created_us, id"  # noqa: S608
        )
    return [_row(row, sealer) for row in rows]


async def open_channel(db: Database, channel_id: str, *, secret: str) -> ChannelRow | None:
    """One account with its whole settings, whoever's it is; None when there is none: a webhook knows only its id."""
    async with db.system() as connection:
        row = await connection.fetchrow(
            f"select {_COLUMNS}, secret from channels where id = $1 and deleted_us = 0",  # noqa: S608
            channel_id,
        )
    return None if row is None else _row(row, Sealer(secret, PURPOSE))


async def update_channel(
    db: Database,
    tenant_id: str,
    channel_id: str,
    *,
    secret: str = "",
    hidden: Collection[str] = (),
    version: int | None = None,
    name: str | None = None,
    address: str | None = None,
    state: str | None = None,
    reason: str = "",
    settings: Mapping[str, Any] | None = None,
    limits: Mapping[str, Any] | None = None,
) -> ChannelRow:
    """Change what is not None; ``secret`` is needed for new ``settings``.

    Raises `NotFound`, `RequestError`, and `Conflict` when ``version`` is not the present one.
    """
    if state is not None and state not in STATES:
        raise RequestError(f"a channel is {', '.join(STATES)}; not {state}", code="bad_value")
    changes: dict[str, object] = {}
    if name is not None:
        changes["name"] = storable(name)
    if address is not None:
        changes["address"] = storable(address)
    if state is not None:
        changes |= {"state": state, "reason": storable(reason)}
    if limits is not None:
        changes["limits"] = json_text(limits)
    if settings is not None:
        changes |= {
            "settings": _shown(settings, hidden),
            "secret": Sealer(secret, PURPOSE).seal(json_text(settings)),
        }
    async with db.tenant(tenant_id) as connection:
        present = await connection.fetchval(
            "select version from channels where tenant_id = $1 and id = $2 and deleted_us = 0 for update",
            tenant_id,
            channel_id,
        )
        if present is None:
            raise NotFound(f"there is no channel {channel_id}", code="no_such_channel")
        if version is not None and version != present:
            raise Conflict("the channel has been changed since it was read", code="version_mismatch")
        assignments = "".join(f"{column} = ${n}, " for n, column in enumerate(changes, start=4))
        row = await connection.fetchrow(
            f"update channels set {assignments}version = version + 1, updated_us = $3"  # noqa: S608
            f" where tenant_id = $1 and id = $2 returning {_COLUMNS}",
            tenant_id,
            channel_id,
            now_us(),
            *changes.values(),
        )
        await _tell(connection, row, "channel.updated")
    return _row(row)


async def delete_channel(db: Database, tenant_id: str, channel_id: str) -> None:
    """Disconnect an account; its messages stay. Raises `NotFound`, `Conflict` while messages wait to be sent."""
    async with db.tenant(tenant_id) as connection:
        waiting = await connection.fetchval(
            "select count(*) from outbox where tenant_id = $1 and channel_id = $2", tenant_id, channel_id
        )
        if waiting:
            raise Conflict(f"{waiting} messages wait to be sent through it", code="has_messages")
        row = await connection.fetchrow(
            "update channels set deleted_us = $3, secret = '', version = version + 1"  # noqa: S608
            f" where tenant_id = $1 and id = $2 and deleted_us = 0 returning {_COLUMNS}",
            tenant_id,
            channel_id,
            now_us(),
        )
        if row is None:
            raise NotFound(f"there is no channel {channel_id}", code="no_such_channel")
        await _tell(connection, row, "channel.deleted")


async def load_place(db: Database, tenant_id: str, channel_id: str) -> bytes:
    """Where the account's connection goes on; empty at first."""
    async with db.reader(tenant_id) as connection:
        place = await connection.fetchval(
            "select place from channel_places where tenant_id = $1 and channel_id = $2", tenant_id, channel_id
        )
    return bytes(place or b"")


async def save_place(db: Database, tenant_id: str, channel_id: str, place: bytes) -> None:
    """Remember where the account's connection goes on."""
    async with db.reader(tenant_id) as connection:
        await connection.execute(
            "insert into channel_places (tenant_id, channel_id, place, updated_us) values ($1, $2, $3, $4)"
            " on conflict (tenant_id, channel_id) do update set place = excluded.place, updated_us = excluded.updated_us",
            tenant_id,
            channel_id,
            place,
            now_us(),
        )


async def backlog(db: Database, tenant_id: str, channel_id: str) -> dict[str, int]:
    """What waits to be sent through it, and since when the oldest has been due (0 for nothing)."""
    async with db.reader(tenant_id) as connection:
        row = await connection.fetchrow(
            "select count(*) as waiting, count(*) filter (where calling) as calling,"
            " coalesce(min(due_us), 0)::bigint as oldest_due_us from outbox where tenant_id = $1 and channel_id = $2",
            tenant_id,
            channel_id,
        )
    return dict(row)


def _shown(settings: Mapping[str, Any], hidden: Collection[str]) -> str:
    return json_text({name: value for name, value in settings.items() if name not in hidden})


def _row(row: Any, sealer: Sealer | None = None) -> ChannelRow:
    members = {name: row[name] for name in ChannelRow.__struct_fields__}
    whole = row["settings"] if sealer is None else sealer.open(row["secret"])
    return ChannelRow(
        **{**members, "settings": msgspec.json.decode(whole), "limits": msgspec.json.decode(row["limits"])}
    )


async def _tell(connection: Connection, row: Any, kind: str) -> None:
    told = {name: row[name] for name in ("id", "type", "name", "state", "version")}
    entry = NewEntry(
        tenant_id=row["tenant_id"],
        type=kind,
        resource=row["id"],
        data=msgspec.json.encode({"channel": told}),
        occurred_us=row["updated_us"],
    )
    await append(connection, [entry])
