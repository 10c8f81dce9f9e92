"""A few threads for code that may never come back, with a deadline for every call.

asyncio. Calls wait in one line; a thread takes one after the other and tells of several at once, because on a busy process
waking a thread costs more than most calls. Usually one thread does everything; another helps when a call takes longer
than `SLOW_S`. A call that is late is not waited for any more, and its thread is its own until it does come back. When all
threads hang, calls are refused at once instead of waiting behind them.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from core.clock import monotonic

T = TypeVar("T")

SLOW_S = 0.01


class AllHang(Exception):
    """Every thread is with a call that does not come back."""


class _Late(Exception):
    """The deadline has passed."""


class _Call(Generic[T]):
    __slots__ = ("act", "answer", "args", "begun", "given_up")

    def __init__(self, answer: "asyncio.Future[T]", act: Callable[..., T], args: tuple[Any, ...]) -> None:
        self.answer, self.act, self.args = answer, act, args
        self.begun = self.given_up = False


_Told = tuple[_Call[Any], bool, Any]


class Threads:
    """At most ``count`` threads."""

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._started = 0
        self._bell: SimpleQueue[asyncio.AbstractEventLoop | None] = SimpleQueue()
        """Rung for one thread to work, and with None for one to end. (An executor's way costs more than most calls.)"""
        self._lock = threading.Lock()
        self._line: deque[_Call[Any]] = deque()
        self._working = 0
        self._moved_at = 0.0
        """When a thread last took a call."""
        self._told: list[_Told] = []
        self._ringing = False
        self._looking: asyncio.TimerHandle | None = None
        self.hanging = 0
        """Threads whose call is late."""

    async def run(self, act: Callable[..., T], *args: Any, limit_s: float) -> T:
        """What ``act`` returns or raises. Raises `TimeoutError` when it is late, `AllHang` when nobody could do it."""
        if self.hanging >= self._count:
            raise AllHang
        loop = asyncio.get_running_loop()
        call: _Call[T] = _Call(loop.create_future(), act, args)
        with self._lock:
            self._line.append(call)
            first = not self._working
            self._working += first
        if first:
            self._ring(loop)
        elif self._looking is None:
            self._looking = loop.call_later(SLOW_S, self._look, loop)
        # (a timer and a future of our own: `wait_for` around a shielded, wrapped future costs more than most calls)
        timer = loop.call_later(limit_s, self._late, call)
        try:
            return await call.answer
        except _Late:
            raise TimeoutError from None
        finally:
            timer.cancel()

    def close(self) -> None:
        """Take nothing more. A thread that hangs is left behind."""
        if self._looking is not None:
            self._looking.cancel()
        self._line.clear()
        for _ in range(self._started):
            self._bell.put(None)

    def _late(self, call: _Call[Any]) -> None:
        if call.answer.done():
            return
        with self._lock:
            call.given_up = True
            self.hanging += call.begun
        call.answer.set_exception(_Late())

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let another thread help when those who wait have waited for a slow call."""
        self._looking = None
        with self._lock:
            waiting = bool(self._line)
            more = waiting and self._working < self._count and monotonic() - self._moved_at >= SLOW_S
            self._working += more
        if more:
            self._ring(loop)
        if waiting:
            self._looking = loop.call_later(SLOW_S, self._look, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let one more thread work."""
        if self._started < self._working:
            self._started += 1
            # A daemon: one that hangs does not keep the process from ending.
            name = f"{self._name}_{self._started - 1}"
            threading.Thread(target=self._serve, name=name, daemon=True).start()
        self._bell.put(loop)

    def _serve(self) -> None:
        while (loop := self._bell.get()) is not None:
            self._work(loop)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread: do what waits, until nothing does."""
        while True:
            with self._lock:
                call = self._line.popleft() if self._line else None
                if call is None:
                    self._working -= 1
                    return
                if call.given_up:
                    continue
                call.begun = True
                self._moved_at = monotonic()
            try:
                told: _Told = (call, True, call.act(*call.args))
            except BaseException as exc:  # noqa: BLE001 - it is the caller's
                told = (call, False, exc)
            with self._lock:
                self.hanging -= call.given_up
                self._told.append(told)
                ring, self._ringing = not self._ringing, True
            if ring:
                with suppress(RuntimeError):  # (the loop is over)
                    loop.call_soon_threadsafe(self._hand_over)

    def _hand_over(self) -> None:
        """On the loop: all answers that there are by now."""
        with self._lock:
            told, self._told, self._ringing = self._told, [], False
        for call, good, result in told:
            if call.answer.done():
                continue
            if good:
                call.answer.set_result(result)
            elif isinstance(result, Exception) and not isinstance(result, StopIteration):
                call.answer.set_exception(result)
            else:
                # (a future takes no StopIteration, and an exit of a stranger's code is no exit of ours)
                call.answer.set_exception(RuntimeError(type(result).__name__))
