"""Calls: what is going on, what went on, and placing new ones. Acting on a live call is in `call_actions`."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from api.http import orders
from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.lists import one_answer, page_answer
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.query import Filter, bool_param
from api.http.shapes import Body, PhoneOrTarget
from core.errors import NotFound
from core.model.records import CALL_STATES, Call, Leg
from core.storage import calls as call_store
from core.storage.listing import Page

calls = Group("calls", "Live and finished calls: look, place, act, and see what happened in order.")

CALL = Path("call_id", "The call's id: `call_…`.")
NodeId = Annotated[str, Meta(pattern=whole(r"node_[0-9a-z]{1,40}"))]
TimeoutS = Annotated[int, Meta(ge=1, le=120, description="How long it may ring.")]
From = Annotated[
    str, Meta(pattern=whole(r"\+?[0-9*#]{1,32}"), description="The number to show: `+14155550100`.")
]
CallerName = Annotated[
    str,
    Meta(
        max_length=80, pattern=whole(r"""[^\x00-\x1f\x7f'"\\{}\[\]<>,^]*"""), description="The name to show."
    ),
]


class Originate(Body):
    """A call to place."""

    to: PhoneOrTarget
    """A number (`+14155550100`) or a registered phone (`user:NAME` or `user:NAME@domain`)."""
    bridge_to: PhoneOrTarget | None = None
    """Whom to join with whoever answers. Without it the answered leg waits, parked, for what you do next."""
    from_: From | None = msgspec.field(name="from", default=None)
    caller_name: CallerName | None = None
    node: NodeId | None = None
    """The switch to use; without it the least busy active one."""
    timeout_s: TimeoutS | None = None


class CallChanged(Struct):
    """What came of an action: the call as it is after it, and what the action found out."""

    call: Call
    result: dict[str, Any]


class LegList(Struct):
    """The legs of a call, in the order in which they came."""

    data: list[Leg]


FILTERS = (
    Filter("state", "word", CALL_STATES),
    Filter("direction", "word", ("inbound", "outbound")),
    Filter("caller"),
    Filter("destination"),
    Filter("node"),
    Filter("hangup_cause"),
    Filter("created_us", "integer"),
    Filter("answered_us", "integer"),
    Filter("ended_us", "integer"),
)


@calls.operation(
    "GET",
    "/calls",
    permission="calls:read",
    summary="List calls, newest first",
    answers=Call,
    listing=True,
    filters=FILTERS,
    params=[bool_param("live", "true (unless you say otherwise): only live calls; false: only ended ones")],
)
async def list_calls(ask: Ask[None]) -> Answer:
    """Live calls by default. With `live=false` the ended ones; a filter on `state` or `ended_us` looks at both."""
    live = ask.value("live")
    if live is None and not any(c.field in ("state", "ended_us") for c in ask.query.conditions):
        live = True

    async def read() -> Page:
        return await call_store.list_calls_json(
            ask.services.database,
            ask.tenant_id,
            live=live,
            conditions=ask.query.conditions,
            limit=ask.query.page.limit,
            after=ask.query.page.after,
        )

    key = ask.tenant_id, ask.scope["query_string"]
    return page_answer(ask, await ask.services.call_pages.get(key, read))


@calls.operation(
    "GET",
    "/calls/{call_id}",
    permission="calls:read",
    summary="One call with its legs",
    answers=Call,
    paths=[CALL],
    problems=[404],
    etag=True,
)
async def get_call(ask: Ask[None]) -> Answer:
    """The call as it is now. Its `version` grows with every change, and so does the ETag."""
    return one_answer(ask, await call_json(ask, ask.path["call_id"]))


@calls.operation(
    "GET",
    "/calls/{call_id}/legs",
    permission="calls:read",
    summary="The legs of a call",
    answers=LegList,
    paths=[CALL],
    problems=[404],
)
async def get_call_legs(ask: Ask[None]) -> Answer:
    """All legs, also those that ended."""
    return json_answer({"data": (await read_call(ask, ask.path["call_id"])).legs})


@calls.operation(
    "POST",
    "/calls",
    permission="calls:write",
    summary="Place a call",
    body=Originate,
    answers=CallChanged,
    status=201,
    problems=[404, 409, 502, 503, 504],
    bucket="calls",
    idempotency="required",
)
async def originate_call(ask: Ask[Originate]) -> Answer:
    """Dial `to`, and join it with `bridge_to` when it answers. Answers as soon as the first leg exists: whether it
    rings, is answered or fails is told by the call's state and by the stream."""
    body = ask.body
    node = await orders.choose_node(ask, body.node)
    args = read_values(body)
    args.pop("node", None)
    outcome = await orders.carry_out(ask, "call.originate", node=node, args=args)
    call_id = str(outcome.result.get("call_id", ""))
    call = await orders.call_after(ask, call_id, outcome)
    answer = Answer(201, orders.encode_changed(call, outcome))
    answer.headers = [(b"location", f"/v1/calls/{call_id}".encode())]
    return answer


def read_values(body: object) -> dict[str, str | int | bool | float | None]:
    """The members of a body that were given, as an order's arguments."""
    found: dict[str, str | int | bool | float | None] = msgspec.to_builtins(body)
    return {name: value for name, value in found.items() if value is not None}


async def call_json(ask: Ask[Any], call_id: str) -> bytes:
    """The call's document. Raises `NotFound`, also for another tenant's."""
    body = await ask.services.calls.get(ask.tenant_id, call_id)
    if body is None:
        raise NotFound(f"there is no call {call_id}", code="no_such_call")
    return body


async def read_call(ask: Ask[Any], call_id: str) -> Call:
    return msgspec.json.decode(await call_json(ask, call_id), type=Call)
