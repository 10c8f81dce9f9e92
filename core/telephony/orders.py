"""From an order to an outcome: who does it, and what its errors mean to the one who asked."""

from collections.abc import Awaitable, Callable

from core.errors import Conflict, IrisxError, NotFound, PeerTimeout, RequestError
from core.logs import get_logger
from core.model.orders import Order, Outcome
from core.model.records import Call
from core.telephony import actions, node_orders, rooms, transfers
from core.telephony.desk import Desk
from freeswitch.errors import CommandError, CommandRefused, EslError, NotSent, OutcomeUnknown

LOG = get_logger("orders")

CallAction = Callable[[Desk, Call, Order], Awaitable[actions.Result]]
NodeAction = Callable[[Desk, Order], Awaitable[actions.Result]]

ON_CALLS: dict[str, CallAction] = {
    "call.answer": actions.answer,
    "call.hangup": actions.hangup,
    "call.hold": actions.hold,
    "call.unhold": actions.unhold,
    "call.mute": actions.mute,
    "call.unmute": actions.unmute,
    "call.dtmf": actions.dtmf,
    "call.play": actions.play,
    "call.play_stop": actions.play_stop,
    "call.record_start": actions.record_start,
    "call.record_pause": actions.record_change,
    "call.record_resume": actions.record_change,
    "call.record_stop": actions.record_change,
    "call.transfer_blind": transfers.transfer_blind,
    "call.transfer_attended": transfers.transfer_attended,
    "call.transfer_complete": transfers.transfer_complete,
    "call.transfer_cancel": transfers.transfer_cancel,
    "call.bridge": transfers.bridge,
    "call.monitor": transfers.monitor,
    "call.monitor_stop": transfers.monitor_stop,
}
"""Orders about a live call of the order's tenant."""

ON_NODES: dict[str, NodeAction] = {
    "call.originate": transfers.originate,
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
}
"""Orders about the switch itself, or that begin something on it."""


async def carry_out(desk: Desk, order: Order) -> Outcome:
    """Do what the order asks and say what came of it. Raises nothing that a caller or a switch can cause."""
    try:
        result = await _do(desk, order)
    except NotFound as exc:
        return _outcome(order, "not_found", exc.code, exc.detail)
    except RequestError as exc:
        return _outcome(order, "refused", exc.code, exc.detail)
    except CommandRefused as exc:
        return _outcome(order, "refused", "switch_refused", f"the switch answered: {exc.text}")
    except CommandError as exc:
        return _outcome(order, "refused", "invalid_value", str(exc))
    except (PeerTimeout, OutcomeUnknown) as exc:
        return _outcome(order, "unknown", "outcome_unknown", str(exc))
    except NotSent as exc:
        return _outcome(order, "failed", "not_sent", f"nothing was done: {exc}")
    except (IrisxError, EslError) as exc:
        return _outcome(order, "failed", "switch_failed", str(exc))
    return Outcome(order_id=order.id, status="done", result=result)


async def _do(desk: Desk, order: Order) -> actions.Result:
    if on_node := ON_NODES.get(order.action):
        return await on_node(desk, order)
    on_call = ON_CALLS.get(order.action)
    if on_call is None:
        raise RequestError(f"there is no order {order.action}", code="unknown_action")
    call = desk.board.calls.get(order.call_id)
    if call is None or call.tenant_id != order.tenant_id:
        raise NotFound("no such live call on this switch", code="no_such_call")
    if call.in_doubt:
        raise Conflict("the switch is out of reach; the call may have ended", code="in_doubt")
    result = await on_call(desk, call, order)
    result["call"] = desk.latest(call.id)
    return result


def _outcome(order: Order, status: str, code: str, detail: str) -> Outcome:
    LOG.info("an order was not done", order=order.id, action=order.action, status=status, code=code)
    return Outcome(order_id=order.id, status=status, code=code, detail=detail)
