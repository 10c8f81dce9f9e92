"""Longer texts that a provider hands over in parts: each part is kept, and the text is a message when all are there.

What stays incomplete is shown after `PATIENCE_S`, with a mark where something is missing: late is better than never, and
a part that comes after that is a message of its own. Everybody who touches a text's parts holds its lock, which is taken
before any row, in one order.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from core.storage.database import Connection, Database
from core.storage.texts import json_text, storable
from irisx_sdk.messages import Inbound, Piece, Text

PATIENCE_S = 120.0
"""Networks deliver the parts of a text within seconds; one that was sent again comes within a minute or two."""
KEEP_S = 86_400
"""How long a part that is done is remembered, so that the same delivery again is known."""
MOST_PARTS = 255
"""An octet counts them (3GPP TS 23.040, 9.2.3.24.1)."""
GAP = "[…]"

_messages = msgspec.json.Decoder(Inbound)


class Part(Struct, frozen=True):
    """A part that came in."""

    channel_id: str
    message: Inbound
    arrived_us: int
    family: str = ""


class Whole(Struct, frozen=True):
    """A text put together; ``missing`` are the numbers of the parts that never came, of ``total``."""

    part: Part
    missing: tuple[int, ...] = ()
    total: int = 0


class _Row(Struct):
    provider_id: str
    number: int
    total: int
    part: Part


def is_part(message: Inbound) -> bool:
    """Whether it is to be joined with others."""
    piece = message.piece
    return (
        piece is not None
        and 1 < piece.total <= MOST_PARTS
        and 1 <= piece.number <= piece.total
        and isinstance(message.content, Text)
    )


async def gather(connection: Connection, tenant_id: str, parts: Sequence[Part]) -> list[Whole]:
    """Keep these parts; the texts that are now complete, and older ones that never will be, because their group's name
    has been given to another text."""
    places = sorted({(part.channel_id, _group(part.message)) for part in parts})
    await _lock(connection, tenant_id, places)
    found: list[Whole] = []
    for part in parts:
        found += await _put(connection, tenant_id, part)
    return found


async def overdue(db: Database, *, now_us: int, limit: int = 50) -> list[tuple[str, str, str]]:
    """Texts (tenant, account, group) that have waited long enough; forgets what is older than `KEEP_S`."""
    async with db.system() as connection:
        await connection.execute(
            "delete from message_pieces where done and due_us < $1", now_us - KEEP_S * 1_000_000
        )
        rows = await connection.fetch(
            "select tenant_id, channel_id, piece_of from message_pieces where due_us <= $1 and not done"
            " group by tenant_id, channel_id, piece_of limit $2",
            now_us,
            limit,
        )
    return [(row["tenant_id"], row["channel_id"], row["piece_of"]) for row in rows]


async def give_up(
    connection: Connection, tenant_id: str, channel_id: str, group: str, *, now_us: int
) -> list[Whole]:
    """What there is of a text that has waited long enough; empty when it is complete or was given up already."""
    await _lock(connection, tenant_id, [(channel_id, group)])
    rows = await _rows(connection, tenant_id, channel_id, group)
    due = await connection.fetchval(
        "select min(due_us) from message_pieces where tenant_id = $1 and channel_id = $2 and piece_of = $3 and not done",
        tenant_id,
        channel_id,
        group,
    )
    if due is None or due > now_us:
        return []
    return [await _close(connection, tenant_id, rows)]


def _piece(message: Inbound) -> Piece:
    return message.piece or Piece("", 1, 1)


def _group(message: Inbound) -> str:
    piece = _piece(message)
    ours = message.recipient.value if message.recipient else ""
    return json_text([message.sender.kind, message.sender.value, ours, piece.group, piece.total])


async def _lock(connection: Connection, tenant_id: str, places: Sequence[tuple[str, str]]) -> None:
    await connection.execute(
        "select pg_advisory_xact_lock(k) from (select distinct hashtextextended(t, 7) as k from unnest($1::text[]) t"
        " order by k) keys",
        [f"{tenant_id}/{channel}/{group}" for channel, group in places],
    )


async def _put(connection: Connection, tenant_id: str, part: Part) -> list[Whole]:
    piece, group = _piece(part.message), _group(part.message)
    if await connection.fetchval(
        "select true from message_pieces where tenant_id = $1 and channel_id = $2 and provider_id = $3",
        tenant_id,
        part.channel_id,
        storable(part.message.id),
    ):
        return []
    rows = await _rows(connection, tenant_id, part.channel_id, group)
    found = []
    if any(row.number == piece.number for row in rows):
        # The sender's phone has counted round: the same name is another text's now.
        found.append(await _close(connection, tenant_id, rows))
        rows = []
    await connection.execute(
        "insert into message_pieces (tenant_id, channel_id, provider_id, family, piece_of, number, total, message,"
        " arrived_us, due_us) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        tenant_id,
        part.channel_id,
        storable(part.message.id),
        part.family,
        group,
        piece.number,
        piece.total,
        json_text(part.message),
        part.arrived_us,
        part.arrived_us + round(PATIENCE_S * 1_000_000),
    )
    rows.append(_Row(storable(part.message.id), piece.number, piece.total, part))
    if len(rows) == piece.total:
        found.append(await _close(connection, tenant_id, rows))
    return found


async def _rows(connection: Connection, tenant_id: str, channel_id: str, group: str) -> list[_Row]:
    rows = await connection.fetch(
        "select provider_id, number, total, message, arrived_us, family from message_pieces"
        " where tenant_id = $1 and channel_id = $2 and piece_of = $3 and not done order by number",
        tenant_id,
        channel_id,
        group,
    )
    return [
        _Row(
            row["provider_id"],
            row["number"],
            row["total"],
            Part(channel_id, _messages.decode(row["message"]), row["arrived_us"], row["family"]),
        )
        for row in rows
    ]


async def _close(connection: Connection, tenant_id: str, rows: list[_Row]) -> Whole:
    rows = sorted(rows, key=lambda row: row.number)
    await connection.execute(
        "update message_pieces set done = true where tenant_id = $1 and channel_id = $2 and provider_id = any($3)",
        tenant_id,
        rows[0].part.channel_id,
        [row.provider_id for row in rows],
    )
    said = {row.number: row.part.message.content for row in rows}
    texts, missing = [], []
    for number in range(1, rows[0].total + 1):
        content = said.get(number)
        if isinstance(content, Text):
            texts.append(content.text)
        else:
            missing.append(number)
            if not texts or texts[-1] != GAP:
                texts.append(GAP)
    first = rows[0].part.message
    message = msgspec.structs.replace(
        first,
        content=Text("".join(texts)),
        piece=None,
        files=tuple(file for row in rows for file in row.part.message.files),
    )
    last_us = max(row.part.arrived_us for row in rows)
    whole = msgspec.structs.replace(rows[0].part, message=message, arrived_us=last_us)
    return Whole(whole, tuple(missing), rows[0].total)
