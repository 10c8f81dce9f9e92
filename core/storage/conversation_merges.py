"""Two conversations become one, and can become two again.

The messages of the one that goes move into the one that is kept, with a record of which they were. What is counted of a
conversation is counted anew from its messages. The next message of the thread that went finds the kept one only if that is
of the same thread; so of two that are open for one thread the kept one is always the one that stays in the index.
"""

from typing import Any

from core.clock import now_us
from core.errors import Conflict, NotFound, RequestError
from core.ids import new_id
from core.storage.appending import append
from core.storage.contact_rows import entry
from core.storage.conversations import CONVERSATION_TOLD, read_conversation
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry

MOST_SPLIT = 1_000
"""Messages that are moved into a conversation of their own at once."""


async def merge(
    db: Database, tenant_id: str, kept: str, gone: str, *, actor: str, request_id: str = ""
) -> bytes:
    """The kept conversation after it, as JSON.

    Raises `NotFound`, and `Conflict` when they are of two people (merge those first) or one is merged already.
    """
    if kept == gone:
        raise RequestError("a conversation cannot be merged with itself", code="same_conversation")
    async with db.tenant(tenant_id) as connection:
        rows = await _lock(connection, tenant_id, [kept, gone])
        if len({row["contact_id"] for row in rows}) > 1:
            raise Conflict("they are with two people: merge the contacts first", code="other_contact")
        merge_id = await merge_locked(connection, tenant_id, kept, gone, actor=actor)
        body = await read_conversation(connection, tenant_id, kept)
        await append(
            connection, await merged_entries(connection, tenant_id, merge_id, kept, gone, actor, request_id)
        )
    return body


async def merge_locked(connection: Connection, tenant_id: str, kept: str, gone: str, *, actor: str) -> str:
    """The same for two that are locked and of one contact; the id of the record. Tells nobody."""
    merge_id = new_id("cmg")
    moved = await connection.fetch(
        "update messages set conversation_id = $2, version = version + 1 where tenant_id = $1 and conversation_id = $3"
        " returning id",
        tenant_id,
        kept,
        gone,
    )
    await connection.execute(
        "insert into conversation_merges (tenant_id, id, kept, gone, messages, actor, merged_us)"
        " values ($1, $2, $3, $4, $5, $6, $7)",
        tenant_id,
        merge_id,
        kept,
        gone,
        [row["id"] for row in moved],
        actor,
        now_us(),
    )
    await connection.execute(
        "update conversations k set merged_into = null, unread = k.unread + g.unread,"
        " labels = (select coalesce(array_agg(distinct l), '{}') from unnest(k.labels || g.labels) l),"
        " participants = (select coalesce(array_agg(distinct p), '{}') from unnest(k.participants || g.participants) p),"
        " assignee = case when k.assignee = '' then g.assignee else k.assignee end,"
        " priority = greatest(k.priority, g.priority), waiting_since_us ="
        " coalesce(least(nullif(k.waiting_since_us, 0), nullif(g.waiting_since_us, 0)), 0)"
        " from conversations g where k.tenant_id = $1 and k.id = $2 and g.tenant_id = $1 and g.id = $3",
        tenant_id,
        kept,
        gone,
    )
    await connection.execute(
        "update conversations set merged_into = $2, unread = 0, version = version + 1 where tenant_id = $1 and id = $3",
        tenant_id,
        kept,
        gone,
    )
    await _count(connection, tenant_id, kept)
    await _count(connection, tenant_id, gone)
    return merge_id


async def undo_locked(
    connection: Connection, tenant_id: str, merge_id: str, contact_id: str = ""
) -> tuple[str, str] | None:
    """Make two of it again; (kept, gone), or None when it was undone before. The conversations must be locked.

    With ``contact_id`` the one that comes back is that contact's. Where its thread has another open conversation by now it
    comes back resolved: one of a thread is open.
    """
    row = await connection.fetchrow(
        "update conversation_merges set undone_us = $3 where tenant_id = $1 and id = $2 and undone_us = 0"
        " returning kept, gone, messages",
        tenant_id,
        merge_id,
        now_us(),
    )
    if row is None:
        return None
    kept, gone = row["kept"], row["gone"]
    await connection.execute(
        "update messages set conversation_id = $3, version = version + 1 where tenant_id = $1 and id = any($2)"
        " and conversation_id = $4",
        tenant_id,
        row["messages"],
        gone,
        kept,
    )
    await connection.execute(
        "update conversations g set merged_into = null, version = g.version + 1,"
        " contact_id = case when $3 = '' then g.contact_id else $3 end, state = case when exists (select from"
        " conversations o where o.tenant_id = $1 and o.id <> g.id and o.channel_id = g.channel_id and o.thread = g.thread"
        " and o.contact_id = case when $3 = '' then g.contact_id else $3 end and o.state <> 'resolved'"
        " and o.channel_id <> '' and o.merged_into is null) then 'resolved' else g.state end"
        " where g.tenant_id = $1 and g.id = $2",
        tenant_id,
        gone,
        contact_id,
    )
    await _count(connection, tenant_id, kept)
    await _count(connection, tenant_id, gone)
    return kept, gone


async def split(
    db: Database,
    tenant_id: str,
    conversation_id: str,
    *,
    merge_id: str = "",
    messages: list[str],
    actor: str,
    request_id: str = "",
) -> bytes:
    """Take a merge back (``merge_id``), or put ``messages`` into a new conversation; that one, as JSON.

    Raises `NotFound`, `Conflict` when the merge was undone, `RequestError` when no message would be left or moved.
    """
    async with db.tenant(tenant_id) as connection:
        if merge_id:
            gone = await connection.fetchval(
                "select gone from conversation_merges where tenant_id = $1 and id = $2 and kept = $3",
                tenant_id,
                merge_id,
                conversation_id,
            )
            await _lock(connection, tenant_id, [conversation_id, *([gone] if gone else [])], merged=True)
            if gone is None:
                raise NotFound(f"there is no merge {merge_id} of this conversation", code="no_such_merge")
            if await undo_locked(connection, tenant_id, merge_id) is None:
                raise Conflict("this merge was undone before", code="already_undone")
            fresh = str(gone)
        else:
            (row,) = await _lock(connection, tenant_id, [conversation_id])
            fresh = await _move_out(connection, tenant_id, row, messages)
        body = await read_conversation(connection, tenant_id, fresh)
        data = {"conversation": {"id": conversation_id}, "into": fresh, "merge": merge_id, "actor": actor}
        entries = [entry(tenant_id, "conversation.split", conversation_id, data, request_id)]
        entries += await _updated(connection, tenant_id, [conversation_id, fresh], actor, request_id)
        await append(connection, entries)
    return body


async def _move_out(connection: Connection, tenant_id: str, row: Any, messages: list[str]) -> str:
    """A new conversation of some messages. It belongs to no thread: what is written next goes on where it went before."""
    fresh, moment = new_id("conv"), now_us()
    await connection.execute(
        "insert into conversations (tenant_id, id, channel_id, contact_id, thread, subject, labels, queue, assignee,"
        " priority, participants, context, counterpart, last_message_us, created_us)"
        " select tenant_id, $3, channel_id, contact_id, thread || '#' || $3, subject, labels, queue, assignee, priority,"
        " participants, context, counterpart, $4, $4 from conversations where tenant_id = $1 and id = $2",
        tenant_id,
        row["id"],
        fresh,
        moment,
    )
    moved = await connection.fetch(
        "update messages set conversation_id = $3, version = version + 1 where tenant_id = $1 and conversation_id = $2"
        " and id = any($4) returning id",
        tenant_id,
        row["id"],
        fresh,
        messages[:MOST_SPLIT],
    )
    left = await connection.fetchval(
        "select exists (select from messages where tenant_id = $1 and conversation_id = $2)",
        tenant_id,
        row["id"],
    )
    if len(moved) != len(set(messages)):
        raise NotFound("not all of these messages are in this conversation", code="no_such_message")
    if not left:
        raise RequestError("a conversation keeps at least one message", code="nothing_left")
    await _count(connection, tenant_id, fresh)
    await _count(connection, tenant_id, row["id"])
    return fresh


async def merges_of(db: Database, tenant_id: str, conversation_id: str) -> bytes:
    """What became part of it, newest first, as a JSON array."""
    async with db.reader(tenant_id) as connection:
        await read_conversation(connection, tenant_id, conversation_id)
        body: bytes = await connection.fetchval(
            "select convert_to(coalesce(json_agg(json_build_object('id', id, 'kept', kept, 'gone', gone, 'messages',"
            " cardinality(messages), 'actor', actor, 'merged_us', merged_us, 'undone_us', undone_us) order by merged_us desc,"
            " id desc), '[]')::text, 'UTF8') from conversation_merges where tenant_id = $1 and kept = $2",
            tenant_id,
            conversation_id,
        )
    return body


async def merged_entries(
    connection: Connection, tenant_id: str, merge_id: str, kept: str, gone: str, actor: str, request_id: str
) -> list[NewEntry]:
    """What the log hears of a merge."""
    data = {"conversation": {"id": gone, "merged_into": kept}, "merge": merge_id, "actor": actor}
    told = entry(tenant_id, "conversation.merged", gone, data, request_id)
    return [told, *await _updated(connection, tenant_id, [kept], actor, request_id)]


async def _updated(
    connection: Connection, tenant_id: str, ids: list[str], actor: str, request_id: str
) -> list[NewEntry]:
    rows = await connection.fetch(
        f"select {CONVERSATION_TOLD} from conversations where tenant_id = $1 and id = any($2)",  # noqa: S608
        tenant_id,
        ids,
    )
    return [
        entry(
            tenant_id,
            "conversation.updated",
            row["id"],
            {"conversation": dict(row), "actor": actor},
            request_id,
        )
        for row in rows
    ]


async def _lock(connection: Connection, tenant_id: str, ids: list[str], *, merged: bool = False) -> list[Any]:
    rows = await connection.fetch(
        "select id, contact_id, merged_into from conversations where tenant_id = $1 and id = any($2)"
        " order by id for update",
        tenant_id,
        ids,
    )
    for wanted in ids:
        row = next((row for row in rows if row["id"] == wanted), None)
        if row is None:
            raise NotFound(f"there is no conversation {wanted}", code="no_such_conversation")
        if row["merged_into"] is not None and not merged:
            raise Conflict(f"{wanted} was merged into {row['merged_into']}", code="merged")
    return list(rows)


async def _count(connection: Connection, tenant_id: str, conversation_id: str) -> None:
    """What its messages say of a conversation."""
    await connection.execute(
        "update conversations c set messages = m.n, last_message_us = coalesce(m.last, c.last_message_us),"
        " last_inbound_us = m.last_in, first_inbound_us = m.first_in, unread = least(c.unread, m.n),"
        " first_reply_us = case when m.first_in > 0 then m.first_out else 0 end,"
        " preview = coalesce(m.preview, c.preview), version = c.version + 1 from (select"
        "  count(*) filter (where kind = 'message') as n, max(created_us) as last,"
        "  coalesce(max(created_us) filter (where direction = 'in'), 0) as last_in,"
        "  coalesce(min(created_us) filter (where direction = 'in'), 0) as first_in,"
        "  coalesce(min(created_us) filter (where direction = 'out'), 0) as first_out,"
        "  (array_agg(left(regexp_replace(text, '\\s+', ' ', 'g'), 160) order by order_us desc, id desc)"
        "   filter (where kind = 'message'))[1] as preview"
        "  from messages where tenant_id = $1 and conversation_id = $2) m where c.tenant_id = $1 and c.id = $2",
        tenant_id,
        conversation_id,
    )
