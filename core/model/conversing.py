"""The states of a conversation and what moves it between them, as data. Pure.

``open``: somebody has to act. ``pending``: we wait for them. ``snoozed``: put away until a moment. ``resolved``: done; the next
message of its thread begins another one. What people write moves conversations, too: that is in `core.model.messaging`.
"""

from typing import Literal

from core.errors import Conflict

State = Literal["open", "pending", "snoozed", "resolved"]
Move = Literal["open", "pend", "snooze", "wake", "resolve", "reopen"]

MOVES: dict[Move, tuple[tuple[State, ...], State]] = {
    "open": (("open", "pending", "snoozed"), "open"),
    "pend": (("open", "pending", "snoozed"), "pending"),
    "snooze": (("open", "pending", "snoozed"), "snoozed"),
    "wake": (("snoozed",), "open"),
    "resolve": (("open", "pending", "snoozed"), "resolved"),
    "reopen": (("resolved",), "open"),
}
"""For each move the states in which it makes sense, and the one after it."""

KINDS: dict[Move, str] = {
    "open": "conversation.updated",
    "pend": "conversation.updated",
    "snooze": "conversation.snoozed",
    "wake": "conversation.updated",
    "resolve": "conversation.resolved",
    "reopen": "conversation.reopened",
}
"""What the log hears of it."""


def moved(state: State, move: Move) -> State:
    """The state after ``move``. Raises `Conflict` where it makes no sense."""
    from_states, to = MOVES[move]
    if state not in from_states:
        raise Conflict(f"the conversation is {state}", code="wrong_state")
    return to


def changes(move: Move, *, at_us: int, until_us: int = 0) -> dict[str, object]:
    """The members of a conversation that a move sets."""
    set_: dict[str, object] = {"state": MOVES[move][1]}
    set_["snoozed_until_us"] = until_us if move == "snooze" else 0
    if move == "resolve":
        set_ |= {"resolved_us": at_us, "waiting_since_us": 0}
    if move == "reopen":
        set_["resolved_us"] = 0
    return set_
