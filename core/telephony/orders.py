"""From an order to an outcome: who does it, in which turn, and what its errors mean to the one who asked."""

from collections.abc import Awaitable, Callable

from core.errors import Conflict, IrisxError, NotFound, PeerTimeout, RequestError
from core.logs import get_logger
from core.model.orders import Order, Outcome
from core.model.records import Call
from core.telephony import (
    actions,
    agent_legs,
    blind,
    dialling,
    monitoring,
    node_orders,
    rooms,
    sounds,
    transfers,
)
from core.telephony.desk import Desk
from freeswitch.errors import CommandError, CommandRefused, EslError, NotSent, OutcomeUnknown

LOG = get_logger("orders")

CallAction = Callable[[Desk, Call, Order], Awaitable[actions.Result]]
NodeAction = Callable[[Desk, Order], Awaitable[actions.Result]]

IN_TURN: dict[str, CallAction] = {
    "call.answer": actions.answer,
    "call.hold": actions.hold,
    "call.unhold": actions.unhold,
    "call.mute": actions.mute,
    "call.unmute": actions.unmute,
    "call.play": sounds.play,
    "call.play_stop": sounds.play_stop,
    "call.record_start": sounds.record_start,
    "call.record_pause": sounds.record_change,
    "call.record_resume": sounds.record_change,
    "call.record_stop": sounds.record_change,
    "call.transfer_blind": blind.transfer_blind,
    "call.transfer_attended": transfers.transfer_attended,
    "call.transfer_complete": transfers.transfer_complete,
    "call.transfer_cancel": transfers.transfer_cancel,
    "call.bridge": transfers.bridge,
}
"""Orders about a live call of the order's tenant, one at a time for each call (see `core.telephony.turns`)."""

AT_ONCE: dict[str, CallAction] = {
    "call.hangup": actions.hangup,
    "call.dtmf": actions.dtmf,
    "call.monitor": monitoring.monitor,
    "call.monitor_stop": monitoring.monitor_stop,
}
"""The same, but these wait for nobody: they change nothing that another order builds on, or must never wait."""

ON_NODES: dict[str, NodeAction] = {
    "call.originate": dialling.originate,
    "agent.call": agent_legs.agent_call,
    "agent.renew": agent_legs.agent_renew,
    "conference.add": rooms.add,
    "conference.mute": rooms.mute,
    "conference.unmute": rooms.unmute,
    "conference.kick": rooms.kick,
    "conference.end": rooms.end,
    "node.drain": node_orders.drain,
    "node.resume": node_orders.resume,
    "node.resync": node_orders.resync,
    "node.probe": node_orders.probe,
    "node.channels": node_orders.channels,
    "node.registrations": node_orders.registrations,
    "node.forget_user": node_orders.forget_user,
}
"""Orders about the switch itself, or that begin something on it."""

_GONE = (
    "no such channel",
    "cannot locate session",
    "invalid uuid",
    "invalid session",
    "no such session",
    "-error",
)
"""What the switch says, in its many ways, about a channel that it does not have (any more)."""


async def carry_out(desk: Desk, order: Order) -> Outcome:
    """Do what the order asks and say what came of it. Raises nothing that a caller or a switch can cause."""
    try:
        result = await _do(desk, order)
    except NotFound as exc:
        return _outcome(order, "not_found", exc.code, exc.detail)
    except RequestError as exc:
        return _outcome(order, "refused", exc.code, exc.detail)
    except CommandRefused as exc:
        if exc.text.lower().startswith(_GONE) or exc.reason.lower().startswith(_GONE):
            return _outcome(order, "refused", "leg_ended", "the leg has ended meanwhile")
        return _outcome(order, "refused", "switch_refused", f"the switch answered: {exc.text}")
    except CommandError as exc:
        return _outcome(order, "refused", "invalid_value", str(exc))
    except (PeerTimeout, OutcomeUnknown) as exc:
        return _outcome(order, "unknown", "outcome_unknown", str(exc))
    except NotSent as exc:
        # The step that was not sent did nothing; steps before it may have.
        return _outcome(order, "failed", "not_sent", f"the switch is out of reach: {exc}")
    except IrisxError as exc:
        return _outcome(order, "failed", exc.code, exc.detail)
    except EslError as exc:
        return _outcome(order, "failed", "switch_failed", str(exc))
    return Outcome(order_id=order.id, status="done", result=result)


async def _do(desk: Desk, order: Order) -> actions.Result:
    if on_node := ON_NODES.get(order.action):
        return await on_node(desk, order)
    if at_once := AT_ONCE.get(order.action):
        return await _on_call(desk, order, at_once)
    in_turn = IN_TURN.get(order.action)
    if in_turn is None:
        raise RequestError(f"there is no order {order.action}", code="unknown_action")
    _live_call(desk, order)
    calls = [order.call_id]
    if order.action == "call.bridge":
        calls.append(str(order.args.get("call_id", "")))
    async with desk.turns.of(*calls):
        return await _on_call(desk, order, in_turn)


async def _on_call(desk: Desk, order: Order, action: CallAction) -> actions.Result:
    call = _live_call(desk, order)
    result = await action(desk, call, order)
    # A call that became part of another one meanwhile is shown as that one.
    legs = (desk.board.call_of(leg.uuid) for leg in call.legs)
    result["call"] = desk.latest(call.id) or next((one for one in legs if one is not None), None)
    return result


def _live_call(desk: Desk, order: Order) -> Call:
    call = desk.board.calls.get(order.call_id)
    if call is None or call.tenant_id != order.tenant_id:
        raise NotFound("no such live call on this switch", code="no_such_call")
    if call.in_doubt:
        raise Conflict("the switch is out of reach; the call may have ended", code="in_doubt")
    return call


def _outcome(order: Order, status: str, code: str, detail: str) -> Outcome:
    LOG.info("an order was not done", order=order.id, action=order.action, status=status, code=code)
    return Outcome(order_id=order.id, status=status, code=code, detail=detail)
