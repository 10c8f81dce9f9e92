"""Orders about a switch: emptying it, taking calls again, looking at it."""

import pytest

from tests.telephony.desk_of import Lab, open_lab


async def test_a_switch_that_is_being_emptied_takes_no_calls_and_serves_those_it_has() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()

        result = await lab.done("node.drain")
        try:
            assert result == {"state": "draining", "calls_left": 1}
            await lab.refused("draining", "call.originate", to="100")
            await lab.refused("draining", "conference.add", conference="sales", to="100")
            await _refused_at_the_door(lab)
            # What lives goes on, transfers included.
            third = await lab.done("call.transfer_blind", customer, to="101")
            await lab.leg_when(str(third["to_leg"]), lambda leg: leg.bridged_to == customer.uuid)
            await lab.ended(agent)
        finally:
            result = await lab.done("node.resume")
        assert result == {"state": "active"}
        await lab.dialled("100")
        await lab.call_in("+15550101")


async def _refused_at_the_door(lab: Lab) -> None:
    """Somebody calls, and the switch refuses."""
    with pytest.raises(ConnectionRefusedError):
        await lab.place.call_in(lab.desk, "100", "+15550177", "")
    assert not any(call.caller == "+15550177" for call in lab.desk.board.calls.values())


async def test_a_probe_is_one_round_trip() -> None:
    async with open_lab() as lab:
        result = await lab.done("node.probe")
        assert "FreeSWITCH Version 1.10" in str(result["version"])
        assert 0 < float(str(result["round_trip_ms"])) < 1000


async def test_the_channels_are_the_switchs_own_list() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        rows = (await lab.done("node.channels"))["channels"]
        assert isinstance(rows, list)
        assert {row["uuid"] for row in rows} == {customer.uuid, agent.uuid}


async def test_a_comparison_with_an_up_to_date_view_changes_nothing() -> None:
    async with open_lab() as lab:
        await lab.talk()
        told = lab.told()
        result = await lab.done("node.resync")
        assert result == {"listed": 2, "attached": 0, "ended": 0}
        assert lab.told() == told
