"""Rate decks: stored whole, each with the rows that could not be used."""

from typing import Any

import msgspec

from core.errors import NotFound
from core.ids import new_id
from core.model.rate_csv import Deck
from core.model.rates import FOR_EVER_US, Rate
from core.storage.appending import append
from core.storage.database import Database
from core.storage.entries import NewEntry
from core.storage.listing import Listing
from core.storage.texts import storable

CHUNK = 20_000
"""Rows of one statement."""
MOST_REJECTS = 10_000
"""Unusable rows of a deck that are kept; all are counted."""
_MEMBERS = "id carrier_id name currency valid_from_us valid_to_us rates rejected actor created_us".split()  # noqa: SIM905
_DOCUMENT = "json_build_object({})".format(
    ", ".join(
        f"'{name}', case when {name} = {FOR_EVER_US} then 0 else {name} end"
        if name == "valid_to_us"
        else f"'{name}', {name}"
        for name in _MEMBERS
    )
)
DECKS = Listing(
    "rate_decks",
    place="created_us",
    columns="id carrier_id currency created_us",
    document=f"{_DOCUMENT}::text",
)


async def write_deck(
    db: Database,
    tenant_id: str,
    deck: Deck,
    *,
    carrier_id: str,
    name: str,
    currency: str,
    valid_from_us: int,
    actor: str,
    now_us: int,
) -> str:
    """Store a deck; its id. It ends the carrier's earlier ones where it begins. Raises `NotFound` for no such carrier."""
    deck_id = new_id("rdk")
    async with db.tenant(tenant_id) as connection:
        known = await connection.fetchval(
            "select true from carriers where tenant_id = $1 and id = $2 and deleted_us = 0 for update",
            tenant_id,
            carrier_id,
        )
        if not known:
            raise NotFound(f"there is no carrier {carrier_id}", code="no_such_carrier")
        await connection.execute(
            "update rate_decks set valid_to_us = least(valid_to_us, $3) where tenant_id = $1 and carrier_id = $2"
            " and valid_from_us <= $3",
            tenant_id,
            carrier_id,
            valid_from_us,
        )
        later = await connection.fetchval(
            "select min(valid_from_us) from rate_decks where tenant_id = $1 and carrier_id = $2 and valid_from_us > $3",
            tenant_id,
            carrier_id,
            valid_from_us,
        )
        await connection.execute(
            "insert into rate_decks (tenant_id, id, carrier_id, name, currency, valid_from_us, valid_to_us, rates, rejected,"
            " actor, created_us) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            tenant_id,
            deck_id,
            carrier_id,
            storable(name),
            currency,
            valid_from_us,
            later or FOR_EVER_US,
            len(deck.rows),
            len(deck.rejected),
            actor,
            now_us,
        )
        # (Postgres takes no COPY into tables with row level security)
        for start in range(0, len(deck.rows), CHUNK):
            rows = deck.rows[start : start + CHUNK]
            await connection.execute(
                "insert into rates (tenant_id, deck_id, prefix, price, connect_fee, minimum, increment, valid_from_us,"
                " valid_to_us) select $1, $2, * from unnest($3::text[], $4::numeric[], $5::numeric[], $6::int[], $7::int[],"
                " $8::bigint[], $9::bigint[])",
                tenant_id,
                deck_id,
                [row.prefix for row in rows],
                [row.price for row in rows],
                [row.connect_fee for row in rows],
                [row.minimum for row in rows],
                [row.increment for row in rows],
                [row.valid_from_us for row in rows],
                [row.valid_to_us for row in rows],
            )
        kept = deck.rejected[:MOST_REJECTS]
        await connection.execute(
            "insert into rate_rejects (tenant_id, deck_id, line, text, reason)"
            " select $1, $2, * from unnest($3::int[], $4::text[], $5::text[])",
            tenant_id,
            deck_id,
            [one.line for one in kept],
            [storable(one.text) for one in kept],
            [one.reason for one in kept],
        )
        told = {
            "id": deck_id,
            "carrier_id": carrier_id,
            "rates": len(deck.rows),
            "rejected": len(deck.rejected),
        }
        entry = NewEntry(
            tenant_id=tenant_id,
            type="rate_deck.imported",
            resource=deck_id,
            data=msgspec.json.encode({"rate_deck": told, "actor": actor}),
            occurred_us=now_us,
        )
        await append(connection, [entry])
    return deck_id


async def get_deck(db: Database, tenant_id: str, deck_id: str) -> bytes:
    """A deck as JSON, without its rows. Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        body: bytes | None = await connection.fetchval(
            f"select convert_to({_DOCUMENT}::text, 'UTF8') from rate_decks where tenant_id = $1 and id = $2",  # noqa: S608
            tenant_id,
            deck_id,
        )
    if body is None:
        raise NotFound(f"there is no rate deck {deck_id}", code="no_such_deck")
    return body


async def rejects_of(db: Database, tenant_id: str, deck_id: str, *, after: int, limit: int) -> list[Any]:
    """Rows of a deck's file that could not be used, by line, after the line ``after``. Raises `NotFound`."""
    await get_deck(db, tenant_id, deck_id)
    async with db.reader(tenant_id) as connection:
        rows: list[Any] = await connection.fetch(
            "select line, text, reason from rate_rejects where tenant_id = $1 and deck_id = $2 and line > $3"
            " order by line limit $4",
            tenant_id,
            deck_id,
            after,
            limit,
        )
    return rows


async def mark_of(db: Database, tenant_id: str) -> str:
    """Changes whenever a tenant's decks do."""
    async with db.reader(tenant_id) as connection:
        return str(
            await connection.fetchval(
                "select count(*) || ' ' || coalesce(max(id), '') || ' ' || coalesce(sum(valid_to_us::numeric), 0)"
                " from rate_decks where tenant_id = $1",
                tenant_id,
            )
        )


async def read_rates(db: Database, tenant_id: str) -> list[tuple[str, Rate]]:
    """All rates that may still count, each with the kind of its carrier."""
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            "select c.kind, d.carrier_id, r.prefix, r.price::float8 as price, d.currency, r.connect_fee::float8 as fee,"
            " r.minimum, r.increment, greatest(r.valid_from_us, d.valid_from_us) as valid_from_us,"
            " least(r.valid_to_us, d.valid_to_us) as valid_to_us from rate_decks d"
            " join carriers c on c.tenant_id = d.tenant_id and c.id = d.carrier_id and c.deleted_us = 0"
            " join rates r on r.tenant_id = d.tenant_id and r.deck_id = d.id"
            " where d.tenant_id = $1 and d.valid_to_us > d.valid_from_us"
            " and least(r.valid_to_us, d.valid_to_us) > extract(epoch from now()) * 1000000",
            tenant_id,
        )
    return [
        (
            row["kind"],
            Rate(
                carrier_id=row["carrier_id"],
                prefix=row["prefix"],
                price=row["price"],
                currency=row["currency"],
                connect_fee=row["fee"],
                minimum=row["minimum"],
                increment=row["increment"],
                valid_from_us=row["valid_from_us"],
                valid_to_us=row["valid_to_us"],
            ),
        )
        for row in rows
    ]
