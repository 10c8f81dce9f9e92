"""Messages on their way out. Nothing is sent that is not stored first, and nothing is sent twice without knowing it.

The life of a row, each step a transaction of its own, so that a sender may die between any two:

1. `enqueue`: message and row, with whatever else the request changes.
2. `claim`: a sender takes due rows of an account for `CLAIM_S`; others pass them by (``skip locked``). `claim_routed` takes
   rows that no account has yet: those that go by whatever carrier is best when their time comes.
3. `core.storage.attempts.begin`: the policy is asked, the attempt and its decision are written, and ``calling``: from here
   on the provider may have it.
4. `sent`, `again` or `over` of `core.storage.attempt_results`: what came of it. `unknown`: nobody can say; only a receipt, a person, or a provider
   that recognises repetitions moves it on.

`stranded` finds the rows whose sender died between 3 and 4.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from core.ids import new_id
from core.model import messaging
from core.model.policy import Purpose
from core.storage.appending import append
from core.storage.database import SYSTEM, Connection, Database
from core.storage.entries import NewEntry
from core.storage.texts import json_text, storable
from irisx_sdk.messages import Address, Content

CLAIM_S = 60
"""How long a sender may keep a row before others may look after it; sending has a deadline well below."""
FOR_EVER_US = 2**62
ROUTED = "routed"
"""What is rung (`core.bus.Bus.ring`) for messages that have no account yet."""

_encode = msgspec.json.Encoder().encode


class NewMessage(Struct, frozen=True, kw_only=True):
    """Something to send, as it is asked for."""

    conversation_id: str
    contact_id: str
    channel_id: str
    """The account it goes through; empty with ``route``."""
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
    route: str = ""
    """A kind of carrier (``sms``): the best one is chosen when it is sent (`core.routing`)."""
    now_us: int


class Claimed(Struct, frozen=True):
    """A row that is ours for a while."""

    tenant_id: str
    message_id: str
    channel_id: str
    attempts: int
    deadline_us: int
    route: str = ""
    tried: tuple[str, ...] = ()
    """Carriers that certainly did not take it."""
    first_us: int = 0
    """When its present account was called for it first; 0 before."""
    doubtful: bool = False
    """Its account may have it: an earlier try had an outcome that nobody knows, and would be recognised."""
    lost: tuple[str, ...] = ()
    """Carriers that took it and reported that it did not arrive (`core.storage.rerouting`)."""


_ROW = "o.tenant_id, o.message_id, o.channel_id, o.attempts, o.deadline_us, o.route, o.tried, o.first_us, o.doubtful, o.due_us, o.lost"


_HASTE = "(select set_config('synchronous_commit', 'off', true)) haste"
"""A claim that a crash of Postgres forgets is claimed again; what follows it is on the disk only after it."""


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
        "insert into outbox (tenant_id, message_id, channel_id, due_us, deadline_us, purpose, confirms_opt_out,"
        " route) values ($1, $2, $3, $4, $5, $6, $7, $8)",
        tenant_id,
        message_id,
        message.channel_id,
        max(message.now_us, message.send_at_us),
        message.deadline_us or FOR_EVER_US,
        message.purpose,
        message.confirms_opt_out,
        message.route,
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
        entry_of(tenant_id, "message.queued", message_id, message.conversation_id, "queued", message.now_us)
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
    async with db.keyed_reader(SYSTEM) as connection:
        rows = await connection.fetch(
            "update outbox o set claimed_by = $2, claimed_until_us = $3 from (select tenant_id, message_id from outbox"  # noqa: S608
            " where channel_id = $1 and channel_id <> '' and due_us <= $4 and claimed_until_us <= $4 and not calling"
            f" order by due_us limit $5 for update skip locked) w, {_HASTE}"
            " where o.tenant_id = w.tenant_id and o.message_id = w.message_id"
            f" returning {_ROW}",
            channel_id,
            owner,
            now_us + CLAIM_S * 1_000_000,
            now_us,
            limit,
        )
    return _claimed(rows)


async def claim_routed(db: Database, owner: str, *, limit: int, each: int, now_us: int) -> list[Claimed]:
    """Take up to ``limit`` due rows that no account has yet, at most ``each`` of a tenant: none waits for another's flood."""
    async with db.reader(SYSTEM) as connection:
        # One look into the index for each tenant that has any, however many rows it has.
        rows = await connection.fetch(
            "with recursive t as ((select tenant_id from outbox where channel_id = '' order by tenant_id limit 1) union all"  # noqa: S608
            " select (select o.tenant_id from outbox o where o.channel_id = '' and o.tenant_id > t.tenant_id"
            " order by o.tenant_id limit 1) from t where t.tenant_id is not null)"
            " update outbox o set claimed_by = $1, claimed_until_us = $2 from (select p.tenant_id, p.message_id from t"
            " cross join lateral (select tenant_id, message_id, due_us from outbox x where x.tenant_id = t.tenant_id and"
            " x.channel_id = '' and x.due_us <= $3 and x.claimed_until_us <= $3 and not x.calling order by x.due_us"
            f" limit $5 for update skip locked) p where t.tenant_id is not null limit $4) w, {_HASTE}"
            " where o.tenant_id = w.tenant_id and o.message_id = w.message_id"
            f" returning {_ROW}",
            owner,
            now_us + CLAIM_S * 1_000_000,
            now_us,
            limit,
            each,
        )
    return _claimed(rows)


async def release(db: Database, claimed: Sequence[Claimed], owner: str) -> None:
    """Give rows back that were claimed and not begun."""
    async with db.system() as connection:
        await connection.execute(
            "update outbox o set claimed_by = '', claimed_until_us = 0 from unnest($1::text[], $2::text[]) w (t, id)"
            " where o.tenant_id = w.t and o.message_id = w.id and o.claimed_by = $3 and not o.calling",
            [one.tenant_id for one in claimed],
            [one.message_id for one in claimed],
            owner,
        )


def _claimed(rows: Iterable[Any]) -> list[Claimed]:
    ordered = sorted(rows, key=lambda row: (row["due_us"], row["message_id"]))
    return [
        Claimed(
            tenant_id=row["tenant_id"],
            message_id=row["message_id"],
            channel_id=row["channel_id"],
            attempts=row["attempts"],
            deadline_us=row["deadline_us"],
            route=row["route"],
            tried=tuple(row["tried"]),
            first_us=row["first_us"],
            doubtful=row["doubtful"],
            lost=tuple(row["lost"]),
        )
        for row in ordered
    ]


async def stranded(db: Database, *, now_us: int, limit: int = 100) -> list[tuple[Claimed, int]]:
    """Rows whose sender died while the provider was being called, with the number of that attempt."""
    async with db.system() as connection:
        rows = await connection.fetch(
            "update outbox o set claimed_until_us = $1 from (select tenant_id, message_id from outbox"  # noqa: S608
            " where calling and claimed_until_us <= $2 limit $3 for update skip locked) w"
            " where o.tenant_id = w.tenant_id and o.message_id = w.message_id"
            f" returning {_ROW}",
            now_us + CLAIM_S * 1_000_000,
            now_us,
            limit,
        )
    return [(one, one.attempts) for one in _claimed(rows)]


async def cancel(db: Database, tenant_id: str, message_id: str, *, now_us: int) -> bool:
    """Take back what no provider was called for yet; False when it is too late."""
    async with db.tenant(tenant_id) as connection:
        gone = await connection.fetchval(
            "delete from outbox where tenant_id = $1 and message_id = $2 and not calling returning true",
            tenant_id,
            message_id,
        )
        if not gone:
            return False
        row = await connection.fetchrow(
            "update messages set state = 'cancelled', code = '', reason = '', version = version + 1"
            " where tenant_id = $1 and id = $2 and state = 'queued' returning conversation_id, version",
            tenant_id,
            message_id,
        )
        if row is None:
            return False
        entry = entry_of(
            tenant_id,
            "message.cancelled",
            message_id,
            row["conversation_id"],
            "cancelled",
            now_us,
            row["version"],
        )
        await append(connection, [entry])
    return True


def entry_of(
    tenant_id: str,
    kind: str,
    message_id: str,
    conversation_id: str,
    state: str,
    now_us: int,
    version: int = 1,
) -> NewEntry:
    """What the log says of a message that goes out."""
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
