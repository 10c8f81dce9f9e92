"""Orders that lead to an agent's browser: its leg begins, is joined with a caller, dials, listens, is renewed.

The browser has made a whole offer; the switch's answer goes back as soon as it is there, and joining the legs happens
behind it: while the browser sets its media up the bridge comes to be, and a bridge that fails ends the agent's leg, which
everybody sees. Everything else about such a leg is what it is about any leg (`core.telephony.orders`).
"""

import re
import uuid
from collections.abc import Mapping

import trio
from msgspec.structs import replace

from core.errors import Conflict, IrisxError, NotFound, RequestError
from core.logs import get_logger
from core.model.orders import Order
from core.model.records import Call, Leg
from core.telephony import values
from core.telephony.actions import Result, pick_up
from core.telephony.agent_phone import AgentPhone
from core.telephony.bonds import let_go, set_all, unbind
from core.telephony.consult import look_after, refuse_while_moving
from core.telephony.desk import Desk
from core.telephony.dialling import caller_id, ring_s
from core.telephony.joining import HAPPENS_S, fresh, join, live_legs, on_hold, set_aside, waiting_for
from core.telephony.monitoring import MODES, NO_KEYS
from freeswitch import arguments, commands
from freeswitch.errors import EslError

LOG = get_logger("agent-legs")

MOST_SDP = 16 * 1024
TIDY_S = 15.0
RINGING = "%(1000,4000,425)"
_AGENT = re.compile(r"agt_[0-9a-z]{1,40}")
_EXTENSION = re.compile(r"[A-Za-z0-9_.+-]{1,64}")


async def agent_call(desk: Desk, order: Order) -> Result:
    """Begin an agent's leg (``leg``, a uuid that the asker chose) with a browser's offer (``sdp``).

    ``join`` is the leg of a live call (``call_id``) that it is to talk to: of a customer, or of a colleague who has a
    customer on hold and asks before handing over (then it is an attended transfer); ``to`` is a number to dial; ``listen`` a leg to
    listen to (``mode``: listen, whisper, barge); with none of them it is parked. Returns with the switch's answer.
    """
    phone = _phone(desk)
    # (what is not meant may be said with an empty text)
    order = replace(order, args={name: value for name, value in order.args.items() if value != ""})
    agent = _matching(_AGENT, order.args.get("agent"), "agent")
    leg = _new_leg(desk, order.args.get("leg"))
    sdp = _offer(order)
    caller = _matching(_EXTENSION, order.args.get("caller") or agent, "caller")
    headers = {
        "X-Irisx-tenant": order.tenant_id,
        "X-Irisx-agent": agent,
    }
    if order.request_id:
        headers["X-Irisx-request_id"] = order.request_id
    customer = _to_join(desk, order)
    watched = _to_hear(desk, order)
    dialled = ""
    shown: dict[str, str] = {}
    if customer is not None:
        headers["X-Irisx-call"] = customer[0].id
    elif order.args.get("to"):
        desk.refuse_new_calls()
        dialled = values.dial_string(order.args.get("to"), desk.dial_template)
        shown = caller_id(desk, order)
        headers["X-Irisx-dialled"] = str(order.args["to"])
    with desk.watches.on(leg) as watch, desk.calling(leg):
        answer = await phone.call(order.tenant_id, leg, sdp, agent=agent, caller=caller, headers=headers)

        def parked(_: object) -> bool:
            ours = desk.leg(leg)
            return ours is not None and ours.parked

        try:
            if not parked(None):
                await watch.until(parked, within_s=HAPPENS_S, what="the agent's leg", alive=(leg,))
        except (IrisxError, EslError, trio.Cancelled):
            # Nobody will hear the answer.
            desk.background(let_go, desk, leg)
            raise
    call = desk.board.call_of(leg)
    if call is None:
        raise Conflict("the leg has ended meanwhile", code="leg_ended")
    if customer is not None and _held_for(customer[0], customer[1]) is not None:
        desk.background(_consult, desk, customer[1].uuid, leg)
    elif customer is not None:
        desk.background(_join, desk, customer[1].uuid, leg)
    elif dialled:
        desk.background(_dial, desk, order, leg, dialled, shown)
    elif watched is not None:
        desk.background(_listen, desk, order, leg, watched)
    return {"leg": leg, "call_id": call.id, "sdp": answer}


async def agent_renew(desk: Desk, order: Order) -> Result:
    """A new offer within a leg: ICE restart, or a page that was loaded again."""
    phone = _phone(desk)
    uuid_ = values.leg(order.args.get("leg"))
    leg, call = desk.leg(uuid_), desk.board.call_of(uuid_)
    if leg is None or call is None or call.tenant_id != order.tenant_id:
        raise NotFound("no such live leg on this switch", code="no_such_leg")
    if not leg.agent or leg.agent != order.args.get("agent", leg.agent):
        raise NotFound("it is not a leg of this agent", code="no_such_leg")
    answer = await phone.renew(order.tenant_id, uuid_, _offer(order))
    return {"leg": uuid_, "call_id": call.id, "sdp": answer}


# -- what happens behind the answer


async def _join(desk: Desk, customer: str, agent: str) -> None:
    """Have the two talk; whoever the customer talked to, or waited for, is let go."""
    try:
        call = desk.board.call_of(customer)
        if call is None:
            raise Conflict("the caller has hung up", code="leg_ended")
        async with desk.turns.of(call.id):
            (leg,) = fresh(desk, customer)
            if leg.state != "answered":
                await pick_up(desk, leg)
            call = desk.board.call_of(customer) or call
            partner = await set_aside(desk, call, leg)
            if partner is not None:
                await unbind(desk, partner)  # its end is not the customer's from here on
            one, two = fresh(desk, customer, agent)
            await join(desk, one, two)
            if one.held_since_us:
                desk.note(customer, held=False)
            if partner is not None:
                await let_go(desk, partner.uuid, "ATTENDED_TRANSFER")
    except (IrisxError, EslError) as failed:
        LOG.info("an agent's leg was not joined", leg=agent, error=str(failed))
        await let_go(desk, agent)


def _held_for(call: Call, asker: Leg) -> Leg | None:
    """Whom an agent has put on hold to ask a colleague first; None when it is not an agent's leg that is joined."""
    if not asker.agent or on_hold(asker):
        return None
    held = waiting_for(call, asker)
    return held if held is not None and on_hold(held) else None


async def _consult(desk: Desk, asker: str, colleague: str) -> None:
    """Have an agent talk to a colleague while their customer is on hold: an attended transfer whose third leg is a browser.
    Whoever leaves, hands over or goes back: it is `core.telephony.consult` that knows what follows."""
    try:
        call = desk.board.call_of(asker)
        if call is None:
            raise Conflict("who asks has hung up", code="leg_ended")
        async with desk.turns.of(call.id):
            (own,) = fresh(desk, asker)
            held = _held_for(desk.board.call_of(asker) or call, own)
            if held is None:
                raise Conflict("nobody is on hold any more", code="leg_ended")
            await unbind(desk, held, own)
        await look_after(desk, held.uuid, asker, colleague)
    except (IrisxError, EslError) as failed:
        LOG.info("a colleague was not asked", leg=colleague, error=str(failed))
        await let_go(desk, colleague)


async def _dial(desk: Desk, order: Order, leg: str, target: str, shown: Mapping[str, str]) -> None:
    """The switch does it alone from here on: the agent hears the far end ring, and both end together."""
    call = desk.board.call_of(leg)
    variables = {
        "origination_uuid": str(uuid.uuid4()),
        "irisx_tenant": order.tenant_id,
        "irisx_call": call.id if call else "",
        "originate_timeout": str(ring_s(order)),
        **shown,
    }
    await _run(
        desk,
        leg,
        "bridge",
        arguments.assignments(variables) + target,
        hangup_after_bridge="true",
        # (the agent's leg is answered, and hears nothing by itself while the far end only says that it rings)
        transfer_ringback=RINGING,
    )


async def _listen(desk: Desk, order: Order, leg: str, watched: tuple[Leg, str]) -> None:
    await _run(desk, leg, "eavesdrop", watched[0].uuid, **MODES[watched[1]], **NO_KEYS)
    call = desk.board.call_of(watched[0].uuid)
    if call is not None:
        desk.tell("call.monitored", call.id, leg=watched[0].uuid, monitor_leg=leg, mode=watched[1])


async def _run(desk: Desk, leg: str, application: str, argument: str, **variables: str) -> None:
    """Have a parked leg run one application, and end with it."""
    try:
        if "^" in argument:
            raise Conflict("the switch's dial template cannot be used for agents", code="bad_dial_template")
        await set_all(desk, (leg,), **variables)
        await desk.api(commands.uuid_transfer(leg, f"m:^:{application}:{argument}", dialplan="inline"))
    except (IrisxError, EslError) as failed:
        LOG.info("an agent's leg goes nowhere", leg=leg, error=str(failed))
        await let_go(desk, leg)


async def look_after_legs(desk: Desk, calling: set[str]) -> None:
    """Once the board agrees with the switch: end agents' legs that nobody knows how to go on with, and forget, now and then,
    those that are over. ``calling`` are the legs that are on their way now."""
    phone = desk.phone
    if phone is None:
        return
    for leg in _agents_legs(desk):
        if not phone.knows(leg.uuid) and leg.uuid not in calling:
            LOG.info("an agent's leg that nobody noted is ended", leg=leg.uuid)
            await let_go(desk, leg.uuid)
    while True:
        await trio.sleep(TIDY_S)
        await phone.tidy({leg.uuid for leg in _agents_legs(desk)}, calling)


def _agents_legs(desk: Desk) -> list[Leg]:
    return [leg for call in desk.board.calls.values() for leg in live_legs(call) if leg.agent]


# -- what the order says


def _phone(desk: Desk) -> AgentPhone:
    if desk.phone is None:
        raise Conflict("this switch has no inside profile for agents' legs", code="no_phone")
    return desk.phone


def _offer(order: Order) -> str:
    sdp = order.args.get("sdp")
    if not isinstance(sdp, str) or not sdp.startswith("v=0") or len(sdp) > MOST_SDP or not sdp.isascii():
        raise RequestError("sdp: expected a whole offer", code="invalid_sdp")
    return sdp


def _new_leg(desk: Desk, value: object) -> str:
    """A uuid that no leg has. FreeSWITCH takes any text for one, so it is looked at here."""
    try:
        leg = str(uuid.UUID(str(value)))
    except ValueError:
        leg = ""
    if leg != value:
        raise RequestError("leg: expected a uuid in small letters", code="invalid_value")
    if desk.board.call_of(leg) is not None or desk.board.is_gone(leg):
        raise Conflict("there is a leg of this uuid already", code="leg_exists")
    return leg


def _to_join(desk: Desk, order: Order) -> tuple[Call, Leg] | None:
    if not order.args.get("join"):
        return None
    wanted = values.leg(order.args["join"], "join")
    call = desk.board.calls.get(order.call_id)
    if call is None or call.tenant_id != order.tenant_id:
        raise NotFound("no such live call on this switch", code="no_such_call")
    if call.in_doubt:
        raise Conflict("the switch is out of reach; the call may have ended", code="in_doubt")
    for leg in call.legs:
        if leg.uuid == wanted and leg.state != "ended":
            if leg.state != "answered" and leg.direction != "inbound":
                raise Conflict("a leg whose far side has not answered cannot be joined", code="not_answered")
            refuse_while_moving(call, leg)
            return call, leg
    raise Conflict("the leg has ended meanwhile", code="leg_ended")


def _to_hear(desk: Desk, order: Order) -> tuple[Leg, str] | None:
    if not order.args.get("listen"):
        return None
    wanted = values.leg(order.args["listen"], "listen")
    leg, call = desk.leg(wanted), desk.board.call_of(wanted)
    if leg is None or call is None or call.tenant_id != order.tenant_id or leg.state != "answered":
        raise NotFound("no such live leg on this switch", code="no_such_leg")
    return leg, values.one_of(order.args.get("mode", "listen"), "mode", MODES)


def _matching(pattern: re.Pattern[str], value: object, field: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise RequestError(f"{field}: not what it should be", code="invalid_value")
    return value
