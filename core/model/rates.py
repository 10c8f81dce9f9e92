"""What carriers charge: prices by prefix and date, compiled once for many look-ups. Pure.

The price of a number is that of its longest prefix that is valid now. A rate counts units: seconds of a call (its price
is for 60 of them), or segments of a message (its price is for one). What is billed of them follows ``minimum`` and
``increment``; ``connect_fee`` comes on top of every accepted call or message.

`RateTable` finds the rates of all carriers for one number together: it keeps what it found for a prefix until the next
moment at which one of those rates, or an exchange rate, changes. A decision then costs one dictionary look-up.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

FOR_EVER_US = 2**62
MOST_PREFIXES = 30_000
"""Prefixes whose rates are remembered together; with 50 carriers some 100 MB at worst, so it is emptied beyond that."""
MINUTE_S = 60.0

Unit = Literal["second", "segment"]


class Rate(Struct, frozen=True, kw_only=True):
    """One row of a rate deck."""

    carrier_id: str
    prefix: str
    """Digits without ``+``; empty for everywhere else."""
    price: float
    """For a minute or a segment, in ``currency``."""
    currency: str
    connect_fee: float = 0.0
    minimum: int = 1
    """Units that are billed at least."""
    increment: int = 1
    """Units in which it is billed."""
    valid_from_us: int = 0
    valid_to_us: int = FOR_EVER_US
    """The first moment at which it is valid no more."""


class Exchange(Struct, frozen=True):
    """From ``from_us`` on one unit of ``currency`` is worth ``value`` of ours."""

    currency: str
    from_us: int
    value: float


class Charge(Struct, frozen=True):
    """A rate in our own currency."""

    per_unit: float
    connect_fee: float
    minimum: int
    increment: int
    prefix: str

    def of_segments(self, segments: int) -> float:
        """The price of a message."""
        steps = -(-max(segments, self.minimum) // self.increment)
        return self.connect_fee + self.per_unit * steps * self.increment

    def of_call(self, mean_s: float) -> float:
        """The expected price of an answered call whose length is exponential with this mean.

        Billed are ``minimum`` seconds and, of a longer call, as many increments as it takes: the expectation of
        ``ceil(t / i)`` is ``1 / (1 - exp(-i / mean))``, and an exponential call forgets the minimum it has lasted.
        """
        beyond = math.exp(-self.minimum / mean_s)
        billed_s = self.minimum + beyond * self.increment / -math.expm1(-self.increment / mean_s)
        return self.connect_fee + self.per_unit * billed_s


class Currencies:
    """What money of others is worth in ours, by date."""

    def __init__(self, own: str, exchanges: Iterable[Exchange] = ()) -> None:
        self.own = own
        self._steps: dict[str, list[Exchange]] = {}
        for one in sorted(exchanges, key=lambda one: one.from_us):
            self._steps.setdefault(one.currency, []).append(one)

    def value(self, currency: str, now_us: int) -> tuple[float | None, int]:
        """The worth of one unit now, None if nobody has said; and until when that holds."""
        if currency == self.own:
            return 1.0, FOR_EVER_US
        steps = self._steps.get(currency, [])
        place = bisect_right(steps, now_us, key=lambda one: one.from_us)
        until = steps[place].from_us if place < len(steps) else FOR_EVER_US
        return (steps[place - 1].value if place else None), until


class _Found(Struct, frozen=True):
    charges: Mapping[str, Charge]
    from_us: int
    until_us: int


class RateTable:
    """The rates of all carriers of a tenant. Immutable but for what it remembers."""

    def __init__(self, rates: Iterable[Rate], currencies: Currencies, unit: Unit = "segment") -> None:
        self._currencies = currencies
        self._units = MINUTE_S if unit == "second" else 1.0
        self._rows: dict[str, dict[str, list[Rate]]] = {}
        self.size = 0
        for rate in rates:
            self._rows.setdefault(rate.prefix, {}).setdefault(rate.carrier_id, []).append(rate)
            self.size += 1
        for carriers in self._rows.values():
            for rows in carriers.values():
                # (the newest of those that are valid together)
                rows.sort(key=lambda one: -one.valid_from_us)
        self._lengths = sorted({len(prefix) for prefix in self._rows}, reverse=True)
        self._found: dict[str, _Found] = {}

    def find(self, digits: str, now_us: int) -> Mapping[str, Charge]:
        """The charge of every carrier that has one for this number, by carrier. ``digits`` without ``+``."""
        rows = self._rows
        for length in self._lengths:
            prefix = digits[:length]
            if prefix in rows:
                found = self._found.get(prefix)
                if found is None or not found.from_us <= now_us < found.until_us:
                    found = self._resolve(prefix, now_us)
                return found.charges
        return {}

    def _resolve(self, prefix: str, now_us: int) -> _Found:
        charges: dict[str, Charge] = {}
        until = FOR_EVER_US
        for length in [one for one in self._lengths if one <= len(prefix)]:
            for carrier_id, rates in self._rows.get(prefix[:length], {}).items():
                if carrier_id in charges:
                    continue
                for rate in rates:
                    if rate.valid_from_us > now_us:
                        until = min(until, rate.valid_from_us)
                    elif now_us < rate.valid_to_us:
                        worth, worth_until = self._currencies.value(rate.currency, now_us)
                        until = min(until, rate.valid_to_us, worth_until)
                        if worth is not None:
                            charges[carrier_id] = self._charge(rate, worth)
                        break
        found = _Found(charges, now_us, until)
        if len(self._found) >= MOST_PREFIXES:
            self._found.clear()
        self._found[prefix] = found
        return found

    def _charge(self, rate: Rate, worth: float) -> Charge:
        return Charge(
            per_unit=rate.price * worth / self._units,
            connect_fee=rate.connect_fee * worth,
            minimum=rate.minimum,
            increment=max(rate.increment, 1),
            prefix=rate.prefix,
        )
