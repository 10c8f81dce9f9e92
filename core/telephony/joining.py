"""The moves that legs make: parted from each other, joined, soothed with music, brought back.

Every order about several legs is made of these. What holds legs to each other meanwhile is in `bonds`. A move that
fails says so with `Conflict` or `CommandRefused` when a leg has ended, and then the order that made it brings whoever
is left to a place that is named in its docstring (`reunite`, `rest`).
"""

import trio

from core.errors import Conflict, PeerTimeout
from core.model.records import Call, Change, Leg
from core.telephony.bonds import (
    STAY,
    bind,
    is_parked,
    let_go,
    lives,
    pair_up,
    set_all,
)
from core.telephony.desk import Desk, wish
from freeswitch import commands
from freeswitch.errors import CommandRefused

HAPPENS_S = 3.0
"""How long an effect may take that needs no far side."""
MUSIC_S = 1.0
HOLD_MUSIC = "tone_stream://v=-24;%(400,200,523.25);%(600,4000,659.25);loops=-1"
"""Two soft notes in five seconds: needs no file. A node may name its own (``settings.hold_music``), and so does the
switch's global variable ``hold_music``."""
SILENCE = "send_silence_when_idle"
ON_CANCEL = "uuid_bridge_park_on_cancel"
"""Without it ``uuid_bridge`` hangs up the first leg when the second one ends on the way (switch_ivr_bridge.c)."""
LOOKS = 10
LOOK_S = 0.05


def live_legs(call: Call) -> list[Leg]:
    return [leg for leg in call.legs if leg.state != "ended"]


def leg_in(change: Change, uuid: str) -> Leg:
    """A leg as a change shows it; an empty one when the call does not have it."""
    for leg in change.call.legs:
        if leg.uuid == uuid:
            return leg
    return Leg(uuid=uuid, direction="")


def partner_of(call: Call, leg: Leg) -> Leg | None:
    """The live leg that ``leg`` hears now."""
    return next((other for other in live_legs(call) if other.uuid == leg.bridged_to), None)


def on_hold(leg: Leg) -> bool:
    """Whether we hold this leg. A telephone that holds the call itself is still bridged."""
    return bool(leg.held_since_us) and not leg.bridged_to


def waiting_for(call: Call, leg: Leg) -> Leg | None:
    """The live leg that is apart from ``leg`` because one of the two is on hold."""
    living = live_legs(call)
    uuids = {one.uuid for one in living}

    def waits(held: Leg, other: Leg) -> bool:
        # A held leg that was on its way to somebody else, who hung up, was bridged to them for a moment.
        lost = held.other_leg not in uuids and other.other_leg == held.uuid
        return on_hold(held) and (held.other_leg == other.uuid or lost)

    for other in living:
        apart = other is not leg and not other.bridged_to and not leg.bridged_to
        if apart and (waits(leg, other) or waits(other, leg)):
            return other
    return None


async def listens(desk: Desk, leg: Leg) -> bool:
    """Whether this leg listens to a call: nothing that it is told to play is heard before that is over."""
    if leg.bridged_to or leg.parked or leg.conference:
        return False
    running = await desk.api(commands.uuid_getvar(leg.uuid, "current_application"))
    return running.strip() == "eavesdrop"


def fresh(desk: Desk, *uuids: str) -> list[Leg]:
    """Legs as they are now. Raises `Conflict` when one of them has ended."""
    legs = [desk.leg(uuid) for uuid in uuids]
    living = [leg for leg in legs if leg is not None]
    if len(living) < len(legs):
        raise Conflict("the leg has ended meanwhile", code="leg_ended")
    return living


async def part(desk: Desk, leg: Leg, partner: Leg) -> None:
    """Part two legs that talk. Both are parked then, the switch sends them silence, and they are bound to each other:
    the end of one still is the end of the other."""
    pair = (leg.uuid, partner.uuid)
    await bind(desk, leg, partner)
    # Without packets some far ends take a call for dead, and a stereo recording would lose time.
    await set_all(desk, pair, **{STAY: "true", SILENCE: "-1"})

    def apart(change: Change) -> bool:
        legs = [leg_in(change, uuid) for uuid in pair]
        return all(one.parked and not one.bridged_to for one in legs)

    with desk.watches.on(*pair) as watch:
        await desk.api(commands.uuid_park(leg.uuid))
        await watch.until(apart, within_s=HAPPENS_S, what="the parting of the legs", alive=pair)


async def set_aside(desk: Desk, call: Call, leg: Leg) -> Leg | None:
    """Have ``leg`` parked and free; the partner it had, parked too, if any. They are bound to each other: `unbind` the
    one whose end shall be survived."""
    partner = partner_of(call, leg)
    if partner is not None:
        await part(desk, leg, partner)
        return partner
    partner = waiting_for(call, leg)
    if partner is not None:
        await bind(desk, leg, partner)
    return partner


async def settle(desk: Desk, uuid: str) -> None:
    """Have a leg parked whose partner has ended, whatever became of it thereby. Raises `Conflict` or `CommandRefused`
    when it has ended itself.

    Nearly always it parks by itself, and must not be told to then: a leg that is told to park when it is parked
    leaves the park and sleeps, deaf to all that is played. One that waited for its partner in the middle of a
    ``uuid_bridge`` is left there for ever by the switch (both seen on 1.10.12).
    """
    for _ in range(LOOKS):
        if await is_parked(desk, uuid):
            return
        await trio.sleep(LOOK_S)
    with desk.watches.on(uuid) as watch:
        await desk.api(commands.uuid_park(uuid))
        await watch.until(
            about(uuid, "call.parked"), within_s=HAPPENS_S, what="the parking of the leg", alive=(uuid,)
        )


async def rest(desk: Desk, uuid: str) -> None:
    """Have a leg that is left alone parked, with music; nothing when it has ended."""
    try:
        await settle(desk, uuid)
        for leg in fresh(desk, uuid):
            # Music that plays already would go on, and this one after it.
            await desk.api(commands.uuid_break(uuid))
            await soothe(desk, leg)
    except (Conflict, CommandRefused):
        return


async def reunite(desk: Desk, leg: Leg, partner: Leg) -> bool:
    """Make two legs what these records of them say: two who talk, or one on hold and one who waits.

    False when ``leg`` lives and has lost ``partner``: the caller decides what becomes of it. When ``leg`` has ended
    itself, the partner is let go. Raises like `join` for anything but the end of a leg.
    """
    try:
        await settle(desk, leg.uuid)
        if leg.bridged_to == partner.uuid:
            await join(desk, *fresh(desk, leg.uuid, partner.uuid))
        else:
            await bind(desk, leg, partner)
            for held in fresh(desk, *(one.uuid for one in (leg, partner) if on_hold(one))):
                await desk.api(commands.uuid_break(held.uuid))
                await soothe(desk, held)
    except (Conflict, CommandRefused):
        if not await lives(desk, leg.uuid):
            await let_go(desk, partner.uuid)
        elif not await lives(desk, partner.uuid):
            return False
        else:
            raise
    return True


async def join(desk: Desk, one: Leg, two: Leg, *, pair: bool = True) -> None:
    """Bridge two answered legs and wait until they talk. With ``pair``, the end of one is the end of the other from
    then on; without, either one stays, parked. One that ends before is a `Conflict`, and the other one stays then too.

    The switch takes the first leg that it is told for the caller and turns an outbound one's numbers around, so the
    inbound one goes first.
    """
    first, second = (two, one) if (one.direction, two.direction) == ("outbound", "inbound") else (one, two)
    both = (first.uuid, second.uuid)
    await set_all(desk, both, **{STAY: "true"})
    await set_all(desk, (first.uuid,), **{ON_CANCEL: "true"})
    for leg in (first, second):
        if not leg.bridged_to:
            # What still waits to be played would be played into the conversation.
            await desk.api(commands.uuid_break(leg.uuid))
    with desk.watches.on(*both) as watch:
        await desk.api(commands.uuid_bridge(*both))
        await watch.until(
            lambda change: leg_in(change, first.uuid).bridged_to == second.uuid,
            within_s=HAPPENS_S,
            what="the bridge",
            alive=both,
        )
    if pair:
        await pair_up(desk, first, second)


async def soothe(desk: Desk, leg: Leg) -> bool:
    """Play hold music to a parked leg until something else happens to it; False when it was not seen to begin."""
    music = await wish(desk, "hold_music", "hold_music", otherwise=HOLD_MUSIC)
    with desk.watches.on(leg.uuid) as watch:
        await desk.api(commands.uuid_broadcast(leg.uuid, music))
        try:
            await watch.until(
                about(leg.uuid, "call.playback_started"),
                within_s=MUSIC_S,
                what="the music",
                alive=(leg.uuid,),
            )
        except PeerTimeout:
            return False
    return True


def about(uuid: str, kind: str):  # type: ignore[no-untyped-def]  # a predicate, see Watch.until
    """Is this the change ``kind`` of this leg?"""
    return lambda change: change.type == kind and change.data.get("leg") == uuid
