"""Answering, hanging up, holding, muting and pressing keys: what the people in the call notice, and what is recorded."""

import trio

from tests.telephony import phones
from tests.telephony.desk_of import open_lab


async def test_answering_a_parked_call_is_done_when_it_is_answered() -> None:
    async with open_lab() as lab:
        leg = await lab.call_in(answered=False)
        assert (leg.state, leg.parked) == ("new", True)

        result = await lab.done("call.answer", leg)

        assert result["leg"] == leg.uuid
        assert lab.leg(leg).state == "answered"
        assert lab.call(leg).answered_us > 0
        await lab.refused("already_answered", "call.answer", leg)


async def test_only_the_far_side_answers_a_leg_that_we_placed() -> None:
    async with open_lab() as lab:
        result = await lab.done("call.originate", to="300")
        leg = lab.leg(str(result["leg"]))
        await lab.refused("outbound_leg", "call.answer", leg)


async def test_hanging_up_ends_the_whole_call_with_the_cause_that_was_given() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()

        outcome = await lab.give("call.hangup", lab.call(customer), cause="CALL_REJECTED")

        assert outcome.status == "done"
        assert outcome.result["call"] is None
        call = lab.call(customer)
        assert call.state == "ended"
        assert {leg.hangup_cause for leg in call.legs} == {"CALL_REJECTED"}
        assert sorted(leg.uuid for leg in call.legs) == outcome.result["legs"]
        assert lab.told().count("call.ended") == 1
        assert agent.uuid in {leg.uuid for leg in call.legs}


async def test_an_unanswered_caller_is_refused_with_the_cause() -> None:
    async with open_lab() as lab:
        leg = await lab.call_in(answered=False)
        await lab.done("call.hangup", lab.call(leg), cause="USER_BUSY")
        call = lab.call(leg)
        assert (call.state, call.hangup_cause, call.answered_us) == ("ended", "USER_BUSY", 0)


async def test_hanging_up_one_of_two_who_talk_ends_the_other_too() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        result = await lab.done("call.hangup", agent)
        assert result["legs"] == [agent.uuid]
        await lab.ended(customer, agent)


async def test_a_cause_that_no_switch_knows_is_refused_and_nobody_is_hung_up() -> None:
    async with open_lab() as lab:
        leg = await lab.call_in()
        await lab.refused("invalid_value", "call.hangup", leg, cause="NO_SUCH_CAUSE")
        await lab.refused("invalid_value", "call.hangup", leg, cause="NORMAL CLEARING")
        await lab.apart(leg)


async def test_two_hangups_at_once_both_succeed() -> None:
    async with open_lab() as lab:
        customer, _ = await lab.talk()
        call = lab.call(customer)
        statuses: list[str] = []

        async def end() -> None:
            statuses.append((await lab.give("call.hangup", call)).status)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(end)
            nursery.start_soon(end)
        assert set(statuses) <= {"done", "not_found"}
        assert "done" in statuses


async def test_on_hold_a_leg_hears_music_and_its_partner_silence() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        await lab.hears(customer, lab.tone(agent))
        await lab.hears(agent, lab.tone(customer))

        result = await lab.done("call.hold", customer)

        assert result == {"leg": customer.uuid, "music": True, "call": lab.call(customer)}
        held, waiting = lab.leg(customer), lab.leg(agent)
        assert held.held_since_us and not waiting.held_since_us
        assert (held.parked, waiting.parked) == (True, True)
        assert (held.bridged_to, waiting.bridged_to) == ("", "")
        assert lab.call(customer).state == "held"
        await lab.hears(customer, phones.MUSIC)
        await lab.hears(agent)
        await lab.refused("already_held", "call.hold", customer)
        await lab.refused("already_held", "call.hold", agent)


async def test_after_a_hold_they_talk_again_and_part_as_a_pair() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        await lab.done("call.hold", customer)

        await lab.done("call.unhold", customer)

        assert lab.call(customer).state == "bridged"
        assert lab.leg(customer).held_since_us == 0
        assert lab.leg(customer).hold_us > 0
        await lab.hears(customer, lab.tone(agent))
        await lab.hears(agent, lab.tone(customer))
        await lab.refused("not_held", "call.unhold", customer)
        await lab.person(agent).hang_up()
        await lab.ended(customer, agent)
        assert "call.parked" not in lab.told()[lab.told().index("call.resumed") :]


async def test_a_call_can_be_held_again_and_again_by_either_side() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        for leg in (customer, agent, customer):
            await lab.done("call.hold", leg)
            assert lab.leg(leg).held_since_us
            await lab.done("call.unhold", lab.call(leg))
            assert lab.call(leg).state == "bridged"
        await lab.hears(customer, lab.tone(agent))
        await lab.person(customer).hang_up()
        await lab.ended(customer, agent)


async def test_the_end_of_the_held_leg_is_the_end_of_the_one_that_waits() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        await lab.done("call.hold", customer)
        await lab.person(customer).hang_up()
        await lab.ended(customer, agent)


async def test_the_end_of_the_one_that_waits_is_the_end_of_the_held_leg() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        await lab.done("call.hold", customer)
        await lab.person(agent).hang_up()
        await lab.ended(customer, agent)
        assert lab.call(customer).hangup_cause == "NORMAL_CLEARING"


async def test_a_leg_alone_can_be_held_and_taken_back() -> None:
    async with open_lab() as lab:
        leg = await lab.call_in()
        await lab.done("call.hold", leg)
        await lab.hears(leg, phones.MUSIC)
        await lab.done("call.unhold", leg)
        await lab.hears(leg)
        assert lab.call(leg).state == "answered"


async def test_what_does_not_talk_yet_cannot_be_held() -> None:
    async with open_lab() as lab:
        leg = await lab.call_in(answered=False)
        await lab.refused("not_answered", "call.hold", leg)
        await lab.refused("not_answered", "call.mute", leg)
        await lab.refused("not_held", "call.unhold", leg)


async def test_nobody_hears_a_muted_leg_until_it_is_unmuted() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        await lab.hears(agent, lab.tone(customer))

        await lab.done("call.mute", customer)

        assert lab.leg(customer).muted
        await lab.hears(agent)
        await lab.hears(customer, lab.tone(agent))
        await lab.done("call.hold", customer)
        await lab.done("call.unhold", customer)
        await lab.hears(agent)
        await lab.done("call.unmute", customer)
        assert not lab.leg(customer).muted
        await lab.hears(agent, lab.tone(customer))
        assert [kind for kind in lab.told() if "muted" in kind] == ["call.muted", "call.unmuted"]


async def test_muting_twice_is_told_once() -> None:
    async with open_lab() as lab:
        leg = await lab.call_in()
        await lab.done("call.mute", leg)
        await lab.done("call.mute", leg)
        assert lab.told().count("call.muted") == 1


async def test_keys_reach_the_far_side_of_the_leg() -> None:
    async with open_lab() as lab:
        customer, _ = await lab.talk()
        result = await lab.done("call.dtmf", customer, digits="12#")
        assert result["sent"] == 3
        await lab.got_keys(customer, "12#")
        await lab.refused("invalid_value", "call.dtmf", customer, digits="12x")
        await lab.refused("invalid_value", "call.dtmf", customer, digits="")
        await lab.refused("invalid_value", "call.dtmf", customer)


async def test_keys_that_somebody_presses_are_counted_and_never_named() -> None:
    async with open_lab() as lab:
        customer, _ = await lab.talk()
        await lab.person(customer).press("42")
        await lab.until(lambda: lab.leg(customer).digits == 2)
        told = [change.data for change in lab.desk.changes if change.type == "call.dtmf"]
        assert [data["digits"] for data in told] == [1, 2]


async def test_keys_need_sound() -> None:
    async with open_lab() as lab:
        leg = await lab.call_in(answered=False)
        await lab.refused("not_answered", "call.dtmf", leg, digits="1")
