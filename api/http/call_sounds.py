"""Sounds of live calls: playing to a leg, and recording it."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.call_actions import ACTS, OnLeg, Uuid, act
from api.http.calls import CALL, CallChanged, read_call, read_values
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.problem import bad_value
from api.http.shapes import Body
from core.errors import Conflict
from core.model.records import Call
from core.storage import recordings

call_sounds = Group("calls")

RECORDING = Path("recording_id", "The recording's id: `rec_…`.")
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


class Play(Body):
    """A sound (`path`) or tones (`tone`): one of the two."""

    path: SoundPath | None = None
    tone: Tone | None = None
    leg: Uuid | None = None


class RecordingChange(Body):
    action: Literal["pause", "resume", "stop"]


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


@call_sounds.operation(
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


@call_sounds.operation(
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


@call_sounds.operation(
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


@call_sounds.operation(
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


@call_sounds.operation(
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
    """While paused the file holds silence, so times in it stay true. 409 where its policy allows no pause."""
    database, recording_id = ask.services.database, ask.path["recording_id"]
    if ask.body.action != "resume" and not await recordings.may_pause(database, ask.tenant_id, recording_id):
        raise Conflict("the policy that wants this recording allows no pause", code="pause_not_allowed")
    return await act(ask, f"call.record_{ask.body.action}", {"recording": ask.path["recording_id"]})


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
