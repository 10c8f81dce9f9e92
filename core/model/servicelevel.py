"""Service levels: the clocks of a conversation, and what happened to make them run, stop and break. Pure.

Three clocks, each counted in the hours of a schedule: until the first answer, until the next answer after somebody asked
again, and until the conversation is resolved. They follow the entries of the log in their order, with the times that those
carry, so the same history gives the same breaches however late it is read. A clock breaks once: it stays in ``breached``
until it runs anew.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from core.model import hours
from core.model.hours import Schedule

Clock = Literal["first_reply", "next_reply", "resolution"]
Kind = Literal["asked", "answered", "resolved", "reopened", "passed"]
"""What happened: somebody wrote to us, we answered, it was resolved, opened again, or time went by."""


Seconds = Annotated[int, Meta(ge=0, le=366 * 86_400)]


class Targets(Struct, frozen=True, forbid_unknown_fields=True):
    """What a policy promises: seconds of work, 0 for no promise."""

    first_reply_s: Seconds = 0
    next_reply_s: Seconds = 0
    resolution_s: Seconds = 0


class Clocks(Struct, frozen=True):
    """Microseconds since the epoch; 0 for a clock that does not run."""

    first_reply_due_us: int = 0
    next_reply_due_us: int = 0
    resolution_due_us: int = 0
    breached: tuple[Clock, ...] = ()
    answered: bool = False
    """Whether there was a first answer."""

    @property
    def due_us(self) -> int:
        """When the next clock breaks that has not broken yet; 0 when none will."""
        running = (getattr(self, f"{name}_due_us") for name in CLOCKS if name not in self.breached)
        return min((due for due in running if due), default=0)


class Breach(Struct, frozen=True):
    """A promise that was not kept."""

    clock: Clock
    due_us: int
    at_us: int
    """When it was certain: the answer that came late, or the moment at which we looked."""


CLOCKS: tuple[Clock, ...] = ("first_reply", "next_reply", "resolution")

STOPS: dict[Kind, tuple[Clock, ...]] = {
    "asked": (),
    "answered": ("first_reply", "next_reply"),
    "resolved": ("first_reply", "next_reply", "resolution"),
    "reopened": (),
    "passed": (),
}
"""Which clocks stop. Every kind first breaks those that ran out before it."""


def advance(
    clocks: Clocks, kind: Kind, at_us: int, targets: Targets, schedule: Schedule
) -> tuple[Clocks, list[Breach]]:
    """The clocks after ``kind`` happened at ``at_us``, and what broke by then."""
    broken = [
        Breach(name, due, at_us)
        for name in CLOCKS
        if 0 < (due := getattr(clocks, f"{name}_due_us")) < at_us and name not in clocks.breached
    ]
    changes: dict[str, object] = {"breached": (*clocks.breached, *(one.clock for one in broken))}
    for name in STOPS[kind]:
        changes[f"{name}_due_us"] = 0
    if kind == "answered":
        changes["answered"] = True
    after = msgspec.structs.replace(clocks, **changes)
    for name in _starts(after, kind):
        seconds = getattr(targets, f"{name}_s")
        due = hours.later(schedule, at_us, seconds * 1_000_000) if seconds else None
        if due is not None:
            left = tuple(one for one in after.breached if one != name)
            after = msgspec.structs.replace(after, breached=left, **{f"{name}_due_us": due})
    return after, broken


def joined(kept: Clocks, gone: Clocks) -> Clocks:
    """The clocks of a conversation that another one became part of: who waited in either still waits, since then."""
    changes: dict[str, object] = {}
    for name in CLOCKS:
        both = [getattr(one, f"{name}_due_us") for one in (kept, gone) if name not in one.breached]
        earlier = min((due for due in both if due), default=0)
        changes[f"{name}_due_us"] = earlier or getattr(kept, f"{name}_due_us")
        if earlier:
            kept = msgspec.structs.replace(kept, breached=tuple(one for one in kept.breached if one != name))
    return msgspec.structs.replace(kept, answered=kept.answered or gone.answered, **changes)


def _starts(clocks: Clocks, kind: Kind) -> list[Clock]:
    found: list[Clock] = []
    if kind == "asked":
        # The clock runs from the first question that nobody has answered; more of them do not put it back.
        if not clocks.answered and not clocks.first_reply_due_us and "first_reply" not in clocks.breached:
            found.append("first_reply")
        elif clocks.answered and not clocks.next_reply_due_us:
            found.append("next_reply")
    if kind in ("asked", "reopened") and not clocks.resolution_due_us:
        found.append("resolution")
    return found
