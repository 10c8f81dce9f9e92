"""Recording policies: which calls are recorded and how, and what would be decided about one."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.lists import rows_answer, versioned
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.shapes import Body, Name
from core.ids import new_id
from core.model.recording_policy import Facts, decide
from core.storage import recording_policies as store

recording_policies = Group("recording-policies", "Which calls are recorded, how, and for how long.")

POLICY = Path("recording_policy_id", "The policy's id: `rpo_…`.")
Directions = Annotated[list[Literal["inbound", "outbound"]], Meta(max_length=2)]
Prefixes = Annotated[list[Annotated[str, Meta(pattern=whole(r"[0-9]{1,15}"))]], Meta(max_length=200)]
Ids = Annotated[list[Annotated[str, Meta(pattern=whole(r"[a-z]{2,8}_[0-9a-z]{1,40}"))]], Meta(max_length=200)]
Share = Annotated[int, Meta(ge=0, le=100)]
Position = Annotated[int, Meta(ge=0, le=100_000)]
Days = Annotated[int, Meta(ge=0, le=36_500)]
MediaId = Annotated[str, Meta(pattern=whole(r"(med_[0-9a-z]{1,40})?"))]
Action = Literal["record", "never"]
Moment = Literal["answered", "talking"]
OnOff = Literal["on", "off"]


class RecordingPolicy(Struct):
    """The first that concerns a call decides. Empty lists: it does not matter. Times are microseconds since 1970."""

    id: str
    name: str
    position: int
    """Lower ones are looked at first."""
    action: Action
    state: OnOff
    directions: list[str]
    prefixes: list[str]
    """Digits that the number outside begins with."""
    queues: list[str]
    agents: list[str]
    share: int
    """Per cent of the calls that it concerns; the others are the next policies' matter."""
    moment: Moment
    """From the answer on, or from the first conversation."""
    announcement: str
    """The prompt (`med_…`) that is played to the outside first: without it nothing is recorded."""
    stereo: bool
    pause_allowed: bool
    retention_days: int
    """0: until somebody erases it."""
    hold: bool
    """Kept beyond that, until the hold of each is lifted."""
    version: int
    created_us: int
    updated_us: int


class NewRecordingPolicy(Body):
    name: Name
    position: Position = 100
    action: Action = "record"
    state: OnOff = "on"
    directions: Directions = msgspec.field(default_factory=list)
    prefixes: Prefixes = msgspec.field(default_factory=list)
    queues: Ids = msgspec.field(default_factory=list)
    agents: Ids = msgspec.field(default_factory=list)
    share: Share = 100
    moment: Moment = "answered"
    announcement: MediaId = ""
    stereo: bool = True
    pause_allowed: bool = True
    retention_days: Days = 0
    hold: bool = False


class RecordingPolicyChange(Body):
    name: Name | UnsetType = UNSET
    position: Position | UnsetType = UNSET
    action: Action | UnsetType = UNSET
    state: OnOff | UnsetType = UNSET
    directions: Directions | UnsetType = UNSET
    prefixes: Prefixes | UnsetType = UNSET
    queues: Ids | UnsetType = UNSET
    agents: Ids | UnsetType = UNSET
    share: Share | UnsetType = UNSET
    moment: Moment | UnsetType = UNSET
    announcement: MediaId | UnsetType = UNSET
    stereo: bool | UnsetType = UNSET
    pause_allowed: bool | UnsetType = UNSET
    retention_days: Days | UnsetType = UNSET
    hold: bool | UnsetType = UNSET


class RecordingQuestion(Body):
    """A call that might be."""

    direction: Literal["inbound", "outbound"] = "inbound"
    number: Annotated[str, Meta(max_length=32, pattern=whole(r"\+?[0-9]{0,31}"))] = ""
    """The number outside."""
    queue_id: Annotated[str, Meta(max_length=50, pattern=whole(r"[0-9a-z_]*"))] = ""
    agent_id: Annotated[str, Meta(max_length=50, pattern=whole(r"[0-9a-z_]*"))] = ""
    talking: bool = True
    call_id: Annotated[str, Meta(max_length=50, pattern=whole(r"[0-9a-z_]*"))] = ""
    """For policies with a share: which calls they take follows from this. Empty: drawn."""


class LookedAt(Struct):
    policy_id: str
    skipped: Literal["", "off", "direction", "number", "queue", "agent", "share", "not_yet"]
    """Why it did not decide; empty for the one that did."""


class RecordingDecision(Struct):
    """Whether it would be recorded, and why."""

    record: bool
    reason: Literal["policy", "never", "not_yet", "no_policy"]
    policy_id: str
    looked_at: list[LookedAt]


@recording_policies.operation(
    "GET",
    "/recording-policies",
    permission="recordings:read",
    summary="List recording policies, the newest first",
    answers=RecordingPolicy,
    listing=True,
)
async def list_recording_policies(ask: Ask[None]) -> Answer:
    """A tenant has some dozens. They are looked at by `position`."""
    rows = await store.list_policies(ask.services.database, ask.tenant_id)
    rows.sort(key=lambda one: (one.created_us, one.id), reverse=True)
    after = ask.query.page.after
    found = [row for row in rows if after is None or (row.created_us, row.id) < after]
    return rows_answer(ask, found[: ask.query.page.limit + 1], lambda one: (one.created_us, one.id))


@recording_policies.operation(
    "POST",
    "/recording-policies",
    permission="recordings:write",
    summary="Add a recording policy",
    body=NewRecordingPolicy,
    answers=RecordingPolicy,
    status=201,
)
async def create_recording_policy(ask: Ask[NewRecordingPolicy]) -> Answer:
    """It holds for calls of which something becomes known from now on."""
    row = await store.create_policy(
        ask.services.database, ask.tenant_id, _given(ask.body), actor=ask.actor.id
    )
    answer = versioned(ask, row, 201)
    answer.headers = [*answer.headers, (b"location", f"/v1/recording-policies/{row.id}".encode())]
    return answer


@recording_policies.operation(
    "POST",
    "/recording-policies/simulate",
    permission="recordings:read",
    summary="What would be decided about a call",
    body=RecordingQuestion,
    answers=RecordingDecision,
    idempotency="none",
)
async def simulate_recording_policies(ask: Ask[RecordingQuestion]) -> Answer:
    """By the policies as they are now, with each that was looked at."""
    rows = await store.list_policies(ask.services.database, ask.tenant_id)
    body = ask.body
    inbound = body.direction == "inbound"
    facts = Facts(
        call_id=body.call_id or new_id("call"),
        direction=body.direction,
        caller=body.number if inbound else "",
        destination="" if inbound else body.number,
        queue_id=body.queue_id,
        agents=(body.agent_id,) if body.agent_id else (),
        answered=True,
        talking=body.talking,
    )
    found = decide([row.policy() for row in rows], facts)
    looked = [LookedAt(one.policy_id, one.skipped) for one in found.looked_at]
    return json_answer(RecordingDecision(found.record, found.reason, found.policy_id, looked))


@recording_policies.operation(
    "GET",
    "/recording-policies/{recording_policy_id}",
    permission="recordings:read",
    summary="One recording policy",
    answers=RecordingPolicy,
    paths=[POLICY],
    problems=[404],
    etag=True,
)
async def get_recording_policy(ask: Ask[None]) -> Answer:
    """As it is now."""
    policy_id = ask.path["recording_policy_id"]
    return versioned(ask, await store.get_policy(ask.services.database, ask.tenant_id, policy_id))


@recording_policies.operation(
    "PATCH",
    "/recording-policies/{recording_policy_id}",
    permission="recordings:write",
    summary="Change a recording policy",
    body=RecordingPolicyChange,
    answers=RecordingPolicy,
    paths=[POLICY],
    problems=[404, 412],
    etag=True,
    if_match=True,
)
async def update_recording_policy(ask: Ask[RecordingPolicyChange]) -> Answer:
    """What is recorded already stays recorded, with the retention that it was given."""
    row = await store.update_policy(
        ask.services.database,
        ask.tenant_id,
        ask.path["recording_policy_id"],
        _given(ask.body),
        version=ask.if_match,
        actor=ask.actor.id,
    )
    return versioned(ask, row)


@recording_policies.operation(
    "DELETE",
    "/recording-policies/{recording_policy_id}",
    permission="recordings:write",
    summary="Remove a recording policy",
    paths=[POLICY],
    problems=[404],
)
async def delete_recording_policy(ask: Ask[None]) -> Answer:
    """What it had recorded stays."""
    await store.delete_policy(
        ask.services.database, ask.tenant_id, ask.path["recording_policy_id"], actor=ask.actor.id
    )
    return Answer(204)


def _given(body: Struct) -> dict[str, Any]:
    return {name: getattr(body, name) for name in body.__struct_fields__ if getattr(body, name) is not UNSET}
