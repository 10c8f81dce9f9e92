"""Conversations and their messages: lists, one of them, and what people do with a conversation.

A list's rows are JSON made by Postgres. Every action is one transaction: it locks the conversation, changes it, and puts
an entry into the log, so that two people who act at once act one after the other, and each sees what the other did.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from core.clock import now_us
from core.errors import Conflict, NotFound
from core.ids import new_id
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.listing import Asked, Listing, Page, list_json
from core.storage.texts import json_text, storable
from irisx_sdk.messages import Address, Text

_CONVERSATION = (
    "id contact_id channel_id thread subject state priority labels queue assignee participants snoozed_until_us"
    " waiting_since_us first_inbound_us first_reply_us last_inbound_us last_message_us messages unread preview"
    " merged_into version created_us resolved_us"
)
_MESSAGE = (
    "id conversation_id contact_id channel_id kind direction state author sender recipient content text reply_to call_id"
    " order_us sent_us delivered_us read_us send_at_us segments price currency code reason reactions edited_us deleted_us"
    " version created_us"
)
_FILES = (
    "(select coalesce(json_agg(json_build_object('id', a.id, 'name', a.name, 'media_type', a.media_type, 'size', a.size,"
    " 'state', a.state, 'reason', a.reason) order by a.part, a.id), '[]') from attachments a"
    " where a.tenant_id = messages.tenant_id and a.message_id = messages.id)"
)


def _document(columns: str, **more: str) -> str:
    """A row as JSON; ``more`` are members that are no columns, with the SQL that makes them."""
    pairs = ", ".join(
        f"'{name}', {value}" for name, value in [*((n, n) for n in columns.split()), *more.items()]
    )
    return f"json_build_object({pairs})::text"


_SLA = (
    "(select json_build_object('policy', k.policy_id, 'first_reply_due_us', k.first_reply_due_us, 'next_reply_due_us',"
    " k.next_reply_due_us, 'resolution_due_us', k.resolution_due_us, 'breached', k.breached) from conversation_clocks k"
    " where k.tenant_id = conversations.tenant_id and k.conversation_id = conversations.id)"
)
CONVERSATION_TOLD = "id, contact_id, channel_id, state, assignee, unread, waiting_since_us, version"
"""What the log says of a conversation."""

CONVERSATIONS = Listing(
    "conversations",
    place="last_message_us",
    columns="id contact_id channel_id state priority queue assignee waiting_since_us last_message_us created_us unread",
    document=_document(_CONVERSATION, sla=_SLA),
)
CONVERSATIONS.columns["labels[]"] = "labels"
MESSAGES = Listing(
    "messages",
    place="order_us",
    columns="id conversation_id contact_id channel_id kind direction state call_id created_us",
    document=_document(_MESSAGE, files=_FILES),
)
MESSAGE_DOCUMENT = MESSAGES.document


async def list_conversations(
    db: Database,
    tenant_id: str,
    conditions: Iterable[Asked],
    *,
    limit: int,
    after: tuple[int, str] | None,
) -> Page:
    """Newest message first; merged ones are not in it."""
    return await list_json(
        db, tenant_id, CONVERSATIONS, conditions, limit=limit, after=after, only=" and merged_into is null"
    )


async def list_messages(
    db: Database,
    tenant_id: str,
    conditions: Iterable[Asked] = (),
    *,
    conversation_id: str = "",
    limit: int,
    after: tuple[int, str] | None,
) -> Page:
    """Newest first, of one conversation or of all."""
    only = ""
    if conversation_id:
        await get_conversation(db, tenant_id, conversation_id)
        conditions = [*conditions, _Is("conversation_id", conversation_id)]
    return await list_json(db, tenant_id, MESSAGES, conditions, limit=limit, after=after, only=only)


class _Is(msgspec.Struct, frozen=True):
    field: str
    value: str
    op: str = "eq"


async def get_conversation(db: Database, tenant_id: str, conversation_id: str) -> bytes:
    """As JSON. Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        return await read_conversation(connection, tenant_id, conversation_id)


async def get_message(db: Database, tenant_id: str, message_id: str) -> bytes:
    """As JSON. Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        body: bytes | None = await connection.fetchval(
            f"select convert_to({_document(_MESSAGE, files=_FILES)}, 'UTF8') from messages where tenant_id = $1 and id = $2",  # noqa: S608
            tenant_id,
            message_id,
        )
    if body is None:
        raise NotFound(f"there is no message {message_id}", code="no_such_message")
    return body


async def attempts_of(db: Database, tenant_id: str, message_id: str) -> bytes:
    """The tries to send a message, each with its decision, as a JSON array."""
    return await _rows_of(
        db,
        tenant_id,
        message_id,
        "select json_build_object('number', number, 'channel_id', channel_id, 'started_us', started_us, 'ended_us',"
        " ended_us, 'outcome', outcome, 'code', code, 'reason', reason, 'decision', decision) as one, number as n"
        " from attempts where tenant_id = $1 and message_id = $2",
    )


async def receipts_of(db: Database, tenant_id: str, message_id: str) -> bytes:
    """What the provider reported of it, in the order in which it came, as a JSON array."""
    return await _rows_of(
        db,
        tenant_id,
        message_id,
        "select json_build_object('provider_id', provider_id, 'state', state, 'at_us', at_us, 'code', code, 'reason',"
        " reason, 'received_us', received_us) as one, id as n from receipts where tenant_id = $1 and message_id = $2",
    )


async def _rows_of(db: Database, tenant_id: str, message_id: str, query: str) -> bytes:
    await get_message(db, tenant_id, message_id)
    async with db.reader(tenant_id) as connection:
        body: bytes = await connection.fetchval(
            f"select convert_to(coalesce(json_agg(one order by n), '[]')::text, 'UTF8') from ({query}) rows",  # noqa: S608
            tenant_id,
            message_id,
        )
    return body


async def change(
    db: Database,
    tenant_id: str,
    conversation_id: str,
    changes: Mapping[str, object],
    *,
    actor: str,
    kind: str = "conversation.updated",
    version: int | None = None,
    from_states: Sequence[str] = (),
    request_id: str = "",
) -> bytes:
    """Set columns of a conversation; the conversation after it, as JSON.

    ``from_states`` are those in which this makes sense. Raises `NotFound`, and `Conflict` for another state, or when
    ``version`` is not the present one.
    """
    async with db.tenant(tenant_id) as connection:
        row = await connection.fetchrow(
            "select state, version from conversations where tenant_id = $1 and id = $2 and merged_into is null for update",
            tenant_id,
            conversation_id,
        )
        if row is None:
            raise NotFound(f"there is no conversation {conversation_id}", code="no_such_conversation")
        if version is not None and version != row["version"]:
            raise Conflict("the conversation has been changed since it was read", code="version_mismatch")
        if from_states and row["state"] not in from_states:
            raise Conflict(f"the conversation is {row['state']}", code="wrong_state")
        assignments = "".join(f"{column} = ${n}, " for n, column in enumerate(changes, start=3))
        await connection.execute(
            f"update conversations set {assignments}version = version + 1 where tenant_id = $1 and id = $2",  # noqa: S608
            tenant_id,
            conversation_id,
            *(storable(value) if isinstance(value, str) else value for value in changes.values()),
        )
        body = await read_conversation(connection, tenant_id, conversation_id)
        await _tell(connection, tenant_id, conversation_id, kind, actor, request_id)
    return body


async def assign(
    db: Database,
    tenant_id: str,
    conversation_id: str,
    assignee: str,
    *,
    actor: str,
    unless_assigned: bool = False,
    request_id: str = "",
) -> bytes:
    """Give it to somebody, or (empty) to nobody. With ``unless_assigned`` only if nobody else has it.

    Raises `NotFound`, also for a person who is none of this tenant, and `Conflict` when somebody else was faster.
    """
    async with db.tenant(tenant_id) as connection:
        row = await connection.fetchrow(
            "select assignee from conversations where tenant_id = $1 and id = $2 and merged_into is null for update",
            tenant_id,
            conversation_id,
        )
        if row is None:
            raise NotFound(f"there is no conversation {conversation_id}", code="no_such_conversation")
        if unless_assigned and row["assignee"] not in ("", assignee):
            raise Conflict("somebody else has it already", code="already_assigned")
        if assignee and not await connection.fetchval(
            "select true from users where tenant_id = $1 and id = $2 and deleted_at is null",
            tenant_id,
            assignee,
        ):
            raise NotFound(f"there is no user {assignee}", code="no_such_user")
        await connection.execute(
            "update conversations set assignee = $3, version = version + 1 where tenant_id = $1 and id = $2",
            tenant_id,
            conversation_id,
            assignee,
        )
        body = await read_conversation(connection, tenant_id, conversation_id)
        await _tell(connection, tenant_id, conversation_id, "conversation.assigned", actor, request_id)
    return body


class WayBack(msgspec.Struct, frozen=True):
    """How an answer reaches who wrote last."""

    conversation_id: str
    contact_id: str
    channel_id: str
    to: Address | None


async def way_back(connection: Connection, tenant_id: str, conversation_id: str) -> WayBack:
    """Raises `NotFound`. ``to`` is None when nobody has written or called here and it was not begun by us either.

    It is who wrote last: a call in between, of whatever number, changes nothing about where the answer goes. Only where
    nobody has written it is who called last.
    """
    last = (
        "(select m.sender::text from messages m where m.tenant_id = c.tenant_id and m.conversation_id = c.id"
        " and m.direction = 'in' and m.kind = '{}' order by m.order_us desc, m.id desc limit 1)"
    )
    row = await connection.fetchrow(
        "select c.contact_id, c.channel_id, c.counterpart::text as counterpart,"  # noqa: S608
        f" {last.format('message')} as sender, {last.format('call')} as caller"
        " from conversations c where c.tenant_id = $1 and c.id = $2 and c.merged_into is null",
        tenant_id,
        conversation_id,
    )
    if row is None:
        raise NotFound(f"there is no conversation {conversation_id}", code="no_such_conversation")
    said = row["sender"] or row["counterpart"] or row["caller"]
    to = msgspec.json.decode(said, type=Address) if said else None
    return WayBack(conversation_id, row["contact_id"], row["channel_id"], to)


async def add_note(
    connection: Connection,
    tenant_id: str,
    way: WayBack,
    *,
    text: str,
    author: str,
    now_us: int,
    request_id: str = "",
) -> str:
    """Leave a note for colleagues; its id. In the caller's transaction, as its last statement."""
    message_id = new_id("msg", at_us=now_us)
    await connection.execute(
        "insert into messages (tenant_id, id, conversation_id, contact_id, kind, direction, state, author, content, text,"
        " order_us, created_us) values ($1, $2, $3, $4, 'note', '', 'noted', $5, $6::json, $7, $8, $8)",
        tenant_id,
        message_id,
        way.conversation_id,
        way.contact_id,
        author,
        json_text(Text(text)),
        storable(text),
        now_us,
    )
    data = {"message": {"id": message_id, "conversation_id": way.conversation_id, "author": author}}
    entry = NewEntry(
        tenant_id=tenant_id,
        type="message.noted",
        resource=message_id,
        data=msgspec.json.encode(data),
        occurred_us=now_us,
        request_id=request_id,
    )
    await append(connection, [entry])
    return message_id


async def wake_snoozed(db: Database, *, limit: int = 200) -> int:
    """Open conversations whose snooze is over; how many. Any number of processes may do this."""
    moment = now_us()
    async with db.system() as connection:
        rows = await connection.fetch(
            "update conversations c set state = 'open', snoozed_until_us = 0, version = version + 1 from"
            " (select tenant_id, id from conversations where state = 'snoozed' and snoozed_until_us <= $1"
            " order by tenant_id, id limit $2 for update skip locked) w where c.tenant_id = w.tenant_id and c.id = w.id"
            " returning c.tenant_id, c.id, c.contact_id, c.channel_id, c.state, c.assignee, c.unread,"
            " c.waiting_since_us, c.version",
            moment,
            limit,
        )
        await append(
            connection,
            [_entry(row["tenant_id"], row, "conversation.updated", "", moment, "") for row in rows],
        )
    return len(rows)


async def read_conversation(connection: Connection, tenant_id: str, conversation_id: str) -> bytes:
    """As JSON, in the caller's transaction. Raises `NotFound`."""
    body: bytes | None = await connection.fetchval(
        f"select convert_to({CONVERSATIONS.document}, 'UTF8') from conversations"  # noqa: S608
        " where tenant_id = $1 and id = $2",
        tenant_id,
        conversation_id,
    )
    if body is None:
        raise NotFound(f"there is no conversation {conversation_id}", code="no_such_conversation")
    return body


async def _tell(
    connection: Connection, tenant_id: str, conversation_id: str, kind: str, actor: str, request_id: str
) -> None:
    row = await connection.fetchrow(
        f"select {CONVERSATION_TOLD} from conversations where tenant_id = $1 and id = $2",  # noqa: S608
        tenant_id,
        conversation_id,
    )
    await append(connection, [_entry(tenant_id, row, kind, actor, now_us(), request_id)])


def _entry(tenant_id: str, row: Any, kind: str, actor: str, moment: int, request_id: str) -> NewEntry:
    told = {name: value for name, value in dict(row).items() if name != "tenant_id"}
    return NewEntry(
        tenant_id=tenant_id,
        type=kind,
        resource=row["id"],
        data=msgspec.json.encode({"conversation": told, "actor": actor}),
        occurred_us=moment,
        request_id=request_id,
    )
