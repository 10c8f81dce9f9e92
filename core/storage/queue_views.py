"""Entries and reservations as lists, and what is going on in queues at this moment."""

from collections.abc import Iterable
from typing import Any

import msgspec

from core.model.queueing_records import QueueEntry, WorkSettings
from core.model.reservations import Reservation
from core.storage.appending import append
from core.storage.arrivals import entry_of as log_entry
from core.storage.database import Database
from core.storage.listing import Asked, Listing, Page, list_json
from core.storage.queue_rows import now_of, settings_of
from core.storage.texts import json_text
from core.storage.versions import check_version


def _document(kind: type[Any]) -> str:
    names = [field.encode_name for field in msgspec.structs.fields(kind)]
    # (a function takes a hundred arguments: two objects, joined)
    half = len(names) // 2
    parts = [
        "jsonb_build_object(" + ", ".join(f"'{name}', {name}" for name in some) + ")"
        for some in (names[:half], names[half:])
    ]
    return f"({' || '.join(parts)})::text"


ENTRIES = Listing(
    "queue_entries",
    place="entered_us",
    columns="id queue_id kind state outcome call_id conversation_id contact_id entered_us left_us",
    document=_document(QueueEntry),
)
RESERVATIONS = Listing(
    "reservations",
    place="offered_us",
    columns="id agent_id queue_id kind state call_id conversation_id offered_us disposition",
    document=_document(Reservation),
)
SETTINGS_ID = "queue_settings"


async def list_entries(
    db: Database,
    tenant_id: str,
    conditions: Iterable[Asked] = (),
    *,
    limit: int,
    after: tuple[int, str] | None = None,
) -> Page:
    """Who waits or waited, newest first."""
    return await list_json(db, tenant_id, ENTRIES, conditions, limit=limit, after=after)


async def list_reservations(
    db: Database,
    tenant_id: str,
    conditions: Iterable[Asked] = (),
    *,
    limit: int,
    after: tuple[int, str] | None = None,
) -> Page:
    """Offers and what became of them, newest first."""
    return await list_json(db, tenant_id, RESERVATIONS, conditions, limit=limit, after=after)


async def get_settings(db: Database, tenant_id: str) -> tuple[WorkSettings, int]:
    """What holds for all queues, and its version (0: nobody has changed it)."""
    async with db.reader(tenant_id) as connection:
        version = await connection.fetchval(
            "select version from queue_settings where tenant_id = $1", tenant_id
        )
        return await settings_of(connection, tenant_id), version or 0


async def put_settings(
    db: Database, tenant_id: str, settings: WorkSettings, *, version: int | None = None, request_id: str = ""
) -> int:
    """Replace it; the version after it. Raises `ChangedMeanwhile`."""
    async with db.tenant(tenant_id) as connection:
        present = await connection.fetchval(
            "select version from queue_settings where tenant_id = $1 for update", tenant_id
        )
        check_version(present or 0, version)
        moment = await now_of(connection)
        after = await connection.fetchval(
            "insert into queue_settings as s (tenant_id, doc, updated_us) values ($1, $2::jsonb, $3)"
            " on conflict (tenant_id) do update set doc = excluded.doc, version = s.version + 1,"
            " updated_us = excluded.updated_us returning version",
            tenant_id,
            json_text(settings),
            moment,
        )
        data = {"settings": settings, "version": after}
        entry = log_entry(tenant_id, "queue_settings.changed", SETTINGS_ID, data, moment)
        await append(connection, [msgspec.structs.replace(entry, request_id=request_id)])
    return int(after)
