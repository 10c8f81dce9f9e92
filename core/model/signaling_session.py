"""One agent's session: a page at a controller, whatever sockets it comes by. Pure.

    session = Session("sgs_1", tenant_id, agent, device, now, fresh_leg=...)
    for output in session.request(decode(text), now): ...

Inputs are what the page asks (`request`), what the log says (`agent_entry`, `reservation_entry`, `call_entry`), what came
of orders and of the store (`came`), sockets that come and go (`attach`, `detach`) and the clock (`tick`, at `due`). Outputs
are frames, orders and operations of the store (`signaling_spine`), to be carried out in their order. The rules are data in
`signaling_states`. Nothing that a page sends, and nothing that the log says, raises.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from core.model.records import Call
from core.model.signaling import (
    Accept,
    AgentSeen,
    Decline,
    Device,
    Devices,
    Dial,
    OnCall,
    Ping,
    Probed,
    Quality,
    Renew,
    Request,
    Reserved,
    State,
    Transfer,
    TransferCancel,
    WrapExtend,
    WrapUp,
    agent_of,
    encode,
    moment,
)
from core.model.signaling_calls import Calls
from core.model.signaling_dials import Dials
from core.model.signaling_offers import Offers
from core.model.signaling_spine import Came, Frame, Now, Output, Over, Shut, Spine
from core.model.signaling_states import HEARTBEAT_S, KEPT_S, SILENCE_S

CLOSE_REPLACED, CLOSE_SILENT, CLOSE_DRAINING = 4408, 4409, 4410
"""Codes of closing, for pages that did not hear `bye`."""


class Session(Spine):
    """See the module's text."""

    __slots__ = (
        "_gone_at",
        "_heard_at",
        "_shown_activity",
        "agent",
        "calls",
        "device",
        "devices",
        "dials",
        "id",
        "offers",
        "tenant_id",
    )

    def __init__(
        self,
        session_id: str,
        tenant_id: str,
        agent: AgentSeen,
        device: Device,
        now: Now,
        *,
        fresh_leg: Callable[[], str],
        reserved: Iterable[Reserved] = (),
        calls: Iterable[Call] = (),
    ) -> None:
        """``reserved`` and ``calls`` are the agent's own, as the store has them; ``fresh_leg`` makes a uuid."""
        super().__init__(now)
        self.id = session_id
        self.tenant_id = tenant_id
        self.agent = agent
        self.device = device
        self.devices: Devices | None = None
        self._heard_at = self._gone_at = now.mono
        self.calls = Calls(self, agent.id)
        self.offers = Offers(self, self.calls, agent.id, fresh_leg)
        self.dials = Dials(self, self.calls, agent, fresh_leg)
        self.calls.on_end = self.dials.call_ended
        for one in reserved:
            self.offers.adopt(one)
        for call in calls:
            self.calls.seen(call, quiet=True)
        self._shown_activity = self.offers.activity()
        self.after(SILENCE_S, self._listen)

    # -- sockets

    def attach(self, request: str, after_n: int | None, now: Now) -> list[Output]:
        """A socket of this session's device is there: the answer to its `hello`, then what it missed.

        ``after_n`` is the last event that the page has; None when it knows nothing.
        """
        self.now = now
        self._heard_at = now.mono
        self.attached = True
        missed = self.missed(after_n) if after_n is not None else None
        hello = {
            "re": request,
            "ok": True,
            "session": self.id,
            "n": self.n,
            "resumed": missed is not None,
            "heartbeat_s": HEARTBEAT_S,
            "at": moment(now.us),
            "agent": agent_of(self.agent, self._shown_activity),
            "calls": self.calls.views(),
            "offers": self.offers.shown(),
            "wrap_ups": self.offers.wrap_ups(),
        }
        self._out.append(Frame(encode(hello)))
        self._out += [Frame(body) for body in missed or ()]
        return self._take()

    def detach(self, now: Now) -> list[Output]:
        """Its socket is gone. The session waits for another one."""
        self.now = now
        if self.attached and not self.over:
            self.attached = False
            self._gone_at = now.mono
            self.after(KEPT_S, self._forgotten)
        return self._take()

    def _forgotten(self) -> None:
        if not self.attached and not self.over and self.now.mono - self._gone_at >= KEPT_S:
            self._ends("expired", reconnect=False, offline=True)

    def _listen(self) -> None:
        """Now and then: has the page been heard?"""
        if self.over:
            return
        left = self._heard_at + SILENCE_S - self.now.mono
        if self.attached and left <= 0:
            self._out.append(Shut(CLOSE_SILENT, "silent"))
        self.after(left if left > 0 else SILENCE_S, self._listen)

    def replaced(self, now: Now) -> list[Output]:
        """Another page holds the agent from now on."""
        self.now = now
        self._ends("replaced", reconnect=False, offline=False)
        return self._take()

    def drained(self, now: Now) -> list[Output]:
        """This controller goes: the page is to find another one."""
        self.now = now
        self._ends("draining", reconnect=True, offline=False)
        return self._take()

    def disowned(self, now: Now) -> list[Output]:
        """The store does not know this session any more: the page is to begin a new one."""
        self.now = now
        self._ends("expired", reconnect=True, offline=False)
        return self._take()

    def _ends(self, code: str, *, reconnect: bool, offline: bool) -> None:
        if self.over:
            return
        self.event("bye", {"code": code, "reconnect": reconnect})
        self.over = True
        if self.attached:
            self._out.append(Shut(CLOSE_DRAINING if reconnect else CLOSE_REPLACED, code))
        self._out.append(Over(offline))

    def inherit(self, older: "Session") -> None:
        """Go on where the session of the same agent before this one was."""
        self.calls.inherit(older.calls)
        self.dials.inherit(older.dials)
        self.devices = older.devices

    # -- the page

    def request(self, asked: Request, now: Now) -> list[Output]:
        """Something that the page asks."""
        self.now = now
        self._heard_at = now.mono
        if not self.over and self._begins(asked.id):
            self._do(asked)
        return self._take()

    def bad_request(self, request: str, code: str, detail: str, now: Now) -> list[Output]:
        """Something that was seen to be wrong before it came here."""
        self.now = now
        self._heard_at = now.mono
        if not self.over and self._begins(request):
            self.refuse(request, code, detail)
        return self._take()

    def _do(self, asked: Request) -> None:
        match asked:
            case Ping():
                self.answer(asked.id, {"at": moment(self.now.us)})
            case Probed():
                self.offers.probed(asked)
            case Accept():
                self.offers.accept(asked)
            case Decline():
                self.offers.decline(asked)
            case Dial():
                self.dials.dial(asked)
            case Renew():
                self.calls.renew(asked)
            case Transfer():
                self.dials.transfer(asked)
            case TransferCancel() if self.dials.cancel(asked):
                pass
            case OnCall():
                self.calls.asked(asked)
            case State():
                self._choose(asked)
            case WrapUp():
                self.offers.wrap_up(asked)
            case WrapExtend():
                self.offers.extend(asked)
            case Quality():
                self.calls.quality(asked)
            case Devices():
                self._note_devices(asked)
            case _:
                self.refuse(asked.id, "bad_request", "this is not asked on a socket that has said hello")

    def _choose(self, asked: State) -> None:
        if asked.state not in ("ready", "not_ready"):
            self.refuse(asked.id, "bad_request", "state is ready or not_ready")
            return

        def came(outcome: Came) -> None:
            if outcome.ok:
                self._agent(outcome.value["agent"])
                self.answer(asked.id, {"agent": agent_of(self.agent, self._shown_activity)})
            else:
                self.refuse_as(asked.id, outcome)

        self.keep(came, "state", {"state": asked.state, "reason": asked.reason})

    def _note_devices(self, asked: Devices) -> None:
        before, self.devices = self.devices, asked
        self.answer(asked.id)
        same = before is not None and (before.microphone, before.speaker, before.network) == (
            asked.microphone,
            asked.speaker,
            asked.network,
        )
        if not same:
            self.keep(lambda _: None, "devices", {"devices": asked})

    # -- the log

    def agent_entry(self, kind: str, agent: AgentSeen, now: Now) -> list[Output]:
        """An entry about this agent."""
        self.now = now
        if not self.over:
            if agent.version >= self.agent.version and agent.session not in ("", self.id):
                self._ends("replaced", reconnect=False, offline=False)
            elif kind == "agent.offline" and agent.session == "" and agent.version > self.agent.version:
                # We were silent for too long, for those who watch: the page says hello again.
                self._ends("expired", reconnect=True, offline=False)
            else:
                self._agent(agent)
        return self._take()

    def _agent(self, agent: AgentSeen) -> None:
        if agent.version < self.agent.version:
            return
        before, self.agent = self.agent, agent
        if agent_of(before, "") != agent_of(agent, ""):
            self.event("agent", {"agent": agent_of(agent, self._shown_activity)})

    def reservation_entry(self, word: str, reserved: Reserved, now: Now) -> list[Output]:
        """An entry about a reservation of this agent, or about one that they made a colleague."""
        self.now = now
        if self.over:
            return self._take()
        if reserved.agent_id == self.agent.id:
            self.offers.entry(word, reserved)
            activity = self.offers.activity()
            if activity != self._shown_activity:
                self._shown_activity = activity
                self.event("agent", {"agent": agent_of(self.agent, activity)})
        else:
            self.dials.entry(word, reserved)
        return self._take()

    def call_entry(self, kind: str, call: Call, data: Mapping[str, Any], now: Now) -> list[Output]:
        """An entry about a call."""
        self.now = now
        if not self.over:
            self.calls.entry(kind, call, data)
        return self._take()

    # -- what was begun, and the clock

    def came(self, token: int, outcome: Came, now: Now) -> list[Output]:
        """What came of an order or an operation, also after the end: something may have to be put right."""
        self.now = now
        self._came(token, outcome)
        return self._take()

    def tick(self, now: Now) -> list[Output]:
        """The clock: whatever is due by now."""
        self.now = now
        self._ring()
        return self._take()
