"""Rate decks: what carriers ask for, as files that are read row by row."""

import asyncio
import re
from collections.abc import Callable
from typing import Annotated, Any

from msgspec import Meta, Struct

from api.http.answer import Answer
from api.http.ask import Ask
from api.http.body import answer_upload, read_body
from api.http.lists import one_answer, page_answer, rows_answer
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.problem import Invalid, bad_parameter, bad_value
from api.http.query import Filter, Param, int_param, plain
from api.http.shapes import Body, Name
from core.clock import now_us
from core.errors import RequestError
from core.model import rate_csv
from core.storage import carriers as carrier_store
from core.storage import rates as rate_store
from core.storage.listing import list_json

rate_decks = Group("routing")

DECK = Path("deck_id", "The rate deck's id: `rdk_…`.")
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


@rate_decks.operation(
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


@rate_decks.operation(
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


@rate_decks.operation(
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
    declared = ask.header(b"content-length").encode()
    raw = await read_body(declared, ask.transport[0], most=MAX_CSV, what="a rate deck")
    if not raw:
        raise bad_parameter("body", "the file is empty")
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
    return await answer_upload(ask, 201, body, [(b"location", f"/v1/rate-decks/{deck_id}".encode())])


@rate_decks.operation(
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


@rate_decks.operation(
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
