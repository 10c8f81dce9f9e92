"""Routing: rates, what would be decided for a number, what was decided and why, breakers, settings."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from api.http.answer import Answer, encode, json_answer
from api.http.ask import Ask
from api.http.carriers import CARRIER, Kind, Phone
from api.http.lists import one_answer, page_answer, versioned
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.problem import bad_value
from api.http.query import Filter
from api.http.rate_decks import Currency, Moment
from api.http.shapes import Body
from core.boards import plan, segments_of
from core.clock import now_us
from core.model.outcomes import gate
from core.model.policy import Purpose
from core.model.rates import Exchange
from core.model.routing import Candidate, Wanted
from core.storage import carriers as carrier_store
from core.storage import learning, route_plans
from core.storage import routing as store
from core.storage.listing import list_json
from irisx_sdk import Address, Outbound, Text

routing = Group("routing", "By which carrier a message goes, and why.")

DECISION = Path("decision_id", "The decision's id: `rtd_…`.")


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
        "", "off", "no_account", "cannot", "not_allowed_there", "plan", "tried", "no_rate", "margin", "spend_cap", "limit",
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
    plan_id: Annotated[str, Meta(pattern=whole(r"(rpl_[0-9a-z]{1,40})?"))] = ""
    """As if the draft of this plan were in force, instead of what is."""


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
    second_try: bool = True
    """What a carrier took and, by its own report and fault, did not deliver goes by another one, once. Never after an outcome
    that nobody knows, nor when the receiver was the reason."""


class RoutingSettingsNow(Struct):
    """How a tenant is routed; 0 is the version of one that has set nothing."""

    currency: str
    second_costs: float
    explore: float
    exchange: list[ExchangeRate]
    second_try: bool
    version: int


@routing.operation(
    "POST",
    "/routing/simulate",
    permission="routing:read",
    summary="Which carrier a number would go by",
    body=Simulation,
    answers=Simulated,
    problems=[404],
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
        purpose=body.purpose,
    )
    board = msgspec.structs.replace(ready.board, explore=0.0)
    if body.plan_id:
        draft = await route_plans.get_plan(ask.services.database, ask.tenant_id, body.plan_id)
        if draft.kind != body.kind:
            raise bad_value("/plan_id", f"this plan is about the kind {draft.kind}")
        board = msgspec.structs.replace(board, plans={**board.plans, body.kind: draft.steps})
    still = msgspec.structs.replace(ready, board=board)
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
        body.second_try,
    )
    version = await store.put_settings(ask.services.database, ask.tenant_id, settings, version=ask.if_match)
    return versioned(ask, _settings(settings, version))


def _settings(settings: store.Settings, version: int) -> RoutingSettingsNow:
    return RoutingSettingsNow(
        settings.currency,
        settings.second_costs,
        settings.explore,
        [ExchangeRate(one.currency, one.value, one.from_us) for one in settings.exchange],
        settings.second_try,
        version,
    )


def _candidate(one: Candidate) -> RouteCandidate:
    return msgspec.json.decode(encode(one), type=RouteCandidate)
