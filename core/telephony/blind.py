"""The order that sends a leg on to a number without asking anybody there first.

Once it has begun, the switch does it alone: the leg itself runs ``bridge``, so that the caller hears the far ringing,
and falls back to ``park`` when nobody answers.
"""

import uuid

import trio

from core.errors import Conflict
from core.model.orders import Order
from core.model.records import Call, Change, Leg
from core.telephony import values
from core.telephony.actions import Result, answered_leg
from core.telephony.bonds import let_go, set_all, unbind
from core.telephony.consult import SETTLE_S, refuse_while_moving
from core.telephony.desk import Desk
from core.telephony.dialling import CREATED_S, caller_id, ring_s
from core.telephony.joining import on_hold, rest, reunite, set_aside
from freeswitch import arguments, commands


async def transfer_blind(desk: Desk, call: Call, order: Order) -> Result:
    """Send a leg on to a number; its partner is let go. By default the call's first leg goes.

    Returns when the new leg exists. If that leg fails afterwards, the one that was sent on is parked and hears music,
    and the log says ``call.transfer_failed`` with the cause. Raises `Conflict` when the switch makes no new leg: the
    call is as it was before; should the partner have hung up meanwhile, the leg is parked and hears music. A leg that
    ends before it is sent on takes its partner with it.
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
    partner = await set_aside(desk, call, leg)
    if partner is not None:
        # From here on its end is not the leg's any more. The leg's end is its end until the new leg exists.
        await unbind(desk, partner)
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
        cause = (await desk.api(commands.uuid_getvar(leg.uuid, "originate_disposition"))).strip()
        await _take_back(desk, leg, partner)
        raise Conflict(f"the switch placed no second call: {cause}", code=cause.lower() or "transfer_failed")
    if on_hold(leg):
        desk.note(leg.uuid, held=False)
    desk.tell("call.transferred", seen.call.id, leg=leg.uuid, to_leg=made, mode="blind")
    desk.background(_follow, desk, leg.uuid, made)
    if partner is not None:
        await let_go(desk, partner.uuid, "BLIND_TRANSFER")
    return {"leg": leg.uuid, "to_leg": made}


def _has(change: Change, uuid_: str) -> bool:
    return any(each.uuid == uuid_ for each in change.call.legs)


async def _take_back(desk: Desk, leg: Leg, partner: Leg | None) -> None:
    """Make the call what it was before: two that talk, one on hold and one that waits, or a leg alone."""
    if partner is None:
        if on_hold(leg):
            await rest(desk, leg.uuid)
    elif not await reunite(desk, leg, partner):
        await rest(desk, leg.uuid)


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
        try:
            async with desk.turns.of(call.id):
                leg = desk.leg(sent)
                if leg is not None and not leg.bridged_to and not leg.conference:
                    await rest(desk, sent)
        except Conflict:
            return  # another order has it now
