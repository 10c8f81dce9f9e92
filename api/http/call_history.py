"""What happened to a call, in order: its entries of the log, and its timeline."""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.calls import CALL, call_json, read_call
from api.http.events import AFTER_SEQ, TYPES, LogItem, LogPage, log_page
from api.http.health import parse_moment
from api.http.operation import Group
from api.http.query import int_param
from api.http.timeline import TYPE as ORDERED
from core import log
from core.model.records import Call

call_history = Group("calls")

MOST_MOMENTS = 1000


class Moment(Struct):
    """One line of a call's timeline."""

    at_us: int
    kind: Literal["event", "order"]
    """What happened, or what somebody asked for."""
    type: str
    """`call.answered` …, or the order: `call.hold`."""
    leg: str
    """The leg it is about; empty: the call."""
    seq: int
    """Its number in the log."""
    data: dict[str, Any]


class Trace(Struct):
    """A call's timeline, oldest first."""

    call: Call
    data: list[Moment]
    has_more: bool
    """True when it has more lines than one answer holds: read on with `/events`."""


@call_history.operation(
    "GET",
    "/calls/{call_id}/events",
    permission="calls:read",
    summary="The log's entries about a call",
    answers=LogPage,
    paths=[CALL],
    params=[AFTER_SEQ, int_param("limit", 1, 200, "At most so many.", 50), TYPES],
    problems=[404],
)
async def list_call_events(ask: Ask[None]) -> Answer:
    """Oldest first, each with the call as it was then."""
    call_id, limit = ask.path["call_id"], ask.value("limit", 50)
    await call_json(ask, call_id)
    oldest, head = await log.bounds(ask.services.database, ask.tenant_id)
    found = await log.read(
        ask.services.database,
        ask.tenant_id,
        after_seq=ask.value("after_seq", 0),
        limit=limit + 1,
        types=ask.value("types", ()),
        resource=call_id,
    )
    return Answer(200, log_page(found, limit, oldest, head))


@call_history.operation(
    "GET",
    "/calls/{call_id}/trace",
    permission="calls:read",
    summary="A call's timeline",
    answers=Trace,
    paths=[CALL],
    problems=[404],
)
async def get_call_trace(ask: Ask[None]) -> Answer:
    """What happened and what was asked, in one line of time, without the call's document in every entry."""
    call = await read_call(ask, ask.path["call_id"])
    found = await log.read(ask.services.database, ask.tenant_id, limit=MOST_MOMENTS + 1, resource=call.id)
    items = [msgspec.json.decode(body, type=LogItem) for body in found[:MOST_MOMENTS]]
    moments = sorted((_moment(item) for item in items), key=lambda one: (one.at_us, one.seq))
    return json_answer(Trace(call, moments, len(found) > MOST_MOMENTS))


def _moment(item: LogItem) -> Moment:
    at_us = round(parse_moment(item.occurred_at) * 1e6)
    data = {name: value for name, value in item.data.items() if name != "call"}
    if item.type == ORDERED:
        leg = str(data.get("args", {}).get("leg", ""))
        return Moment(at_us, "order", str(data.get("action", "")), leg, item.seq, data)
    return Moment(at_us, "event", item.type, str(data.get("leg", "")), item.seq, data)
