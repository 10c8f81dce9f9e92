"""Waiting for what a command brings about, and taking turns: in virtual time, without a switch."""

import pytest
import trio
import trio.testing

from core.errors import Conflict, PeerTimeout
from core.model.records import Call, Change, Leg
from core.telephony.turns import WAIT_S, Turns
from core.telephony.watch import OutOfReach, Watch, Watches

ONE = Leg(uuid="one", direction="inbound", state="answered")
TWO = Leg(uuid="two", direction="outbound", state="answered")
CALL = Call(id="call_1", tenant_id="tnt_main", node="node_1", legs=(ONE, TWO))


def _change(kind: str, *, call: Call = CALL, **data: str) -> Change:
    return Change(type=kind, call=call, occurred_us=1, data=dict(data))


def _ended(uuid: str) -> Call:
    legs = tuple(
        Leg(uuid=leg.uuid, direction="", state="ended" if leg.uuid == uuid else leg.state)
        for leg in CALL.legs
    )
    return Call(id="call_1", tenant_id="tnt_main", node="node_1", legs=legs)


async def test_a_watch_sees_what_came_before_it_was_asked_and_what_comes_after(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    watches = Watches()
    with watches.on("one") as watch:
        watches.tell([_change("call.parked", leg="one"), _change("call.parked", leg="two")])
        seen = await watch.until(lambda change: change.type == "call.parked", within_s=1, what="it")
        assert seen.data == {"leg": "one"}

        async def later() -> None:
            await trio.sleep(0.5)
            watches.tell([_change("call.bridged", leg="two", other_leg="one")])

        nursery.start_soon(later)
        seen = await watch.until(lambda change: change.type == "call.bridged", within_s=1, what="it")
        assert seen.data["other_leg"] == "one"


async def test_what_is_not_seen_in_time_is_an_outcome_that_nobody_knows(
    autojump_clock: trio.testing.MockClock,
) -> None:
    watches = Watches()
    began = trio.current_time()
    with watches.on("one") as watch, pytest.raises(PeerTimeout, match=r"the answer was not seen within 3 s"):
        await watch.until(lambda _: True, within_s=3, what="the answer")
    assert trio.current_time() - began == pytest.approx(3)


async def test_a_leg_that_is_needed_and_ends_ends_the_waiting(autojump_clock: trio.testing.MockClock) -> None:
    watches = Watches()
    with watches.on("one") as watch:
        watches.tell([_change("call.leg_ended", call=_ended("two"), leg="two", other_leg="one")])
        watches.tell([_change("call.leg_ended", call=_ended("one"), leg="one")])
        with pytest.raises(Conflict) as refused:
            await watch.until(lambda _: False, within_s=3, what="the bridge", alive=("one",))
        assert refused.value.code == "leg_ended"


async def test_the_end_may_be_what_is_wanted(autojump_clock: trio.testing.MockClock) -> None:
    watches = Watches()
    with watches.on("one") as watch:
        watches.tell([_change("call.leg_ended", call=_ended("one"), leg="one")])
        await watch.until(
            lambda change: change.type == "call.leg_ended", within_s=3, what="it", alive=("one",)
        )


async def test_a_switch_out_of_reach_ends_every_waiting_about_its_calls(
    autojump_clock: trio.testing.MockClock,
) -> None:
    watches = Watches()
    with watches.on("two") as watch:
        watches.tell([_change("call.in_doubt")])
        with pytest.raises(OutOfReach):
            await watch.until(lambda _: False, within_s=3, what="the bridge")


async def test_giving_up_is_told_after_what_came_before_it(autojump_clock: trio.testing.MockClock) -> None:
    watches = Watches()
    with watches.on("one") as watch:
        watches.tell([_change("call.created", leg="one")])
        watch.give_up(Conflict("busy", code="user_busy"))
        await watch.until(lambda _: True, within_s=1, what="the leg")
        with pytest.raises(Conflict):
            await watch.next()


async def test_a_change_is_seen_once_whatever_keys_lead_to_it() -> None:
    watches = Watches()
    with watches.on("call_1", "one", "two") as watch:
        watches.tell([_change("call.bridged", leg="one", other_leg="two")])
        assert (await watch.next()).type == "call.bridged"
        watches.tell([_change("call.unbridged", leg="one", other_leg="two")])
        assert (await watch.next()).type == "call.unbridged"


async def test_nothing_is_kept_for_a_watch_that_is_closed() -> None:
    watches = Watches()
    with watches.on("one", "two"), watches.on("one"):
        pass
    assert watches._by_key == {}
    assert isinstance(Watch(), Watch)


async def test_orders_about_one_call_take_turns(autojump_clock: trio.testing.MockClock) -> None:
    turns = Turns()
    log: list[str] = []

    async def work(name: str, *calls: str) -> None:
        async with turns.of(*calls):
            log.append(f"{name} begins")
            await trio.sleep(1)
            log.append(f"{name} ends")

    async with trio.open_nursery() as around:
        around.start_soon(work, "a", "call_1")
        await trio.sleep(0.1)
        around.start_soon(work, "b", "call_1", "call_2")
        await trio.sleep(0.1)
        around.start_soon(work, "c", "call_3")
    assert log.index("a ends") < log.index("b begins")
    assert log.index("c begins") < log.index("a ends")


async def test_two_orders_about_the_same_two_calls_do_not_wait_for_each_other_for_ever(
    autojump_clock: trio.testing.MockClock,
) -> None:
    turns = Turns()
    done: list[str] = []

    async def work(*calls: str) -> None:
        async with turns.of(*calls):
            await trio.sleep(0.5)
            done.append(calls[0])

    async with trio.open_nursery() as around:
        around.start_soon(work, "one", "two")
        around.start_soon(work, "two", "one")
    assert sorted(done) == ["one", "two"]


async def test_a_turn_that_does_not_come_is_refused_and_keeps_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    turns = Turns()
    refused: list[str] = []

    async def wait_in_vain() -> None:
        began = trio.current_time()
        try:
            async with turns.of("one", "two"):
                raise AssertionError("it was not our turn")
        except Conflict as conflict:
            refused.append(conflict.code)
        assert trio.current_time() - began == pytest.approx(WAIT_S)
        async with turns.of("one"):
            pass

    async with turns.of("two"), trio.open_nursery() as around:
        around.start_soon(wait_in_vain)
    assert refused == ["call_busy"]
    assert len(turns._locks) == 0


async def test_a_cancelled_turn_is_given_back(autojump_clock: trio.testing.MockClock) -> None:
    turns = Turns()
    with trio.move_on_after(1):
        async with turns.of("one"):
            await trio.sleep_forever()
    async with turns.of("one", within_s=0.1):
        pass
