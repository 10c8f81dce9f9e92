"""Business hours: when a tenant works, and how much of that lies between two moments. Pure.

Weekly hours and exceptions are wall clock times of one IANA zone. Everything else is microseconds since the epoch, so the
two days a year whose wall clock jumps are as long as they really are: an hour that comes twice counts twice if it is an hour
of work, an hour that is left out counts nothing. A wall clock time that does not exist is the moment of the jump.

`later` and `between` agree: ``between(s, t, later(s, t, d)) == d`` for every length ``d`` that is reached at all.
"""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta, Struct

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)
_DAY = timedelta(days=1)
HORIZON_DAYS = 750
"""How far ahead work is looked for: two years, so that nobody's calendar is searched for ever."""
LAST_DATE = date(9990, 1, 1)


Clock = Annotated[str, Meta(max_length=5)]


class Span(Struct, frozen=True, forbid_unknown_fields=True):
    """Work from ``start`` to ``end``: ``HH:MM`` of one day, ``24:00`` for its end."""

    start: Clock
    end: Clock


class Slot(Struct, frozen=True, forbid_unknown_fields=True):
    """A span of every week. ``day``: 0 is Monday, 6 is Sunday (ISO 8601 minus one)."""

    day: Annotated[int, Meta(ge=0, le=6)]
    start: Clock
    end: Clock


class SpecialDay(Struct, frozen=True, forbid_unknown_fields=True):
    """A date with hours of its own; without ``spans`` nobody works that day."""

    date: Annotated[str, Meta(max_length=10)]
    """``YYYY-MM-DD`` in the schedule's zone."""
    spans: Annotated[tuple[Span, ...], Meta(max_length=20)] = ()
    name: Annotated[str, Meta(max_length=120)] = ""


class Schedule(Struct, frozen=True):
    """When work is done."""

    timezone: Annotated[str, Meta(max_length=64)] = "UTC"
    weekly: Annotated[tuple[Slot, ...], Meta(max_length=140)] = ()
    exceptions: Annotated[tuple[SpecialDay, ...], Meta(max_length=400)] = ()


ALWAYS = Schedule("UTC", tuple(Slot(day, "00:00", "24:00") for day in range(7)))


def mistakes(schedule: Schedule) -> list[str]:
    """What is wrong with it, for people; empty when nothing is."""
    found: list[str] = []
    try:
        _zone(schedule.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        found.append("timezone: there is no such zone in the IANA database")
    days: dict[str, list[tuple[str, str]]] = {}
    for slot in schedule.weekly:
        if not 0 <= slot.day <= 6:
            found.append("weekly: a day is 0 (Monday) to 6 (Sunday)")
        days.setdefault(f"weekly, day {slot.day}", []).append((slot.start, slot.end))
    dates = [one.date for one in schedule.exceptions]
    if len(set(dates)) < len(dates):
        found.append("exceptions: a date is there twice")
    for one in schedule.exceptions:
        try:
            date.fromisoformat(one.date)
        except ValueError:
            found.append(f"exceptions: {one.date} is no date")
        days.setdefault(f"exceptions, {one.date}", []).extend((span.start, span.end) for span in one.spans)
    for where, spans in days.items():
        try:
            minutes = sorted((_minute(start), _minute(end)) for start, end in spans)
        except ValueError:
            found.append(f"{where}: a time is HH:MM, up to 24:00")
            continue
        if any(start >= end for start, end in minutes):
            found.append(f"{where}: an end must come after its start")
        elif any(first[1] > second[0] for first, second in pairwise(minutes)):
            found.append(f"{where}: times overlap")
    return found


def is_open(schedule: Schedule, at_us: int) -> bool:
    """Whether work is done at this moment."""
    for start, end in _spans_from(schedule, at_us):
        return start <= at_us < end
    return False


def later(schedule: Schedule, from_us: int, work_us: int) -> int | None:
    """The first moment by which ``work_us`` of work lie behind ``from_us``; None when that is beyond `HORIZON_DAYS`."""
    left = work_us
    if left <= 0:
        return from_us
    for start, end in _spans_from(schedule, from_us):
        begin = max(start, from_us)
        if end - begin >= left:
            return begin + left
        left -= end - begin
    return None


def between(schedule: Schedule, from_us: int, to_us: int) -> int:
    """Microseconds of work between two moments; negative when ``to_us`` comes first. Beyond `HORIZON_DAYS` none is counted."""
    if to_us < from_us:
        return -between(schedule, to_us, from_us)
    total = 0
    for start, end in _spans_from(schedule, from_us):
        if start >= to_us:
            break
        total += min(end, to_us) - max(start, from_us)
    return total


def _spans_from(schedule: Schedule, from_us: int) -> Iterator[tuple[int, int]]:
    """Spans of work that end after ``from_us``, in order, none overlapping another."""
    first = (_EPOCH + timedelta(microseconds=from_us)).astimezone(_zone(schedule.timezone)).date()
    # (a day earlier: what is Tuesday here may be Monday's last span after a jump of the clock)
    day = first - _DAY
    reached = from_us
    for _ in range(HORIZON_DAYS):
        if day > LAST_DATE:
            return
        for start, end in _spans_of(schedule, day):
            begin = max(start, reached) if reached > from_us else start
            if end > begin and end > from_us:
                reached = end
                yield begin, end
        day += _DAY


@lru_cache(maxsize=8192)
def _spans_of(schedule: Schedule, day: date) -> tuple[tuple[int, int], ...]:
    """The spans of one day of the calendar, in microseconds."""
    text = day.isoformat()
    own = next((one for one in schedule.exceptions if one.date == text), None)
    spans: list[tuple[str, str]]
    if own is not None:
        spans = [(span.start, span.end) for span in own.spans]
    else:
        spans = [(slot.start, slot.end) for slot in schedule.weekly if slot.day == day.weekday()]
    zone = _zone(schedule.timezone)
    found = []
    for start, end in sorted((_minute(start), _minute(end)) for start, end in spans):
        begin, stop = _moment(day, start, zone, fold=0), _moment(day, end, zone, fold=1)
        if begin < stop:
            found.append((begin, stop))
    return tuple(found)


def _moment(day: date, minute: int, zone: ZoneInfo, *, fold: int) -> int:
    """A wall clock time; of one that comes twice the first (``fold`` 0) or the second."""
    wall = datetime.combine(day, time()) + timedelta(minutes=minute)
    first, second = (_us(wall.replace(tzinfo=zone, fold=one)) for one in (0, 1))
    if second < first:
        # It does not exist (PEP 495: fold 0 takes the offset before the jump, fold 1 the one after it).
        return _jump(second, first, zone)
    return second if fold else first


def _jump(low: int, high: int, zone: ZoneInfo) -> int:
    """The moment between two others at which the offset changes, to the second: zones do not jump within one."""
    seconds = range(low // 1_000_000, high // 1_000_000 + 1)
    before = _offset(seconds[0], zone)
    return seconds[bisect_right(seconds, 0, key=lambda one: int(_offset(one, zone) != before))] * 1_000_000


def _offset(second: int, zone: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(second, zone).utcoffset()


def _us(moment: datetime) -> int:
    return (moment.astimezone(UTC) - _EPOCH) // _US


def _minute(text: str) -> int:
    """Minutes since midnight. Raises `ValueError`."""
    if text == "24:00":
        return 1440
    if len(text) != 5 or text[2] != ":" or not (text[:2] + text[3:]).isascii():
        raise ValueError(text)
    hour, minute = int(text[:2]), int(text[3:])
    if not (0 <= hour <= 23 and 0 <= minute <= 59):
        raise ValueError(text)
    return hour * 60 + minute


@lru_cache(maxsize=512)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
