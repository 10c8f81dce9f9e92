"""Orders and hangups in random order: on a switch that works, every order has a definite outcome.

``done`` or refused with a reason; never ``unknown``, never a failure of a later step that matters, and when everybody
has hung up nothing is left, here or on the switch. The seeds are fixed; ``IRISX_TEST_SEEDS`` asks for more of them.
"""

import os
import random
from collections.abc import Callable

import pytest
import trio

from core.model.orders import Outcome
from core.model.records import Leg
from tests.telephony.desk_of import Lab, open_lab

SEEDS = range(int(os.environ.get("IRISX_TEST_SEEDS", "4")))
ORDERS = 14
NUMBERS = ("100", "101", "200", "300", "400", "501", "701")
Give = Callable[[Lab, random.Random, Leg], tuple[str, dict[str, str | bool | float | None]]]


def _other_call(lab: Lab, rng: random.Random) -> str:
    return rng.choice([*lab.desk.board.calls, "call_none"])


CHOICES: tuple[Give, ...] = (
    lambda lab, rng, leg: ("call.hold", {}),
    lambda lab, rng, leg: ("call.hold", {}),
    lambda lab, rng, leg: ("call.unhold", {}),
    lambda lab, rng, leg: ("call.unhold", {}),
    lambda lab, rng, leg: ("call.mute", {}),
    lambda lab, rng, leg: ("call.unmute", {}),
    lambda lab, rng, leg: ("call.play", {"path": "tone_stream://%(200,0,440)"}),
    lambda lab, rng, leg: ("call.play_stop", {}),
    lambda lab, rng, leg: ("call.record_start", {}),
    lambda lab, rng, leg: ("call.dtmf", {"digits": "1"}),
    lambda lab, rng, leg: ("call.transfer_blind", {"to": rng.choice(NUMBERS), "timeout_s": 1}),
    lambda lab, rng, leg: ("call.transfer_attended", {"to": rng.choice(NUMBERS), "timeout_s": 1}),
    lambda lab, rng, leg: ("call.transfer_attended", {"to": "101"}),
    lambda lab, rng, leg: ("call.transfer_complete", {}),
    lambda lab, rng, leg: ("call.transfer_cancel", {}),
    lambda lab, rng, leg: ("call.bridge", {"call_id": _other_call(lab, rng)}),
    lambda lab, rng, leg: ("call.monitor", {"to": "103", "mode": rng.choice(("listen", "barge"))}),
    lambda lab, rng, leg: ("conference.add", {"conference": "sales"}),
    lambda lab, rng, leg: ("conference.kick", {"conference": "sales", "member": leg.uuid}),
    lambda lab, rng, leg: ("call.hangup", {}),
)


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_order_has_a_definite_outcome_and_nothing_is_left(seed: int) -> None:
    rng = random.Random(seed)
    outcomes: list[tuple[str, Outcome]] = []
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        await lab.call_in("+15550102", answered=rng.random() < 0.5)
        async with trio.open_nursery() as nursery:
            for _ in range(ORDERS):
                legs = [
                    leg for call in lab.desk.board.calls.values() for leg in call.legs if leg.state != "ended"
                ]
                if not legs:
                    break
                leg = rng.choice(legs)
                if rng.random() < 0.08:
                    await lab.person(leg).hang_up()
                    continue
                action, args = rng.choice(CHOICES)(lab, rng, leg)
                if rng.random() < 0.7:
                    outcomes.append((action, await lab.give(action, leg, **args)))
                else:
                    nursery.start_soon(_give, lab, outcomes, action, leg, args)
                await trio.sleep(rng.choice((0, 0, 0.01, 0.05, 0.3)))
        definite = [
            (action, outcome) for action, outcome in outcomes if outcome.status in ("unknown", "failed")
        ]
        assert definite == []
        assert lab.desk.failures == []
        assert {call.surprises for call in lab.desk.board.calls.values()} <= {0}
        del customer, agent


async def _give(
    lab: Lab,
    outcomes: list[tuple[str, Outcome]],
    action: str,
    leg: Leg,
    args: dict[str, str | bool | float | None],
) -> None:
    outcomes.append((action, await lab.give(action, leg, **args)))
