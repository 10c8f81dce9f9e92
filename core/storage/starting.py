"""Before something is written: the contact and conversation that it belongs to, and whose the conversation is."""

import msgspec
from msgspec import Struct

from core.errors import Conflict, NotFound
from core.ids import new_id
from core.storage.appending import append
from core.storage.database import Connection
from core.storage.entries import NewEntry
from core.storage.texts import storable
from irisx_sdk import Address


class Place(Struct, frozen=True):
    """Where a message goes into."""

    conversation_id: str
    contact_id: str


async def open_place(
    connection: Connection, tenant_id: str, to: Address, *, channel_id: str, now_us: int
) -> Place:
    """The contact with this address and their open conversation through this account (or, with none, by whatever way);
    both are made where there is none. In the caller's transaction.
    """
    scope = channel_id if to.kind == "user" else ""
    value = storable(to.value).lower() if to.kind == "email" else storable(to.value)
    # Two that write first to one person come one after the other.
    await connection.execute(
        "select pg_advisory_xact_lock(hashtextextended($1, 13))", f"{tenant_id} {to.kind} {scope} {value}"
    )
    entries: list[NewEntry] = []
    contact_id = await connection.fetchval(
        "select coalesce(c.merged_into, i.contact_id) from identities i left join contacts c on c.tenant_id = i.tenant_id"
        " and c.id = i.contact_id where i.tenant_id = $1 and i.kind = $2 and i.scope = $3 and i.value = $4",
        tenant_id,
        to.kind,
        scope,
        value,
    )
    if contact_id is None:
        contact_id = await _new_contact(connection, tenant_id, to, scope, value, now_us, entries)
    conversation_id = await connection.fetchval(
        "select id from conversations where tenant_id = $1 and contact_id = $2 and channel_id = $3 and thread = ''"
        " and state <> 'resolved' and merged_into is null order by last_message_us desc limit 1 for update",
        tenant_id,
        contact_id,
        channel_id,
    )
    if conversation_id is None:
        conversation_id = new_id("conv", at_us=now_us)
        await connection.execute(
            "insert into conversations (tenant_id, id, contact_id, channel_id, last_message_us, created_us)"
            " values ($1, $2, $3, $4, $5, $5)",
            tenant_id,
            conversation_id,
            contact_id,
            channel_id,
            now_us,
        )
        told = {"id": conversation_id, "contact_id": contact_id, "channel_id": channel_id}
        entries.append(
            _entry(tenant_id, "conversation.created", conversation_id, {"conversation": told}, now_us)
        )
    await append(connection, entries)
    return Place(conversation_id, contact_id)


async def _new_contact(
    connection: Connection,
    tenant_id: str,
    to: Address,
    scope: str,
    value: str,
    now_us: int,
    entries: list[NewEntry],
) -> str:
    contact_id: str = await connection.fetchval(
        "insert into identities (tenant_id, id, contact_id, kind, scope, value, name, created_us)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (tenant_id, kind, scope, value) do update"
        " set value = excluded.value returning contact_id",
        tenant_id,
        new_id("idn", at_us=now_us),
        wanted := new_id("ctc", at_us=now_us),
        to.kind,
        scope,
        value,
        storable(to.name),
        now_us,
    )
    if contact_id == wanted:  # (else they wrote to us at this moment)
        await connection.execute(
            "insert into contacts (tenant_id, id, name, created_us, updated_us) values ($1, $2, $3, $4, $4)",
            tenant_id,
            contact_id,
            storable(to.name),
            now_us,
        )
        told = {"contact": {"id": contact_id, "name": storable(to.name)}}
        entries.append(_entry(tenant_id, "contact.created", contact_id, told, now_us))
    return contact_id


async def take_unassigned(
    connection: Connection,
    tenant_id: str,
    conversation_id: str,
    user_id: str,
    *,
    request_id: str,
    now_us: int,
) -> None:
    """Make it this person's, whose answer is in the same transaction. Raises `Conflict` when somebody else has it."""
    row = await connection.fetchrow(
        "select assignee, contact_id, channel_id, state, version from conversations where tenant_id = $1 and id = $2"
        " for update",
        tenant_id,
        conversation_id,
    )
    if row["assignee"] not in ("", user_id):
        raise Conflict("somebody else has it already", code="already_assigned")
    if row["assignee"] == user_id:
        return
    await connection.execute(
        "update conversations set assignee = $3, version = version + 1 where tenant_id = $1 and id = $2",
        tenant_id,
        conversation_id,
        user_id,
    )
    told = {**dict(row), "id": conversation_id, "assignee": user_id, "version": row["version"] + 1}
    entry = _entry(
        tenant_id,
        "conversation.assigned",
        conversation_id,
        {"conversation": told, "actor": user_id},
        now_us,
        request_id,
    )
    await append(connection, [entry])


async def type_of(connection: Connection, tenant_id: str, channel_id: str) -> str:
    """The type of an account that may be written through. Raises `NotFound`."""
    found: str | None = await connection.fetchval(
        "select type from channels where tenant_id = $1 and id = $2 and deleted_us = 0", tenant_id, channel_id
    )
    if found is None:
        raise NotFound(f"there is no channel {channel_id}", code="no_such_channel")
    return found


def _entry(
    tenant_id: str, kind: str, resource: str, data: object, now_us: int, request_id: str = ""
) -> NewEntry:
    return NewEntry(
        tenant_id=tenant_id,
        type=kind,
        resource=resource,
        data=msgspec.json.encode(data),
        occurred_us=now_us,
        request_id=request_id,
    )
