"""The clock that two processes agree on: the one of Redis. Wall clocks may be hours apart, and step."""

import contextlib

from redis.exceptions import RedisError

from core.bus.line import Line
from core.clock import monotonic

CLOCK_S = 2.0
"""How old a look at the clock of Redis may be."""


class SharedClock(Line):
    """Times by the clock of Redis, from looks at it that are at most some seconds old."""

    _ahead_us: int | None = None
    """The clock of Redis minus our monotonic one; None before the first look."""
    _looked_at = 0.0

    async def _refresh_clock(self) -> None:
        if monotonic() - self._looked_at > CLOCK_S:
            await self._look_at_clock()

    async def _look_at_clock(self) -> None:
        """Wall clocks of two processes may be hours apart, and step: both measure deadlines by the one of Redis."""
        before = monotonic()
        with contextlib.suppress(RedisError, OSError):
            seconds, micros = await self.redis.time()
            after = monotonic()
            self._ahead_us = seconds * 1_000_000 + micros - round((before + after) * 500_000)
            self._looked_at = after

    @staticmethod
    def _time_us(ahead_us: int) -> int:
        """What the clock of Redis shows now."""
        return ahead_us + round(monotonic() * 1_000_000)
