"""Placing calls: what is known when the order is done, and why a call did not come about."""

import pytest
import trio

from core.telephony import dialling
from tests.telephony import phones
from tests.telephony.desk_of import TENANT, open_lab


async def test_a_placed_call_is_done_when_it_exists_and_then_rings_and_is_answered_and_parked() -> None:
    async with open_lab() as lab:
        result = await lab.done("call.originate", to="100", from_="+4930111")

        leg = lab.leg(str(result["leg"]))
        call = lab.call(leg)
        assert call.id == result["call_id"]
        assert (call.tenant_id, call.direction, call.destination) == (TENANT, "outbound", "100")
        assert leg.state != "answered"
        leg = await lab.leg_when(leg, lambda one: one.parked)
        assert leg.state == "answered"
        assert call.caller == "+4930111"
        await lab.hears(leg)


async def test_a_name_in_any_script_reaches_the_telephone_unchanged() -> None:
    name = "Zoë O'Brien & Söhne — 東京"
    async with open_lab() as lab:
        result = await lab.done("call.originate", to="300", caller_name=name, from_="+4930111")
        leg = lab.leg(str(result["leg"]))
        await lab.leg_when(leg, lambda one: one.state == "ringing")
        shown = lab.person(leg).caller_shown
        if shown is not None:
            assert shown == f'"{name}" <sip:+4930111@127.0.0.1>'
        assert lab.leg(leg).caller_name == name


async def test_who_calls_must_be_a_number_and_a_name_without_brackets() -> None:
    async with open_lab() as lab:
        for wrong in ("", "4930 111", "sip:1@x", "1;x=y", "1,a=b", 'x"'):
            await lab.refused("invalid_value", "call.originate", to="100", from_=wrong)
        for wrong in (
            'Eve" <sip:x@y>',
            "a{b",
            "a,b",
            "[c]",
            "x^y",
            "${uuid}",
            "line\nbreak",
            "n" * 81,
            "a`b",
            "a(b",
        ):
            await lab.refused("invalid_value", "call.originate", to="100", caller_name=wrong)
        assert lab.desk.changes == []


@pytest.mark.parametrize(("number", "cause"), [("200", "USER_BUSY"), ("400", "UNALLOCATED_NUMBER")])
async def test_a_call_that_is_refused_by_the_far_side_ends_with_the_reason(number: str, cause: str) -> None:
    async with open_lab() as lab:
        result = await lab.done("call.originate", to=number)
        leg = lab.leg(str(result["leg"]))
        await lab.ended(leg)
        assert lab.call(leg).hangup_cause == cause
        assert lab.call(leg).answered_us == 0


async def test_a_call_that_nobody_answers_ends_after_the_time_that_was_given() -> None:
    async with open_lab() as lab:
        result = await lab.done("call.originate", to="300", timeout_s=1)
        leg = lab.leg(str(result["leg"]))
        await lab.ended(leg)
        ended = lab.call(leg)
        assert ended.hangup_cause in ("NO_ANSWER", "ORIGINATOR_CANCEL", "ALLOTTED_TIMEOUT")
        # The switch counts in whole seconds of its clock.
        assert 0.0 < (ended.ended_us - ended.created_us) / 1e6 < 2.5


async def test_the_time_to_ring_has_limits() -> None:
    async with open_lab() as lab:
        for wrong in (0, -1, 121, "soon", True):
            await lab.refused("invalid_value", "call.originate", to="100", timeout_s=wrong)


async def test_a_gateway_that_does_not_exist_is_said_at_once() -> None:
    async with open_lab() as lab:
        lab.desk.dial_template = "sofia/gateway/nowhere/{number}"
        outcome = await lab.refused("invalid_gateway", "call.originate", to="100")
        assert "INVALID_GATEWAY" in outcome.detail
        assert lab.desk.board.calls == {}


async def test_a_telephone_that_is_not_registered_is_said_at_once() -> None:
    async with open_lab() as lab:
        outcome = await lab.give("call.originate", to="user:nobody@nowhere")
        assert outcome.status == "refused", outcome
        assert outcome.code in ("subscriber_absent", "user_not_registered", "no_route_destination")


async def test_what_is_no_number_is_refused() -> None:
    async with open_lab() as lab:
        for wrong in (
            "",
            "abc",
            "sofia/carrier/1@127.0.0.1",
            "1 &park",
            "loopback/1",
            "user:",
            "user:a b",
            None,
            1,
        ):
            await lab.refused("invalid_value", "call.originate", to=wrong)
            await lab.refused("invalid_value", "call.originate", to="100", bridge_to=wrong or "!")
        assert lab.desk.changes == []


async def test_with_a_second_number_the_first_who_answers_is_connected_with_the_second() -> None:
    async with open_lab() as lab:
        result = await lab.done("call.originate", to="100", bridge_to="701", from_="+4930111")
        first = lab.leg(str(result["leg"]))
        await lab.leg_when(first, lambda leg: leg.state == "answered")
        await lab.hears(first, phones.RINGING)
        await lab.leg_when(first, lambda leg: bool(leg.bridged_to))
        second = lab.leg(lab.leg(first).bridged_to)
        assert second.destination == "701"
        assert second.caller == "+4930111"
        assert lab.call(second).id == result["call_id"]
        await lab.hears(first, lab.tone(second))
        await lab.hears(second, lab.tone(first))
        await lab.person(first).hang_up()
        await lab.ended(first, second)


async def test_when_the_second_number_is_busy_the_first_one_is_let_go_with_that_reason() -> None:
    async with open_lab() as lab:
        result = await lab.done("call.originate", to="100", bridge_to="200")
        first = lab.leg(str(result["leg"]))
        await lab.ended(first)
        assert lab.leg(first).hangup_cause == "USER_BUSY"


async def test_when_the_second_one_leaves_the_first_one_does_too() -> None:
    async with open_lab() as lab:
        result = await lab.done("call.originate", to="100", bridge_to="501")
        first = lab.leg(str(result["leg"]))
        await lab.leg_when(first, lambda leg: bool(leg.bridged_to))
        await lab.ended(first)
        assert len(lab.call(first).legs) == 2


async def test_a_connected_pair_can_be_held_and_goes_on() -> None:
    async with open_lab() as lab:
        result = await lab.done("call.originate", to="100", bridge_to="101")
        first = await lab.leg_when(str(result["leg"]), lambda leg: bool(leg.bridged_to))
        second = lab.leg(first.bridged_to)
        for leg in (first, second):
            await lab.done("call.hold", leg)
            await lab.hears(leg, phones.MUSIC)
            await lab.done("call.unhold", leg)
        await lab.hears(first, lab.tone(second))
        await lab.person(second).hang_up()
        await lab.ended(first, second)


async def test_a_ringing_call_can_be_hung_up() -> None:
    async with open_lab() as lab:
        result = await lab.done("call.originate", to="300")
        leg = lab.leg(str(result["leg"]))
        await lab.done("call.hangup", lab.call(leg))
        await lab.ended(leg)


async def test_early_sound_of_the_far_side_is_no_answer() -> None:
    async with open_lab() as lab:
        result = await lab.done("call.originate", to="600")
        leg = await lab.leg_when(str(result["leg"]), lambda one: one.state == "early")
        assert not leg.parked
        await lab.leg_when(leg, lambda one: one.parked)


@pytest.mark.parametrize("to", ["300", "101"])
async def test_a_leg_that_was_not_seen_in_time_is_ended_and_rings_for_nobody(
    monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    monkeypatch.setattr(dialling, "CREATED_S", 0.3)
    async with open_lab() as lab:
        lab.desk.deaf = True
        await lab.refused("outcome_unknown", "call.originate", to=to, status="unknown")
        with trio.fail_after(5):
            while await lab.desk.switch.channels():
                await trio.sleep(0.05)
        lab.desk.deaf = False
        await lab.desk.resync("heard again")
