"""Calls that an agent places, and calls that they hand on: to a number, or to a colleague. Pure.

A number is dialled by the switch. A colleague has no number: they are offered the call as any other work, and until they
decide, the leg that they are to talk to waits. That is the caller's own leg (a call), or the customer's (a blind transfer);
what becomes of the reservation decides how it goes on.
"""

import re
from collections.abc import Callable
from functools import partial

from core.model.signaling import AgentSeen, Dial, Reserved, Transfer, TransferCancel, TransferView
from core.model.signaling_calls import Args, Calls, OneCall
from core.model.signaling_spine import Came, Spine
from core.model.signaling_states import CAUSES, RING_S, STEPS
from core.model.signaling_views import held_leg, other_leg

RINGBACK = "tone_stream://%(1000,4000,425);loops=-1"
"""What a caller hears while a colleague is rung: the ringing tone of most of Europe (ETSI TR 101 041-2)."""
_AGENT = re.compile(r"agt_[0-9a-z]{1,40}\Z")
_EXTENSION = re.compile(r"[0-9]{1,8}\Z")
_NUMBER = re.compile(r"\+?[0-9*#]{1,32}\Z")
_PHONE = re.compile(r"user:[A-Za-z0-9_.-]{1,64}\Z")
_SPACING = re.compile(r"[\s().\-/]+")


def target_of(text: str) -> str:
    """A number without its spacing, an agent's id, or ``user:NAME``; empty when it is none of them."""
    text = text.strip()
    if _AGENT.match(text) or _PHONE.match(text):
        return text
    number = _SPACING.sub("", text)
    return number if _NUMBER.match(number) else ""


def may_be_colleague(target: str) -> bool:
    return bool(_AGENT.match(target) or _EXTENSION.match(target))


class Ring:
    """A colleague who is asked to take a call."""

    __slots__ = ("call_id", "colleague", "decided", "held", "leg", "node", "reservation", "whole")

    def __init__(
        self, node: str, call_id: str, leg: str, colleague: AgentSeen, *, whole: bool, held: str = ""
    ) -> None:
        self.node = node
        self.call_id = call_id
        self.leg = leg
        """The leg that they are to talk to."""
        self.held = held or leg
        """Who hears music meanwhile, and is taken back when they do not want it."""
        self.colleague = colleague
        self.whole = whole
        """It is the caller's own leg: it ends when they do not want it."""
        self.reservation = ""
        self.decided = False


class Dials:
    """See the module's text."""

    __slots__ = ("_agent", "_calls", "_fresh_leg", "_spine", "rings")

    def __init__(self, spine: Spine, calls: Calls, agent: AgentSeen, fresh_leg: Callable[[], str]) -> None:
        self._spine = spine
        self._calls = calls
        self._agent = agent
        self._fresh_leg = fresh_leg
        self.rings: list[Ring] = []

    def watched(self) -> set[str]:
        """Reservations of others whose fate is ours."""
        return {ring.reservation for ring in self.rings if ring.reservation}

    # -- a call of one's own

    def dial(self, request: Dial) -> None:
        target = target_of(request.to)
        if not target:
            self._spine.refuse(
                request.id, "invalid_number", "a number, an extension or an agent's id is expected"
            )
        elif may_be_colleague(target):
            self._spine.keep(lambda came: self._found(request, target, came), "find", {"to": target})
        else:
            self._call(request, target, None)

    def _found(self, request: Dial, target: str, came: Came) -> None:
        colleague = came.value.get("agent") if came.ok else None
        if not came.ok:
            self._spine.refuse_as(request.id, came)
        elif colleague is None and target.startswith("agt_"):
            self._spine.refuse(request.id, "no_such_agent", "there is no such colleague")
        elif colleague is not None and colleague.id == self._agent.id:
            self._spine.refuse(request.id, "that_is_you", "you cannot call yourself")
        elif colleague is not None and colleague.state == "offline":
            self._spine.refuse(request.id, "agent_offline", "they are not there")
        else:
            self._call(request, target, colleague)

    def _call(self, request: Dial, target: str, colleague: AgentSeen | None) -> None:
        leg = self._fresh_leg()
        self._calls.begins(leg)
        args: Args = {"agent": self._agent.id, "sdp": request.sdp, "leg": leg, "join": "", "from": ""}
        # (who the switch is told that calls: people know an extension, and no id)
        args["caller"] = self._agent.extension
        args["to"] = "" if colleague is not None else target
        self._spine.order(
            lambda came: self._called(request, leg, colleague, came),
            "agent.call",
            node="",
            call_id="",
            args=args,
            step="phone",
            late=lambda came: self._late(leg, came),
        )

    def _called(self, request: Dial, leg: str, colleague: AgentSeen | None, came: Came) -> None:
        if not came.ok:
            self._calls.failed(leg, unknown=came.code in ("outcome_unknown", "owner_lost"))
            self._spine.refuse_as(request.id, came)
            return
        if self._spine.over:
            self._late(leg, came)
            self._spine.refuse(request.id, "session_over", "the page has gone meanwhile")
            return
        call_id, node = str(came.value.get("call_id", "")), str(came.value.get("node", ""))
        self._spine.answer(request.id, {"call_id": call_id, "leg": leg, "sdp": came.value.get("sdp")})
        if colleague is None:
            return
        self._calls.about(call_id, other=colleague.extension, other_name=colleague.name)
        self._spine.order(
            _nothing, "call.play", node=node, call_id=call_id, args={"leg": leg, "path": RINGBACK}
        )
        self._ask(Ring(node, call_id, leg, colleague, whole=True), self._agent.extension, self._agent.name)

    def _late(self, leg: str, came: Came) -> None:
        if came.ok:
            self._calls.failed(leg, unknown=False)
            self._calls.end_leg(str(came.value.get("node", "")), str(came.value.get("call_id", "")), leg)

    # -- handing a call on

    def transfer(self, request: Transfer) -> None:
        one = self._calls.mine(request)
        if one is None:
            return
        target = target_of(request.to)
        other = other_leg(one.call, one.own)
        if request.kind not in ("blind", "attended"):
            self._spine.refuse(request.id, "bad_request", "kind is blind or attended")
        elif not target:
            self._spine.refuse(
                request.id, "invalid_number", "a number, an extension or an agent's id is expected"
            )
        elif other is None:
            self._spine.refuse(request.id, "nobody_there", "nobody else is in this call")
        elif may_be_colleague(target):
            self._spine.keep(lambda came: self._to_whom(request, target, came), "find", {"to": target})
        else:
            self._to_number(request, one, target)

    def _to_number(self, request: Transfer, one: OneCall, target: str) -> None:
        other = other_leg(one.call, one.own)
        args: Args = {"leg": other.uuid if other is not None else None, "to": target}
        self._calls.orders(request.id, one, [(f"call.transfer_{request.kind}", args)])

    def _to_whom(self, request: Transfer, target: str, came: Came) -> None:
        one = self._calls.by_id.get(request.call)
        colleague = came.value.get("agent") if came.ok else None
        if not came.ok:
            self._spine.refuse_as(request.id, came)
        elif one is None:
            self._spine.refuse(request.id, "call_ended", "the call has ended meanwhile")
        elif colleague is None and target.startswith("agt_"):
            self._spine.refuse(request.id, "no_such_agent", "there is no such colleague")
        elif colleague is None:
            self._to_number(request, one, target)
        elif colleague.id == self._agent.id:
            self._spine.refuse(request.id, "that_is_you", "you have the call already")
        elif any(ring.call_id == request.call and not ring.decided for ring in self.rings):
            self._spine.refuse(request.id, "transfer_under_way", "a colleague is just asked to take it")
        else:
            self._hand_on(request, one, colleague)

    def _hand_on(self, request: Transfer, one: OneCall, colleague: AgentSeen) -> None:
        other = held_leg(one.call, one.own) or other_leg(one.call, one.own)
        if other is None or other.agent:
            self._spine.refuse(request.id, "nobody_there", "there is no customer to hand on")
            return
        # Asked first, they talk to the agent, who then hands over (`call.transfer_complete`) or does not; else to the
        # customer at once.
        first = request.kind == "attended"
        leg = one.own.uuid if first else other.uuid
        ring = Ring(one.call.node, one.call.id, leg, colleague, whole=False, held=other.uuid)
        view = self._calls.view(one)

        def ask(came: Came) -> None:
            if not came.ok and came.code != "already_held":
                self._spine.refuse_as(request.id, came)
                return
            if first:
                args: Args = {"leg": ring.leg, "path": RINGBACK}
                self._spine.order(_nothing, "call.play", node=ring.node, call_id=ring.call_id, args=args)
            self._ask(ring, view.other, view.other_name, request.id)

        self._spine.order(ask, "call.hold", node=ring.node, call_id=ring.call_id, args={"leg": ring.held})

    def cancel(self, request: TransferCancel) -> bool:
        """Take a call back that a colleague is just asked to take; False when it is another kind of transfer."""
        for ring in self.rings:
            if ring.call_id == request.call and not ring.whole and not ring.decided:
                self._spine.answer(request.id)
                self._withdraw(ring)
                self._back(ring, "withdrawn")
                return True
        return False

    # -- a colleague decides

    def _ask(self, ring: Ring, caller: str, caller_name: str, request: str = "") -> None:
        self.rings.append(ring)
        if ring.whole:
            self._calls.about(ring.call_id, ringing=True)
        offer = {
            "agent": ring.colleague.id,
            "node": ring.node,
            "call_id": ring.call_id,
            "leg": ring.leg,
            "caller": caller,
            "caller_name": caller_name,
            "ring_s": RING_S,
        }
        self._spine.keep(
            lambda came: self._asked(ring, request, came),
            "offer_direct",
            offer,
            late=lambda came: self._asked_late(ring, came),
        )
        self._spine.after(STEPS["ring"], lambda: self._unanswered(ring))

    def _asked(self, ring: Ring, request: str, came: Came) -> None:
        if not came.ok:
            if request:
                self._spine.refuse_as(request, came)
            self._back(ring, came.code if came.code in CAUSES else "failed")
            return
        ring.reservation = str(came.value.get("reservation", ""))
        if request:
            self._spine.answer(request)
        if ring.decided or self._spine.over:  # the caller has left while it was written
            self._withdraw(ring)
            return
        if not ring.whole:
            to = TransferView(ring.colleague.extension, ring.colleague.name, "ringing")
            self._calls.about(ring.call_id, transfer=to)

    def _asked_late(self, ring: Ring, came: Came) -> None:
        if came.ok:
            ring.reservation = str(came.value.get("reservation", ""))
            self._withdraw(ring)

    def entry(self, word: str, reserved: Reserved) -> None:
        """One entry about a reservation of a colleague that we wait for."""
        for ring in self.rings:
            if ring.reservation == reserved.id and not ring.decided:
                if word == "connected":
                    self._over(ring, talking=ring.held != ring.leg)
                elif word in CAUSES:
                    self._back(ring, word)
                return

    def _unanswered(self, ring: Ring) -> None:
        if not ring.decided:
            self._withdraw(ring)
            self._back(ring, "missed")

    def _back(self, ring: Ring, word: str) -> None:
        """They do not take it: the caller's own leg ends, a customer's is taken back."""
        if ring.decided:
            return
        self._over(ring)
        if ring.call_id not in self._calls.by_id and not ring.whole:
            return
        if ring.whole:
            self._calls.end_leg(ring.node, ring.call_id, ring.leg, CAUSES[word])
        else:
            self._spine.order(
                _nothing, "call.unhold", node=ring.node, call_id=ring.call_id, args={"leg": ring.held}
            )

    def _over(self, ring: Ring, *, talking: bool = False) -> None:
        ring.decided = True
        if ring in self.rings:
            self.rings.remove(ring)
        if ring.whole:
            self._calls.about(ring.call_id, ringing=False)
        else:
            to = TransferView(ring.colleague.extension, ring.colleague.name, "talking")
            self._calls.about(ring.call_id, transfer=to if talking else None)

    def _withdraw(self, ring: Ring) -> None:
        if ring.reservation:
            self._spine.keep(_nothing, "withdraw", {"offer": ring.reservation, "agent": ring.colleague.id})

    def call_ended(self, call_id: str) -> None:
        """Whoever waits for a colleague and hangs up is not to be offered to them any longer."""
        for ring in list(self.rings):
            if ring.call_id == call_id:
                self._withdraw(ring)
                self._over(ring)

    def inherit(self, older: "Dials") -> None:
        """Go on with what the session before this one had begun."""
        for ring in older.rings:
            self.rings.append(ring)
            self._spine.after(STEPS["ring"], partial(self._unanswered, ring))
        older.rings = []


def _nothing(_came: Came) -> None:
    """Nobody waits for it."""
