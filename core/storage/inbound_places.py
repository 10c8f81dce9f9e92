"""Where a message belongs: the open conversation of its thread, that of what it answers, or a new one.

Conversations are locked in the order of their ids until the end of the transaction.
"""

from typing import Any

from core.ids import new_id
from core.storage.arrivals import Row, entry_of, key_of
from core.storage.database import Connection
from core.storage.entries import NewEntry
from core.storage.texts import storable
from core.storage.threads import Place, find_places, older_ids
from irisx_sdk.messages import Inbound

_OPEN = (
    "select c.id, c.channel_id, c.contact_id, c.thread from conversations c where c.tenant_id = $1 and c.id = any(array("
    # (each alone, by its index: joined as tables, all conversations of a tenant would be read; ``limit`` forbids that)
    " select f.id from unnest($2::text[], $3::text[], $4::text[]) w (channel_id, contact_id, thread), lateral (select id"
    " from conversations where tenant_id = $1 and channel_id = w.channel_id and contact_id = w.contact_id"
    " and thread = w.thread and state <> 'resolved' and channel_id <> '' and merged_into is null limit 1) f))"
    # What it waited for may have changed the row: then it is none of these any more.
    " and c.state <> 'resolved' and c.channel_id <> '' and c.merged_into is null order by c.id for update of c"
)


_MERGED = (
    "select k.id, c.channel_id, c.contact_id, c.thread from unnest($2::text[], $3::text[], $4::text[])"
    " w (channel_id, contact_id, thread) join conversations c on c.tenant_id = $1 and c.channel_id = w.channel_id"
    " and c.contact_id = w.contact_id and c.thread = w.thread and c.state <> 'resolved' and c.merged_into is not null"
    " join conversations k on k.tenant_id = $1 and k.id = c.merged_into and k.merged_into is null"
    " and k.state <> 'resolved' order by k.id for update of k"
)
"""The open conversations that those of a thread became part of (`core.storage.conversation_merges`)."""


async def find_conversations(
    connection: Connection, tenant_id: str, rows: list[Row], entries: list[NewEntry]
) -> None:
    """Give every row the open conversation of its thread, or a new one; each is locked until the end."""
    await _place_rows(connection, tenant_id, rows)
    wanted: dict[Place, Row] = {}
    for row in rows:
        wanted.setdefault(row.place, row)
    places = sorted(wanted)
    columns = [[place[n] for place in places] for n in range(3)]
    found = {_row_place(one): one["id"] for one in await connection.fetch(_OPEN, tenant_id, *columns)}
    missing = [place for place in places if place not in found]
    if missing:
        asked = [[place[n] for place in missing] for n in range(3)]
        found |= {_row_place(one): one["id"] for one in await connection.fetch(_MERGED, tenant_id, *asked)}
        missing = [place for place in places if place not in found]
    if missing:
        inserted = await connection.fetch(
            "insert into conversations (tenant_id, id, channel_id, contact_id, thread, subject, last_message_us,"
            " created_us, queue) select $1, id, channel_id, contact_id, thread, subject, at, at, queue from unnest($2::text[],"
            " $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[])"
            " c (id, channel_id, contact_id, thread, subject, at, queue) on conflict do nothing"
            " returning id, channel_id, contact_id, thread",
            tenant_id,
            [new_id("conv") for _ in missing],
            [place[0] for place in missing],
            [place[1] for place in missing],
            [place[2] for place in missing],
            [storable(wanted[place].arrival.message.subject) for place in missing],
            [wanted[place].arrival.arrived_us for place in missing],
            [storable(wanted[place].arrival.queue) for place in missing],
        )
        for one in inserted:
            found[_row_place(one)] = one["id"]
            data = {
                "conversation": {
                    "id": one["id"],
                    "contact_id": one["contact_id"],
                    "channel_id": one["channel_id"],
                }
            }
            at_us = wanted[_row_place(one)].arrival.arrived_us
            entries.append(entry_of(tenant_id, "conversation.created", one["id"], data, at_us))
        if any(place not in found for place in missing):
            found |= {
                _row_place(one): one["id"] for one in await connection.fetch(_OPEN, tenant_id, *columns)
            }
    for row in rows:
        row.conversation_id = found[row.place]


async def _place_rows(connection: Connection, tenant_id: str, rows: list[Row]) -> None:
    """Where each belongs: its own thread, or that of what it answers."""
    for row in rows:
        row.place = (row.arrival.channel_id, row.contact_id, storable(row.arrival.message.thread))
    asking = [row for row in rows if _answers_something(row.arrival.message)]
    if not asking:
        return
    other = await find_places(connection, tenant_id, [(row.place, row.arrival.message) for row in asking])
    here = {key_of(row): row for row in rows}
    for n, row in enumerate(asking):
        if n in other:
            row.place = other[n]
            continue
        # What it answers may be in this very batch.
        older = (here.get((row.arrival.channel_id, storable(one))) for one in older_ids(row.arrival.message))
        if (first := next(filter(None, older), None)) is not None and first is not row:
            row.place = first.place


def _answers_something(message: Inbound) -> bool:
    return bool(message.reference or message.reply_to or message.references)


def _row_place(row: Any) -> Place:
    return row["channel_id"], row["contact_id"], row["thread"]
