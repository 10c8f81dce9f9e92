"""What is done with conversations beside answering them: handing on, labels, people, presence."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.conversations import CONVERSATION, Conversation, Label
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.problem import bad_value
from api.http.shapes import Body
from core import presence
from core.clock import now_us
from core.model import automation as do
from core.model.automation import Action
from core.presence import Presence
from core.storage import acting
from core.storage import conversation_people as people
from core.storage import conversations as store

conversation_actions = Group("conversations")

UserId = Annotated[str, Meta(pattern=whole(r"usr_[0-9a-z]{1,40}"))]
USER = Path("user_id", "The person's id: `usr_…`.")
LABEL = Path("label", "The label's word.", r"[^/\x00-\x1f\x7f]{1,60}")


class Transfer(Body):
    to_user: Annotated[str, Meta(pattern=whole(r"(usr_[0-9a-z]{1,40})?"))] = ""
    to_queue: Annotated[str, Meta(max_length=120, pattern=whole(r"[^\x00-\x1f\x7f]*"))] = ""
    """Nobody has it then, until somebody takes it."""
    note: Annotated[str, Meta(max_length=10_000, pattern=whole(r"[^\x00]*"))] = ""
    """For whoever gets it."""


class AddLabels(Body):
    labels: Annotated[list[Label], Meta(min_length=1, max_length=50)]


class ConversationParticipant(Struct):
    """Somebody who follows a conversation without being its assignee."""

    user_id: str
    name: str


class NewParticipant(Body):
    user_id: UserId


class TypingNow(Body):
    typing: bool = True


class Looking(Body):
    here: bool = True


async def act(ask: Ask[Any], conversation_id: str, actions: list[Action]) -> None:
    """Do all of ``actions`` or none. Raises what `core.storage.acting` does."""
    async with ask.services.database.tenant(ask.tenant_id) as connection:
        acted = await acting.act(
            connection,
            ask.tenant_id,
            conversation_id,
            actions,
            actor=ask.actor.id,
            now_us=now_us(),
            strict=True,
            request_id=ask.request_id,
        )
    for channel_id in acted.ring:
        ask.services.later(ask.services.bus.ring(channel_id))


async def _acted(ask: Ask[Any], actions: list[Action]) -> Answer:
    conversation_id = ask.path["conversation_id"]
    await act(ask, conversation_id, actions)
    return Answer(200, await store.get_conversation(ask.services.database, ask.tenant_id, conversation_id))


@conversation_actions.operation(
    "POST",
    "/conversations/{conversation_id}/transfer",
    permission="conversations:write",
    summary="Hand it on",
    body=Transfer,
    answers=Conversation,
    paths=[CONVERSATION],
    problems=[404, 409],
)
async def transfer_conversation(ask: Ask[Transfer]) -> Answer:
    """To a person, to a queue, or to a person of a queue."""
    body = ask.body
    await store.get_conversation(ask.services.database, ask.tenant_id, ask.path["conversation_id"])
    if not body.to_user and not body.to_queue:
        raise bad_value("/to_user", "name a person or a queue")
    actions: list[Action] = []
    if body.to_queue:
        actions.append(do.Queue(body.to_queue))
    if body.to_user:
        actions.append(do.Assign(body.to_user))
    if body.note:
        actions.append(do.Note(body.note))
    return await _acted(ask, actions)


@conversation_actions.operation(
    "POST",
    "/conversations/{conversation_id}/labels",
    permission="conversations:write",
    summary="Add labels",
    body=AddLabels,
    answers=Conversation,
    paths=[CONVERSATION],
    problems=[404, 409],
)
async def add_labels(ask: Ask[AddLabels]) -> Answer:
    """Those that it has already stay as they are."""
    return await _acted(ask, [do.Label(add=tuple(ask.body.labels))])


@conversation_actions.operation(
    "DELETE",
    "/conversations/{conversation_id}/labels/{label}",
    permission="conversations:write",
    summary="Take a label away",
    answers=Conversation,
    paths=[CONVERSATION, LABEL],
    problems=[404, 409],
)
async def remove_label(ask: Ask[None]) -> Answer:
    """Nothing happens if it has no such label."""
    return await _acted(ask, [do.Label(remove=(ask.path["label"],))])


@conversation_actions.operation(
    "GET",
    "/conversations/{conversation_id}/participants",
    permission="conversations:read",
    summary="Who takes part",
    answers=list[ConversationParticipant],
    paths=[CONVERSATION],
    problems=[404],
)
async def list_conversation_participants(ask: Ask[None]) -> Answer:
    """In the order in which they came."""
    body = await people.participants(ask.services.database, ask.tenant_id, ask.path["conversation_id"])
    return Answer(200, body)


@conversation_actions.operation(
    "POST",
    "/conversations/{conversation_id}/participants",
    permission="conversations:write",
    summary="Let somebody take part",
    body=NewParticipant,
    answers=Conversation,
    paths=[CONVERSATION],
    problems=[404, 409],
)
async def add_conversation_participant(ask: Ask[NewParticipant]) -> Answer:
    """Whoever takes part already stays."""
    body = await people.add_participant(
        ask.services.database,
        ask.tenant_id,
        ask.path["conversation_id"],
        ask.body.user_id,
        actor=ask.actor.id,
        request_id=ask.request_id,
    )
    return Answer(200, body)


@conversation_actions.operation(
    "DELETE",
    "/conversations/{conversation_id}/participants/{user_id}",
    permission="conversations:write",
    summary="Let somebody go",
    paths=[CONVERSATION, USER],
    problems=[404],
)
async def remove_conversation_participant(ask: Ask[None]) -> Answer:
    """404 when they take no part."""
    await people.remove_participant(
        ask.services.database,
        ask.tenant_id,
        ask.path["conversation_id"],
        ask.path["user_id"],
        actor=ask.actor.id,
        request_id=ask.request_id,
    )
    return Answer(204)


@conversation_actions.operation(
    "GET",
    "/conversations/{conversation_id}/presence",
    permission="conversations:read",
    summary="Who is looking and who types",
    answers=Presence,
    paths=[CONVERSATION],
    problems=[404],
)
async def get_presence(ask: Ask[None]) -> Answer:
    """Right now: it runs out within half a minute, and is kept nowhere else."""
    conversation_id = await _mine(ask)
    return json_answer(await presence.who(ask.services.bus, ask.tenant_id, conversation_id))


@conversation_actions.operation(
    "POST",
    "/conversations/{conversation_id}/presence",
    permission="conversations:read",
    summary="Be seen looking at it",
    body=Looking,
    answers=Presence,
    paths=[CONVERSATION],
    problems=[404],
    idempotency="none",
)
async def be_present(ask: Ask[Looking]) -> Answer:
    """Every ten seconds while it is on the screen; `here: false` when it is left."""
    conversation_id = await _mine(ask)
    seen = await presence.look(
        ask.services.bus, ask.tenant_id, conversation_id, ask.actor.id, here=ask.body.here
    )
    return json_answer(seen)


@conversation_actions.operation(
    "POST",
    "/conversations/{conversation_id}/typing",
    permission="conversations:write",
    summary="Say that an answer is being written",
    body=TypingNow,
    answers=Presence,
    paths=[CONVERSATION],
    problems=[404],
    idempotency="none",
)
async def say_typing(ask: Ask[TypingNow]) -> Answer:
    """Every few seconds while keys are pressed. The first one holds a soft claim: `typing` in the answer names who has it,
    so a second one sees that somebody is answering already. It forbids nothing, and is not in the log."""
    conversation_id = await _mine(ask)
    seen = await presence.write(
        ask.services.bus, ask.tenant_id, conversation_id, ask.actor.id, typing=ask.body.typing
    )
    return json_answer(seen)


async def _mine(ask: Ask[Any]) -> str:
    """The conversation's id. Raises `NotFound` unless it is this tenant's."""
    conversation_id = ask.path["conversation_id"]
    await store.get_conversation(ask.services.database, ask.tenant_id, conversation_id)
    return conversation_id
