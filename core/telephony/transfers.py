"""Orders that bring new legs or join calls: originate, transfer, bridge, monitor.

A new leg is always dialled by us with a uuid of our own and lands in ``park``; only then is it bridged. So every step
has an answer that we can see, a failed step leaves the call as it was, and a controller that dies in between leaves
parked legs that its heir finds. The exception is a blind transfer, where the caller shall hear the far ringing: there
the leg itself runs ``bridge``, and falls back to ``park`` when nobody answers.
"""

import uuid
from collections.abc import Mapping

import trio

from core.errors import Conflict, IrisxError, PeerTimeout
from core.model.orders import Order
from core.model.records import Call, Change, Leg
from core.telephony import values
from core.telephony.actions import (
    Result,
    join,
    live_legs,
    partner_of,
    put_on_hold,
    take_off_hold,
    the_leg,
)
from core.telephony.desk import Desk
from core.telephony.watch import Watch
from freeswitch import commands
from freeswitch.errors import CommandRefused, EslError

RING_S = 40
"""How long a new leg may ring unless the order says otherwise; a network's own voicemail comes at about 25."""
MAX_RING_S = 120
CREATED_S = 4.0
NOTHING: Mapping[str, str] = {}
RINGBACK = "tone_stream://%(2000,4000,440,480);loops=-1"


def _ring_s(order: Order) -> int:
    wanted = order.args.get("timeout_s", RING_S)
    return max(1, min(int(wanted), MAX_RING_S)) if isinstance(wanted, int | float) else RING_S


def _variables(order: Order, tenant_id: str, leg: str, ring_s: int) -> dict[str, str]:
    variables = {
        "origination_uuid": leg,
        "originate_timeout": str(ring_s),
        "ignore_early_media": "true",
        "irisx_tenant": tenant_id,
    }
    if order.request_id:
        variables["irisx_request_id"] = order.request_id
    if order.args.get("from"):
        variables["origination_caller_id_number"] = values.number(order.args["from"])
    if order.args.get("caller_name"):
        variables["origination_caller_id_name"] = values.caller_name(order.args["caller_name"])
    return variables


class Dialling:
    """One leg on its way: dialled in the background, so that the order can be answered while it rings."""

    def __init__(self, desk: Desk, order: Order, tenant_id: str) -> None:
        self.leg = str(uuid.uuid4())
        self.cause = ""
        """Why it failed; empty while it rings and when it was answered."""
        self.watch: Watch | None = None
        """Who waits for the leg to exist."""
        self.finished = trio.Event()
        self._desk = desk
        self._ring_s = _ring_s(order)
        self._variables = _variables(order, tenant_id, self.leg, self._ring_s)

    async def run(self, to: str, application: str, argument: str, more: Mapping[str, str]) -> None:
        """Dial, and return when it was answered or failed."""
        line = commands.originate(
            to,
            variables={**self._variables, **more},
            application=application,
            argument=argument,
            timeout_s=self._ring_s,
        )
        try:
            await self._desk.bgapi(line, deadline_s=self._ring_s + 10)
        except CommandRefused as refused:
            self.cause = refused.reason or "NORMAL_UNSPECIFIED"
        except IrisxError as failed:
            self.cause = failed.code
        except EslError as failed:
            self.cause = type(failed).__name__
        if self.cause and self.watch is not None:
            self.watch.give_up(
                Conflict(f"the switch did not place the call: {self.cause}", code=self.cause.lower())
            )
        self.finished.set()


async def dial(
    desk: Desk,
    order: Order,
    tenant_id: str,
    to: object,
    application: str = "park",
    argument: str = "",
    variables: Mapping[str, str] = NOTHING,
) -> tuple[Dialling, Call]:
    """Begin to dial; returns when the switch has made the leg. Raises `Conflict` with the cause when it does not.

    ``application`` is what the leg runs once it is answered.
    """
    desk.refuse_new_calls()
    dialling = Dialling(desk, order, tenant_id)
    target = values.dial_string(to, desk.dial_template)
    with desk.watches.on(dialling.leg) as watch:
        dialling.watch = watch
        desk.background(dialling.run, target, application, argument, variables)
        seen = await watch.until(lambda _: True, within_s=CREATED_S, what="the new leg")
    return dialling, seen.call


async def originate(desk: Desk, order: Order) -> Result:
    """Place a call. Returns when its first leg exists; with ``bridge_to`` its answer is joined to a second number."""
    application, argument = "park", ""
    if order.args.get("bridge_to"):
        second = values.dial_string(order.args["bridge_to"], desk.dial_template)
        application, argument = "bridge", f"{{irisx_tenant={order.tenant_id}}}{second}"
    dialling, call = await dial(desk, order, order.tenant_id, order.args.get("to"), application, argument)
    return {"call_id": call.id, "leg": dialling.leg}


async def transfer_blind(desk: Desk, call: Call, order: Order) -> Result:
    """Send a leg on to a number; its partner is let go. By default the call's first leg goes."""
    desk.refuse_new_calls()
    leg = the_leg(call, order)
    if not leg.answered_us:
        raise Conflict("only an answered leg can be transferred", code="not_answered")
    partner = partner_of(call, leg)
    target = values.dial_string(order.args.get("to"), desk.dial_template)
    made = str(uuid.uuid4())
    variables = f"origination_uuid={made},irisx_tenant={call.tenant_id},irisx_call={call.id}"
    dial = f"{{{variables},originate_timeout={_ring_s(order)}}}{target}"
    steps = f"m:^:set:continue_on_fail=true^set:hangup_after_bridge=true^bridge:{dial}^park:"
    with desk.watches.on(made, leg.uuid) as watch:
        await desk.api(commands.uuid_transfer(leg.uuid, steps, dialplan="inline"))

        def decided(change: Change) -> bool:
            return any(each.uuid == made for each in change.call.legs) or change.type in (
                "call.parked",
                "call.ended",
            )

        seen = await watch.until(decided, within_s=CREATED_S, what="the new leg")
    if not any(each.uuid == made for each in seen.call.legs):
        raise Conflict("the switch did not place the second call", code="transfer_failed")
    desk.tell("call.transferred", seen.call.id, leg=leg.uuid, to_leg=made, mode="blind")
    if partner is not None:
        await _let_go(desk, partner, "BLIND_TRANSFER")
    return {"leg": leg.uuid, "to_leg": made}


async def _let_go(desk: Desk, leg: Leg, cause: str) -> None:
    try:
        await desk.api(commands.uuid_kill(leg.uuid, cause))
    except CommandRefused:
        return  # it left by itself when it lost its partner


async def transfer_attended(desk: Desk, call: Call, order: Order) -> Result:
    """Hold the first leg and let its partner talk to a third party first. Returns when the third leg rings."""
    customer = the_leg(call, order)
    agent = partner_of(call, customer)
    if agent is None:
        raise Conflict("an attended transfer needs two legs that talk", code="not_bridged")
    await put_on_hold(desk, call, customer)
    await desk.api(commands.uuid_broadcast(agent.uuid, RINGBACK))
    try:
        dialling, _ = await dial(
            desk, order, call.tenant_id, order.args.get("to"), variables={"irisx_call": call.id}
        )
    except IrisxError:
        await _back_together(desk, customer.uuid, agent.uuid)
        raise
    desk.background(_consult, desk, dialling, customer.uuid, agent.uuid)
    return {"held": customer.uuid, "agent": agent.uuid, "to_leg": dialling.leg, "state": "ringing"}


async def _consult(desk: Desk, dialling: Dialling, customer: str, agent: str) -> None:
    """Join the third party and the agent when it answers; when it does not, the call is as before."""
    await dialling.finished.wait()
    third, waiting = desk.leg(dialling.leg), desk.leg(agent)
    if not dialling.cause and third is not None and waiting is not None:
        await desk.api(commands.uuid_break(agent))
        await join(desk, waiting, third)
    else:
        await _back_together(desk, customer, agent)


async def _back_together(desk: Desk, customer: str, agent: str) -> None:
    held, waiting, call = desk.leg(customer), desk.leg(agent), desk.board.call_of(customer)
    if held is not None and waiting is not None and call is not None:
        await desk.api(commands.uuid_break(agent))
        await take_off_hold(desk, call, held, waiting)


def _consultation(call: Call) -> tuple[Leg, Leg, Leg | None]:
    """The held leg, the leg that consults and the third party: read from the call, so an heir can finish it."""
    legs = live_legs(call)
    held = next((leg for leg in legs if leg.held_since_us), None)
    if held is None:
        raise Conflict("no transfer is under way", code="no_transfer")
    agent = next((leg for leg in legs if leg is not held and leg.uuid == held.other_leg), None)
    if agent is None:
        raise Conflict("the leg that began the transfer is gone", code="no_transfer")
    return held, agent, partner_of(call, agent)


async def transfer_complete(desk: Desk, call: Call, order: Order) -> Result:
    """Join the held leg with the third party; the one who consulted leaves."""
    held, agent, third = _consultation(call)
    if third is None:
        raise Conflict("the third party has not answered", code="not_answered")
    await desk.api(commands.uuid_setvar(agent.uuid, "park_after_bridge", "false"))
    await take_off_hold(desk, call, held, third)
    await _let_go(desk, agent, "ATTENDED_TRANSFER")
    desk.tell("call.transferred", call.id, leg=held.uuid, to_leg=third.uuid, mode="attended")
    return {"leg": held.uuid, "to_leg": third.uuid}


async def transfer_cancel(desk: Desk, call: Call, order: Order) -> Result:
    """End the third leg; the held leg and the one who consulted talk again."""
    held, agent, third = _consultation(call)
    if third is not None:
        await _let_go(desk, third, "ORIGINATOR_CANCEL")
    await take_off_hold(desk, call, held, agent)
    return {"leg": held.uuid, "agent": agent.uuid}


async def bridge(desk: Desk, call: Call, order: Order) -> Result:
    """Join a leg of this call with a leg of another one (``call_id``): the two calls become one."""
    other = desk.board.calls.get(str(order.args.get("call_id", "")))
    if other is None or other.tenant_id != call.tenant_id:
        raise Conflict("the other call is not live on this switch", code="no_such_call")
    leg, partner = the_leg(call, order), the_leg(other, order, name="other_leg")
    if leg.uuid == partner.uuid:
        raise Conflict("a leg cannot be joined with itself", code="same_leg")
    if not (leg.answered_us or partner.answered_us):
        raise Conflict("one of the two legs must be answered", code="not_answered")
    await join(desk, leg, partner)
    return {"leg": leg.uuid, "other_leg": partner.uuid}


MONITOR: dict[str, dict[str, str]] = {
    "listen": {},
    "whisper": {"eavesdrop_whisper_aleg": "true"},
    "barge": {"eavesdrop_bridge_aleg": "true", "eavesdrop_bridge_bleg": "true"},
}
"""Channel variables of FreeSWITCH's ``eavesdrop`` application for each way to be there."""


async def monitor(desk: Desk, call: Call, order: Order) -> Result:
    """Call a supervisor and let them listen to a leg, whisper to it, or join both sides."""
    leg = the_leg(call, order)
    mode = str(order.args.get("mode", "listen"))
    if mode not in MONITOR:
        raise Conflict(f"mode: one of {', '.join(MONITOR)}", code="invalid_value")
    dialling, watcher = await dial(
        desk, order, call.tenant_id, order.args.get("to"), "eavesdrop", leg.uuid, MONITOR[mode]
    )
    desk.tell("call.monitored", call.id, leg=leg.uuid, monitor_leg=dialling.leg, mode=mode)
    return {"leg": leg.uuid, "monitor_leg": dialling.leg, "monitor_call": watcher.id, "mode": mode}


async def monitor_stop(desk: Desk, call: Call, order: Order) -> Result:
    """End a supervisor's leg."""
    named = str(order.args.get("monitor_leg", ""))
    leg = desk.leg(named)
    watched = desk.board.call_of(named)
    if leg is None or watched is None or watched.tenant_id != call.tenant_id:
        raise Conflict("nobody listens with this leg", code="no_monitor")
    with desk.watches.on(leg.uuid) as watch:
        await _let_go(desk, leg, "NORMAL_CLEARING")
        try:
            await watch.until(
                lambda change: all(each.state == "ended" for each in change.call.legs if each.uuid == named),
                within_s=3.0,
                what="the end of the monitoring leg",
            )
        except PeerTimeout:
            if desk.leg(named) is not None:
                raise
    return {"monitor_leg": named}
