"""Route plans: what a tenant says about carriers before prices do. Pure.

A plan is a list of steps. Each names the messages that it is about (prefixes of the number, purposes; none: all) and what
holds for them: ``only`` these carriers, ``never`` these, or these first, in this order (``prefer``). All steps that fit hold
together: what one bars no other lets in, and of two that prefer, the earlier comes first. What is left is ordered as without
a plan (`core.model.routing`), behind what is preferred. A plan cannot make a carrier do what it cannot, may not, or has no
rate for.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from core.model.policy import Purpose

MOST_STEPS = 200

Prefix = Annotated[str, Meta(min_length=1, max_length=15, pattern="^[0-9]+$")]
CarrierId = Annotated[str, Meta(pattern="^car_[0-9a-z]{1,40}$")]


class Step(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One sentence of a plan."""

    do: Literal["only", "never", "prefer"]
    carriers: Annotated[tuple[CarrierId, ...], Meta(min_length=1, max_length=50)]
    prefixes: Annotated[tuple[Prefix, ...], Meta(max_length=500)] = ()
    """Digits without ``+``; none: every number."""
    purposes: Annotated[tuple[Purpose, ...], Meta(max_length=3)] = ()
    """None: whatever it is for."""
    note: Annotated[str, Meta(max_length=300)] = ""
    """Why, for people."""


Steps = Annotated[tuple[Step, ...], Meta(max_length=MOST_STEPS)]


class Ruling(Struct, frozen=True):
    """What a plan says about one message."""

    only: frozenset[str] | None
    """None: everybody who is not barred."""
    never: frozenset[str]
    first: Mapping[str, int]
    """Who is asked first, and in which order."""

    def bars(self, carrier_id: str) -> bool:
        return carrier_id in self.never or (self.only is not None and carrier_id not in self.only)


def fits(step: Step, digits: str, purpose: str) -> bool:
    """Whether a step is about such a message."""
    return (not step.prefixes or digits.startswith(step.prefixes)) and (
        not step.purposes or purpose in step.purposes
    )


def ruling(steps: Iterable[Step], digits: str, purpose: str) -> Ruling:
    """What all steps that fit say together."""
    only: frozenset[str] | None = None
    never: frozenset[str] = frozenset()
    first: dict[str, int] = {}
    for step in steps:
        if not fits(step, digits, purpose):
            continue
        if step.do == "only":
            only = frozenset(step.carriers) if only is None else only.intersection(step.carriers)
        elif step.do == "never":
            never = never.union(step.carriers)
        else:
            for carrier_id in step.carriers:
                first.setdefault(carrier_id, len(first))
    return Ruling(only, never, first)
