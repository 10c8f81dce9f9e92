"""Agents, queues and what waits in them: the plain values that are stored, told in the log, and decided about.

Times are microseconds since the epoch by the database's clock, 0 for never.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from core.model.capacity import CAPACITY, Load, Weights

END = r"$(?!\n)"
"""The end of the text (in Python a bare ``$`` also stands before a line feed)."""

AgentState = Literal["offline", "ready", "not_ready"]
Strategy = Literal["longest_idle", "round_robin", "fewest", "skills"]
EntryKind = Literal["call", "callback", "conversation"]
EntryState = Literal["waiting", "offered", "served", "left"]

Level = Annotated[int, Meta(ge=1, le=5)]
SkillName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,39}" + END)]
Skills = Annotated[dict[str, Level], Meta(max_length=50)]
Seconds = Annotated[int, Meta(ge=0, le=86_400)]
Sound = Annotated[str, Meta(max_length=400, pattern=r"^[A-Za-z0-9_./:@+%(),;=-]*" + END)]
"""A stream that the switch makes (`tone_stream://…`), or a file among its sounds; empty for none."""


class Agent(Struct, frozen=True, kw_only=True):
    """Somebody who takes work."""

    id: str
    tenant_id: str
    user_id: str
    name: str
    extension: str = ""
    """Digits by which colleagues dial."""
    state: AgentState = "offline"
    """What they chose; `offline` while nobody is there."""
    reason: str = ""
    since_us: int = 0
    activity: str = ""
    """What they are at, from their open reservations: `reserved`, `busy`, `wrap_up`, or nothing."""
    skills: Skills = {}
    capacity: Load = CAPACITY
    queues: tuple[str, ...] = ()
    session: str = ""
    """The connected page that holds this agent; empty when none does."""
    idle_since_us: int = 0
    offered_us: int = 0
    version: int = 1
    created_us: int = 0
    updated_us: int = 0


class Need(Struct, frozen=True, forbid_unknown_fields=True):
    """A skill that an agent must have."""

    skill: SkillName
    level: Level = 1


class Closed(Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to those who come outside of the hours."""

    do: Literal["wait", "hangup", "overflow"] = "wait"
    """`wait`: until it opens. `hangup`: after the sound. `overflow`: to `queue_id`."""
    sound: Sound = ""
    queue_id: str = ""


class Overflow(Struct, frozen=True, forbid_unknown_fields=True):
    """When somebody goes on to another queue."""

    queue_id: str = ""
    after_s: Seconds = 0
    """After so long in this queue; 0: never for that."""
    above: Annotated[int, Meta(ge=0, le=100_000)] = 0
    """At once when so many wait here already; 0: never for that."""
    nobody_there: bool = False
    """When no agent of this queue is signed in."""


class Callback(Struct, frozen=True, forbid_unknown_fields=True):
    """Being called back instead of waiting: who presses a key hangs up and keeps the place."""

    enabled: bool = False
    sound: Sound = ""
    """What tells them that any key will do. (Which key was pressed is not recorded, so it cannot matter.)"""
    after_s: Seconds = 30
    """When it is offered."""
    tries: Annotated[int, Meta(ge=1, le=10)] = 3
    retry_s: Annotated[int, Meta(ge=10, le=86_400)] = 600


class QueueSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How a queue works."""

    calls: bool = True
    """Whether calls may wait here."""
    conversations: Literal["none", "named", "all"] = "none"
    """`named`: those that a rule put into the queue of this name; `all`: also those that are in none."""
    strategy: Strategy = "longest_idle"
    needs: Annotated[tuple[Need, ...], Meta(max_length=10)] = ()
    priority: Annotated[float, Meta(ge=-1000, le=1000)] = 0.0
    """Added to the rank of everything here: 1 is worth one target of waiting."""
    target_s: Annotated[int, Meta(ge=1, le=86_400)] = 20
    """Within which calls should be answered; ranks grow by one with each target waited."""
    conversation_target_s: Annotated[int, Meta(ge=1, le=604_800)] = 300
    short_s: Annotated[int, Meta(ge=0, le=600)] = 5
    """Who hangs up within it is not counted as lost."""
    offer_s: Annotated[int, Meta(ge=5, le=300)] = 20
    """How long an offer rings."""
    conversation_offer_s: Annotated[int, Meta(ge=5, le=3600)] = 60
    wrap_up_s: Annotated[int, Meta(ge=0, le=3600)] = 30
    """0: none."""
    after_missed: Literal["not_ready", "ready"] = "not_ready"
    """What an agent is after an offer that they did not answer (reason `missed`)."""
    answer: Literal["at_once", "when_staffed", "with_agent"] = "at_once"
    """When a caller is answered and hears music. `when_staffed`: as soon as an agent of the queue is signed in; until
    then, and with `with_agent` until an agent accepts, it only rings, for as long as the switch lets it."""
    greeting: Sound = ""
    music: Sound = ""
    """Empty: the switch's hold music."""
    announce: Sound = ""
    """Played every `announce_every_s`."""
    announce_every_s: Seconds = 0
    say_position: bool = False
    """The position in the queue, by the switch's own digits (`digits/1.wav` and so on), before each announcement."""
    sticky_s: Seconds = 0
    """How long the agent who served somebody last has the first claim; 0: none."""
    schedule_id: str = ""
    """Open in its hours; empty: always."""
    closed: Closed = Closed()
    overflow: Overflow = Overflow()
    callback: Callback = Callback()
    most: Annotated[int, Meta(ge=0, le=100_000)] = 1000
    """Who comes when so many wait is sent away; 0: no limit."""


class Queue(Struct, frozen=True, kw_only=True):
    """Where work waits for agents."""

    id: str
    tenant_id: str
    name: str
    settings: QueueSettings = QueueSettings()
    version: int = 1
    created_us: int = 0
    updated_us: int = 0
    deleted_us: int = 0


class QueueEntry(Struct, frozen=True, kw_only=True):
    """Somebody who waits, or waited."""

    id: str
    tenant_id: str
    queue_id: str
    kind: EntryKind
    class_: str = field(default="call", name="class")
    state: EntryState = "waiting"
    outcome: str = ""
    """How it ended: `answered`, `abandoned`, `closed`, `callback` (waits on as one), `failed`, `full`, `withdrawn`,
    `resolved`; an overflow does not end it."""
    node: str = ""
    call_id: str = ""
    leg: str = ""
    conversation_id: str = ""
    contact_id: str = ""
    caller: str = ""
    caller_name: str = ""
    priority: float = 0.0
    skills: Skills = {}
    """Needed beside what the queue needs."""
    sticky_agent: str = ""
    sticky_until_us: int = 0
    due_us: int = 0
    """Of a callback: not to be offered before."""
    entered_us: int
    queued_us: int
    """Since when in this queue: an overflow changes it, and not `entered_us`."""
    offers: int = 0
    answered_call: bool = False
    """Whether the switch has answered the caller."""
    left_us: int = 0
    version: int = 1

    @property
    def open(self) -> bool:
        return self.state in ("waiting", "offered")


class WorkSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What holds for all queues of a tenant."""

    weights: Weights = Weights()
    pause_reasons: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=40)], ...], Meta(max_length=50)
    ] = ("break", "lunch", "meeting", "training")
    """What agents may choose from; an own text is taken too."""


class Member(Struct, frozen=True):
    """An agent in a queue. Lower tiers are asked first."""

    queue_id: str
    agent_id: str
    tier: int = 1
