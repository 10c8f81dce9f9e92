"""A session with everything around it in plain values: a page, a store, a switch, a log, and a clock that we move."""

from collections import Counter
from typing import Any

import msgspec
from msgspec.structs import replace

from core.model.records import Call, Leg
from core.model.reservations import may
from core.model.signaling import AgentSeen, Device, Reserved, decode
from core.model.signaling_session import Session
from core.model.signaling_spine import Came, Frame, Give, Keep, Now, Output, Over, Shut

START_US = 1_795_000_000_000_000
ME = AgentSeen(id="agt_me", name="Ann", extension="11", state="ready", version=1, session="sgs_1")
BEN = AgentSeen(id="agt_ben", name="Ben", extension="12", state="ready", version=1, session="sgs_2")
SDP = "v=0 whole"


def customer(call_id: str = "call_1", leg: str = "cust", **more: Any) -> Call:
    """A customer who waits in a queue."""
    one = Leg(uuid=leg, direction="inbound", state="answered", caller="+4930111", created_us=START_US)
    return Call(
        id=call_id, tenant_id="tnt_1", node="node_1", state="answered", legs=(one,), version=1, **more
    )


def with_agent(call: Call, leg: str, agent: str = "agt_me", *, talking: bool = True) -> Call:
    """The same call with an agent's leg in it."""
    first = call.legs[0]
    own = Leg(
        uuid=leg, direction="inbound", state="answered", agent=agent, created_us=START_US + 1, parked=True
    )
    if talking:
        first = replace(first, bridged_to=leg, other_leg=leg)
        own = replace(own, bridged_to=first.uuid, other_leg=first.uuid, bridged_us=START_US + 2, parked=False)
    return replace(call, legs=(first, own), version=call.version + 1)


class World:
    """What the tests do to a session, and all that they saw of it."""

    def __init__(self, **given: Any) -> None:
        self.mono = 100.0
        self._legs = 0
        self.session = Session(
            "sgs_1", "tnt_1", ME, Device("dev_1"), self.now, fresh_leg=self._fresh_leg, **given
        )
        self.work: dict[int, Give | Keep] = {}
        self.given: list[Give | Keep] = []
        """Everything that the session asked of others, in order."""
        self.sockets: list[list[dict[str, Any]]] = []
        """What each socket was sent."""
        self.last_n = 0
        """The last event that the page has."""
        self.shut: list[Shut] = []
        self.over: list[Over] = []
        self.store: dict[str, Reserved] = {}
        self.log: list[tuple[str, Reserved]] = []
        """Entries that were written and not yet delivered."""
        self.agent_calls: Counter[str] = Counter()
        self.legs: dict[str, Came] = {}
        """What came of the orders for browsers' legs."""
        self._asked = 0

    @property
    def now(self) -> Now:
        return Now(self.mono, START_US + round((self.mono - 100.0) * 1e6))

    def _fresh_leg(self) -> str:
        self._legs += 1
        return f"leg-{self._legs}"

    # -- the page

    @property
    def frames(self) -> list[dict[str, Any]]:
        """What the socket of now was sent."""
        return self.sockets[-1]

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        return [
            one
            for socket in self.sockets
            for one in socket
            if "n" in one and "re" not in one and kind in ("", one["type"])
        ]

    def answers(self, request: str) -> list[dict[str, Any]]:
        return [one for socket in self.sockets for one in socket if one.get("re") == request]

    def connect(self, resume: bool = False) -> dict[str, Any]:
        self.sockets.append([])
        self.take(self.session.attach("hi", self.last_n if resume else None, self.now))
        hello = self.frames[0]
        if not hello["resumed"]:
            self.last_n = hello["n"]
        return hello

    def lose(self) -> None:
        self.take(self.session.detach(self.now))

    def ask(self, kind: str, /, *, request: str = "", **members: Any) -> str:
        """Send a request; its id."""
        self._asked += 1
        request = request or f"r{self._asked}"
        text = msgspec.json.encode({"id": request, "type": kind, **members})
        self.take(self.session.request(decode(text), self.now))
        return request

    # -- everybody else

    def take(self, outputs: list[Output]) -> None:
        for one in outputs:
            if isinstance(one, Frame):
                assert self.session.attached, "a frame for nobody"
                told = msgspec.json.decode(one.body)
                self.frames.append(told)
                if "re" not in told:
                    self.last_n = told["n"]
            elif isinstance(one, Give | Keep):
                self.work[one.token] = one
                self.given.append(one)
                if isinstance(one, Give) and one.action == "agent.call":
                    self.agent_calls[str(one.args["join"])] += 1
            elif isinstance(one, Shut):
                self.shut.append(one)
            else:
                self.over.append(one)

    def waiting(self, what: str) -> list[Give | Keep]:
        """What was asked of others and has no outcome yet."""
        return [
            one for one in self.work.values() if (one.action if isinstance(one, Give) else one.do) == what
        ]

    def finish(self, one: Give | Keep, outcome: Came) -> None:
        del self.work[one.token]
        if isinstance(one, Give) and one.action == "agent.call":
            self.legs[str(one.args["leg"])] = outcome
        self.take(self.session.came(one.token, outcome, self.now))

    def done(self, what: str, **value: Any) -> None:
        """The oldest of these has succeeded."""
        self.finish(self.waiting(what)[0], Came(True, value))

    def refused(self, what: str, code: str, *, retryable: bool = False) -> None:
        self.finish(self.waiting(what)[0], Came(False, code=code, detail="no", retryable=retryable))

    def pass_(self, seconds: float) -> None:
        """Let time go by; whatever is due meanwhile happens at its time."""
        until = self.mono + seconds
        while (due := self.session.due) is not None and due <= until:
            self.mono = max(self.mono, due)
            self.take(self.session.tick(self.now))
        self.mono = until

    # -- the store and its log, as faithful as this needs

    def offer(self, number: int = 1, *, kind: str = "call", **more: Any) -> Reserved:
        made = Reserved(
            id=f"rsv_{number}", agent_id="agt_me", kind=kind, queue_id="que_1", queue_name="Sales", node="node_1",
            call_id=f"call_{number}" if kind == "call" else "", leg=f"cust{number}" if kind == "call" else "",
            conversation_id=f"conv_{number}", caller="+4930111", caller_name="Eve", version=1,
            expires_us=self.now.us + 20_000_000,
        )  # fmt: skip
        made = replace(made, **more)
        self.store[made.id] = made
        self.log.append(("offered", made))
        return made

    def move(self, offer: str, state: str, **more: Any) -> bool:
        """What the store does: one state after another, and an entry of it."""
        before = self.store[offer]
        if not may(before.state, state):
            return False
        after = replace(before, state=state, version=before.version + 1, **more)
        self.store[offer] = after
        self.log.append((state, after))
        return True

    def deliver(self, count: int = 1000) -> None:
        for word, reserved in self.log[:count]:
            self.take(self.session.reservation_entry(word, reserved, self.now))
        del self.log[:count]

    def act(self, one: Give | Keep) -> Came:
        """What store and switch do when everything is well."""
        if isinstance(one, Give):
            if one.action == "agent.call":
                call_id = one.call_id or f"call_of_{one.args['leg']}"
                return Came(
                    True, {"call_id": call_id, "leg": one.args["leg"], "sdp": "v=0 answer", "node": "node_1"}
                )
            return Came(True, {"sdp": "v=0 answer"})
        to = {
            "accept": "accepted",
            "decline": "declined",
            "connected": "connected",
            "failed": "failed",
            "finish": "done",
        }
        state = to.get(one.do)
        if state is None:
            return Came(True, {"agent": ME, "reservation": "rsv_other"})
        offer = str(one.args["offer"])
        if state == "accepted" and self.store[offer].kind == "conversation":
            done = self.move(offer, "connected")
        else:
            done = self.move(offer, state)
        return Came(True) if done else Came(False, code="offer_gone", detail="gone")

    def settle(self) -> None:
        """Everybody does what they were asked, and the log is heard, until nothing is left to do."""
        while self.work or self.log:
            for one in list(self.work.values()):
                self.finish(one, self.act(one))
            self.deliver()
