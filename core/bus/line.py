"""A process's connections to Redis or Valkey: a pool for commands, and one that listens and comes back by itself."""

import asyncio
import contextlib
import random
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Self

import redis.asyncio
from redis.exceptions import RedisError

from core.logs import get_logger

LOG = get_logger("bus")

CONNECT_TIMEOUT_S = 3.0
FIRST_RETRY_S = 0.05
MAX_RETRY_S = 2.0

Handler = Callable[[bytes], None]


class Line:
    """What the parts of the bus talk over."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self.redis = client
        self.name = secrets.token_hex(8)
        self._handlers: dict[str, Handler] = {}
        self._pubsub: Any = None
        self._listener: asyncio.Task[None] | None = None
        self.listening = asyncio.Event()
        self.reconnects = 0
        self._closing = False

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect to Redis or Valkey. Its absence is not an error here: `listening` tells."""
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            url,
            max_connections=64,
            timeout=CONNECT_TIMEOUT_S,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=CONNECT_TIMEOUT_S,
            **({} if url.startswith("unix:") else {"socket_keepalive": True}),
        )
        line = cls(redis.asyncio.Redis(connection_pool=pool))
        line._listener = asyncio.create_task(line._listen())
        return line

    async def aclose(self) -> None:
        self._closing = True
        while self._listener is not None and not self._listener.done():
            # redis-py turns a cancellation that meets it while connecting into an error of its own: ask again.
            self._listener.cancel()
            await asyncio.wait([self._listener], timeout=0.1)
        await self.redis.aclose()
        await self.redis.connection_pool.disconnect()

    async def hear(self, channel: str, handler: Handler) -> None:
        """Any other broadcast: ``handler`` gets each payload and must not block."""
        await self._hear("irisx:" + channel, handler)

    async def unhear(self, channel: str) -> None:
        """No more of them."""
        await self._unhear("irisx:" + channel)

    async def say(self, channel: str, payload: bytes) -> None:
        with contextlib.suppress(RedisError):
            await self.redis.publish("irisx:" + channel, payload)

    # The listening connection -----------------------------------------------------------------------

    async def _hear(self, channel: str, handler: Handler) -> None:
        if self._listener is not None and self._listener.done():
            self._listener.result()  # a bug of ours ended it: say so instead of being deaf
        self._handlers[channel] = handler
        await self._quietly(lambda: self._pubsub.subscribe(channel))

    async def _unhear(self, channel: str) -> None:
        self._handlers.pop(channel, None)
        await self._quietly(lambda: self._pubsub.unsubscribe(channel))

    async def _quietly(self, act: Callable[[], Awaitable[None]]) -> None:
        # Without a connection there is nothing to do: the next one subscribes to all of `_handlers`.
        if self._pubsub is not None:
            with contextlib.suppress(RedisError, OSError):
                await act()

    async def _listen(self) -> None:
        delay = FIRST_RETRY_S
        while not self._closing:
            pubsub = self.redis.pubsub(ignore_subscribe_messages=True)
            try:
                await pubsub.subscribe(*self._handlers)
                self._pubsub = pubsub
                # A channel that was added while we subscribed is not in that list.
                await pubsub.subscribe(*self._handlers)
                self.listening.set()
                delay = FIRST_RETRY_S
                while True:
                    message = await pubsub.get_message(timeout=5.0)
                    if message is None:
                        await pubsub.ping()
                    elif message["type"] == "message":
                        self._dispatch(message["channel"].decode(), message["data"])
            except (RedisError, OSError) as exc:
                if self.listening.is_set() or not self.reconnects:
                    LOG.warning("the bus is out of reach", error=type(exc).__name__)
            finally:
                self._pubsub = None
                self.listening.clear()
                with contextlib.suppress(RedisError, OSError):
                    await pubsub.aclose()  # type: ignore[no-untyped-call]
            self.reconnects += 1
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))
            delay = min(delay * 2, MAX_RETRY_S)

    def _dispatch(self, channel: str, payload: bytes) -> None:
        handler = self._handlers.get(channel)
        if handler is not None:
            handler(payload)
