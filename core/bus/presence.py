"""Who lives: controllers and channel hosts say so, and are forgotten when they stop. And hints that work waits."""

import contextlib
from collections.abc import Callable

from redis.exceptions import RedisError

from core.bus.clock import SharedClock
from core.errors import Unavailable

PRESENCE = "irisx:controller:"
HOSTS = "irisx:channel-host:"
NODE_AGENTS = "irisx:node-agent:"
OUTBOX = "irisx:outbox"
PRESENT_S = 5.0


class Presence(SharedClock):
    """Being seen, and ringing for each other."""

    async def ring(self, channel_id: str) -> None:
        """Hint that something waits to be sent through an account. Raises nothing: senders look by themselves, too."""
        with contextlib.suppress(RedisError, OSError):
            await self.redis.publish(OUTBOX, channel_id.encode())

    async def hear_rings(self, handler: Callable[[str], object]) -> None:
        """``handler(channel_id)`` for every such hint from now on; it must not block."""

        def on_ring(payload: bytes) -> None:
            handler(payload.decode(errors="replace"))

        await self._hear(OUTBOX, on_ring)

    async def present(self, name: str, said: bytes, *, kind: str = PRESENCE) -> None:
        """Say that a controller (`HOSTS`: a channel host) lives; forgotten `PRESENT_S` after the last time."""
        with contextlib.suppress(RedisError, OSError):
            await self.redis.set(kind + name, said, px=round(PRESENT_S * 1000))
        await self._refresh_clock()

    async def who_is_present(self, kind: str = PRESENCE) -> list[bytes]:
        """What the living controllers (`HOSTS`: channel hosts) said of themselves last."""
        try:
            names = [key async for key in self.redis.scan_iter(match=kind + "*", count=100)]
            said = await self.redis.mget(names) if names else []
            return [each for each in said if isinstance(each, bytes)]
        except (RedisError, OSError) as exc:
            raise Unavailable("the command bus is out of reach", code="bus_down") from exc
