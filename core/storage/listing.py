"""Lists of stored documents, as JSON that Postgres keeps: one statement, one round trip, nothing decoded.

A page begins after the place (sort value, id) of the last row seen, so rows that come in between shift nothing.
Columns come from a `Listing`, values only as parameters.
"""

from collections.abc import Iterable

from msgspec import Struct

from core.storage.access_filters import Asked, where
from core.storage.database import Database

__all__ = ["Asked", "Listing", "Page", "list_json"]


class Page(Struct, frozen=True):
    """A part of a list, newest first."""

    data: bytes
    """A JSON array of documents."""
    has_more: bool
    last: tuple[int, str] | None
    """The place of the last row: what the next page comes after. None when the page is empty."""


class Listing:
    """A table whose rows are documents: ``place`` is the column it is ordered by (descending, then ``id``),
    ``columns`` those that a caller may filter by, ``document`` the SQL that makes a row's JSON text."""

    def __init__(self, table: str, *, place: str, columns: str, document: str = "doc::text") -> None:
        self.table = table
        self.place = place
        self.columns = {name: name for name in columns.split()}
        self.document = document


async def list_json(
    db: Database,
    tenant_id: str,
    listing: Listing,
    conditions: Iterable[Asked] = (),
    *,
    limit: int,
    after: tuple[int, str] | None = None,
    only: str = "",
) -> Page:
    """A page of ``listing``. ``only`` is a further condition of our own (``" and live"``).

    ``conditions`` must name columns of the listing and known operators (the API has checked that).
    """
    values: list[object] = [tenant_id, limit]
    asked = where(conditions, listing.columns, values)
    if after is not None:
        values += after
        asked += f" and ({listing.place}, id) < (${len(values) - 1}, ${len(values)})"
    async with db.reader(tenant_id) as connection:
        # One row more than wanted tells whether there are more. Rows are joined here: gathering them in Postgres
        # (string_agg) took it more than twice the time of the whole query.
        rows = await connection.fetch(
            f"select {listing.place} as place, id, convert_to({listing.document}, 'UTF8') as document"  # noqa: S608
            f" from {listing.table} where tenant_id = $1{only}{asked}"
            f" order by {listing.place} desc, id desc limit $2::bigint + 1",  # our own words
            *values,
        )
    shown = rows[:limit]
    last = (shown[-1]["place"], shown[-1]["id"]) if shown else None
    return Page(b"[" + b",".join([row["document"] for row in shown]) + b"]", len(rows) > limit, last)
