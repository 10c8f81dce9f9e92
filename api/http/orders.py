"""From a request to an order, and from its outcome to an answer.

Statuses of an outcome: ``done`` 200, ``not_found`` 404, ``refused`` 409, ``failed`` 502, ``unknown`` 504; nobody there
to do it is 503, and then nothing was done. From the moment an order is on the bus its answer is kept for whoever
repeats the request with the same key, because something may have happened.
"""

import asyncio
from typing import Any

import msgspec

from api.http.answer import encode
from api.http.ask import Ask
from core.clock import now_us
from core.errors import Conflict, IrisxError, NotFound, PeerError, PeerTimeout, Unavailable
from core.ids import new_id
from core.logs import get_logger
from core.model.orders import Order, Outcome
from core.model.records import Call
from core.storage import calls as call_store
from core.storage import nodes as node_store

LOG = get_logger("orders")

Args = dict[str, str | int | bool | float | None]

DEADLINE_S = 15.0
"""How long an order may take: the controller gives up waiting for a turn after 4 s, for a new leg after 4 s, and each
other step after 3 s; an attended transfer has two of these."""
AFTER_S = 1.0
"""How long to wait until the store shows what an order did; the writer's batch takes milliseconds."""
AFTER_STEP_S = 0.02


class Refused409(Conflict):
    """The switch or the state of the call does not allow it."""


class Failed(PeerError):
    """The switch failed."""

    retryable = False


async def node_of_call(ask: Ask[Any], call_id: str) -> str:
    """The switch of a live call. Raises `NotFound`, also for another tenant's; `Conflict` when it has ended."""
    found = await call_store.node_of_call(ask.services.database, ask.tenant_id, call_id)
    if found is None:
        raise NotFound(f"there is no call {call_id}", code="no_such_call")
    node, live = found
    if not live:
        raise Conflict("the call has ended", code="call_ended")
    return node


async def on_call(ask: Ask[Any], action: str, call_id: str, args: Args) -> Outcome:
    """Give an order about a live call to the owner of its switch. Raises like `node_of_call` and `carry_out`.

    Where a call lives hardly ever changes, so it is remembered. A switch that does not have the call (any more) has
    done nothing: then the store knows better.
    """
    places, place = ask.services.call_nodes, (ask.tenant_id, call_id)
    node = places.get(place)
    if node is not None:
        try:
            return await carry_out(ask, action, node=node, call_id=call_id, args=args)
        except (NotFound, Unavailable):
            places.forget(place)
    node = await node_of_call(ask, call_id)
    outcome = await carry_out(ask, action, node=node, call_id=call_id, args=args)
    places.put(place, node)
    return outcome


async def choose_node(ask: Ask[Any], wanted: str | None) -> str:
    """The switch for a new call: the one that was named, or the least busy active one.

    Raises `NotFound` for a switch that the caller may not know of, `Unavailable` when none takes calls.
    """
    nodes = await node_store.list_nodes(ask.services.database)
    if wanted is not None:
        for node in nodes:
            if node.id == wanted and visible(ask, node.default_tenant):
                return node.id
        raise NotFound(f"there is no switch {wanted}", code="no_such_node")
    able = [node for node in nodes if node.state == "active" and node.status.get("up") is True]
    if not able:
        raise Unavailable("no switch takes calls now", code="no_switch")
    return min(able, key=lambda node: (node_store.load_of(node), node.id)).id


def visible(ask: Ask[Any], default_tenant: str) -> bool:
    """Operators see every switch, others those that are their tenant's."""
    return ask.actor.operator or default_tenant == ask.tenant_id


async def carry_out(
    ask: Ask[Any], action: str, *, node: str, args: Args, call_id: str = "", deadline_s: float = DEADLINE_S
) -> Outcome:
    """Give the order and wait for its outcome. Raises what the outcome says when it is not ``done``."""
    order = Order(
        id=new_id("ord"),
        action=action,
        node=node,
        tenant_id=ask.tenant_id,
        deadline_us=now_us() + round(deadline_s * 1e6),
        call_id=call_id,
        args=args,
        actor=ask.actor.id,
        request_id=ask.request_id,
    )
    began = now_us()
    ask.delivered = True
    try:
        outcome = await ask.services.bus.ask(order)
    except Unavailable:
        ask.delivered = False
        raise
    except PeerTimeout as exc:
        _note(ask, order, began, "unknown", exc.code)
        raise
    _note(ask, order, began, outcome.status, outcome.code)
    if outcome.status == "done":
        return outcome
    raise error_of(outcome)


def error_of(outcome: Outcome) -> IrisxError:
    """The error that says what an outcome says."""
    detail = outcome.detail or "the order was not carried out"
    code = outcome.code or None
    if outcome.status == "not_found":
        return NotFound(detail, code=code)
    if outcome.status == "refused":
        return Refused409(detail, code=code)
    if outcome.status == "unknown":
        return PeerTimeout(detail, code=code)
    return Failed(detail, code=code)


async def call_after(ask: Ask[Any], call_id: str, outcome: Outcome) -> bytes:
    """The call as it is after an order: from the outcome, or from the store once it shows the change."""
    call = outcome.result.get("call")
    if call is not None:
        return encode(call)
    ending = outcome.result.get("call", "absent") is None
    deadline = asyncio.get_running_loop().time() + AFTER_S
    while True:
        body = await call_store.get_call_json(ask.services.database, ask.tenant_id, call_id)
        settled = body is not None and (not ending or msgspec.json.decode(body, type=Call).state == "ended")
        if settled or asyncio.get_running_loop().time() > deadline:
            break
        await asyncio.sleep(AFTER_STEP_S)
    if body is None:
        raise PeerTimeout("it was done, but the store does not show the call yet", code="not_stored_yet")
    return body


def encode_changed(call: bytes, outcome: Outcome) -> bytes:
    """`CallChanged` from a call that is JSON already."""
    result = {name: value for name, value in outcome.result.items() if name != "call"}
    return b'{"call":' + call + b',"result":' + encode(result) + b"}"


def _note(ask: Ask[Any], order: Order, began_us: int, status: str, code: str) -> None:
    """Put the order into the call's timeline, after the answer. What was typed (digits, numbers) stays out."""
    LOG.info("an order was given", order=order.id, action=order.action, status=status, code=code)
    if order.call_id:
        ask.services.later(ask.services.timeline.note(order, began_us, status, code))
