"""Finding conversations by what was said, reading what happened to one, and taking it along."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from api.http.answer import Answer
from api.http.ask import Ask
from api.http.conversations import CONVERSATION, Label, Moment, State, UserId
from api.http.events import LogItem
from api.http.lists import page_answer
from api.http.operation import Group
from api.http.patterns import whole
from api.http.query import decode_cursor
from api.http.shapes import Body
from core.storage import conversation_search as store
from core.storage import conversations as conversation_store

conversation_search = Group("conversations")

Id = Annotated[str, Meta(max_length=60, pattern=whole(r"[a-z0-9_]*"))]


class Search(Body):
    text: Annotated[str, Meta(min_length=1, max_length=300, pattern=whole(r"[^\x00]*"))]
    """Words that must all be there, in any order; `"in quotes"` together, `-without`, `this or that`."""
    states: Annotated[list[State], Meta(max_length=4)] = []  # noqa: RUF012 - msgspec copies it
    channel_id: Id = ""
    contact_id: Id = ""
    assignee: UserId = ""
    queue: Annotated[str, Meta(max_length=120, pattern=whole(r"[^\x00]*"))] = ""
    labels: Annotated[list[Label], Meta(max_length=20)] = []  # noqa: RUF012
    """All of them."""
    direction: Literal["", "in", "out"] = ""
    from_us: Moment = 0
    to_us: Moment = 0
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(max_length=300)] | None = None


class Hit(Struct):
    """A message that holds the words."""

    message_id: str
    conversation_id: str
    kind: Literal["message", "note", "call", "system"]
    direction: Literal["in", "out", ""]
    author: str
    at_us: int
    excerpt: str
    contact_id: str
    contact_name: str
    channel_id: str
    state: State
    assignee: str
    labels: list[str]


class Hits(Struct):
    data: list[Hit]
    has_more: bool
    next_cursor: str | None


@conversation_search.operation(
    "POST",
    "/conversations/search",
    permission="conversations:read",
    summary="Find messages by their words",
    body=Search,
    answers=Hits,
    idempotency="none",
    bucket="reads",
)
async def search_conversations(ask: Ask[Search]) -> Answer:
    """Newest first, with the conversation of each. Words are compared as they are, in any language: no endings are cut."""
    body = ask.body
    page = await store.search(
        ask.services.database,
        ask.tenant_id,
        store.Sought(
            text=body.text,
            states=body.states,
            channel_id=body.channel_id,
            contact_id=body.contact_id,
            assignee=body.assignee,
            queue=body.queue,
            labels=body.labels,
            direction=body.direction,
            from_us=body.from_us,
            to_us=body.to_us,
        ),
        limit=body.limit,
        after=decode_cursor(body.cursor) if body.cursor else None,
    )
    return page_answer(ask, page)


@conversation_search.operation(
    "GET",
    "/conversations/{conversation_id}/events",
    permission="conversations:read",
    summary="What happened to it, newest first",
    answers=LogItem,
    listing=True,
    trimmed=False,
    paths=[CONVERSATION],
    problems=[404],
)
async def list_conversation_events(ask: Ask[None]) -> Answer:
    """The entries of the log that are about the conversation itself, as long as the log keeps them."""
    conversation_id = ask.path["conversation_id"]
    await conversation_store.get_conversation(ask.services.database, ask.tenant_id, conversation_id)
    page = await store.happened(
        ask.services.database,
        ask.tenant_id,
        conversation_id,
        limit=ask.query.page.limit,
        after=ask.query.page.after,
    )
    return page_answer(ask, page)


@conversation_search.operation(
    "POST",
    "/conversations/{conversation_id}/transcript",
    permission="conversations:read",
    summary="What was said, as a text",
    answers=str,
    media="text/plain",
    paths=[CONVERSATION],
    problems=[404],
    idempotency="none",
    bucket="reads",
)
async def make_transcript(ask: Ask[None]) -> Answer:
    """Without notes: it can be given to the one it is about. Times are UTC; the newest 5,000 messages."""
    title, lines = await _said(ask)
    return _file(ask, store.as_text(title, lines), b"text/plain", "txt")


@conversation_search.operation(
    "POST",
    "/conversations/{conversation_id}/transcript/html",
    permission="conversations:read",
    summary="What was said, as a page",
    answers=str,
    media="text/html",
    paths=[CONVERSATION],
    problems=[404],
    idempotency="none",
    bucket="reads",
)
async def make_html_transcript(ask: Ask[None]) -> Answer:
    """The same as a page to be saved: without scripts, pictures and addresses of others."""
    title, lines = await _said(ask)
    return _file(ask, store.as_html(title, lines), b"text/html", "html")


async def _said(ask: Ask[Any]) -> tuple[str, list[store.Line]]:
    return await store.transcript(
        ask.services.database, ask.tenant_id, ask.path["conversation_id"], notes=False
    )


def _file(ask: Ask[Any], text: str, media: bytes, ending: str) -> Answer:
    name = f"{ask.path['conversation_id']}.{ending}".encode()
    headers = [(b"content-disposition", b'attachment; filename="%s"' % name)]
    return Answer(200, text.encode(), media=media + b"; charset=utf-8", headers=headers)
