"""The moves that legs make: parted from each other, joined, soothed with music, let go.

Every order about several legs is made of these. All of them leave legs parked where they fail, never hung up.

``park_after_bridge`` decides what the end of one leg means for the leg it talks to: ``true``, and the other one stays,
parked; ``false``, and it ends too. It is true while legs are moved, and false once two legs talk as a pair.

Two legs that are apart for a hold end together just the same: each carries an order to the switch to end the other
one (`bind`), which works without any controller.
"""

from collections.abc import Iterable

import trio

from core.errors import Conflict, PeerTimeout
from core.model.records import Call, Change, Leg
from core.telephony.desk import Desk, wish
from freeswitch import commands
from freeswitch.errors import CommandRefused

HAPPENS_S = 3.0
"""How long an effect may take that needs no far side."""
MUSIC_S = 1.0
HOLD_MUSIC = "tone_stream://v=-24;%(400,200,523.25);%(600,4000,659.25);loops=-1"
"""Two soft notes in five seconds: needs no file. A node may name its own (``settings.hold_music``), and so does the
switch's global variable ``hold_music``."""
STAY = "park_after_bridge"
PARTNER = "bridge_to"
SILENCE = "send_silence_when_idle"
SHOWN_S = 0.1
HOOK = "api_reporting_hook"
"""Run by the switch when a leg has ended (switch_core_state_machine.c). Not ``api_hangup_hook``: an operator's own
dialplan may use that one."""


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
    for other in live_legs(call):
        apart = other is not leg and not other.bridged_to and not leg.bridged_to
        if apart and any(
            on_hold(one) and one.other_leg == two.uuid for one, two in ((leg, other), (other, leg))
        ):
            return other
    return None


def fresh(desk: Desk, *uuids: str) -> list[Leg]:
    """Legs as they are now. Raises `Conflict` when one of them has ended."""
    legs = [desk.leg(uuid) for uuid in uuids]
    living = [leg for leg in legs if leg is not None]
    if len(living) < len(legs):
        raise Conflict("the leg has ended meanwhile", code="leg_ended")
    return living


async def set_all(desk: Desk, uuids: Iterable[str], **variables: str) -> None:
    """Set channel variables; an empty value removes one."""
    for uuid in uuids:
        for name, value in variables.items():
            await desk.api(commands.uuid_setvar(uuid, name, value))


async def part(desk: Desk, leg: Leg, partner: Leg) -> None:
    """Part two legs that talk. Both are parked then, and the switch sends them silence."""
    pair = (leg.uuid, partner.uuid)
    # Without packets some far ends take a call for dead, and a stereo recording would lose time.
    await set_all(desk, pair, **{STAY: "true", SILENCE: "-1"})
    parked: set[str] = set()

    def apart(change: Change) -> bool:
        if change.type == "call.parked":
            parked.add(str(change.data.get("leg")))
        return parked.issuperset(pair) and not any(leg_in(change, uuid).bridged_to for uuid in pair)

    with desk.watches.on(*pair) as watch:
        await desk.api(commands.uuid_park(leg.uuid))
        await watch.until(apart, within_s=HAPPENS_S, what="the parting of the legs", alive=pair)


async def set_aside(desk: Desk, call: Call, leg: Leg) -> Leg | None:
    """Have ``leg`` parked and free; the partner it had, parked too, if any. Both survive each other from here on."""
    partner = partner_of(call, leg)
    if partner is not None:
        await part(desk, leg, partner)
        return partner
    partner = waiting_for(call, leg)
    if partner is not None:
        await unbind(desk, leg, partner)
    return partner


async def park(desk: Desk, leg: Leg) -> None:
    """Park one leg, whatever it is doing; nothing for one that is parked. Its partner, if any, is not looked after."""
    if leg.parked and not leg.bridged_to:
        return
    with desk.watches.on(leg.uuid) as watch:
        await desk.api(commands.uuid_park(leg.uuid))
        await watch.until(
            lambda change: change.type == "call.parked" and change.data.get("leg") == leg.uuid,
            within_s=HAPPENS_S,
            what="the parking of the leg",
            alive=(leg.uuid,),
        )


async def join(desk: Desk, one: Leg, two: Leg, *, pair: bool = True) -> None:
    """Bridge two answered legs and wait until they talk. With ``pair``, the end of one is the end of the other from
    then on; without, either one stays, parked.

    The switch takes the first leg that it is told for the caller and turns an outbound one's numbers around, so the
    inbound one goes first.
    """
    first, second = (two, one) if (one.direction, two.direction) == ("outbound", "inbound") else (one, two)
    both = (first.uuid, second.uuid)
    await set_all(desk, both, **{STAY: "true"})
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


async def pair_up(desk: Desk, one: Leg, two: Leg) -> None:
    """From here on the end of one of two legs that talk is the end of the other, as in any call."""
    try:
        # Bound while it changes, so that at no moment the end of one would leave the other one behind.
        await bind(desk, one, two)
        await set_all(desk, (one.uuid, two.uuid), **{STAY: "false"})
        await unbind(desk, one, two)
        together = await _together(desk, one, two)
        if not together:
            # FreeSWITCH tells of a bridge a moment before the legs show it.
            await trio.sleep(SHOWN_S)
            together = await _together(desk, one, two)
    except CommandRefused:
        together = False
    if not together:
        # One of them was on its way out before it was bound, and the other one may have been parked for it.
        for leg in (one, two):
            await let_go(desk, leg.uuid, "NORMAL_CLEARING")


async def _together(desk: Desk, one: Leg, two: Leg) -> bool:
    """Whether the switch has these legs bridged to each other now. A leg's partner is forgotten first, and then looked
    whether to park it, so a leg that still has one after `STAY` was set to false will not be parked."""
    for leg, other in ((one, two), (two, one)):
        if (await desk.api(commands.uuid_getvar(leg.uuid, PARTNER))).strip() != other.uuid:
            return False
    return True


async def bind(desk: Desk, one: Leg, two: Leg) -> None:
    """Have the switch end either of two legs when the other one ends."""
    for leg, other in ((one, two), (two, one)):
        await set_all(desk, (leg.uuid,), **{HOOK: commands.uuid_kill(other.uuid)})


async def unbind(desk: Desk, *legs: Leg) -> None:
    """Undo `bind`."""
    await set_all(desk, (leg.uuid for leg in legs), **{HOOK: ""})


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


async def let_go(desk: Desk, uuid: str, cause: str) -> None:
    """Hang a leg up; nothing when it is gone already."""
    try:
        await desk.api(commands.uuid_kill(uuid, cause))
    except CommandRefused:
        return


def about(uuid: str, kind: str):  # type: ignore[no-untyped-def]  # a predicate, see Watch.until
    """Is this the change ``kind`` of this leg?"""
    return lambda change: change.type == kind and change.data.get("leg") == uuid
