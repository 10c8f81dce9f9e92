"""Orders about conferences: add, mute, unmute, kick, end.

A conference belongs to the tenant of its members. Its name on the switch carries the tenant, so that two tenants can
both have a room ``sales`` and neither can name the other's.
"""

from core.errors import Conflict, NotFound
from core.model.orders import Order
from core.model.records import Change
from core.telephony import values
from core.telephony.actions import HAPPENS_S, Result, live_legs
from core.telephony.desk import Desk
from core.telephony.transfers import dial
from freeswitch import commands

PROFILE = "default"


def switch_name(tenant_id: str, room: str) -> str:
    """The conference's name on the switch."""
    return f"{tenant_id}.{room}"


def _room(order: Order) -> tuple[str, str]:
    room = values.room(order.args.get("conference"))
    return room, switch_name(order.tenant_id, room)


async def add(desk: Desk, order: Order) -> Result:
    """Bring a live call (``call_id``, one ``leg`` of it or all) or a number (``to``) into a conference."""
    room, name = _room(order)
    if order.args.get("to"):
        dialling, call = await dial(
            desk, order, order.tenant_id, order.args["to"], "conference", f"{name}@{PROFILE}"
        )
        return {"conference": room, "call_id": call.id, "leg": dialling.leg}
    found = desk.board.calls.get(order.call_id)
    if found is None or found.tenant_id != order.tenant_id:
        raise NotFound("no such live call on this switch", code="no_such_call")
    legs = [leg for leg in live_legs(found) if order.args.get("leg") in (None, leg.uuid)]
    if not legs:
        raise Conflict("the call has no such live leg", code="no_such_leg")
    for leg in legs:
        await desk.api(commands.uuid_setvar(leg.uuid, "park_after_bridge", "true"))
    for leg in legs:
        with desk.watches.on(leg.uuid) as watch:
            await desk.api(
                commands.uuid_transfer(leg.uuid, f"conference:{name}@{PROFILE}", dialplan="inline")
            )
            await watch.until(
                lambda change, leg=leg: any(  # type: ignore[misc]
                    each.uuid == leg.uuid and each.conference for each in change.call.legs
                ),
                within_s=HAPPENS_S,
                what="the new member",
            )
    return {"conference": room, "legs": [leg.uuid for leg in legs]}


async def mute(desk: Desk, order: Order) -> Result:
    return await _on_member(desk, order, "mute")


async def unmute(desk: Desk, order: Order) -> Result:
    return await _on_member(desk, order, "unmute")


async def kick(desk: Desk, order: Order) -> Result:
    return await _on_member(desk, order, "hup")


async def _on_member(desk: Desk, order: Order, verb: str) -> Result:
    room, name = _room(order)
    wanted = str(order.args.get("member", ""))
    for call in desk.board.calls.values():
        for leg in live_legs(call):
            if leg.conference == name and wanted in (leg.uuid, leg.conference_member):
                if call.tenant_id != order.tenant_id:
                    break
                return await _tell_member(desk, verb, room, name, leg.uuid, leg.conference_member)
    raise NotFound("the conference has no such member", code="no_such_member")


async def _tell_member(desk: Desk, verb: str, room: str, name: str, leg: str, member: str) -> Result:
    wanted = {"mute": "conference.muted", "unmute": "conference.unmuted", "hup": "conference.left"}[verb]

    def happened(change: Change) -> bool:
        return change.type == wanted or (verb == "hup" and change.type in ("call.ended", "call.leg_ended"))

    with desk.watches.on(leg) as watch:
        await desk.api(commands.conference(name, verb, member))
        await watch.until(happened, within_s=HAPPENS_S, what=f"the {verb} of the member")
    return {"conference": room, "leg": leg, "member": member}


async def end(desk: Desk, order: Order) -> Result:
    """Everybody leaves."""
    room, name = _room(order)
    members = [
        leg
        for call in desk.board.calls.values()
        if call.tenant_id == order.tenant_id
        for leg in live_legs(call)
        if leg.conference == name
    ]
    if not members:
        raise NotFound("no such conference on this switch", code="no_such_conference")
    await desk.api(commands.conference(name, "hup", "all"))
    return {"conference": room, "members": len(members)}
