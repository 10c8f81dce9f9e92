"""Reservations: what is offered to whom. For clients without signaling; agents' pages do the same over their socket."""

from typing import Annotated, Any

from msgspec import Meta

from api.http.agents import own_or_managed
from api.http.answer import Answer
from api.http.ask import Ask
from api.http.lists import page_answer, versioned
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.query import Filter
from api.http.shapes import Body
from core.errors import Conflict
from core.model.reservations import Reservation
from core.storage import queue_views
from core.storage import reservations as store

reservations = Group("reservations", "What is offered to agents, and what became of it.")

RESERVATION = Path("reservation_id", "The reservation's id: `rsv_…`.")
Said = Annotated[str, Meta(max_length=200, pattern=whole(r"[^\x00-\x1f\x7f]*"))]
Notes = Annotated[str, Meta(max_length=10_000, pattern=whole(r"[^\x00]*"))]


class Decline(Body):
    reason: Said = ""


class WrapUp(Body):
    """What a talk came to."""

    disposition: Said = ""
    notes: Notes = ""


class MoreTime(Body):
    seconds: Annotated[int, Meta(ge=1, le=3600)]


FILTERS = (
    Filter("agent_id"),
    Filter("queue_id"),
    Filter("kind", "word", ("call", "conversation")),
    Filter(
        "state",
        "word",
        ("offered", "accepted", "connected", "wrap_up", "done", "declined", "missed", "withdrawn", "failed"),
    ),
    Filter("call_id"),
    Filter("conversation_id"),
    Filter("disposition"),
    Filter("offered_us", "integer"),
)


@reservations.operation(
    "GET",
    "/reservations",
    permission="agents:read",
    summary="List reservations, newest first",
    answers=Reservation,
    listing=True,
    filters=FILTERS,
)
async def list_reservations(ask: Ask[None]) -> Answer:
    """`agent_id[eq]=agt_…` finds an agent's."""
    page = await queue_views.list_reservations(
        ask.services.database,
        ask.tenant_id,
        ask.query.conditions,
        limit=ask.query.page.limit,
        after=ask.query.page.after,
    )
    return page_answer(ask, page)


@reservations.operation(
    "GET",
    "/reservations/{reservation_id}",
    permission="agents:read",
    summary="One reservation",
    answers=Reservation,
    paths=[RESERVATION],
    problems=[404],
    etag=True,
)
async def get_reservation(ask: Ask[None]) -> Answer:
    """With what became of it."""
    return versioned(ask, await _one(ask))


@reservations.operation(
    "POST",
    "/reservations/{reservation_id}/accept",
    permission="agents:work",
    summary="Accept a conversation",
    answers=Reservation,
    paths=[RESERVATION],
    problems=[404, 409],
)
async def accept_reservation(ask: Ask[None]) -> Answer:
    """It is the agent's then. 409 `offer_gone` when it is not offered any more, `needs_phone` for a call: that takes a
    connected page, whose telephone is joined with the caller."""
    before = await _mine(ask)
    if before.kind == "call":
        raise Conflict("a call is accepted by the page that has the telephone", code="needs_phone")
    after = await store.accept(ask.services.database, ask.tenant_id, before.id, before.agent_id)
    return versioned(ask, after)


@reservations.operation(
    "POST",
    "/reservations/{reservation_id}/decline",
    permission="agents:work",
    summary="Decline an offer",
    body=Decline,
    body_optional=True,
    answers=Reservation,
    paths=[RESERVATION],
    problems=[404, 409],
)
async def decline_reservation(ask: Ask[Decline | None]) -> Answer:
    """Somebody else is asked. 409 `offer_gone` when it is not offered any more."""
    before = await _mine(ask)
    reason = ask.body.reason if ask.body is not None else ""
    after = await store.decline(
        ask.services.database, ask.tenant_id, before.id, before.agent_id, reason=reason
    )
    return versioned(ask, after)


@reservations.operation(
    "POST",
    "/reservations/{reservation_id}/wrapup",
    permission="agents:work",
    summary="End the wrap-up",
    body=WrapUp,
    body_optional=True,
    answers=Reservation,
    paths=[RESERVATION],
    problems=[404, 409],
)
async def finish_reservation(ask: Ask[WrapUp | None]) -> Answer:
    """The agent is free; of a conversation: it is theirs no more. 409 `not_in_wrap_up` while they talk or when it is done."""
    before = await _mine(ask)
    body = ask.body if ask.body is not None else WrapUp()
    after = await store.finish(
        ask.services.database,
        ask.tenant_id,
        before.id,
        before.agent_id,
        disposition=body.disposition,
        notes=body.notes,
    )
    return versioned(ask, after)


@reservations.operation(
    "POST",
    "/reservations/{reservation_id}/extend",
    permission="agents:work",
    summary="Take more time for the wrap-up",
    body=MoreTime,
    answers=Reservation,
    paths=[RESERVATION],
    problems=[404, 409],
)
async def extend_reservation(ask: Ask[MoreTime]) -> Answer:
    """An hour from now at most."""
    before = await _mine(ask)
    after = await store.extend(
        ask.services.database, ask.tenant_id, before.id, before.agent_id, seconds=ask.body.seconds
    )
    return versioned(ask, after)


async def _one(ask: Ask[Any]) -> Reservation:
    return await store.get_reservation(ask.services.database, ask.tenant_id, ask.path["reservation_id"])


async def _mine(ask: Ask[Any]) -> Reservation:
    """A reservation of the agent who asks, or of one whom they may act for. Raises `NotFound`, `NotAllowed`."""
    found = await _one(ask)
    await own_or_managed(ask, found.agent_id)
    return found
