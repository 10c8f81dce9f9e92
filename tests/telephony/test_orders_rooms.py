"""Conferences: who comes, who is heard, who leaves."""

from core.model.records import Leg
from tests.telephony.desk_of import Lab, open_lab


async def _meeting(lab: Lab) -> tuple[Leg, Leg, Leg]:
    """Two who talked and one who was called, in the conference ``sales``."""
    customer, agent = await lab.talk()
    await lab.done("conference.add", lab.call(customer), conference="sales")
    result = await lab.done("conference.add", conference="sales", to="103")
    third = await lab.leg_when(str(result["leg"]), lambda leg: bool(leg.conference))
    return lab.leg(customer), lab.leg(agent), third


async def test_both_legs_of_a_call_come_into_a_conference_and_hear_each_other() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()

        result = await lab.done("conference.add", lab.call(customer), conference="sales")

        assert result["conference"] == "sales"
        assert set(result["legs"]) == {customer.uuid, agent.uuid}  # type: ignore[call-overload]
        assert lab.leg(customer).conference == lab.leg(agent).conference == "tnt_main.sales"
        assert lab.call(customer).conference == "tnt_main.sales"
        assert lab.call(customer).state == "bridged"
        await lab.hears(customer, lab.tone(agent))
        await lab.hears(agent, lab.tone(customer))
        assert "call.transferred" not in lab.told()
        await lab.refused("already_there", "conference.add", lab.call(customer), conference="sales")


async def test_a_number_that_is_called_into_a_conference_hears_everybody() -> None:
    async with open_lab() as lab:
        customer, agent, third = await _meeting(lab)
        assert lab.call(third).id == lab.call(customer).id
        await lab.hears(third, lab.tone(customer), lab.tone(agent))
        await lab.hears(customer, lab.tone(agent), lab.tone(third))


async def test_a_muted_member_is_heard_by_nobody_and_hears_everybody() -> None:
    async with open_lab() as lab:
        customer, agent, third = await _meeting(lab)

        result = await lab.done("conference.mute", conference="sales", member=agent.uuid)

        assert result == {
            "conference": "sales",
            "leg": agent.uuid,
            "member": lab.leg(agent).conference_member,
        }
        assert lab.leg(agent).muted
        await lab.hears(customer, lab.tone(third))
        await lab.hears(agent, lab.tone(customer), lab.tone(third))
        await lab.done("conference.mute", conference="sales", member=agent.uuid)
        number = lab.leg(agent).conference_member
        await lab.done("conference.unmute", conference="sales", member=number)
        await lab.hears(customer, lab.tone(agent), lab.tone(third))
        assert [kind for kind in lab.told() if "muted" in kind] == ["conference.muted", "conference.unmuted"]


async def test_muting_a_member_as_a_leg_of_its_call_is_the_same() -> None:
    async with open_lab() as lab:
        customer, agent, third = await _meeting(lab)
        await lab.done("call.mute", agent)
        await lab.hears(customer, lab.tone(third))
        await lab.done("conference.unmute", conference="sales", member=agent.uuid)
        await lab.hears(customer, lab.tone(agent), lab.tone(third))


async def test_who_is_made_to_leave_hangs_up_and_the_others_stay() -> None:
    async with open_lab() as lab:
        customer, agent, third = await _meeting(lab)
        await lab.done("conference.kick", conference="sales", member=agent.uuid)
        assert lab.leg(agent).state == "ended"
        await lab.apart(customer, third)
        await lab.hears(customer, lab.tone(third))
        await lab.refused(
            "no_such_member", "conference.kick", status="not_found", conference="sales", member=agent.uuid
        )


async def test_when_a_member_hangs_up_the_others_stay() -> None:
    async with open_lab() as lab:
        customer, agent, third = await _meeting(lab)
        await lab.person(customer).hang_up()
        await lab.ended(customer)
        await lab.apart(agent, third)


async def test_the_end_of_a_conference_is_the_end_for_everybody() -> None:
    async with open_lab() as lab:
        customer, agent, third = await _meeting(lab)
        result = await lab.done("conference.end", conference="sales")
        assert result["members"] == 3
        await lab.ended(customer, agent, third)
        assert lab.told().count("conference.ended") == 1
        await lab.refused("no_such_conference", "conference.end", status="not_found", conference="sales")


async def test_one_leg_alone_may_come_and_the_other_one_waits() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        await lab.done("conference.add", customer, conference="sales")
        await lab.apart(customer, agent)
        assert lab.leg(agent).parked
        await lab.done("conference.add", agent, conference="sales")
        await lab.hears(customer, lab.tone(agent))


async def test_a_held_leg_comes_into_a_conference_without_its_music() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        await lab.done("call.hold", customer)
        await lab.done("conference.add", lab.call(customer), conference="sales")
        assert lab.leg(customer).held_since_us == 0
        await lab.hears(customer, lab.tone(agent))
        await lab.person(agent).hang_up()
        await lab.ended(agent)
        await lab.apart(customer)


async def test_a_consultation_can_become_a_conference() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        result = await lab.done("call.transfer_attended", customer, to="101")
        third = await lab.leg_when(str(result["to_leg"]), lambda leg: leg.bridged_to == agent.uuid)
        await lab.done("conference.add", lab.call(customer), conference="sales")
        await lab.hears(customer, lab.tone(agent), lab.tone(third))
        await lab.person(agent).hang_up()
        await lab.ended(agent)
        await lab.hears(customer, lab.tone(third))


async def test_a_member_can_be_taken_out_into_a_call_again() -> None:
    async with open_lab() as lab:
        customer, agent, third = await _meeting(lab)
        result = await lab.done("call.transfer_blind", customer, to="102")
        new = await lab.leg_when(str(result["to_leg"]), lambda leg: leg.bridged_to == customer.uuid)
        await lab.hears(customer, lab.tone(new))
        await lab.hears(agent, lab.tone(third))
        assert lab.leg(customer).conference == ""


async def test_another_tenant_cannot_name_the_room_or_its_members() -> None:
    async with open_lab() as lab:
        customer, agent, _ = await _meeting(lab)
        lab.tenant = "tnt_other"
        for action in ("conference.mute", "conference.kick"):
            await lab.refused(
                "no_such_member", action, status="not_found", conference="sales", member=agent.uuid
            )
        await lab.refused("no_such_conference", "conference.end", status="not_found", conference="sales")
        await lab.refused(
            "no_such_call", "conference.add", lab.call(customer), status="not_found", conference="sales"
        )
        lab.tenant = "tnt_main"
        await lab.apart(customer, agent)


async def test_only_answered_legs_and_rooms_with_a_name() -> None:
    async with open_lab() as lab:
        leg = await lab.call_in(answered=False)
        await lab.refused("not_answered", "conference.add", leg, conference="sales")
        for wrong in ("", "a b", "x@default", "a+flags", "../x", None, 7, "r" * 65):
            await lab.refused("invalid_value", "conference.add", leg, conference=wrong)
            await lab.refused("invalid_value", "conference.end", conference=wrong)


async def test_who_is_in_a_room_has_parted_from_its_partner_when_the_order_is_done() -> None:
    async with open_lab() as lab:
        for room in ("one", "two", "three"):
            customer, agent = await lab.talk() if room != "two" else await lab.talk_too()
            await lab.done("conference.add", agent, conference=room)
            # The next order about the call sees it as it is, and does not fetch the member back.
            assert not lab.leg(agent).bridged_to
            assert not lab.leg(customer).bridged_to
            await lab.refused("not_bridged", "call.transfer_attended", agent, to="101")
            assert lab.leg(agent).conference
