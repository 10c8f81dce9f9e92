"""The rule of attended transfers, without a switch: every combination of three legs has one next step."""

import itertools

import pytest
from msgspec.structs import replace

from core.model.records import Call, Leg
from core.telephony.consult import Step, being_connected, consultation, next_step

HELD = Leg(uuid="h", direction="inbound", state="answered", held_since_us=5, parked=True, other_leg="a")
AGENT = Leg(uuid="a", direction="outbound", state="answered", parked=True, other_leg="h")
TALKING_AGENT = replace(AGENT, parked=False, bridged_to="t", other_leg="t")
LEAVING_AGENT = replace(AGENT, parked=False)
RINGING = Leg(uuid="t", direction="outbound", state="ringing")
ANSWERED = replace(RINGING, state="answered")
THIRD = replace(RINGING, state="answered", parked=True)
TALKING = replace(THIRD, parked=False, bridged_to="a", other_leg="a")
GONE = None


@pytest.mark.parametrize(
    ("held", "agent", "third", "step"),
    [
        (HELD, AGENT, RINGING, Step.WAIT),
        (HELD, AGENT, ANSWERED, Step.WAIT),
        (HELD, AGENT, THIRD, Step.TALK),
        (HELD, TALKING_AGENT, TALKING, Step.WAIT),
        (HELD, TALKING_AGENT, GONE, Step.WAIT),
        (HELD, LEAVING_AGENT, GONE, Step.WAIT),
        (HELD, AGENT, GONE, Step.BACK),
        (HELD, GONE, RINGING, Step.WAIT),
        (HELD, GONE, TALKING, Step.WAIT),
        (HELD, GONE, THIRD, Step.COMPLETE),
        (HELD, GONE, GONE, Step.REST),
        (GONE, AGENT, RINGING, Step.WAIT),
        (GONE, AGENT, ANSWERED, Step.WAIT),
        (GONE, AGENT, THIRD, Step.PAIR),
        (GONE, TALKING_AGENT, TALKING, Step.PAIR),
        (GONE, AGENT, GONE, Step.END),
        (GONE, GONE, RINGING, Step.END),
        (GONE, GONE, THIRD, Step.END),
        (GONE, GONE, GONE, Step.OVER),
    ],
)
def test_each_state_of_a_consultation_has_one_next_step(
    held: Leg | None, agent: Leg | None, third: Leg | None, step: Step
) -> None:
    assert next_step(held, agent, third) is step


@pytest.mark.parametrize(
    ("held", "agent", "third", "step"),
    [
        (HELD, AGENT, RINGING, Step.WAIT),
        (HELD, LEAVING_AGENT, ANSWERED, Step.TALK),
        (HELD, TALKING_AGENT, TALKING, Step.WAIT),
        (HELD, LEAVING_AGENT, GONE, Step.BACK),
        (HELD, GONE, RINGING, Step.WAIT),
        (HELD, GONE, ANSWERED, Step.COMPLETE),
        (GONE, LEAVING_AGENT, ANSWERED, Step.PAIR),
        (HELD, GONE, GONE, Step.REST),
    ],
)
def test_when_nothing_has_been_heard_for_long_legs_are_taken_to_be_where_they_must_be(
    held: Leg | None, agent: Leg | None, third: Leg | None, step: Step
) -> None:
    assert next_step(held, agent, third, settled=True) is step


@pytest.mark.parametrize(
    "taken",
    [
        replace(HELD, bridged_to="x", parked=False),
        replace(HELD, conference="tnt.sales", parked=False),
    ],
)
def test_a_held_leg_that_was_taken_elsewhere_ends_the_consultation(taken: Leg) -> None:
    for agent, third in itertools.product((AGENT, TALKING_AGENT, GONE), (RINGING, THIRD, TALKING, GONE)):
        assert next_step(taken, agent, third) is Step.OVER


def test_the_customer_is_never_ended_and_never_left_with_nobody_to_talk_to_while_somebody_is_there() -> None:
    agents = (AGENT, TALKING_AGENT, LEAVING_AGENT, GONE)
    thirds = (RINGING, ANSWERED, THIRD, TALKING, GONE)
    for agent, third in itertools.product(agents, thirds):
        step = next_step(HELD, agent, third)
        assert step is not Step.END
        if step is Step.OVER:
            assert agent is third is GONE


def _call(*legs: Leg) -> Call:
    return Call(id="call_1", tenant_id="tnt_main", node="node_1", legs=legs)


def test_a_consultation_is_read_off_the_legs_alone() -> None:
    for third in (RINGING, ANSWERED, THIRD, TALKING):
        assert consultation(_call(HELD, AGENT, third)) == (HELD, "a", third)
    gone = replace(AGENT, state="ended")
    assert consultation(_call(HELD, gone, THIRD)) == (HELD, "a", THIRD)


def test_a_hold_alone_is_no_consultation() -> None:
    failed = replace(THIRD, state="ended")
    member = replace(THIRD, conference="tnt.sales")
    assert consultation(_call(HELD, AGENT)) is None
    assert consultation(_call(HELD, AGENT, failed)) is None
    assert consultation(_call(HELD, AGENT, member)) is None
    assert consultation(_call(replace(HELD, held_since_us=0), AGENT, THIRD)) is None
    assert consultation(_call(replace(HELD, bridged_to="a", parked=False), AGENT, THIRD)) is None


def test_a_leg_is_being_connected_while_somebody_rings_for_it() -> None:
    ringing = replace(RINGING, other_leg="h")
    assert being_connected(_call(HELD, ringing), HELD) == ringing
    assert being_connected(_call(HELD, replace(ringing, state="answered")), HELD) is None
    assert being_connected(_call(HELD, replace(ringing, state="ended")), HELD) is None
    assert being_connected(_call(HELD, ringing), AGENT) is None
