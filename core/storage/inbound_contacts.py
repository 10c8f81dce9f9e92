"""Who wrote: the contact of every message that came in, an old one or a new one.

Addresses are taken in one order by everybody; a conflict with another writer means that its row is there after it has
committed, and is read in the next statement.
"""

from collections.abc import Iterable

from core.ids import new_id
from core.storage.arrivals import Row, entry_of
from core.storage.database import Connection
from core.storage.entries import NewEntry
from core.storage.texts import json_text


async def find_contacts(
    connection: Connection, tenant_id: str, rows: list[Row], entries: list[NewEntry]
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
                entries.append(entry_of(tenant_id, "contact.created", contact_id, data, one["created_us"]))
        known = await _identities(connection, tenant_id, rows)
    for row in rows:
        row.contact_id = next(known[address[:3]] for address in row.addresses if address[:3] in known)
    await _enrich(connection, tenant_id, rows, entries)


async def _enrich(connection: Connection, tenant_id: str, rows: list[Row], entries: list[NewEntry]) -> None:
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
            entries.append(
                entry_of(tenant_id, "contact.updated", contact_id, data, rows[0].arrival.arrived_us)
            )


async def _identities(
    connection: Connection, tenant_id: str, rows: Iterable[Row]
) -> dict[tuple[str, str, str], str]:
    """Whose these addresses are; a merged contact is the one that it was merged into."""
    wanted = sorted({address[:3] for row in rows for address in row.addresses})
    found = await connection.fetch(
        # (each alone, by its index: joined as tables, all people of a tenant would be read; ``limit`` forbids that)
        "select i.kind, i.scope, i.value, coalesce((select c.merged_into from contacts c where c.tenant_id = $1"
        " and c.id = i.contact_id), i.contact_id) as contact_id"
        " from unnest($2::text[], $3::text[], $4::text[]) w (kind, scope, value), lateral (select kind, scope, value,"
        " contact_id from identities where tenant_id = $1 and kind = w.kind and scope = w.scope and value = w.value"
        " limit 1) i",
        tenant_id,
        [key[0] for key in wanted],
        [key[1] for key in wanted],
        [key[2] for key in wanted],
    )
    return {(one["kind"], one["scope"], one["value"]): one["contact_id"] for one in found}
