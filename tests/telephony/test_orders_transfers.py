"""Blind transfers and the joining of calls: who talks to whom afterwards, and that nobody is lost on the way."""

import trio

from core.model.records import Leg
from tests.telephony import phones
from tests.telephony.desk_of import Lab, open_lab


async def test_a_blind_transfer_sends_the_customer_on_and_lets_the_agent_go() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()

        result = await lab.done("call.transfer_blind", customer, to="101")

        third = lab.leg(str(result["to_leg"]))
        assert lab.call(third).id == lab.call(customer).id
        await lab.ended(agent)
        assert lab.leg(agent).hangup_cause == "BLIND_TRANSFER"
        await lab.leg_when(third, lambda leg: leg.bridged_to == customer.uuid)
        await lab.hears(customer, lab.tone(third))
        await lab.hears(third, lab.tone(customer))
        told = [change.data for change in lab.desk.changes if change.type == "call.transferred"]
        assert told == [{"leg": customer.uuid, "to_leg": third.uuid, "mode": "blind"}]
        await lab.person(third).hang_up()
        await lab.ended(customer, third)


async def test_the_transferred_customer_hears_the_far_telephone_ring_and_may_give_up() -> None:
    async with open_lab() as lab:
        customer, _ = await lab.talk()
        result = await lab.done("call.transfer_blind", customer, to="300")
        third = lab.leg(str(result["to_leg"]))
        await lab.hears(customer, phones.RINGING)
        await lab.person(customer).hang_up()
        await lab.ended(customer, third)


async def test_a_transfer_to_a_busy_number_leaves_the_customer_parked_with_music() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        result = await lab.done("call.transfer_blind", customer, to="200")

        failed = await lab.told_of("call.transfer_failed")

        assert failed.data == {
            "leg": customer.uuid,
            "to_leg": result["to_leg"],
            "cause": "USER_BUSY",
            "mode": "blind",
        }
        await lab.leg_when(customer, lambda leg: leg.parked)
        await lab.hears(customer, phones.MUSIC)
        await lab.ended(agent)
        await lab.apart(customer)


async def test_a_transfer_that_nobody_answers_in_time_leaves_the_customer_parked() -> None:
    async with open_lab() as lab:
        customer, _ = await lab.talk()
        await lab.done("call.transfer_blind", customer, to="300", timeout_s=1)
        failed = await lab.told_of("call.transfer_failed")
        assert failed.data["cause"] in ("NO_ANSWER", "ORIGINATOR_CANCEL", "ALLOTTED_TIMEOUT")
        await lab.leg_when(customer, lambda leg: leg.parked)
        again = await lab.done("call.transfer_blind", customer, to="102")
        await lab.leg_when(str(again["to_leg"]), lambda leg: leg.bridged_to == customer.uuid)
        await lab.hears(customer, lab.tone(lab.leg(str(again["to_leg"]))))


async def test_a_transfer_that_the_switch_cannot_place_leaves_everybody_talking() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        lab.desk.dial_template = "sofia/gateway/nowhere/{number}"
        outcome = await lab.give("call.transfer_blind", customer, to="101")
        assert (outcome.status, outcome.code) == ("refused", "invalid_gateway"), outcome
        assert lab.call(customer).state == "bridged"
        await lab.hears(customer, lab.tone(agent))
        await lab.person(customer).hang_up()
        await lab.ended(agent)


async def test_a_held_customer_can_be_sent_on() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        await lab.done("call.hold", customer)
        result = await lab.done("call.transfer_blind", customer, to="101")
        third = await lab.leg_when(str(result["to_leg"]), lambda leg: leg.bridged_to == customer.uuid)
        assert lab.leg(customer).held_since_us == 0
        await lab.ended(agent)
        await lab.apart(customer, third)


async def test_a_held_customer_stays_on_hold_when_the_switch_cannot_place_the_transfer() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        await lab.done("call.hold", customer)
        lab.desk.dial_template = "sofia/gateway/nowhere/{number}"
        await lab.refused("invalid_gateway", "call.transfer_blind", customer, to="101")
        await lab.hears(customer, phones.MUSIC)
        assert lab.leg(customer).held_since_us
        await lab.done("call.unhold", customer)
        await lab.hears(customer, lab.tone(agent))


async def test_while_a_transfer_rings_other_moves_are_refused_and_it_can_be_cancelled() -> None:
    async with open_lab() as lab:
        customer, _ = await lab.talk()
        result = await lab.done("call.transfer_blind", customer, to="300")
        await lab.refused("transfer_under_way", "call.hold", customer)
        await lab.refused("transfer_under_way", "call.transfer_blind", customer, to="101")

        await lab.done("call.transfer_cancel", lab.call(customer))

        assert lab.leg(str(result["to_leg"])).hangup_cause == "ORIGINATOR_CANCEL"
        await lab.leg_when(customer, lambda leg: leg.parked)
        await lab.hears(customer, phones.MUSIC)
        await lab.refused("no_transfer", "call.transfer_cancel", lab.call(customer))


async def test_a_transferred_customer_can_be_held_and_taken_back() -> None:
    async with open_lab() as lab:
        customer, _ = await lab.talk()
        result = await lab.done("call.transfer_blind", customer, to="101")
        third = await lab.leg_when(str(result["to_leg"]), lambda leg: leg.bridged_to == customer.uuid)
        await lab.done("call.hold", customer)
        await lab.hears(customer, phones.MUSIC)
        await lab.done("call.unhold", customer)
        await lab.hears(customer, lab.tone(third))
        await lab.person(customer).hang_up()
        await lab.ended(customer, third)


async def test_a_leg_alone_can_be_transferred() -> None:
    async with open_lab() as lab:
        customer = await lab.call_in()
        result = await lab.done("call.transfer_blind", customer, to="101")
        third = await lab.leg_when(str(result["to_leg"]), lambda leg: leg.bridged_to == customer.uuid)
        await lab.person(customer).hang_up()
        await lab.ended(third)


async def test_a_number_that_is_none_is_refused_before_anybody_is_moved() -> None:
    async with open_lab() as lab:
        customer, _ = await lab.talk()
        for wrong in ("", "sofia/carrier/1@127.0.0.1", "1 2", "1,2", "1^park", None, 5, "x" * 100):
            await lab.refused("invalid_value", "call.transfer_blind", customer, to=wrong)
            await lab.refused("invalid_value", "call.transfer_attended", customer, to=wrong)
        assert lab.call(customer).state == "bridged"
        ringing = await lab.call_in("+15550101", answered=False)
        await lab.refused("not_answered", "call.transfer_blind", ringing, to="101")


async def test_two_calls_become_one() -> None:
    async with open_lab() as lab:
        one = await lab.call_in("+15550101")
        # (a switch's clock moves every 20 ms: of two calls of one moment neither is the elder)
        await trio.sleep(0.04)
        two = await lab.call_in("+15550102")
        call = lab.call(one)

        result = await lab.done("call.bridge", one, call_id=lab.call(two).id)

        assert result["leg"] == one.uuid
        assert result["other_leg"] == two.uuid
        assert lab.call(two).id == call.id
        assert lab.call(one).state == "bridged"
        await lab.hears(one, lab.tone(two))
        await lab.hears(two, lab.tone(one))
        await lab.person(two).hang_up()
        await lab.ended(one, two)
        assert lab.told().count("call.ended") == 1


async def test_callers_who_still_ring_are_answered_before_they_are_joined() -> None:
    async with open_lab() as lab:
        one = await lab.call_in("+15550101", answered=False)
        two = await lab.call_in("+15550102", answered=False)
        await lab.done("call.bridge", one, call_id=lab.call(two).id)
        assert (lab.leg(one).state, lab.leg(two).state) == ("answered", "answered")
        await lab.hears(one, lab.tone(two))
        await lab.apart(one, two)


async def test_a_telephone_that_rings_cannot_be_joined() -> None:
    async with open_lab() as lab:
        one = await lab.call_in("+15550101", answered=False)
        result = await lab.done("call.originate", to="300")
        ringing = str(result["call_id"])
        await lab.refused("not_answered", "call.bridge", one, call_id=ringing)
        assert lab.leg(one).state == "new"


async def test_whoever_talked_to_one_of_the_two_before_is_let_go() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        other, second_agent = await lab.talk_too()
        await lab.done("call.hold", other)

        await lab.done("call.bridge", customer, call_id=lab.call(other).id, other_leg=other.uuid)

        await lab.ended(agent, second_agent)
        assert lab.leg(other).held_since_us == 0
        await lab.hears(customer, lab.tone(other))
        await lab.apart(customer, other)
        await lab.person(customer).hang_up()
        await lab.ended(other)


async def test_calls_that_are_none_are_not_joined() -> None:
    async with open_lab() as lab:
        one = await lab.call_in()
        await lab.refused("no_such_call", "call.bridge", one, status="not_found", call_id="call_none")
        await lab.refused("same_call", "call.bridge", one, call_id=lab.call(one).id)
        two = await lab.call_in("+15550102")
        await lab.refused(
            "no_such_leg", "call.bridge", one, status="not_found", call_id=lab.call(two).id, other_leg="none"
        )


async def test_orders_about_one_call_at_the_same_time_leave_it_in_a_state_that_makes_sense() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        await _all_at_once(lab, customer, agent)
        await lab.done("call.hangup", lab.call(customer))


async def _all_at_once(lab: Lab, customer: Leg, agent: Leg) -> None:
    import trio

    outcomes = []

    async def give(action: str) -> None:
        outcomes.append(await lab.give(action, customer))

    async with trio.open_nursery() as nursery:
        for action in ("call.hold", "call.unhold", "call.hold", "call.unhold", "call.mute", "call.unmute"):
            nursery.start_soon(give, action)
    assert {outcome.status for outcome in outcomes} <= {"done", "refused"}
    assert {outcome.code for outcome in outcomes} <= {"", "already_held", "not_held"}
    if lab.call(customer).state == "held":
        await lab.done("call.unhold", customer)
    assert lab.leg(customer).bridged_to == agent.uuid
