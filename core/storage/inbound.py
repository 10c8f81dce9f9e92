"""Messages that came in, stored: one transaction for a whole batch of one tenant.

What is written together is believed together: who wrote (contact, identities), where it belongs (conversation), the
message, its files, and the entries of the log. A message that is there already (same account, same id of the provider)
changes nothing, so a delivery may be written any number of times, by any number of processes at once.

Each step is one statement for the whole batch. Rows that two writers may want are taken in one order (addresses, then
conversations by id), so that they never wait for each other in a circle; a conflict with another writer means that its
row is there after it has committed, and is read in the next statement.
"""

from collections.abc import Sequence

from core.storage import changes, pieces
from core.storage.appending import append
from core.storage.arrivals import NOWHERE, Arrival, Row, Stored, addresses_of, key_of, stored_at
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.inbound_contacts import find_contacts
from core.storage.inbound_messages import hear_wishes, insert_messages
from core.storage.inbound_places import find_conversations
from core.storage.texts import storable

__all__ = ["NOWHERE", "Arrival", "Stored", "write_inbound", "write_overdue"]


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
    rows: dict[tuple[str, str], Row] = {}
    for arrival in arrivals:
        key = (arrival.channel_id, storable(arrival.message.id))
        rows.setdefault(key, Row(arrival, addresses_of(arrival)))
    if rows:
        known = await _known(connection, tenant_id, rows)
        fresh = [row for key, row in rows.items() if key not in known]
        entries: list[NewEntry] = []
        if fresh:
            await find_contacts(connection, tenant_id, fresh, entries)
            await find_conversations(connection, tenant_id, fresh, entries)
            await insert_messages(connection, tenant_id, fresh, entries)
            entries += await hear_wishes(connection, tenant_id, fresh)
            lost = [row for row in fresh if not row.message_id]
            if lost:
                # Another process stored the same delivery between our look and our insert.
                known |= await _known(connection, tenant_id, {key_of(row): row for row in lost})
            await append(connection, entries)
    return [
        known.get(key) or stored_at(rows[key])
        for arrival in arrivals
        for key in [(arrival.channel_id, storable(arrival.message.id))]
    ]


async def _known(
    connection: Connection, tenant_id: str, rows: dict[tuple[str, str], Row]
) -> dict[tuple[str, str], Stored]:
    found = await connection.fetch(
        # (each alone, by its index: joined as tables, a tenant's messages would all be read; ``limit`` forbids that)
        "select m.channel_id, m.provider_id, m.id, m.conversation_id, m.contact_id"
        " from unnest($2::text[], $3::text[]) w (channel_id, provider_id), lateral (select channel_id, provider_id, id,"
        " conversation_id, contact_id from messages where tenant_id = $1 and channel_id = w.channel_id"
        " and inbound_id = w.provider_id limit 1) m"
        # In the same round trip: which of them were taken back before they came.
        " union all select c.channel_id, c.target, '', '', '' from unnest($2::text[], $3::text[]) w (channel_id, provider_id),"
        " lateral (select channel_id, target from message_changes where tenant_id = $1 and message_id = ''"
        " and channel_id = w.channel_id and target = w.provider_id limit 1) c",
        tenant_id,
        [channel for channel, _ in rows],
        [provider for _, provider in rows],
    )
    for one in found:
        if not one["id"]:
            rows[one["channel_id"], one["provider_id"]].taken_back = True
    return {
        (one["channel_id"], one["provider_id"]): Stored(
            one["id"], one["conversation_id"], one["contact_id"], False
        )
        for one in found
        if one["id"]
    }
