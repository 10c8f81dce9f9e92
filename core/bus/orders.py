"""Orders to the owner of a switch, and its answers. Both sides measure deadlines by the clock of Redis."""

import asyncio
import contextlib
from collections.abc import Callable

import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from core.bus.clock import SharedClock
from core.clock import monotonic, now_us
from core.errors import PeerTimeout, Unavailable
from core.logs import get_logger
from core.model.orders import Order, Outcome

LOG = get_logger("bus")

ORDERS = "irisx:orders:"
REPLIES = "irisx:replies:"
LEASE = "irisx:lease:"

HEARD_S = 3.0
"""How long an order waits for an owner that hears it: a dead one is replaced within two seconds."""
FREE_S = 0.5
"""How long nobody may hold the switch's lease meanwhile: whoever can will take it at once."""
REPEAT_S = 0.05
LOOK_S = 0.2
"""How often an asker looks whether the owner that has its order still owns the switch."""


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    """An order on its way, and where the answer goes."""

    reply_to: str
    order: Order
    due_us: int = 0
    """The order's deadline by the clock of Redis; 0 when its asker did not know that clock."""


_envelopes = msgspec.msgpack.Decoder(Envelope)
_outcomes = msgspec.msgpack.Decoder(Outcome)
_encode = msgspec.msgpack.Encoder().encode


class Orders(SharedClock):
    """Asking, hearing and answering."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        super().__init__(client)
        self._waiting: dict[str, asyncio.Future[Outcome]] = {}
        self._handlers[REPLIES + self.name] = self._on_reply

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
        await self._refresh_clock()
        due_us = 0 if self._ahead_us is None else self._time_us(self._ahead_us) + remaining_us
        payload = _encode(Envelope(REPLIES + self.name, order, due_us))
        began = free_since = monotonic()
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
            # (a lease that runs out while we wait is free for a moment only: an heir is about to take it)
            moment = monotonic()
            if owner is not None:
                free_since = moment
            if moment - began >= HEARD_S or moment - free_since >= FREE_S:
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

    def _on_our_clock(self, envelope: Envelope) -> Order:
        """The order with its deadline by our own wall clock."""
        if not envelope.due_us or self._ahead_us is None:
            return envelope.order
        remaining_us = envelope.due_us - self._time_us(self._ahead_us)
        return msgspec.structs.replace(envelope.order, deadline_us=now_us() + remaining_us)
