"""Messages that came in, stored: one transaction for a whole batch of one tenant.

What is written together is believed together: who wrote (contact, identities), where it belongs (conversation), the
message, its files, and the entries of the log. A message that is there already (same account, same id of the provider)
changes nothing, so a delivery may be written any number of times, by any number of processes at once.

Each step is one statement for the whole batch. Rows that two writers may want are taken in one order (addresses, then
conversations by id), so that they never wait for each other in a circle; a conflict with another writer means that its
row is there after it has committed, and is read in the next statement.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from core.ids import new_id
from core.model import messaging, optout
from core.storage import attachments, changes, pieces, receipts
from core.storage.appending import append
from core.storage.attachments import Kept
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.texts import bigint, json_text, storable
from core.storage.threads import Place, find_places, older_ids
from irisx_sdk.messages import Address, Content, Inbound, Preference

SCOPED = "user"
"""Addresses of this kind mean something to one account only."""


class Arrival(Struct, frozen=True):
    """A message and the account that it came through."""

    channel_id: str
    message: Inbound
    arrived_us: int
    family: str = ""
    """What an opt-out word in it holds for (``sms``); empty: words mean nothing."""
    files: tuple[Kept, ...] = ()
    queue: str = ""
    """Where it waits if it begins a conversation."""
    attributes: Mapping[str, str] = {}
    """What plugins know of who wrote."""
    missing: tuple[int, ...] = ()
    """The numbers of its parts that never came."""


class Stored(Struct, frozen=True):
    """Where it is now. ``fresh`` is false for what was there already. All ids are empty for a part that waits for the
    others, and for a deletion that came before its message."""

    message_id: str
    conversation_id: str
    contact_id: str
    fresh: bool


class _Row(Struct):
    """One arrival on its way through the steps."""

    arrival: Arrival
    addresses: list[tuple[str, str, str, str]]
    message_id: str = ""
    contact_id: str = ""
    conversation_id: str = ""
    place: Place = ("", "", "")


NOWHERE = Stored("", "", "", False)


async def write_inbound(db: Database, tenant_id: str, arrivals: Sequence[Arrival]) -> list[Stored]:
    """Store what came; the places in the order of ``arrivals``.

    Raises the store's errors: then not everything is written, and writing all of it again is safe. Messages, and what
    changes earlier ones (edits, deletions, reactions), are two transactions.
    """
    places: dict[int, Stored] = {}
    changing = [n for n, one in enumerate(arrivals) if changes.is_change(one.message)]
    parts = [n for n, one in enumerate(arrivals) if pieces.is_part(one.message)]
    plain = sorted(set(range(len(arrivals))) - {*changing, *parts})
    if plain:
        written = await _write(db, tenant_id, [arrivals[n] for n in plain])
        places |= dict(zip(plain, written, strict=True))
    if parts:
        places |= dict.fromkeys(parts, NOWHERE) | await _write_parts(db, tenant_id, arrivals, parts)
    if changing:
        wanted = [
            changes.Change(arrivals[n].channel_id, arrivals[n].message, arrivals[n].arrived_us)
            for n in changing
        ]
        shown = []
        for n, done in zip(changing, await changes.apply(db, tenant_id, wanted), strict=True):
            if done is None:
                shown.append(n)
            elif done.target is None:
                places[n] = NOWHERE
            else:
                places[n] = Stored(done.target.message_id, done.target.conversation_id, "", done.fresh)
        if shown:
            # About something that we do not have: better a line of its own than nothing.
            written = await _write(db, tenant_id, [arrivals[n] for n in shown])
            places |= dict(zip(shown, written, strict=True))
    return [places[n] for n in range(len(arrivals))]


async def write_overdue(
    db: Database, tenant_id: str, channel_id: str, group: str, *, now_us: int
) -> list[Stored]:
    """Show what there is of a text whose other parts do not come (`core.storage.pieces.overdue`)."""
    async with db.tenant(tenant_id) as connection:
        found = await pieces.give_up(connection, tenant_id, channel_id, group, now_us=now_us)
        return await _write_within(connection, tenant_id, [_joined(one) for one in found])


async def _write_parts(
    db: Database, tenant_id: str, arrivals: Sequence[Arrival], parts: Sequence[int]
) -> dict[int, Stored]:
    """Keep parts of longer texts, and store the texts that they complete. Where the last part of each is."""
    given = [
        pieces.Part(arrivals[n].channel_id, arrivals[n].message, arrivals[n].arrived_us, arrivals[n].family)
        for n in parts
    ]
    async with db.tenant(tenant_id) as connection:
        whole = [_joined(one) for one in await pieces.gather(connection, tenant_id, given)]
        stored = await _write_within(connection, tenant_id, whole)
    return {parts[-1]: stored[-1]} if stored else {}


def _joined(whole: pieces.Whole) -> Arrival:
    part = whole.part
    return Arrival(part.channel_id, part.message, part.arrived_us, family=part.family, missing=whole.missing)


async def _write(db: Database, tenant_id: str, arrivals: Sequence[Arrival]) -> list[Stored]:
    async with db.tenant(tenant_id) as connection:
        return await _write_within(connection, tenant_id, arrivals)


async def _write_within(connection: Connection, tenant_id: str, arrivals: Sequence[Arrival]) -> list[Stored]:
    rows: dict[tuple[str, str], _Row] = {}
    for arrival in arrivals:
        key = (arrival.channel_id, storable(arrival.message.id))
        rows.setdefault(key, _Row(arrival, _addresses(arrival)))
    if rows:
        known = await _known(connection, tenant_id, rows)
        fresh = [row for key, row in rows.items() if key not in known]
        entries: list[NewEntry] = []
        if fresh:
            await _find_contacts(connection, tenant_id, fresh, entries)
            await _find_conversations(connection, tenant_id, fresh, entries)
            await _insert_messages(connection, tenant_id, fresh, entries)
            entries += await _hear_wishes(connection, tenant_id, fresh)
            lost = [row for row in fresh if not row.message_id]
            if lost:
                # Another process stored the same delivery between our look and our insert.
                known |= await _known(connection, tenant_id, {_key(row): row for row in lost})
            await append(connection, entries)
    return [
        known.get(key) or _stored(rows[key])
        for arrival in arrivals
        for key in [(arrival.channel_id, storable(arrival.message.id))]
    ]


def _key(row: _Row) -> tuple[str, str]:
    return row.arrival.channel_id, storable(row.arrival.message.id)


def _stored(row: _Row) -> Stored:
    return Stored(row.message_id, row.conversation_id, row.contact_id, True)


def _addresses(arrival: Arrival) -> list[tuple[str, str, str, str]]:
    """(kind, scope, value, name) of everything that is certainly the sender."""
    found: list[tuple[str, str, str, str]] = []
    for address in (arrival.message.sender, *arrival.message.aliases):
        scope = arrival.channel_id if address.kind == SCOPED else ""
        found.append((address.kind, scope, _plain(address), storable(address.name)))
    return found


def _plain(address: Address) -> str:
    value = storable(address.value)
    return value.lower() if address.kind == "email" else value


async def _known(
    connection: Connection, tenant_id: str, rows: dict[tuple[str, str], _Row]
) -> dict[tuple[str, str], Stored]:
    found = await connection.fetch(
        "select m.channel_id, m.provider_id, m.id, m.conversation_id, m.contact_id"
        " from unnest($2::text[], $3::text[]) w (channel_id, provider_id) join messages m"
        " on m.tenant_id = $1 and m.direction = 'in' and m.provider_id <> ''"
        " and m.channel_id = w.channel_id and m.provider_id = w.provider_id",
        tenant_id,
        [channel for channel, _ in rows],
        [provider for _, provider in rows],
    )
    return {
        (one["channel_id"], one["provider_id"]): Stored(
            one["id"], one["conversation_id"], one["contact_id"], False
        )
        for one in found
    }


# -- who wrote


async def _find_contacts(
    connection: Connection, tenant_id: str, rows: list[_Row], entries: list[NewEntry]
) -> None:
    """Give every row its contact: the one that any of its addresses belongs to, or a new one."""
    known = await _identities(connection, tenant_id, rows)
    made: dict[tuple[str, str, str], str] = {}
    for row in rows:
        keys = [address[:3] for address in row.addresses]
        contact = next((known[key] for key in keys if key in known), "")
        contact = contact or next((made[key] for key in keys if key in made), "") or new_id("ctc")
        for key in keys:
            if key not in known:
                made.setdefault(key, contact)
    if made:
        names = {address[:3]: address[3] for row in rows for address in row.addresses}
        at = {address[:3]: row.arrival.arrived_us for row in rows for address in row.addresses}
        wanted = sorted(made)
        inserted = await connection.fetch(
            "insert into identities (tenant_id, id, contact_id, kind, scope, value, name, created_us)"
            " select $1, * from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],"
            " $8::bigint[]) on conflict (tenant_id, kind, scope, value) do nothing returning contact_id, name, created_us",
            tenant_id,
            [new_id("idn") for _ in wanted],
            [made[key] for key in wanted],
            [key[0] for key in wanted],
            [key[1] for key in wanted],
            [key[2] for key in wanted],
            [names[key] for key in wanted],
            [at[key] for key in wanted],
        )
        # Contacts whose first address is ours, and not those to which one was added.
        new = {one["contact_id"]: one for one in inserted if one["contact_id"] not in set(known.values())}
        if new:
            await connection.execute(
                "insert into contacts (tenant_id, id, name, created_us, updated_us)"
                " select $1, id, name, at, at from unnest($2::text[], $3::text[], $4::bigint[]) c (id, name, at)"
                " on conflict do nothing",
                tenant_id,
                list(new),
                [one["name"] for one in new.values()],
                [one["created_us"] for one in new.values()],
            )
            for contact_id, one in new.items():
                data = {"contact": {"id": contact_id, "name": one["name"]}}
                entries.append(_entry(tenant_id, "contact.created", contact_id, data, one["created_us"]))
        known = await _identities(connection, tenant_id, rows)
    for row in rows:
        row.contact_id = next(known[address[:3]] for address in row.addresses if address[:3] in known)
    await _enrich(connection, tenant_id, rows, entries)


async def _enrich(connection: Connection, tenant_id: str, rows: list[_Row], entries: list[NewEntry]) -> None:
    """Note what plugins know of these people, where it is news."""
    given: dict[str, dict[str, str]] = {}
    for row in rows:
        if row.arrival.attributes:
            given.setdefault(row.contact_id, {}).update(row.arrival.attributes)
    for contact_id in sorted(given):
        changed = await connection.fetchrow(
            "update contacts set attributes = attributes || $3::jsonb, version = version + 1, updated_us = $4"
            " where tenant_id = $1 and id = $2 and not attributes @> $3::jsonb returning version",
            tenant_id,
            contact_id,
            json_text(given[contact_id]),
            rows[0].arrival.arrived_us,
        )
        if changed is not None:
            data = {"contact": {"id": contact_id, "version": changed["version"]}}
            entries.append(_entry(tenant_id, "contact.updated", contact_id, data, rows[0].arrival.arrived_us))


async def _identities(
    connection: Connection, tenant_id: str, rows: Iterable[_Row]
) -> dict[tuple[str, str, str], str]:
    """Whose these addresses are; a merged contact is the one that it was merged into."""
    wanted = sorted({address[:3] for row in rows for address in row.addresses})
    found = await connection.fetch(
        "select i.kind, i.scope, i.value, coalesce(c.merged_into, i.contact_id) as contact_id"
        " from unnest($2::text[], $3::text[], $4::text[]) w (kind, scope, value)"
        " join identities i on i.tenant_id = $1 and i.kind = w.kind and i.scope = w.scope and i.value = w.value"
        " left join contacts c on c.tenant_id = $1 and c.id = i.contact_id",
        tenant_id,
        [key[0] for key in wanted],
        [key[1] for key in wanted],
        [key[2] for key in wanted],
    )
    return {(one["kind"], one["scope"], one["value"]): one["contact_id"] for one in found}


# -- where it belongs

_OPEN = (
    "select c.id, c.channel_id, c.contact_id, c.thread from unnest($2::text[], $3::text[], $4::text[])"
    " w (channel_id, contact_id, thread) join conversations c on c.tenant_id = $1 and c.channel_id = w.channel_id"
    " and c.contact_id = w.contact_id and c.thread = w.thread and c.state <> 'resolved' and c.channel_id <> ''"
    " and c.merged_into is null order by c.id for update of c"
)


async def _find_conversations(
    connection: Connection, tenant_id: str, rows: list[_Row], entries: list[NewEntry]
) -> None:
    """Give every row the open conversation of its thread, or a new one; each is locked until the end."""
    await _place_rows(connection, tenant_id, rows)
    wanted: dict[Place, _Row] = {}
    for row in rows:
        wanted.setdefault(row.place, row)
    places = sorted(wanted)
    columns = [[place[n] for place in places] for n in range(3)]
    found = {_row_place(one): one["id"] for one in await connection.fetch(_OPEN, tenant_id, *columns)}
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
            entries.append(_entry(tenant_id, "conversation.created", one["id"], data, at_us))
        if any(place not in found for place in missing):
            found |= {
                _row_place(one): one["id"] for one in await connection.fetch(_OPEN, tenant_id, *columns)
            }
    for row in rows:
        row.conversation_id = found[row.place]


async def _place_rows(connection: Connection, tenant_id: str, rows: list[_Row]) -> None:
    """Where each belongs: its own thread, or that of what it answers."""
    for row in rows:
        row.place = (row.arrival.channel_id, row.contact_id, storable(row.arrival.message.thread))
    asking = [row for row in rows if _answers_something(row.arrival.message)]
    if not asking:
        return
    other = await find_places(connection, tenant_id, [(row.place, row.arrival.message) for row in asking])
    here = {_key(row): row for row in rows}
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


# -- the message itself


async def _insert_messages(
    connection: Connection, tenant_id: str, rows: list[_Row], entries: list[NewEntry]
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
        " on conflict (tenant_id, channel_id, provider_id) where direction = 'in' and provider_id <> '' do nothing"
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
                "preview": storable(messaging.preview_of(one.content)),
            }
        }
        entries.append(
            _entry(tenant_id, "message.received", row.message_id, data, row.arrival.arrived_us, one.sent_us)
        )


def _incomplete(arrival: Arrival) -> str:
    return f"parts that never came: {', '.join(map(str, arrival.missing))}" if arrival.missing else ""


async def _take_back(connection: Connection, tenant_id: str, fresh: list[_Row]) -> None:
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


async def _hear_wishes(connection: Connection, tenant_id: str, rows: list[_Row]) -> list[NewEntry]:
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
        entries += await receipts.wish(connection, tenant_id, wish, scope=family, now_us=at_us)
    return entries


async def _move_conversations(
    connection: Connection, tenant_id: str, rows: list[_Row], entries: list[NewEntry]
) -> None:
    """Count, wake up, and remember what the next answer needs."""
    groups: dict[str, list[_Row]] = {}
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
        " w (id, n, at, asked, preview, context) where c.tenant_id = $1 and c.id = w.id"
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
        entries.append(_entry(tenant_id, "conversation.updated", one["id"], data, last[one["id"]].arrived_us))


def _without_files(content: Content) -> Content:
    """The content as it is stored: where a file is and what is in it is the attachment's business."""
    file = getattr(content, "file", None)
    if file is None:
        return content
    return msgspec.structs.replace(content, file=msgspec.structs.replace(file, url="", content=None, id=""))


_encode = msgspec.json.Encoder().encode


def _entry(
    tenant_id: str, kind: str, resource: str, data: object, recorded_us: int, occurred_us: int = 0
) -> NewEntry:
    return NewEntry(
        tenant_id=tenant_id,
        type=kind,
        resource=resource,
        data=_encode(data),
        occurred_us=occurred_us or recorded_us,
    )
