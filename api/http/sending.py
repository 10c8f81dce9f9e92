"""Writing first: to an address that nobody has written from yet, through an account, or by the best carrier."""

import re
from typing import Annotated, Literal

from msgspec import Meta

from api.http.answer import Answer
from api.http.ask import Ask
from api.http.attachments import MOST_FILES, AttachmentId, check_words, take_files
from api.http.conversations import Moment
from api.http.messages import Message
from api.http.operation import Group
from api.http.patterns import whole
from api.http.problem import bad_value
from api.http.shapes import Body
from core.clock import now_us
from core.errors import Conflict, RequestError
from core.model.policy import Purpose
from core.model.routing import takes
from core.storage import attachments, outbox
from core.storage import conversations as store
from core.storage.database import Connection
from core.storage.starting import open_place, type_of
from irisx_sdk import Address, Text

sending = Group("messages")

Value = Annotated[str, Meta(min_length=1, max_length=300, pattern=whole(r"[^\x00-\x1f\x7f]*"))]
PHONE = r"^\+[1-9][0-9]{4,14}$"


class To(Body):
    kind: Literal["phone", "email", "user"]
    value: Value
    """A number with its country code, a mail address, or an id at the provider."""
    name: Annotated[str, Meta(max_length=300, pattern=whole(r"[^\x00-\x1f\x7f]*"))] = ""


class FirstMessage(Body):
    to: To
    text: Annotated[str, Meta(max_length=20_000, pattern=whole(r"[^\x00]*"))]
    channel_id: Annotated[str, Meta(pattern=whole(r"(chn_[0-9a-z]{1,40})?"))] = ""
    """The account to send through; empty for `route`."""
    route: Literal["", "sms"] = ""
    """A kind of carrier: which one is decided when it is sent."""
    attachments: Annotated[tuple[AttachmentId, ...], Meta(max_length=MOST_FILES)] = ()
    """With `route` only carriers are asked whose accounts take all of them."""
    send_at_us: Moment = 0
    deadline_us: Moment = 0
    """After it nobody wants it any more; 0: never."""
    purpose: Purpose = "service"


@sending.operation(
    "POST",
    "/messages",
    permission="conversations:write",
    summary="Write to somebody first",
    body=FirstMessage,
    answers=Message,
    status=202,
    problems=[404, 409],
    idempotency="required",
)
async def send_message(ask: Ask[FirstMessage]) -> Answer:
    """Their contact and conversation are made where there are none. With `route` the message is bound to no provider until
    one has it: the next carrier is asked only after a certain failure, never after an outcome that nobody knows. Whether
    they may be written to is decided right before it goes out."""
    body, moment = ask.body, now_us()
    to = _address(body)
    check_words(body.text, body.attachments, note=False)
    async with ask.services.database.tenant(ask.tenant_id) as connection:
        if body.channel_id:
            channel = ask.services.channels.known.get(
                await type_of(connection, ask.tenant_id, body.channel_id)
            )
            if channel is not None and channel.address != to.kind:
                raise bad_value("/to/kind", f"this account's addresses are of the kind {channel.address}")
            if channel is not None and not channel.capabilities.starts:
                raise Conflict("through this channel they have to write first", code="cannot_start")
        place = await open_place(connection, ask.tenant_id, to, channel_id=body.channel_id, now_us=moment)
        if body.channel_id:
            await take_files(ask, connection, body.attachments, body.channel_id)
        elif body.attachments:
            await _take_routed(ask, connection, body)
        message_id = await outbox.enqueue(
            connection,
            ask.tenant_id,
            outbox.NewMessage(
                conversation_id=place.conversation_id,
                contact_id=place.contact_id,
                channel_id=body.channel_id,
                route=body.route,
                to=to,
                content=Text(body.text),
                author=ask.actor.id,
                send_at_us=body.send_at_us,
                deadline_us=body.deadline_us,
                purpose=body.purpose,
                files=body.attachments,
                now_us=moment,
            ),
        )
    ask.services.later(ask.services.bus.ring(body.channel_id or outbox.ROUTED))
    return Answer(202, await store.get_message(ask.services.database, ask.tenant_id, message_id))


async def _take_routed(ask: Ask[FirstMessage], connection: Connection, body: FirstMessage) -> None:
    """Lock the files of a message that no account has yet. Raises `RequestError` when no carrier there is takes them.

    Which of those that do will have it is decided when it goes out.
    """
    sizes = tuple(await attachments.take(connection, ask.tenant_id, body.attachments))
    ready = await ask.services.boards.get(ask.tenant_id, fresh=True)
    carriers = [one for one in ready.board.carriers if one.kind == body.route]
    if carriers and not any("media" in one.abilities and takes(one, sizes) for one in carriers):
        raise RequestError("no carrier takes these files", code="no_files_here")


def _address(body: FirstMessage) -> Address:
    if bool(body.channel_id) == bool(body.route):
        raise bad_value("/channel_id", "name either an account (channel_id) or a route")
    if body.route and body.to.kind != "phone":
        raise bad_value("/to/kind", "only a phone number can be routed")
    if body.to.kind == "phone" and not re.fullmatch(PHONE, body.to.value):
        raise bad_value("/to/value", "a number with its country code is wanted: +4930123456")
    if body.to.kind == "email" and "@" not in body.to.value[1:-1]:
        raise bad_value("/to/value", "this is not a mail address")
    return Address(body.to.kind, body.to.value, body.to.name)
