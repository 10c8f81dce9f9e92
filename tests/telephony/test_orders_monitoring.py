"""Supervisors: who hears whom while they listen, whisper and barge in."""

import pytest
import trio

from core.model.records import Leg
from tests.telephony.desk_of import Lab, open_lab


async def _monitored(lab: Lab, mode: str) -> tuple[Leg, Leg, Leg]:
    customer, agent = await lab.talk()
    result = await lab.done("call.monitor", agent, to="103", mode=mode)
    supervisor = await lab.leg_when(str(result["monitor_leg"]), lambda leg: leg.state == "answered")
    assert result["monitor_call"] == lab.call(supervisor).id != lab.call(agent).id
    assert lab.call(supervisor).tenant_id == lab.call(agent).tenant_id
    told = await lab.told_of("call.monitored")
    assert told.data == {"leg": agent.uuid, "monitor_leg": supervisor.uuid, "mode": mode}
    return customer, agent, supervisor


async def test_a_listener_hears_both_and_is_heard_by_nobody() -> None:
    async with open_lab() as lab:
        customer, agent, supervisor = await _monitored(lab, "listen")
        await lab.hears(supervisor, lab.tone(customer), lab.tone(agent))
        await lab.hears(agent, lab.tone(customer))
        await lab.hears(customer, lab.tone(agent))


async def test_a_whisper_reaches_the_watched_leg_alone() -> None:
    async with open_lab() as lab:
        customer, agent, supervisor = await _monitored(lab, "whisper")
        await lab.hears(agent, lab.tone(customer), lab.tone(supervisor))
        await lab.hears(customer, lab.tone(agent))
        await lab.hears(supervisor, lab.tone(customer), lab.tone(agent))


async def test_who_barges_in_is_heard_by_both() -> None:
    async with open_lab() as lab:
        customer, agent, supervisor = await _monitored(lab, "barge")
        await lab.hears(agent, lab.tone(customer), lab.tone(supervisor))
        await lab.hears(customer, lab.tone(agent), lab.tone(supervisor))
        await lab.hears(supervisor, lab.tone(customer), lab.tone(agent))


async def test_keys_of_a_listener_do_not_make_them_heard() -> None:
    async with open_lab() as lab:
        customer, agent, supervisor = await _monitored(lab, "listen")
        await lab.person(supervisor).press("3")
        await lab.hears(agent, lab.tone(customer))
        await lab.hears(customer, lab.tone(agent))


@pytest.mark.parametrize("mode", ["listen", "barge"])
async def test_when_it_is_stopped_the_talk_goes_on(mode: str) -> None:
    async with open_lab() as lab:
        customer, agent, supervisor = await _monitored(lab, mode)
        await lab.done("call.monitor_stop", lab.call(agent), monitor_leg=supervisor.uuid)
        assert lab.leg(supervisor).state == "ended"
        await lab.hears(agent, lab.tone(customer))
        await lab.hears(customer, lab.tone(agent))
        await lab.refused(
            "no_monitor",
            "call.monitor_stop",
            lab.call(agent),
            status="not_found",
            monitor_leg=supervisor.uuid,
        )


async def test_the_supervisor_leaves_with_the_call() -> None:
    async with open_lab() as lab:
        customer, agent, supervisor = await _monitored(lab, "listen")
        await lab.person(customer).hang_up()
        await lab.ended(customer, agent, supervisor)


async def test_the_supervisor_may_leave_alone() -> None:
    async with open_lab() as lab:
        customer, agent, supervisor = await _monitored(lab, "barge")
        await lab.person(supervisor).hang_up()
        await lab.ended(supervisor)
        await lab.apart(customer, agent)


async def test_listening_goes_on_through_hold() -> None:
    async with open_lab() as lab:
        customer, agent, supervisor = await _monitored(lab, "listen")
        await lab.done("call.hold", customer)
        await lab.hears(supervisor, lab.tone(agent))
        await lab.done("call.unhold", customer)
        await lab.hears(supervisor, lab.tone(customer), lab.tone(agent))


async def test_only_an_answered_leg_and_a_known_way_of_listening() -> None:
    async with open_lab() as lab:
        leg = await lab.call_in(answered=False)
        await lab.refused("not_answered", "call.monitor", leg, to="103")
        await lab.done("call.answer", leg)
        await lab.refused("invalid_value", "call.monitor", leg, to="103", mode="shout")
        await lab.refused("invalid_value", "call.monitor", leg, to="")


async def test_a_leg_of_the_call_is_no_listener() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        await lab.refused("no_monitor", "call.monitor_stop", lab.call(customer), monitor_leg=agent.uuid)
        await lab.apart(customer, agent)


async def test_a_listening_leg_can_neither_be_held_nor_played_to() -> None:
    async with open_lab() as lab:
        customer, agent, supervisor = await _monitored(lab, "listen")
        await lab.refused("not_bridged", "call.hold", supervisor)
        assert not lab.leg(supervisor).held_since_us
        with trio.fail_after(3):
            while "eavesdrop" not in await lab.desk.api(f"uuid_getvar {supervisor.uuid} current_application"):
                await trio.sleep(0.01)
        await lab.refused("not_playable", "call.play", supervisor, path="tone_stream://%(200,0,440)")
        await lab.hears(supervisor, lab.tone(customer), lab.tone(agent))
