"""A lease on one switch: the right to command it, and the certainty of having lost that right in time.

The channel hosts take leases of the same kind, longer ones: which of them holds an account's connection.

The rules (measured reasons are in this room's README):

1. The deadline is the monotonic time taken BEFORE the renewal was asked for, plus the time-to-live. Never a
   wall clock, never the time of the answer.
2. Right before every command the owner looks at its own deadline (`Lease.check`). Past it, or within `MARGIN_S`
   of it, it does not command: an heir may be there.
3. Renewal has its own task, so that nothing slow (a resync, a write) can cost the lease.
4. A renewal that Redis does not answer proves nothing. The owner goes on watching and recording the switch; it
   only stops commanding when the deadline passes, and starts again when it has the key again.
"""

import math
import random
from collections.abc import Callable

import trio

from core.aio import Bridge
from core.bus import Bus
from core.clock import monotonic
from core.errors import Conflict, Unavailable
from core.logs import get_logger
from core.storage import leases

LOG = get_logger("lease")

TTL_S = 1.5
"""How long a dead owner's switch stays without control, at most (2 s are promised, resync included)."""
RENEW_S = TTL_S / 5
ANSWER_S = 0.6
"""A store that takes longer is as good as silent."""
MARGIN_S = 0.15
"""No command is begun this close to the deadline: it must reach the socket before an heir acts."""


COLD_S = 0.2
"""The head start of an heir that has overheard the switch over one that has just begun to."""


class LeaseLost(Conflict):
    """We may not command this switch now; nothing was sent."""

    code = "not_owner"


class Lease:
    """The lease of one switch as one controller sees it."""

    def __init__(self, bridge: Bridge, bus: Bus, node: str, owner: str, *, ttl_s: float = TTL_S) -> None:
        self._bridge = bridge
        self._bus = bus
        self._ttl_s = ttl_s
        self.node = node
        self.owner = owner
        self.token = 0
        """The fencing token of this ownership; 0 while there is none."""
        self.deadline = -math.inf
        self.unanswered = 0
        """Requests in a row that the store did not answer."""

    @property
    def held(self) -> bool:
        return self.token > 0 and monotonic() < self.deadline - MARGIN_S

    def check(self) -> None:
        """Raise `LeaseLost` unless a command may be sent at this very moment."""
        if not self.held:
            raise LeaseLost(f"this controller does not own the switch {self.node} now")

    async def try_take(self) -> float | None:
        """Ask for the lease once.

        0.0: it is ours now. More: the seconds until its holder's time runs out. None: the store did not
        answer, so nothing is known (if it did take the lease for us, the next try finds that out).
        """
        asked = monotonic()
        left_ms = None
        with trio.move_on_after(ANSWER_S):
            try:
                left_ms = await self._bridge.run(
                    leases.take, self._bus.redis, self.node, self.owner, round(self._ttl_s * 1000)
                )
            except Unavailable:
                left_ms = None
        if left_ms is None:
            self.unanswered += 1
            return None
        self.unanswered = 0
        if left_ms == 0:
            self.deadline = asked + self._ttl_s
        return left_ms / 1000

    async def wait_taken(self, warm: Callable[[], bool] = lambda: True) -> None:
        """Wait until the lease is ours: at once when it is free, else right after its holder's time has run out.

        While ``warm`` says no, `COLD_S` later than that: another one may be waiting who is better prepared.
        """
        while (left := await self.try_take()) != 0.0:
            pause = RENEW_S if left is None else min(left, self._ttl_s) + (0.0 if warm() else COLD_S)
            # Several heirs must not all ask in the same millisecond, for ever.
            await trio.sleep(pause + random.uniform(0.0, 0.02))

    async def keep(self) -> None:
        """Renew until somebody else holds the lease, then return. Being cancelled leaves it to run out."""
        silent = False
        while True:
            await trio.sleep(RENEW_S * self._ttl_s / TTL_S)
            left = await self.try_take()
            if left is None:
                if not silent and monotonic() > self.deadline:
                    silent = True
                    LOG.warning("no lease, so no commands; watching goes on", node=self.node)
            elif left > 0:
                LOG.warning("another controller holds the lease", node=self.node)
                self.token = 0
                self.deadline = -math.inf
                return
            elif silent:
                silent = False
                LOG.info("the lease is ours again", node=self.node)

    async def release(self) -> None:
        """Hand over on purpose: the heir takes it in milliseconds. Best effort."""
        self.token = 0
        self.deadline = -math.inf
        with trio.move_on_after(1.0):
            try:
                await self._bridge.run(leases.release, self._bus.redis, self.node, self.owner)
            except Unavailable:
                LOG.info("the lease runs out by itself", node=self.node)
