"""Against guessing passwords: every attempt is counted before it is made.

Three counts: for an address together with a person (strict), for an address alone (somebody trying many people)
and for a person alone (many machines trying one person). The last one waits briefly at most: otherwise anybody
could keep anybody out by trying their name.

The counts live in Redis and are shared by all API processes. While Redis is away each process counts by itself.
"""

import asyncio
import hashlib
from collections import OrderedDict

import redis.asyncio

from core.clock import monotonic
from core.errors import RequestError, Unavailable
from core.storage import limits
from core.storage.limits import AttemptRule

MEMORY_S = 900
"""How long attempts are remembered after the last one."""
PAIR = AttemptRule(5, 900)
ADDRESS = AttemptRule(50, 900)
PERSON = AttemptRule(50, 30)
ANSWER_S = 0.5
"""A Redis slower than this is as good as away."""
MOST_LOCAL = 20_000
"""Keys counted in this process while Redis is away; the longest unused is forgotten first."""


class TooManyAttempts(RequestError):
    """Wait ``retry_after_s`` before the next attempt."""

    status_hint = 429
    code = "too_many_attempts"
    retryable = True

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("too many failed attempts; wait before the next one")
        self.retry_after_s = retry_after_s


class LocalAttempts:
    """The same counting as in Redis, for this process only."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, tuple[int, float, float]] = OrderedDict()

    def attempt(self, rules: dict[str, AttemptRule]) -> float:
        now = monotonic()
        held = {key: self._get(key, now) for key in rules}
        wait = max(until - now for _, until in held.values())
        if wait > 0:
            return wait
        for key, rule in rules.items():
            count = held[key][0] + 1
            over = count - rule.free
            pause = min(2.0 ** min(over, 20), rule.longest_s) if over >= 0 else 0.0
            self._counts[key] = (count, now + pause, now)
            self._counts.move_to_end(key)
        while len(self._counts) > MOST_LOCAL:
            self._counts.popitem(last=False)
        return 0.0

    def forgive(self, first: str, *others: str) -> None:
        self._counts.pop(first, None)
        for key in others:
            if key in self._counts:
                count, _, at = self._counts[key]
                self._counts[key] = (count - 1, 0.0, at)

    def _get(self, key: str, now: float) -> tuple[int, float]:
        count, until, at = self._counts.get(key, (0, 0.0, now))
        return (0, 0.0) if now - at > MEMORY_S else (count, until)


class Throttle:
    """Asks the shared counts, and the local ones when those are out of reach."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._local = LocalAttempts()

    async def enter(self, person: str, address: str) -> None:
        """Count an attempt of ``person`` from ``address``. Raises `TooManyAttempts`."""
        rules = dict(zip(self._keys(person, address), (PAIR, ADDRESS, PERSON), strict=True))
        try:
            async with asyncio.timeout(ANSWER_S):
                wait = await limits.attempt(self._client, rules, memory_s=MEMORY_S)
        except (Unavailable, TimeoutError):
            wait = self._local.attempt(rules)
        if wait > 0:
            raise TooManyAttempts(wait)

    async def succeeded(self, person: str, address: str) -> None:
        """The attempt was right: it does not count."""
        keys = self._keys(person, address)
        self._local.forgive(*keys)
        try:
            async with asyncio.timeout(ANSWER_S):
                await limits.forgive(self._client, *keys)
        except (Unavailable, TimeoutError):
            return

    @staticmethod
    def _keys(person: str, address: str) -> tuple[str, str, str]:
        who = hashlib.sha256(person.strip().lower().encode("utf-8", "surrogatepass")).hexdigest()[:24]
        return f"{who}|{address}", f"from|{address}", f"who|{who}"
