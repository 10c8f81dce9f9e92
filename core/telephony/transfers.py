"""Orders that pass a leg on: blind transfer, attended transfer, bridge of two calls.

An attended transfer is made of steps that can each be seen and undone; `consult` does what the people in it cause. A
blind transfer is done by the switch alone once it has begun: the leg itself runs ``bridge``, so that the caller hears
the far ringing, and falls back to ``park`` when nobody answers.
"""

import uuid

import trio

from core.errors import Conflict, IrisxError, NotFound
from core.model.orders import Order
from core.model.records import Call, Change, Leg
from core.telephony import values
from core.telephony.actions import Result, answered_leg, pick_up, the_leg
from core.telephony.consult import (
    SETTLE_S,
    back_together,
    being_connected,
    complete,
    consultation,
    look_after,
    refuse_while_moving,
)
from core.telephony.desk import Desk
from core.telephony.dialling import CREATED_S, caller_id, dial, our_number, ring_s
from core.telephony.joining import (
    HAPPENS_S,
    bind,
    fresh,
    join,
    let_go,
    park,
    part,
    partner_of,
    set_all,
    soothe,
    unbind,
    waiting_for,
)
from freeswitch import arguments, commands
from freeswitch.errors import EslError

RINGBACK = "tone_stream://%(1000,4000,425);loops=-1"
"""What the one who consults hears while the third party's telephone rings."""


async def _set_aside(desk: Desk, call: Call, leg: Leg) -> Leg | None:
    """Have ``leg`` parked and free; the partner it had, parked too, if any. Both survive each other from here on."""
    partner = partner_of(call, leg)
    if partner is not None:
        await part(desk, leg, partner)
        return partner
    partner = waiting_for(call, leg)
    if partner is not None:
        await unbind(desk, leg, partner)
    return partner


async def transfer_blind(desk: Desk, call: Call, order: Order) -> Result:
    """Send a leg on to a number; its partner is let go. By default the call's first leg goes.

    Returns when the new leg exists. If that leg fails afterwards, the one that was sent on is parked and hears music,
    and the log says ``call.transfer_failed`` with the cause. Raises `Conflict`, the call as it was before, when the
    switch makes no new leg.
    """
    leg = answered_leg(call, order, "transferred")
    refuse_while_moving(call, leg)
    target = values.dial_string(order.args.get("to"), desk.dial_template)
    made = str(uuid.uuid4())
    variables = {
        "origination_uuid": made,
        "irisx_tenant": call.tenant_id,
        "irisx_call": call.id,
        "originate_timeout": str(ring_s(order)),
    }
    if order.args.get("from") is not None:
        variables |= caller_id(
            desk, order
        )  # otherwise the switch shows the number of the leg that is sent on
    dial_string = arguments.assignments(variables) + target
    # One text for the inline dialplan, cut at '^': nothing in it may hold one.
    if "^" in dial_string:
        raise Conflict("the switch's dial template cannot be used in a transfer", code="bad_dial_template")
    partner = await _set_aside(desk, call, leg)
    was_held = bool(leg.held_since_us)
    settings = {
        "continue_on_fail": "true",
        "hangup_after_bridge": "true",
        "park_after_bridge": "",
        "originate_disposition": "",
    }
    await set_all(desk, (leg.uuid,), **settings)
    with desk.watches.on(made, leg.uuid) as watch:
        await desk.api(commands.uuid_transfer(leg.uuid, f"m:^:bridge:{dial_string}^park:", dialplan="inline"))

        def decided(change: Change) -> bool:
            return _has(change, made) or (change.type == "call.parked" and change.data.get("leg") == leg.uuid)

        seen = await watch.until(decided, within_s=CREATED_S, what="the new leg", alive=(leg.uuid,))
    if not _has(seen, made):
        await _take_back(desk, leg, partner, held=was_held)
        cause = (await desk.api(commands.uuid_getvar(leg.uuid, "originate_disposition"))).strip()
        raise Conflict(f"the switch placed no second call: {cause}", code=cause.lower() or "transfer_failed")
    if was_held:
        desk.note(leg.uuid, held=False)
    desk.tell("call.transferred", seen.call.id, leg=leg.uuid, to_leg=made, mode="blind")
    desk.background(_follow, desk, leg.uuid, made)
    if partner is not None:
        await let_go(desk, partner.uuid, "BLIND_TRANSFER")
    return {"leg": leg.uuid, "to_leg": made}


def _has(change: Change, uuid_: str) -> bool:
    return any(each.uuid == uuid_ for each in change.call.legs)


async def _take_back(desk: Desk, leg: Leg, partner: Leg | None, *, held: bool) -> None:
    """Make the call what it was before: two that talk, or one on hold."""
    if held or partner is None:
        if partner is not None:
            await bind(desk, leg, partner)
        if held:
            await soothe(desk, leg)
        return
    if partner.held_since_us:
        await bind(desk, leg, partner)
        return
    await join(desk, *fresh(desk, leg.uuid, partner.uuid))


async def _follow(desk: Desk, sent: str, made: str) -> None:
    """See a blind transfer through: when the new leg ends without an answer, say so, and do not leave the one that
    was sent on in silence."""
    settled = False
    with desk.watches.on(sent, made) as watch:
        while True:
            leg, new = desk.leg(sent), desk.leg(made)
            if leg is None or leg.bridged_to or leg.held_since_us or leg.conference:
                return
            if new is None and (leg.parked or settled):
                break
            with trio.move_on_after(SETTLE_S) as quiet:
                await watch.next()
            settled = quiet.cancelled_caught
    call = desk.board.call_of(sent)
    if call is not None:
        cause = next((one.hangup_cause for one in call.legs if one.uuid == made), "")
        desk.tell("call.transfer_failed", call.id, leg=sent, to_leg=made, cause=cause, mode="blind")
        async with desk.turns.of(call.id):
            leg = desk.leg(sent)
            if leg is not None and not leg.bridged_to and not leg.conference:
                await soothe(desk, leg)


async def transfer_attended(desk: Desk, call: Call, order: Order) -> Result:
    """Hold a leg and let its partner talk to a third party first. Returns when the third leg rings.

    By default the call's first leg is held; a leg that is on hold already stays so. What happens afterwards, whoever
    hangs up, is decided in `core.telephony.consult`.
    """
    customer = answered_leg(call, order, "transferred")
    refuse_while_moving(call, customer)
    agent = partner_of(call, customer) or waiting_for(call, customer)
    if agent is None or (waiting_for(call, customer) is not None and not customer.held_since_us):
        raise Conflict(
            "an attended transfer needs a leg to hold and one that talks to it", code="not_bridged"
        )
    values.dial_string(order.args.get("to"), desk.dial_template)  # before anything is done
    shown = caller_id(desk, order, our_number(call))
    was_held = bool(customer.held_since_us)
    await _set_aside(desk, call, customer)
    if not was_held:
        await soothe(desk, customer)
        desk.note(customer.uuid, held=True)
    await desk.api(commands.uuid_broadcast(agent.uuid, RINGBACK))
    try:
        third, _ = await dial(desk, order, order.args.get("to"), variables={"irisx_call": call.id, **shown})
    except (IrisxError, EslError):
        await _undo_attended(desk, customer.uuid, agent.uuid, was_held=was_held)
        raise
    desk.background(look_after, desk, customer.uuid, agent.uuid, third)
    return {"held": customer.uuid, "agent": agent.uuid, "to_leg": third, "state": "ringing"}


async def _undo_attended(desk: Desk, customer: str, agent: str, *, was_held: bool) -> None:
    one, two = fresh(desk, customer, agent)
    if was_held:
        await desk.api(commands.uuid_break(agent))
        await bind(desk, one, two)
        return
    await join(desk, one, two)
    desk.note(customer, held=False)


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
    await park(desk, *fresh(desk, agent))
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
    let go.
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
    partners: list[Leg] = []
    for its_call, leg in sides:
        if leg.state != "answered":
            await pick_up(desk, leg)
        partner = await _set_aside(desk, its_call, leg)
        partners += [] if partner is None else [partner]
    one, two = fresh(desk, sides[0][1].uuid, sides[1][1].uuid)
    await join(desk, one, two)
    for leg in (one, two):
        if leg.held_since_us:
            desk.note(leg.uuid, held=False)
    for partner in partners:
        await let_go(desk, partner.uuid, "ATTENDED_TRANSFER")
    return {"leg": one.uuid, "other_leg": two.uuid}
