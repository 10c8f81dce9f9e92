"""Rules of messages that need no store: order, states, what people read of them, and how a conversation moves.

The states are the lattice of `irisx_sdk.RANKS`: a receipt may only move a message up. A message in several parts is as
far as its slowest part, and failed when any part is.
"""

from collections.abc import Iterable

from msgspec import Struct

from irisx_sdk.messages import (
    RANKS,
    Choice,
    Content,
    Deletion,
    Edit,
    Interactive,
    Location,
    Media,
    Reaction,
    State,
    Template,
    Text,
    Typing,
)

BELIEVED_US = 600_000_000
"""How far a provider's time may lie from the arrival and still say where a message belongs (product facts 5.7)."""
PREVIEW = 160
MAX_TEXT = 65_536
"""Characters of a message that are searched; the whole of it is in its content."""


def order_us(sent_us: int, arrived_us: int) -> int:
    """Where a message stands in its conversation: the provider's time if it is believable, else the arrival."""
    return sent_us if abs(arrived_us - sent_us) <= BELIEVED_US else arrived_us


def words_of(content: Content) -> str:
    """What of a message can be searched and previewed."""
    match content:
        case Text(text=text) | Edit(text=text) | Interactive(text=text):
            said = text
        case Media(caption=caption, file=file):
            said = caption or file.name
        case Template(name=name, values=values):
            said = " ".join((name, *values))
        case Choice(title=title, id=chosen):
            said = title or chosen
        case Location(name=name, address=address):
            said = ", ".join(part for part in (name, address) if part)
        case Reaction(emoji=emoji):
            said = emoji
        case _:
            said = ""
    return said[:MAX_TEXT]


def preview_of(content: Content) -> str:
    """One line of it."""
    return " ".join(words_of(content).split())[:PREVIEW]


def is_passing(content: Content) -> bool:
    """Whether it is about a moment or another message, and neither opens a conversation nor asks for an answer."""
    return isinstance(content, Typing | Reaction | Edit | Deletion)


def advanced(state: str, told: State) -> str:
    """The state after a receipt: ``told`` if that is further on, else what it was.

    ``failed`` and ``undelivered`` give way only to proof that it arrived after all.
    """
    known = RANKS.get(state, -1)  # type: ignore[call-overload]  # our own states before sending rank below all
    return told if RANKS[told] > known else state


def state_of_parts(parts: Iterable[str]) -> str:
    """The state of a message by the states of its parts; ``queued`` without any."""
    states = list(parts)
    for bad in ("failed", "undelivered"):
        if bad in states:
            return bad
    return min(states, key=lambda one: RANKS.get(one, -1), default="queued")  # type: ignore[call-overload]


class Moved(Struct, frozen=True):
    """What a message does to its conversation."""

    state: str
    waiting_since_us: int


def after_inbound(state: str, waiting_since_us: int, *, at_us: int, automatic: bool) -> Moved:
    """Somebody wrote: a conversation that slept wakes up, and they wait from their first unanswered message on."""
    if automatic:
        return Moved(state, waiting_since_us)
    return Moved("open" if state in ("snoozed", "pending") else state, waiting_since_us or at_us)
