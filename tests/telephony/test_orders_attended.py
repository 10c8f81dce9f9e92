"""Attended transfers: every way in which three people can come and go, and that the customer is never lost."""

import pytest
import trio

from core.model.records import Leg
from core.telephony import bonds, consult, joining
from core.telephony.bonds import HOOK, unbind
from core.telephony.desk import Desk
from tests.telephony import phones
from tests.telephony.desk_of import Lab, open_lab


async def _consulting(lab: Lab, to: str = "101") -> tuple[Leg, Leg, Leg]:
    """A customer on hold, an agent and a third party who talk."""
    customer, agent = await lab.talk()
    result = await lab.done("call.transfer_attended", customer, to=to)
    third = await lab.leg_when(str(result["to_leg"]), lambda leg: leg.bridged_to == agent.uuid)
    return lab.leg(customer), lab.leg(agent), third


async def test_the_agent_talks_to_the_third_party_while_the_customer_hears_music() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()

        result = await lab.done("call.transfer_attended", customer, to="701")

        assert (result["held"], result["agent"], result["state"]) == (customer.uuid, agent.uuid, "ringing")
        third = lab.leg(str(result["to_leg"]))
        assert third.state != "answered"
        assert lab.call(third).id == lab.call(customer).id
        await lab.hears(customer, phones.MUSIC)
        await lab.hears(agent, phones.RINGING)
        await lab.leg_when(third, lambda leg: leg.bridged_to == agent.uuid)
        await lab.hears(agent, lab.tone(third))
        await lab.hears(third, lab.tone(agent))
        await lab.hears(customer, phones.MUSIC)


async def test_completed_the_customer_talks_to_the_third_party_and_the_agent_is_gone() -> None:
    async with open_lab() as lab:
        customer, agent, third = await _consulting(lab)

        result = await lab.done("call.transfer_complete", lab.call(customer))

        assert (result["leg"], result["to_leg"]) == (customer.uuid, third.uuid)
        await lab.ended(agent)
        assert lab.leg(agent).hangup_cause == "ATTENDED_TRANSFER"
        await lab.hears(customer, lab.tone(third))
        await lab.hears(third, lab.tone(customer))
        assert lab.leg(customer).held_since_us == 0
        assert lab.call(customer).state == "bridged"
        told = [change.data for change in lab.desk.changes if change.type == "call.transferred"]
        assert told == [{"leg": customer.uuid, "to_leg": third.uuid, "mode": "attended"}]
        await lab.apart(customer, third)
        await lab.person(third).hang_up()
        await lab.ended(customer, third)


async def test_cancelled_everything_is_as_before() -> None:
    async with open_lab() as lab:
        customer, agent, third = await _consulting(lab)
        await lab.done("call.transfer_cancel", lab.call(customer))
        await lab.ended(third)
        await lab.refused("no_transfer", "call.transfer_cancel", lab.call(customer))
        await lab.refused("no_transfer", "call.transfer_complete", lab.call(customer))
        await _as_before(lab, customer, agent)


async def test_it_can_be_cancelled_while_the_third_telephone_rings() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        result = await lab.done("call.transfer_attended", customer, to="300")
        await lab.refused("not_answered", "call.transfer_complete", lab.call(customer))
        await lab.done("call.transfer_cancel", lab.call(customer))
        await lab.ended(lab.leg(str(result["to_leg"])))
        await _as_before(lab, customer, agent)


async def test_when_the_third_party_is_busy_they_talk_again_by_themselves() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        result = await lab.done("call.transfer_attended", customer, to="200")
        failed = await lab.told_of("call.transfer_failed")
        assert failed.data == {
            "leg": customer.uuid,
            "to_leg": result["to_leg"],
            "cause": "USER_BUSY",
            "mode": "attended",
        }
        await _as_before(lab, customer, agent)


async def test_when_the_third_party_does_not_answer_they_talk_again() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        await lab.done("call.transfer_attended", customer, to="300", timeout_s=1)
        await lab.told_of("call.transfer_failed")
        await _as_before(lab, customer, agent)


async def test_when_the_third_party_hangs_up_they_talk_again() -> None:
    async with open_lab() as lab:
        customer, agent, third = await _consulting(lab)
        await lab.person(third).hang_up()
        await lab.told_of("call.transfer_failed")
        await _as_before(lab, customer, agent)


async def test_when_the_agent_leaves_after_the_answer_the_transfer_is_complete() -> None:
    async with open_lab() as lab:
        customer, agent, third = await _consulting(lab)
        await lab.person(agent).hang_up()
        await lab.leg_when(customer, lambda leg: leg.bridged_to == third.uuid)
        await lab.hears(customer, lab.tone(third))
        told = await lab.told_of("call.transferred")
        assert told.data["mode"] == "attended"
        assert lab.leg(customer).held_since_us == 0
        await lab.person(customer).hang_up()
        await lab.ended(third)


async def test_when_the_agent_leaves_while_it_rings_the_answer_completes_the_transfer() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        result = await lab.done("call.transfer_attended", customer, to="701")
        await lab.person(agent).hang_up()
        await lab.ended(agent)
        assert lab.leg(customer).held_since_us
        third = await lab.leg_when(str(result["to_leg"]), lambda leg: leg.bridged_to == customer.uuid)
        await lab.hears(customer, lab.tone(third))
        await lab.person(third).hang_up()
        await lab.ended(customer)


async def test_when_the_agent_leaves_and_nobody_answers_the_customer_stays_on_hold() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        result = await lab.done("call.transfer_attended", customer, to="300", timeout_s=1)
        await lab.person(agent).hang_up()
        await lab.ended(agent, lab.leg(str(result["to_leg"])))
        await lab.apart(customer)
        assert lab.leg(customer).held_since_us
        await lab.hears(customer, phones.MUSIC)
        again = await lab.done("call.transfer_blind", customer, to="102")
        await lab.leg_when(str(again["to_leg"]), lambda leg: leg.bridged_to == customer.uuid)
        assert lab.leg(customer).held_since_us == 0


async def test_when_the_customer_leaves_agent_and_third_party_go_on_as_a_pair() -> None:
    async with open_lab() as lab:
        customer, agent, third = await _consulting(lab)
        await lab.person(customer).hang_up()
        await lab.ended(customer)
        await lab.apart(agent, third)
        await lab.hears(agent, lab.tone(third))
        await lab.refused("no_transfer", "call.transfer_complete", lab.call(agent))
        await lab.person(agent).hang_up()
        await lab.ended(agent, third)


async def test_when_the_customer_leaves_while_it_rings_the_agent_still_gets_the_third_party() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        result = await lab.done("call.transfer_attended", customer, to="701")
        await lab.person(customer).hang_up()
        third = await lab.leg_when(str(result["to_leg"]), lambda leg: leg.bridged_to == agent.uuid)
        await lab.hears(agent, lab.tone(third))
        await lab.person(third).hang_up()
        await lab.ended(agent, third)


async def test_when_the_customer_leaves_and_the_third_party_is_busy_the_agent_is_let_go() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        await lab.done("call.transfer_attended", customer, to="300", timeout_s=1)
        await lab.person(customer).hang_up()
        await lab.ended(customer, agent)


async def test_when_customer_and_agent_leave_nothing_goes_on_ringing() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        result = await lab.done("call.transfer_attended", customer, to="300")
        await lab.person(customer).hang_up()
        await lab.person(agent).hang_up()
        await lab.ended(customer, agent, lab.leg(str(result["to_leg"])))


async def test_hanging_up_the_call_ends_all_three() -> None:
    async with open_lab() as lab:
        customer, agent, third = await _consulting(lab)
        await lab.done("call.hangup", lab.call(customer))
        await lab.ended(customer, agent, third)


async def test_a_third_party_that_the_switch_cannot_place_changes_nothing() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        lab.desk.dial_template = "sofia/gateway/nowhere/{number}"
        await lab.refused("invalid_gateway", "call.transfer_attended", customer, to="101")
        await _as_before(lab, customer, agent)


async def test_a_call_on_hold_can_be_transferred_with_consultation() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        await lab.done("call.hold", customer)
        result = await lab.done("call.transfer_attended", customer, to="101")
        third = await lab.leg_when(str(result["to_leg"]), lambda leg: leg.bridged_to == agent.uuid)
        await lab.person(agent).hang_up()
        await lab.leg_when(customer, lambda leg: leg.bridged_to == third.uuid)
        await lab.apart(customer, third)


async def test_a_failed_consultation_from_hold_ends_in_hold() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        await lab.done("call.hold", customer)
        lab.desk.dial_template = "sofia/gateway/nowhere/{number}"
        await lab.refused("invalid_gateway", "call.transfer_attended", customer, to="101")
        assert lab.leg(customer).held_since_us
        await lab.hears(agent)
        await lab.person(agent).hang_up()
        await lab.ended(customer, agent)


async def test_during_a_consultation_other_moves_are_refused() -> None:
    async with open_lab() as lab:
        customer, agent, _ = await _consulting(lab)
        for action, args in (
            ("call.hold", {}),
            ("call.unhold", {}),
            ("call.transfer_blind", {"to": "102"}),
            ("call.transfer_attended", {"to": "102"}),
        ):
            for leg in (customer, agent):
                if (action, leg) != ("call.unhold", agent):
                    await lab.refused("transfer_under_way", action, leg, **args)
        await lab.done("call.dtmf", agent, digits="1")
        await lab.done("call.mute", agent)
        await lab.done("call.transfer_complete", lab.call(customer))


async def test_it_needs_two_who_talk() -> None:
    async with open_lab() as lab:
        leg = await lab.call_in()
        await lab.refused("not_bridged", "call.transfer_attended", leg, to="101")
        await lab.refused("no_transfer", "call.transfer_complete", lab.call(leg))
        customer, agent = await lab.talk_too()
        await lab.done("call.hold", customer)
        await lab.refused("not_bridged", "call.transfer_attended", agent, to="101")


async def test_a_second_consultation_may_follow_the_first() -> None:
    async with open_lab() as lab:
        customer, agent, third = await _consulting(lab)
        await lab.done("call.transfer_cancel", lab.call(customer))
        await lab.ended(third)
        result = await lab.done("call.transfer_attended", customer, to="102")
        second = await lab.leg_when(str(result["to_leg"]), lambda leg: leg.bridged_to == agent.uuid)
        await lab.done("call.transfer_complete", lab.call(customer))
        await lab.hears(customer, lab.tone(second))


async def test_the_third_party_sees_the_number_that_the_customer_called() -> None:
    async with open_lab() as lab:
        customer = await lab.call_in(to="4930123")
        agent = await lab.dialled("100")
        await lab.done("call.bridge", customer, call_id=lab.call(agent).id)
        result = await lab.done("call.transfer_attended", customer, to="300")
        # (a switch makes the leg first and tells it who calls a moment later)
        await lab.leg_when(str(result["to_leg"]), lambda leg: leg.caller == "4930123")


@pytest.mark.parametrize("leaves", ["third", "agent", "customer", "nobody"])
async def test_an_heir_goes_on_with_the_transfer_of_a_dead_controller(leaves: str) -> None:
    async with open_lab() as lab:
        customer, agent, third = await _consulting(lab)

        await lab.hand_over()

        if leaves == "nobody":
            await lab.done("call.transfer_complete", lab.call(customer))
            await lab.ended(agent)
            await lab.hears(customer, lab.tone(third))
            return
        leaving = {"third": third, "agent": agent, "customer": customer}[leaves]
        stay = [leg for leg in (customer, agent, third) if leg is not leaving]
        await lab.person(leaving).hang_up()
        await lab.leg_when(stay[0], lambda leg: leg.bridged_to == stay[1].uuid)
        await lab.person(stay[1]).hang_up()
        await lab.ended(*stay)


async def test_an_heir_joins_the_third_party_that_answers_when_nobody_was_there() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        result = await lab.done("call.transfer_attended", customer, to="701")
        await lab.hand_over()
        await lab.leg_when(str(result["to_leg"]), lambda leg: leg.bridged_to == agent.uuid)


@pytest.mark.parametrize("leaves", ["nobody", "third", "agent"])
async def test_it_goes_on_although_what_happened_meanwhile_was_not_heard(leaves: str) -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        result = await lab.done("call.transfer_attended", customer, to="701")
        third = lab.leg(str(result["to_leg"]))
        lab.desk.deaf = True
        await trio.sleep(0.9)
        gone = {"third": third, "agent": agent}.get(leaves)
        if gone is not None:
            await lab.person(gone).hang_up()
            await trio.sleep(0.2)
        lab.desk.deaf = False
        await lab.desk.resync("heard again")
        while gone is not None and lab.leg(gone).state != "ended":
            # The switch's list lags behind under load, and still had it.
            await lab.desk.resync("once more")
        one, two = {"nobody": (agent, third), "third": (customer, agent), "agent": (customer, third)}[leaves]
        await lab.leg_when(one, lambda leg: leg.bridged_to == two.uuid)
        await lab.hears(one, lab.tone(two))


async def _as_before(lab: Lab, customer: Leg, agent: Leg) -> None:
    """Customer and agent talk as a pair, and nobody is on hold."""
    await lab.leg_when(customer, lambda leg: leg.bridged_to == agent.uuid and not leg.held_since_us)
    assert lab.call(customer).state == "bridged"
    await lab.hears(customer, lab.tone(agent))
    await lab.hears(agent, lab.tone(customer))
    await lab.person(customer).hang_up()
    await lab.ended(customer, agent)


async def test_who_hangs_up_just_after_being_joined_leaves_nobody_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_lab() as lab:
        customer, agent, third = await _consulting(lab)
        paired = bonds.pair_up

        async def late(desk: Desk, one: Leg, two: Leg) -> None:
            await lab.person(third).hang_up()
            await paired(desk, one, two)

        monkeypatch.setattr(joining, "pair_up", late)
        await lab.give("call.transfer_complete", lab.call(customer))
        await lab.ended(customer, agent, third)


async def test_an_heir_ties_those_together_whom_a_dead_controller_had_parted() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        await lab.done("call.hold", customer)
        # As a transfer leaves them in the moment before its third leg is dialled.
        await unbind(lab.desk, customer, agent)
        await lab.hand_over()
        with trio.fail_after(3):
            while not (await lab.desk.api(f"uuid_getvar {agent.uuid} {HOOK}")).startswith("uuid_kill"):
                await trio.sleep(0.02)
        await lab.person(agent).hang_up()
        await lab.ended(customer, agent)


async def test_who_leaves_while_the_other_one_is_on_its_way_to_somebody_who_hangs_up_leaves_music(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_lab() as lab:
        customer, agent, third = await _consulting(lab)
        joined = joining.join

        async def late(desk: Desk, one: Leg, two: Leg, *, pair: bool = True) -> None:
            for leaving in (agent, third):
                await lab.person(leaving).hang_up()
            await lab.ended(agent, third)
            lab.desk.changes.clear()
            await joined(desk, one, two, pair=pair)

        monkeypatch.setattr(consult, "join", late)
        await lab.refused("leg_ended", "call.transfer_complete", lab.call(customer))
        await lab.told_of("call.playback_started")
        await lab.hears(customer, phones.MUSIC)
        assert lab.leg(customer).held_since_us
        assert lab.leg(customer).parked


async def test_an_order_whose_time_is_over_while_it_dials_leaves_the_two_who_talked_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        dial = lab.desk.bgapi

        async def slow(line: str, *, deadline_s: float = 60.0) -> str:
            order.cancel()
            await trio.sleep(0.2)
            return await dial(line, deadline_s=deadline_s)

        monkeypatch.setattr(lab.desk, "bgapi", slow)
        with trio.CancelScope() as order:
            await lab.give("call.transfer_attended", customer, to="101")
        assert order.cancelled_caught
        await trio.sleep(1.0)
        assert len(await lab.desk.switch.channels()) == 2
        await _as_before(lab, customer, agent)
