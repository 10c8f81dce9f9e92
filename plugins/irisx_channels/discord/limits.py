"""What is known of Discord's rate limits, so that we wait instead of being told to. Pure: the time is given.

Discord names the bucket of each route in its answers; a bucket counts for each top-level thing (channel, server)
alone. Nothing is hard-coded but the global limit. All of it may be forgotten at any time: then Discord says 429, and
that is what is learned first. Two processes that share a bot share Discord's counts, too.

Source: discord/discord-api-docs, "Rate Limits": 50 requests a second for a bot, and 10,000 answers of 401, 403 or 429
in ten minutes shut out this machine's address.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Mapping

GLOBAL_PER_S = 50
MOST = 1000
"""Buckets and routes that are kept; the oldest go first."""
INVALID_WINDOW_S = 600.0
MOST_INVALID = 5_000
"""Half of what Discord suffers: other programs may use the same address."""


class Bucket:
    """What is left of one limit."""

    def __init__(self, remaining: float, until: float) -> None:
        self.remaining = remaining
        self.until = until


class Limits:
    """Of one bot."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, str] = OrderedDict()
        """The bucket of each route, as Discord called it last."""
        self._buckets: OrderedDict[tuple[str, str], Bucket] = OrderedDict()
        self._recent: deque[float] = deque(maxlen=GLOBAL_PER_S)
        self._all_until = 0.0

    def wait_s(self, route: str, top: str, now: float, *, counted: bool = True) -> float:
        """How long a request must wait; 0 means that it may go, and then it is counted.

        ``route`` is method and path without ids, ``top`` the channel's or server's id. Answers to interactions are
        not ``counted`` in the global limit.
        """
        key = self._key(route, top)
        bucket = self._buckets.get(key)
        if bucket is not None and bucket.until <= now:
            del self._buckets[key]  # nothing is known until the next answer
            bucket = None
        waits = [0.0]
        if bucket is not None and bucket.remaining < 1:
            waits.append(bucket.until - now)
        if counted:
            waits.append(self._all_until - now)
            if len(self._recent) == GLOBAL_PER_S:
                waits.append(self._recent[0] + 1.0 - now)
        if (wait := max(waits)) > 0:
            return wait
        if bucket is not None:
            bucket.remaining -= 1  # before the answer comes: others are asking at the same time
        if counted:
            self._recent.append(now)
        return 0.0

    def learn(
        self,
        route: str,
        top: str,
        status: int,
        headers: Mapping[str, str],
        retry_after: float | None,
        now: float,
    ) -> None:
        """What an answer says about limits. ``retry_after`` is that of a 429."""
        if name := headers.get("x-ratelimit-bucket", ""):
            self._names[route] = name
            self._names.move_to_end(route)
            if len(self._names) > MOST:
                self._names.popitem(last=False)
        if status == 429 and (
            headers.get("x-ratelimit-global") or headers.get("x-ratelimit-scope") == "global"
        ):
            self._all_until = max(self._all_until, now + (retry_after or 1.0))
            return
        remaining = _number(headers.get("x-ratelimit-remaining"))
        after = _number(headers.get("x-ratelimit-reset-after"))
        if status == 429:
            remaining, after = 0.0, max(after or 0.0, retry_after or 1.0)
        if remaining is None or after is None:
            self._buckets.pop(self._key(route, top), None)
            return
        key = self._key(route, top)
        bucket = self._buckets.get(key)
        if bucket is not None and now < bucket.until:  # answers overtake each other inside one window
            remaining, after = min(remaining, bucket.remaining), max(after, bucket.until - now)
        self._buckets[key] = Bucket(remaining, now + after)
        self._buckets.move_to_end(key)
        if len(self._buckets) > MOST:
            self._buckets.popitem(last=False)

    def _key(self, route: str, top: str) -> tuple[str, str]:
        return self._names.get(route, route), top


class Invalid:
    """How often Discord has told this process no: too many, and it shuts out the machine for everybody."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=MOST_INVALID)

    def note(self, status: int, headers: Mapping[str, str], now: float) -> None:
        """Count an answer, if it is one of those."""
        if status in (401, 403) or (status == 429 and headers.get("x-ratelimit-scope") != "shared"):
            self._times.append(now)

    def wait_s(self, now: float) -> float:
        """How long nothing should be asked at all."""
        if len(self._times) < MOST_INVALID:
            return 0.0
        return max(0.0, self._times[0] + INVALID_WINDOW_S - now)


def _number(text: str | None) -> float | None:
    try:
        found = float(text or "")
    except ValueError:
        return None
    return found if 0 <= found < math.inf else None
