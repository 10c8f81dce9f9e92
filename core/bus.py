"""What passes between processes right now: orders to the owner of a switch, and fresh log entries to readers.

Everything here may get lost (Redis publishes to whoever listens at that moment) and nothing depends on it:
an order without an answer is an outcome that is not known, and a reader who misses an entry sees the hole in
the numbers and reads the store. So a flushed or restarted Redis costs a moment, never a fact.

asyncio: the API awaits it directly, a controller through `core.aio`.
"""

import asyncio
import contextlib
import random
import secrets
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from core.clock import monotonic, now_us
from core.errors import PeerTimeout, Unavailable
from core.logs import get_logger
from core.model.entries import LogEntry
from core.model.orders import Order, Outcome

LOG = get_logger("bus")

ORDERS = "irisx:orders:"
REPLIES = "irisx:replies:"
FRESH = "irisx:log:"
LEASE = "irisx:lease:"
PRESENCE = "irisx:controller:"
HOSTS = "irisx:channel-host:"
OUTBOX = "irisx:outbox"
PRESENT_S = 5.0

FOLLOWER_SIZE = 20_000
"""Entries one follower may be behind before it misses some: twice what a stream client may be."""
HEARD_S = 3.0
"""How long an order waits for an owner that hears it: a dead one is replaced within two seconds."""
FREE_S = 0.5
"""The same while nobody holds the switch's lease: whoever can will take it at once."""
REPEAT_S = 0.05
CLOCK_S = 2.0
"""How old a look at the clock of Redis may be."""
LOOK_S = 0.2
"""How often an asker looks whether the owner that has its order still owns the switch."""
CONNECT_TIMEOUT_S = 3.0
FIRST_RETRY_S = 0.05
MAX_RETRY_S = 2.0


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    """An order on its way, and where the answer goes."""

    reply_to: str
    order: Order
    due_us: int = 0
    """The order's deadline by the clock of Redis; 0 when its asker did not know that clock."""


_envelopes = msgspec.msgpack.Decoder(Envelope)
_outcomes = msgspec.msgpack.Decoder(Outcome)
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


Handler = Callable[[bytes], None]


class Bus:
    """One process's place on the bus: a pool for commands and one connection that listens."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self.redis = client
        self.name = secrets.token_hex(8)
        self._handlers: dict[str, Handler] = {}
        self._waiting: dict[str, asyncio.Future[Outcome]] = {}
        self._followers: dict[str, list[Follower]] = {}
        self._pubsub: Any = None
        self._listener: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self.listening = asyncio.Event()
        self.reconnects = 0
        self.unshown = 0
        """Entries that no follower was shown, because the bus was away."""
        self._closing = False
        self._ahead_us: int | None = None
        """The clock of Redis minus our monotonic one; None before the first look."""
        self._looked_at = 0.0

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
        bus = cls(redis.asyncio.Redis(connection_pool=pool))
        bus._handlers[REPLIES + bus.name] = bus._on_reply
        bus._listener = asyncio.create_task(bus._listen())
        return bus

    async def aclose(self) -> None:
        self._closing = True
        while self._listener is not None and not self._listener.done():
            # redis-py turns a cancellation that meets it while connecting into an error of its own: ask again.
            self._listener.cancel()
            await asyncio.wait([self._listener], timeout=0.1)
        await self.redis.aclose()
        await self.redis.connection_pool.disconnect()

    # Orders ---------------------------------------------------------------------------------------

    async def ask(self, order: Order) -> Outcome:
        """Give an order to whoever owns ``order.node`` and return the answer.

        Raises `Unavailable` when nobody owns it or hears of it within `HEARD_S` (nothing was done), and `PeerTimeout`
        when no answer came before the order's deadline, or its owner lost the switch before it answered (whether it
        was done is not known).
        """
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[order.id] = answer
        heard = False
        try:
            remaining = (order.deadline_us - now_us()) / 1e6
            async with asyncio.timeout(max(remaining, 0.0)):
                owner = await self._send_order(order)
                heard = True
                while True:
                    with contextlib.suppress(TimeoutError):
                        return await asyncio.wait_for(asyncio.shield(answer), LOOK_S)
                    await self._check_owner(order.node, owner)
        except TimeoutError as exc:
            if not heard:
                raise Unavailable("the command bus did not take it in time", code="bus_down") from exc
            raise PeerTimeout("the controller did not answer in time; it may still have acted") from exc
        finally:
            self._waiting.pop(order.id, None)

    async def _send_order(self, order: Order) -> bytes | None:
        """Publish until somebody hears it; who owns the switch then. Raises `Unavailable`: nobody did.

        An owner that has just died holds its lease for a moment and hears nothing, so its heir is given time.
        """
        remaining_us = order.deadline_us - now_us()
        if monotonic() - self._looked_at > CLOCK_S:
            await self._look_at_clock()
        due_us = 0 if self._ahead_us is None else self._time_us(self._ahead_us) + remaining_us
        payload = _encode(Envelope(REPLIES + self.name, order, due_us))
        began = monotonic()
        while True:
            try:
                async with self.redis.pipeline(transaction=False) as both:
                    both.publish(ORDERS + order.node, payload)
                    both.get(LEASE + order.node)
                    heard, owner = await both.execute()
            except RedisError as exc:
                raise Unavailable("the command bus is out of reach", code="bus_down") from exc
            if heard:
                return owner  # type: ignore[no-any-return]
            if monotonic() - began >= (FREE_S if owner is None else HEARD_S):
                raise Unavailable(f"no controller owns the switch {order.node} now", code="no_owner")
            await asyncio.sleep(REPEAT_S)

    async def _check_owner(self, node: str, owner: bytes | None) -> None:
        """Raise `PeerTimeout` when the switch has got another owner: the one that had the order will not answer."""
        with contextlib.suppress(RedisError):
            now = await self.redis.get(LEASE + node)
            if now is not None and now != owner:
                raise PeerTimeout(
                    "the controller died over this command; it may have acted", code="owner_lost"
                )

    def _on_reply(self, payload: bytes) -> None:
        outcome = _outcomes.decode(payload)
        waiter = self._waiting.get(outcome.order_id)
        if waiter is not None and not waiter.done():
            waiter.set_result(outcome)

    async def serve(self, node: str, handler: Callable[[str, Order], object]) -> None:
        """Hear orders for ``node`` from now on; ``handler(reply_to, order)`` must not block."""

        def on_order(payload: bytes) -> None:
            try:
                envelope = _envelopes.decode(payload)
            except msgspec.MsgspecError:
                LOG.warning("an order that is none was dropped", node=node)
                return
            handler(envelope.reply_to, self._on_our_clock(envelope))

        await self._hear(ORDERS + node, on_order)

    async def unserve(self, node: str) -> None:
        await self._unhear(ORDERS + node)

    async def answer(self, reply_to: str, outcome: Outcome) -> None:
        """Send an outcome back. A lost answer is the asker's timeout."""
        try:
            await self.redis.publish(reply_to, _encode(outcome))
        except RedisError as exc:
            LOG.warning("an answer could not be sent", order=outcome.order_id, error=type(exc).__name__)

    # Deadlines ------------------------------------------------------------------------------------

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

    def _on_our_clock(self, envelope: Envelope) -> Order:
        """The order with its deadline by our own wall clock."""
        if not envelope.due_us or self._ahead_us is None:
            return envelope.order
        remaining_us = envelope.due_us - self._time_us(self._ahead_us)
        return msgspec.structs.replace(envelope.order, deadline_us=now_us() + remaining_us)

    # Fresh log entries ------------------------------------------------------------------------------

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

    async def hear(self, channel: str, handler: Handler) -> None:
        """Any other broadcast: ``handler`` gets each payload and must not block."""
        await self._hear("irisx:" + channel, handler)

    async def say(self, channel: str, payload: bytes) -> None:
        with contextlib.suppress(RedisError):
            await self.redis.publish("irisx:" + channel, payload)

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
        if monotonic() - self._looked_at > CLOCK_S:
            await self._look_at_clock()

    async def who_is_present(self, kind: str = PRESENCE) -> list[bytes]:
        """What the living controllers (`HOSTS`: channel hosts) said of themselves last."""
        try:
            names = [key async for key in self.redis.scan_iter(match=kind + "*", count=100)]
            said = await self.redis.mget(names) if names else []
            return [each for each in said if isinstance(each, bytes)]
        except (RedisError, OSError) as exc:
            raise Unavailable("the command bus is out of reach", code="bus_down") from exc

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
