"""The simulator's time: a clock that ticks like FreeSWITCH's and one heap of timers for everything.

FreeSWITCH stamps events with ``runtime.timestamp``, which its timer thread moves every 20 ms
(``microseconds_per_tick``), so everything that happens within one tick carries the same microseconds.
`Clock` does the same; that also lets the three date headers be rendered once a tick.

`Threads` runs generators the way FreeSWITCH runs its session threads. A generator yields how long it
waits at most (None: until woken) and is sent True when something woke it, False when the time passed.
An idle call therefore costs one suspended generator and no timer, task or poll.
"""

import functools
import heapq
import itertools
import random
import time
from collections.abc import Callable, Generator
from typing import Any

Thread = Generator[float | None, bool, Any]
"""What a simulated thread is: yields a wait in seconds (None for ever), receives whether it was woken."""

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def local_text(at_us: int) -> str:
    """Return ``2026-11-22 19:16:23`` in the machine's zone, as FreeSWITCH writes stamps."""
    return _second_text(at_us // 1_000_000)


@functools.lru_cache(maxsize=256)
def _second_text(second: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))


def gmt_text(at_us: int) -> str:
    """Return ``Sun, 22 Nov 2026 19:16:23 GMT``, without asking the locale."""
    t = time.gmtime(at_us // 1_000_000)
    day, month = DAYS[t.tm_wday], MONTHS[t.tm_mon - 1]
    return f"{day}, {t.tm_mday:02d} {month} {t.tm_year} {t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} GMT"


class Clock:
    """Wall time in microseconds that advances with ``monotonic`` (seconds) in ticks."""

    def __init__(
        self,
        monotonic: Callable[[], float],
        rng: random.Random,
        tick_us: int = 20_000,
        now_us: int | None = None,
    ) -> None:
        """``now_us`` is what the wall shows now, in microseconds; None reads the machine's clock."""
        self.monotonic = monotonic
        self._rng = rng
        self._tick_us = tick_us
        now_us = time.time_ns() // 1000 if now_us is None else now_us
        self._zero_us = now_us - round(monotonic() * 1e6)
        self._tick = -1
        self._stamp = 0
        self._lines = ""
        self.step_us = 0

    def step(self, by_us: int) -> None:
        """Move the wall clock by ``by_us`` as an operator or NTP would; the monotonic clock stays."""
        self.step_us += by_us
        self._tick = -1

    def _refresh(self) -> None:
        raw = round(self.monotonic() * 1e6) + self._zero_us
        tick = raw // self._tick_us
        if tick == self._tick:
            return
        self._tick = tick
        # The timer thread wakes a little late, differently each time: 80 to 160 us in the captures.
        self._stamp = tick * self._tick_us + self.step_us + self._rng.randrange(80, 160)
        local = local_text(self._stamp).replace(" ", "%20").replace(":", "%3A")
        gmt = gmt_text(self._stamp).replace(" ", "%20").replace(":", "%3A")
        self._lines = (
            f"Event-Date-Local: {local}\nEvent-Date-GMT: {gmt}\nEvent-Date-Timestamp: {self._stamp}\n"
        )

    def now_us(self) -> int:
        """Return the wall time of the current tick in microseconds."""
        self._refresh()
        return self._stamp

    def lines(self) -> str:
        """Return the three date headers of an event created now, already coded."""
        self._refresh()
        return self._lines


class Timer:
    """One entry of the heap. Cancelling only marks it; the heap drops it when its time comes."""

    __slots__ = ("args", "call")

    def __init__(self, call: Callable[..., object] | None, args: tuple[Any, ...]) -> None:
        self.call = call
        self.args = args

    def cancel(self) -> None:
        self.call = None
        self.args = ()


class Running:
    """A simulated thread: a generator, and what would resume it."""

    __slots__ = ("_due", "_threads", "body", "done", "result", "waking")

    def __init__(self, threads: "Threads", body: Thread) -> None:
        self._threads = threads
        self.body = body
        self._due: Timer | None = None
        self.waking = False
        self.done = False
        self.result: Any = None

    def wake(self, delay: float = 0.0) -> None:
        """Resume with True after ``delay`` seconds, unless a wake is under way already."""
        if self.done or self.waking:
            return
        self.waking = True
        if self._due is not None:
            self._due.cancel()
        self._due = self._threads.after(delay, self._step, True)

    def _step(self, woken: bool) -> None:
        self.waking = False
        self._due = None
        self._resume(woken)

    def start(self) -> None:
        """Run up to the first wait, now."""
        self._resume(None)

    def _resume(self, woken: bool | None) -> None:
        threads = self._threads
        before, threads.current = threads.current, self
        try:
            wait = self.body.send(woken)  # type: ignore[arg-type]  # None starts a generator
        except StopIteration as end:
            self.done = True
            self.result = end.value
            return
        finally:
            threads.current = before
        if wait is not None and not self.waking:
            self._due = threads.after(wait, self._step, False)


class Threads:
    """The heap of timers, and the generators resumed by it. Time is what ``monotonic`` says."""

    def __init__(self, monotonic: Callable[[], float], on_earlier: Callable[[], None]) -> None:
        self._monotonic = monotonic
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._on_earlier = on_earlier
        self.current: Running | None = None
        """The thread that runs right now."""

    def after(self, delay: float, call: Callable[..., object], *args: Any) -> Timer:
        """Call ``call(*args)`` in ``delay`` seconds; equal times run in the order they were asked for."""
        timer = Timer(call, args)
        due = self._monotonic() + delay
        heap = self._heap
        heapq.heappush(heap, (due, next(self._order), timer))
        if heap[0][2] is timer:
            self._on_earlier()
        return timer

    def spawn(self, body: Thread, delay: float | None = None) -> Running:
        """Start a simulated thread: at once (up to its first wait), or after ``delay`` seconds."""
        running = Running(self, body)
        if delay is None:
            running.start()
        else:
            self.after(delay, running.start)
        return running

    def run_due(self, limit: int = 500) -> float | None:
        """Run what is due, ``limit`` entries at most; return when the next is due (monotonic seconds).

        The limit keeps a burst from starving the sockets: the caller lets I/O happen and calls again.
        """
        heap = self._heap
        now = self._monotonic()
        while heap and limit:
            due, _, timer = heap[0]
            if timer.call is None:
                heapq.heappop(heap)
                continue
            if due > now:
                return due
            heapq.heappop(heap)
            limit -= 1
            timer.call(*timer.args)
        return heap[0][0] if heap else None

    def clear(self) -> None:
        """Forget every timer (the machine was switched off)."""
        self._heap.clear()

    def __len__(self) -> int:
        return len(self._heap)
