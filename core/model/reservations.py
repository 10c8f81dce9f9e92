"""Work that is offered to an agent: the states of a reservation and what moves it, as data. Pure.

```
offered ─▶ accepted ─▶ connected ─▶ wrap_up ─▶ done
   ├─▶ declined            └───────────────────▶ done     (no wrap-up; a conversation that is resolved)
   ├─▶ missed       └─▶ failed                            (the caller hung up, or no leg came to be)
   └─▶ withdrawn
```

A conversation has no leg that comes to be, so accepting it connects it.
"""

from typing import Literal

from msgspec import Struct, field

from core.model.capacity import Work

State = Literal[
    "offered", "accepted", "connected", "wrap_up", "done", "declined", "missed", "withdrawn", "failed"
]
Kind = Literal["call", "conversation"]

TRANSITIONS: dict[str, frozenset[str]] = {
    "offered": frozenset({"accepted", "connected", "declined", "missed", "withdrawn"}),
    "accepted": frozenset({"connected", "failed"}),
    "connected": frozenset({"wrap_up", "done"}),
    "wrap_up": frozenset({"done"}),
    "done": frozenset(),
    "declined": frozenset(),
    "missed": frozenset(),
    "withdrawn": frozenset(),
    "failed": frozenset(),
}
OPEN = ("offered", "accepted", "connected", "wrap_up")
"""States in which it takes a share of its agent."""
REFUSED = ("declined", "missed", "withdrawn", "failed")
"""Ends without anybody having been served."""


def may(state: str, after: str) -> bool:
    """Whether a reservation can go from one state to another."""
    return after in TRANSITIONS[state]


class Reservation(Struct, frozen=True, kw_only=True):
    """One offer and what became of it. Times are microseconds since the epoch by the database's clock, 0 for never."""

    id: str
    tenant_id: str
    agent_id: str
    kind: Kind
    class_: str = field(default="call", name="class")
    """What it weighs: `call`, `chat`, `message`, `mail`."""
    state: State = "offered"
    reason: str = ""
    """Why it was declined, withdrawn or failed."""
    queue_id: str = ""
    """Empty for what one colleague offers another."""
    queue_name: str = ""
    entry_id: str = ""
    node: str = ""
    call_id: str = ""
    leg: str = ""
    """The customer's leg, to be joined with the agent's."""
    dial: str = ""
    """A number that wants to be called back: there is no call yet, accepting it means dialling this."""
    conversation_id: str = ""
    contact_id: str = ""
    caller: str = ""
    caller_name: str = ""
    offered_us: int = 0
    expires_us: int = 0
    """When it is missed."""
    waited_s: float = 0.0
    """How long they had waited when it was offered."""
    agent_leg: str = ""
    accepted_us: int = 0
    connected_us: int = 0
    ended_us: int = 0
    """The end of the talk."""
    wrap_until_us: int = 0
    done_us: int = 0
    disposition: str = ""
    notes: str = ""
    awaits_us: bool = True
    """Of a conversation: whether the next word is ours."""
    quiet_since_us: int = 0
    version: int = 1

    @property
    def open(self) -> bool:
        return self.state in OPEN

    @property
    def work(self) -> Work:
        """What it is to the one who has it."""
        return Work(self.class_, self.awaits_us, 0 if self.awaits_us else self.quiet_since_us)


def activity(states: list[tuple[str, str]]) -> str:
    """What somebody with these open reservations (kind, state) is at: ``busy`` talking, ``reserved`` by an offer,
    ``wrap_up``, or nothing in particular. Conversations keep nobody busy: they are written beside each other."""
    calls = {state for kind, state in states if kind == "call"}
    if calls & {"accepted", "connected"}:
        return "busy"
    if any(state == "offered" for _, state in states):
        return "reserved"
    return "wrap_up" if "wrap_up" in calls else ""
