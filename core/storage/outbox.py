"""Messages on their way out. Nothing is sent that is not stored first, and nothing is sent twice without knowing it.

The life of a row, each step a transaction of its own, so that a sender may die between any two:

1. `enqueue`: message and row, with whatever else the request changes.
2. `claim`: a sender takes due rows of an account for `CLAIM_S`; others pass them by (``skip locked``).
3. `begin`: the attempt and its decision are written, and ``calling``: from here on the provider may have it.
4. `sent`, `again` or `over`: what came of it. `unknown`: nobody can say; only a receipt, a person, or a provider that
   recognises repetitions moves it on.

`stranded` finds the rows whose sender died between 3 and 4.
"""

from typing import Any

import msgspec
from msgspec import Struct

from core.ids import new_id
from core.model import messaging
from core.model.policy import Purpose
from core.storage import receipts
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.texts import json_text, storable
from irisx_sdk.messages import Address, Content, Sent

CLAIM_S = 60
"""How long a sender may keep a row before others may look after it; sending has a deadline well below."""
FOR_EVER_US = 2**62

_encode = msgspec.json.Encoder().encode


class NewMessage(Struct, frozen=True, kw_only=True):
    """Something to send, as it is asked for."""

    conversation_id: str
    contact_id: str
    channel_id: str
    to: Address
    content: Content
    author: str = ""
    reply_to: str = ""
    send_at_us: int = 0
    deadline_us: int = 0
    """After it nobody wants it any more (a code, a reminder); 0 for never."""
    purpose: Purpose = "service"
    confirms_opt_out: bool = False
    files: tuple[str, ...] = ()
    """Attachments that are ready and belong to no message yet (`core.storage.attachments.take`), in their order."""
    now_us: int


class Claimed(Struct, frozen=True):
    """A row that is ours for a while."""

    tenant_id: str
    message_id: str
    channel_id: str
    attempts: int
    deadline_us: int


async def enqueue(connection: Connection, tenant_id: str, message: NewMessage) -> str:
    """Put a message into its conversation and the outbox; its id. In the caller's transaction, as its last statement."""
    message_id = new_id("msg", at_us=message.now_us)
    await connection.execute(
        "insert into messages (tenant_id, id, conversation_id, contact_id, channel_id, kind, direction, state, author,"
        " recipient, content, text, reply_to, order_us, send_at_us, created_us)"
        " values ($1, $2, $3, $4, $5, 'message', 'out', 'queued', $6, $7::json, $8::json, $9, $10, $11, $12, $11)",
        tenant_id,
        message_id,
        message.conversation_id,
        message.contact_id,
        message.channel_id,
        message.author,
        json_text(message.to),
        json_text(message.content),
        storable(messaging.words_of(message.content)),
        storable(message.reply_to),
        message.now_us,
        message.send_at_us,
    )
    await connection.execute(
        "insert into outbox (tenant_id, message_id, channel_id, due_us, deadline_us, purpose, confirms_opt_out)"
        " values ($1, $2, $3, $4, $5, $6, $7)",
        tenant_id,
        message_id,
        message.channel_id,
        max(message.now_us, message.send_at_us),
        message.deadline_us or FOR_EVER_US,
        message.purpose,
        message.confirms_opt_out,
    )
    if message.files:
        await connection.execute(
            "update attachments set message_id = $2, channel_id = $3, part = array_position($4, id)"
            " where tenant_id = $1 and id = any($4) and message_id = '' and state = 'ready'",
            tenant_id,
            message_id,
            message.channel_id,
            list(message.files),
        )
    moved = await connection.fetchrow(
        "update conversations set messages = messages + 1, waiting_since_us = 0, last_message_us = $3,"
        " first_reply_us = case when first_reply_us = 0 and first_inbound_us > 0 then $3 else first_reply_us end,"
        " preview = $4, version = version + 1 where tenant_id = $1 and id = $2"
        " returning id, contact_id, channel_id, state, assignee, unread, waiting_since_us, version",
        tenant_id,
        message.conversation_id,
        message.now_us,
        storable(messaging.preview_of(message.content)),
    )
    entries = [
        _entry(tenant_id, "message.queued", message_id, message.conversation_id, "queued", message.now_us)
    ]
    if moved is not None:
        data = _encode({"conversation": dict(moved)})
        entries.append(
            NewEntry(
                tenant_id=tenant_id,
                type="conversation.updated",
                resource=moved["id"],
                data=data,
                occurred_us=message.now_us,
            )
        )
    await append(connection, entries)
    return message_id


async def claim(db: Database, channel_id: str, owner: str, *, limit: int, now_us: int) -> list[Claimed]:
    """Take up to ``limit`` due rows of an account, oldest first."""
    async with db.system() as connection:
        rows = await connection.fetch(
            "update outbox o set claimed_by = $2, claimed_until_us = $3 from (select tenant_id, message_id from outbox"
            " where channel_id = $1 and due_us <= $4 and claimed_until_us <= $4 and not calling"
            " order by due_us limit $5 for update skip locked) w"
            " where o.tenant_id = w.tenant_id and o.message_id = w.message_id"
            " returning o.tenant_id, o.message_id, o.channel_id, o.attempts, o.deadline_us, o.due_us",
            channel_id,
            owner,
            now_us + CLAIM_S * 1_000_000,
            now_us,
            limit,
        )
    rows = sorted(rows, key=lambda row: (row["due_us"], row["message_id"]))
    return [
        Claimed(row["tenant_id"], row["message_id"], row["channel_id"], row["attempts"], row["deadline_us"])
        for row in rows
    ]


async def begin(
    db: Database, one: Claimed, owner: str, *, decision: object, channel_id: str, now_us: int
) -> int | None:
    """The provider is about to be called: the number of this attempt. None when the row is not ours any more."""
    async with db.tenant(one.tenant_id) as connection:
        number = await connection.fetchval(
            "update outbox set calling = true, attempts = attempts + 1, channel_id = $4, claimed_until_us = $5"
            " where tenant_id = $1 and message_id = $2 and claimed_by = $3 and not calling returning attempts",
            one.tenant_id,
            one.message_id,
            owner,
            channel_id,
            now_us + CLAIM_S * 1_000_000,
        )
        if number is None:
            return None
        await connection.execute(
            "insert into attempts (tenant_id, message_id, number, channel_id, started_us, decision)"
            " values ($1, $2, $3, $4, $5, $6::json)",
            one.tenant_id,
            one.message_id,
            number,
            channel_id,
            now_us,
            json_text(decision),
        )
    return int(number)


async def sent(
    db: Database, one: Claimed, number: int, result: Sent, *, channel_id: str, now_us: int
) -> None:
    """The provider has it. Receipts that overtook this answer are applied."""
    ids = [storable(provider_id) for provider_id in dict.fromkeys(result.ids)]
    async with db.tenant(one.tenant_id) as connection:
        message = await connection.fetchrow(
            "update messages set state = $3, provider_id = $4, sent_us = $5, segments = $6, channel_id = $7, code = '',"
            " reason = '', version = version + 1 where tenant_id = $1 and id = $2 returning conversation_id",
            one.tenant_id,
            one.message_id,
            result.state,
            ids[0] if ids else "",
            now_us,
            result.segments,
            channel_id,
        )
        await connection.execute(
            "insert into message_parts (tenant_id, channel_id, provider_id, message_id, part, state)"
            " select $1, $2, id, $3, n, $4 from unnest($5::text[]) with ordinality p (id, n) on conflict do nothing",
            one.tenant_id,
            channel_id,
            one.message_id,
            result.state,
            ids,
        )
        if result.context and message is not None:
            await connection.execute(
                "update conversations set context = context || $3::jsonb where tenant_id = $1 and id = $2",
                one.tenant_id,
                message["conversation_id"],
                json_text(result.context),
            )
        await _end(connection, one, number, "sent", now_us=now_us)
        await _leave(connection, one)
        entries = [await _told(connection, one, f"message.{result.state}", now_us)]
        entries += await receipts.adopt(connection, one.tenant_id, channel_id, ids, now_us=now_us)
        await append(connection, entries)


async def again(
    db: Database, one: Claimed, number: int, *, outcome: str, code: str, reason: str, due_us: int, now_us: int
) -> None:
    """Certainly not sent: another try at ``due_us``. ``number`` is 0 when no attempt was begun (it has to wait)."""
    async with db.tenant(one.tenant_id) as connection:
        await connection.execute(
            "update outbox set calling = false, claimed_by = '', claimed_until_us = 0, due_us = $3"
            " where tenant_id = $1 and message_id = $2",
            one.tenant_id,
            one.message_id,
            due_us,
        )
        await _end(connection, one, number, outcome, code=code, reason=reason, now_us=now_us)


async def over(
    db: Database, one: Claimed, number: int, *, outcome: str, code: str, reason: str, now_us: int
) -> None:
    """Certainly not sent, and nobody will try again."""
    await _finish(db, one, number, "failed", outcome, code, reason, now_us)


async def unknown(db: Database, one: Claimed, number: int, *, code: str, reason: str, now_us: int) -> None:
    """It may have been sent. The message says so until a receipt or a person tells more; what a receipt has told stays."""
    async with db.tenant(one.tenant_id) as connection:
        told = await connection.fetchval(
            "select state from messages where tenant_id = $1 and id = $2 for update",
            one.tenant_id,
            one.message_id,
        )
        await _end(connection, one, number, "unknown", code=code, reason=reason, now_us=now_us)
        await _leave(connection, one)
        if told == "queued":
            await _move(connection, one, "unknown", code, reason)
            await append(connection, [await _told(connection, one, "message.unknown", now_us)])


async def stranded(db: Database, *, now_us: int, limit: int = 100) -> list[tuple[Claimed, int]]:
    """Rows whose sender died while the provider was being called, with the number of that attempt."""
    async with db.system() as connection:
        rows = await connection.fetch(
            "update outbox o set claimed_until_us = $1 from (select tenant_id, message_id from outbox"
            " where calling and claimed_until_us <= $2 limit $3 for update skip locked) w"
            " where o.tenant_id = w.tenant_id and o.message_id = w.message_id"
            " returning o.tenant_id, o.message_id, o.channel_id, o.attempts, o.deadline_us",
            now_us + CLAIM_S * 1_000_000,
            now_us,
            limit,
        )
    return [
        (
            Claimed(
                row["tenant_id"], row["message_id"], row["channel_id"], row["attempts"], row["deadline_us"]
            ),
            row["attempts"],
        )
        for row in rows
    ]


async def cancel(db: Database, tenant_id: str, message_id: str, *, now_us: int) -> bool:
    """Take back what no provider was called for yet; False when it is too late."""
    async with db.tenant(tenant_id) as connection:
        row = await connection.fetchrow(
            "delete from outbox where tenant_id = $1 and message_id = $2 and not calling"
            " returning channel_id, attempts, deadline_us",
            tenant_id,
            message_id,
        )
        if row is None:
            return False
        one = Claimed(tenant_id, message_id, row["channel_id"], row["attempts"], row["deadline_us"])
        await _move(connection, one, "cancelled", "", "")
        await append(connection, [await _told(connection, one, "message.cancelled", now_us)])
    return True


async def _finish(
    db: Database, one: Claimed, number: int, state: str, outcome: str, code: str, reason: str, now_us: int
) -> None:
    async with db.tenant(one.tenant_id) as connection:
        await _move(connection, one, state, code, reason)
        await _end(connection, one, number, outcome, code=code, reason=reason, now_us=now_us)
        await _leave(connection, one)
        await append(connection, [await _told(connection, one, f"message.{state}", now_us)])


async def _move(connection: Connection, one: Claimed, state: str, code: str, reason: str) -> None:
    await connection.execute(
        "update messages set state = $3, code = $4, reason = $5, version = version + 1"
        " where tenant_id = $1 and id = $2",
        one.tenant_id,
        one.message_id,
        state,
        storable(code),
        storable(reason),
    )


async def _end(
    connection: Connection,
    one: Claimed,
    number: int,
    outcome: str,
    *,
    code: str = "",
    reason: str = "",
    now_us: int,
) -> None:
    if number:
        await connection.execute(
            "update attempts set ended_us = $4, outcome = $5, code = $6, reason = $7"
            " where tenant_id = $1 and message_id = $2 and number = $3",
            one.tenant_id,
            one.message_id,
            number,
            now_us,
            outcome,
            storable(code),
            storable(reason),
        )


async def _leave(connection: Connection, one: Claimed) -> None:
    await connection.execute(
        "delete from outbox where tenant_id = $1 and message_id = $2", one.tenant_id, one.message_id
    )


async def _told(connection: Connection, one: Claimed, kind: str, now_us: int) -> NewEntry:
    row: Any = await connection.fetchrow(
        "select conversation_id, state, version from messages where tenant_id = $1 and id = $2",
        one.tenant_id,
        one.message_id,
    )
    return _entry(
        one.tenant_id, kind, one.message_id, row["conversation_id"], row["state"], now_us, row["version"]
    )


def _entry(
    tenant_id: str,
    kind: str,
    message_id: str,
    conversation_id: str,
    state: str,
    now_us: int,
    version: int = 1,
) -> NewEntry:
    data = {
        "message": {
            "id": message_id,
            "conversation_id": conversation_id,
            "state": state,
            "direction": "out",
            "version": version,
        }
    }
    return NewEntry(
        tenant_id=tenant_id, type=kind, resource=message_id, data=_encode(data), occurred_us=now_us
    )
