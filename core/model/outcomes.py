"""What attempts have taught: a carrier's chance of success by prefix, the time its failures cost, and its breaker. Pure.

Chances are Beta estimates: a prefix begins with what its parent prefix knows, which weighs as much as `PRIOR_WEIGHT`
attempts, and the widest one with `PRIOR`. Old news fades: all counts are halved every `HALVE_TRIES` attempts or
`HALVE_US`, whichever is first (product facts 5.1). The prefixes are the first 0, 3 and 6 digits of a number: everywhere,
about a country, about a network.

A breaker opens after `OPEN_AFTER` failures of the carrier itself in a row, or for as long as the carrier asked to be left
alone. Open, it lets nothing through; then one message goes as a probe (half open), and what becomes of that decides.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

LEVELS = (0, 3, 6)
PRIOR = 0.9
PRIOR_WEIGHT = 20.0
LOST_S = 5.0
"""Seconds that a failure is expected to cost while nothing is known."""
UNKNOWN = (PRIOR, LOST_S)
LOST_WEIGHT = 5.0
"""How many failures the expected loss of time weighs as long as few are known."""
MOST_PREFIXES = 20_000
"""Prefixes whose chances are remembered together."""
HALVE_TRIES = 200
HALVE_US = 30 * 60 * 1_000_000

OPEN_AFTER = 5
FIRST_OPEN_S = 10.0
MAX_OPEN_S = 300.0
PROBE_S = 60.0
"""How long one probe may be under way before another may go."""


class Counts(Struct, frozen=True):
    """Attempts of one carrier to one prefix, halved from time to time."""

    tries: float = 0.0
    wins: float = 0.0
    failed_s: float = 0.0
    """Seconds that failures took, together."""
    since: int = 0
    """Attempts since they were halved last."""
    halved_us: int = 0


def faded(counts: Counts, now_us: int) -> Counts:
    """What these counts are worth now."""
    times = (now_us - counts.halved_us) // HALVE_US if counts.halved_us else 0
    if counts.since >= HALVE_TRIES:
        times = max(times, 1)
    if times <= 0:
        return counts if counts.halved_us else replace(counts, halved_us=now_us)
    share = 0.5 ** min(times, 60)
    return Counts(counts.tries * share, counts.wins * share, counts.failed_s * share, 0, now_us)


def added(counts: Counts, tries: int, wins: int, failed_s: float, now_us: int) -> Counts:
    """The counts after some more attempts. ``tries`` 0 and ``wins`` -1 takes a success back that a receipt denied."""
    before = faded(counts, now_us)
    total = before.tries + tries
    return Counts(
        total,
        min(max(before.wins + wins, 0.0), total),
        before.failed_s + failed_s,
        before.since + tries,
        before.halved_us,
    )


def levels_of(digits: str) -> list[str]:
    """The prefixes under which an attempt to this number is counted, widest first."""
    return list(dict.fromkeys(digits[:length] for length in LEVELS))


class Scores:
    """A snapshot of all counts. Immutable but for what it remembers."""

    def __init__(self, counts: Mapping[tuple[str, str], Counts], now_us: int) -> None:
        """``counts`` by carrier and prefix."""
        self._counts: dict[str, dict[str, Counts]] = {}
        for (carrier_id, prefix), one in counts.items():
            self._counts.setdefault(prefix, {})[carrier_id] = faded(one, now_us)
        self._known: dict[str, dict[str, tuple[float, float]]] = {}

    def of(self, digits: str) -> Mapping[str, tuple[float, float]]:
        """By carrier: the chance that its next attempt for this number succeeds, and the mean seconds that a failure
        takes. A carrier of which nothing is known is not in it: it has `UNKNOWN`."""
        narrowest = digits[: LEVELS[-1]]
        known = self._known.get(narrowest)
        return self._learn(narrowest) if known is None else known

    def _learn(self, narrowest: str) -> dict[str, tuple[float, float]]:
        above: dict[str, tuple[float, float]] = {}
        for prefix in levels_of(narrowest):
            known = self._known.get(prefix)
            if known is None:
                known = dict(above)
                for carrier_id, counts in self._counts.get(prefix, {}).items():
                    chance, lost = above.get(carrier_id, UNKNOWN)
                    fails = counts.tries - counts.wins
                    known[carrier_id] = (
                        (counts.wins + PRIOR_WEIGHT * chance) / (counts.tries + PRIOR_WEIGHT),
                        (counts.failed_s + LOST_WEIGHT * lost) / (fails + LOST_WEIGHT),
                    )
                if len(self._known) >= MOST_PREFIXES:
                    self._known.clear()
                self._known[prefix] = known
            above = known
        return above


class Breaker(Struct, frozen=True):
    """Whether a carrier is left alone. The first one is closed."""

    fails: int = 0
    """Failures of the carrier itself, in a row."""
    open_until_us: int = 0
    """0 when it is closed; past when it is half open."""
    open_s: float = 0.0
    """How long it was opened for last."""
    probe_until_us: int = 0
    """A probe is under way until then at most."""


Gate = Literal["closed", "open", "half_open", "probing"]


def gate(breaker: Breaker, now_us: int) -> Gate:
    """``half_open``: one message may go as a probe; ``probing``: one is under way."""
    if not breaker.open_until_us:
        return "closed"
    if now_us < breaker.open_until_us:
        return "open"
    return "probing" if now_us < breaker.probe_until_us else "half_open"


def probed(breaker: Breaker, now_us: int) -> Breaker:
    """A probe goes out now."""
    return replace(breaker, probe_until_us=now_us + round(PROBE_S * 1e6))


def succeeded(breaker: Breaker) -> Breaker:
    """The carrier took something."""
    return breaker if breaker == Breaker() else Breaker()


def failed(breaker: Breaker, now_us: int, *, jitter: float, retry_after_s: float | None = None) -> Breaker:
    """The carrier itself failed, or (``retry_after_s``) asked to be left alone. ``jitter`` is from 0.8 to 1.2."""
    fails = breaker.fails + 1
    if retry_after_s is None and fails < OPEN_AFTER and not breaker.open_until_us:
        return replace(breaker, fails=fails)
    if gate(breaker, now_us) == "open" and retry_after_s is None:
        return replace(breaker, fails=fails)  # (one that was under way when it opened)
    doubled = min(breaker.open_s * 2, MAX_OPEN_S) if breaker.open_until_us else FIRST_OPEN_S
    open_s = doubled if retry_after_s is None else min(max(retry_after_s, 0.05), MAX_OPEN_S)
    until_us = max(breaker.open_until_us, now_us + round(open_s * jitter * 1e6))
    return Breaker(fails, until_us, max(open_s, FIRST_OPEN_S), 0)
