"""Orders for one switch: heard on the bus, bounded, each carried out in a task of its own and answered."""

import trio

from core.clock import now_us
from core.cluster.lease import Lease
from core.model.orders import Order
from core.telephony.desk import Desk
from core.telephony.orders import carry_out
from core.telephony.parts import Parts

ORDERS_AT_ONCE = 64
"""Orders for one switch under way together; more are left to their askers' deadlines, so that a flood costs one look."""


class OrderIntake:
    """Takes orders for as long as its lease is held."""

    def __init__(self, parts: Parts, node_id: str, lease: Lease) -> None:
        self._parts = parts
        self._node_id = node_id
        self._lease = lease
        self._running = 0
        self.refused = 0

    async def run(self, desk: Desk, nursery: trio.Nursery) -> None:
        """Hear orders until cancelled; they run in ``nursery``."""
        inbox = self._parts.inbox(self._node_id)
        await self._parts.bridge.run(
            self._parts.bus.serve, self._node_id, lambda reply_to, order: inbox.offer((reply_to, order))
        )
        while True:
            for reply_to, order in await inbox.take():
                if self._running >= ORDERS_AT_ONCE:
                    self.refused += 1
                    continue
                self._running += 1
                nursery.start_soon(self._do, desk, reply_to, order)

    async def _do(self, desk: Desk, reply_to: str, order: Order) -> None:
        try:
            remaining = (order.deadline_us - now_us()) / 1e6
            # Late orders are dropped, and so are those that another controller may be carrying out.
            if remaining <= 0 or not self._lease.held or not self._parts.first_time(order.id):
                return
            with trio.move_on_after(remaining):
                outcome = await carry_out(desk, order)
                await self._parts.bridge.run(self._parts.bus.answer, reply_to, outcome)
        finally:
            self._running -= 1
