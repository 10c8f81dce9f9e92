"""Putting entries into the numbered log, inside the transaction that makes the change (see `core.log`)."""

from collections.abc import Iterable

from core.model.entries import LogEntry
from core.storage.database import Connection, show_later
from core.storage.entries import APPEND, NewEntry, columns_of
from core.storage.errors import translated


async def append(connection: Connection, entries: Iterable[NewEntry]) -> dict[str, list[LogEntry]]:
    """Number and insert ``entries`` in the transaction of ``connection``; returned by tenant, shown after the commit.

    An entry whose id is in the log already keeps its number.
    The tenants' numbers stay locked until the transaction ends, so make this its last statement.
    """
    columns = columns_of(entries)
    if not columns.ids:
        return {}
    with translated():
        row = await connection.fetchrow(APPEND, *columns.arguments)
    written = columns.numbered(row["seqs"], row["recorded"])
    show_later(connection, written)
    return written
