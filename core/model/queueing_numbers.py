"""Numbers of queues: histograms of waits and the service levels that are computed from them. Pure.

A service level says of how many people how soon; what counts as "how many" differs between houses, so the variant is named.
Percentages are never averaged: numerators and denominators are added, then divided.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

INTERVAL_S = 900
EDGES_S = (5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600)
"""Waits up to 5 s, 10 s and so on; a last bucket takes what is longer."""
BUCKETS = len(EDGES_S) + 1

Variant = Literal["answered_and_lost", "offered", "answered", "lost_in_time"]
"""``answered_and_lost``: answered within T / (answered + lost after more than the short time), the usual one;
``offered``: / everybody who came; ``answered``: / who was answered; ``lost_in_time``: who hung up within T counts as served."""


def bucket_of(wait_s: float) -> int:
    """The bucket of a wait."""
    return bisect_left(EDGES_S, wait_s)


def interval_of(at_us: int) -> int:
    """The beginning of the quarter of an hour (UTC) that a moment is in."""
    return at_us - at_us % (INTERVAL_S * 1_000_000)


class Counted(Struct, frozen=True):
    """Sums of one or more intervals."""

    offered: int = 0
    answered: int = 0
    abandoned: int = 0
    overflowed: int = 0
    closed: int = 0
    callbacks: int = 0
    other: int = 0
    handled: int = 0
    wait_answered_us: int = 0
    wait_abandoned_us: int = 0
    longest_us: int = 0
    talk_us: int = 0
    wrap_us: int = 0
    answered_hist: tuple[int, ...] = (0,) * BUCKETS
    abandoned_hist: tuple[int, ...] = (0,) * BUCKETS


def added(parts: Iterable[Counted]) -> Counted:
    """All of them together."""
    sums: dict[str, int | tuple[int, ...]] = {}
    parts = list(parts)
    for name in Counted.__struct_fields__:
        values = [getattr(one, name) for one in parts]
        if name.endswith("_hist"):
            sums[name] = tuple(map(sum, zip(*values, strict=True))) if values else (0,) * BUCKETS
        elif name == "longest_us":
            sums[name] = max(values, default=0)
        else:
            sums[name] = sum(values)
    return Counted(**sums)  # type: ignore[arg-type]


def within(hist: Sequence[int], seconds: int) -> int:
    """How many waits of a histogram were at most ``seconds``, which must be one of `EDGES_S`. Raises `ValueError`."""
    return sum(hist[: EDGES_S.index(seconds) + 1])


def service_level(
    counted: Counted, seconds: int, *, short_s: int = 5, variant: Variant = "answered_and_lost"
) -> tuple[int, int]:
    """(numerator, denominator). Both thresholds must be edges (``short_s`` also 0). Raises `ValueError`."""
    good = within(counted.answered_hist, seconds)
    short = within(counted.abandoned_hist, short_s) if short_s else 0
    if variant == "offered":
        return good, counted.offered
    if variant == "answered":
        return good, counted.answered
    lost = counted.abandoned - short
    if variant == "lost_in_time":
        in_time = within(counted.abandoned_hist, seconds)
        return good + in_time, counted.answered + counted.abandoned
    return good, counted.answered + lost


def abandoned_share(counted: Counted, *, short_s: int = 5) -> tuple[int, int]:
    """(numerator, denominator): lost after more than the short time, of all but those lost within it."""
    short = within(counted.abandoned_hist, short_s) if short_s else 0
    return counted.abandoned - short, counted.offered - short
