"""Orders that join legs anew: attended transfer, and two calls that become one. Blind transfers are in `blind`.

An attended transfer is made of steps that can each be seen and undone; `consult` does what the people in it cause.
"""

from contextlib import suppress

import trio

from core.errors import Conflict, IrisxError, NotFound
from core.model.orders import Order
from core.model.records import Call, Leg
from core.telephony import values
from core.telephony.actions import Result, answered_leg, pick_up, the_leg
from core.telephony.bonds import let_go, lives, unbind
from core.telephony.consult import (
    back_together,
    being_connected,
    complete,
    consultation,
    look_after,
    refuse_while_moving,
)
from core.telephony.desk import Desk
from core.telephony.dialling import caller_id, dial, our_number
from core.telephony.joining import (
    HAPPENS_S,
    fresh,
    join,
    on_hold,
    partner_of,
    rest,
    reunite,
    set_aside,
    settle,
    soothe,
    waiting_for,
)
from freeswitch import commands
from freeswitch.errors import CommandRefused, EslError

RINGBACK = "tone_stream://%(1000,4000,425);loops=-1"
"""What the one who consults hears while the third party's telephone rings."""


async def transfer_attended(desk: Desk, call: Call, order: Order) -> Result:
    """Hold a leg and let its partner talk to a third party first. Returns when the third leg rings.

    By default the call's first leg is held; a leg that is on hold already stays so. What happens afterwards, whoever
    hangs up, is decided in `core.telephony.consult`. When there is no third leg, the call is as it was before; should
    the partner have hung up meanwhile, the leg stays on hold, with music.
    """
    customer = answered_leg(call, order, "transferred")
    refuse_while_moving(call, customer)
    agent = partner_of(call, customer) or waiting_for(call, customer)
    if agent is None or on_hold(agent):
        raise Conflict(
            "an attended transfer needs a leg to hold and one that talks to it", code="not_bridged"
        )
    values.dial_string(order.args.get("to"), desk.dial_template)  # before anything is done
    shown = caller_id(desk, order, our_number(call))
    await set_aside(desk, call, customer)
    if not on_hold(customer):
        await soothe(desk, customer)
        desk.note(customer.uuid, held=True)
    await desk.api(commands.uuid_broadcast(agent.uuid, RINGBACK))
    # Neither's end is the other's while there is, or may be, a third one (an heir binds them again: `consult.resume`).
    await unbind(desk, customer, agent)
    try:
        third, _ = await dial(desk, order, order.args.get("to"), variables={"irisx_call": call.id, **shown})
    except (IrisxError, EslError):
        await _undo_attended(desk, customer, agent)
        raise
    except trio.Cancelled:
        # The order's time is over, not ours with the switch.
        desk.background(_undo_attended, desk, customer, agent)
        raise
    desk.background(look_after, desk, customer.uuid, agent.uuid, third)
    return {"held": customer.uuid, "agent": agent.uuid, "to_leg": third, "state": "ringing"}


async def _undo_attended(desk: Desk, customer: Leg, agent: Leg) -> None:
    with suppress(CommandRefused):
        await desk.api(commands.uuid_break(agent.uuid))
    if not await reunite(desk, customer, agent):
        await rest(desk, customer.uuid)
    elif not on_hold(customer) and desk.leg(customer.uuid) is not None:
        desk.note(customer.uuid, held=False)


async def transfer_complete(desk: Desk, call: Call, order: Order) -> Result:
    """Join the held leg with the third party; the one who consulted leaves."""
    under_way = consultation(call)
    if under_way is None:
        raise Conflict("no attended transfer is under way", code="no_transfer")
    held, agent, third = under_way
    if third.state != "answered":
        raise Conflict("the third party has not answered", code="not_answered")
    await complete(desk, held.uuid, third.uuid)
    await let_go(desk, agent, "ATTENDED_TRANSFER")
    return {"leg": held.uuid, "to_leg": third.uuid}


async def transfer_cancel(desk: Desk, call: Call, order: Order) -> Result:
    """End the new leg. Attended: the held leg and the one who consulted talk again. Blind, while it still rings: the
    leg that was sent on is parked again."""
    under_way = consultation(call)
    if under_way is None:
        for leg in call.legs:
            ringing = being_connected(call, leg) if leg.state != "ended" else None
            if ringing is not None:
                await _end(desk, ringing.uuid)
                return {"leg": leg.uuid}
        raise Conflict("no transfer is under way", code="no_transfer")
    held, agent, third = under_way
    await _end(desk, third.uuid)
    if desk.leg(agent) is None:
        return {"leg": held.uuid}
    # It parks by itself when the leg that it talked to has ended.
    await settle(desk, agent)
    await back_together(desk, held.uuid, agent, third.uuid)
    return {"leg": held.uuid, "agent": agent}


async def _end(desk: Desk, leg: str) -> None:
    with desk.watches.on(leg) as watch:
        await let_go(desk, leg, "ORIGINATOR_CANCEL")
        if desk.leg(leg) is not None:
            await watch.until(lambda _: desk.leg(leg) is None, within_s=HAPPENS_S, what="the end of the leg")


async def bridge(desk: Desk, call: Call, order: Order) -> Result:
    """Join a leg of this call with a leg of another one (``call_id``): the two calls become one.

    An inbound leg that still rings is answered first. Whoever talked to one of the two before, or waited for it, is
    let go. When one of the two ends before they are joined, the other one is back where it was.
    """
    other = desk.board.calls.get(str(order.args.get("call_id", "")))
    if other is None or other.tenant_id != call.tenant_id:
        raise NotFound("the other call is not live on this switch", code="no_such_call")
    if other.id == call.id:
        raise Conflict("a call cannot be joined with itself", code="same_call")
    sides = [(call, the_leg(call, order)), (other, the_leg(other, order, name="other_leg"))]
    for its_call, leg in sides:
        refuse_while_moving(its_call, leg)
        if leg.state != "answered" and leg.direction == "outbound":
            raise Conflict("a leg whose far side has not answered cannot be joined", code="not_answered")
    aside: list[tuple[Leg, Leg | None]] = []
    try:
        for its_call, leg in sides:
            if leg.state != "answered":
                await pick_up(desk, leg)
            aside.append((leg, await set_aside(desk, its_call, leg)))
        for _, partner in aside:
            if partner is not None:
                await unbind(desk, partner)
        one, two = fresh(desk, sides[0][1].uuid, sides[1][1].uuid)
        await join(desk, one, two)
    except (Conflict, CommandRefused):
        for leg, partner in aside:
            await _back(desk, leg, partner)
        raise
    for leg in (one, two):
        if leg.held_since_us:
            desk.note(leg.uuid, held=False)
    for _, partner in aside:
        if partner is not None:
            await let_go(desk, partner.uuid, "ATTENDED_TRANSFER")
    return {"leg": one.uuid, "other_leg": two.uuid}


async def _back(desk: Desk, leg: Leg, partner: Leg | None) -> None:
    """What a leg was before it was to be joined with another one. Who has lost its partner meanwhile ends with it."""
    if partner is not None:
        if not await reunite(desk, leg, partner):
            await let_go(desk, leg.uuid)
    elif on_hold(leg):
        await rest(desk, leg.uuid)
    elif await lives(desk, leg.uuid):
        with suppress(Conflict, CommandRefused):
            await settle(desk, leg.uuid)
