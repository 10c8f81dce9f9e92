"""Legs that lead to agents' browsers: begun with an offer, joined with callers, dialled with, renewed, and survived."""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio

from core.config import Inside, inside_of
from core.model.records import Leg
from core.storage.agent_legs import StoredLeg
from core.telephony.agent_legs import look_after_legs
from core.telephony.agent_phone import open_agent_phone
from core.telephony.bonds import let_go
from freeswitch.sip import Dialog
from tests.telephony.browser import offer
from tests.telephony.desk_of import REAL, Lab, open_lab
from tests.telephony.simulated import SimulatedPlace

AGENT = "agt_01"
OTHER = "agt_02"


class Paper:
    """Notes in memory: what a controller that dies leaves behind."""

    def __init__(self) -> None:
        self.legs: dict[str, StoredLeg] = {}

    async def begin(self, tenant_id: str, leg: str, agent_id: str) -> None:
        self.legs[leg] = StoredLeg(tenant_id, leg, agent_id, {}, 0)

    async def keep(self, tenant_id: str, leg: str, dialog: Dialog) -> None:
        self.legs[leg] = msgspec.structs.replace(self.legs[leg], dialog=msgspec.to_builtins(dialog))

    async def all(self) -> list[StoredLeg]:
        return list(self.legs.values())

    async def forget(self, legs: Sequence[str]) -> None:
        for leg in legs:
            self.legs.pop(leg, None)


def inside(lab: Lab) -> Inside:
    if REAL:
        found = inside_of(REAL)
        assert found is not None
        return found
    assert isinstance(lab.place, SimulatedPlace)
    port = lab.place.simulator.sip_port
    settings = lab.place.simulator.settings
    return Inside("127.0.0.1", port, settings.inside_user, settings.inside_password)


class Desk:
    """A lab with a phone to agents."""

    def __init__(self, lab: Lab, notes: Paper) -> None:
        self.lab = lab
        self.notes = notes

    async def call(self, *, leg: str = "", agent: str = AGENT, about: Leg | None = None, **more: str) -> str:
        leg = leg or str(uuid.uuid4())
        result = await self.lab.done("agent.call", about, agent=agent, **{"sdp": offer(), **more, "leg": leg})
        assert str(result["sdp"]).startswith("v=0")
        return leg

    async def refused(self, action: str = "agent.call", about: Leg | None = None, **args: str) -> str:
        given = {"agent": AGENT, "leg": str(uuid.uuid4()), "sdp": offer(), **args}
        outcome = await self.lab.give(action, about, **given)
        assert outcome.status != "done"
        return outcome.code


@asynccontextmanager
async def open_desk() -> AsyncIterator[Desk]:
    async with open_lab(with_agents=True) as lab:
        notes = Paper()
        async with open_agent_phone(notes, inside(lab)) as phone:
            lab.desk.phone = phone
            yield Desk(lab, notes)

        # Nobody sits at the far end of these.
        def live() -> list[Leg]:
            legs = [leg for call in lab.desk.board.calls.values() for leg in call.legs]
            return [leg for leg in legs if leg.agent and leg.state != "ended"]

        with trio.fail_after(10):
            for leg in live():
                await let_go(lab.desk, leg.uuid)
            while live():
                await trio.sleep(0.02)


async def test_a_caller_and_an_agent_come_to_talk() -> None:
    async with open_desk() as desk:
        customer = await desk.lab.call_in()
        leg = await desk.call(about=customer, join=customer.uuid)
        theirs = await desk.lab.leg_when(leg, lambda one: one.bridged_to == customer.uuid)
        assert theirs.agent == AGENT
        call = desk.lab.call(customer)
        assert [one.uuid for one in call.legs] == [customer.uuid, leg]
        assert desk.notes.legs[leg].dialog["call_id"] == leg


async def test_a_caller_that_still_rings_is_answered_by_it() -> None:
    async with open_desk() as desk:
        customer = await desk.lab.call_in(answered=False)
        leg = await desk.call(about=customer, join=customer.uuid)
        await desk.lab.leg_when(leg, lambda one: one.bridged_to == customer.uuid)
        assert desk.lab.leg(customer.uuid).state == "answered"


async def test_both_end_together() -> None:
    async with open_desk() as desk:
        customer = await desk.lab.call_in()
        leg = await desk.call(about=customer, join=customer.uuid)
        await desk.lab.leg_when(leg, lambda one: one.bridged_to == customer.uuid)
        await desk.lab.done("call.hangup", desk.lab.leg(leg), leg=leg)
        await desk.lab.ended(customer)


async def test_a_caller_on_hold_is_taken_over_by_a_colleague() -> None:
    async with open_desk() as desk:
        customer = await desk.lab.call_in()
        first = await desk.call(about=customer, join=customer.uuid)
        await desk.lab.leg_when(first, lambda one: one.bridged_to == customer.uuid)
        await desk.lab.done("call.hold", customer, leg=customer.uuid)
        second = await desk.call(agent=OTHER, about=customer, join=customer.uuid)
        await desk.lab.leg_when(second, lambda one: one.bridged_to == customer.uuid)
        with trio.fail_after(10):
            while desk.lab.desk.leg(first) is not None:
                await trio.sleep(0.02)
        assert not desk.lab.leg(customer.uuid).held_since_us
        # The end of the one who had it before is nobody else's.
        await desk.lab.done("call.mute", desk.lab.leg(second), leg=second)
        assert len([one for one in desk.lab.call(customer).legs if one.state != "ended"]) == 2


async def asked(desk: Desk) -> tuple[Leg, str, str]:
    """A customer on hold, the agent's leg, and a colleague's that talks to it."""
    customer = await desk.lab.call_in()
    first = await desk.call(about=customer, join=customer.uuid)
    await desk.lab.leg_when(first, lambda one: one.bridged_to == customer.uuid)
    await desk.lab.done("call.hold", customer, leg=customer.uuid)
    second = await desk.call(agent=OTHER, about=customer, join=first)
    await desk.lab.leg_when(second, lambda one: one.bridged_to == first)
    assert desk.lab.leg(customer.uuid).held_since_us
    return customer, first, second


async def test_a_colleague_is_asked_while_the_customer_waits_and_takes_the_call_over() -> None:
    async with open_desk() as desk:
        customer, first, second = await asked(desk)
        await desk.lab.done("call.transfer_complete", customer)
        await desk.lab.leg_when(second, lambda one: one.bridged_to == customer.uuid)
        with trio.fail_after(10):
            while desk.lab.desk.leg(first) is not None:
                await trio.sleep(0.02)
        assert not desk.lab.leg(customer.uuid).held_since_us
        assert len([one for one in desk.lab.call(customer).legs if one.state != "ended"]) == 2


async def test_a_colleague_who_was_asked_lets_the_agent_go_back_to_the_customer() -> None:
    async with open_desk() as desk:
        customer, first, second = await asked(desk)
        await desk.lab.done("call.transfer_cancel", customer)
        await desk.lab.leg_when(first, lambda one: one.bridged_to == customer.uuid)
        assert desk.lab.desk.leg(second) is None


async def test_a_colleague_who_was_asked_and_leaves_brings_the_customer_back() -> None:
    async with open_desk() as desk:
        customer, first, second = await asked(desk)
        await desk.lab.done("call.hangup", desk.lab.leg(second), leg=second)
        await desk.lab.leg_when(first, lambda one: one.bridged_to == customer.uuid)


async def test_an_agent_dials_and_the_call_is_one_to_whom_they_dialled() -> None:
    async with open_desk() as desk:
        # (an empty text is how a client says that it does not mean something)
        leg = await desk.call(to="100", caller="7001", join="", listen="", **{"from": ""})  # type: ignore[arg-type]
        ours = await desk.lab.leg_when(leg, lambda one: bool(one.bridged_to))
        call = desk.lab.call(ours)
        assert (call.direction, call.destination, call.caller) == ("outbound", "100", "7001")
        assert len(call.legs) == 2


async def test_who_dials_somebody_busy_is_let_go_with_their_cause() -> None:
    async with open_desk() as desk:
        leg = await desk.call(to="200")
        with trio.fail_after(10):
            while desk.lab.desk.leg(leg) is not None:
                await trio.sleep(0.02)
        ended = [one for change in desk.lab.desk.changes for one in change.call.legs if one.uuid == leg]
        assert ended[-1].hangup_cause == "USER_BUSY"


async def test_a_supervisor_listens_to_a_leg_in_a_call_of_their_own() -> None:
    async with open_desk() as desk:
        customer = await desk.lab.call_in()
        leg = await desk.call(about=customer, join=customer.uuid)
        await desk.lab.leg_when(leg, lambda one: one.bridged_to == customer.uuid)
        watching = await desk.call(agent=OTHER, listen=leg, mode="whisper")
        with trio.fail_after(10):
            while not any(change.type == "call.monitored" for change in desk.lab.desk.changes):
                await trio.sleep(0.02)
        assert desk.lab.call(desk.lab.leg(watching)).id != desk.lab.call(customer).id


async def test_an_offer_is_renewed_within_the_leg() -> None:
    async with open_desk() as desk:
        leg = await desk.call()
        before = desk.notes.legs[leg].dialog["cseq"]
        result = await desk.lab.done("agent.renew", leg=leg, agent=AGENT, sdp=offer(2))
        assert str(result["sdp"]).startswith("v=0")
        assert desk.notes.legs[leg].dialog["cseq"] > before
        assert await desk.refused("agent.renew", leg=leg, agent=OTHER) == "no_such_leg"
        assert await desk.refused("agent.renew", leg=str(uuid.uuid4())) == "no_such_leg"


async def test_an_heir_renews_the_legs_that_were_noted_and_ends_those_that_nobody_knows() -> None:
    async with open_desk() as desk:
        lab = desk.lab
        kept, lost = await desk.call(), await desk.call(agent=OTHER)
        desk.notes.legs[lost] = msgspec.structs.replace(desk.notes.legs[lost], dialog={})
        await lab.hand_over()
        async with open_agent_phone(desk.notes, inside(lab)) as phone:
            lab.desk.phone = phone
            await phone.adopt()
            lab.desk.background(look_after_legs, lab.desk, set())
            with trio.fail_after(10):
                while lab.desk.leg(lost) is not None:
                    await trio.sleep(0.02)
            await lab.done("agent.renew", leg=kept, agent=AGENT, sdp=offer(2))
            assert lab.desk.leg(kept) is not None


async def test_legs_that_are_over_are_forgotten() -> None:
    async with open_desk() as desk:
        leg, stays = await desk.call(), await desk.call()
        await desk.lab.done("call.hangup", desk.lab.leg(leg), leg=leg)
        assert desk.lab.desk.phone is not None
        await desk.lab.desk.phone.tidy({stays}, set())
        assert set(desk.notes.legs) == {stays}


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ({"sdp": "hello"}, "invalid_sdp"),
        ({"sdp": "v=0\r\n" + "a=x\r\n" * 4000}, "invalid_sdp"),
        ({"leg": "not-a-uuid"}, "invalid_value"),
        ({"leg": "A" * 36}, "invalid_value"),
        ({"agent": "usr_1"}, "invalid_value"),
        ({"agent": "agt_1\r\nX-Irisx-tenant: tnt_other"}, "invalid_value"),
        ({"caller": "100>\r\nX: y"}, "invalid_value"),
        ({"join": "gone"}, "no_such_call"),
        ({"listen": "gone"}, "no_such_leg"),
        ({"to": "sofia/gateway/x"}, "invalid_value"),
    ],
)
async def test_what_cannot_be_is_refused_before_the_switch_hears_of_it(
    args: dict[str, str], code: str
) -> None:
    async with open_desk() as desk:
        assert await desk.refused("agent.call", None, **args) == code
        assert not desk.lab.desk.board.calls and not desk.notes.legs


async def test_a_leg_is_not_begun_twice() -> None:
    async with open_desk() as desk:
        leg = await desk.call()
        assert await desk.refused(leg=leg) == "leg_exists"


async def test_a_switch_without_an_inside_profile_says_so() -> None:
    async with open_lab() as lab:
        outcome = await lab.give("agent.call", agent=AGENT, leg=str(uuid.uuid4()), sdp=offer())
        assert (outcome.status, outcome.code) == ("refused", "no_phone")
