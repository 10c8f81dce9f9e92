"""Acting on live calls. Each of these is an order to the controller that owns the call's switch: it answers with
what happened, or says that nothing did (404, 409, 503) or that nobody knows (504)."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from api.http import orders
from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.calls import CALL, CallChanged, CallerName, From, read_call, read_values
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.problem import bad_value
from api.http.shapes import Body, PhoneOrTarget
from core.model.records import Call

call_actions = Group("calls")

RECORDING = Path("recording_id", "The recording's id: `rec_…`.")
Uuid = Annotated[
    str,
    Meta(pattern=whole(r"[0-9A-Za-z_.-]{1,128}"), description="A leg of the call, by its channel's UUID."),
]
Digits = Annotated[
    str,
    Meta(
        pattern=whole(r"[0-9A-Da-d*#wW]{1,64}"),
        description="0-9 A-D * #, `w` waits half a second, `W` a second.",
    ),
]
SoundPath = Annotated[
    str,
    Meta(
        pattern=whole(r"(?!.*\.\.)[A-Za-z0-9_./:@+%(),;=-]{1,400}"),
        description="A file that the switch can read, or a stream it knows.",
    ),
]
Tone = Annotated[
    str,
    Meta(
        pattern=whole(r"[A-Za-z0-9%(),.;=+-]{1,200}"),
        description="Tones in FreeSWITCH's notation: `%(300,100,440)` is 300 ms of 440 Hz, then 100 ms of silence.",
    ),
]
Cause = Annotated[
    str, Meta(pattern=whole(r"[A-Z0-9_]{2,48}"), description="A hangup cause: `NORMAL_CLEARING`.")
]

ACTS = [404, 409, 502, 503, 504]


class OnLeg(Body):
    """Which leg; the call's first live one when it is not said."""

    leg: Uuid | None = None


class Hangup(Body):
    leg: Uuid | None = None
    """Only this leg; without it the whole call."""
    cause: Cause | None = None


class Keys(Body):
    digits: Digits
    leg: Uuid | None = None


class Play(Body):
    """A sound (`path`) or tones (`tone`): one of the two."""

    path: SoundPath | None = None
    tone: Tone | None = None
    leg: Uuid | None = None


class RecordingChange(Body):
    action: Literal["pause", "resume", "stop"]


class Transfer(Body):
    to: PhoneOrTarget
    mode: Literal["blind", "attended"] = "blind"
    leg: Uuid | None = None
    """The leg that goes (blind) or is held (attended)."""
    from_: From | None = msgspec.field(name="from", default=None)
    caller_name: CallerName | None = None
    timeout_s: Annotated[int, Meta(ge=1, le=120)] | None = None


class Bridge(Body):
    """Join a leg of this call with a leg of another one: the two calls become one."""

    call_id: Annotated[str, Meta(pattern=whole(r"call_[0-9a-z]{1,40}"))]
    leg: Uuid | None = None
    other_leg: Uuid | None = None


class Monitor(Body):
    """Call a supervisor and let them hear a leg (`listen`), speak to it alone (`whisper`) or to all (`barge`)."""

    to: PhoneOrTarget
    mode: Literal["listen", "whisper", "barge"] = "listen"
    leg: Uuid | None = None
    timeout_s: Annotated[int, Meta(ge=1, le=120)] | None = None


class MonitorStop(Body):
    monitor_leg: Uuid


class CallRecording(Struct):
    """One file that a leg's sound was written to."""

    id: str
    leg: str
    path: str
    state: Literal["running", "stopped"]
    started_us: int
    stopped_us: int
    samples: int
    size: int
    cause: str


class CallRecordings(Struct):
    data: list[CallRecording]


async def act(ask: Ask[Any], action: str, args: orders.Args) -> Answer:
    """Give an order about the call in the path and answer with the call after it."""
    call_id = ask.path["call_id"]
    node = await orders.node_of_call(ask, call_id)
    outcome = await orders.carry_out(ask, action, node=node, call_id=call_id, args=args)
    return Answer(200, orders.encode_changed(await orders.call_after(ask, call_id, outcome), outcome))


def _simple(path: str, action: str, summary: str, text: str) -> None:
    async def handler(ask: Ask[OnLeg | None]) -> Answer:
        return await act(ask, action, read_values(ask.body) if ask.body is not None else {})

    handler.__name__ = f"{action.removeprefix('call.')}_call"
    handler.__doc__ = text
    call_actions.operation(
        "POST",
        f"/calls/{{call_id}}/{path}",
        permission="calls:control",
        summary=summary,
        body=OnLeg,
        body_optional=True,
        answers=CallChanged,
        paths=[CALL],
        problems=ACTS,
        bucket="calls",
    )(handler)


_simple("answer", "call.answer", "Answer a call", "Answer the inbound leg that still rings.")
_simple(
    "hold",
    "call.hold",
    "Hold",
    "The leg hears music, its partner waits. 409 when it is on hold or not answered.",
)
_simple("unhold", "call.unhold", "End the hold", "Back to the partner that the leg had.")
_simple("mute", "call.mute", "Mute", "Nobody hears this leg until it is unmuted.")
_simple("unmute", "call.unmute", "End the mute", "The leg is heard again.")


@call_actions.operation(
    "POST",
    "/calls/{call_id}/hangup",
    permission="calls:control",
    summary="Hang up",
    body=Hangup,
    body_optional=True,
    answers=CallChanged,
    paths=[CALL],
    problems=ACTS,
    bucket="calls",
)
async def hangup_call(ask: Ask[Hangup | None]) -> Answer:
    """End the call, or one leg of it. Answers when the end was seen."""
    return await act(ask, "call.hangup", read_values(ask.body) if ask.body is not None else {})


@call_actions.operation(
    "DELETE",
    "/calls/{call_id}",
    permission="calls:control",
    summary="Hang up the whole call",
    answers=CallChanged,
    paths=[CALL],
    problems=ACTS,
    bucket="calls",
)
async def delete_call(ask: Ask[None]) -> Answer:
    """The same as `hangup` without a body."""
    return await act(ask, "call.hangup", {})


@call_actions.operation(
    "POST",
    "/calls/{call_id}/dtmf",
    permission="calls:control",
    summary="Press keys",
    body=Keys,
    answers=CallChanged,
    paths=[CALL],
    problems=ACTS,
    bucket="calls",
)
async def dtmf_call(ask: Ask[Keys]) -> Answer:
    """Send DTMF to the far side of a leg. The keys are written nowhere; how many there were is."""
    return await act(ask, "call.dtmf", read_values(ask.body))


@call_actions.operation(
    "POST",
    "/calls/{call_id}/play",
    permission="calls:control",
    summary="Play a sound",
    body=Play,
    answers=CallChanged,
    paths=[CALL],
    problems=ACTS,
    bucket="calls",
)
async def play_call(ask: Ask[Play]) -> Answer:
    """Play a file or tones to a leg. Answers when the sound has begun."""
    if (ask.body.path is None) == (ask.body.tone is None):
        raise bad_value("/path", "give either path or tone", code="missing")
    path = ask.body.path if ask.body.path is not None else f"tone_stream://{ask.body.tone}"
    return await act(ask, "call.play", {"path": path, **({"leg": ask.body.leg} if ask.body.leg else {})})


@call_actions.operation(
    "DELETE",
    "/calls/{call_id}/play",
    permission="calls:control",
    summary="Stop playing",
    body=OnLeg,
    body_optional=True,
    answers=CallChanged,
    paths=[CALL],
    problems=ACTS,
    bucket="calls",
)
async def play_stop_call(ask: Ask[OnLeg | None]) -> Answer:
    """Stop the sound that plays to a leg."""
    return await act(ask, "call.play_stop", read_values(ask.body) if ask.body is not None else {})


@call_actions.operation(
    "GET",
    "/calls/{call_id}/recordings",
    permission="calls:read",
    summary="The recordings of a call",
    answers=CallRecordings,
    paths=[CALL],
    problems=[404],
)
async def list_call_recordings(ask: Ask[None]) -> Answer:
    """All of them, oldest first, with the ids that pause, resume and stop take."""
    call = await read_call(ask, ask.path["call_id"])
    return json_answer(CallRecordings(recordings_of(call)))


@call_actions.operation(
    "POST",
    "/calls/{call_id}/recordings",
    permission="calls:control",
    summary="Start recording",
    body=OnLeg,
    body_optional=True,
    answers=CallChanged,
    status=201,
    paths=[CALL],
    problems=ACTS,
    bucket="calls",
)
async def record_start_call(ask: Ask[OnLeg | None]) -> Answer:
    """Record a leg, both directions in stereo. `result.recording` is the recording's id."""
    answer = await act(ask, "call.record_start", read_values(ask.body) if ask.body is not None else {})
    answer.status = 201
    return answer


@call_actions.operation(
    "PATCH",
    "/calls/{call_id}/recordings/{recording_id}",
    permission="calls:control",
    summary="Pause, resume or stop a recording",
    body=RecordingChange,
    answers=CallChanged,
    paths=[CALL, RECORDING],
    problems=ACTS,
    bucket="calls",
)
async def record_change_call(ask: Ask[RecordingChange]) -> Answer:
    """While paused the file holds silence, so times in it stay true."""
    return await act(ask, f"call.record_{ask.body.action}", {"recording": ask.path["recording_id"]})


@call_actions.operation(
    "POST",
    "/calls/{call_id}/transfer",
    permission="calls:control",
    summary="Transfer",
    body=Transfer,
    answers=CallChanged,
    paths=[CALL],
    problems=ACTS,
    bucket="calls",
)
async def transfer_call(ask: Ask[Transfer]) -> Answer:
    """Blind: the leg goes on to `to` and its partner leaves. Attended: the leg is held while its partner talks to
    `to` first; `transfer/complete` joins them, `transfer/cancel` takes everything back."""
    args = read_values(ask.body)
    mode = args.pop("mode")
    return await act(ask, f"call.transfer_{mode}", args)


@call_actions.operation(
    "POST",
    "/calls/{call_id}/transfer/complete",
    permission="calls:control",
    summary="Complete an attended transfer",
    answers=CallChanged,
    paths=[CALL],
    problems=ACTS,
    bucket="calls",
)
async def transfer_complete_call(ask: Ask[None]) -> Answer:
    """Join the held leg with the third party; the one who consulted leaves. 409 before the third party answers."""
    return await act(ask, "call.transfer_complete", {})


@call_actions.operation(
    "POST",
    "/calls/{call_id}/transfer/cancel",
    permission="calls:control",
    summary="Cancel an attended transfer",
    answers=CallChanged,
    paths=[CALL],
    problems=ACTS,
    bucket="calls",
)
async def transfer_cancel_call(ask: Ask[None]) -> Answer:
    """End the third leg; the held leg and the one who consulted talk again."""
    return await act(ask, "call.transfer_cancel", {})


@call_actions.operation(
    "POST",
    "/calls/{call_id}/bridge",
    permission="calls:control",
    summary="Join with another call",
    body=Bridge,
    answers=CallChanged,
    paths=[CALL],
    problems=ACTS,
    bucket="calls",
)
async def bridge_call(ask: Ask[Bridge]) -> Answer:
    """Join a leg of this call with a leg of another one on the same switch."""
    return await act(ask, "call.bridge", read_values(ask.body))


@call_actions.operation(
    "POST",
    "/calls/{call_id}/monitor",
    permission="calls:control",
    summary="Listen in",
    body=Monitor,
    answers=CallChanged,
    paths=[CALL],
    problems=ACTS,
    bucket="calls",
)
async def monitor_call(ask: Ask[Monitor]) -> Answer:
    """Call a supervisor and let them hear a leg. `result.monitor_leg` names what `DELETE` ends."""
    return await act(ask, "call.monitor", read_values(ask.body))


@call_actions.operation(
    "DELETE",
    "/calls/{call_id}/monitor",
    permission="calls:control",
    summary="Stop listening in",
    body=MonitorStop,
    answers=CallChanged,
    paths=[CALL],
    problems=ACTS,
    bucket="calls",
)
async def monitor_stop_call(ask: Ask[MonitorStop]) -> Answer:
    """End the supervisor's leg."""
    return await act(ask, "call.monitor_stop", read_values(ask.body))


def recordings_of(call: Call) -> list[CallRecording]:
    """The recordings of all legs. The id is in the file's name, where the controller put it."""
    found = [
        CallRecording(
            id=recording_id(recording.path),
            leg=leg.uuid,
            path=recording.path,
            state="stopped" if recording.stopped_us else "running",
            started_us=recording.started_us,
            stopped_us=recording.stopped_us,
            samples=recording.samples,
            size=recording.size,
            cause=recording.cause,
        )
        for leg in call.legs
        for recording in leg.recordings
    ]
    return sorted(found, key=lambda one: one.started_us)


def recording_id(path: str) -> str:
    """``rec_…`` for a file that an order began; empty for one that the switch began by itself."""
    name = path.rpartition("/")[2].partition(".")[0]
    return name if name.startswith("rec_") else ""
