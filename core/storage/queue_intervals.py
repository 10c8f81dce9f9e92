"""What a queue did in each quarter of an hour, by when people came (`core.model.queueing_numbers`)."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from core.model.queueing_numbers import Counted, added, bucket_of, interval_of
from core.model.queueing_records import QueueEntry
from core.storage.database import Connection, Database

_SUMS = [
    "offered",
    "answered",
    "abandoned",
    "overflowed",
    "closed",
    "callbacks",
    "other",
    "handled",
    "wait_answered_us",
    "wait_abandoned_us",
    "talk_us",
    "wrap_us",
]
_COLUMNS = [*_SUMS, "longest_us", "answered_hist", "abandoned_hist"]
_ADD = ", ".join(f"{name} = t.{name} + excluded.{name}" for name in _SUMS)
_HIST = ", ".join(
    f"{name} = array(select a + b from unnest(t.{name}, excluded.{name}) with ordinality u (a, b, n) order by n)"  # noqa: S608
    for name in ("answered_hist", "abandoned_hist")
)
_ADD_ROW = (
    f"insert into queue_intervals as t (tenant_id, queue_id, class, start_us, {', '.join(_COLUMNS)})"  # noqa: S608
    f" values ($1, $2, $3, $4, {', '.join(f'${n}' for n in range(5, 5 + len(_COLUMNS)))})"
    f" on conflict (tenant_id, queue_id, class, start_us) do update set {_ADD},"
    f" longest_us = greatest(t.longest_us, excluded.longest_us), {_HIST}"
)


class Count(Struct, frozen=True):
    """Something to be counted, and where."""

    queue_id: str
    work_class: str
    at_us: int
    counted: Counted


class Interval(Struct, frozen=True, kw_only=True):
    """One quarter of an hour of one queue."""

    queue_id: str
    work_class: str
    start_us: int
    counted: Counted


def of_entry(entry: QueueEntry, counted: Counted) -> Count:
    """What is counted of somebody who waits, or waited."""
    return Count(entry.queue_id, entry.class_, entry.queued_us, counted)


def served(entry: QueueEntry, at_us: int) -> Count:
    """Somebody was answered."""
    wait = max(at_us - entry.entered_us, 0)
    return Count(
        entry.queue_id,
        entry.class_,
        entry.queued_us,
        Counted(answered=1, wait_answered_us=wait, longest_us=wait, answered_hist=_hist(wait)),
    )


def lost(entry: QueueEntry, at_us: int) -> Count:
    """Somebody gave up."""
    wait = max(at_us - entry.entered_us, 0)
    return Count(
        entry.queue_id,
        entry.class_,
        entry.queued_us,
        Counted(abandoned=1, wait_abandoned_us=wait, longest_us=wait, abandoned_hist=_hist(wait)),
    )


def _hist(wait_us: int) -> tuple[int, ...]:
    bucket = bucket_of(wait_us / 1e6)
    return tuple(int(n == bucket) for n in range(13))


async def add(connection: Connection, tenant_id: str, counts: Iterable[Count]) -> None:
    """Add to the intervals, in the transaction that makes it so. Rows are always locked in the same order."""
    cells: dict[tuple[str, str, int], list[Counted]] = {}
    for one in counts:
        cells.setdefault((one.queue_id, one.work_class, interval_of(one.at_us)), []).append(one.counted)
    rows = []
    for key, parts in sorted(cells.items()):
        summed = added(parts)
        values: list[Any] = [getattr(summed, name) for name in _COLUMNS]
        rows.append((tenant_id, *key, *(list(one) if isinstance(one, tuple) else one for one in values)))
    if rows:
        await connection.executemany(_ADD_ROW, rows)


async def read(
    db: Database, tenant_id: str, *, from_us: int, to_us: int, queue_id: str = "", limit: int = 20_000
) -> list[Interval]:
    """Intervals that begin in ``[from_us, to_us)``, oldest first."""
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            f"select queue_id, class, start_us, {', '.join(_COLUMNS)} from queue_intervals"  # noqa: S608
            " where tenant_id = $1 and start_us >= $2 and start_us < $3 and ($4 = '' or queue_id = $4)"
            " order by start_us, queue_id, class limit $5",
            tenant_id,
            from_us,
            to_us,
            queue_id,
            limit,
        )
    return [
        Interval(
            queue_id=row["queue_id"],
            work_class=row["class"],
            start_us=row["start_us"],
            counted=msgspec.convert({name: row[name] for name in _COLUMNS}, Counted),
        )
        for row in rows
    ]
