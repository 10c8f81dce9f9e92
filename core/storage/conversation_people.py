"""Who takes part in a conversation: beginning one, participants, and handing it on."""

from typing import Any

from core.clock import now_us
from core.errors import Conflict, NotFound
from core.ids import new_id
from core.storage.acting import need_user
from core.storage.appending import append
from core.storage.contact_rows import entry, lock
from core.storage.conversations import CONVERSATION_TOLD, read_conversation
from core.storage.database import Connection, Database
from core.storage.texts import json_text, storable
from irisx_sdk.messages import Address, AddressKind

MOST_PARTICIPANTS = 50


async def begin(
    db: Database,
    tenant_id: str,
    *,
    contact_id: str,
    channel_id: str,
    kind: AddressKind,
    subject: str,
    actor: str,
    request_id: str = "",
) -> tuple[bytes, bool]:
    """A conversation with somebody who has not written yet, as JSON; or the open one that there is (then False).

    ``kind`` is what the channel's users are known by. Raises `NotFound`, and `Conflict` when the contact has no such
    address (``no_address``).
    """
    async with db.tenant(tenant_id) as connection:
        await lock(connection, tenant_id, contact_id)
        if not await connection.fetchval(
            "select true from channels where tenant_id = $1 and id = $2 and deleted_us = 0",
            tenant_id,
            channel_id,
        ):
            raise NotFound(f"there is no channel {channel_id}", code="no_such_channel")
        row = await connection.fetchrow(
            "select value, name from identities where tenant_id = $1 and contact_id = $2 and kind = $3"
            " and (scope = $4 or kind <> 'user') order by verified desc, created_us, id limit 1",
            tenant_id,
            contact_id,
            kind,
            channel_id,
        )
        if row is None:
            raise Conflict(
                f"this contact has no address of the kind {kind} for this channel", code="no_address"
            )
        fresh, moment = new_id("conv"), now_us()
        made = await connection.fetchval(
            "insert into conversations (tenant_id, id, channel_id, contact_id, subject, assignee, counterpart,"
            " last_message_us, created_us) values ($1, $2, $3, $4, $5, $6, $7::json, $8, $8) on conflict do nothing"
            " returning id",
            tenant_id,
            fresh,
            channel_id,
            contact_id,
            storable(subject),
            actor if actor.startswith("usr_") else "",
            json_text(Address(kind, row["value"], row["name"])),
            moment,
        )
        if made is None:
            there = await connection.fetchval(
                "select id from conversations where tenant_id = $1 and channel_id = $2 and contact_id = $3 and thread = ''"
                " and state <> 'resolved' and merged_into is null",
                tenant_id,
                channel_id,
                contact_id,
            )
            return await read_conversation(connection, tenant_id, str(there)), False
        body = await read_conversation(connection, tenant_id, fresh)
        told = {"id": fresh, "contact_id": contact_id, "channel_id": channel_id}
        data = {"conversation": told, "actor": actor}
        await append(connection, [entry(tenant_id, "conversation.created", fresh, data, request_id)])
    return body, True


async def add_participant(
    db: Database, tenant_id: str, conversation_id: str, user_id: str, *, actor: str, request_id: str = ""
) -> bytes:
    """The conversation after it. Raises `NotFound`, `Conflict` when there are too many."""
    async with db.tenant(tenant_id) as connection:
        there = await _participants(connection, tenant_id, conversation_id)
        await need_user(connection, tenant_id, user_id)
        if user_id not in there and len(there) >= MOST_PARTICIPANTS:
            raise Conflict(f"a conversation has at most {MOST_PARTICIPANTS} participants", code="too_many")
        now = there if user_id in there else [*there, user_id]
        return await _take_part(connection, tenant_id, conversation_id, now, actor, request_id)


async def remove_participant(
    db: Database, tenant_id: str, conversation_id: str, user_id: str, *, actor: str, request_id: str = ""
) -> None:
    """Raises `NotFound`, also for somebody who takes no part."""
    async with db.tenant(tenant_id) as connection:
        there = await _participants(connection, tenant_id, conversation_id)
        if user_id not in there:
            raise NotFound(f"{user_id} takes no part in it", code="no_such_user")
        now = [one for one in there if one != user_id]
        await _take_part(connection, tenant_id, conversation_id, now, actor, request_id)


async def participants(db: Database, tenant_id: str, conversation_id: str) -> bytes:
    """Their ids and names, as a JSON array. Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        await read_conversation(connection, tenant_id, conversation_id)
        body: bytes = await connection.fetchval(
            "select convert_to(coalesce(json_agg(json_build_object('user_id', p, 'name', coalesce(u.name, '')) order by n),"
            " '[]')::text, 'UTF8') from conversations c, unnest(c.participants) with ordinality as l (p, n)"
            " left join users u on u.tenant_id = $1 and u.id = p where c.tenant_id = $1 and c.id = $2",
            tenant_id,
            conversation_id,
        )
    return body


async def _participants(connection: Connection, tenant_id: str, conversation_id: str) -> list[str]:
    row: Any = await connection.fetchrow(
        "select participants from conversations where tenant_id = $1 and id = $2 and merged_into is null for update",
        tenant_id,
        conversation_id,
    )
    if row is None:
        raise NotFound(f"there is no conversation {conversation_id}", code="no_such_conversation")
    return list(row["participants"])


async def _take_part(
    connection: Connection, tenant_id: str, conversation_id: str, now: list[str], actor: str, request_id: str
) -> bytes:
    told = await connection.fetchrow(
        "update conversations set participants = $3, version = version + 1 where tenant_id = $1 and id = $2"  # noqa: S608
        f" returning {CONVERSATION_TOLD}",
        tenant_id,
        conversation_id,
        now,
    )
    body = await read_conversation(connection, tenant_id, conversation_id)
    data = {"conversation": dict(told), "participants": now, "actor": actor}
    await append(
        connection, [entry(tenant_id, "conversation.participants", conversation_id, data, request_id)]
    )
    return body
