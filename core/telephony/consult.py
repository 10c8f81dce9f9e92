"""What happens to an attended transfer while it is under way, whoever hangs up.

Three legs: the one that is ``held`` (a customer, usually), the ``agent`` who asks somebody before passing it on, and
the ``third`` party. All three stay, parked, when the one they talk to leaves; so the controller decides, by one rule
that looks at nothing but the legs (`next_step`):

===========  ==========  ===========  =========================================================================
held         agent       third        then
===========  ==========  ===========  =========================================================================
lives        lives       rings        wait
lives        lives       answered     agent and third talk
lives        lives       gone         held and agent talk again, as before
lives        gone        rings        wait: the transfer completes itself
lives        gone        answered     held and third talk: the agent has completed the transfer by leaving
lives        gone        gone         held stays on hold, with music: nobody is lost
gone         lives       rings        wait
gone         lives       answered     agent and third talk, as a pair
gone         lives       gone         the agent's leg ends
gone         gone        any          the third leg ends
===========  ==========  ===========  =========================================================================

Since the rule needs no memory, an heir goes on with it after reading the legs from the store (`resume`).
"""

from enum import Enum

import trio

from core.errors import Conflict, PeerError
from core.logs import get_logger
from core.model.records import Call, Leg
from core.telephony.bonds import bind, let_go, pair_up
from core.telephony.desk import Desk
from core.telephony.joining import fresh, join, live_legs, on_hold, rest, waiting_for
from freeswitch.errors import EslError

LOG = get_logger("consult")

SETTLE_S = 2.0
"""A leg that leaves a bridge is parked within milliseconds. When nothing is heard for so long, the switch has told it
while we did not listen: a list of channels does not say who is parked."""


class Step(Enum):
    """What a consultation needs next."""

    WAIT = "wait"
    TALK = "join agent and third"
    BACK = "join held and agent"
    COMPLETE = "join held and third"
    PAIR = "agent and third are a call of their own"
    END = "end who is left over"
    REST = "held is alone, with music"
    OVER = "nothing more"


def next_step(held: Leg | None, agent: Leg | None, third: Leg | None, *, settled: bool = False) -> Step:
    """What to do now; None stands for a leg that has ended. See the table above.

    Legs are only moved from park to park: one that still leaves a bridge would take an order half. ``settled`` says
    that nothing has happened for so long that they must be there, although we were not told.
    """
    if held is not None and (held.bridged_to or held.conference):
        return Step.OVER  # an order has taken the held leg elsewhere
    if third is None:
        return _without_third(held, agent, settled)
    if third.state != "answered":
        return Step.WAIT if held or agent else Step.END
    if agent is None:
        if held is None:
            return Step.END
        return Step.COMPLETE if third.parked or settled else Step.WAIT
    talking = agent.bridged_to == third.uuid
    if not talking and not (settled or (agent.parked and third.parked)):
        return Step.WAIT
    if held is None:
        return Step.PAIR
    return Step.WAIT if talking else Step.TALK


def _without_third(held: Leg | None, agent: Leg | None, settled: bool) -> Step:
    if agent is None:
        return Step.OVER if held is None or not held.held_since_us else Step.REST
    if held is None:
        return Step.END
    return Step.BACK if agent.parked or settled else Step.WAIT


def consultation(call: Call) -> tuple[Leg, str, Leg] | None:
    """The held leg, the uuid of the one that consults (it may be gone) and the third one, read from the call alone;
    None when no attended transfer is under way."""
    legs = live_legs(call)
    for held in legs:
        if on_hold(held) and not held.conference:
            for third in reversed(legs):
                apart = third.uuid not in (held.uuid, held.other_leg) and not third.conference
                # (a colleague's browser comes to us; anybody else is dialled)
                if apart and (third.direction == "outbound" or third.agent):
                    return held, held.other_leg, third
    return None


def being_connected(call: Call, leg: Leg) -> Leg | None:
    """The leg that rings for ``leg`` at this moment (a blind transfer)."""
    return next(
        (
            other
            for other in live_legs(call)
            if other.direction == "outbound" and other.state != "answered" and other.other_leg == leg.uuid
        ),
        None,
    )


def refuse_while_moving(call: Call, leg: Leg) -> None:
    """Raise `Conflict` while a transfer decides where this leg belongs."""
    if consultation(call) is not None:
        raise Conflict(
            "an attended transfer is under way: complete or cancel it first", code="transfer_under_way"
        )
    if being_connected(call, leg) is not None:
        raise Conflict("the leg is just being connected with somebody else", code="transfer_under_way")


async def look_after(desk: Desk, held: str, agent: str, third: str) -> None:
    """Do what `next_step` says until the consultation is over."""
    legs = (held, agent, third)
    settled = False
    with desk.watches.on(*legs) as watch:
        while True:
            call = next((one for one in map(desk.board.call_of, legs) if one is not None), None)
            step = _now(desk, legs, settled)
            if call is None or step is Step.OVER:
                return
            if step is not Step.WAIT and not call.in_doubt:
                try:
                    async with desk.turns.of(call.id):
                        if _now(desk, legs, settled) is step and await _do(desk, step, *legs):
                            return
                        settled = False
                        continue
                except (Conflict, PeerError, EslError) as failed:
                    # A leg ended under our hands, usually: the change that says so leads to another step.
                    LOG.info("a step of a transfer failed", call=call.id, step=step.name, error=str(failed))
            with trio.move_on_after(SETTLE_S) as quiet:
                await watch.next()
            settled = quiet.cancelled_caught


def _now(desk: Desk, legs: tuple[str, str, str], settled: bool) -> Step:
    return next_step(*map(desk.leg, legs), settled=settled)


async def _do(desk: Desk, step: Step, held: str, agent: str, third: str) -> bool:
    """True when the consultation is over with it."""
    if step is Step.TALK:
        await join(desk, *fresh(desk, agent, third), pair=False)
        return False
    if step is Step.BACK:
        await back_together(desk, held, agent, third)
    elif step is Step.COMPLETE:
        await complete(desk, held, third)
    elif step is Step.REST:
        # Its music ended if it was on its way to somebody who hung up.
        await rest(desk, held)
    elif step is Step.PAIR:
        one, two = fresh(desk, agent, third)
        await (pair_up(desk, one, two) if one.bridged_to == two.uuid else join(desk, one, two))
    else:
        for uuid in (agent, third):
            await let_go(desk, uuid, "NORMAL_CLEARING")
    return True


async def back_together(desk: Desk, held: str, agent: str, third: str) -> None:
    """Held leg and agent talk again; the log says why the transfer came to nothing."""
    one, two = fresh(desk, held, agent)
    await join(desk, one, two)
    desk.note(held, held=False)
    call = desk.board.call_of(held)
    if call is not None:
        cause = next((leg.hangup_cause for leg in call.legs if leg.uuid == third), "")
        desk.tell("call.transfer_failed", call.id, leg=held, to_leg=third, cause=cause, mode="attended")


async def complete(desk: Desk, held: str, third: str) -> None:
    """Held leg and third party talk; the transfer is done."""
    one, two = fresh(desk, held, third)
    await join(desk, one, two)
    desk.note(held, held=False)
    call = desk.board.call_of(held)
    if call is not None:
        desk.tell("call.transferred", call.id, leg=held, to_leg=third, mode="attended")


def resume(desk: Desk) -> None:
    """Go on with the consultations that a predecessor left, and tie those together whom it had parted for one that did
    not begin; call it once, when the board agrees with the switch."""
    for call in desk.board.calls.values():
        found = consultation(call)
        if found is not None:
            held, agent, third = found
            desk.background(look_after, desk, held.uuid, agent, third.uuid)
            continue
        for leg in live_legs(call):
            partner = waiting_for(call, leg) if on_hold(leg) else None
            if partner is not None:
                desk.background(bind, desk, leg, partner)
