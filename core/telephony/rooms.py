"""Orders about conferences: add, mute, unmute, kick, end.

A conference belongs to the tenant of its members. Its name on the switch carries the tenant, so that two tenants can
both have a room ``sales`` and neither can name the other's. Who leaves a conference, or is made to, hangs up.
"""

from contextlib import suppress

from core.errors import Conflict, NotFound
from core.model.orders import Order
from core.model.records import Change, Leg
from core.telephony import values
from core.telephony.actions import Result, the_leg
from core.telephony.bonds import STAY, bind, lives, set_all, unbind
from core.telephony.consult import being_connected, consultation
from core.telephony.desk import Desk
from core.telephony.dialling import caller_id, dial
from core.telephony.joining import (
    HAPPENS_S,
    fresh,
    live_legs,
    partner_of,
    waiting_for,
)
from freeswitch import commands
from freeswitch.errors import CommandRefused

PROFILE = "default"
SEEN_AS = {"mute": "conference.muted", "unmute": "conference.unmuted"}


def switch_name(tenant_id: str, room: str) -> str:
    """The conference's name on the switch."""
    return f"{tenant_id}.{room}"


def _room(order: Order) -> tuple[str, str]:
    room = values.room(order.args.get("conference"))
    return room, switch_name(order.tenant_id, room)


async def add(desk: Desk, order: Order) -> Result:
    """Bring a live call (``call_id``, one ``leg`` of it or all) or a number (``to``) into a conference.

    A call is done when its legs are in, those that end on the way left out; a number when its telephone rings.
    """
    room, name = _room(order)
    if order.args.get("to") is not None:
        desk.refuse_new_calls()
        leg, call = await dial(
            desk, order, order.args["to"], "conference", f"{name}@{PROFILE}", caller_id(desk, order)
        )
        return {"conference": room, "call_id": call.id, "leg": leg}
    async with desk.turns.of(order.call_id):
        return await _add_legs(desk, order, room, name)


async def _add_legs(desk: Desk, order: Order, room: str, name: str) -> Result:
    found = desk.board.calls.get(order.call_id)
    if found is None or found.tenant_id != order.tenant_id:
        raise NotFound("no such live call on this switch", code="no_such_call")
    if order.args.get("leg") is None:
        legs = live_legs(found)
    else:
        # One of three alone would be fetched back by the consultation.
        legs = [the_leg(found, order)]
        if consultation(found) is not None:
            raise Conflict("an attended transfer is under way: add the call", code="transfer_under_way")
    for leg in legs:
        if leg.state != "answered" or being_connected(found, leg) is not None:
            raise Conflict("only answered legs can come into a conference", code="not_answered")
    legs = [leg for leg in legs if leg.conference != name]
    if not legs:
        raise Conflict("they are in this conference already", code="already_there")
    ended: Conflict | CommandRefused | None = None
    added = []
    for leg in legs:
        try:
            await _add_leg(desk, leg.uuid, name)
        except (Conflict, CommandRefused) as exc:
            if await lives(desk, leg.uuid):
                raise
            ended = exc
        else:
            added.append(leg.uuid)
    if ended is not None and not added:
        raise ended
    return {"conference": room, "legs": added, "call_id": found.id}


async def _add_leg(desk: Desk, uuid: str, name: str) -> None:
    """Whoever talked to this leg or waited for it stays behind, parked; until the leg is a member, the end of one is
    the end of the other."""
    (leg,) = fresh(desk, uuid)
    call = desk.board.call_of(uuid)
    partner = None
    if call is not None:
        partner = partner_of(call, leg) or (None if consultation(call) else waiting_for(call, leg))
    if partner is not None and not partner.conference:
        try:
            await bind(desk, leg, partner)
            await set_all(desk, (leg.uuid, partner.uuid), **{STAY: "true"})
        except CommandRefused:
            if await lives(desk, partner.uuid):
                raise
            # Whether the leg ends with its partner or can still come in shows at the next command.
    pair = [one.uuid for one in (leg, partner) if one is not None]

    def inside(_: Change) -> bool:
        # The switch may tell of the new member before it tells that the pair has parted.
        seen = [one for one in map(desk.leg, pair) if one is not None]
        return any(one.uuid == uuid and one.conference == name for one in seen) and not any(
            one.bridged_to for one in seen
        )

    with desk.watches.on(*pair) as watch:
        await desk.api(commands.uuid_transfer(leg.uuid, f"conference:{name}@{PROFILE}", dialplan="inline"))
        await watch.until(inside, within_s=HAPPENS_S, what="the new member", alive=(leg.uuid,))
    for one in (leg, partner):
        if one is not None:
            with suppress(CommandRefused):
                await unbind(desk, one)
    if leg.held_since_us:
        desk.note(leg.uuid, held=False)


async def mute(desk: Desk, order: Order) -> Result:
    """The conference does not hear this member."""
    return await _on_member(desk, order, "mute")


async def unmute(desk: Desk, order: Order) -> Result:
    """And hears it again."""
    return await _on_member(desk, order, "unmute")


async def kick(desk: Desk, order: Order) -> Result:
    """A member leaves and hangs up."""
    return await _on_member(desk, order, "hup")


async def _on_member(desk: Desk, order: Order, verb: str) -> Result:
    """Members are named by their leg's uuid or their number in the conference."""
    room, name = _room(order)
    wanted = str(order.args.get("member", ""))
    for leg in _members(desk, order.tenant_id, name):
        if wanted in (leg.uuid, leg.conference_member):
            await _tell_member(desk, verb, leg)
            return {"conference": room, "leg": leg.uuid, "member": leg.conference_member}
    raise NotFound("the conference has no such member", code="no_such_member")


def _members(desk: Desk, tenant_id: str, name: str) -> list[Leg]:
    return [
        leg
        for call in desk.board.calls.values()
        if call.tenant_id == tenant_id
        for leg in live_legs(call)
        if leg.conference == name
    ]


async def _tell_member(desk: Desk, verb: str, leg: Leg) -> None:
    if verb != "hup" and leg.muted == (verb == "mute"):
        return  # it is so already, and the switch would say nothing

    def happened(change: Change) -> bool:
        return desk.leg(leg.uuid) is None if verb == "hup" else change.type == SEEN_AS[verb]

    with desk.watches.on(leg.uuid) as watch:
        await desk.api(commands.conference(leg.conference, verb, leg.conference_member))
        await watch.until(happened, within_s=HAPPENS_S, what=f"the {verb} of the member")


async def end(desk: Desk, order: Order) -> Result:
    """Everybody leaves and hangs up."""
    room, name = _room(order)
    members = _members(desk, order.tenant_id, name)
    if not members:
        raise NotFound("no such conference on this switch", code="no_such_conference")
    with desk.watches.on(*(leg.uuid for leg in members)) as watch:
        await desk.api(commands.conference(name, "hup", "all"))
        await watch.until(
            lambda _: not _members(desk, order.tenant_id, name),
            within_s=HAPPENS_S,
            what="the end of the conference",
        )
    return {"conference": room, "members": len(members)}
