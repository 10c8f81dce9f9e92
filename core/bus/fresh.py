"""Log entries that were just written, on their way to those who follow. The store has them all: a hole is looked up."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from core.bus.line import Line
from core.model.entries import LogEntry

FRESH = "irisx:log:"
FOLLOWER_SIZE = 20_000
"""Entries one follower may be behind before it misses some: twice what a stream client may be."""

_entries = msgspec.msgpack.Decoder(list[LogEntry])
_encode = msgspec.msgpack.Encoder().encode


class Follower:
    """The fresh entries of one tenant, in the order they came; holes are possible and visible in ``seq``."""

    def __init__(self, size: int = FOLLOWER_SIZE) -> None:
        self._entries: deque[LogEntry] = deque()
        self._size = size
        self._wake = asyncio.Event()
        self.missed = 0

    def offer(self, entries: Sequence[LogEntry]) -> None:
        if len(self._entries) + len(entries) > self._size:
            self.missed += len(entries)
        else:
            self._entries.extend(entries)
        self._wake.set()

    async def take(self, timeout: float | None = None) -> list[LogEntry]:
        """What came since the last call; empty after ``timeout`` seconds without any."""
        if not self._entries:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
        taken = list(self._entries)
        self._entries.clear()
        return taken


class Fresh(Line):
    """Showing and following."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        super().__init__(client)
        self._followers: dict[str, list[Follower]] = {}
        self.unshown = 0
        """Entries that no follower was shown, because the bus was away."""

    async def publish(self, tenant_id: str, entries: Sequence[LogEntry]) -> None:
        """Show entries that are already in the store to those who follow. Raises nothing."""
        try:
            await self.redis.publish(FRESH + tenant_id, _encode(list(entries)))
        except (RedisError, OSError):
            # `_listen` says that the bus is away; readers find them in the store.
            self.unshown += len(entries)

    @asynccontextmanager
    async def follow(self, tenant_id: str) -> AsyncIterator[Follower]:
        """Fresh entries of a tenant from now on."""
        follower = Follower()
        crowd = self._followers.setdefault(tenant_id, [])
        crowd.append(follower)
        if len(crowd) == 1:

            def on_entries(payload: bytes) -> None:
                entries = _entries.decode(payload)
                for one in self._followers.get(tenant_id, ()):
                    one.offer(entries)

            await self._hear(FRESH + tenant_id, on_entries)
        try:
            yield follower
        finally:
            crowd.remove(follower)
            if not crowd:
                self._followers.pop(tenant_id, None)
                await self._unhear(FRESH + tenant_id)
