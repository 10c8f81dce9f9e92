"""Orders by which a supervisor hears a leg, speaks to it alone, or to everybody in the call.

The supervisor's leg is a call of its own that runs the switch's ``eavesdrop`` on the watched leg, and ends with it.
"""

from core.errors import Conflict, NotFound
from core.model.orders import Order
from core.model.records import Call
from core.telephony import values
from core.telephony.actions import Result, answered_leg
from core.telephony.bonds import let_go
from core.telephony.desk import Desk
from core.telephony.dialling import caller_id, dial, our_number
from core.telephony.joining import HAPPENS_S

MODES: dict[str, dict[str, str]] = {
    "listen": {},
    "whisper": {"eavesdrop_whisper_bleg": "true"},
    "barge": {"eavesdrop_whisper_aleg": "true", "eavesdrop_whisper_bleg": "true"},
}
"""Channel variables of ``eavesdrop`` (mod_dptools.c). To ``eavesdrop``, what the watched leg *says* is the a-leg and
what it *hears* is the b-leg: whispering to the b-leg reaches the watched leg alone."""
NO_KEYS = {"eavesdrop_enable_dtmf": "false"}
"""Without this the supervisor's own keys would change the mode."""


async def monitor(desk: Desk, call: Call, order: Order) -> Result:
    """Call a supervisor and let them listen to a leg, whisper to it, or join both sides. Returns when the
    supervisor's leg rings."""
    leg = answered_leg(call, order, "listened to")
    mode = values.one_of(order.args.get("mode", "listen"), "mode", MODES)
    variables = {**MODES[mode], **NO_KEYS, **caller_id(desk, order, our_number(call))}
    watching, own_call = await dial(desk, order, order.args.get("to"), "eavesdrop", leg.uuid, variables)
    desk.tell("call.monitored", call.id, leg=leg.uuid, monitor_leg=watching, mode=mode)
    return {"leg": leg.uuid, "monitor_leg": watching, "monitor_call": own_call.id, "mode": mode}


async def monitor_stop(desk: Desk, call: Call, order: Order) -> Result:
    """End a supervisor's leg."""
    named = values.leg(order.args.get("monitor_leg"), "monitor_leg")
    leg, own_call = desk.leg(named), desk.board.call_of(named)
    if leg is None or own_call is None or own_call.tenant_id != call.tenant_id:
        raise NotFound("nobody listens with this leg", code="no_monitor")
    if own_call.id == call.id:
        raise Conflict("this leg takes part in the call; it does not listen to it", code="no_monitor")
    with desk.watches.on(named) as watch:
        await let_go(desk, named, "NORMAL_CLEARING")
        if desk.leg(named) is not None:
            await watch.until(
                lambda _: desk.leg(named) is None, within_s=HAPPENS_S, what="the end of the listening"
            )
    return {"monitor_leg": named}
