"""Several conversations at once: two that become one and part again, and the same done to many."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.content import ConversationId
from api.http.conversation_actions import act
from api.http.conversations import CONVERSATION, Conversation
from api.http.operation import Group
from api.http.patterns import whole
from api.http.problem import bad_value
from api.http.shapes import Body
from core.errors import IrisxError, PeerError
from core.model.automation import Actions
from core.storage import conversation_merges
from core.storage import conversations as store

conversation_groups = Group("conversations")

MessageId = Annotated[str, Meta(pattern=whole(r"msg_[0-9a-z]{1,40}"))]


class MergeInto(Body):
    gone: ConversationId
    """The one that becomes part of this one."""


class Split(Body):
    merge_id: Annotated[str, Meta(pattern=whole(r"(cmg_[0-9a-z]{1,40})?"))] = ""
    """Take this merge back."""
    messages: Annotated[list[MessageId], Meta(max_length=1000)] = msgspec.field(default_factory=list)
    """Or put these messages into a conversation of their own."""


class ConversationMerge(Struct):
    """What became part of a conversation."""

    id: str
    kept: str
    gone: str
    messages: int
    actor: str
    merged_us: int
    undone_us: int


class Bulk(Body):
    ids: Annotated[list[ConversationId], Meta(min_length=1, max_length=500)]
    actions: Actions
    """As in macros; for each conversation all of them or none."""


class BulkResult(Struct):
    """What became of one conversation."""

    id: str
    status: Literal["done", "refused", "failed"]
    """`refused`: it cannot be done (see `code`); `failed`: a part of ours was away, try again."""
    code: str = ""
    detail: str = ""


class BulkReport(Struct):
    done: int
    results: list[BulkResult]


@conversation_groups.operation(
    "POST",
    "/conversations/{conversation_id}/merge",
    permission="conversations:write",
    summary="Make another conversation part of it",
    body=MergeInto,
    answers=Conversation,
    paths=[CONVERSATION],
    problems=[404, 409],
)
async def merge_conversations(ask: Ask[MergeInto]) -> Answer:
    """Of the same person. What answers a message of the other one lands here; `split` takes it back."""
    body = await conversation_merges.merge(
        ask.services.database,
        ask.tenant_id,
        ask.path["conversation_id"],
        ask.body.gone,
        actor=ask.actor.id,
        request_id=ask.request_id,
    )
    return Answer(200, body)


@conversation_groups.operation(
    "GET",
    "/conversations/{conversation_id}/merges",
    permission="conversations:read",
    summary="What became part of it",
    answers=list[ConversationMerge],
    paths=[CONVERSATION],
    problems=[404],
)
async def list_conversation_merges(ask: Ask[None]) -> Answer:
    """Newest first, with those that were taken back."""
    body = await conversation_merges.merges_of(
        ask.services.database, ask.tenant_id, ask.path["conversation_id"]
    )
    return Answer(200, body)


@conversation_groups.operation(
    "POST",
    "/conversations/{conversation_id}/split",
    permission="conversations:write",
    summary="Make two of it",
    body=Split,
    answers=Conversation,
    paths=[CONVERSATION],
    problems=[404, 409],
)
async def split_conversation(ask: Ask[Split]) -> Answer:
    """Answers the other one: what was merged, or a new one of these messages."""
    await store.get_conversation(ask.services.database, ask.tenant_id, ask.path["conversation_id"])
    if bool(ask.body.merge_id) == bool(ask.body.messages):
        raise bad_value("/messages", "name a merge or some messages")
    body = await conversation_merges.split(
        ask.services.database,
        ask.tenant_id,
        ask.path["conversation_id"],
        merge_id=ask.body.merge_id,
        messages=list(ask.body.messages),
        actor=ask.actor.id,
        request_id=ask.request_id,
    )
    return Answer(200, body)


@conversation_groups.operation(
    "POST",
    "/conversations/bulk",
    permission="conversations:write",
    summary="Do the same to many",
    body=Bulk,
    answers=BulkReport,
)
async def bulk_conversations(ask: Ask[Bulk]) -> Answer:
    """Each by itself, with its own result: one that cannot be done holds up none of the others."""
    results = [await _one(ask, conversation_id) for conversation_id in dict.fromkeys(ask.body.ids)]
    return json_answer(BulkReport(sum(one.status == "done" for one in results), results))


async def _one(ask: Ask[Bulk], conversation_id: str) -> BulkResult:
    try:
        await act(ask, conversation_id, list(ask.body.actions))
    except PeerError as exc:
        return BulkResult(conversation_id, "failed", exc.code, exc.detail)
    except IrisxError as exc:
        return BulkResult(conversation_id, "refused", exc.code, exc.detail)
    return BulkResult(conversation_id, "done")
