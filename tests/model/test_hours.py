"""Business hours hold on the days when clocks jump, and counting forth and back agree."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model import hours
from core.model.hours import ALWAYS, Schedule, Slot, Span, SpecialDay

HOUR = 3_600_000_000
OFFICE = Schedule(
    "Europe/Berlin",
    tuple(Slot(day, *times) for day in range(5) for times in (("09:00", "12:30"), ("13:00", "17:00"))),
    (
        SpecialDay("2026-12-24", (Span("09:00", "12:00"),), "Christmas Eve"),
        SpecialDay("2026-12-25", (), "Christmas"),
    ),
)


def at(text: str, zone: str = "Europe/Berlin", fold: int = 0) -> int:
    return (
        round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()) * 1_000_000
    )


def nights(zone: str) -> Schedule:
    """Work from one to four in the morning, every day."""
    return Schedule(zone, tuple(Slot(day, "01:00", "04:00") for day in range(7)))


@pytest.mark.parametrize(
    ("moment", "open_"),
    [
        ("2026-11-23T09:00", True),
        ("2026-11-23T08:59", False),
        ("2026-11-23T12:30", False),
        ("2026-11-23T13:00", True),
        ("2026-11-23T17:00", False),
        ("2026-11-22T10:00", False),
        ("2026-12-24T11:59", True),
        ("2026-12-24T13:00", False),
        ("2026-12-25T10:00", False),
    ],
)
def test_a_week_has_its_hours_and_holidays_have_their_own(moment: str, open_: bool) -> None:
    assert hours.is_open(OFFICE, at(moment)) is open_


def test_four_hours_from_friday_afternoon_end_on_monday() -> None:
    assert hours.later(OFFICE, at("2026-11-20T15:00"), 4 * HOUR) == at("2026-11-23T11:00")
    assert hours.between(OFFICE, at("2026-11-20T15:00"), at("2026-11-23T11:00")) == 4 * HOUR
    assert hours.later(OFFICE, at("2026-12-24T11:00"), 2 * HOUR) == at("2026-12-28T10:00")


def test_the_hour_that_is_left_out_is_no_work_and_the_one_that_comes_twice_is_two() -> None:
    spring, autumn = "2026-03-29", "2026-10-25"
    night = nights("Europe/Berlin")
    assert hours.between(night, at(f"{spring}T00:00"), at(f"{spring}T12:00")) == 2 * HOUR
    assert hours.between(night, at(f"{autumn}T00:00"), at(f"{autumn}T12:00")) == 4 * HOUR
    assert hours.later(night, at(f"{spring}T01:00"), HOUR) == at(f"{spring}T03:00")
    assert hours.later(night, at(f"{autumn}T01:00"), 2 * HOUR) == at(f"{autumn}T02:00", fold=1)


def test_of_a_time_that_comes_twice_work_begins_at_the_first_and_ends_at_the_second() -> None:
    ends = Schedule("Europe/Berlin", (Slot(6, "01:00", "02:30"),))
    begins = Schedule("Europe/Berlin", (Slot(6, "02:30", "04:00"),))
    night, noon = at("2026-10-25T00:00"), at("2026-10-25T12:00")
    assert hours.between(ends, night, noon) == hours.between(begins, night, noon) == 2.5 * HOUR


def test_a_time_that_does_not_exist_is_the_moment_of_the_jump() -> None:
    begins = Schedule("Europe/Berlin", (Slot(6, "02:30", "05:00"),))
    ends = Schedule("Europe/Berlin", (Slot(6, "00:00", "02:30"),))
    jump = at("2026-03-29T03:00")
    assert hours.later(begins, at("2026-03-29T00:00"), 1) == jump + 1
    assert hours.between(ends, at("2026-03-29T00:00"), at("2026-03-29T12:00")) == 2 * HOUR
    assert not hours.is_open(ends, jump)


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kolkata"]
)
@settings(max_examples=60, deadline=None)
@given(
    start=st.integers(at("2026-01-01T00:00"), at("2027-12-31T00:00")),
    work=st.integers(0, 400 * HOUR),
    kind=st.sampled_from(["office", "night", "always", "midnight"]),
)
def test_adding_work_and_counting_it_agree(zone: str, start: int, work: int, kind: str) -> None:
    schedule = {
        "office": Schedule(zone, OFFICE.weekly, OFFICE.exceptions),
        "night": nights(zone),
        "always": Schedule(zone, ALWAYS.weekly),
        "midnight": Schedule(zone, (Slot(5, "22:00", "24:00"), Slot(6, "00:00", "03:15"))),
    }[kind]
    end = hours.later(schedule, start, work)
    assert end is not None and end >= start
    assert hours.between(schedule, start, end) == work
    assert hours.between(schedule, end, start) == -work
    if work:
        assert hours.between(schedule, start, end - 1) == work - 1, "an earlier moment would have done"
    if kind == "always":
        assert end - start == work, "who always works loses nothing when clocks jump"


def test_who_never_works_is_never_late() -> None:
    assert hours.later(Schedule("UTC"), 0, 1) is None
    assert hours.between(Schedule("UTC"), 0, 10**15) == 0


@pytest.mark.parametrize(
    ("schedule", "word"),
    [
        (Schedule("Europe/Atlantis"), "timezone"),
        (Schedule("../../etc/passwd"), "timezone"),
        (Schedule("UTC", (Slot(7, "09:00", "10:00"),)), "a day is"),
        (Schedule("UTC", (Slot(0, "9:00", "10:00"),)), "HH:MM"),
        (Schedule("UTC", (Slot(0, "10:00", "09:00"),)), "after its start"),
        (Schedule("UTC", (Slot(0, "09:00", "11:00"), Slot(0, "10:00", "12:00"))), "overlap"),
        (Schedule("UTC", (), (SpecialDay("2026-02-30"),)), "no date"),
        (Schedule("UTC", (), (SpecialDay("2026-02-03"), SpecialDay("2026-02-03"))), "twice"),
    ],
)
def test_a_schedule_that_cannot_be_is_told_apart(schedule: Schedule, word: str) -> None:
    assert word in " ".join(hours.mistakes(schedule))
    assert hours.mistakes(OFFICE) == []
