"""Conversations: what people wrote through any channel, and what is done about it."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.answer import Answer
from api.http.ask import Ask
from api.http.lists import one_answer, page_answer
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.query import Filter, QueryReader
from api.http.shapes import Body
from core.clock import now_us
from core.errors import Conflict
from core.model import conversing
from core.model.conversing import Move
from core.storage import channels as channel_store
from core.storage import conversation_people as people
from core.storage import conversations as store

conversations = Group("conversations", "What people wrote through any channel, and who answers.")

CONVERSATION = Path("conversation_id", "The conversation's id: `conv_…`.")
State = Literal["open", "pending", "snoozed", "resolved"]
UserId = Annotated[str, Meta(pattern=whole(r"(usr_[0-9a-z]{1,40})?"))]
Label = Annotated[str, Meta(min_length=1, max_length=60, pattern=whole(r"[^\x00-\x1f\x7f]*"))]
Moment = Annotated[int, Meta(ge=0, le=2**53)]


class Sla(Struct):
    """A promise and its clocks: microseconds since 1970, 0 for a clock that does not run."""

    policy: str
    first_reply_due_us: int
    next_reply_due_us: int
    resolution_due_us: int
    breached: list[Literal["first_reply", "next_reply", "resolution"]]


class Conversation(Struct):
    """One conversation. Times are microseconds since 1970, 0 where there is none."""

    id: str
    contact_id: str
    channel_id: str
    thread: str
    subject: str
    state: State
    priority: int
    labels: list[str]
    queue: str
    assignee: str
    """Who answers; empty while nobody does."""
    participants: list[str]
    snoozed_until_us: int
    waiting_since_us: int
    """Since when somebody waits for our answer."""
    first_inbound_us: int
    first_reply_us: int
    last_inbound_us: int
    last_message_us: int
    messages: int
    unread: int
    preview: str
    merged_into: str | None
    version: int
    created_us: int
    resolved_us: int
    sla: Sla | None
    """The promise that holds for it, if any."""


class NewConversation(Body):
    contact_id: Annotated[str, Meta(pattern=whole(r"ctc_[0-9a-z]{1,40}"))]
    channel_id: Annotated[str, Meta(pattern=whole(r"chn_[0-9a-z]{1,40}"))]
    """Through which account to write; the contact must have an address that it reaches."""
    subject: Annotated[str, Meta(max_length=300, pattern=whole(r"[^\x00-\x1f\x7f]*"))] = ""


class ConversationChange(Body):
    priority: Annotated[int, Meta(ge=-10, le=10)] | UnsetType = UNSET
    labels: Annotated[list[Label], Meta(max_length=50)] | UnsetType = UNSET
    """All of them."""
    subject: Annotated[str, Meta(max_length=300, pattern=whole(r"[^\x00-\x1f\x7f]*"))] | UnsetType = UNSET
    state: Literal["open", "pending"] | UnsetType = UNSET


class Assignment(Body):
    assignee: UserId = ""
    """Empty: nobody."""
    unless_assigned: bool = False
    """Only if nobody else has it: 409 `already_assigned` otherwise."""


class Snooze(Body):
    until_us: Moment


FILTERS = (
    Filter("id"),
    Filter("contact_id"),
    Filter("channel_id"),
    Filter("state", "word", ("open", "pending", "snoozed", "resolved")),
    Filter("priority", "integer"),
    Filter("queue"),
    Filter("assignee"),
    Filter("labels", "set"),
    Filter("waiting_since_us", "integer"),
    Filter("last_message_us", "integer"),
    Filter("created_us", "integer"),
    Filter("unread", "integer"),
)
LIST_QUERY = QueryReader(params=(), filters=FILTERS, paged=False, trimmed=False)
"""What may stand in a saved view."""


@conversations.operation(
    "GET",
    "/conversations",
    permission="conversations:read",
    summary="List conversations, newest message first",
    answers=Conversation,
    listing=True,
    filters=FILTERS,
)
async def list_conversations(ask: Ask[None]) -> Answer:
    """Those that became part of another one are not in it."""
    page = await store.list_conversations(
        ask.services.database,
        ask.tenant_id,
        ask.query.conditions,
        limit=ask.query.page.limit,
        after=ask.query.page.after,
    )
    return page_answer(ask, page)


@conversations.operation(
    "POST",
    "/conversations",
    permission="conversations:write",
    summary="Begin a conversation",
    body=NewConversation,
    answers=Conversation,
    status=201,
    problems=[404, 409],
)
async def create_conversation(ask: Ask[NewConversation]) -> Answer:
    """With somebody who has not written. Answers the open one with them on this account if there is one. Whether they
    may be written to is decided when a message goes out."""
    row = await channel_store.get_channel(ask.services.database, ask.tenant_id, ask.body.channel_id)
    channel = ask.services.channels.known.get(row.type)
    if channel is None:
        raise Conflict(
            "the plugin that brings this channel is not installed on this server", code="no_plugin"
        )
    if not channel.capabilities.starts:
        raise Conflict("on this channel they must write first", code="they_write_first")
    body, _ = await people.begin(
        ask.services.database,
        ask.tenant_id,
        contact_id=ask.body.contact_id,
        channel_id=ask.body.channel_id,
        kind=channel.address,
        subject=ask.body.subject,
        actor=ask.actor.id,
        request_id=ask.request_id,
    )
    return Answer(201, body)


@conversations.operation(
    "GET",
    "/conversations/{conversation_id}",
    permission="conversations:read",
    summary="One conversation",
    answers=Conversation,
    paths=[CONVERSATION],
    problems=[404],
    etag=True,
)
async def get_conversation(ask: Ask[None]) -> Answer:
    """Its messages are a list of their own."""
    body = await store.get_conversation(ask.services.database, ask.tenant_id, ask.path["conversation_id"])
    return one_answer(ask, body)


@conversations.operation(
    "PATCH",
    "/conversations/{conversation_id}",
    permission="conversations:write",
    summary="Change a conversation",
    body=ConversationChange,
    answers=Conversation,
    paths=[CONVERSATION],
    problems=[404, 409],
)
async def update_conversation(ask: Ask[ConversationChange]) -> Answer:
    """What is not given stays. A resolved one is opened again by `reopen`."""
    changes = {
        name: getattr(ask.body, name)
        for name in ask.body.__struct_fields__
        if getattr(ask.body, name) is not UNSET
    }
    state = changes.get("state")
    kind = "conversation.labelled" if "labels" in changes else "conversation.updated"
    if state is None:
        return await _change(ask, changes, kind=kind)
    move: Move = "open" if state == "open" else "pend"
    changes |= conversing.changes(move, at_us=now_us())
    return await _change(ask, changes, kind=kind, from_states=conversing.MOVES[move][0])


@conversations.operation(
    "POST",
    "/conversations/{conversation_id}/assign",
    permission="conversations:write",
    summary="Give it to somebody",
    body=Assignment,
    answers=Conversation,
    paths=[CONVERSATION],
    problems=[404, 409],
)
async def assign_conversation(ask: Ask[Assignment]) -> Answer:
    """Of two who take it at once with `unless_assigned`, one gets it."""
    body = await store.assign(
        ask.services.database,
        ask.tenant_id,
        ask.path["conversation_id"],
        ask.body.assignee,
        actor=ask.actor.id,
        unless_assigned=ask.body.unless_assigned,
        request_id=ask.request_id,
    )
    return Answer(200, body)


@conversations.operation(
    "POST",
    "/conversations/{conversation_id}/resolve",
    permission="conversations:write",
    summary="Resolve",
    answers=Conversation,
    paths=[CONVERSATION],
    problems=[404, 409],
)
async def resolve_conversation(ask: Ask[None]) -> Answer:
    """The next message of the same person begins a new one."""
    return await _move(ask, "resolve")


@conversations.operation(
    "POST",
    "/conversations/{conversation_id}/reopen",
    permission="conversations:write",
    summary="Open again",
    answers=Conversation,
    paths=[CONVERSATION],
    problems=[404, 409],
)
async def reopen_conversation(ask: Ask[None]) -> Answer:
    """409 when the same person has begun another one meanwhile: then that one is the open one."""
    return await _move(ask, "reopen")


@conversations.operation(
    "POST",
    "/conversations/{conversation_id}/snooze",
    permission="conversations:write",
    summary="Put away until later",
    body=Snooze,
    answers=Conversation,
    paths=[CONVERSATION],
    problems=[404, 409],
)
async def snooze_conversation(ask: Ask[Snooze]) -> Answer:
    """It comes back by itself at `until_us`, or when they write."""
    return await _move(ask, "snooze", until_us=ask.body.until_us)


@conversations.operation(
    "POST",
    "/conversations/{conversation_id}/read",
    permission="conversations:write",
    summary="Mark as read",
    answers=Conversation,
    paths=[CONVERSATION],
    problems=[404],
)
async def read_conversation(ask: Ask[None]) -> Answer:
    """For all who work in it: what one has read the others need not open."""
    return await _change(ask, {"unread": 0})


async def _move(ask: Ask[Any], move: Move, *, until_us: int = 0) -> Answer:
    return await _change(
        ask,
        conversing.changes(move, at_us=now_us(), until_us=until_us),
        kind=conversing.KINDS[move],
        from_states=conversing.MOVES[move][0],
    )


async def _change(ask: Ask[Any], changes: dict[str, Any], **more: Any) -> Answer:
    body = await store.change(
        ask.services.database,
        ask.tenant_id,
        ask.path["conversation_id"],
        changes,
        actor=ask.actor.id,
        request_id=ask.request_id,
        **more,
    )
    return Answer(200, body)
