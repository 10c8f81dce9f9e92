"""New legs: dialled by us under a uuid of our own, and the order that begins a call with one.

A new leg lands in ``park`` when it is answered (or in what the order wants it for); only then is it joined with others.
So every step has an answer that we can see, a failed step leaves the call as it was, and a controller that dies in
between leaves parked legs that its heir finds: they carry the call they were dialled for (``irisx_call``).
"""

import random
import uuid
from collections.abc import Mapping

import trio

from core.errors import Conflict, IrisxError, PeerTimeout
from core.logs import get_logger
from core.model.orders import Order
from core.model.records import Call
from core.telephony import values
from core.telephony.actions import Result
from core.telephony.bonds import let_go
from core.telephony.desk import Desk
from core.telephony.watch import Watch
from freeswitch import arguments, commands
from freeswitch.errors import CommandRefused, EslError

LOG = get_logger("dialling")

RING_S = 40
"""How long a new leg may ring unless the order says otherwise; a network's own voicemail comes at about 25."""
MAX_RING_S = 120
CREATED_S = 4.0
LATE_EVENTS_S = 0.3
"""How much later than a job's result the events of its leg may come: they travel on another connection."""
JOB_MARGIN_S = 10.0
GIVE_UPS = 5
"""How often it is tried to end a leg that nobody waits for, 1, 2, 4 ... s apart."""
NOTHING: Mapping[str, str] = {}


def ring_s(order: Order) -> int:
    return values.seconds(order.args.get("timeout_s"), "timeout_s", default=RING_S, least=1, most=MAX_RING_S)


def our_number(call: Call) -> str:
    """The number of ours that a call came to, or was placed from: what a further leg of it shows when nobody says
    otherwise. Carriers want one that is the customer's own; the switch's default is ``0000000000``."""
    ours = call.destination if call.direction == "inbound" else call.caller
    return ours if values.is_number(ours) and ours != "0000000000" else ""


def caller_id(desk: Desk, order: Order, fallback: str = "") -> dict[str, str]:
    """The variables that say who calls: the order's ``from`` and ``caller_name``, the node's ``caller_id``, or
    ``fallback``."""
    shown: dict[str, str] = {}
    configured = desk.settings.get("caller_id")
    if order.args.get("from") is not None:
        shown["origination_caller_id_number"] = values.number(order.args["from"])
    elif isinstance(configured, str) and values.is_number(configured):
        shown["origination_caller_id_number"] = configured
    elif fallback:
        shown["origination_caller_id_number"] = fallback
    if order.args.get("caller_name") is not None:
        shown["origination_caller_id_name"] = values.caller_name(order.args["caller_name"])
    elif "origination_caller_id_number" in shown:
        shown["origination_caller_id_name"] = shown["origination_caller_id_number"]
    return shown


class Dialling:
    """One leg on its way: dialled in the background, so that the order can be answered while it rings."""

    def __init__(self, desk: Desk, order: Order, variables: Mapping[str, str]) -> None:
        self.leg = str(uuid.uuid4())
        self.cause = ""
        """Why it failed; empty while it rings and when it was answered."""
        self._given_up = False
        self._desk = desk
        self._ring_s = ring_s(order)
        self._variables = {
            "origination_uuid": self.leg,
            "originate_timeout": str(self._ring_s),
            "ignore_early_media": "true",
            "irisx_tenant": order.tenant_id,
            "irisx_request_id": order.request_id,
            **variables,
        }

    async def run(self, watch: Watch, to: str, application: str, argument: str) -> None:
        """Dial, and return when it was answered or failed; ``watch`` is told why no leg will come."""
        try:
            line = commands.originate(
                to,
                variables=self._variables,
                application=application,
                argument=argument,
                timeout_s=self._ring_s,
            )
            await self._desk.bgapi(line, deadline_s=self._ring_s + JOB_MARGIN_S)
            if self._given_up:
                await let_go(self._desk, self.leg)
        except CommandRefused as refused:
            self.cause = _word(refused.reason)
            await trio.sleep(LATE_EVENTS_S)
            watch.give_up(Conflict(f"the switch placed no call: {self.cause}", code=self.cause.lower()))
        except (IrisxError, EslError) as failed:
            watch.give_up(failed)

    async def give_up(self) -> None:
        """Nobody waits for this leg any more: should it come to be, or have come to be unseen, it ends."""
        self._given_up = True
        for attempt in range(GIVE_UPS):
            try:
                await let_go(self._desk, self.leg)
                return
            except EslError as failed:
                LOG.info("cannot end a leg that nobody waits for", leg=self.leg, error=str(failed))
                await trio.sleep(random.uniform(0.5, 1.5) * 2**attempt)


def _word(reason: str) -> str:
    """A hangup cause out of an answer of the switch."""
    word = reason.split(" ")[0] if reason else ""
    return word if word.isascii() and word.replace("_", "").isalnum() else "NORMAL_UNSPECIFIED"


async def dial(
    desk: Desk,
    order: Order,
    to: object,
    application: str = "park",
    argument: str = "",
    variables: Mapping[str, str] = NOTHING,
) -> tuple[str, Call]:
    """Begin to dial; returns the new leg and its call when the switch has made the leg, which then rings.

    ``application`` is what the leg runs once it is answered. Raises `Conflict` when the switch makes none: the code
    is the cause in small letters, such as ``invalid_gateway``; and `PeerTimeout` or `EslError` when that is not known:
    a leg that comes later is ended, so that nobody answers it to silence.
    """
    target = values.dial_string(to, desk.dial_template)
    dialling = Dialling(desk, order, variables)
    with desk.watches.on(dialling.leg) as watch:
        desk.background(dialling.run, watch, target, application, argument)
        try:
            seen = await watch.until(lambda _: True, within_s=CREATED_S, what="the new leg")
        except (PeerTimeout, EslError, trio.Cancelled):
            desk.background(dialling.give_up)
            raise
    return dialling.leg, seen.call


async def originate(desk: Desk, order: Order) -> Result:
    """Place a call. Returns when its first leg exists; with ``bridge_to`` its answer is joined to a second number."""
    desk.refuse_new_calls()
    shown = caller_id(desk, order)
    application, argument = "park", ""
    if order.args.get("bridge_to") is not None:
        second = values.dial_string(order.args["bridge_to"], desk.dial_template, "bridge_to")
        # Whoever was called first hears the second one ring, and leaves with it.
        variables = {"irisx_tenant": order.tenant_id, "originate_timeout": str(ring_s(order)), **shown}
        application, argument = "bridge", arguments.assignments(variables) + second
        shown = {**shown, "hangup_after_bridge": "true"}
    leg, call = await dial(desk, order, order.args.get("to"), application, argument, shown)
    return {"call_id": call.id, "leg": leg}
