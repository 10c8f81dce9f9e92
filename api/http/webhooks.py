"""Webhooks: endpoints of a tenant's own programs that hear what happens, signed as Standard Webhooks says."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from api.http.answer import Answer, encode, json_answer
from api.http.ask import Ask
from api.http.events import EVENT_TYPES, MAX_SEQ
from api.http.lists import rows_answer, versioned
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.problem import bad_value
from api.http.shapes import Body, Name
from core.storage import webhooks as store
from core.storage.webhooks import Webhook
from core.webhook_urls import check_url

webhooks = Group("webhooks", "Endpoints that hear what happens, and what was delivered to them.")

WEBHOOK = Path("webhook_id", "The endpoint's id: `whe_…`.")
Url = Annotated[str, Meta(max_length=2000, pattern=whole(r"https?://[^\x00-\x20\x7f]+"))]
EventType = Annotated[str, Meta(max_length=80, pattern=whole(r"(\*|[a-z_]+(\.[a-z_]+)?(\.\*)?)"))]
Types = Annotated[list[EventType], Meta(min_length=1, max_length=500)]
AtOnce = Annotated[int, Meta(ge=1, le=16)]
Seq = Annotated[int, Meta(ge=0, le=MAX_SEQ)]
MAX_OVERLAP_S = 7 * 24 * 3600


class WebhookInfo(Struct):
    """One endpoint, and how it is. Times are microseconds since 1970, 0 where there is none."""

    id: str
    name: str
    url: str
    types: list[str]
    state: Literal["active", "disabled"]
    reason: str
    """Why it is switched off, for people."""
    at_once: int
    """Deliveries that may be under way together; with 1 they keep their order, except for repetitions."""
    place: int
    """The last number of the log that was looked at for it."""
    head: int
    """The newest number of the log."""
    old_secret_until_us: int
    """Until then deliveries carry a signature with the secret before the last rotation, too."""
    failing_since_us: int
    """The first failure since the last success."""
    last_delivered_us: int
    waiting: int
    """Deliveries that wait for their turn or their next try."""
    oldest_waiting_us: int
    delivered_day: int
    """Attempts of the last day that succeeded ..."""
    failed_day: int
    """... and those that did not."""
    version: int
    created_us: int
    updated_us: int


class NewWebhook(Body):
    url: Url
    name: Name = "Webhook"
    types: Types = field(default_factory=lambda: ["*"])
    """`call.ended`, groups such as `call.*`, or `*` for everything."""
    at_once: AtOnce = 4
    after_seq: Seq | None = None
    """It hears what comes after this number of the log; without it, what happens from now on."""


class CreatedWebhook(Struct):
    webhook: WebhookInfo
    secret: str | None
    """What signatures are made with: `whsec_…`. It is not shown again."""


class WebhookChange(Body):
    url: Url | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    types: Types | UnsetType = UNSET
    at_once: AtOnce | UnsetType = UNSET
    state: Literal["active", "disabled"] | UnsetType = UNSET
    """Switched on again it goes on where it was, as far as the log reaches."""


class SecretRotation(Body):
    overlap_s: Annotated[int, Meta(ge=0, le=MAX_OVERLAP_S)] = 86400
    """How long deliveries carry a signature with the old secret, too."""


@webhooks.operation(
    "GET",
    "/webhooks",
    permission="webhooks:read",
    summary="List endpoints, newest first",
    answers=WebhookInfo,
    listing=True,
)
async def list_webhooks(ask: Ask[None]) -> Answer:
    """A tenant has 100 at most. Never their secrets."""
    rows = await store.list_webhooks(ask.services.database, ask.tenant_id)
    after = ask.query.page.after
    found = [_info(row) for row in rows if after is None or (row.created_us, row.id) < after]
    return rows_answer(ask, found[: ask.query.page.limit + 1], lambda one: (one.created_us, one.id))


@webhooks.operation(
    "POST",
    "/webhooks",
    permission="webhooks:write",
    summary="Create an endpoint",
    body=NewWebhook,
    answers=CreatedWebhook,
    status=201,
    problems=[409],
)
async def create_webhook(ask: Ask[NewWebhook]) -> Answer:
    """Its secret is in this answer only: a repetition with the same `Idempotency-Key` answers without it.

    Addresses in private networks are refused, here and at every delivery.
    """
    body = ask.body
    made, secret = await store.create_webhook(
        ask.services.database,
        ask.tenant_id,
        secret=ask.services.secret,
        name=body.name,
        url=await check_url(body.url, ask.services.settings.webhook_networks),
        types=checked_types(body.types),
        at_once=body.at_once,
        after_seq=body.after_seq,
    )
    answer = _with_secret(made, secret, 201)
    answer.headers = [(b"location", f"/v1/webhooks/{made.id}".encode())]
    return answer


@webhooks.operation(
    "GET",
    "/webhooks/{webhook_id}",
    permission="webhooks:read",
    summary="One endpoint",
    answers=WebhookInfo,
    paths=[WEBHOOK],
    problems=[404],
    etag=True,
)
async def get_webhook(ask: Ask[None]) -> Answer:
    """Never its secret."""
    row = await store.get_webhook(ask.services.database, ask.tenant_id, ask.path["webhook_id"])
    return versioned(ask, _info(row))


@webhooks.operation(
    "PATCH",
    "/webhooks/{webhook_id}",
    permission="webhooks:write",
    summary="Change an endpoint",
    body=WebhookChange,
    answers=WebhookInfo,
    paths=[WEBHOOK],
    problems=[404, 412],
    etag=True,
    if_match=True,
)
async def update_webhook(ask: Ask[WebhookChange]) -> Answer:
    """Counts for the next delivery. Switching it on forgets what was said of its failures."""
    given: dict[str, Any] = {
        name: getattr(ask.body, name)
        for name in ask.body.__struct_fields__
        if getattr(ask.body, name) is not UNSET
    }
    if "types" in given:
        given["types"] = checked_types(given["types"])
    if "url" in given:
        # (an endpoint that is not ours is not found, whatever the address)
        await store.get_webhook(ask.services.database, ask.tenant_id, ask.path["webhook_id"])
        given["url"] = await check_url(given["url"], ask.services.settings.webhook_networks)
    row = await store.update_webhook(
        ask.services.database, ask.tenant_id, ask.path["webhook_id"], version=ask.if_match, **given
    )
    return versioned(ask, _info(row))


@webhooks.operation(
    "DELETE",
    "/webhooks/{webhook_id}",
    permission="webhooks:write",
    summary="Remove an endpoint",
    paths=[WEBHOOK],
    problems=[404],
)
async def delete_webhook(ask: Ask[None]) -> Answer:
    """It hears nothing more, and what waits for it is dropped."""
    await store.delete_webhook(ask.services.database, ask.tenant_id, ask.path["webhook_id"])
    return Answer(204)


@webhooks.operation(
    "POST",
    "/webhooks/{webhook_id}/secret/rotate",
    permission="webhooks:write",
    summary="Give an endpoint a new secret",
    body=SecretRotation,
    body_optional=True,
    answers=CreatedWebhook,
    paths=[WEBHOOK],
    problems=[404],
)
async def rotate_webhook_secret(ask: Ask[SecretRotation | None]) -> Answer:
    """For `overlap_s` (a day unless said otherwise) deliveries carry two signatures, so that nothing is missed."""
    overlap_s = ask.body.overlap_s if ask.body is not None else SecretRotation().overlap_s
    made, secret = await store.rotate_secret(
        ask.services.database,
        ask.tenant_id,
        ask.path["webhook_id"],
        secret=ask.services.secret,
        overlap_s=overlap_s,
    )
    return _with_secret(made, secret)


def _with_secret(made: Webhook, secret: str, status: int = 200) -> Answer:
    answer = json_answer(CreatedWebhook(_info(made), secret), status, etag=str(made.version))
    answer.kept = encode(CreatedWebhook(_info(made), None))
    return answer


def _info(row: Webhook) -> WebhookInfo:
    return WebhookInfo(**{name: getattr(row, name) for name in WebhookInfo.__struct_fields__})


def checked_types(types: list[str]) -> list[str]:
    """Each names something that can happen: one with a typing error would never hear anything."""
    for at, one in enumerate(types):
        group = one.removesuffix("*")
        if one != "*" and not (
            one in EVENT_TYPES or (one.endswith(".*") and any(kind.startswith(group) for kind in EVENT_TYPES))
        ):
            raise bad_value(f"/types/{at}", "nothing of this type ever happens: see GET /v1/event-types")
    return list(dict.fromkeys(types))
