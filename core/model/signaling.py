"""The words of the signaling protocol, version 1: what a page may ask, and the plain values that it is shown.

``docs/signaling.md`` tells the same to authors of clients. A request names its kind in ``type``; members that are not
known are passed over, so that a newer page may say more. Times that leave us are RFC 3339 texts. Pure.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

PROTOCOL = "irisx.signaling.v1"
MOST_FRAME = 64 << 10
"""Bytes of one message, either way."""
MOST_SDP = 16 << 10

Id = Annotated[str, Meta(min_length=1, max_length=64)]
Word = Annotated[str, Meta(max_length=120)]
Sdp = Annotated[str, Meta(max_length=MOST_SDP)]
Number = Annotated[float, Meta(ge=0, le=1e9)]
Count = Annotated[int, Meta(ge=0, le=10**12)]


class Device(Struct, frozen=True):
    """The browser that asks: an id that it keeps, and words for people."""

    id: Id
    label: Word = ""


class Resume(Struct, frozen=True):
    """The session that a page goes on with, and the number of the last event that it has."""

    session: Id
    n: Annotated[int, Meta(ge=0, le=2**53 - 1)]


class Request(Struct, frozen=True, tag_field="type", tag=str.lower):
    """Anything that a page may ask; it gets exactly one answer."""

    id: Id


class Hello(Request, frozen=True):
    """The first request of every socket."""

    token: Annotated[str, Meta(max_length=4096)]
    device: Device
    tab: Annotated[str, Meta(max_length=64)] = ""
    take_over: bool = False
    resume: Resume | None = None


class Ping(Request, frozen=True):
    """A sign of life."""


class State(Request, frozen=True):
    """The agent wants work, or does not."""

    state: str
    reason: Word = ""


class Probed(Request, frozen=True):
    """The page is there."""

    probe: Id


class Accept(Request, frozen=True):
    """Take an offer; of a call with the browser's whole SDP offer."""

    offer: Id
    sdp: Sdp = ""


class Decline(Request, frozen=True):
    offer: Id
    reason: Word = ""


class Dial(Request, frozen=True):
    """Call a number, a colleague's extension, or an agent by id."""

    to: Annotated[str, Meta(min_length=1, max_length=80)]
    sdp: Sdp


class Renew(Request, frozen=True):
    """Go on with a leg under a new SDP offer."""

    leg: Id
    sdp: Sdp


class OnCall(Request, frozen=True):
    """Anything about one of the agent's own calls."""

    call: Id


class Hold(OnCall, frozen=True):
    pass


class Unhold(OnCall, frozen=True):
    pass


class Mute(OnCall, frozen=True):
    pass


class Unmute(OnCall, frozen=True):
    pass


class Hangup(OnCall, frozen=True):
    pass


class Conference(OnCall, frozen=True):
    """All legs of the call hear each other."""


class Dtmf(OnCall, frozen=True):
    keys: Annotated[str, Meta(pattern=r"^[0-9A-Da-d*#wW]{1,64}\Z")]


class Transfer(OnCall, frozen=True):
    to: Annotated[str, Meta(min_length=1, max_length=80)]
    kind: str = "blind"


class TransferComplete(OnCall, frozen=True, tag="transfer_complete"):
    pass


class TransferCancel(OnCall, frozen=True, tag="transfer_cancel"):
    pass


class RecordPause(OnCall, frozen=True, tag="record_pause"):
    pass


class RecordResume(OnCall, frozen=True, tag="record_resume"):
    pass


class WrapUp(Request, frozen=True, tag="wrap_up"):
    """What is written down after a call; ends the wrap-up."""

    offer: Id
    disposition: Word = ""
    notes: Annotated[str, Meta(max_length=8000)] = ""


class WrapExtend(Request, frozen=True, tag="wrap_extend"):
    offer: Id
    seconds: Annotated[int, Meta(ge=1, le=3600)]


class Quality(Request, frozen=True):
    """How the page hears a leg, from its statistics; numbers are since the leg began."""

    leg: Id
    rtt_ms: Number = 0.0
    jitter_ms: Number = 0.0
    lost: Count = 0
    received: Count = 0


class Devices(Request, frozen=True):
    """What the page's own checks say of its microphone, speaker and network."""

    microphone: Word = ""
    speaker: Word = ""
    network: Word = ""


REQUESTS: tuple[type[Request], ...] = (
    *(Hello, Ping, State, Probed, Accept, Decline, Dial, Renew, Hold, Unhold, Mute, Unmute, Hangup, Conference),
    *(Dtmf, Transfer, TransferComplete, TransferCancel, RecordPause, RecordResume, WrapUp, WrapExtend, Quality),
    Devices,
)  # fmt: skip


class Envelope(Struct, frozen=True):
    """What every request has; known before the rest is looked at, so that a wrong one can be answered."""

    id: Id
    type: Annotated[str, Meta(max_length=40)]


class Named(Struct, frozen=True):
    id: str
    name: str


class Offer(Struct, frozen=True):
    """Work that waits for the agent's word."""

    id: str
    kind: str
    """``call`` or ``conversation``."""
    queue: Named | None
    caller: str
    caller_name: str
    waited_s: float
    expires_at: str
    call_id: str
    conversation_id: str
    contact_id: str


class TransferView(Struct, frozen=True):
    to: str
    to_name: str
    state: str
    """``ringing`` or ``talking``."""


class CallView(Struct, frozen=True):
    """One of the agent's calls, as the one who talks sees it."""

    id: str
    leg: str
    """The agent's own."""
    state: str
    """``connecting``, ``ringing``, ``talking``, ``held``, ``consulting`` or ``ended``."""
    direction: str
    other: str
    other_name: str
    muted: bool
    recording: str
    """``off``, ``on`` or ``paused``."""
    since: str
    """When the agent's leg began to talk, else when it began."""
    conversation_id: str
    contact_id: str
    queue: Named | None
    transfer: TransferView | None


class AgentSeen(Struct, frozen=True):
    """An agent as the store shows them."""

    id: str
    name: str = ""
    extension: str = ""
    state: str = "offline"
    reason: str = ""
    activity: str = ""
    since_us: int = 0
    version: int = 0
    session: str = ""
    skills: dict[str, int] = field(default_factory=dict)
    capacity: dict[str, Any] = field(default_factory=dict)
    queues: list[str] = field(default_factory=list)


class Reserved(Struct, frozen=True):
    """A reservation as the store shows it: as much of it as signaling needs."""

    id: str
    agent_id: str
    kind: str = "call"
    state: str = "offered"
    reason: str = ""
    queue_id: str = ""
    queue_name: str = ""
    node: str = ""
    call_id: str = ""
    leg: str = ""
    dial: str = ""
    """A number to call when it is accepted (a callback)."""
    conversation_id: str = ""
    contact_id: str = ""
    caller: str = ""
    caller_name: str = ""
    expires_us: int = 0
    waited_s: float = 0.0
    agent_leg: str = ""
    wrap_until_us: int = 0
    version: int = 0


class BadFrame(ValueError):
    """Not a message of this protocol at all: nothing that follows on this socket can be trusted."""


class BadRequest(ValueError):
    """A request that can be answered, but not done."""

    def __init__(self, request_id: str, detail: str) -> None:
        super().__init__(detail)
        self.request_id = request_id
        self.detail = detail


_envelope = msgspec.json.Decoder(Envelope)
_request: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    Hello | Ping | State | Probed | Accept | Decline | Dial | Renew | Hold | Unhold | Mute | Unmute | Hangup
    | Conference | Dtmf | Transfer | TransferComplete | TransferCancel | RecordPause | RecordResume | WrapUp
    | WrapExtend | Quality | Devices
)  # fmt: skip
encode = msgspec.json.Encoder().encode


def decode(frame: str | bytes) -> Request:
    """The request in ``frame``. Raises `BadFrame` or `BadRequest`; neither repeats what the page said."""
    try:
        envelope = _envelope.decode(frame)
    except (msgspec.MsgspecError, UnicodeError):
        raise BadFrame("this is no request: JSON with id and type is expected") from None
    try:
        request: Request = _request.decode(frame)
    except (msgspec.MsgspecError, UnicodeError) as exc:
        # msgspec names the member and what was expected of it; for an unknown type it quotes that alone.
        raise BadRequest(envelope.id, str(exc)[:200]) from None
    return request


def moment(at_us: int) -> str:
    """Microseconds since the epoch as RFC 3339 with milliseconds; empty for never."""
    if at_us <= 0:
        return ""
    seconds, micros = divmod(at_us, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{micros // 1000:03d}Z"


def offer_of(one: Reserved) -> Offer:
    """What the page is shown of a reservation."""
    return Offer(
        id=one.id,
        kind=one.kind,
        queue=Named(one.queue_id, one.queue_name) if one.queue_id else None,
        caller=one.caller,
        caller_name=one.caller_name,
        waited_s=round(one.waited_s, 1),
        expires_at=moment(one.expires_us),
        call_id=one.call_id,
        conversation_id=one.conversation_id,
        contact_id=one.contact_id,
    )


def wrap_up_of(one: Reserved) -> dict[str, Any]:
    """What the page is shown of a wrap-up."""
    return {
        "offer": one.id,
        "until": moment(one.wrap_until_us),
        "caller": one.caller,
        "caller_name": one.caller_name,
        "queue": Named(one.queue_id, one.queue_name) if one.queue_id else None,
        "call_id": one.call_id,
        "conversation_id": one.conversation_id,
        "contact_id": one.contact_id,
    }


def agent_of(one: AgentSeen, activity: str) -> dict[str, Any]:
    """What the page is shown of its agent."""
    return {
        "id": one.id,
        "name": one.name,
        "extension": one.extension,
        "state": one.state,
        "reason": one.reason,
        "activity": activity,
        "since": moment(one.since_us),
        "queues": one.queues,
        "skills": one.skills,
        "capacity": one.capacity,
    }
