"""Queues: where calls and conversations wait, who works there, who waits now and why."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.lists import page_answer, rows_answer, versioned
from api.http.operation import Group, Path
from api.http.query import Condition, Filter
from api.http.shapes import Body, Name
from core.model.queueing import estimate_s
from core.model.queueing_numbers import added
from core.model.queueing_records import Member, Queue, QueueEntry, QueueSettings, Skills, WorkSettings
from core.model.queueing_why import Reason, why
from core.queueing.rounds import staffed
from core.storage import queue_board, queue_entries, queue_intervals, queue_tend, queue_views
from core.storage import queues as store

queues = Group("queues", "Where calls and conversations wait for agents.")

QUEUE = Path("queue_id", "The queue's id: `que_…`.")
ENTRY = Path("entry_id", "The entry's id: `qen_…`.")
MEMBER = Path("agent_id", "The agent's id: `agt_…`.")
HANDLING_S = 180.0
"""What is assumed of a talk until there are some: the average that is shown is of the last hour."""
HOUR_US = 3_600_000_000
MOST_SHOWN = 200


class NewQueue(Body):
    name: Name
    settings: QueueSettings = QueueSettings()


class QueueChange(Body):
    name: Name | UnsetType = UNSET
    settings: QueueSettings | UnsetType = UNSET
    """All of them."""


class MemberTier(Body):
    tier: Annotated[int, Meta(ge=1, le=9)] = 1
    """Lower ones are asked first."""


class NewEntry(Body):
    """A caller who is parked and alone is to wait here."""

    call_id: Annotated[str, Meta(pattern=r"^call_[0-9a-z]{1,40}$(?!\n)")]
    priority: Annotated[float, Meta(ge=-1000, le=1000)] = 0.0
    skills: Skills = msgspec.field(default_factory=dict)
    """Needed beside what the queue needs."""


class EntryChange(Body):
    queue_id: Annotated[str, Meta(pattern=r"^que_[0-9a-z]{1,40}$(?!\n)")]
    """Where they go on to wait; since when they wait is kept."""


class Waiting(Struct):
    """Somebody who waits, and why."""

    entry: QueueEntry
    position: int | None
    """From 1; null while it is offered, or not due."""
    rank: float
    """Targets waited, and priority: what is highest comes first."""
    waited_s: float
    estimate_s: int | None
    """How long it will probably go on; null when nobody serves."""
    why: list[Reason]


class AgentCounts(Struct):
    """Agents of a queue by what they are at."""

    offline: int
    not_ready: int
    ready: int
    """Ready and with nothing to do."""
    reserved: int
    busy: int
    wrap_up: int


class QueueLive(Struct):
    """A queue at this moment."""

    queue_id: str
    at_us: int
    open: bool
    staffed: bool
    """Whether anybody is signed in."""
    agents: AgentCounts
    waiting: int
    longest_s: float
    entries: list[Waiting]
    """The most urgent ones, at most 200."""


class WorkSettingsInfo(Struct):
    settings: WorkSettings
    version: int


ENTRY_FILTERS = (
    Filter("state", "word", ("waiting", "offered", "served", "left")),
    Filter("kind", "word", ("call", "callback", "conversation")),
    Filter("outcome"),
    Filter("call_id"),
    Filter("conversation_id"),
    Filter("contact_id"),
    Filter("entered_us", "integer"),
)


@queues.operation(
    "GET",
    "/queues",
    permission="queues:read",
    summary="List queues, newest first",
    answers=Queue,
    listing=True,
)
async def list_queues(ask: Ask[None]) -> Answer:
    """A tenant has some dozens."""
    rows = await store.list_queues(ask.services.database, ask.tenant_id)
    after = ask.query.page.after
    found = [row for row in rows if after is None or (row.created_us, row.id) < after]
    return rows_answer(ask, found[: ask.query.page.limit + 1], lambda one: (one.created_us, one.id))


@queues.operation(
    "POST",
    "/queues",
    permission="queues:write",
    summary="Create a queue",
    body=NewQueue,
    answers=Queue,
    status=201,
    problems=[409],
)
async def create_queue(ask: Ask[NewQueue]) -> Answer:
    """Nobody works there yet, and no number leads there."""
    queue = await store.create_queue(
        ask.services.database, ask.tenant_id, ask.body.name, ask.body.settings, request_id=ask.request_id
    )
    answer = versioned(ask, queue, 201)
    answer.headers = [*answer.headers, (b"location", f"/v1/queues/{queue.id}".encode())]
    return answer


@queues.operation(
    "GET",
    "/queue-settings",
    permission="queues:read",
    summary="What holds for all queues",
    answers=WorkSettingsInfo,
    etag=True,
)
async def get_queue_settings(ask: Ask[None]) -> Answer:
    """What each kind of work takes of an agent, and the reasons for pauses."""
    settings, version = await queue_views.get_settings(ask.services.database, ask.tenant_id)
    return versioned(ask, WorkSettingsInfo(settings, version))


@queues.operation(
    "PUT",
    "/queue-settings",
    permission="queues:write",
    summary="Change what holds for all queues",
    body=WorkSettings,
    answers=WorkSettingsInfo,
    etag=True,
    if_match=True,
)
async def put_queue_settings(ask: Ask[WorkSettings]) -> Answer:
    """As a whole. What somebody has already is not taken away."""
    version = await queue_views.put_settings(
        ask.services.database, ask.tenant_id, ask.body, version=ask.if_match, request_id=ask.request_id
    )
    return versioned(ask, WorkSettingsInfo(ask.body, version))


@queues.operation(
    "GET",
    "/queues/{queue_id}",
    permission="queues:read",
    summary="One queue",
    answers=Queue,
    paths=[QUEUE],
    problems=[404],
    etag=True,
)
async def get_queue(ask: Ask[None]) -> Answer:
    """With all of its settings."""
    return versioned(ask, await _queue(ask))


@queues.operation(
    "PATCH",
    "/queues/{queue_id}",
    permission="queues:write",
    summary="Change a queue",
    body=QueueChange,
    answers=Queue,
    paths=[QUEUE],
    problems=[404, 409],
    etag=True,
    if_match=True,
)
async def update_queue(ask: Ask[QueueChange]) -> Answer:
    """Holds at once, also for those who wait."""
    queue = await store.update_queue(
        ask.services.database,
        ask.tenant_id,
        ask.path["queue_id"],
        name=None if ask.body.name is UNSET else ask.body.name,
        settings=None if ask.body.settings is UNSET else ask.body.settings,
        version=ask.if_match,
        request_id=ask.request_id,
    )
    return versioned(ask, queue)


@queues.operation(
    "DELETE",
    "/queues/{queue_id}",
    permission="queues:write",
    summary="Remove a queue",
    paths=[QUEUE],
    problems=[404, 409],
    if_match=True,
)
async def delete_queue(ask: Ask[None]) -> Answer:
    """409 `in_use` while somebody waits there or a number leads there. Its numbers stay."""
    await store.delete_queue(
        ask.services.database,
        ask.tenant_id,
        ask.path["queue_id"],
        version=ask.if_match,
        request_id=ask.request_id,
    )
    return Answer(204)


@queues.operation(
    "GET",
    "/queues/{queue_id}/live",
    permission="queues:read",
    summary="A queue at this moment",
    answers=QueueLive,
    paths=[QUEUE],
    problems=[404],
)
async def get_queue_live(ask: Ask[None]) -> Answer:
    """Who waits, where they stand, how long it will probably take, and why they wait."""
    queue = await _queue(ask)
    loaded = await queue_board.load(ask.services.database, ask.tenant_id)
    hour = await queue_intervals.read(
        ask.services.database,
        ask.tenant_id,
        from_us=loaded.moment_us - HOUR_US,
        to_us=loaded.moment_us,
        queue_id=queue.id,
    )
    return json_answer(live_of(loaded, queue.id, added(one.counted for one in hour)))


@queues.operation(
    "GET",
    "/queues/{queue_id}/entries",
    permission="queues:read",
    summary="Who waits or waited in a queue, newest first",
    answers=QueueEntry,
    listing=True,
    paths=[QUEUE],
    problems=[404],
    filters=ENTRY_FILTERS,
)
async def list_queue_entries(ask: Ask[None]) -> Answer:
    """Each with its outcome."""
    queue = await _queue(ask)
    page = await queue_views.list_entries(
        ask.services.database,
        ask.tenant_id,
        [*ask.query.conditions, Condition("queue_id", "eq", queue.id)],
        limit=ask.query.page.limit,
        after=ask.query.page.after,
    )
    return page_answer(ask, page)


@queues.operation(
    "POST",
    "/queues/{queue_id}/entries",
    permission="queues:write",
    summary="Have a caller wait in a queue",
    body=NewEntry,
    answers=QueueEntry,
    status=201,
    paths=[QUEUE],
    problems=[404, 409],
)
async def add_queue_entry(ask: Ask[NewEntry]) -> Answer:
    """409 `not_parked` for a call that is more than one parked caller, `already_there` for one who waits in a queue,
    `queue_closed` where nobody is taken now."""
    entry = await queue_entries.add_call(
        ask.services.database,
        ask.tenant_id,
        ask.path["queue_id"],
        ask.body.call_id,
        priority=ask.body.priority,
        skills=ask.body.skills,
    )
    return json_answer(entry, 201)


@queues.operation(
    "DELETE",
    "/queues/{queue_id}/entries/{entry_id}",
    permission="queues:write",
    summary="Have somebody wait no more",
    paths=[QUEUE, ENTRY],
    problems=[404, 409],
)
async def remove_queue_entry(ask: Ask[None]) -> Answer:
    """A call goes on, parked; hang it up if it is to end. 409 `not_waiting` for who is served or gone."""
    await queue_entries.remove(
        ask.services.database, ask.tenant_id, ask.path["queue_id"], ask.path["entry_id"]
    )
    return Answer(204)


@queues.operation(
    "PATCH",
    "/queues/{queue_id}/entries/{entry_id}",
    permission="queues:write",
    summary="Have somebody wait in another queue",
    body=EntryChange,
    answers=QueueEntry,
    paths=[QUEUE, ENTRY],
    problems=[404, 409],
)
async def move_queue_entry(ask: Ask[EntryChange]) -> Answer:
    """409 `not_waiting` for who is offered to somebody just now, or gone."""
    await store.get_queue(ask.services.database, ask.tenant_id, ask.body.queue_id)
    entry = await queue_tend.move(
        ask.services.database, ask.tenant_id, ask.path["queue_id"], ask.path["entry_id"], ask.body.queue_id
    )
    return json_answer(entry)


@queues.operation(
    "GET",
    "/queues/{queue_id}/members",
    permission="queues:read",
    summary="Who works in a queue",
    answers=Member,
    listing=True,
    paths=[QUEUE],
    problems=[404],
)
async def list_queue_members(ask: Ask[None]) -> Answer:
    """In the order in which they are asked: by tier, then by id."""
    rows = await store.members_of(ask.services.database, ask.tenant_id, ask.path["queue_id"])
    after = ask.query.page.after
    found = [one for one in rows if after is None or (one.tier, one.agent_id) > after]
    return rows_answer(ask, found[: ask.query.page.limit + 1], lambda one: (one.tier, one.agent_id))


@queues.operation(
    "PUT",
    "/queues/{queue_id}/members/{agent_id}",
    permission="queues:write",
    summary="Have an agent work in a queue",
    body=MemberTier,
    body_optional=True,
    answers=Member,
    paths=[QUEUE, MEMBER],
    problems=[404],
)
async def put_queue_member(ask: Ask[MemberTier | None]) -> Answer:
    """Again with another tier changes it."""
    tier = ask.body.tier if ask.body is not None else 1
    member = await store.put_member(
        ask.services.database,
        ask.tenant_id,
        ask.path["queue_id"],
        ask.path["agent_id"],
        tier=tier,
        request_id=ask.request_id,
    )
    return json_answer(member)


@queues.operation(
    "DELETE",
    "/queues/{queue_id}/members/{agent_id}",
    permission="queues:write",
    summary="Have an agent work in a queue no more",
    paths=[QUEUE, MEMBER],
    problems=[404],
)
async def remove_queue_member(ask: Ask[None]) -> Answer:
    """What they have from it goes on."""
    await store.remove_member(
        ask.services.database,
        ask.tenant_id,
        ask.path["queue_id"],
        ask.path["agent_id"],
        request_id=ask.request_id,
    )
    return Answer(204)


async def _queue(ask: Ask[Any]) -> Queue:
    return await store.get_queue(ask.services.database, ask.tenant_id, ask.path["queue_id"])


def live_of(loaded: queue_board.Loaded, queue_id: str, hour: Any, *, entries: bool = True) -> QueueLive:
    """A queue of a board; ``hour`` are the sums of its last hour."""
    board, now = loaded.board, loaded.moment_us
    board.look_at_hours(now)
    desk = board.desks[queue_id]
    counts = _agents(loaded, queue_id)
    serving = counts.ready + counts.reserved + counts.busy + counts.wrap_up
    handling = (hour.talk_us + hour.wrap_us) / hour.handled / 1e6 if hour.handled else HANDLING_S
    here = [one for one in board.entries.values() if one.queue_id == queue_id]
    shown = []
    for entry in here if entries else ():
        placed = board.lane_of(entry.id) is not None
        position = board.position(entry.id, now) if placed else None
        rank = board.rank(entry.id, now) if placed else 0.0
        guess = estimate_s(position, serving, handling) if position is not None else None
        waited = max(now - entry.entered_us, 0) / 1e6
        shown.append(Waiting(entry, position, rank, waited, guess, why(board, entry.id, now)))
    shown.sort(key=lambda one: (one.position is not None, -one.rank, one.entry.id))
    return QueueLive(
        queue_id=queue_id,
        at_us=now,
        open=desk.open,
        staffed=staffed(board, queue_id),
        agents=counts,
        waiting=len(here),
        longest_s=max((max(now - one.entered_us, 0) / 1e6 for one in here), default=0.0),
        entries=shown[:MOST_SHOWN],
    )


def _agents(loaded: queue_board.Loaded, queue_id: str) -> AgentCounts:
    board = loaded.board
    found = AgentCounts(0, 0, 0, 0, 0, 0)
    for agent_id in board.desks[queue_id].agents:
        seat = board.seats.get(agent_id)
        if seat is not None:
            name = (
                seat.agent.state if seat.agent.state == "offline" else seat.agent.activity or seat.agent.state
            )
            setattr(found, name, getattr(found, name) + 1)
    return found
