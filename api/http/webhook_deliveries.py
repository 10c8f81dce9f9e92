"""What was delivered to an endpoint, and having it delivered again."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.events import MAX_SEQ, LogItem
from api.http.lists import page_answer
from api.http.operation import Group, Path
from api.http.query import Filter
from api.http.shapes import Body
from api.http.webhooks import WEBHOOK, Types, checked_types
from core.model.webhooks import payload
from core.storage import webhook_log as store

webhook_deliveries = Group("webhooks")

DELIVERY = Path("delivery_id", "The delivery's id: `whd_…`.")
Number = Annotated[int, Meta(ge=1, le=MAX_SEQ)]


class Delivery(Struct):
    """One entry of the log for one endpoint. Times are microseconds since 1970, 0 where there is none."""

    id: str
    webhook_id: str
    seq: int
    type: str
    kind: Literal["event", "replay", "test"]
    state: Literal["waiting", "delivered", "failed"]
    tries: int
    """Since it was made due by the log or a person."""
    due_us: int
    """When it is tried (again)."""
    status: int
    """Of the last answer; 0 when there was none."""
    reason: str
    """Why it is not delivered, for people."""
    created_us: int
    ended_us: int


class DeliveryAttempt(Struct):
    """One try."""

    at_us: int
    took_ms: int
    status: int
    """0 when there was no answer; `error` says why."""
    error: str
    excerpt: str
    """The first kilobyte of the answer."""
    timestamp: int
    """As it was sent in `webhook-timestamp`."""
    signature: str
    """As it was sent in `webhook-signature`."""
    retry_after_s: float | None


class DeliveryDetail(Delivery):
    """With everything that was tried."""

    attempts: list[DeliveryAttempt]
    """The newest twenty."""
    webhook_id_header: str
    """What was sent in `webhook-id`: the entry's id; empty when the entry is not in the log any more."""
    payload: str | None
    """The bytes that were signed and sent; null when the entry is not in the log any more."""
    event: LogItem | None


class Replay(Body):
    from_seq: Number
    to_seq: Number
    types: Types | None = None
    """Only these; otherwise what the endpoint asked for."""


class Replayed(Struct):
    deliveries: int
    """How many entries are delivered again."""


FILTERS = (
    Filter("id"),
    Filter("state", "word", ("waiting", "delivered", "failed")),
    Filter("type"),
    Filter("kind", "word", ("event", "replay", "test")),
    Filter("seq", "integer"),
    Filter("status", "integer"),
)


@webhook_deliveries.operation(
    "GET",
    "/webhooks/{webhook_id}/deliveries",
    permission="webhooks:read",
    summary="List an endpoint's deliveries, newest first",
    answers=Delivery,
    paths=[WEBHOOK],
    problems=[404],
    listing=True,
    filters=FILTERS,
)
async def list_webhook_deliveries(ask: Ask[None]) -> Answer:
    """Delivered ones are kept for three days, failed ones for thirty."""
    page = await store.list_deliveries(
        ask.services.database,
        ask.tenant_id,
        ask.path["webhook_id"],
        ask.query.conditions,
        limit=ask.query.page.limit,
        after=ask.query.page.after,
    )
    return page_answer(ask, page)


@webhook_deliveries.operation(
    "GET",
    "/webhooks/{webhook_id}/deliveries/{delivery_id}",
    permission="webhooks:read",
    summary="One delivery, with its attempts",
    answers=DeliveryDetail,
    paths=[WEBHOOK, DELIVERY],
    problems=[404],
)
async def get_webhook_delivery(ask: Ask[None]) -> Answer:
    """With what was sent, so that a receiver's check can be tried again by hand."""
    raw, entry = await store.get_delivery(
        ask.services.database, ask.tenant_id, ask.path["webhook_id"], ask.path["delivery_id"]
    )
    told: dict[str, Any] = msgspec.json.decode(raw)
    event: dict[str, Any] | None = None if entry is None else msgspec.json.decode(entry)
    return json_answer(
        {
            **told,
            "webhook_id_header": "" if event is None else event["id"],
            "payload": None if entry is None else payload(entry).decode(),
            "event": event,
        }
    )


@webhook_deliveries.operation(
    "POST",
    "/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver",
    permission="webhooks:write",
    summary="Deliver something once more",
    paths=[WEBHOOK, DELIVERY],
    problems=[404, 409],
)
async def redeliver_webhook(ask: Ask[None]) -> Answer:
    """Now, under the same `webhook-id`, and with all of the retries behind it."""
    await store.redeliver(
        ask.services.database, ask.tenant_id, ask.path["webhook_id"], ask.path["delivery_id"]
    )
    return Answer(204)


@webhook_deliveries.operation(
    "POST",
    "/webhooks/{webhook_id}/replay",
    permission="webhooks:write",
    summary="Deliver a range of the log again",
    body=Replay,
    answers=Replayed,
    status=202,
    paths=[WEBHOOK],
    problems=[404, 409],
)
async def replay_webhook(ask: Ask[Replay]) -> Answer:
    """At most 10,000 entries at a time. Each comes under the id that it always had."""
    count = await store.replay(
        ask.services.database,
        ask.tenant_id,
        ask.path["webhook_id"],
        from_seq=ask.body.from_seq,
        to_seq=ask.body.to_seq,
        types=checked_types(ask.body.types) if ask.body.types else (),
    )
    return json_answer(Replayed(count), 202)


class Tested(Struct):
    delivery_id: str


@webhook_deliveries.operation(
    "POST",
    "/webhooks/{webhook_id}/test",
    permission="webhooks:write",
    summary="Send a test",
    answers=Tested,
    status=202,
    paths=[WEBHOOK],
    problems=[404, 409],
)
async def test_webhook(ask: Ask[None]) -> Answer:
    """An entry `webhook.tested`, delivered to this endpoint whatever types it asked for."""
    made = await store.send_test(ask.services.database, ask.tenant_id, ask.path["webhook_id"])
    return json_answer(Tested(made), 202)
