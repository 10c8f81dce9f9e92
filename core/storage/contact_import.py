"""Contacts from a table (CSV): each row becomes a contact, or is given back with the reason why not.

The first row names the columns. A row whose address is somebody's already is refused and names them, unless `update` was
asked for: then it fills in what that contact lacks. Everything is one transaction with some statements for all rows.
"""

import csv
import io
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from core.clock import now_us
from core.errors import RequestError
from core.ids import new_id
from core.model import addresses
from core.storage.appending import append
from core.storage.contact_rows import entry
from core.storage.database import Connection, Database
from core.storage.texts import json_text, storable

COLUMNS = ("name", "company", "language", "timezone", "phone", "email")
ATTRIBUTE = "attribute."
"""A column that begins so is kept under the rest of its name."""
MOST_ROWS = 5_000
MAX_FIELD = 300


class Rejected(Struct, frozen=True):
    """A row that was not taken."""

    row: int
    """As people count them: the first one below the heading is 2."""
    code: str
    reason: str
    line: str
    """The row as CSV, to be mended and sent again."""


class Imported(Struct, frozen=True):
    """What became of a table."""

    created: int
    updated: int
    rejected: list[Rejected]


class _Row(Struct):
    number: int
    line: str
    members: dict[str, str]
    attributes: dict[str, str]
    identities: list[tuple[str, str]]
    contact_id: str = ""


async def import_contacts(
    db: Database,
    tenant_id: str,
    text: str,
    *,
    region: str = "",
    update: bool = False,
    actor: str,
    request_id: str = "",
) -> Imported:
    """``region`` (``DE``) is where numbers without a country code belong. Raises `RequestError` for what is no table."""
    rejected: list[Rejected] = []
    rows = read_table(text, region, rejected)
    async with db.tenant(tenant_id) as connection:
        known = await _holders(connection, tenant_id, rows)
        fresh, there = [], []
        for row in rows:
            holders = {known[one] for one in row.identities if one in known}
            if not holders:
                fresh.append(row)
            elif update and len(holders) == 1:
                row.contact_id = next(iter(holders))
                there.append(row)
            else:
                found = ", ".join(sorted(holders))
                rejected.append(
                    Rejected(row.number, "identity_taken", f"the address belongs to {found}", row.line)
                )
        created = await _create(connection, tenant_id, fresh, rejected)
        updated = await _fill_in(connection, tenant_id, there)
        entries = [
            entry(
                tenant_id,
                "contact.created",
                row.contact_id,
                {"contact": {"id": row.contact_id, "name": row.members.get("name", "")}, "actor": actor},
                request_id,
            )
            for row in created
        ]
        entries += [
            entry(tenant_id, "contact.updated", one, {"contact": {"id": one}, "actor": actor}, request_id)
            for one in updated
        ]
        await append(connection, entries)
    return Imported(len(created), len(updated), sorted(rejected, key=lambda one: one.row))


def read_table(text: str, region: str, rejected: list[Rejected]) -> list[_Row]:
    """The rows that can be contacts; the others go to ``rejected``. Pure."""
    text = text.removeprefix("\ufeff")
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=False)
    try:
        table = list(reader)
    except csv.Error as exc:
        raise RequestError(f"this is not a table: {exc}", code="bad_table") from exc
    heading = [name.strip().lower() for name in (table[0] if table else [])]
    unknown = [name for name in heading if name not in COLUMNS and not name.startswith(ATTRIBUTE)]
    if not heading or unknown:
        raise RequestError(
            f"the first row names the columns, of {', '.join(COLUMNS)} and {ATTRIBUTE}…; unknown: {', '.join(unknown)}",
            code="bad_table",
        )
    if len(set(heading)) < len(heading):
        raise RequestError("a column is there twice", code="bad_table")
    if len(table) > MOST_ROWS + 1:
        raise RequestError(f"a table has at most {MOST_ROWS} rows: send it in pieces", code="too_many")
    found: list[_Row] = []
    seen: dict[tuple[str, str], int] = {}
    for number, cells in enumerate(table[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        line = _line(cells, delimiter)
        try:
            row = _row(number, line, dict(zip(heading, cells, strict=False)), region)
            if len(cells) > len(heading):
                raise RequestError("it has more cells than the heading", code="bad_table")
            for one in row.identities:
                if one in seen:
                    raise RequestError(f"row {seen[one]} has the same address", code="identity_taken")
        except RequestError as exc:
            rejected.append(Rejected(number, exc.code, exc.detail, line))
            continue
        seen |= dict.fromkeys(row.identities, number)
        found.append(row)
    return found


def _row(number: int, line: str, cells: dict[str, str], region: str) -> _Row:
    cells = {name: storable(value.strip()) for name, value in cells.items()}
    for name, value in cells.items():
        if len(value) > MAX_FIELD:
            raise RequestError(f"{name} is longer than {MAX_FIELD} characters", code="too_large")
    identities = [
        (kind, addresses.normal(kind, cells[kind], region=region))
        for kind in ("phone", "email")
        if cells.get(kind)
    ]
    if not identities and not cells.get("name"):
        raise RequestError("it has neither a name nor an address", code="missing")
    return _Row(
        number,
        line,
        {name: cells[name] for name in COLUMNS[:4] if cells.get(name)},
        {
            name.removeprefix(ATTRIBUTE): value
            for name, value in cells.items()
            if name.startswith(ATTRIBUTE) and value
        },
        identities,
    )


def _line(cells: Iterable[str], delimiter: str) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="").writerow(list(cells))
    return out.getvalue()


async def _holders(connection: Connection, tenant_id: str, rows: list[_Row]) -> dict[tuple[str, str], str]:
    wanted = [one for row in rows for one in row.identities]
    found = await connection.fetch(
        "select i.kind, i.value, i.contact_id from unnest($2::text[], $3::text[]) w (kind, value) join identities i"
        " on i.tenant_id = $1 and i.kind = w.kind and i.scope = '' and i.value = w.value",
        tenant_id,
        [kind for kind, _ in wanted],
        [value for _, value in wanted],
    )
    return {(row["kind"], row["value"]): row["contact_id"] for row in found}


async def _create(
    connection: Connection, tenant_id: str, rows: list[_Row], rejected: list[Rejected]
) -> list[_Row]:
    moment = now_us()
    for row in rows:
        row.contact_id = new_id("ctc")
    wanted = [(row, one) for row in rows for one in row.identities]
    made = await _add(connection, tenant_id, wanted, moment)
    taken = [row for row, one in wanted if one not in made]
    if taken:
        # Somebody else wrote the same address between our look and our insert.
        lost = [row.contact_id for row in taken]
        await connection.execute(
            "delete from identities where tenant_id = $1 and contact_id = any($2)", tenant_id, lost
        )
        rejected += [
            Rejected(row.number, "identity_taken", "the address has just become somebody's", row.line)
            for row in {row.number: row for row in taken}.values()
        ]
        rows = [row for row in rows if row.contact_id not in lost]
    await connection.execute(
        "insert into contacts (tenant_id, id, name, company, language, timezone, attributes, created_us, updated_us)"
        " select $1, id, name, company, language, timezone, attributes::jsonb, $2, $2 from unnest($3::text[], $4::text[],"
        " $5::text[], $6::text[], $7::text[], $8::text[]) c (id, name, company, language, timezone, attributes)",
        tenant_id,
        moment,
        [row.contact_id for row in rows],
        *([row.members.get(name, "") for row in rows] for name in COLUMNS[:4]),
        [json_text(row.attributes) for row in rows],
    )
    return rows


async def _add(
    connection: Connection, tenant_id: str, wanted: list[tuple[_Row, tuple[str, str]]], moment: int
) -> set[tuple[str, str]]:
    # (in one order, so that two imports of one table never wait for each other in a circle)
    wanted = sorted(wanted, key=lambda one: one[1])
    made = await connection.fetch(
        "insert into identities (tenant_id, id, contact_id, kind, value, created_us) select $1, id, contact_id, kind,"
        " value, $2 from unnest($3::text[], $4::text[], $5::text[], $6::text[]) i (id, contact_id, kind, value)"
        " on conflict (tenant_id, kind, scope, value) do nothing returning kind, value",
        tenant_id,
        moment,
        [new_id("idn") for _ in wanted],
        [row.contact_id for row, _ in wanted],
        [kind for _, (kind, _) in wanted],
        [value for _, (_, value) in wanted],
    )
    return {(row["kind"], row["value"]) for row in made}


async def _fill_in(connection: Connection, tenant_id: str, rows: list[_Row]) -> list[str]:
    """Give contacts what they lack; the ids of those that are there."""
    if not rows:
        return []
    moment = now_us()
    await _add(connection, tenant_id, [(row, one) for row in rows for one in row.identities], moment)
    fill: Any = [[row.members.get(name, "") for row in rows] for name in COLUMNS[:4]]
    found = await connection.fetch(
        "update contacts c set name = coalesce(nullif(c.name, ''), w.name), company = coalesce(nullif(c.company, ''),"
        " w.company), language = coalesce(nullif(c.language, ''), w.language), timezone = coalesce(nullif(c.timezone,"
        " ''), w.timezone), attributes = w.attributes::jsonb || c.attributes, version = c.version + 1, updated_us = $2"
        " from (select distinct on (id) * from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])"
        " w (id, name, company, language, timezone, attributes)) w where c.tenant_id = $1 and c.id = w.id"
        " and c.deleted_us = 0 returning c.id",
        tenant_id,
        moment,
        [row.contact_id for row in rows],
        *fill,
        [json_text(row.attributes) for row in rows],
    )
    return [row["id"] for row in found]
