"""One order at a time about one call.

Two orders on one call at once would each act on what the other is just changing: a hold and a transfer would part the
same legs twice. So whoever changes how the legs of a call hang together takes its turn first, and reads the call anew
once it has it. What must never wait (to hang up) or cannot disturb (a key) takes no turn.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

import trio

from core.errors import Conflict

WAIT_S = 4.0
"""How long an order waits for the one before it: longer than any single effect may take, and short enough that its
own deadline (10 s) is not used up by waiting."""


class Turns:
    """Whose turn it is, by call id. Nothing is kept for calls that nobody acts on."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, trio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, *call_ids: str, within_s: float = WAIT_S) -> AsyncIterator[None]:
        """Have the turn of these calls while the block runs. Raises `Conflict` (``call_busy``) when it is not ours
        within ``within_s`` seconds."""
        # Always in one order, so that two orders about the same two calls cannot wait for each other.
        locks = [self._lock(call_id) for call_id in sorted(set(call_ids))]
        async with AsyncExitStack() as held:
            with trio.move_on_after(within_s) as limit:
                for lock in locks:
                    await held.enter_async_context(lock)
            if limit.cancelled_caught:
                raise Conflict("another order about this call is under way", code="call_busy")
            yield

    def _lock(self, call_id: str) -> trio.Lock:
        lock = self._locks.get(call_id)
        if lock is None:
            lock = self._locks[call_id] = trio.Lock()
        return lock
