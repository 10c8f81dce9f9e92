"""Orders about one live call and one of its legs: answer, hang up, hold, mute, keys. Sounds are in `sounds`.

Every action sends its command and then waits for what proves it (see `core.telephony.watch`). What it returns is
what happened. Legs are named by the order's ``leg`` argument or chosen by the rule written at each action.
"""

from core.errors import Conflict, NotFound
from core.model.orders import Order
from core.model.records import Call, Leg
from core.telephony import values
from core.telephony.bonds import CLEARED, STAY, bind, let_go, set_all
from core.telephony.consult import refuse_while_moving
from core.telephony.desk import Desk
from core.telephony.joining import (
    HAPPENS_S,
    about,
    join,
    leg_in,
    live_legs,
    on_hold,
    part,
    partner_of,
    soothe,
    waiting_for,
)
from freeswitch import commands
from freeswitch.errors import CommandRefused

Result = dict[str, object]


def the_leg(call: Call, order: Order, *, name: str = "leg") -> Leg:
    """The live leg that the order names, or the call's first live one."""
    legs = live_legs(call)
    if not legs:
        raise Conflict("the call has ended", code="call_ended")
    if order.args.get(name) is None:
        return legs[0]
    wanted = values.leg(order.args[name], name)
    for leg in legs:
        if leg.uuid == wanted:
            return leg
    raise NotFound(f"the call has no live leg {wanted}", code="no_such_leg")


def answered_leg(call: Call, order: Order, to_what: str, *, name: str = "leg") -> Leg:
    """`the_leg`, which must be answered: before that there is no sound in both directions."""
    leg = the_leg(call, order, name=name)
    if leg.state != "answered":
        raise Conflict(f"only an answered leg can be {to_what}", code="not_answered")
    return leg


async def answer(desk: Desk, call: Call, order: Order) -> Result:
    """Answer the inbound leg that still rings."""
    leg = the_leg(call, order)
    if leg.state == "answered":
        raise Conflict("the leg is answered already", code="already_answered")
    if leg.direction != "inbound":
        raise Conflict("only the far side can answer an outbound leg", code="outbound_leg")
    await pick_up(desk, leg)
    return {"leg": leg.uuid}


async def pick_up(desk: Desk, leg: Leg) -> None:
    """Answer an inbound leg and wait until it is."""
    with desk.watches.on(leg.uuid) as watch:
        await desk.api(commands.uuid_answer(leg.uuid))
        await watch.until(
            lambda change: leg_in(change, leg.uuid).state == "answered",
            within_s=HAPPENS_S,
            what="the answer",
            alive=(leg.uuid,),
        )


async def hangup(desk: Desk, call: Call, order: Order) -> Result:
    """End one leg when the order names one, else the whole call."""
    cause = commands.known_cause(values.cause(order.args.get("cause") or "NORMAL_CLEARING"))
    whole = order.args.get("leg") is None
    legs = live_legs(call) if whole else [the_leg(call, order)]
    ends = [leg.uuid for leg in legs]
    with desk.watches.on(call.id, *ends) as watch:
        if whole and cause != CLEARED:
            await _share(desk, call, legs, cause)
        for uuid in ends:
            # One that ended by itself or with its partner is as good: the change will tell.
            await let_go(desk, uuid, cause)

        def over() -> bool:
            return not any(desk.leg(uuid) for uuid in ends)

        if not over():
            await watch.until(lambda _: over(), within_s=HAPPENS_S, what="the end")
    return {"cause": cause, "legs": sorted(ends)}


async def _share(desk: Desk, call: Call, legs: list[Leg], cause: str) -> None:
    """Have those who talk to each other end with this cause: left to itself, the switch ends the partner of a leg with
    its own idea of a cause, within a few milliseconds."""
    for leg in legs:
        partner = partner_of(call, leg)
        if partner is not None and leg.uuid < partner.uuid:
            try:
                await bind(desk, leg, partner, cause)
                await set_all(desk, (leg.uuid, partner.uuid), **{STAY: "true"})
            except CommandRefused:
                continue  # one of them has ended, and the other one does


async def hold(desk: Desk, call: Call, order: Order) -> Result:
    """Put one leg on hold: it hears music, its partner waits in silence. By default the call's first leg.

    Never ``uuid_hold``: that is a re-INVITE, which ends a call whose far side is a browser behind a dead
    controller. Parking both sides needs nobody's consent.
    """
    leg = answered_leg(call, order, "held")
    refuse_while_moving(call, leg)
    if on_hold(leg):
        raise Conflict("the leg is on hold already", code="already_held")
    if waiting_for(call, leg) is not None:
        raise Conflict("the other leg is on hold", code="already_held")
    if leg.conference:
        raise Conflict("a member of a conference cannot be held; mute it", code="in_conference")
    partner = partner_of(call, leg)
    if partner is not None:
        await part(desk, leg, partner)
    elif not leg.parked:
        # It runs something else, such as listening to a call: it would play the music when that is over.
        raise Conflict("only a leg that talks or waits can be held", code="not_bridged")
    music = await soothe(desk, leg)
    desk.note(leg.uuid, held=True)
    return {"leg": leg.uuid, "music": music}


async def unhold(desk: Desk, call: Call, order: Order) -> Result:
    """Take a leg off hold, back to the partner that it had."""
    if order.args.get("leg") is not None:
        leg = the_leg(call, order)
    else:
        held = [one for one in live_legs(call) if one.held_since_us]
        leg = next(filter(on_hold, held), held[0] if held else the_leg(call, order))
    if not leg.held_since_us:
        raise Conflict("nothing is on hold", code="not_held")
    if leg.bridged_to:
        raise Conflict("the telephone itself holds the call, and only it can go on", code="held_by_far_side")
    refuse_while_moving(call, leg)
    partner = waiting_for(call, leg)
    if partner is None:
        await desk.api(commands.uuid_break(leg.uuid))
    else:
        await bind(desk, leg, partner)
        await join(desk, leg, partner)
    desk.note(leg.uuid, held=False)
    return {"leg": leg.uuid}


async def mute(desk: Desk, call: Call, order: Order) -> Result:
    """Nobody hears this leg any more."""
    return await _set_mute(desk, call, order, muted=True)


async def unmute(desk: Desk, call: Call, order: Order) -> Result:
    """This leg is heard again."""
    return await _set_mute(desk, call, order, muted=False)


async def _set_mute(desk: Desk, call: Call, order: Order, *, muted: bool) -> Result:
    leg = answered_leg(call, order, "muted")
    if leg.conference:
        # There it is the conference that does not listen, so that its members' list says so.
        kind = "conference.muted" if muted else "conference.unmuted"
        verb = "mute" if muted else "unmute"
        if leg.muted != muted:
            with desk.watches.on(leg.uuid) as watch:
                await desk.api(commands.conference(leg.conference, verb, leg.conference_member))
                await watch.until(
                    about(leg.uuid, kind), within_s=HAPPENS_S, what=f"the {verb}", alive=(leg.uuid,)
                )
    else:
        await desk.api(commands.uuid_audio(leg.uuid, mute=muted))
        # FreeSWITCH tells nobody, so the controller notes it.
        desk.note(leg.uuid, muted=muted)
    return {"leg": leg.uuid, "muted": muted}


async def dtmf(desk: Desk, call: Call, order: Order) -> Result:
    """Send keys to the far side of a leg. Done when the switch has taken them; they follow each other in real time."""
    leg = the_leg(call, order)
    keys = values.digits(order.args.get("digits"))
    if leg.state not in ("answered", "early"):
        raise Conflict("there is no sound on this leg yet", code="not_answered")
    await desk.api(commands.uuid_send_dtmf(leg.uuid, keys))
    return {"leg": leg.uuid, "sent": len(keys)}
