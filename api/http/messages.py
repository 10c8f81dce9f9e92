"""Messages of conversations: reading them, answering, and what became of each answer."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from api.http.answer import Answer
from api.http.ask import Ask
from api.http.attachments import MOST_FILES, AttachmentId, check_words, take_files
from api.http.conversations import CONVERSATION, Moment
from api.http.lists import one_answer, page_answer
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.problem import bad_value
from api.http.query import Filter
from api.http.shapes import Body
from core.clock import now_us
from core.errors import Conflict
from core.model.policy import Purpose
from core.storage import conversations as store
from core.storage import outbox
from core.storage.answering import give_way
from core.storage.database import Connection
from core.storage.starting import take_unassigned, type_of
from irisx_sdk import Text

messages = Group("messages", "What was written, in and out, and what became of it.")

MESSAGE = Path("message_id", "The message's id: `msg_…`.")


class MessageFile(Struct):
    """A file of a message; its bytes are at `/v1/attachments/{id}/content` once it is ready."""

    id: str
    name: str
    media_type: str
    size: int
    state: Literal["pending", "ready", "refused"]
    reason: str
    """Why it was refused; of one that is ready, why it is handed out to be saved only."""


class Reacted(Struct):
    """A sign that somebody put at a message."""

    contact_id: str
    name: str
    emoji: str


class Message(Struct):
    """One message. Times are microseconds since 1970, 0 where there is none."""

    id: str
    conversation_id: str
    contact_id: str
    channel_id: str
    kind: Literal["message", "note", "call", "system"]
    direction: Literal["in", "out", ""]
    state: str
    """`received`; or `queued`, `sent`, `delivered`, `read`, `failed`, `undelivered`, `unknown`, `cancelled`."""
    author: str
    sender: dict[str, Any] | None
    recipient: dict[str, Any] | None
    content: dict[str, Any]
    """By its `type`: text, media, location ..."""
    text: str
    reply_to: str
    call_id: str
    order_us: int
    """Its place in the conversation."""
    sent_us: int
    delivered_us: int
    read_us: int
    send_at_us: int
    segments: int
    price: float | None
    currency: str
    code: str
    reason: str
    """Why it did not go out, for people; of one in parts, which are missing."""
    reactions: list[Reacted]
    edited_us: int
    deleted_us: int
    """When its author took it back; its words are gone then."""
    files: list[MessageFile]
    version: int
    created_us: int


class NewText(Body):
    text: Annotated[str, Meta(max_length=20_000, pattern=whole(r"[^\x00]*"))]
    """May be empty when there are attachments."""
    attachments: Annotated[tuple[AttachmentId, ...], Meta(max_length=MOST_FILES)] = ()
    """Files that were uploaded to be sent (`POST /v1/attachments`), each with one message."""
    note: bool = False
    """For colleagues only: it is sent to nobody."""
    send_at_us: Moment = 0
    deadline_us: Moment = 0
    """After it nobody wants it any more; 0: never."""
    purpose: Purpose = "service"
    channel_id: Annotated[str, Meta(pattern=whole(r"(chn_[0-9a-z]{1,40})?"))] = ""
    """For a conversation that has calls only: the account to answer through. It has this account from then on; where the
    person has an open conversation through it already, the answer goes there."""
    to: Annotated[str, Meta(pattern=whole(r"(\+[1-9][0-9]{4,14})?"))] = ""
    """With `channel_id`: which of the person's numbers. Without it the one that called last, or the only one."""
    unless_assigned: bool = False
    """Answer only if nobody else has the conversation, and take it: of two who answer at once one gets a 409."""


class Attempt(Struct):
    """One try to send, and why it was made so."""

    number: int
    channel_id: str
    started_us: int
    ended_us: int
    outcome: str
    code: str
    reason: str
    decision: dict[str, Any]


class Receipt(Struct):
    """Something that the provider reported."""

    provider_id: str
    state: str
    at_us: int
    code: str
    reason: str
    received_us: int


FILTERS = (
    Filter("id"),
    Filter("kind", "word", ("message", "note", "call", "system")),
    Filter("direction", "word", ("in", "out")),
    Filter("state"),
    Filter("contact_id"),
    Filter("channel_id"),
    Filter("call_id"),
    Filter("created_us", "integer"),
)


@messages.operation(
    "GET",
    "/conversations/{conversation_id}/messages",
    permission="conversations:read",
    summary="List a conversation's messages, newest first",
    answers=Message,
    listing=True,
    paths=[CONVERSATION],
    problems=[404],
    filters=FILTERS,
)
async def list_messages(ask: Ask[None]) -> Answer:
    """In the order in which they were written, where the provider's times can be believed."""
    page = await store.list_messages(
        ask.services.database,
        ask.tenant_id,
        ask.query.conditions,
        conversation_id=ask.path["conversation_id"],
        limit=ask.query.page.limit,
        after=ask.query.page.after,
    )
    return page_answer(ask, page)


@messages.operation(
    "POST",
    "/conversations/{conversation_id}/messages",
    permission="conversations:write",
    summary="Answer, or leave a note",
    body=NewText,
    answers=Message,
    status=202,
    paths=[CONVERSATION],
    problems=[404, 409],
    idempotency="required",
)
async def create_message(ask: Ask[NewText]) -> Answer:
    """It goes back the way the last message came, or to somebody who only called by `channel_id`. 202: it is stored and will be sent; its state tells what became of
    it. Whether the receiver may be written to is decided right before it goes out."""
    body, conversation_id = ask.body, ask.path["conversation_id"]
    moment = now_us()
    check_words(body.text, body.attachments, note=body.note)
    async with ask.services.database.tenant(ask.tenant_id) as connection:
        way = await store.way_back(connection, ask.tenant_id, conversation_id)
        if body.channel_id and not body.note:
            await reaches_numbers(ask, connection, body.channel_id)
            way = await give_way(connection, ask.tenant_id, way, body.channel_id, body.to)
        if body.unless_assigned:
            await take_unassigned(
                connection,
                ask.tenant_id,
                conversation_id,
                ask.need_person().id,
                request_id=ask.request_id,
                now_us=moment,
            )
        if body.note:
            message_id = await store.add_note(
                connection,
                ask.tenant_id,
                way,
                text=body.text,
                author=ask.actor.id,
                now_us=moment,
                request_id=ask.request_id,
            )
        elif way.to is None or not way.channel_id:
            raise Conflict("nobody has written here yet: there is no way back", code="no_way_back")
        else:
            await take_files(ask, connection, body.attachments, way.channel_id)
            message_id = await outbox.enqueue(
                connection,
                ask.tenant_id,
                outbox.NewMessage(
                    conversation_id=way.conversation_id,
                    contact_id=way.contact_id,
                    channel_id=way.channel_id,
                    to=way.to,
                    content=Text(body.text),
                    author=ask.actor.id,
                    send_at_us=body.send_at_us,
                    deadline_us=body.deadline_us,
                    purpose=body.purpose,
                    files=body.attachments,
                    now_us=moment,
                ),
            )
    if not body.note:
        # (committed: whoever sends may look now)
        ask.services.later(ask.services.bus.ring(way.channel_id))
    return Answer(202, await store.get_message(ask.services.database, ask.tenant_id, message_id))


async def reaches_numbers(ask: Ask[Any], connection: Connection, channel_id: str) -> None:
    """Raises unless somebody's telephone number can be written to first through this account."""
    channel = ask.services.channels.known.get(await type_of(connection, ask.tenant_id, channel_id))
    if channel is not None and channel.address != "phone":
        raise bad_value("/channel_id", f"this account's addresses are of the kind {channel.address}")
    if channel is not None and not channel.capabilities.starts:
        raise Conflict("through this channel they have to write first", code="cannot_start")


@messages.operation(
    "GET",
    "/messages/{message_id}",
    permission="conversations:read",
    summary="One message",
    answers=Message,
    paths=[MESSAGE],
    problems=[404],
    etag=True,
)
async def get_message(ask: Ask[None]) -> Answer:
    """With what became of it."""
    body = await store.get_message(ask.services.database, ask.tenant_id, ask.path["message_id"])
    return one_answer(ask, body)


@messages.operation(
    "POST",
    "/messages/{message_id}/cancel",
    permission="conversations:write",
    summary="Take back what is not sent yet",
    answers=Message,
    paths=[MESSAGE],
    problems=[404, 409],
)
async def cancel_message(ask: Ask[None]) -> Answer:
    """409 when its provider may have it already."""
    message_id = ask.path["message_id"]
    await store.get_message(ask.services.database, ask.tenant_id, message_id)
    if not await outbox.cancel(ask.services.database, ask.tenant_id, message_id, now_us=now_us()):
        raise Conflict("it has gone out, or is about to", code="too_late")
    return Answer(200, await store.get_message(ask.services.database, ask.tenant_id, message_id))


@messages.operation(
    "GET",
    "/messages/{message_id}/attempts",
    permission="conversations:read",
    summary="The tries to send it",
    answers=list[Attempt],
    paths=[MESSAGE],
    problems=[404],
)
async def list_attempts(ask: Ask[None]) -> Answer:
    """Each with its decision: why this account, and what the policy said."""
    return Answer(200, await store.attempts_of(ask.services.database, ask.tenant_id, ask.path["message_id"]))


@messages.operation(
    "GET",
    "/messages/{message_id}/receipts",
    permission="conversations:read",
    summary="What the provider reported",
    answers=list[Receipt],
    paths=[MESSAGE],
    problems=[404],
)
async def list_receipts(ask: Ask[None]) -> Answer:
    """In the order in which it came; also what changed nothing."""
    return Answer(200, await store.receipts_of(ask.services.database, ask.tenant_id, ask.path["message_id"]))
