"""Finding messages by their words, and a conversation as a text to keep."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from msgspec import Struct

from core.storage.conversations import read_conversation
from core.storage.database import Connection, Database
from core.storage.entries import READ_BODY
from core.storage.listing import Page
from core.storage.texts import storable

MOST_TRANSCRIPT = 5_000
"""Messages of a transcript: the newest ones."""
AROUND = "StartSel='', StopSel='', MaxWords=30, MinWords=12, MaxFragments=1"


class Sought(Struct, frozen=True):
    """What is looked for. Empty members do not matter."""

    text: str
    """Words that must all be there; ``"in quotes"`` together, ``-without``, ``this or that``."""
    states: Sequence[str] = ()
    channel_id: str = ""
    contact_id: str = ""
    assignee: str = ""
    queue: str = ""
    labels: Sequence[str] = ()
    """All of them."""
    direction: str = ""
    from_us: int = 0
    to_us: int = 0


async def search(
    db: Database, tenant_id: str, sought: Sought, *, limit: int, after: tuple[int, str] | None
) -> Page:
    """Messages that hold the words, newest first, each with its conversation."""
    values: list[object] = [tenant_id, storable(sought.text), limit]
    asked = ""

    def add(test: str, value: object) -> None:
        nonlocal asked
        values.append(value)
        asked += f" and {test.format(f'${len(values)}')}"

    for test, value in (
        ("c.state = any({}::text[])", list(sought.states)),
        ("c.channel_id = {}", sought.channel_id),
        ("c.contact_id = {}", sought.contact_id),
        ("c.assignee = {}", sought.assignee),
        ("c.queue = {}", sought.queue),
        ("c.labels @> {}::text[]", list(sought.labels)),
        ("m.direction = {}", sought.direction),
        ("m.created_us >= {}", sought.from_us),
        ("m.created_us < {}", sought.to_us),
    ):
        if value:
            add(test, value)
    if after is not None:
        values += after
        asked += f" and (m.created_us, m.id) < (${len(values) - 1}, ${len(values)})"
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            f"""with found as materialized (
                select m.id, m.created_us, m.conversation_id, m.kind, m.direction, m.author, m.text
                from messages m join conversations c on c.tenant_id = m.tenant_id and c.id = m.conversation_id
                where m.tenant_id = $1 and m.words @@ websearch_to_tsquery('simple', $2){asked}
                order by m.created_us desc, m.id desc limit $3::bigint + 1)
            select found.created_us as place, found.id, convert_to(json_build_object('message_id', found.id,
                'conversation_id', found.conversation_id, 'kind', found.kind, 'direction', found.direction,
                'author', found.author, 'at_us', found.created_us, 'excerpt', ts_headline('simple', left(found.text, 20000),
                    websearch_to_tsquery('simple', $2), '{AROUND.replace("'", "''")}'),
                'contact_id', c.contact_id, 'contact_name', coalesce(p.name, ''), 'channel_id', c.channel_id,
                'state', c.state, 'assignee', c.assignee, 'labels', c.labels)::text, 'UTF8') as document
            from found join conversations c on c.tenant_id = $1 and c.id = found.conversation_id
                left join contacts p on p.tenant_id = $1 and p.id = c.contact_id
            order by found.created_us desc, found.id desc""",  # noqa: S608 - our own words
            *values,
        )
    return _page(rows, limit)


def _page(rows: Sequence[Any], limit: int) -> Page:
    shown = rows[:limit]
    last = (shown[-1]["place"], shown[-1]["id"]) if shown else None
    return Page(b"[" + b",".join([row["document"] for row in shown]) + b"]", len(rows) > limit, last)


async def happened(
    db: Database, tenant_id: str, conversation_id: str, *, limit: int, after: tuple[int, str] | None
) -> Page:
    """The entries of the log about a conversation itself, newest first; their numbers are the places."""
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            f"select seq as place, id, {READ_BODY} as document from events where tenant_id = $1 and resource = $2"  # noqa: S608
            " and seq < $4 order by seq desc limit $3::bigint + 1",
            tenant_id,
            conversation_id,
            limit,
            after[0] if after else 2**62,
        )
    return _page(rows, limit)


class Line(Struct, frozen=True):
    """One message of a transcript."""

    at_us: int
    who: str
    text: str
    files: tuple[str, ...]
    note: bool


async def transcript(
    db: Database, tenant_id: str, conversation_id: str, *, notes: bool
) -> tuple[str, list[Line]]:
    """The subject (or who it is with), and its messages, oldest first. Raises `NotFound`."""
    async with db.tenant(tenant_id) as connection:
        await read_conversation(connection, tenant_id, conversation_id)
        title = await connection.fetchval(
            "select coalesce(nullif(c.subject, ''), nullif(p.name, ''), c.id) from conversations c left join contacts p"
            " on p.tenant_id = c.tenant_id and p.id = c.contact_id where c.tenant_id = $1 and c.id = $2",
            tenant_id,
            conversation_id,
        )
        return str(title), await _lines(connection, tenant_id, conversation_id, notes=notes)


async def _lines(connection: Connection, tenant_id: str, conversation_id: str, *, notes: bool) -> list[Line]:
    rows = await connection.fetch(
        "select m.order_us, m.kind, m.direction, m.text, m.author, coalesce(nullif(p.name, ''), m.sender ->> 'name',"
        " m.sender ->> 'value', '') as contact, coalesce(u.name, '') as person,"
        " array(select a.name from attachments a where a.tenant_id = m.tenant_id and a.message_id = m.id order by a.id) as files"
        " from messages m left join contacts p on p.tenant_id = m.tenant_id and p.id = m.contact_id"
        " left join users u on u.tenant_id = m.tenant_id and u.id = m.author and m.author <> ''"
        " where m.tenant_id = $1 and m.conversation_id = $2 and (m.kind <> 'note' or $3)"
        " order by m.order_us desc, m.id desc limit $4",
        tenant_id,
        conversation_id,
        notes,
        MOST_TRANSCRIPT,
    )
    return [
        Line(
            row["order_us"],
            row["contact"] if row["direction"] == "in" else row["person"] or row["author"],
            row["text"],
            tuple(row["files"]),
            row["kind"] == "note",
        )
        for row in reversed(rows)
    ]


def as_text(title: str, lines: list[Line]) -> str:
    """A transcript to read anywhere. Pure."""
    parts = [title, "=" * len(title), ""]
    for one in lines:
        parts.append(f"[{_moment(one.at_us)}] {one.who}{' (note)' if one.note else ''}:")
        parts += [f"  {line}" for line in one.text.splitlines()]
        parts += [f"  (file: {name})" for name in one.files]
        parts.append("")
    return "\n".join(parts)


def as_html(title: str, lines: list[Line]) -> str:
    """A transcript as a page without scripts, pictures or addresses. Pure."""
    rows = "".join(
        f"<dt>{_moment(one.at_us)} <b>{escape(one.who)}</b>{' (note)' if one.note else ''}</dt>"
        f"<dd>{'<br>'.join(escape(line) for line in one.text.splitlines())}"
        f"{''.join(f'<p>File: {escape(name)}</p>' for name in one.files)}</dd>"
        for one in lines
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title></head>'
        f"<body><h1>{escape(title)}</h1><dl>{rows}</dl></body></html>"
    )


def _moment(at_us: int) -> str:
    try:
        return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):  # a provider's clock that is no clock
        return "time unknown"
