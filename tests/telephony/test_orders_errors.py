"""Orders that cannot be done: who is told what, and that nothing an asker or a switch does ends the owner."""

import trio

from core.clock import now_us
from core.model.orders import Order
from core.telephony.node import SUBSCRIPTIONS as OWNERS
from core.telephony.orders import AT_ONCE, IN_TURN, ON_NODES, carry_out
from tests.telephony.desk_of import SUBSCRIPTIONS, Lab, open_lab

ABOUT_A_CALL = sorted({**AT_ONCE, **IN_TURN})


def test_the_lab_listens_to_what_an_owner_listens_to() -> None:
    assert SUBSCRIPTIONS == OWNERS


def test_every_action_has_one_place() -> None:
    assert len({**AT_ONCE, **IN_TURN, **ON_NODES}) == len(AT_ONCE) + len(IN_TURN) + len(ON_NODES)


async def test_the_call_of_another_tenant_is_no_call() -> None:
    async with open_lab() as lab:
        leg = await lab.call_in()
        lab.tenant = "tnt_other"
        for action in ABOUT_A_CALL:
            await lab.refused("no_such_call", action, leg, status="not_found")
        lab.tenant = "tnt_main"
        await lab.apart(leg)


async def test_a_call_of_another_tenant_cannot_be_joined() -> None:
    async with open_lab() as lab:
        leg = await lab.call_in()
        lab.tenant = "tnt_other"
        theirs = lab.leg(str((await lab.done("call.originate", to="100"))["leg"]))
        await lab.leg_when(theirs, lambda one: one.parked)
        assert lab.call(theirs).tenant_id == "tnt_other"
        await lab.refused("no_such_call", "call.bridge", theirs, status="not_found", call_id=lab.call(leg).id)
        lab.tenant = "tnt_main"
        await lab.refused("no_such_call", "call.bridge", leg, status="not_found", call_id=lab.call(theirs).id)
        await lab.refused("no_monitor", "call.monitor_stop", leg, status="not_found", monitor_leg=theirs.uuid)
        await lab.apart(leg, theirs)


async def test_an_order_that_nobody_knows_is_refused() -> None:
    async with open_lab() as lab:
        await lab.refused("unknown_action", "call.explode")
        await lab.refused("no_such_call", "call.hold", status="not_found")


async def test_a_leg_that_is_not_of_the_call_is_said() -> None:
    async with open_lab() as lab:
        leg = await lab.call_in()
        other = await lab.call_in("+15550101")
        for action in (
            "call.answer",
            "call.hold",
            "call.mute",
            "call.play",
            "call.hangup",
            "call.transfer_blind",
        ):
            await lab.refused(
                "no_such_leg", action, lab.call(leg), status="not_found", leg=other.uuid, to="1", path="a.wav"
            )
        await lab.refused("invalid_value", "call.hold", lab.call(leg), leg="two words")
        await lab.refused("invalid_value", "call.hold", lab.call(leg), leg=7)


async def test_a_call_that_has_ended_is_no_live_call() -> None:
    async with open_lab() as lab:
        leg = await lab.call_in()
        call = lab.call(leg)
        await lab.person(leg).hang_up()
        await lab.ended(leg)
        for action in ABOUT_A_CALL:
            await lab.refused("no_such_call", action, call, status="not_found")


async def test_a_leg_that_ends_under_an_order_is_said_at_once() -> None:
    async with open_lab() as lab:
        customer, _ = await lab.talk()
        # The switch has ended it, and we have not heard of it yet.
        lab.desk.deaf = True
        await lab.desk.api(f"uuid_kill {customer.uuid}")
        await trio.sleep(0.3)
        began = trio.current_time()
        outcome = await lab.give("call.hold", customer)
        assert (outcome.status, outcome.code) == ("refused", "leg_ended"), outcome
        assert trio.current_time() - began < 1.0
        lab.desk.deaf = False
        await lab.desk.resync("heard again")
        await lab.ended(customer)


async def test_a_leg_that_ends_while_an_order_waits_for_it_ends_the_waiting() -> None:
    async with open_lab() as lab:
        customer = await lab.call_in()
        other = await lab.call_in("+15550101")

        async def leave() -> None:
            await lab.desk.api(f"uuid_kill {other.uuid}")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(leave)
            outcome = await lab.give("call.bridge", customer, call_id=lab.call(other).id)
        assert outcome.status in ("refused", "done"), outcome
        assert outcome.code in ("leg_ended", "")
        await lab.ended(other)


async def test_without_a_connection_an_order_fails_and_nothing_was_done() -> None:
    async with open_lab() as lab:
        leg = await lab.call_in()
        lab.wires.refuse = True
        await lab.wires.cut()
        await lab.until(lambda: lab.call(leg).in_doubt)
        await lab.refused("in_doubt", "call.hold", leg)
        outcome = await lab.give("node.probe")
        assert (outcome.status, outcome.code) == ("failed", "not_sent")
        lab.wires.refuse = False
        await lab.until(lambda: not lab.call(leg).in_doubt)
        await lab.done("call.hold", leg)


async def test_a_connection_that_breaks_after_the_command_leaves_the_outcome_unknown() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        lab.wires.swallow = True

        async def break_it() -> None:
            await trio.sleep(0.1)
            lab.wires.swallow = False
            await lab.wires.cut()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(break_it)
            outcome = await lab.give("call.mute", customer)
        assert (outcome.status, outcome.code) == ("unknown", "outcome_unknown"), outcome
        await lab.until(lambda: "call.in_doubt" in lab.told() and not lab.call(customer).in_doubt)
        await lab.hears(agent, lab.tone(customer))
        await lab.done("call.mute", customer)


async def test_a_switch_that_goes_away_while_an_effect_is_awaited_ends_the_waiting() -> None:
    async with open_lab() as lab:
        leg = await lab.call_in()
        lab.desk.deaf = True

        async def break_it() -> None:
            await trio.sleep(0.1)
            lab.desk.deaf = False
            await lab.wires.cut()

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(break_it)
            outcome = await lab.give("call.play", leg, path="tone_stream://%(4000,0,440)")
        assert outcome.status in ("unknown", "failed"), outcome
        assert trio.current_time() - began < 2.5
        await lab.until(lambda: not lab.call(leg).in_doubt)


async def test_an_effect_that_is_never_seen_is_an_unknown_outcome() -> None:
    async with open_lab() as lab:
        leg = await lab.call_in(answered=False)
        lab.desk.deaf = True
        outcome = await lab.give("call.answer", leg)
        assert (outcome.status, outcome.code) == ("unknown", "outcome_unknown")
        assert "was not seen" in outcome.detail
        lab.desk.deaf = False


async def test_an_order_waits_for_the_one_before_it_and_not_for_ever() -> None:
    async with open_lab() as lab:
        leg = await lab.call_in()
        async with lab.desk.turns.of(lab.call(leg).id):
            outcomes = []

            async def hold() -> None:
                outcomes.append(await lab.give("call.hold", leg))

            began = trio.current_time()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(hold)
                # Hanging up never waits.
                other = await lab.call_in("+15550101")
                await lab.done("call.hangup", lab.call(other))
            assert trio.current_time() - began > 3.0
        assert [(outcome.status, outcome.code) for outcome in outcomes] == [("refused", "call_busy")]
        await lab.done("call.hold", leg)


async def test_hanging_up_does_not_wait_for_its_turn() -> None:
    async with open_lab() as lab:
        leg = await lab.call_in()
        async with lab.desk.turns.of(lab.call(leg).id):
            with trio.fail_after(2):
                await lab.done("call.hangup", lab.call(leg))


async def test_an_order_that_is_cancelled_in_the_middle_lets_the_next_one_through() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        for moment in (0.0, 0.001, 0.005, 0.02):
            with trio.move_on_after(moment):
                await lab.give("call.hold", customer)
            if lab.leg(customer).bridged_to == "":
                await _back(lab, customer.uuid)
        await lab.until(lambda: lab.call(customer).id == lab.call(agent).id)
        await lab.done("call.hangup", lab.call(customer))


async def _back(lab: Lab, customer: str) -> None:
    """Whatever half of a hold was done, the rest of it and its end can be asked for."""
    await trio.sleep(0.2)
    if not lab.leg(customer).held_since_us:
        outcome = await lab.give("call.hold", lab.leg(customer))
        assert outcome.status in ("done", "refused"), outcome
    if lab.leg(customer).held_since_us:
        await lab.done("call.unhold", lab.leg(customer))


async def test_many_orders_about_many_calls_at_once_all_have_an_outcome() -> None:
    async with open_lab() as lab:
        calls = [await lab.call_in(f"+1555010{n}") for n in range(5)]
        outcomes = []

        async def give(order: Order) -> None:
            outcomes.append(await carry_out(lab.desk, order))

        async with trio.open_nursery() as nursery:
            for leg in calls:
                for action in ("call.hold", "call.mute", "call.unhold", "call.unmute", "call.hold"):
                    order = Order(
                        id=f"ord_{leg.uuid}_{action}",
                        action=action,
                        node="node_test",
                        tenant_id=lab.tenant,
                        deadline_us=now_us() + 10_000_000,
                        call_id=lab.call(leg).id,
                    )
                    nursery.start_soon(give, order)
        assert len(outcomes) == 25
        assert {outcome.status for outcome in outcomes} <= {"done", "refused"}
