"""Entries of the numbered log on their way into it: their JSON, their ids, and the statement that numbers them.

An entry is written before its number is known. So what is stored is its JSON from ``"id"`` on (the tail), and the
head with number and time is put in front when it is read, here or by Postgres (`READ_BODY`).
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache

import msgspec
from msgspec import Raw, Struct

from core.ids import new_id
from core.model.entries import LogEntry
from core.storage.texts import bigint, storable

SCHEMA_VERSION = 1
APPEND = "select seqs, recorded from irisx_append($1, $2, $3, $4, $5, $6)"
READ_BODY = (
    """convert_to('{"seq":' || seq || ',"recorded_at":"' ||"""
    """ to_char(recorded_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '",' || body, 'UTF8')"""
)

_encode = msgspec.json.Encoder().encode


class NewEntry(Struct, frozen=True, kw_only=True):
    """Something to be put into the log."""

    tenant_id: str
    type: str
    """``node.drained``, ``user.created`` ..."""
    resource: str
    """The id of what it is about."""
    data: bytes = b"{}"
    """A JSON object."""
    occurred_us: int
    id: str = ""
    """Give one that follows from the fact if it may be written twice; without it each writing is a new entry."""
    causation_id: str = ""
    request_id: str = ""


class _Body(Struct, frozen=True):
    """The members of an entry after its number, in their order."""

    id: str
    type: str
    occurred_at: str
    resource: str
    data: Raw
    causation_id: str
    request_id: str
    schema_version: int = SCHEMA_VERSION


class Columns:
    """The arrays that ``irisx_append`` takes, one row an entry; the same id twice is one entry."""

    def __init__(self) -> None:
        self.tenants: list[str] = []
        self.ids: list[str] = []
        self.types: list[str] = []
        self.resources: list[str] = []
        self.occurred: list[int] = []
        self.tails: list[str] = []
        self._known: set[tuple[str, str]] = set()

    def add(self, entry: NewEntry) -> None:
        """Append a row, unless its id is in already."""
        self.put(
            storable(entry.tenant_id),
            entry.id or new_id("evt", at_us=entry.occurred_us),
            entry.type,
            storable(entry.resource),
            entry.occurred_us,
            entry.data,
            storable(entry.causation_id),
            storable(entry.request_id),
        )

    def put(
        self,
        tenant_id: str,
        entry_id: str,
        kind: str,
        resource: str,
        occurred_us: int,
        data: bytes,
        causation_id: str,
        request_id: str,
    ) -> None:
        """Like `add`, for texts that are known to be storable: the hot path."""
        if (tenant_id, entry_id) in self._known:
            return
        self._known.add((tenant_id, entry_id))
        body = _Body(entry_id, kind, iso(occurred_us), resource, Raw(data), causation_id, request_id)
        self.tenants.append(tenant_id)
        self.ids.append(entry_id)
        self.types.append(kind)
        self.resources.append(resource)
        self.occurred.append(bigint(occurred_us))
        self.tails.append(_encode(body)[1:].decode())

    @property
    def arguments(self) -> tuple[Sequence[object], ...]:
        return self.tenants, self.ids, self.types, self.resources, self.occurred, self.tails

    def numbered(self, seqs: Sequence[int], recorded_us: Sequence[int]) -> dict[str, list[LogEntry]]:
        """The entries with their numbers, for each tenant in the order of the numbers."""
        written: dict[str, list[LogEntry]] = {}
        moments = {moment: iso(moment) for moment in set(recorded_us)}
        rows = zip(self.tenants, self.types, self.resources, self.tails, seqs, recorded_us, strict=True)
        for tenant_id, kind, resource, tail, seq, moment in rows:
            body = f'{{"seq":{seq},"recorded_at":"{moments[moment]}",{tail}'.encode()
            written.setdefault(tenant_id, []).append(LogEntry(seq, kind, resource, body))
        for entries in written.values():
            # A retry gives back old numbers among new ones.
            entries.sort(key=_seq)
        return written


def columns_of(entries: Iterable[NewEntry]) -> Columns:
    """All ``entries`` as columns."""
    columns = Columns()
    for entry in entries:
        columns.add(entry)
    return columns


def iso(at_us: int) -> str:
    """Microseconds since the epoch as RFC 3339 in UTC with milliseconds, cut off, not rounded."""
    seconds, rest = divmod(at_us, 1_000_000)
    return f"{_second(seconds)}.{rest // 1000:03d}Z"


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    # Events come by the hundred a second, and formatting a date is dear.
    try:
        # Not strftime: it writes the year 999 with three digits.
        return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]
    except (OverflowError, ValueError, OSError):  # a clock that is no clock
        return "1970-01-01T00:00:00"


def _seq(entry: LogEntry) -> int:
    return entry.seq
