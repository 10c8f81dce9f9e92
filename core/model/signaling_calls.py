"""The calls of an agent's session: what the page is told of them, and what it may order about them. Pure.

A call is the agent's as long as one of its live legs is. Orders are translated here from what an agent means (hold *them*,
mute *me*) to the leg that an order names; whoever owns the switch looks at everything again.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from core.model.records import Call, Leg
from core.model.signaling import (
    CallView,
    Conference,
    Dtmf,
    Hangup,
    Hold,
    Mute,
    Named,
    OnCall,
    Quality,
    RecordPause,
    RecordResume,
    Renew,
    Reserved,
    TransferCancel,
    TransferComplete,
    Unhold,
    Unmute,
)
from core.model.signaling_spine import Came, Spine
from core.model.signaling_views import (
    NOTHING,
    About,
    held_leg,
    live,
    other_leg,
    own_leg,
    recording_id,
    running,
    view,
)

Args = dict[str, str | int | bool | float | None]
MOST_ABOUT = 64
"""Calls of which more is known than their documents say, before the oldest is forgotten."""


class OneCall:
    """A call that the agent is in."""

    __slots__ = ("call", "own", "paused", "quality", "shown")

    def __init__(self, call: Call, own: Leg) -> None:
        self.call = call
        self.own = own
        self.paused: set[str] = set()
        self.quality: Quality | None = None
        self.shown: CallView | None = None


class Calls:
    """See the module's text."""

    __slots__ = ("_about", "_agent_id", "_legs", "_spine", "_unwanted", "by_id", "on_end")

    def __init__(self, spine: Spine, agent_id: str) -> None:
        self._spine = spine
        self._agent_id = agent_id
        self.by_id: dict[str, OneCall] = {}
        self.on_end: Callable[[str], None] = _nobody
        """Told the id of each call that the agent has left."""
        self._about: dict[str, About] = {}
        self._legs: set[str] = set()
        """Legs that we began, and that no document has shown yet."""
        self._unwanted: set[str] = set()
        """Legs whose page was told that they failed: should they come to be after all, they end."""

    # -- what the log and the switch say

    def begins(self, leg: str) -> None:
        """A leg of ours is on its way."""
        self._legs.add(leg)

    def failed(self, leg: str, *, unknown: bool) -> None:
        """It did not come to be; ``unknown``: or nobody knows."""
        self._legs.discard(leg)
        if not unknown:
            return
        for one in self.by_id.values():
            if one.own.uuid == leg:
                self.end_leg(one.call.node, one.call.id, leg)
                return
        self._unwanted.add(leg)

    def end_leg(self, node: str, call_id: str, leg: str, cause: str = "NORMAL_CLEARING") -> None:
        """Hang up a leg of ours that nobody waits for."""
        args: Args = {"leg": leg, "cause": cause}
        self._spine.order(_nothing, "call.hangup", node=node, call_id=call_id, args=args)

    def about(self, call_id: str, **known: Any) -> None:
        """Remember what a call's document does not say, and show it."""
        if not call_id:
            return
        self._about[call_id] = replace(self._about.get(call_id, NOTHING), **known)
        if len(self._about) > MOST_ABOUT:
            spare = next((one for one in self._about if one not in self.by_id and one != call_id), None)
            if spare is not None:
                del self._about[spare]
        one = self.by_id.get(call_id)
        if one is not None:
            self._show(one)

    def about_reserved(self, reserved: Reserved) -> None:
        """A call that came by a reservation."""
        self.about(
            reserved.call_id,
            other=reserved.caller,
            other_name=reserved.caller_name,
            queue=Named(reserved.queue_id, reserved.queue_name) if reserved.queue_id else None,
            conversation_id=reserved.conversation_id,
            contact_id=reserved.contact_id,
        )

    def seen(self, call: Call, *, quiet: bool = False) -> OneCall | None:
        """The call as its document is now; None when the agent is not (any more) in it."""
        own = own_leg(call, self._agent_id, self._legs)
        one = self.by_id.get(call.id)
        if own is not None and own.uuid in self._unwanted:
            self._unwanted.discard(own.uuid)
            self.end_leg(call.node, call.id, own.uuid)
            return None
        if one is None:
            if own is None:
                return None
            one = self.by_id[call.id] = OneCall(call, own)
        elif call.version < one.call.version:
            return one
        if own is None:
            self._ended(one, call)
            return None
        one.call, one.own = call, own
        if not quiet:
            self._show(one)
        return one

    def entry(self, kind: str, call: Call, data: Mapping[str, Any]) -> None:
        """One entry of the log about a call."""
        one = self.seen(call, quiet=True)
        if one is None:
            return
        recording = str(data.get("recording", ""))
        if kind == "call.recording_paused":
            one.paused.add(recording)
        elif kind in ("call.recording_resumed", "call.recording_stopped"):
            one.paused.discard(recording)
        self._show(one)

    def _show(self, one: OneCall) -> None:
        shown = self.view(one)
        if shown != one.shown:
            one.shown = shown
            self._spine.event("call", {"call": shown})

    def _ended(self, one: OneCall, call: Call) -> None:
        del self.by_id[call.id]
        self._legs.discard(one.own.uuid)
        last = next((leg for leg in call.legs if leg.uuid == one.own.uuid), one.own)
        cause = "MERGED" if call.merged_into else last.hangup_cause or call.hangup_cause
        self._spine.event("call_ended", {"call": call.id, "cause": cause})
        self._about.pop(call.id, None)
        if one.quality is not None:
            self._spine.keep(
                _nothing, "quality", {"call_id": call.id, "codec": last.codec, "quality": one.quality}
            )
        self.on_end(call.id)

    def view(self, one: OneCall) -> CallView:
        return view(one.call, one.own, self._about.get(one.call.id, NOTHING), one.paused)

    def views(self) -> list[CallView]:
        """All of them, as they are now; nothing is told of these again until they change."""
        found = []
        for one in self.by_id.values():
            one.shown = self.view(one)
            found.append(one.shown)
        return found

    def inherit(self, older: "Calls") -> None:
        """What the session before this one knew beside the documents."""
        self._about = {**older._about, **self._about}
        self._legs |= older._legs
        self._unwanted |= older._unwanted
        for call_id, before in older.by_id.items():
            one = self.by_id.get(call_id)
            if one is not None:
                one.paused, one.quality = before.paused, before.quality

    # -- what the page asks

    def asked(self, request: OnCall) -> None:
        """Any request about one call that is a single order (`ORDERS`)."""
        one = self.mine(request)
        if one is not None:
            made = ORDERS[type(request)](self, request, one)
            if isinstance(made, str):
                code, _, detail = made.partition(": ")
                self._spine.refuse(request.id, code, detail)
            else:
                self.orders(request.id, one, made)

    def mine(self, request: OnCall) -> OneCall | None:
        """The call that is meant; refused when it is not the agent's own."""
        one = self.by_id.get(request.call)
        if one is None:
            self._spine.refuse(request.id, "no_such_call", "you are in no live call of this id")
        return one

    def orders(self, request: str, one: OneCall, made: list[tuple[str, Args]]) -> None:
        """Give these orders at once; the page is answered when the last one was, and with the first failure."""
        left = len(made)
        failure: Came | None = None

        def came(outcome: Came) -> None:
            nonlocal left, failure
            left -= 1
            if not outcome.ok and failure is None:
                failure = outcome
            if left:
                return
            if failure is None:
                self._spine.answer(request)
            else:
                self._spine.refuse_as(request, failure)

        for action, args in made:
            self._spine.order(came, action, node=one.call.node, call_id=one.call.id, args=args)

    def renew(self, request: Renew) -> None:
        """A new SDP offer for a leg that is ours."""
        one = next((each for each in self.by_id.values() if each.own.uuid == request.leg), None)
        if one is None:
            self._spine.refuse(request.id, "no_such_leg", "you have no live leg of this id")
            return

        def came(outcome: Came) -> None:
            if outcome.ok:
                self._spine.answer(request.id, {"sdp": outcome.value.get("sdp", "")})
            else:
                self._spine.refuse_as(request.id, outcome)

        args: Args = {"leg": request.leg, "sdp": request.sdp, "agent": self._agent_id}
        self._spine.order(
            came, "agent.renew", node=one.call.node, call_id=one.call.id, args=args, step="phone"
        )

    def quality(self, request: Quality) -> None:
        """The newest numbers of a leg; they are written down when it ends."""
        one = next((each for each in self.by_id.values() if each.own.uuid == request.leg), None)
        if one is None:
            self._spine.refuse(request.id, "no_such_leg", "you have no live leg of this id")
            return
        one.quality = request
        self._spine.answer(request.id)

    # -- which leg is meant

    def _on_own(self, request: OnCall, one: OneCall) -> list[tuple[str, Args]]:
        return [(ACTIONS[type(request)], {"leg": one.own.uuid})]

    def _hold(self, request: OnCall, one: OneCall) -> list[tuple[str, Args]] | str:
        other = other_leg(one.call, one.own)
        return (
            "nobody_there: nobody else is in this call"
            if other is None
            else [("call.hold", {"leg": other.uuid})]
        )

    def _unhold(self, request: OnCall, one: OneCall) -> list[tuple[str, Args]] | str:
        held = held_leg(one.call, one.own)
        return "not_held: nobody is on hold" if held is None else [("call.unhold", {"leg": held.uuid})]

    def _dtmf(self, request: OnCall, one: OneCall) -> list[tuple[str, Args]] | str:
        other = other_leg(one.call, one.own)
        if other is None or not isinstance(request, Dtmf):
            return "nobody_there: nobody else is in this call"
        return [("call.dtmf", {"leg": other.uuid, "digits": request.keys})]

    def _conference(self, request: OnCall, one: OneCall) -> list[tuple[str, Args]] | str:
        if len(live(one.call)) < 2:
            return "nobody_there: nobody else is in this call"
        return [("conference.add", {"conference": one.call.id})]

    def _plain(self, request: OnCall, one: OneCall) -> list[tuple[str, Args]]:
        return [(ACTIONS[type(request)], {})]

    def _record(self, request: OnCall, one: OneCall) -> list[tuple[str, Args]] | str:
        pausing = isinstance(request, RecordPause)
        found = [name for name in map(recording_id, running(one.call)) if (name in one.paused) != pausing]
        if not found:
            return "no_recording: nothing is recorded" if pausing else "not_paused: no recording is paused"
        return [(ACTIONS[type(request)], {"recording": name}) for name in found]


def _nobody(_call_id: str) -> None:
    """Nobody wants to know."""


def _nothing(_came: Came) -> None:
    """Nobody waits for it."""


ACTIONS: dict[type[OnCall], str] = {
    Mute: "call.mute",
    Unmute: "call.unmute",
    Hangup: "call.hangup",
    TransferComplete: "call.transfer_complete",
    TransferCancel: "call.transfer_cancel",
    RecordPause: "call.record_pause",
    RecordResume: "call.record_resume",
}
Translate = Callable[[Calls, OnCall, OneCall], "list[tuple[str, Args]] | str"]
ORDERS: dict[type[OnCall], Translate] = {
    Mute: Calls._on_own,
    Unmute: Calls._on_own,
    Hangup: Calls._on_own,
    Hold: Calls._hold,
    Unhold: Calls._unhold,
    Dtmf: Calls._dtmf,
    Conference: Calls._conference,
    TransferComplete: Calls._plain,
    TransferCancel: Calls._plain,
    RecordPause: Calls._record,
    RecordResume: Calls._record,
}
"""What becomes of a request: orders, or a code and a sentence that refuse it."""
