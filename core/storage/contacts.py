"""People outside: their names, the addresses they write from, and what colleagues noted about them.

An address belongs to one contact of a tenant. A contact is deleted softly and gives its addresses free, so that whoever
writes from one later is a new contact; it stays while one of its conversations is open.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from core.clock import now_us
from core.errors import Conflict
from core.ids import new_id
from core.storage.appending import append
from core.storage.contact_rows import ALIVE, DOCUMENT, Is, entry, lock, read
from core.storage.database import Database
from core.storage.identities import NewIdentity, insert_identity
from core.storage.listing import Asked, Listing, Page, list_json
from core.storage.texts import json_text, storable
from core.storage.versions import check_version

CONTACTS = Listing(
    "contacts",
    place="created_us",
    columns="id name company language timezone created_us updated_us",
    document=DOCUMENT,
)
NOTES = Listing(
    "contact_notes",
    place="created_us",
    columns="id contact_id author created_us",
    document="json_build_object('id', id, 'contact_id', contact_id, 'author', author, 'text', text,"
    " 'created_us', created_us)::text",
)


async def list_contacts(
    db: Database,
    tenant_id: str,
    conditions: Iterable[Asked],
    *,
    limit: int,
    after: tuple[int, str] | None,
) -> Page:
    """Newest first, without those that were deleted or merged into another."""
    return await list_json(db, tenant_id, CONTACTS, conditions, limit=limit, after=after, only=ALIVE)


async def get_contact(db: Database, tenant_id: str, contact_id: str) -> bytes:
    """As JSON, also one that was merged into another (``merged_into`` says which). Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        return await read(connection, tenant_id, contact_id)


async def create_contact(
    db: Database,
    tenant_id: str,
    members: Mapping[str, Any],
    identities: Iterable[NewIdentity],
    *,
    actor: str,
    request_id: str = "",
) -> bytes:
    """A new contact with its addresses, as JSON. Raises `IdentityTaken`, `RequestError` for a bad address."""
    contact_id, moment = new_id("ctc"), now_us()
    async with db.tenant(tenant_id) as connection:
        await connection.execute(
            "insert into contacts (tenant_id, id, name, company, language, timezone, attributes, created_us, updated_us)"
            " values ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $8)",
            tenant_id,
            contact_id,
            storable(str(members.get("name", ""))),
            storable(str(members.get("company", ""))),
            str(members.get("language", "")),
            str(members.get("timezone", "")),
            json_text(members.get("attributes", {})),
            moment,
        )
        for one in identities:
            await insert_identity(connection, tenant_id, contact_id, one, moment)
        body = await read(connection, tenant_id, contact_id)
        name = storable(str(members.get("name", "")))
        data = {"contact": {"id": contact_id, "name": name}, "actor": actor}
        await append(connection, [entry(tenant_id, "contact.created", contact_id, data, request_id)])
    return body


async def update_contact(
    db: Database,
    tenant_id: str,
    contact_id: str,
    members: Mapping[str, Any],
    *,
    version: int | None,
    actor: str,
    request_id: str = "",
) -> bytes:
    """Change what is given; ``attributes`` as a whole. Raises `NotFound`, `Conflict` (merged), `ChangedMeanwhile`."""
    async with db.tenant(tenant_id) as connection:
        check_version(await lock(connection, tenant_id, contact_id), version)
        values: list[object] = [tenant_id, contact_id, now_us()]
        assignments = ""
        for name, value in members.items():
            values.append(json_text(value) if name == "attributes" else storable(str(value)))
            assignments += f"{name} = ${len(values)}{'::jsonb' if name == 'attributes' else ''}, "
        await connection.execute(
            f"update contacts set {assignments}version = version + 1, updated_us = $3"  # noqa: S608
            " where tenant_id = $1 and id = $2",
            *values,
        )
        body = await read(connection, tenant_id, contact_id)
        data = {"contact": {"id": contact_id}, "changed": sorted(members), "actor": actor}
        await append(connection, [entry(tenant_id, "contact.updated", contact_id, data, request_id)])
    return body


async def delete_contact(
    db: Database,
    tenant_id: str,
    contact_id: str,
    *,
    version: int | None,
    actor: str,
    request_id: str = "",
) -> None:
    """Forget a contact and give its addresses free; what was written stays where it is.

    Raises `NotFound`, `ChangedMeanwhile`, and `Conflict` while conversations of theirs are open: answering nobody
    would be the result.
    """
    async with db.tenant(tenant_id) as connection:
        check_version(await lock(connection, tenant_id, contact_id), version)
        open_ = await connection.fetchval(
            "select count(*) from conversations where tenant_id = $1 and contact_id = $2 and state <> 'resolved'"
            " and merged_into is null",
            tenant_id,
            contact_id,
        )
        if open_:
            raise Conflict(f"{open_} conversations with them are open: resolve those first", code="in_use")
        await connection.execute(
            "delete from identities where tenant_id = $1 and contact_id = $2", tenant_id, contact_id
        )
        await connection.execute(
            "update contacts set deleted_us = $3, version = version + 1 where tenant_id = $1 and id = $2",
            tenant_id,
            contact_id,
            now_us(),
        )
        data = {"contact": {"id": contact_id}, "actor": actor}
        await append(connection, [entry(tenant_id, "contact.deleted", contact_id, data, request_id)])


async def list_notes(
    db: Database, tenant_id: str, contact_id: str, *, limit: int, after: tuple[int, str] | None
) -> Page:
    """Newest first. Raises `NotFound`."""
    await get_contact(db, tenant_id, contact_id)
    return await list_json(db, tenant_id, NOTES, [Is("contact_id", contact_id)], limit=limit, after=after)


async def add_note(
    db: Database, tenant_id: str, contact_id: str, text: str, *, author: str, request_id: str = ""
) -> bytes:
    """The note, as JSON. Raises `NotFound`."""
    note_id, moment = new_id("nte"), now_us()
    async with db.tenant(tenant_id) as connection:
        await lock(connection, tenant_id, contact_id)
        body: bytes = await connection.fetchval(
            "insert into contact_notes (tenant_id, id, contact_id, author, text, created_us)"  # noqa: S608
            f" values ($1, $2, $3, $4, $5, $6) returning convert_to({NOTES.document}, 'UTF8')",
            tenant_id,
            note_id,
            contact_id,
            author,
            storable(text),
            moment,
        )
        data = {"contact": {"id": contact_id}, "note": note_id, "actor": author}
        await append(connection, [entry(tenant_id, "contact.noted", contact_id, data, request_id)])
    return body
