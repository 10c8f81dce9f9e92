"""So many a second, together: a bucket in Redis that all processes draw from, or a share of it each while Redis is away.

The bucket is kept as the moment at which it would be full again (the generic cell rate algorithm): a draw moves that
moment on, and the distance to it says how long to wait. One round trip, no loop, nothing to refill. Redis's clock counts.

asyncio.
"""

from typing import Any

from msgspec import Struct
from redis.exceptions import RedisError

from core.clock import monotonic
from core.logs import get_logger

LOG = get_logger("pacing")

BURST_S = 1.0
"""A bucket holds so many seconds' worth."""
KEY = "irisx:pace:"
AWAY_S = 1.0
"""How long Redis is not asked again after it did not answer."""
LOCAL_SHARE = 0.5
"""Of a limit, that one process takes while Redis is away: as if there were two of them."""

_DRAW = """
local now = redis.call('TIME')
local us = now[1] * 1000000 + now[2]
local full = tonumber(redis.call('GET', KEYS[1]) or '0')
local burst, each, count, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local start = math.max(full, us - burst)
if start - us > most then return {0, 0} end
local next = start + each * count
redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', math.ceil(math.max(next - us, 0) / 1000) + 2000)
return {1, math.floor(start - us)}
"""
_PUSH = """
local now = redis.call('TIME')
local until_us = now[1] * 1000000 + now[2] + tonumber(ARGV[1])
if until_us > tonumber(redis.call('GET', KEYS[1]) or '0') then
  redis.call('SET', KEYS[1], string.format('%.0f', until_us), 'PX', math.ceil(tonumber(ARGV[1]) / 1000) + 2000)
end
return 1
"""


class Turn(Struct, frozen=True):
    """When things may go, in seconds from now."""

    first_s: float
    each_s: float


class Pace:
    """The buckets of a process."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._local: dict[str, float] = {}
        self._away_until = 0.0

    async def draw(self, name: str, per_second: float, count: int = 1, *, most_s: float) -> Turn | None:
        """Take ``count`` from a bucket: when the first of them may go, and how far behind each other the rest follow.

        Below zero: it could have gone so long ago, and as many of them may go at once. None, and nothing is taken, when
        the first would be later than in ``most_s``. Raises nothing.
        """
        each_us = 1e6 / per_second
        if monotonic() >= self._away_until:
            try:
                taken, wait_us = await self._redis.eval(
                    _DRAW, 1, KEY + name, round(BURST_S * 1e6), each_us, count, round(most_s * 1e6)
                )
            except (RedisError, OSError) as exc:
                LOG.warning("limits are kept without Redis", error=type(exc).__name__)
                self._away_until = monotonic() + AWAY_S
            else:
                return Turn(wait_us / 1e6, each_us / 1e6) if taken else None
        return self._draw_here(name, each_us / 1e6 / LOCAL_SHARE, count, most_s)

    async def push(self, name: str, seconds: float) -> None:
        """Let nobody draw for so long: the provider asked for it."""
        if monotonic() < self._away_until:
            return
        try:
            await self._redis.eval(_PUSH, 1, KEY + name, round(seconds * 1e6))
        except (RedisError, OSError):
            self._away_until = monotonic() + AWAY_S

    def _draw_here(self, name: str, each_s: float, count: int, most_s: float) -> Turn | None:
        now = monotonic()
        start = max(self._local.get(name, 0.0), now - BURST_S)
        if start - now > most_s:
            return None
        if len(self._local) > 10_000:
            self._local = {key: full for key, full in self._local.items() if full > now}
        self._local[name] = start + each_s * count
        return Turn(start - now, each_s)
