"""The one place where trio meets asyncio.

A controller is a trio program; asyncpg and redis exist for asyncio only. They live in ONE extra thread that
runs a uvloop loop. A crossing costs 75-170 µs, so it carries a whole operation or a batch: a coroutine
function goes over, its result comes back. Nothing else is shared, and no ``async with`` ever spans both sides.

The other way round, asyncio hands things to trio through an `Inbox`: a bounded queue that wakes its reader
once for any number of items.
"""

import asyncio
import contextlib
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, NoReturn, TypeVar, TypeVarTuple

import outcome
import trio
import uvloop

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START_DEADLINE_S = 10.0
SWITCH_S = 0.0005
"""How long one of the two threads may keep the interpreter while the other one has something to do. Python's 5 ms would be
most of an order's time; a switch costs some microseconds."""


class Bridge:
    """A running asyncio loop in its own thread, seen from trio."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.crossings = 0

    async def run(self, fn: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
        """Run ``fn(*args)`` on the asyncio side and return what it returns, or raise what it raises.

        When the trio side is cancelled the asyncio task is cancelled too, and this returns only after that
        task has ended: nothing is left running behind the caller's back. A result that arrives in spite of
        the cancellation is delivered.
        """
        self.crossings += 1
        caller = trio.lowlevel.current_task()
        token = trio.lowlevel.current_trio_token()
        running: list[asyncio.Task[T]] = []
        cancelled_by: list[Callable[[], NoReturn]] = []

        async def operate() -> T:
            return await fn(*args)

        def begin() -> None:
            task = self._loop.create_task(operate())
            running.append(task)
            task.add_done_callback(report)

        def report(task: asyncio.Task[T]) -> None:
            # trio may have gone while we worked: then nobody waits for this any more.
            with contextlib.suppress(trio.RunFinishedError):
                token.run_sync_soon(resume, task)

        def resume(task: asyncio.Task[T]) -> None:
            result: outcome.Outcome[T]
            if task.cancelled():
                result = outcome.capture(cancelled_by[0] if cancelled_by else _raise_cancelled_from_inside)
            elif (error := task.exception()) is not None:
                result = outcome.Error(error)
            else:
                result = outcome.Value(task.result())
            trio.lowlevel.reschedule(caller, result)

        def abort(raise_cancel: Callable[[], NoReturn]) -> trio.lowlevel.Abort:
            cancelled_by.append(raise_cancel)
            self._loop.call_soon_threadsafe(lambda: running and running[0].cancel())
            return trio.lowlevel.Abort.FAILED  # wait for the task's end; `resume` raises for us

        self._loop.call_soon_threadsafe(begin)
        return await trio.lowlevel.wait_task_rescheduled(abort)  # type: ignore[no-any-return]

    def run_in_loop(self, fn: Callable[[*Ts], Awaitable[T]], *args: *Ts, limit_s: float) -> T:
        """Run ``fn(*args)`` on the asyncio side and wait here, in a thread that is neither side's.

        Raises `TimeoutError` after ``limit_s``, and what ``fn`` raises.
        """

        async def operate() -> T:
            return await fn(*args)

        return asyncio.run_coroutine_threadsafe(operate(), self._loop).result(limit_s)


def _raise_cancelled_from_inside() -> NoReturn:
    raise RuntimeError("an asyncio operation was cancelled from its own side")


class Inbox(Generic[T]):
    """A bounded queue from the asyncio thread to one trio reader.

    A full inbox refuses (`offer` answers False) and counts: the asyncio side must not wait for trio.
    """

    def __init__(self, size: int) -> None:
        self._items: deque[T] = deque()
        self._size = size
        self._wake = trio.Event()
        self._token = trio.lowlevel.current_trio_token()
        self.refused = 0

    def offer(self, item: T) -> bool:
        """Called on the asyncio side. True when the item will be read."""
        if len(self._items) >= self._size:
            self.refused += 1
            return False
        self._items.append(item)  # deque's append and popleft are atomic
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._ring, idempotent=True)
        return True

    def _ring(self) -> None:
        self._wake.set()

    async def take(self) -> list[T]:
        """Everything that is there; waits until there is something."""
        while not self._items:
            self._wake = trio.Event()
            if self._items:  # offered between the look and the new event
                break
            await self._wake.wait()
        await trio.lowlevel.checkpoint()
        taken = []
        while self._items:
            taken.append(self._items.popleft())
        return taken

    def __len__(self) -> int:
        return len(self._items)


@asynccontextmanager
async def open_bridge() -> AsyncIterator[Bridge]:
    """Start the asyncio thread; leaving the block stops its loop and joins the thread."""
    sys.setswitchinterval(SWITCH_S)
    ready: list[asyncio.AbstractEventLoop] = []
    started = threading.Event()

    def serve() -> None:
        loop = uvloop.new_event_loop()
        asyncio.set_event_loop(loop)
        ready.append(loop)
        started.set()
        try:
            loop.run_forever()
            _finish(loop)
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    thread = threading.Thread(target=serve, name="asyncio", daemon=True)
    thread.start()
    if not await trio.to_thread.run_sync(started.wait, START_DEADLINE_S):
        raise RuntimeError("the asyncio thread did not start")
    loop = ready[0]
    try:
        yield Bridge(loop)
    finally:
        with trio.CancelScope(shield=True):
            loop.call_soon_threadsafe(loop.stop)
            await trio.to_thread.run_sync(thread.join, START_DEADLINE_S)


def _finish(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what still runs and let it clean up, as `asyncio.run` does at its end."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
