"""Prompts: sounds that a tenant has uploaded for its callers. The bytes are in the object store, switches fetch them."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from core.clock import now_us
from core.errors import Conflict, NotFound
from core.storage.appending import append
from core.storage.arrivals import entry_of
from core.storage.database import Connection, Database
from core.storage.texts import storable
from core.storage.versions import check_version

_COLUMNS = (
    "id, name, language, size, sha256, key, duration_ms, channels, rate, version, created_us, updated_us"
)


class MediaRow(Struct, frozen=True, kw_only=True):
    """A prompt as it is stored."""

    id: str
    name: str
    language: str
    size: int
    sha256: bytes
    key: str
    duration_ms: int
    channels: int
    rate: int
    version: int
    created_us: int
    updated_us: int


class Prompt(Struct, frozen=True, kw_only=True):
    """A prompt as a switch needs it."""

    tenant_id: str
    id: str
    size: int
    sha256: bytes
    key: str


def key_of(tenant_id: str, media_id: str) -> str:
    """Where the bytes are in the object store."""
    return f"media/{tenant_id}/{media_id}.wav"


async def add(db: Database, tenant_id: str, given: Mapping[str, Any], *, actor: str = "") -> MediaRow:
    """Enter a prompt whose bytes are in the object store already."""
    moment = now_us()
    async with db.tenant(tenant_id) as connection:
        row = await connection.fetchrow(
            "insert into media (tenant_id, id, name, language, size, sha256, key, duration_ms, channels, rate, created_us,"  # noqa: S608
            f" updated_us) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) returning {_COLUMNS}",
            tenant_id,
            given["id"],
            storable(given["name"]),
            storable(given["language"]),
            given["size"],
            given["sha256"],
            given["key"],
            given["duration_ms"],
            given["channels"],
            given["rate"],
            moment,
        )
        await _tell(connection, tenant_id, row, "media.created", actor)
    return MediaRow(**dict(row))


async def list_media(
    db: Database, tenant_id: str, *, limit: int, after: tuple[int, str] | None = None
) -> list[MediaRow]:
    """Up to ``limit`` + 1 of them, newest first."""
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            f"select {_COLUMNS} from media where tenant_id = $1 and deleted_us = 0"  # noqa: S608 - our own words
            " and ($3::bigint is null or (created_us, id) < ($3, $4)) order by created_us desc, id desc limit $2",
            tenant_id,
            limit + 1,
            None if after is None else after[0],
            None if after is None else after[1],
        )
    return [MediaRow(**dict(row)) for row in rows]


async def get(db: Database, tenant_id: str, media_id: str) -> MediaRow:
    """Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        row = await connection.fetchrow(
            f"select {_COLUMNS} from media where tenant_id = $1 and id = $2 and deleted_us = 0",  # noqa: S608
            tenant_id,
            media_id,
        )
    if row is None:
        raise _no_such(media_id)
    return MediaRow(**dict(row))


async def change(
    db: Database,
    tenant_id: str,
    media_id: str,
    given: Mapping[str, str],
    *,
    version: int | None = None,
    actor: str = "",
) -> MediaRow:
    """Another name or language. Raises `NotFound`, `ChangedMeanwhile`."""
    async with db.tenant(tenant_id) as connection:
        present = await _lock(connection, tenant_id, media_id)
        check_version(present, version)
        row = await connection.fetchrow(
            "update media set name = coalesce($3, name), language = coalesce($4, language), version = version + 1,"  # noqa: S608
            f" updated_us = $5 where tenant_id = $1 and id = $2 returning {_COLUMNS}",
            tenant_id,
            media_id,
            storable(given["name"]) if "name" in given else None,
            storable(given["language"]) if "language" in given else None,
            now_us(),
        )
        await _tell(connection, tenant_id, row, "media.updated", actor)
    return MediaRow(**dict(row))


async def remove(db: Database, tenant_id: str, media_id: str, *, actor: str = "") -> str:
    """It is played no more; its key, for the object store. Raises `NotFound`, `Conflict` while a policy announces by it."""
    async with db.tenant(tenant_id) as connection:
        await _lock(connection, tenant_id, media_id)
        user = await connection.fetchval(
            "select name from recording_policies where tenant_id = $1 and announcement = $2 and deleted_us = 0 limit 1",
            tenant_id,
            media_id,
        )
        if user is not None:
            raise Conflict(f"the recording policy {user} announces by it", code="in_use")
        row = await connection.fetchrow(
            "update media set deleted_us = $3, updated_us = $3, version = version + 1 where tenant_id = $1 and id = $2"  # noqa: S608
            f" returning {_COLUMNS}",
            tenant_id,
            media_id,
            now_us(),
        )
        await _tell(connection, tenant_id, row, "media.deleted", actor)
    return str(row["key"])


async def for_switches(db: Database) -> list[Prompt]:
    """Every tenant's prompts."""
    async with db.system() as connection:
        rows = await connection.fetch(
            "select tenant_id, id, size, sha256, key from media where deleted_us = 0"
        )
    return [Prompt(**dict(row)) for row in rows]


def _no_such(media_id: str) -> NotFound:
    return NotFound(f"there is no prompt {media_id}", code="no_such_media")


async def _lock(connection: Connection, tenant_id: str, media_id: str) -> int:
    version: int | None = await connection.fetchval(
        "select version from media where tenant_id = $1 and id = $2 and deleted_us = 0 for update",
        tenant_id,
        media_id,
    )
    if version is None:
        raise _no_such(media_id)
    return version


async def _tell(connection: Connection, tenant_id: str, row: Any, kind: str, actor: str) -> None:
    told = {name: row[name] for name in ("id", "name", "language", "version")}
    entry = entry_of(tenant_id, kind, row["id"], {"media": told, "actor": actor}, row["updated_us"])
    await append(connection, [entry])
