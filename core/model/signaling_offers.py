"""The offers of an agent's session, from the probe of the page to the last line of the wrap-up. Pure.

The reservation in the store is the truth. What is here is what the page was told of it, and what this session is just
doing with it; `signaling_states.OFFER_MOVES` says which word leads where.
"""

from collections.abc import Callable

from core.model.reservations import activity
from core.model.signaling import (
    Accept,
    Decline,
    Offer,
    Probed,
    Reserved,
    WrapExtend,
    WrapUp,
    offer_of,
    wrap_up_of,
)
from core.model.signaling_calls import Args, Calls
from core.model.signaling_spine import Came, Spine
from core.model.signaling_states import (
    ACCEPT,
    CALLED,
    CLAIMED,
    CLAIMING,
    CONNECTED,
    DECLINE,
    GONE,
    LEAVING,
    NO_ANSWER,
    OFFER_MOVES,
    PROBE_S,
    PROBED,
    PROBING,
    REFUSED,
    SHOWN,
    SILENT,
    WRAP_UP,
)


class OneOffer:
    """A reservation in this session."""

    __slots__ = ("leg", "reserved", "state", "told")

    def __init__(self, reserved: Reserved, state: str) -> None:
        self.reserved = reserved
        self.state = state
        self.told = state in (SHOWN, WRAP_UP)
        """Whether the page shows it."""
        self.leg = ""
        """The agent's leg that was begun for it."""


class Offers:
    """See the module's text."""

    __slots__ = ("_agent_id", "_calls", "_fresh_leg", "_spine", "by_id")

    def __init__(self, spine: Spine, calls: Calls, agent_id: str, fresh_leg: Callable[[], str]) -> None:
        self._spine = spine
        self._calls = calls
        self._agent_id = agent_id
        self._fresh_leg = fresh_leg
        self.by_id: dict[str, OneOffer] = {}

    def adopt(self, reserved: Reserved) -> None:
        """A reservation that was open when the session began. The page has just said hello, so it need not prove again
        that it is there."""
        state = {"offered": SHOWN, "wrap_up": WRAP_UP}.get(reserved.state, CONNECTED)
        self.by_id[reserved.id] = OneOffer(reserved, state)
        self._calls.about_reserved(reserved)

    def shown(self) -> list[Offer]:
        """What may be accepted now."""
        return [offer_of(one.reserved) for one in self.by_id.values() if one.state == SHOWN]

    def wrap_ups(self) -> list[dict[str, object]]:
        return [wrap_up_of(one.reserved) for one in self.by_id.values() if one.state == WRAP_UP]

    def activity(self) -> str:
        """What the agent is at."""
        return activity([(one.reserved.kind, one.reserved.state) for one in self.by_id.values()])

    # -- what the log says

    def entry(self, word: str, reserved: Reserved) -> None:
        """One entry about a reservation of this agent; ``word`` is its type without ``reservation.``."""
        one = self.by_id.get(reserved.id)
        if one is None:
            self._first_seen(word, reserved)
            return
        if reserved.version < one.reserved.version:
            return
        one.reserved = reserved
        if word == "extended":
            self._spine.event("wrap_up", wrap_up_of(reserved))
            return
        before = one.state
        if not self._move(one, word):
            return
        if one.state == GONE:
            self._gone(one, reserved.reason or word)
        elif one.state == WRAP_UP and before != WRAP_UP:
            one.told = True
            self._spine.event("wrap_up", wrap_up_of(reserved))
        elif one.state == CONNECTED and before in (PROBING, SHOWN, LEAVING):
            self._end(one, "accepted")  # another way than by this page

    def _first_seen(self, word: str, reserved: Reserved) -> None:
        if word == "offered":
            one = self.by_id[reserved.id] = OneOffer(reserved, PROBING)
            self._calls.about_reserved(reserved)
            self._spine.event("probe", {"probe": reserved.id})
            self._spine.after(PROBE_S, lambda: self._silent(one))
        elif word in ("connected", "wrap_up", "extended") and reserved.state in ("connected", "wrap_up"):
            one = self.by_id[reserved.id] = OneOffer(
                reserved, WRAP_UP if reserved.state == "wrap_up" else CONNECTED
            )
            self._calls.about_reserved(reserved)
            if one.state == WRAP_UP:
                self._spine.event("wrap_up", wrap_up_of(reserved))

    def _move(self, one: OneOffer, word: str) -> bool:
        state = OFFER_MOVES[one.state].get(word)
        if state is None:
            return False
        one.state = state
        return True

    def _gone(self, one: OneOffer, reason: str) -> None:
        one.state = GONE
        self.by_id.pop(one.reserved.id, None)
        self._end(one, reason)

    def _end(self, one: OneOffer, reason: str) -> None:
        if one.told:
            one.told = False
            self._spine.event("offer_ended", {"offer": one.reserved.id, "reason": reason})

    # -- is the page there?

    def probed(self, request: Probed) -> None:
        one = self.by_id.get(request.probe)
        if one is None or one.state not in (PROBING, SHOWN):
            self._spine.refuse(request.id, "no_such_probe", "nothing waits for this answer any more")
            return
        if one.state == PROBING and self._move(one, PROBED):
            one.told = True
            self._spine.event("offer", {"offer": offer_of(one.reserved)})
        self._spine.answer(request.id)

    def _silent(self, one: OneOffer) -> None:
        if one.state == PROBING and self._move(one, SILENT):
            self._keep_nobody_waiting("decline", one, reason=NO_ANSWER)

    # -- what the page asks

    def decline(self, request: Decline) -> None:
        one = self._found(request.id, request.offer)
        if one is None:
            return
        before = one.state
        if not self._move(one, DECLINE):
            self._spine.refuse(request.id, "offer_gone", "it is not offered any more")
            return

        def came(outcome: Came) -> None:
            if outcome.ok:
                self._spine.answer(request.id)
                return
            if outcome.retryable and one.state != GONE:
                one.state = before
            self._spine.refuse_as(request.id, outcome)

        self._spine.keep(came, "decline", {"offer": one.reserved.id, "reason": request.reason or "declined"})

    def accept(self, request: Accept) -> None:
        """Claim it in the store, then have the switch answer the browser's offer, then say that it is connected."""
        one = self._found(request.id, request.offer)
        if one is None:
            return
        if one.reserved.kind == "call" and not request.sdp:
            self._spine.refuse(request.id, "invalid_sdp", "a call is accepted with the browser's whole offer")
            return
        if not self._move(one, ACCEPT):
            self._spine.refuse(request.id, "offer_gone", "it is not offered any more, or was accepted before")
            return
        self._spine.keep(
            lambda came: self._claimed(one, request, came),
            "accept",
            {"offer": one.reserved.id},
            step="claim",
            late=lambda came: self._claimed_late(one, came),
        )

    def _claimed_late(self, one: OneOffer, came: Came) -> None:
        if came.ok:
            self._keep_nobody_waiting("failed", one, reason="outcome_unknown")

    def _claimed(self, one: OneOffer, request: Accept, came: Came) -> None:
        if not came.ok:
            if came.retryable and one.state == CLAIMING:
                one.state = SHOWN
            elif self._move(one, REFUSED):
                self._gone(one, came.code)
            self._spine.refuse_as(request.id, came)
            if came.code == "outcome_unknown":
                # It may have become ours after all, and nobody would do anything with it.
                self._keep_nobody_waiting("failed", one, reason=came.code)
            return
        if one.reserved.kind != "call":
            if one.state != GONE:
                one.state = CONNECTED
            self._spine.answer(request.id, {"conversation_id": one.reserved.conversation_id})
            return
        if one.state == GONE or self._spine.over:
            self._spine.refuse(request.id, "offer_gone", "it has ended meanwhile")
            self._keep_nobody_waiting("failed", one, reason="left")
            return
        if one.state != CONNECTED:
            self._move(one, CLAIMED)
        one.leg = self._fresh_leg()
        self._calls.begins(one.leg)
        back = one.reserved
        args: Args = {"agent": self._agent_id, "sdp": request.sdp, "leg": one.leg}
        args |= (
            {"join": back.leg, "to": "", "from": ""}
            if back.call_id
            else {"join": "", "to": back.dial, "from": ""}
        )
        self._spine.order(
            lambda outcome: self._called(one, request, outcome),
            "agent.call",
            node=back.node,
            call_id=back.call_id,
            args=args,
            step="phone",
            late=lambda outcome: self._called_late(one, outcome),
        )

    def _called(self, one: OneOffer, request: Accept, came: Came) -> None:
        if not came.ok:
            self._calls.failed(one.leg, unknown=came.code in ("outcome_unknown", "owner_lost"))
            self._keep_nobody_waiting("failed", one, reason=came.code)
            self._spine.refuse_as(request.id, came)
            if self._move(one, REFUSED):
                self._gone(one, came.code)
            return
        value = came.value
        if one.state == GONE or self._spine.over:
            # Whoever called has gone, or the page has: nobody is to sit in a silent call.
            self._called_late(one, came)
            self._spine.refuse(request.id, "offer_gone", "it has ended meanwhile")
            return
        self._move(one, CALLED)
        if one.reserved.call_id != value.get("call_id"):
            about = one.reserved
            self._calls.about(str(value.get("call_id", "")), other=about.caller, other_name=about.caller_name)
        self._keep_nobody_waiting("connected", one, leg=one.leg)
        self._spine.answer(
            request.id, {"call_id": value.get("call_id"), "leg": value.get("leg"), "sdp": value.get("sdp")}
        )

    def _called_late(self, one: OneOffer, came: Came) -> None:
        if came.ok:
            node = str(came.value.get("node") or one.reserved.node)
            self._calls.end_leg(node, str(came.value.get("call_id", "")), one.leg)
            self._keep_nobody_waiting("failed", one, reason="left")

    def wrap_up(self, request: WrapUp) -> None:
        one = self._found(request.id, request.offer)
        if one is not None:
            self._spine.keep(
                lambda came: self._done(request.id, came),
                "finish",
                {"offer": request.offer, "disposition": request.disposition, "notes": request.notes},
            )

    def extend(self, request: WrapExtend) -> None:
        one = self._found(request.id, request.offer)
        if one is not None:
            self._spine.keep(
                lambda came: self._done(request.id, came),
                "extend",
                {"offer": request.offer, "seconds": request.seconds},
            )

    def _done(self, request: str, came: Came) -> None:
        if came.ok:
            self._spine.answer(request, came.value)
        else:
            self._spine.refuse_as(request, came)

    def _found(self, request: str, offer: str) -> OneOffer | None:
        one = self.by_id.get(offer)
        if one is None:
            self._spine.refuse(request, "offer_gone", "nothing of this id is offered to you")
        return one

    def _keep_nobody_waiting(self, do: str, one: OneOffer, **args: str) -> None:
        self._spine.keep(lambda _: None, do, {"offer": one.reserved.id, **args})
