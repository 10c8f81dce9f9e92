"""Finding people, and everything that was written or spoken with one of them.

People are found by the beginnings of words: of their names and companies, of their addresses, and of the end of a telephone
number. That is an index on texts that are compared (`contact_words`), since row level security lets Postgres use no index of
similarities (see the migration 0006).
"""

from collections.abc import Sequence

from core.model import addresses
from core.storage.contact_rows import ALIVE, DOCUMENT
from core.storage.contacts import get_contact
from core.storage.conversations import MESSAGE_DOCUMENT
from core.storage.database import Database
from core.storage.listing import Page

_LAST = "\U0010ffff"
"""Behind every text that begins with what stands before it."""
MOST_FOUND = 5_000
"""Contacts of one word that are looked at: who searches for "a" gets some of them."""


async def search(
    db: Database, tenant_id: str, text: str, *, limit: int, after: tuple[int, str] | None
) -> Page:
    """Contacts in which every word of ``text`` begins a word, newest first."""
    values: list[object] = [tenant_id, limit]
    parts = []
    for forms in addresses.searched(text):
        either = []
        for form in forms:
            values += [form, form + _LAST]
            either.append(f"word >= ${len(values) - 1} and word < ${len(values)}")
        parts.append(
            f"select distinct contact_id from contact_words where tenant_id = $1 and ({' or '.join(either)})"  # noqa: S608
            f" limit {MOST_FOUND}"
        )
    if not parts:
        return Page(b"[]", has_more=False, last=None)
    place = ""
    if after is not None:
        values += after
        place = f" and (created_us, id) < (${len(values) - 1}, ${len(values)})"
    # An array is made once, whatever the planner thinks of tables that grew since it counted them.
    found = " intersect ".join(f"({part})" for part in parts)
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            f"select created_us as place, id, convert_to({DOCUMENT}, 'UTF8') as document from contacts"  # noqa: S608
            f" where tenant_id = $1{ALIVE}{place} and id = any(array({found}))"
            " order by created_us desc, id desc limit $2::bigint + 1",
            *values,
        )
    return _page(rows, limit)


async def timeline(
    db: Database,
    tenant_id: str,
    contact_id: str,
    *,
    calls: bool,
    limit: int,
    after: tuple[int, str] | None,
) -> Page:
    """Messages, notes and (``calls``) telephone calls with one person, newest first, whatever conversation they are in.

    Calls are those that have ended, by the numbers that the person has now. Raises `NotFound`.
    """
    await get_contact(db, tenant_id, contact_id)
    numbers: list[str] = []
    if calls:
        async with db.reader(tenant_id) as connection:
            rows = await connection.fetch(
                "select value from identities where tenant_id = $1 and contact_id = $2 and kind = 'phone'",
                tenant_id,
                contact_id,
            )
        numbers = [form for row in rows for form in (row["value"], row["value"].lstrip("+"))]
    last, last_id = after or (2**62, "~")
    async with db.reader(tenant_id) as connection:
        # Each part is a page by itself, read from its own index; together they are cut again.
        rows = await connection.fetch(
            f"""select place, id, document from (
                (select order_us as place, id, convert_to('{{"type":"message","at_us":' || order_us || ',"message":'
                    || {MESSAGE_DOCUMENT} || '}}', 'UTF8') as document
                 from messages where tenant_id = $1 and contact_id = $2 and (order_us, id) < ($3, $4)
                 order by order_us desc, id desc limit $5::bigint + 1)
                union all
                (select place, id, document from (
                    {" union all ".join(_calls_by(column) for column in ("caller", "destination"))}) c
                 order by place desc, id desc limit $5::bigint + 1)
            ) both_kinds order by place desc, id desc limit $5::bigint + 1""",  # noqa: S608
            tenant_id,
            contact_id,
            last,
            last_id,
            limit,
            numbers,
        )
    return _page(rows, limit)


def _calls_by(column: str) -> str:
    other = " and not caller = any($6::text[])" if column == "destination" else ""
    return (
        """(select started_us as place, id, convert_to('{"type":"call","at_us":' || started_us || ',"call":'"""  # noqa: S608
        f" || doc::text || '}}', 'UTF8') as document from cdrs where tenant_id = $1 and kind = 'call'"
        f" and {column} = any($6::text[]){other} and (started_us, id) < ($3, $4)"
        # (one that stands in a conversation is there as its message)
        " and not exists (select from messages m where m.tenant_id = $1 and m.call_id = cdrs.call_id and m.call_id <> '')"
        " order by started_us desc, id desc limit $5::bigint + 1)"
    )


def _page(rows: Sequence[dict[str, object]], limit: int) -> Page:
    shown = rows[:limit]
    last = (int(str(shown[-1]["place"])), str(shown[-1]["id"])) if shown else None
    body = b"[" + b",".join([bytes(row["document"]) for row in shown]) + b"]"  # type: ignore[call-overload]
    return Page(body, len(rows) > limit, last)
