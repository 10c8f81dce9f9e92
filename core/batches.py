"""Many small writes as a few large ones: what comes while the store is busy goes there together.

trio. There is no task of its own: whoever comes first writes for all that wait, and hands on when its own is done. So a
lone item waits for nobody, and a crowd pays for one crossing and one transaction.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import trio

from core.aio import Bridge
from core.errors import PeerError

T = TypeVar("T")
R = TypeVar("R")

MOST = 100
"""Items of one write."""
WRITERS = 1
"""Writes of one kind under way together: a tenant's are one after the other in the store anyhow, and fewer are larger."""
GATHER_S = 0.02
"""How long a write waits for more to come, while there is more than one at a time: a statement for ten costs the store
little more than one for one. Somebody alone waits for nobody."""


class _Slot(Generic[T, R]):
    __slots__ = ("error", "item", "result", "wake")

    def __init__(self, item: T) -> None:
        self.item = item
        self.wake = trio.Event()
        self.result: list[R] = []
        self.error: Exception | None = None

    @property
    def done(self) -> bool:
        return bool(self.result) or self.error is not None


class Batches(Generic[T, R]):
    """One kind of write."""

    def __init__(self, bridge: Bridge, write: Callable[[Sequence[T]], Awaitable[Sequence[R]]]) -> None:
        """``write`` runs on the asyncio side; its results are in the order of the items."""
        self._bridge = bridge
        self._write = write
        self._queue: deque[_Slot[T, R]] = deque()
        self._writing = 0
        self._crowded = False
        self.writes = 0

    async def put(self, item: T) -> R:
        """What ``write`` says of this item. Raises what it raises.

        Cancelled, the item is still written if its write has begun: that is not broken off, for it is others', too.
        """
        slot: _Slot[T, R] = _Slot(item)
        self._queue.append(slot)
        while not slot.done:
            if self._writing < WRITERS and self._queue:
                self._writing += 1
                try:
                    with trio.CancelScope(shield=True):  # (bounded by the store's own deadlines)
                        await self._turn()
                finally:
                    self._writing -= 1
                    if self._queue:
                        self._queue[0].wake.set()
            else:
                slot.wake = trio.Event()
                try:
                    await slot.wake.wait()
                except trio.Cancelled:
                    if slot in self._queue:
                        self._queue.remove(slot)
                    raise
        if slot.error is not None:
            raise slot.error
        return slot.result[0]

    async def _turn(self) -> None:
        if self._crowded:
            await trio.sleep(GATHER_S)
        slots = [self._queue.popleft() for _ in range(min(len(self._queue), MOST))]
        self._crowded = len(slots) > 1
        await self._write_all(slots)
        for slot in slots:
            slot.wake.set()

    async def _write_all(self, slots: list[_Slot[T, R]]) -> None:
        self.writes += 1
        try:
            results = await self._bridge.run(self._write, [slot.item for slot in slots])
        except PeerError as exc:
            for slot in slots:
                slot.error = exc
        except Exception as exc:  # noqa: BLE001 - whatever one item causes is that item's answer
            if len(slots) == 1:
                slots[0].error = exc
                return
            # One that cannot be written must not take the others with it.
            for slot in slots:
                await self._write_all([slot])
        else:
            for slot, result in zip(slots, results, strict=True):
                slot.result.append(result)
