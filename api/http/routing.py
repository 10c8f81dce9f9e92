"""Routing: rates, what would be decided for a number, what was decided and why, breakers, settings."""

import asyncio
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from api.http.answer import Answer, encode, json_answer
from api.http.ask import Ask
from api.http.carriers import CARRIER, Kind, Phone
from api.http.lists import one_answer, page_answer, rows_answer, versioned
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.problem import Invalid, Refused, bad_parameter, bad_value
from api.http.query import Filter, Param, int_param, plain
from api.http.shapes import Body, Name
from core.boards import plan, segments_of
from core.clock import now_us
from core.errors import RequestError
from core.model import rate_csv
from core.model.outcomes import gate
from core.model.policy import Purpose
from core.model.rates import Exchange
from core.model.routing import Candidate, Wanted
from core.storage import carriers as carrier_store
from core.storage import learning
from core.storage import rates as rate_store
from core.storage import routing as store
from core.storage.listing import list_json
from irisx_sdk import Address, Outbound, Text

routing = Group("routing", "By which carrier a message goes, and why.")

DECK = Path("deck_id", "The rate deck's id: `rdk_…`.")
DECISION = Path("decision_id", "The decision's id: `rtd_…`.")
MAX_CSV = 32 * 1024 * 1024
Currency = Annotated[str, Meta(pattern=whole(r"[A-Z]{3}"), description="ISO 4217, as `EUR`.")]
Moment = Annotated[int, Meta(ge=0, le=2**53)]
CarrierId = Annotated[str, Meta(pattern=whole(r"car_[0-9a-z]{1,40}"))]


class RateDeck(Struct):
    """A price list of a carrier. Times are microseconds since 1970."""

    id: str
    carrier_id: str
    name: str
    currency: str
    valid_from_us: int
    valid_to_us: int
    """From then on another one counts; 0: open."""
    rates: int
    """Rows that are used."""
    rejected: int
    """Rows that could not be read: see `/rejected`."""
    actor: str
    created_us: int


class RejectedRow(Struct):
    """A row that could not be used, and why."""

    line: int
    text: str
    reason: str


class NewRateDeck(Body):
    carrier_id: CarrierId
    name: Name
    currency: Currency
    csv: Annotated[str, Meta(min_length=1, max_length=250_000)]
    """The first line names the columns: `prefix`, `price`; also `connect_fee`, `minimum`, `increment`, `valid_from`,
    `valid_to`. Larger files: `/v1/rate-decks/import`."""
    valid_from_us: Moment = 0
    """0: at once. It ends the carrier's earlier decks then."""


class RouteCandidate(Struct, omit_defaults=True):
    """One carrier in a decision. Numbers are estimates, money in the tenant's routing currency."""

    carrier_id: str
    p: float = 0.0
    """The chance that it arrives."""
    cost: float = 0.0
    """The expected price."""
    tau_s: float = 0.0
    """Seconds that a failure takes."""
    index: float = 0.0
    """Carriers are asked in ascending order of it."""
    prefix: str = ""
    """The prefix whose rate it is."""
    skipped: Literal[
        "", "off", "no_account", "cannot", "not_allowed_there", "tried", "no_rate", "margin", "spend_cap", "limit",
        "breaker_open", "probing",
    ] = ""  # fmt: skip
    """Why it will not be asked; missing when it will."""
    probe: bool = False
    """Its breaker is half open: this message decides."""


class Simulation(Body):
    to: Phone
    kind: Kind = "sms"
    text: Annotated[str, Meta(max_length=20_000, pattern=whole(r"[^\x00]*"))] = ""
    """For the number of segments."""
    media: bool = False
    purpose: Purpose = "service"


class Simulated(Struct):
    """What would be done now; nothing is sent, and nothing is tried out."""

    to: str
    kind: Kind
    segments: int
    currency: str
    order: list[RouteCandidate]
    """In this order; the next one is asked only after a certain failure of the carrier before it."""
    skipped: list[RouteCandidate]


class RoutingDecision(Struct):
    """Why an attempt went by this carrier."""

    id: str
    message_id: str
    attempt: int
    """0: no carrier could take it."""
    kind: Kind
    prefix: str
    segments: int
    carrier_id: str
    channel_id: str
    explored: bool
    """The second best was taken, to learn."""
    probe: bool
    candidates: list[RouteCandidate]
    """Those that would have been asked, in order, then those that would not."""
    decided_us: int


class BreakerInfo(Struct):
    """A carrier's breaker that has counted failures."""

    carrier_id: str
    state: Literal["closed", "open", "half_open", "probing"]
    fails: int
    open_until_us: int
    probe_until_us: int


class ExchangeRate(Body):
    currency: Currency
    value: Annotated[float, Meta(gt=0, le=1_000_000)]
    """What one of it is worth in the routing currency."""
    from_us: Moment = 0


class RoutingSettings(Body):
    currency: Currency = "EUR"
    second_costs: Annotated[float, Meta(ge=0, le=1000)] = 0.002
    """What a second of delay is worth."""
    explore: Annotated[float, Meta(ge=0, le=0.02)] = 0.015
    """The share of messages that try the second best carrier; never codes and alarms."""
    exchange: Annotated[list[ExchangeRate], Meta(max_length=500)] = msgspec.field(default_factory=list)


class RoutingSettingsNow(Struct):
    """How a tenant is routed; 0 is the version of one that has set nothing."""

    currency: str
    second_costs: float
    explore: float
    exchange: list[ExchangeRate]
    version: int


@routing.operation(
    "GET",
    "/rate-decks",
    permission="routing:read",
    summary="List rate decks, newest first",
    answers=RateDeck,
    listing=True,
    filters=(Filter("id"), Filter("carrier_id"), Filter("currency"), Filter("created_us", "integer")),
)
async def list_rate_decks(ask: Ask[None]) -> Answer:
    """Also those that count no more."""
    page = await list_json(
        ask.services.database,
        ask.tenant_id,
        rate_store.DECKS,
        ask.query.conditions,
        limit=ask.query.page.limit,
        after=ask.query.page.after,
    )
    return page_answer(ask, page)


@routing.operation(
    "POST",
    "/rate-decks",
    permission="carriers:write",
    summary="Add a rate deck",
    body=NewRateDeck,
    answers=RateDeck,
    status=201,
    problems=[404],
)
async def create_rate_deck(ask: Ask[NewRateDeck]) -> Answer:
    """Rows that cannot be used are kept with their reasons, and spoil no other."""
    body = ask.body
    deck_id = await _import(
        ask,
        body.csv,
        pointer="/csv",
        carrier_id=body.carrier_id,
        name=body.name,
        currency=body.currency,
        valid_from_us=body.valid_from_us,
    )
    return Answer(
        201,
        await rate_store.get_deck(ask.services.database, ask.tenant_id, deck_id),
        headers=[(b"location", f"/v1/rate-decks/{deck_id}".encode())],
    )


def _matching(pattern: str, what: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def read(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(what)
        return text

    return read


IMPORT = (
    Param(
        "carrier_id",
        {"type": "string", "pattern": "^car_[0-9a-z]{1,40}$"},
        "Whose rates they are.",
        _matching(r"car_[0-9a-z]{1,40}", "not the id of a carrier"),
        required=True,
    ),
    Param(
        "currency",
        {"type": "string", "pattern": "^[A-Z]{3}$"},
        "ISO 4217.",
        _matching(r"[A-Z]{3}", "not a currency such as EUR"),
        required=True,
    ),
    Param("name", {"type": "string", "maxLength": 120}, "For people.", plain),
    int_param("valid_from_us", 0, 2**53, "From when it counts; at once where it is missing."),
)


@routing.operation(
    "POST",
    "/rate-decks/import",
    permission="carriers:write",
    summary="Upload a rate deck",
    takes="text/csv",
    answers=RateDeck,
    status=201,
    params=IMPORT,
    problems=[404, 413],
    idempotency="none",
    streaming=True,
)
async def import_rate_deck(ask: Ask[None]) -> Answer:
    """The body is the file, UTF-8, at most 32 MiB; as in `POST /v1/rate-decks` otherwise."""
    raw = await _whole(ask)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Invalid("the file is not UTF-8", code="invalid_text") from None
    deck_id = await _import(
        ask,
        text,
        pointer="",
        carrier_id=ask.value("carrier_id"),
        name=ask.value("name") or "Rates",
        currency=ask.value("currency"),
        valid_from_us=ask.value("valid_from_us", 0),
    )
    body = await rate_store.get_deck(ask.services.database, ask.tenant_id, deck_id)
    _, send = ask.transport
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"request-id", ask.request_id.encode()),
        (b"location", f"/v1/rate-decks/{deck_id}".encode()),
    ]
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body", "body": body})
    return Answer(201)


@routing.operation(
    "GET",
    "/rate-decks/{deck_id}",
    permission="routing:read",
    summary="One rate deck",
    answers=RateDeck,
    paths=[DECK],
    problems=[404],
    etag=True,
)
async def get_rate_deck(ask: Ask[None]) -> Answer:
    """Without its rates."""
    return one_answer(
        ask, await rate_store.get_deck(ask.services.database, ask.tenant_id, ask.path["deck_id"])
    )


@routing.operation(
    "GET",
    "/rate-decks/{deck_id}/rejected",
    permission="routing:read",
    summary="Rows of a rate deck that could not be used",
    answers=RejectedRow,
    listing=True,
    trimmed=False,
    paths=[DECK],
    problems=[404],
)
async def list_rejected_rates(ask: Ask[None]) -> Answer:
    """In the file's order."""
    after = ask.query.page.after
    rows = await rate_store.rejects_of(
        ask.services.database,
        ask.tenant_id,
        ask.path["deck_id"],
        after=after[0] if after else 0,
        limit=ask.query.page.limit + 1,
    )
    found = [RejectedRow(row["line"], row["text"], row["reason"]) for row in rows]
    return rows_answer(ask, found, lambda one: (one.line, ""))


@routing.operation(
    "POST",
    "/routing/simulate",
    permission="routing:read",
    summary="Which carrier a number would go by",
    body=Simulation,
    answers=Simulated,
    idempotency="none",
)
async def simulate_routing(ask: Ask[Simulation]) -> Answer:
    """The order of carriers for one message now, each with its numbers, and the others with what keeps them out."""
    body = ask.body
    ready = await ask.services.boards.get(ask.tenant_id, fresh=True)
    outbound = Outbound("", Address("phone", body.to), Text(body.text))
    wanted = Wanted(
        digits=body.to[1:],
        kind=body.kind,
        needs=frozenset({"text", "media"} if body.media else {"text"})
        if body.kind != "voice"
        else frozenset(),
        segments=segments_of(outbound),
        urgent=body.purpose == "transactional",
    )
    still = msgspec.structs.replace(ready, board=msgspec.structs.replace(ready.board, explore=0.0))
    found = plan(still, wanted)
    return json_answer(
        Simulated(
            to=body.to,
            kind=body.kind,
            segments=wanted.segments,
            currency=ready.currency,
            order=[_candidate(one) for one in found.order],
            skipped=[_candidate(one) for one in found.skipped],
        )
    )


@routing.operation(
    "GET",
    "/routing/decisions",
    permission="routing:read",
    summary="List routing decisions, newest first",
    answers=RoutingDecision,
    listing=True,
    filters=(
        Filter("id"),
        Filter("message_id"),
        Filter("kind", "word", ("sms", "voice", "email", "chat")),
        Filter("carrier_id"),
        Filter("channel_id"),
        Filter("prefix"),
        Filter("explored", "boolean"),
        Filter("probe", "boolean"),
        Filter("decided_us", "integer"),
    ),
)
async def list_routing_decisions(ask: Ask[None]) -> Answer:
    """One for every attempt of a routed message, with all that was looked at."""
    page = await list_json(
        ask.services.database,
        ask.tenant_id,
        store.DECISIONS,
        ask.query.conditions,
        limit=ask.query.page.limit,
        after=ask.query.page.after,
    )
    return page_answer(ask, page)


@routing.operation(
    "GET",
    "/routing/decisions/{decision_id}",
    permission="routing:read",
    summary="One routing decision",
    answers=RoutingDecision,
    paths=[DECISION],
    problems=[404],
    etag=True,
)
async def get_routing_decision(ask: Ask[None]) -> Answer:
    """Every carrier with its chance, price, delay and index, or why it was out."""
    return one_answer(
        ask, await store.get_decision(ask.services.database, ask.tenant_id, ask.path["decision_id"])
    )


@routing.operation(
    "GET",
    "/routing/breakers",
    permission="routing:read",
    summary="Breakers that have counted failures",
    answers=list[BreakerInfo],
)
async def list_breakers(ask: Ask[None]) -> Answer:
    """A carrier that is not in it has not failed since it worked last."""
    moment = now_us()
    facts = await store.read_facts(ask.services.database, ask.tenant_id, moment)
    return json_answer(
        [
            BreakerInfo(name, gate(one, moment), one.fails, one.open_until_us, one.probe_until_us)
            for name, one in sorted(facts.breakers.items())
        ]
    )


@routing.operation(
    "POST",
    "/routing/breakers/{carrier_id}/reset",
    permission="routing:write",
    summary="Close a carrier's breaker",
    paths=[CARRIER],
    problems=[404],
)
async def reset_breaker(ask: Ask[None]) -> Answer:
    """For when you know that it works again: its failures are forgotten."""
    carrier_id = ask.path["carrier_id"]
    await carrier_store.get_carrier(ask.services.database, ask.tenant_id, carrier_id)
    async with ask.services.database.tenant(ask.tenant_id) as connection:
        await learning.close_breakers(connection, ask.tenant_id, [carrier_id], now_us(), reset=True)
    return Answer(204)


@routing.operation(
    "GET",
    "/routing/settings",
    permission="routing:read",
    summary="How messages are routed",
    answers=RoutingSettingsNow,
    etag=True,
)
async def get_routing_settings(ask: Ask[None]) -> Answer:
    """The currency, what delay is worth, how much is tried out, and what other currencies are worth."""
    settings, version = await store.get_settings(ask.services.database, ask.tenant_id)
    return versioned(ask, _settings(settings, version))


@routing.operation(
    "PUT",
    "/routing/settings",
    permission="routing:write",
    summary="Change how messages are routed",
    body=RoutingSettings,
    answers=RoutingSettingsNow,
    problems=[412],
    etag=True,
    if_match=True,
)
async def put_routing_settings(ask: Ask[RoutingSettings]) -> Answer:
    """All of them. Senders follow within two seconds."""
    body = ask.body
    settings = store.Settings(
        body.currency,
        body.second_costs,
        body.explore,
        tuple(Exchange(one.currency, one.from_us, one.value) for one in body.exchange),
    )
    version = await store.put_settings(ask.services.database, ask.tenant_id, settings, version=ask.if_match)
    return versioned(ask, _settings(settings, version))


def _settings(settings: store.Settings, version: int) -> RoutingSettingsNow:
    return RoutingSettingsNow(
        settings.currency,
        settings.second_costs,
        settings.explore,
        [ExchangeRate(one.currency, one.value, one.from_us) for one in settings.exchange],
        version,
    )


def _candidate(one: Candidate) -> RouteCandidate:
    return msgspec.json.decode(encode(one), type=RouteCandidate)


async def _import(
    ask: Ask[Any], text: str, *, pointer: str, carrier_id: str, name: str, currency: str, valid_from_us: int
) -> str:
    if "\x00" in text:
        raise (
            bad_value(pointer, "has a NUL character") if pointer else Invalid("the file has a NUL character")
        )
    await carrier_store.get_carrier(ask.services.database, ask.tenant_id, carrier_id)
    try:
        # (a large one takes a second)
        deck = await asyncio.to_thread(rate_csv.read, text)
    except rate_csv.BadFile as exc:
        raise RequestError(str(exc), code="bad_rate_deck") from None
    moment = now_us()
    return await rate_store.write_deck(
        ask.services.database,
        ask.tenant_id,
        deck,
        carrier_id=carrier_id,
        name=name,
        currency=currency,
        valid_from_us=valid_from_us or moment,
        actor=ask.actor.id,
        now_us=moment,
    )


async def _whole(ask: Ask[Any]) -> bytes:
    receive, _ = ask.transport
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Invalid("the connection ended within the body", code="incomplete_body")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_CSV:
            raise Refused(413, "body_too_large", f"a rate deck has at most {MAX_CSV} bytes")
    if not body:
        raise bad_parameter("body", "the file is empty")
    return bytes(body)
