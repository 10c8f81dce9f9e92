"""How fast a caller may ask: token buckets, shared by all API processes, without a round trip a request.

Each caller has a bucket for reads, one for writes and one for calls, so that a report cannot stop calls; and so has
its tenant. The buckets are in Redis. A process takes tokens out of them in small batches and spends those by itself;
what it does not spend within `HOLD_S` is lost, which is why batches are small. With Redis away every process goes on
with a bucket of its own of the same size: the limit is then a little generous, never absent.
"""

import asyncio
import math
from collections import OrderedDict
from typing import Annotated, Any

import msgspec
import redis.asyncio
from msgspec import Meta, Struct

from core.clock import monotonic
from core.errors import Unavailable
from core.storage import limits as shared

Rate = Annotated[float, Meta(ge=0.01, le=1_000_000, description="Requests a second in the long run.")]
Burst = Annotated[int, Meta(ge=1, le=1_000_000, description="Requests at once after a pause.")]


class Limit(Struct, frozen=True, forbid_unknown_fields=True):
    """One bucket."""

    rate: Rate
    burst: Burst


class Buckets(Struct, frozen=True, forbid_unknown_fields=True):
    """The three buckets that every caller and every tenant has; null: the platform's default."""

    reads: Limit | None = None
    writes: Limit | None = None
    calls: Limit | None = None


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """How fast a tenant may ask: all of it together, and each person or key by itself."""

    tenant: Buckets = Buckets()
    caller: Buckets = Buckets()

    @classmethod
    def of(cls, stored: dict[str, Any]) -> "Limits":
        """The limits in a tenant's row; what cannot be read there is as if it were not said."""
        try:
            return msgspec.convert(stored, cls)
        except msgspec.ValidationError:
            return cls()


DEFAULTS = {
    ("tenant", "reads"): Limit(1000.0, 3000),
    ("tenant", "writes"): Limit(200.0, 600),
    ("tenant", "calls"): Limit(500.0, 1000),
    ("caller", "reads"): Limit(300.0, 900),
    ("caller", "writes"): Limit(50.0, 200),
    ("caller", "calls"): Limit(200.0, 400),
    ("address", "public"): Limit(10.0, 60),
    # Providers deliver for all their customers from a few addresses, and forged ones cost no more than a signature.
    ("address", "webhooks"): Limit(5000.0, 10_000),
}
"""``address``: those who are not signed in, by where they come from."""

HOLD_S = 2.0
"""How long tokens may be held by a process that does not spend them."""
BATCH_PART = 20
"""A batch is this part of a bucket: at most five per cent of it is ever lost to a process that went quiet."""
MAX_BATCH = 500
AWAY_S = 1.0
"""How long not to ask a Redis that did not answer."""
ANSWER_S = 0.25
"""A Redis slower than this is as good as away: a limit must not cost more than what it protects."""
MOST = 50_000
"""Buckets remembered by one process; the longest unused is forgotten first."""


class Verdict(Struct, frozen=True):
    """What a bucket says to one request."""

    allowed: bool
    name: str
    limit: Limit
    left: int
    wait_s: float

    def headers(self) -> list[tuple[bytes, bytes]]:
        """``RateLimit`` and ``RateLimit-Policy`` (draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4)."""
        burst, rate = self.limit.burst, self.limit.rate
        full_in = math.ceil((burst - self.left) / rate)
        return [
            (b"ratelimit-policy", b'"%s";q=%d;w=%d' % (self.name.encode(), burst, math.ceil(burst / rate))),
            (b"ratelimit", b'"%s";r=%d;t=%d' % (self.name.encode(), self.left, full_in)),
        ]


class _Held:
    """What this process holds of one bucket."""

    __slots__ = ("closed_until", "filling", "left", "limit", "local", "local_at", "tokens", "until")

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.tokens = 0
        self.until = 0.0
        self.left = limit.burst
        self.closed_until = 0.0
        self.filling: asyncio.Task[None] | None = None
        self.local = float(limit.burst)
        self.local_at = monotonic()


class _Caller:
    """The two buckets that a caller's requests are taken from."""

    __slots__ = ("of_caller", "of_tenant", "stored")

    def __init__(self, stored: dict[str, Any] | None, of_caller: _Held, of_tenant: _Held) -> None:
        self.stored = stored
        self.of_caller = of_caller
        self.of_tenant = of_tenant


class RateLimits:
    """The buckets of one API process."""

    def __init__(
        self, client: redis.asyncio.Redis, defaults: dict[tuple[str, str], Limit] | None = None
    ) -> None:
        self._client = client
        self._defaults = DEFAULTS if defaults is None else defaults
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._callers: OrderedDict[tuple[str, str, str], _Caller] = OrderedDict()
        self._away_until = 0.0
        self.refused = 0
        self.asked = 0
        """Round trips to Redis."""

    def spend_now(
        self, tenant_id: str, actor: str, bucket: str, stored: dict[str, Any] | None
    ) -> Verdict | None:
        """Take one token from a caller and from its tenant, when this process holds both; else None, and nothing is
        taken."""
        caller = self._callers.get((tenant_id, actor, bucket))
        if caller is None or caller.stored is not stored:
            return None
        one, other = caller.of_caller, caller.of_tenant
        if one.tokens < 1 or other.tokens < 1:
            return None
        now = monotonic()
        if now >= one.until or now >= other.until:
            return None
        one.tokens -= 1
        other.tokens -= 1
        return Verdict(True, bucket, one.limit, one.left + one.tokens, 0.0)

    async def spend_as_caller(
        self, tenant_id: str, actor: str, bucket: str, stored: dict[str, Any] | None
    ) -> Verdict:
        """Take one token from a caller, and one from its tenant."""
        # In a Redis cluster both live on one node: what is in braces is what is hashed.
        key = f"{{{tenant_id}}}:{bucket}:{actor}"
        tenant_key = f"{{{tenant_id}}}:{bucket}"
        limits = (self._limit("caller", bucket, stored), self._limit("tenant", bucket, stored))
        caller = _Caller(stored, self._hold(key, limits[0]), self._hold(tenant_key, limits[1]))
        self._callers[(tenant_id, actor, bucket)] = caller
        while len(self._callers) > MOST:
            self._callers.popitem(last=False)
        verdict = await self._spend(key, bucket, caller.of_caller)
        if verdict.allowed:
            of_tenant = await self._spend(tenant_key, f"tenant-{bucket}", caller.of_tenant)
            if not of_tenant.allowed:
                return of_tenant
        return verdict

    async def spend_as_address(self, address: str, bucket: str) -> Verdict:
        """Take one token from those who are not signed in at an address."""
        key = f"{{{address}}}:{bucket}"
        return await self._spend(
            key,
            bucket,
            self._hold(key, self._defaults.get(("address", bucket), self._defaults[("address", "public")])),
        )

    def _limit(self, scope: str, bucket: str, stored: dict[str, Any] | None) -> Limit:
        """The limit that applies: the tenant's own where it has one, else the default."""
        if stored:
            own: Limit | None = getattr(getattr(Limits.of(stored), scope), bucket)
            if own is not None:
                return own
        return self._defaults[(scope, bucket)]

    def _hold(self, key: str, limit: Limit) -> _Held:
        held = self._held.get(key)
        if held is None or held.limit != limit:
            held = self._held[key] = _Held(limit)
            while len(self._held) > MOST:
                self._held.popitem(last=False)
        else:
            self._held.move_to_end(key)
        return held

    async def _spend(self, key: str, name: str, held: _Held) -> Verdict:
        """Take one token out of a bucket: one that we hold, or one of a new batch."""
        while True:
            now = monotonic()
            if held.tokens > 0 and now < held.until:
                held.tokens -= 1
                return Verdict(True, name, held.limit, held.left + held.tokens, 0.0)
            if now < held.closed_until:
                return self._refuse(name, held, held.closed_until - now)
            if now < self._away_until:
                return self._spend_locally(name, held, now)
            # One asks for all who wait, and who is late tries again: every round either gives a token to somebody,
            # closes the bucket or finds Redis away.
            if held.filling is None:
                held.filling = asyncio.get_running_loop().create_task(self._fill(key, held))
            await asyncio.shield(held.filling)

    async def _fill(self, key: str, held: _Held) -> None:
        limit = held.limit
        want = max(1, min(limit.burst // BATCH_PART, MAX_BATCH, round(limit.rate * HOLD_S)))
        self.asked += 1
        try:
            async with asyncio.timeout(ANSWER_S):
                grant = await shared.take(self._client, key, rate=limit.rate, burst=limit.burst, want=want)
        except (Unavailable, TimeoutError):
            self._away_until = monotonic() + AWAY_S
            return
        finally:
            held.filling = None
        now = monotonic()
        held.tokens, held.left, held.until = grant.tokens, grant.left, now + HOLD_S
        if not grant.tokens:
            held.closed_until = now + grant.wait_s

    def _spend_locally(self, name: str, held: _Held, now: float) -> Verdict:
        limit = held.limit
        held.local = min(float(limit.burst), held.local + (now - held.local_at) * limit.rate)
        held.local_at = now
        if held.local < 1.0:
            return self._refuse(name, held, (1.0 - held.local) / limit.rate)
        held.local -= 1.0
        return Verdict(True, name, limit, int(held.local), 0.0)

    def _refuse(self, name: str, held: _Held, wait_s: float) -> Verdict:
        self.refused += 1
        return Verdict(False, name, held.limit, 0, wait_s)
