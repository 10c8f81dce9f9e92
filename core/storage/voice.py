"""Calls in conversations: every tenant's log is read once, from a stored place, and each call is a message that grows.

The place (`voice_places`) is moved in the transaction that does what the entries ask for and holds the place's row: what
was done is never done again, and what was not done is done by whoever comes next. The path of calls knows nothing of it.

Lock order: place, addresses, messages, conversations, log.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from core.ids import new_id
from core.logs import get_logger
from core.model.records import Call
from core.model.voice import EVENTS, Line, line_of
from core.storage.appending import append
from core.storage.arrivals import Arrival, Row, addresses_of, entry_of
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.inbound_contacts import find_contacts
from core.storage.texts import json_text, storable
from irisx_sdk.messages import Address, Inbound, Text

SCAN = 5_000
"""Entries that are passed in one transaction at most; of a log full of other things few are read."""


class _Data(msgspec.Struct):
    call: Call


class _Body(msgspec.Struct):
    data: _Data


LOG = get_logger("voice")

_bodies = msgspec.json.Decoder(_Body)


async def tenants_to_do(db: Database, *, limit: int = 500) -> list[str]:
    """Those whose log goes on after their place."""
    async with db.system() as connection:
        rows = await connection.fetch(
            "select h.tenant_id from log_heads h left join voice_places v on v.tenant_id = h.tenant_id"
            " where h.head > coalesce(v.seq, 0) and h.tenant_id <> '*' limit $1",
            limit,
        )
    return [row["tenant_id"] for row in rows]


async def work(db: Database, tenant_id: str) -> bool:
    """Deal with the next entries of a tenant's log; True when there are more. Raises the store's errors."""
    async with db.tenant(tenant_id) as connection:
        await connection.execute(
            "insert into voice_places (tenant_id, seq) values ($1, 0) on conflict do nothing", tenant_id
        )
        seq = await connection.fetchval(
            "select seq from voice_places where tenant_id = $1 for update skip locked", tenant_id
        )
        if seq is None:
            return False  # another host is at it
        head = await connection.fetchval("select head from log_heads where tenant_id = $1", tenant_id)
        if head is None or head <= seq:
            return False
        up_to = min(head, seq + SCAN)
        bodies = await connection.fetch(
            "select body from events where tenant_id = $1 and seq > $2 and seq <= $3 and type = any($4) order by seq",
            tenant_id,
            seq,
            up_to,
            list(EVENTS),
        )
        entries: list[NewEntry] = []
        if bodies:
            region = await connection.fetchval(
                "select coalesce(settings ->> 'country', '') from tenants where id = $1", tenant_id
            )
            # (the newest of each call says all that the older ones say)
            calls = {call.id: call for row in bodies if (call := _call_of(row["body"])) is not None}
            lines = [(call, line) for call in calls.values() if (line := line_of(call, region or ""))]
            await _write(connection, tenant_id, lines, entries)
        await connection.execute("update voice_places set seq = $2 where tenant_id = $1", tenant_id, up_to)
        await append(connection, entries)
    return bool(up_to < head)


def _call_of(body: str) -> Call | None:
    """The call of an entry. One that has none, whatever wrote it, must not keep all that come behind it from being read."""
    try:
        return _bodies.decode("{" + body).data.call
    except msgspec.MsgspecError as exc:
        LOG.error("an entry about a call has no call in it", error=str(exc)[:200])
        return None


async def _write(
    connection: Connection,
    tenant_id: str,
    lines: Sequence[tuple[Call, Line]],
    entries: list[NewEntry],
) -> None:
    known = {
        row["call_id"]: row
        for row in await connection.fetch(
            "select id, call_id, conversation_id, state, (content ->> 'version')::bigint as seen, version from messages"
            " where tenant_id = $1 and kind = 'call' and call_id = any($2) order by id for update",
            tenant_id,
            [call.id for call, _ in lines],
        )
    }
    new = [(call, line) for call, line in lines if call.id not in known]
    rows = [_row(call, line) for call, line in new]
    if rows:
        await find_contacts(connection, tenant_id, rows, entries)
    moves: list[tuple[str, Call, Line, bool, str]] = []
    for call, line in lines:
        row = known.get(call.id)
        if row is not None and row["seen"] < call.version:
            await _update(connection, tenant_id, row, line)
            data = {"message": {"id": row["id"], "conversation_id": row["conversation_id"], "call_id": call.id,
                                "state": line.state, "version": row["version"] + 1}}  # fmt: skip
            entries.append(entry_of(tenant_id, "message.updated", row["id"], data, _moment(call)))
            if row["state"] != line.state:
                moves.append((row["conversation_id"], call, line, False, row["id"]))
    for (call, line), row in zip(new, rows, strict=True):
        conversation_id = await _conversation(connection, tenant_id, row.contact_id, call, entries)
        message_id = await _insert(connection, tenant_id, row.contact_id, conversation_id, call, line)
        data = {"message": {"id": message_id, "conversation_id": conversation_id, "contact_id": row.contact_id,
                            "call_id": call.id, "direction": line.direction, "state": line.state}}  # fmt: skip
        entries.append(
            entry_of(tenant_id, "message.created", message_id, data, _moment(call), call.created_us)
        )
        moves.append((conversation_id, call, line, True, message_id))
    for conversation_id, call, line, is_new, _ in sorted(moves, key=lambda one: one[0]):
        await _move(connection, tenant_id, conversation_id, call, line, is_new, entries)


def _row(call: Call, line: Line) -> Row:
    sender = Address("phone", line.number, line.name)
    arrival = Arrival("", Inbound(call.id, sender, Text("")), _moment(call))
    return Row(arrival, addresses_of(arrival))


def _moment(call: Call) -> int:
    return max(call.ended_us, call.answered_us, call.created_us)


async def _conversation(
    connection: Connection, tenant_id: str, contact_id: str, call: Call, entries: list[NewEntry]
) -> str:
    """The contact's open conversation in which something happened last, or a new one without an account."""
    found = await connection.fetchval(
        "select id from conversations where tenant_id = $1 and contact_id = $2 and state <> 'resolved'"
        " and merged_into is null order by last_message_us desc, id desc limit 1",
        tenant_id,
        contact_id,
    )
    if found is not None:
        return str(found)
    conversation_id = new_id("conv")
    await connection.execute(
        "insert into conversations (tenant_id, id, contact_id, last_message_us, created_us) values ($1, $2, $3, $4, $4)",
        tenant_id,
        conversation_id,
        contact_id,
        call.created_us,
    )
    data = {"conversation": {"id": conversation_id, "contact_id": contact_id, "channel_id": ""}}
    entries.append(entry_of(tenant_id, "conversation.created", conversation_id, data, call.created_us))
    return conversation_id


async def _insert(
    connection: Connection, tenant_id: str, contact_id: str, conversation_id: str, call: Call, line: Line
) -> str:
    message_id = new_id("msg", at_us=call.created_us)
    await connection.execute(
        "insert into messages (tenant_id, id, conversation_id, contact_id, kind, direction, state, sender, recipient,"
        " content, text, call_id, order_us, created_us) values ($1, $2, $3, $4, 'call', $5, $6, $7, $8, $9, $10, $11, $12,"
        " $12)",
        tenant_id,
        message_id,
        conversation_id,
        contact_id,
        line.direction,
        line.state,
        json_text(Address("phone", line.number if line.direction == "in" else call.caller)),
        json_text(Address("phone", call.destination if line.direction == "in" else line.number)),
        json_text(line.content),
        storable(line.text),
        call.id,
        call.created_us,
    )
    return message_id


async def _update(connection: Connection, tenant_id: str, row: Any, line: Line) -> None:
    await connection.execute(
        "update messages set state = $3, content = $4::json, text = $5, version = version + 1"
        " where tenant_id = $1 and id = $2",
        tenant_id,
        row["id"],
        line.state,
        json_text(line.content),
        storable(line.text),
    )


async def _move(
    connection: Connection,
    tenant_id: str,
    conversation_id: str,
    call: Call,
    line: Line,
    is_new: bool,
    entries: list[NewEntry],
) -> None:
    """The conversation after it. Whoever called and was not answered waits for us."""
    missed = line.state == "missed"
    row = await connection.fetchrow(
        "update conversations set messages = messages + $3, unread = unread + $4, preview = $5,"
        " last_message_us = greatest(last_message_us, $6), state = case when $7 and state in ('snoozed', 'pending')"
        " then 'open' else state end, snoozed_until_us = case when $7 then 0 else snoozed_until_us end,"
        " waiting_since_us = case when $4 = 1 and waiting_since_us = 0 then $6 when $8 then 0 else waiting_since_us end,"
        " version = version + 1 where tenant_id = $1 and id = $2"
        " returning id, contact_id, channel_id, state, assignee, unread, waiting_since_us, version",
        tenant_id,
        conversation_id,
        int(is_new),
        int(missed),
        storable(line.text),
        _moment(call),
        line.direction == "in",
        line.state == "answered",
    )
    if row is not None:
        data = {"conversation": dict(row)}
        entries.append(entry_of(tenant_id, "conversation.updated", conversation_id, data, _moment(call)))
