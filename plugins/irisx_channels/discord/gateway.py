"""The gateway's protocol as a machine: what comes in and what should be done, without a socket or a clock.

Source: discord/discord-api-docs, "Gateway" and "Opcodes and Status Codes". One `Machine` is one connection of one
shard. `RULES` says what each frame means in each phase; what is not in it is a surprise, which changes nothing.

    GREETING    connected; Discord speaks first (Hello)
    STARTING    Hello came; we identify, or resume the session that was kept
    READY       the session runs
    OVER        nothing more will be done here; the last effect said what next

A session survives its connection, as long as we do not close with 1000 or 1001: the sequence number of the last
dispatch is enough for Discord to replay what was missed. Who drives the machine decides which number that is: the last
one that is *stored*, not the last one that came.
"""

import enum
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from irisx_channels.lenient import document, part, whole, words
from irisx_sdk.errors import Malformed


class Op(enum.IntEnum):
    """Opcodes that we send or understand."""

    DISPATCH = 0
    HEARTBEAT = 1
    IDENTIFY = 2
    RESUME = 6
    RECONNECT = 7
    INVALID_SESSION = 9
    HELLO = 10
    HEARTBEAT_ACK = 11


class Phase(enum.Enum):
    """Where a connection is."""

    GREETING = "greeting"
    STARTING = "starting"
    READY = "ready"
    OVER = "over"


LEAVE = 4000
"""What we close with: anything but 1000 and 1001 keeps the session."""

HOPELESS: dict[int, str] = {
    4004: "Discord does not accept the bot token",
    4010: "the number of this shard is wrong",
    4011: "the bot is in so many servers that it must be sharded: raise the setting",
    4012: "Discord no longer speaks this version of the gateway",
    4013: "the intents in the settings are not a valid number",
    4014: "intents are not allowed: switch on Message Content Intent in the developer portal, or off in the settings",
}
"""Close codes after which connecting again cannot help."""

FORGET = frozenset({4003, 4007, 4009})
"""Close codes after which the session is gone: not started, a wrong sequence, timed out."""

INVALID_PAUSE_S = (1.0, 5.0)
"""Between an invalid session and the next Identify (docs, "Gateway", resuming)."""


class Session(Struct, frozen=True, omit_defaults=True):
    """What a shard needs to go on after its connection was lost. Without ``id`` there is none."""

    id: str = ""
    seq: int = 0
    """The last dispatch; 0 for none."""
    url: str = ""
    user: str = ""
    """The bot's own id."""


class Frame(Struct, frozen=True):
    """What Discord says."""

    op: int
    d: Any = None
    s: int = 0
    t: str = ""


# What should be done --------------------------------------------------------------------------------------------------


class Send(Struct, frozen=True):
    """Send a frame now."""

    op: Op
    d: Any


class Identify(Struct, frozen=True):
    """Send Identify as soon as the limits of starting sessions allow."""


class BeatEvery(Struct, frozen=True):
    """Begin to call `beat`: first after a random share of ``interval_s``, then each time it has passed."""

    interval_s: float


class Dispatch(Struct, frozen=True):
    """Something happened. ``session`` is the one to resume from once it is stored."""

    kind: str
    d: dict[str, Any]
    session: Session


class Again(Struct, frozen=True):
    """Close with `LEAVE`, wait for a random time between ``pause_s``, connect again; resume if ``resume``."""

    resume: bool
    pause_s: tuple[float, float] = (0.0, 1.0)


class GiveUp(Struct, frozen=True):
    """Somebody must change the account first."""

    code: int
    why: str


class Surprise(Struct, frozen=True):
    """A frame that has no meaning here; nothing was changed."""

    phase: Phase
    op: int


Effect = Send | Identify | BeatEvery | Dispatch | Again | GiveUp | Surprise


class Machine(Struct, frozen=True):
    """One connection of one shard."""

    token: str
    session: Session = Session()
    phase: Phase = Phase.GREETING
    owed: bool = False
    """A heartbeat of ours was not acknowledged yet."""


Step = tuple[Machine, tuple[Effect, ...]]
Rule = Callable[[Machine, Frame], Step]


def frame(text: str | bytes) -> Frame:
    """What a message on the connection says. Raises `Malformed`."""
    found = document(text.encode("utf-8", "replace") if isinstance(text, str) else text)
    if not isinstance(found.get("op"), int):
        raise Malformed("a frame without op")
    return Frame(whole(found, "op"), found.get("d"), max(0, whole(found, "s")), words(found, "t"))


def _hello(machine: Machine, frame: Frame) -> Step:
    interval = whole(frame.d, "heartbeat_interval") / 1000
    if not 0 < interval <= 3600:
        return _over(machine, Again(resume=True))
    session = machine.session
    if session.id:
        d = {"token": machine.token, "session_id": session.id, "seq": session.seq}
        start: Effect = Send(Op.RESUME, d)
    else:
        start = Identify()
    return replace(machine, phase=Phase.STARTING), (BeatEvery(interval), start)


def _dispatch(machine: Machine, frame: Frame) -> Step:
    session, phase = replace(machine.session, seq=max(machine.session.seq, frame.s)), machine.phase
    d = frame.d if isinstance(frame.d, dict) else {}
    if frame.t == "READY":
        user = words(part(d, "user"), "id")
        session = Session(words(d, "session_id"), frame.s, words(d, "resume_gateway_url"), user)
        phase = Phase.READY
    elif frame.t == "RESUMED":
        phase = Phase.READY
    return replace(machine, session=session, phase=phase), (Dispatch(frame.t, d, session),)


def _asked_to_beat(machine: Machine, frame: Frame) -> Step:
    return machine, (_heartbeat(machine),)


def _acknowledged(machine: Machine, frame: Frame) -> Step:
    return replace(machine, owed=False), ()


def _reconnect(machine: Machine, frame: Frame) -> Step:
    return _over(machine, Again(resume=True))


def _invalid(machine: Machine, frame: Frame) -> Step:
    return _over(machine, Again(resume=frame.d is True, pause_s=INVALID_PAUSE_S))


_ALWAYS: dict[int, Rule] = {
    Op.HEARTBEAT: _asked_to_beat,
    Op.HEARTBEAT_ACK: _acknowledged,
    Op.RECONNECT: _reconnect,
    Op.INVALID_SESSION: _invalid,
}

RULES: dict[Phase, dict[int, Rule]] = {
    Phase.GREETING: {Op.HELLO: _hello, Op.RECONNECT: _reconnect},
    Phase.STARTING: _ALWAYS | {Op.DISPATCH: _dispatch},
    Phase.READY: _ALWAYS | {Op.DISPATCH: _dispatch},
    Phase.OVER: {},
}


def receive(machine: Machine, frame: Frame) -> Step:
    """The machine after a frame, and what to do."""
    rule = RULES[machine.phase].get(frame.op)
    return rule(machine, frame) if rule else (machine, (Surprise(machine.phase, frame.op),))


def beat(machine: Machine) -> Step:
    """It is time for a heartbeat. When the last one was not acknowledged, the connection is dead and only looks alive."""
    if machine.phase in (Phase.GREETING, Phase.OVER):
        return machine, ()
    if machine.owed:
        return _over(machine, Again(resume=True))
    return replace(machine, owed=True), (_heartbeat(machine),)


def closed(machine: Machine, code: int) -> Step:
    """Discord has closed the connection (1006: without a word)."""
    if machine.phase is Phase.OVER:
        return machine, ()
    if code in HOPELESS:
        return _over(machine, GiveUp(code, HOPELESS[code]))
    return _over(machine, Again(resume=code not in FORGET))


def identify(token: str, intents: int, shard: int, shards: int) -> dict[str, Any]:
    """The content of Identify."""
    properties = {"os": "linux", "browser": "irisx", "device": "irisx"}
    return {"token": token, "intents": intents, "properties": properties, "shard": [shard, shards]}


def encode(op: int, d: Any) -> str:
    """A frame of ours. Discord closes with 4002 beyond 4096 bytes; ours are a tenth of that."""
    return msgspec.json.encode({"op": int(op), "d": d}).decode()


def _heartbeat(machine: Machine) -> Send:
    return Send(Op.HEARTBEAT, machine.session.seq or None)


def _over(machine: Machine, effect: Again | GiveUp) -> Step:
    if isinstance(effect, Again) and not machine.session.id:
        effect = replace(effect, resume=False)
    return replace(machine, phase=Phase.OVER), (effect,)
