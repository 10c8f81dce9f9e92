"""The rules in one file: every state against everything that can happen, and a call's state from its legs."""

import itertools

import pytest

from core.model.machine import (
    LEG_TRANSITIONS,
    after,
    call_state,
    post_dial_delay_us,
    seconds_between,
)
from core.model.records import CALL_STATES, LEG_STATES, Leg

SIGNALS = ("rang", "media", "answer", "end")
TABLE = """
new       rang     ringing
new       media    early
new       answer   answered
new       end      ended
ringing   rang     ringing
ringing   media    early
ringing   answer   answered
ringing   end      ended
early     rang     early
early     media    early
early     answer   answered
early     end      ended
answered  rang     -
answered  media    -
answered  answer   answered
answered  end      ended
ended     rang     -
ended     media    -
ended     answer   -
ended     end      ended
"""


@pytest.mark.parametrize("line", TABLE.strip().splitlines())
def test_every_state_knows_what_every_signal_does(line: str) -> None:
    state, signal, then = line.split()
    assert after(state, signal) == (None if then == "-" else then)


def test_the_table_speaks_of_every_state_and_signal() -> None:
    assert set(LEG_TRANSITIONS) == set(LEG_STATES)
    assert len(TABLE.strip().splitlines()) == len(LEG_STATES) * len(SIGNALS)
    assert {signal for row in LEG_TRANSITIONS.values() for signal in row} == set(SIGNALS)


def test_no_signal_ever_leads_back() -> None:
    for state, row in LEG_TRANSITIONS.items():
        for then in row.values():
            assert LEG_STATES.index(then) >= LEG_STATES.index(state)


def leg(uuid: str, state: str = "new", **fields: object) -> Leg:
    return Leg(uuid=uuid, direction="inbound", state=state, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("legs", "state"),
    [
        ([], "ended"),
        ([leg("a")], "new"),
        ([leg("a"), leg("b", "ringing")], "ringing"),
        ([leg("a"), leg("b", "early")], "ringing"),
        ([leg("a", "answered"), leg("b", "ringing")], "answered"),
        ([leg("a", "answered", bridged_to="b"), leg("b", "answered", bridged_to="a")], "bridged"),
        ([leg("a", "answered", bridged_to="b"), leg("b", "answered", held_since_us=5)], "held"),
        ([leg("a", "answered", conference="3001")], "bridged"),
        ([leg("a", "ended", bridged_to="b"), leg("b", "answered")], "answered"),
        ([leg("a", "ended"), leg("b", "new")], "new"),
        ([leg("a", "ended"), leg("b", "ended")], "ended"),
    ],
)
def test_a_calls_state_is_that_of_its_liveliest_leg(legs: list[Leg], state: str) -> None:
    for order in itertools.permutations(legs):
        assert call_state(order) == state
    assert state in CALL_STATES


@pytest.mark.parametrize(
    ("start", "end", "seconds"),
    [
        (1_795_375_004_152_084, 1_795_375_005_692_100, 1),
        (3_900_000, 4_100_000, 1),
        (3_100_000, 3_900_000, 0),
        (0, 5_000_000, 0),
        (5_000_000, 3_000_000, -2),
    ],
)
def test_seconds_are_counted_as_freeswitch_counts_them(start: int, end: int, seconds: int) -> None:
    assert seconds_between(start, end) == seconds


def test_the_delay_after_dialling_ends_with_the_first_sign_of_the_far_end() -> None:
    assert post_dial_delay_us(leg("a", created_us=100, progress_us=400, progress_media_us=300)) == 200
    assert post_dial_delay_us(leg("a", created_us=100, progress_us=400)) == 300
    assert post_dial_delay_us(leg("a", created_us=100)) == 0
    # A recovered leg was created (again) after it had rung.
    assert post_dial_delay_us(leg("a", created_us=500, progress_us=400)) == 0
