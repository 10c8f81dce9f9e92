"""Clocks run while somebody waits, stop when they are answered, and break once."""

from hypothesis import given
from hypothesis import strategies as st

from core.model import servicelevel
from core.model.hours import ALWAYS, Schedule, Slot
from core.model.servicelevel import Breach, Clocks, Kind, Targets

S = 1_000_000
TARGETS = Targets(first_reply_s=60, next_reply_s=30, resolution_s=600)


def after(*happened: tuple[Kind, int], targets: Targets = TARGETS) -> tuple[Clocks, list[Breach]]:
    clocks, broken = Clocks(), []
    for kind, second in happened:
        clocks, now = servicelevel.advance(clocks, kind, second * S, targets, ALWAYS)
        broken += now
    return clocks, broken


def test_the_first_question_starts_the_clocks_and_later_ones_do_not_put_them_back() -> None:
    clocks, broken = after(("asked", 0), ("asked", 50))
    assert (clocks.first_reply_due_us, clocks.next_reply_due_us, clocks.resolution_due_us) == (
        60 * S,
        0,
        600 * S,
    )
    assert not broken and clocks.due_us == 60 * S


def test_an_answer_in_time_keeps_the_promise_and_the_next_question_has_a_clock_of_its_own() -> None:
    clocks, broken = after(("asked", 0), ("answered", 60), ("asked", 100))
    assert (clocks.first_reply_due_us, clocks.next_reply_due_us) == (0, 130 * S) and not broken


def test_a_late_answer_is_a_breach_though_nobody_looked_before() -> None:
    _, broken = after(("asked", 0), ("answered", 61))
    assert broken == [Breach("first_reply", 60 * S, 61 * S)]


def test_time_breaks_a_clock_once() -> None:
    clocks, broken = after(("asked", 0), ("passed", 61), ("passed", 62), ("answered", 70), ("passed", 80))
    assert broken == [Breach("first_reply", 60 * S, 61 * S)]
    assert clocks.breached == ("first_reply",) and clocks.due_us == 600 * S


def test_each_further_question_can_break_its_own_clock() -> None:
    _, broken = after(
        ("asked", 0), ("answered", 1), ("asked", 10), ("answered", 50), ("asked", 60), ("answered", 99)
    )
    assert [(one.clock, one.due_us // S) for one in broken] == [("next_reply", 40), ("next_reply", 90)]


def test_a_resolved_conversation_has_no_clocks_and_a_reopened_one_has_to_be_resolved_again() -> None:
    clocks, _ = after(("asked", 0), ("resolved", 30))
    assert clocks.due_us == 0
    clocks, broken = after(("asked", 0), ("resolved", 30), ("reopened", 1000), ("passed", 1601))
    assert [one.clock for one in broken] == ["resolution"]


def test_outside_the_hours_clocks_stand_still() -> None:
    mornings = Schedule("UTC", tuple(Slot(day, "08:00", "12:00") for day in range(7)))
    eleven = 11 * 3600 * S
    clocks, _ = servicelevel.advance(Clocks(), "asked", eleven, Targets(first_reply_s=7200), mornings)
    assert clocks.first_reply_due_us == (24 + 9) * 3600 * S


@given(
    st.lists(
        st.tuples(st.sampled_from(["asked", "answered", "resolved", "reopened"]), st.integers(0, 300)),
        max_size=12,
    ),
    st.sets(st.integers(0, 4000), max_size=30),
)
def test_looking_more_often_finds_the_same_breaches(steps: list[tuple[Kind, int]], looks: set[int]) -> None:
    """What is late is late whether or not somebody looked at the time; only when it was noticed may differ."""
    now, history = 0, []
    for kind, pause in steps:
        now += pause
        history.append((kind, now))
    seldom = after(*history, ("passed", 5000))[1]
    often_steps = sorted([*((second, 1, kind) for kind, second in history), *((one, 0, "passed") for one in looks)],
                         key=lambda one: one[0])  # fmt: skip
    often = after(*((kind, second) for second, _, kind in often_steps), ("passed", 5000))[1]
    assert {(one.clock, one.due_us) for one in seldom} == {(one.clock, one.due_us) for one in often}
