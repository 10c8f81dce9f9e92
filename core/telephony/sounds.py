"""Orders about what a leg hears and what is kept of it: play, stop playing, recordings."""

from core.clock import now_us
from core.errors import Conflict, NotFound, PeerTimeout
from core.ids import new_id
from core.model.orders import Order
from core.model.records import Call, Change, Leg, Recording
from core.telephony import values
from core.telephony.actions import Result, answered_leg, the_leg
from core.telephony.bonds import set_all
from core.telephony.desk import Desk, wish
from core.telephony.joining import HAPPENS_S, HOLD_MUSIC, about, listens, live_legs, on_hold
from core.telephony.watch import OutOfReach, Watch
from freeswitch import commands

RECORD_START_S = 4.0
"""RECORD_START comes with the first frame of sound, not with the command."""
STOP_S = 0.5
LOOKS = 5
"""How often it is looked, while a sound is awaited, whether the switch has given it up."""
ANSWER = "current_application_response"
"""Where an application leaves what it has to say (mod_dptools.c, playback)."""
RECORDING = {
    "RECORD_STEREO": "true",
    # The switch holds back 25 frames of sound unless told otherwise (switch_ivr_async.c): the last half second of
    # every recording would be lost, and a pause would begin and end half a second early.
    "RECORD_PRE_BUFFER_FRAMES": "2",
    # Written by the leg's own thread. With a thread of its own, a recording that is ordered in the moment in which its
    # leg hangs up keeps the dead session for ever (seen on 1.10.12: 19 of 60, and none of 60 without).
    "RECORD_USE_THREAD": "false",
}
"""One side of the talk in each channel: left what the leg says, right what it hears."""
VERBS = {"pause": "mask", "resume": "unmask", "stop": "stop"}
"""A paused recording is masked: the file goes on with silence, so that times in it stay true. The switch's own
``pause`` would cut them out."""
STATES = {"pause": "paused", "resume": "running", "stop": "stopped"}


async def recordings_folder(desk: Desk, tenant_id: str) -> str:
    """Where a tenant's recordings are on the switch."""
    folder = await wish(
        desk,
        "recordings_dir",
        "irisx_recordings_dir",
        "recordings_dir",
        otherwise="/var/lib/irisx/recordings",
    )
    return f"{folder.rstrip('/')}/{tenant_id}"


async def play(desk: Desk, call: Call, order: Order) -> Result:
    """Play a sound to a leg, instead of one that plays now; done when it has begun.

    Its partner hears the hold music meanwhile; a leg on hold hears its own again afterwards. ``uuid_broadcast`` says
    OK to a missing file and makes both legs deaf for half a second, so files are asked for first.
    """
    leg = the_leg(call, order)
    if leg.direction == "outbound" and leg.state not in ("answered", "early"):
        raise Conflict("nobody is there yet to hear it", code="not_answered")
    folders = [
        await recordings_folder(desk, call.tenant_id),
        await wish(desk, "sounds_dir", "sounds_dir", otherwise=""),
    ]
    prompt = order.args.get("prompt")
    # (a prompt of the tenant's own, which `irisx node` has put beside its recordings)
    asked = order.args.get("path") if prompt is None else f"{folders[0]}/prompts/{prompt}.wav"
    path = values.sound(asked, folders)
    if path.startswith("/") and (await desk.api(f"file_exists {path}")).strip() != "true":
        raise Conflict("the switch has no such file", code="no_such_file")
    if await listens(desk, leg):
        raise Conflict("the leg does not take sounds now", code="not_playable")
    # What an earlier application of this leg had to say is not about this one.
    await set_all(desk, (leg.uuid,), **{ANSWER: ""})
    with desk.watches.on(leg.uuid) as watch:
        await desk.api(commands.uuid_break(leg.uuid))
        await desk.api(commands.uuid_broadcast(leg.uuid, path))
        await _music_again(desk, leg)
        await _begun(desk, watch, leg.uuid, path)
    return {"leg": leg.uuid}


async def _begun(desk: Desk, watch: Watch, leg: str, path: str) -> None:
    """Wait until this sound plays. No event says that it cannot, so the leg is asked now and then."""

    def playing(change: Change) -> bool:
        of_this_leg = change.type == "call.playback_started" and change.data.get("leg") == leg
        return of_this_leg and change.data.get("path") in (path, "")  # some names are not shown

    for _ in range(LOOKS):
        try:
            await watch.until(playing, within_s=HAPPENS_S / LOOKS, what="the sound", alive=(leg,))
            return
        except OutOfReach:
            raise
        except PeerTimeout:
            said = (await desk.api(commands.uuid_getvar(leg, ANSWER))).strip()
            if said in ("FILE NOT FOUND", "PLAYBACK ERROR"):
                raise Conflict(f"the switch cannot play this: {said.lower()}", code="not_playable") from None
    # A leg that runs something else takes no sounds. Nor shall it later, when nobody expects it.
    await desk.api(commands.uuid_break(leg))
    raise Conflict("the leg does not take sounds now", code="not_playable")


async def play_stop(desk: Desk, call: Call, order: Order) -> Result:
    """Stop what plays to a leg; ``stopped`` says whether something was. A leg on hold hears its music again."""
    leg = the_leg(call, order)
    with desk.watches.on(leg.uuid) as watch:
        await desk.api(commands.uuid_break(leg.uuid))
        await _music_again(desk, leg)
        try:
            await watch.until(
                about(leg.uuid, "call.playback_stopped"), within_s=STOP_S, what="the end of the sound"
            )
        except PeerTimeout:
            return {"leg": leg.uuid, "stopped": False}
    return {"leg": leg.uuid, "stopped": True}


async def _music_again(desk: Desk, leg: Leg) -> None:
    """The music of a leg that we hold goes on after whatever plays now."""
    if on_hold(leg):
        music = await wish(desk, "hold_music", "hold_music", otherwise=HOLD_MUSIC)
        await desk.api(commands.uuid_broadcast(leg.uuid, music))


async def record_start(desk: Desk, call: Call, order: Order) -> Result:
    """Record a leg, both directions in stereo unless the order says otherwise. The file is named by the recording's id,
    which is returned.

    An order that brings the id (``recording``) may be given again: one that runs, or has run, is answered for.
    """
    given = order.args.get("recording")
    folder = await recordings_folder(desk, call.tenant_id)
    recording = new_id("rec", at_us=now_us()) if given is None else values.recording(given)
    path = f"{folder}/{recording}.wav"
    for one in call.legs:
        if any(known.path == path for known in one.recordings):
            return {"leg": one.uuid, "recording": recording, "path": path}
    leg = answered_leg(call, order, "recorded")
    how = RECORDING if order.args.get("stereo") is not False else {**RECORDING, "RECORD_STEREO": "false"}
    with desk.watches.on(leg.uuid) as watch:
        await desk.api(commands.uuid_record(leg.uuid, "start", path, variables=how))
        await watch.until(
            lambda change: change.type == "call.recording_started" and change.data.get("path") == path,
            within_s=RECORD_START_S,
            what="the first sound of the recording",
            alive=(leg.uuid,),
        )
    return {"leg": leg.uuid, "recording": recording, "path": path}


async def record_change(desk: Desk, call: Call, order: Order) -> Result:
    """Pause, resume or stop the recording that the order names by id. A pause is silence in the file."""
    leg, recording = _running(call, order.args.get("recording"))
    name = str(order.args.get("recording"))
    action = order.action.removeprefix("call.record_")
    with desk.watches.on(leg.uuid) as watch:
        await desk.api(commands.uuid_record(leg.uuid, VERBS[action], recording.path))
        if action == "stop":
            await watch.until(
                lambda change: (
                    change.type == "call.recording_stopped" and change.data.get("path") == recording.path
                ),
                within_s=HAPPENS_S,
                what="the end of the recording",
            )
        else:
            # The switch sends no event for it.
            kind = "call.recording_paused" if action == "pause" else "call.recording_resumed"
            desk.tell(kind, call.id, leg=leg.uuid, recording=name, path=recording.path)
    return {"leg": leg.uuid, "recording": name, "state": STATES[action]}


def _running(call: Call, wanted: object) -> tuple[Leg, Recording]:
    """The recording of this id that still runs, and its leg."""
    for leg in live_legs(call):
        for recording in leg.recordings:
            if not recording.stopped_us and recording.path.rpartition("/")[2] == f"{wanted}.wav":
                return leg, recording
    raise NotFound("the call has no running recording of this id", code="no_such_recording")
