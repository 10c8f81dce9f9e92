"""A few threads for code that may never come back, with a deadline for every call.

asyncio. A call that is late is not waited for any more; its thread is its own until it does come back. When all threads
hang, calls are refused at once instead of waiting behind them.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class AllHang(Exception):
    """Every thread is with a call that does not come back."""


class Threads:
    """``count`` threads."""

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)
        self.hanging = 0
        """Threads whose call is late."""

    async def run(self, act: Callable[..., T], *args: Any, limit_s: float) -> T:
        """What ``act`` returns or raises. Raises `TimeoutError` when it is late, `AllHang` when nobody could do it."""
        if self.hanging >= self._count:
            raise AllHang
        loop = asyncio.get_running_loop()
        running = self._pool.submit(act, *args)
        try:
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(running)), limit_s)
        except TimeoutError:
            # (the pool's own future knows whether it has begun; one of asyncio says yes to every cancelling)
            if not running.cancel():
                self.hanging += 1
                running.add_done_callback(lambda done: self._came_back(loop, done))
            raise

    def close(self) -> None:
        """Take nothing more. A thread that hangs is left behind."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _came_back(self, loop: asyncio.AbstractEventLoop, _: "Future[Any]") -> None:
        with suppress(RuntimeError):  # (the loop is over)
            loop.call_soon_threadsafe(self._free)

    def _free(self) -> None:
        self.hanging -= 1
