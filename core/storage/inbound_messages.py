"""The messages themselves, their files, the wishes in them, and what they do to their conversations."""

import msgspec

from core.ids import new_id
from core.model import messaging, optout
from core.storage import attachments, changes, suppressions
from core.storage.arrivals import Arrival, Row, entry_of
from core.storage.database import Connection
from core.storage.entries import NewEntry
from core.storage.texts import bigint, json_text, storable
from irisx_sdk.messages import Content, Preference


async def insert_messages(
    connection: Connection, tenant_id: str, rows: list[Row], entries: list[NewEntry]
) -> None:
    ids = [new_id("msg") for _ in rows]
    said = [row.arrival.message for row in rows]
    inserted = await connection.fetch(
        "insert into messages (tenant_id, id, conversation_id, contact_id, channel_id, kind, direction, state,"
        " provider_id, sender, recipient, content, text, reply_to, order_us, sent_us, created_us, code, reason)"
        " select $1, id, conversation_id, contact_id, channel_id, 'message', 'in', 'received', provider_id,"
        " sender::json, nullif(recipient, '')::json, content::json, text, reply_to, order_us, sent_us, created_us,"
        " case when reason = '' then '' else 'partial' end, reason"
        " from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],"
        " $10::text[], $11::text[], $12::bigint[], $13::bigint[], $14::bigint[], $15::text[])"
        " m (id, conversation_id, contact_id, channel_id, provider_id, sender, recipient, content, text, reply_to,"
        " order_us, sent_us, created_us, reason)"
        " on conflict (tenant_id, channel_id, inbound_id) where inbound_id is not null do nothing"
        " returning id",
        tenant_id,
        ids,
        [row.conversation_id for row in rows],
        [row.contact_id for row in rows],
        [row.arrival.channel_id for row in rows],
        [storable(one.id) for one in said],
        [json_text(one.sender) for one in said],
        [json_text(one.recipient) if one.recipient else "" for one in said],
        [json_text(_without_files(one.content)) for one in said],
        [storable(messaging.words_of(one.content)) for one in said],
        [storable(one.reply_to) for one in said],
        [bigint(messaging.order_us(row.arrival.message.sent_us, row.arrival.arrived_us)) for row in rows],
        [bigint(one.sent_us) for one in said],
        [row.arrival.arrived_us for row in rows],
        [_incomplete(row.arrival) for row in rows],
    )
    there = {one["id"] for one in inserted}
    fresh = []
    for message_id, row in zip(ids, rows, strict=True):
        if message_id in there:
            row.message_id = message_id
            fresh.append(row)
    if not fresh:
        return
    kept = [
        msgspec.structs.replace(file, message_id=row.message_id)
        for row in fresh
        for file in row.arrival.files
    ]
    if kept:
        await attachments.insert(connection, tenant_id, kept)
    if any(row.taken_back for row in fresh):
        await _take_back(connection, tenant_id, fresh)
    await _move_conversations(connection, tenant_id, fresh, entries)
    for row in fresh:
        one = row.arrival.message
        data = {
            "message": {
                "id": row.message_id,
                "conversation_id": row.conversation_id,
                "contact_id": row.contact_id,
                "channel_id": row.arrival.channel_id,
                "direction": "in",
                # Whether a person waits for an answer: not after a machine's message, a sign or a correction.
                "asks": not one.automatic and not messaging.is_passing(one.content),
                "preview": storable(messaging.preview_of(one.content)),
            }
        }
        entries.append(
            entry_of(tenant_id, "message.received", row.message_id, data, row.arrival.arrived_us, one.sent_us)
        )


def _incomplete(arrival: Arrival) -> str:
    return f"parts that never came: {', '.join(map(str, arrival.missing))}" if arrival.missing else ""


async def _take_back(connection: Connection, tenant_id: str, fresh: list[Row]) -> None:
    """Messages that were taken back before they came: their words are shown to nobody."""
    arrived = [(row.message_id, row.arrival.channel_id, storable(row.arrival.message.id)) for row in fresh]
    gone = await changes.early_deletions(connection, tenant_id, arrived)
    for row in fresh:
        if row.message_id in gone:
            row.arrival = msgspec.structs.replace(
                row.arrival,
                message=msgspec.structs.replace(row.arrival.message, content=changes.GONE, files=()),
            )
    if gone:
        await connection.execute(
            "update messages m set content = $3::json, text = '', deleted_us = w.at from unnest($2::text[], $4::bigint[])"
            " w (id, at) where m.tenant_id = $1 and m.id = w.id",
            tenant_id,
            list(gone),
            json_text(changes.GONE),
            list(gone.values()),
        )
        await connection.execute(
            "update attachments set state = 'refused', reason = 'deleted', source = null"
            " where tenant_id = $1 and message_id = any($2)",
            tenant_id,
            list(gone),
        )


async def hear_wishes(connection: Connection, tenant_id: str, rows: list[Row]) -> list[NewEntry]:
    """Opt-out words in new messages, with the message or not at all: one that is delivered again says nothing new."""
    said: list[tuple[Preference, str, int]] = []
    for row in rows:
        message, arrival = row.arrival.message, row.arrival
        if not row.message_id or not arrival.family or message.automatic:
            continue
        if (word := optout.wish(message.content)) is not None:
            said.append(
                (Preference(message.id, message.sender, word == "start"), arrival.family, arrival.arrived_us)
            )
    entries: list[NewEntry] = []
    for wish, family, at_us in sorted(said, key=lambda one: (one[0].sender.kind, one[0].sender.value)):
        entries += await suppressions.wish(connection, tenant_id, wish, scope=family, now_us=at_us)
    return entries


async def _move_conversations(
    connection: Connection, tenant_id: str, rows: list[Row], entries: list[NewEntry]
) -> None:
    """Count, wake up, and remember what the next answer needs."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.conversation_id, []).append(row)
    last = {key: group[-1].arrival for key, group in groups.items()}
    asking = {
        key: [
            row.arrival.arrived_us
            for row in group
            if not row.arrival.message.automatic and not messaging.is_passing(row.arrival.message.content)
        ]
        for key, group in groups.items()
    }
    moved = await connection.fetch(
        "update conversations c set messages = c.messages + w.n, unread = c.unread + w.n,"
        " last_message_us = greatest(c.last_message_us, w.at), last_inbound_us = greatest(c.last_inbound_us, w.at),"
        " first_inbound_us = case when c.first_inbound_us = 0 then w.at else c.first_inbound_us end,"
        " waiting_since_us = case when c.waiting_since_us = 0 then w.asked else c.waiting_since_us end,"
        " state = case when w.asked > 0 and c.state in ('snoozed', 'pending') then 'open' else c.state end,"
        " snoozed_until_us = case when w.asked > 0 then 0 else c.snoozed_until_us end,"
        " preview = case when w.preview = '' then c.preview else w.preview end,"
        " context = c.context || w.context::jsonb, version = c.version + 1"
        " from unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::text[], $7::text[])"
        # (the array beside the join: their rows are found by the key, not among all of a tenant's)
        " w (id, n, at, asked, preview, context) where c.tenant_id = $1 and c.id = w.id and c.id = any($2::text[])"
        " returning c.id, c.contact_id, c.channel_id, c.state, c.assignee, c.unread, c.waiting_since_us, c.version",
        tenant_id,
        list(groups),
        [len(group) for group in groups.values()],
        [last[key].arrived_us for key in groups],
        [min(asking[key], default=0) for key in groups],
        [storable(messaging.preview_of(last[key].message.content)) for key in groups],
        [json_text(last[key].message.context) for key in groups],
    )
    for one in moved:
        data = {"conversation": dict(one)}
        entries.append(
            entry_of(tenant_id, "conversation.updated", one["id"], data, last[one["id"]].arrived_us)
        )


def _without_files(content: Content) -> Content:
    """The content as it is stored: where a file is and what is in it is the attachment's business."""
    file = getattr(content, "file", None)
    if file is None:
        return content
    return msgspec.structs.replace(content, file=msgspec.structs.replace(file, url="", content=None, id=""))
