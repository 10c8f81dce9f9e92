"""Carriers: who takes messages for money, by which accounts, within which limits, and how well they do."""

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.lists import rows_answer, versioned
from api.http.messages import Message
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.problem import bad_value
from api.http.shapes import Body, Name
from core.clock import now_us
from core.errors import Conflict
from core.storage import carriers as store
from core.storage import conversations as conversation_store
from core.storage import outbox
from core.storage.carriers import CarrierRow
from core.storage.starting import open_place
from irisx_sdk import Address, Text

carriers = Group("carriers", "Who takes messages for money: accounts, limits, health.")

CARRIER = Path("carrier_id", "The carrier's id: `car_…`.")
Kind = Literal["sms", "voice", "email", "chat"]
ChannelId = Annotated[str, Meta(pattern=whole(r"chn_[0-9a-z]{1,40}"))]
Prefixes = Annotated[list[Annotated[str, Meta(pattern=whole(r"[0-9]{1,15}"))]], Meta(max_length=500)]
Ability = Annotated[str, Meta(pattern=whole(r"[a-z][a-z0-9_]{0,39}"))]
Abilities = Annotated[list[Ability], Meta(max_length=40)]
Phone = Annotated[
    str, Meta(pattern=whole(r"\+[1-9][0-9]{4,14}"), description="With country code: `+4930123456`.")
]
Priority = Annotated[int, Meta(ge=-1000, le=1000)]
Amount = Annotated[str, Meta(max_length=24, pattern=whole(r"([0-9]{1,12}(\.[0-9]{1,10})?)?"))]


class CarrierLimits(Body):
    """What a carrier may be used for."""

    per_second: Annotated[float, Meta(ge=0, le=100_000)] = 0
    """Messages a second, over all servers; 0: as many as its accounts take."""
    spend_per_day: Amount = ""
    """In your routing currency, for a day of UTC; empty: no cap. It is checked before each message, so what is under way
    at that moment may exceed it."""
    only: Prefixes = msgspec.field(default_factory=list)
    """Prefixes that it may be used for, digits without `+`; empty: all."""
    never: Prefixes = msgspec.field(default_factory=list)


class Carrier(Struct):
    """Somebody who takes messages. Times are microseconds since 1970."""

    id: str
    name: str
    kind: Kind
    channel_ids: list[str]
    """Its accounts: any that works and has room is taken."""
    state: Literal["on", "off"]
    priority: int
    """Higher ones are asked first, whatever the index says."""
    pays: Literal["success", "submit"]
    """What costs: what arrived, or every try."""
    abilities: list[str]
    """What it can do beside what all of its accounts can."""
    limits: CarrierLimits
    version: int
    created_us: int
    updated_us: int


class NewCarrier(Body):
    name: Name
    kind: Kind = "sms"
    channel_ids: Annotated[list[ChannelId], Meta(max_length=50)] = msgspec.field(default_factory=list)
    state: Literal["on", "off"] = "on"
    priority: Priority = 0
    pays: Literal["success", "submit"] = "submit"
    abilities: Abilities = msgspec.field(default_factory=list)
    limits: CarrierLimits = msgspec.field(default_factory=CarrierLimits)


class CarrierChange(Body):
    name: Name | UnsetType = UNSET
    channel_ids: Annotated[list[ChannelId], Meta(max_length=50)] | UnsetType = UNSET
    state: Literal["on", "off"] | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    pays: Literal["success", "submit"] | UnsetType = UNSET
    abilities: Abilities | UnsetType = UNSET
    limits: CarrierLimits | UnsetType = UNSET
    """All of them."""


class CarrierHealth(Struct):
    """How a carrier does today (UTC)."""

    carrier_id: str
    day: str
    tries: int
    sent: int
    """What it took."""
    delivered: int
    undelivered: int
    """What it took, and receipts said that it did not arrive."""
    refused: int
    """Because of the receiver or the message."""
    failed: int
    """Because of the carrier itself."""
    throttled: int
    unknown: int
    success_share: float | None
    """Of the tries that were not refused or throttled, those that it took and did not fail to deliver; null without any."""
    answer_s: float | None
    """Mean seconds until it answered a try."""
    spend: str
    currency: str
    breaker: Literal["closed", "open", "half_open", "probing"]
    open_until_us: int
    fails: int
    """Failures of its own in a row."""
    reason: str
    """Of the last of them."""


class CarrierTest(Body):
    to: Phone
    """Where the test goes: a real message, which costs what messages cost."""
    text: Annotated[str, Meta(min_length=1, max_length=160, pattern=whole(r"[^\x00]*"))] = "Test"


@carriers.operation(
    "GET",
    "/carriers",
    permission="carriers:read",
    summary="List carriers, newest first",
    answers=Carrier,
    listing=True,
)
async def list_carriers(ask: Ask[None]) -> Answer:
    """A tenant has some dozens."""
    rows = await store.list_carriers(ask.services.database, ask.tenant_id)
    after = ask.query.page.after
    found = [row for row in rows if after is None or (row.created_us, row.id) < after]
    return rows_answer(ask, found[: ask.query.page.limit + 1], lambda one: (one.created_us, one.id))


@carriers.operation(
    "POST",
    "/carriers",
    permission="carriers:write",
    summary="Add a carrier",
    body=NewCarrier,
    answers=Carrier,
    status=201,
    problems=[409],
)
async def create_carrier(ask: Ask[NewCarrier]) -> Answer:
    """An account belongs to one carrier at most. It is used as soon as it has rates."""
    row = await store.create_carrier(
        ask.services.database, ask.tenant_id, _given(ask.body), actor=ask.actor.id
    )
    answer = versioned(ask, row, 201)
    answer.headers = [*answer.headers, (b"location", f"/v1/carriers/{row.id}".encode())]
    return answer


@carriers.operation(
    "GET",
    "/carriers/{carrier_id}",
    permission="carriers:read",
    summary="One carrier",
    answers=Carrier,
    paths=[CARRIER],
    problems=[404],
    etag=True,
)
async def get_carrier(ask: Ask[None]) -> Answer:
    """With its accounts and limits."""
    return versioned(ask, await _carrier(ask))


@carriers.operation(
    "PATCH",
    "/carriers/{carrier_id}",
    permission="carriers:write",
    summary="Change a carrier",
    body=CarrierChange,
    answers=Carrier,
    paths=[CARRIER],
    problems=[404, 409, 412],
    etag=True,
    if_match=True,
)
async def update_carrier(ask: Ask[CarrierChange]) -> Answer:
    """Senders follow within two seconds."""
    return versioned(ask, await _changed(ask, _given(ask.body), ask.if_match))


@carriers.operation(
    "DELETE",
    "/carriers/{carrier_id}",
    permission="carriers:write",
    summary="Remove a carrier",
    paths=[CARRIER],
    problems=[404],
)
async def delete_carrier(ask: Ask[None]) -> Answer:
    """Its accounts stay connected; what was decided and counted stays."""
    await store.delete_carrier(
        ask.services.database, ask.tenant_id, ask.path["carrier_id"], actor=ask.actor.id
    )
    return Answer(204)


@carriers.operation(
    "POST",
    "/carriers/{carrier_id}/enable",
    permission="carriers:write",
    summary="Use a carrier",
    answers=Carrier,
    paths=[CARRIER],
    problems=[404],
)
async def enable_carrier(ask: Ask[None]) -> Answer:
    """The same as a change of its state."""
    return versioned(ask, await _changed(ask, {"state": "on"}, None))


@carriers.operation(
    "POST",
    "/carriers/{carrier_id}/disable",
    permission="carriers:write",
    summary="Use a carrier no more",
    answers=Carrier,
    paths=[CARRIER],
    problems=[404],
)
async def disable_carrier(ask: Ask[None]) -> Answer:
    """What waits goes by others; what is under way ends."""
    return versioned(ask, await _changed(ask, {"state": "off"}, None))


@carriers.operation(
    "GET",
    "/carriers/{carrier_id}/health",
    permission="carriers:read",
    summary="How a carrier does",
    answers=CarrierHealth,
    paths=[CARRIER],
    problems=[404],
)
async def get_carrier_health(ask: Ask[None]) -> Answer:
    """Counted from every attempt and every receipt of today (UTC)."""
    carrier_id = ask.path["carrier_id"]
    found = await store.health_of(ask.services.database, ask.tenant_id, carrier_id)
    ready = await ask.services.boards.get(ask.tenant_id)
    counted = found.tries - found.refused - found.throttled
    good = found.sent - found.undelivered
    return json_answer(
        CarrierHealth(
            carrier_id=carrier_id,
            day=found.day,
            tries=found.tries,
            sent=found.sent,
            delivered=found.delivered,
            undelivered=found.undelivered,
            refused=found.refused,
            failed=found.failed,
            throttled=found.throttled,
            unknown=found.unknown,
            success_share=round(min(max(good / counted, 0.0), 1.0), 4) if counted > 0 else None,
            answer_s=round(found.took_s / found.tries, 4) if found.tries else None,
            spend=found.spend,
            currency=ready.currency,
            breaker=store.gate_of(found, now_us()),
            open_until_us=found.open_until_us,
            fails=found.fails,
            reason=found.reason,
        )
    )


@carriers.operation(
    "POST",
    "/carriers/{carrier_id}/test",
    permission="carriers:write",
    summary="Send a test message through a carrier",
    body=CarrierTest,
    answers=Message,
    status=202,
    paths=[CARRIER],
    problems=[404, 409],
    idempotency="required",
)
async def test_carrier(ask: Ask[CarrierTest]) -> Answer:
    """Through the first of its accounts that works, whatever routing would say; 409 when none does."""
    carrier, moment = await _carrier(ask), now_us()
    ready = await ask.services.boards.get(ask.tenant_id, fresh=True)
    accounts = [name for name in carrier.channel_ids if name in ready.accounts.get(carrier.id, ())]
    if not accounts or carrier.kind != "sms":
        raise Conflict("it has no account that can send a text message now", code="no_account")
    to = Address("phone", ask.body.to)
    async with ask.services.database.tenant(ask.tenant_id) as connection:
        place = await open_place(connection, ask.tenant_id, to, channel_id=accounts[0], now_us=moment)
        message_id = await outbox.enqueue(
            connection,
            ask.tenant_id,
            outbox.NewMessage(
                conversation_id=place.conversation_id,
                contact_id=place.contact_id,
                channel_id=accounts[0],
                to=to,
                content=Text(ask.body.text),
                author=ask.actor.id,
                now_us=moment,
            ),
        )
    ask.services.later(ask.services.bus.ring(accounts[0]))
    return Answer(202, await conversation_store.get_message(ask.services.database, ask.tenant_id, message_id))


async def _carrier(ask: Ask[Any]) -> CarrierRow:
    return await store.get_carrier(ask.services.database, ask.tenant_id, ask.path["carrier_id"])


async def _changed(ask: Ask[Any], given: dict[str, Any], version: int | None) -> CarrierRow:
    return await store.update_carrier(
        ask.services.database,
        ask.tenant_id,
        ask.path["carrier_id"],
        given,
        version=version,
        actor=ask.actor.id,
    )


def _given(body: Struct) -> dict[str, Any]:
    """What the body says; the limits as they are stored."""
    given = {name: getattr(body, name) for name in body.__struct_fields__ if getattr(body, name) is not UNSET}
    if "limits" in given:
        limits = given["limits"]
        try:
            Decimal(limits.spend_per_day or "0")
        except InvalidOperation:
            raise bad_value("/limits/spend_per_day", "a decimal number is wanted") from None
        given["limits"] = store.Limits(
            per_second=limits.per_second,
            spend_per_day=limits.spend_per_day,
            only=tuple(limits.only),
            never=tuple(limits.never),
        )
    return given
