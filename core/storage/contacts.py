"""People outside: their names, the addresses they write from, and what colleagues noted about them.

An address belongs to one contact of a tenant. A contact is deleted softly and gives its addresses free, so that whoever
writes from one later is a new contact; it stays while one of its conversations is open.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from core.clock import now_us
from core.errors import Conflict, NotFound
from core.ids import new_id
from core.model import addresses
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.listing import Asked, Listing, Page, list_json
from core.storage.texts import json_text, storable
from core.storage.versions import check_version

_PLAIN = "id name company language timezone attributes merged_into version created_us updated_us"
_IDENTITIES = (
    "(select coalesce(json_agg(json_build_object('id', i.id, 'kind', i.kind, 'scope', i.scope, 'value', i.value,"
    " 'name', i.name, 'verified', i.verified, 'created_us', i.created_us) order by i.created_us, i.id), '[]')"
    " from identities i where i.tenant_id = contacts.tenant_id and i.contact_id = contacts.id)"
)
_MEMBERS = ", ".join(f"'{name}', contacts.{name}" for name in _PLAIN.split())
DOCUMENT = f"json_build_object({_MEMBERS}, 'identities', {_IDENTITIES})::text"
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
ALIVE = " and deleted_us = 0 and merged_into is null"
MOST_IDENTITIES = 100
"""Addresses of one contact."""


class IdentityTaken(Conflict):
    """Another contact has this address."""

    code = "identity_taken"


class NewIdentity(Struct, frozen=True):
    """An address that is to be somebody's."""

    kind: str
    value: str
    scope: str = ""
    """For kind ``user``: the account to which the id means something."""
    name: str = ""
    verified: bool = False


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


async def read(connection: Connection, tenant_id: str, contact_id: str) -> bytes:
    """Like `get_contact`, in the caller's transaction."""
    body: bytes | None = await connection.fetchval(
        f"select convert_to({DOCUMENT}, 'UTF8') from contacts"  # noqa: S608 - our own words
        " where tenant_id = $1 and id = $2 and deleted_us = 0",
        tenant_id,
        contact_id,
    )
    if body is None:
        raise no_such(contact_id)
    return body


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
            await _add_identity(connection, tenant_id, contact_id, one, moment)
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


# -- addresses


async def identities_of(db: Database, tenant_id: str, contact_id: str) -> bytes:
    """All of them, as a JSON array. Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        document = msgspec.json.decode(
            await read(connection, tenant_id, contact_id), type=dict[str, msgspec.Raw]
        )
    return bytes(document["identities"])


async def add_identity(
    db: Database,
    tenant_id: str,
    contact_id: str,
    identity: NewIdentity,
    *,
    actor: str,
    request_id: str = "",
) -> bytes:
    """The contact after it, as JSON. Raises `NotFound`, `IdentityTaken`, `RequestError` for a bad address."""
    async with db.tenant(tenant_id) as connection:
        await lock(connection, tenant_id, contact_id)
        count = await connection.fetchval(
            "select count(*) from identities where tenant_id = $1 and contact_id = $2", tenant_id, contact_id
        )
        if count >= MOST_IDENTITIES:
            raise Conflict(f"a contact has at most {MOST_IDENTITIES} addresses", code="too_many")
        moment = now_us()
        identity_id = await _add_identity(connection, tenant_id, contact_id, identity, moment)
        await _touch(connection, tenant_id, contact_id, moment)
        body = await read(connection, tenant_id, contact_id)
        data = {"contact": {"id": contact_id}, "identity": identity_id, "kind": identity.kind, "actor": actor}
        await append(connection, [entry(tenant_id, "contact.identity_added", contact_id, data, request_id)])
    return body


async def remove_identity(
    db: Database, tenant_id: str, contact_id: str, identity_id: str, *, actor: str, request_id: str = ""
) -> None:
    """Whoever writes from it next is a new contact. Raises `NotFound`."""
    async with db.tenant(tenant_id) as connection:
        await lock(connection, tenant_id, contact_id)
        gone = await connection.fetchval(
            "delete from identities where tenant_id = $1 and contact_id = $2 and id = $3 returning kind",
            tenant_id,
            contact_id,
            identity_id,
        )
        if gone is None:
            raise NotFound(f"this contact has no address {identity_id}", code="no_such_identity")
        await _touch(connection, tenant_id, contact_id, now_us())
        data = {"contact": {"id": contact_id}, "identity": identity_id, "kind": gone, "actor": actor}
        await append(connection, [entry(tenant_id, "contact.identity_removed", contact_id, data, request_id)])


async def _add_identity(
    connection: Connection, tenant_id: str, contact_id: str, identity: NewIdentity, moment: int
) -> str:
    value = storable(addresses.normal(identity.kind, identity.value))
    scope = storable(identity.scope) if identity.kind == "user" else ""
    identity_id = new_id("idn")
    made = await connection.fetchval(
        "insert into identities (tenant_id, id, contact_id, kind, scope, value, name, verified, created_us)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (tenant_id, kind, scope, value) do nothing returning id",
        tenant_id,
        identity_id,
        contact_id,
        identity.kind,
        scope,
        value,
        storable(identity.name),
        identity.verified,
        moment,
    )
    if made is None:
        holder = await connection.fetchval(
            "select contact_id from identities where tenant_id = $1 and kind = $2 and scope = $3 and value = $4",
            tenant_id,
            identity.kind,
            scope,
            value,
        )
        raise IdentityTaken(f"this address belongs to the contact {holder}")
    return identity_id


# -- notes


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


# -- what the others of this room need, too


class Is(Struct, frozen=True):
    """A condition of our own."""

    field: str
    value: object
    op: str = "eq"


async def lock(connection: Connection, tenant_id: str, contact_id: str) -> int:
    """The version of a contact that is now ours until the transaction ends. Raises `NotFound`, `Conflict` (merged)."""
    row = await connection.fetchrow(
        "select version, merged_into from contacts where tenant_id = $1 and id = $2 and deleted_us = 0 for update",
        tenant_id,
        contact_id,
    )
    if row is None:
        raise no_such(contact_id)
    if row["merged_into"] is not None:
        raise Conflict(f"this contact was merged into {row['merged_into']}", code="merged")
    return int(row["version"])


async def _touch(connection: Connection, tenant_id: str, contact_id: str, moment: int) -> None:
    await connection.execute(
        "update contacts set version = version + 1, updated_us = $3 where tenant_id = $1 and id = $2",
        tenant_id,
        contact_id,
        moment,
    )


def no_such(contact_id: str) -> NotFound:
    return NotFound(f"there is no contact {contact_id}", code="no_such_contact")


_encode = msgspec.json.Encoder().encode


def entry(tenant_id: str, kind: str, resource: str, data: object, request_id: str = "") -> NewEntry:
    """An entry of the log that happens now."""
    return NewEntry(
        tenant_id=tenant_id,
        type=kind,
        resource=resource,
        data=_encode(data),
        occurred_us=now_us(),
        request_id=request_id,
    )
