"""Orders about one live call: answer, hang up, hold, mute, keys, sounds, recordings.

Every action sends its command and then waits for what proves it (see `core.telephony.watch`). What it returns is
what happened. Legs are named by the order's ``leg`` argument or chosen by the rule written at each action.
"""

from core.clock import now_us
from core.errors import Conflict, NotFound
from core.ids import new_id
from core.model.orders import Order
from core.model.records import Call, Change, Leg
from core.telephony import values
from core.telephony.desk import Desk
from freeswitch import commands
from freeswitch.errors import CommandRefused

HAPPENS_S = 3.0
"""How long an effect may take that needs no far side."""
RECORD_START_S = 4.0
"""RECORD_START comes with the first frame of sound, not with the command."""
HOLD_MUSIC = "tone_stream://%(120,4880,440);loops=-1"
"""A soft beep every five seconds: needs no file. A node may name its own (``settings.hold_music``)."""

Result = dict[str, object]


def live_legs(call: Call) -> list[Leg]:
    return [leg for leg in call.legs if leg.state != "ended"]


def the_leg(call: Call, order: Order, *, name: str = "leg") -> Leg:
    """The live leg that the order names, or the call's first live one."""
    legs = live_legs(call)
    if not legs:
        raise Conflict("the call has ended", code="call_ended")
    wanted = order.args.get(name)
    if wanted is None:
        return legs[0]
    for leg in legs:
        if leg.uuid == wanted:
            return leg
    raise NotFound(f"the call has no live leg {wanted}", code="no_such_leg")


def partner_of(call: Call, leg: Leg) -> Leg | None:
    """The live leg that ``leg`` hears now."""
    for other in live_legs(call):
        if other.uuid == leg.bridged_to:
            return other
    return None


def about(leg: Leg, kind: str):  # type: ignore[no-untyped-def]  # a predicate, see Watch.until
    """Is this the change ``kind`` of this leg?"""
    return lambda change: change.type == kind and change.data.get("leg") == leg.uuid


async def answer(desk: Desk, call: Call, order: Order) -> Result:
    """Answer the inbound leg that still rings."""
    leg = the_leg(call, order)
    if leg.answered_us:
        raise Conflict("the leg is answered already", code="already_answered")
    if leg.direction != "inbound":
        raise Conflict("only the far side can answer an outbound leg", code="outbound_leg")
    with desk.watches.on(leg.uuid) as watch:
        await desk.api(commands.uuid_answer(leg.uuid))
        await watch.until(
            lambda change: _leg_in(change, leg.uuid).answered_us > 0, within_s=HAPPENS_S, what="the answer"
        )
    return {"leg": leg.uuid}


async def hangup(desk: Desk, call: Call, order: Order) -> Result:
    """End one leg when the order names one, else the whole call."""
    cause = values.cause(order.args.get("cause", "NORMAL_CLEARING"))
    legs = [the_leg(call, order)] if order.args.get("leg") else live_legs(call)
    ends = {leg.uuid for leg in legs}
    with desk.watches.on(call.id, *ends) as watch:
        for leg in legs:
            try:
                await desk.api(commands.uuid_kill(leg.uuid, cause))
            except CommandRefused:
                # It ended by itself or with its partner: the change will tell.
                continue
        whole = not order.args.get("leg")

        def ended(change: Change) -> bool:
            if whole:
                return change.type == "call.ended"
            return all(leg.state == "ended" for leg in change.call.legs if leg.uuid in ends)

        await watch.until(ended, within_s=HAPPENS_S, what="the end")
    return {"cause": cause, "legs": sorted(ends)}


async def hold(desk: Desk, call: Call, order: Order) -> Result:
    """Put one leg on hold: it hears music, its partner waits in silence. By default the call's first leg.

    Never ``uuid_hold``: that is a re-INVITE, which ends a call whose far side is a browser behind a dead
    controller. Parking both sides needs nobody's consent.
    """
    leg = the_leg(call, order)
    if leg.held_since_us:
        raise Conflict("the leg is on hold already", code="already_held")
    if not leg.answered_us:
        raise Conflict("only an answered leg can be held", code="not_answered")
    await put_on_hold(desk, call, leg)
    return {"leg": leg.uuid}


async def put_on_hold(desk: Desk, call: Call, leg: Leg) -> None:
    """Part ``leg`` from its partner (both parked), play music to it, and note that it is held."""
    partner = partner_of(call, leg)
    if partner is not None:
        for side in (leg, partner):
            await desk.api(commands.uuid_setvar(side.uuid, "park_after_bridge", "true"))
        with desk.watches.on(leg.uuid, partner.uuid) as watch:
            await desk.api(commands.uuid_park(leg.uuid))
            await watch.until(
                lambda change: not _leg_in(change, leg.uuid).bridged_to,
                within_s=HAPPENS_S,
                what="the parting of the legs",
            )
    music = values.sound(desk.settings.get("hold_music", HOLD_MUSIC))
    await desk.api(commands.uuid_broadcast(leg.uuid, music))
    desk.note(leg.uuid, held=True)


async def unhold(desk: Desk, call: Call, order: Order) -> Result:
    """Take a leg off hold, back to the partner that it had."""
    leg = next((each for each in live_legs(call) if each.held_since_us), None)
    if order.args.get("leg"):
        leg = the_leg(call, order)
    if leg is None or not leg.held_since_us:
        raise Conflict("nothing is on hold", code="not_held")
    await take_off_hold(desk, call, leg)
    return {"leg": leg.uuid}


async def take_off_hold(desk: Desk, call: Call, leg: Leg, partner: Leg | None = None) -> None:
    """Stop the music; join ``leg`` with ``partner`` (the one it had, unless named) when that one lives."""
    if partner is None:
        partner = next((other for other in live_legs(call) if other.uuid == leg.other_leg), None)
    if partner is None:
        await desk.api(commands.uuid_break(leg.uuid))
    else:
        await join(desk, leg, partner)
    desk.note(leg.uuid, held=False)


async def join(desk: Desk, leg: Leg, partner: Leg) -> None:
    """Bridge two legs and wait until they are."""
    with desk.watches.on(leg.uuid, partner.uuid) as watch:
        await desk.api(commands.uuid_bridge(leg.uuid, partner.uuid))
        await watch.until(
            lambda change: _leg_in(change, leg.uuid).bridged_to == partner.uuid,
            within_s=HAPPENS_S,
            what="the bridge",
        )
    # From here on the end of one side is the end of the other, as in any call.
    for side in (leg, partner):
        await desk.api(commands.uuid_setvar(side.uuid, "park_after_bridge", "false"))


async def mute(desk: Desk, call: Call, order: Order) -> Result:
    """Nobody hears this leg any more. FreeSWITCH tells nobody, so the controller notes it."""
    leg = the_leg(call, order)
    await desk.api(commands.uuid_audio(leg.uuid, mute=True))
    desk.note(leg.uuid, muted=True)
    return {"leg": leg.uuid}


async def unmute(desk: Desk, call: Call, order: Order) -> Result:
    leg = the_leg(call, order)
    await desk.api(commands.uuid_audio(leg.uuid, mute=False))
    desk.note(leg.uuid, muted=False)
    return {"leg": leg.uuid}


async def dtmf(desk: Desk, call: Call, order: Order) -> Result:
    """Send keys to the far side of a leg."""
    leg = the_leg(call, order)
    keys = values.digits(order.args.get("digits"))
    await desk.api(commands.uuid_send_dtmf(leg.uuid, keys))
    return {"leg": leg.uuid, "sent": len(keys)}


async def play(desk: Desk, call: Call, order: Order) -> Result:
    """Play a sound to a leg; done when it has begun. ``uuid_broadcast`` says OK to a missing file, so we wait."""
    leg = the_leg(call, order)
    path = values.sound(order.args.get("path"))
    with desk.watches.on(leg.uuid) as watch:
        await desk.api(commands.uuid_broadcast(leg.uuid, path))
        await watch.until(about(leg, "call.playback_started"), within_s=HAPPENS_S, what="the sound")
    return {"leg": leg.uuid}


async def play_stop(desk: Desk, call: Call, order: Order) -> Result:
    leg = the_leg(call, order)
    await desk.api(commands.uuid_break(leg.uuid))
    return {"leg": leg.uuid}


async def record_start(desk: Desk, call: Call, order: Order) -> Result:
    """Record a leg (both directions, in stereo). The file is named by the recording's id, which is returned."""
    leg = the_leg(call, order)
    recording = new_id("rec", at_us=now_us())
    folder = str(desk.settings.get("recordings_dir", "recordings")).rstrip("/")
    path = values.sound(f"{folder}/{call.tenant_id}/{recording}.wav")
    await desk.api(commands.uuid_setvar(leg.uuid, "RECORD_STEREO", "true"))
    with desk.watches.on(leg.uuid) as watch:
        await desk.api(commands.uuid_record(leg.uuid, "start", path))
        await watch.until(
            lambda change: change.type == "call.recording_started" and change.data.get("path") == path,
            within_s=RECORD_START_S,
            what="the first sound of the recording",
        )
    return {"leg": leg.uuid, "recording": recording, "path": path}


async def record_change(desk: Desk, call: Call, order: Order) -> Result:
    """Pause, resume or stop the recording that the order names by id."""
    wanted = str(order.args.get("recording", ""))
    for leg in live_legs(call):
        for recording in leg.recordings:
            if recording.stopped_us == 0 and wanted and wanted in recording.path:
                break
        else:
            continue
        break
    else:
        raise NotFound(f"the call has no running recording {wanted}", code="no_such_recording")
    verb = order.action.removeprefix("call.record_")
    with desk.watches.on(leg.uuid) as watch:
        await desk.api(commands.uuid_record(leg.uuid, verb, recording.path))
        if verb == "stop":
            await watch.until(
                lambda change: (
                    change.type == "call.recording_stopped" and change.data.get("path") == recording.path
                ),
                within_s=HAPPENS_S,
                what="the end of the recording",
            )
    return {
        "leg": leg.uuid,
        "recording": wanted,
        "state": {"pause": "paused", "resume": "running"}.get(verb, "stopped"),
    }


def _leg_in(change: Change, uuid: str) -> Leg:
    for leg in change.call.legs:
        if leg.uuid == uuid:
            return leg
    return Leg(uuid=uuid, direction="")
