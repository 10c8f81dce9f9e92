"""Standing by: what a controller keeps of a switch that another one owns.

An heir that only re-reads the channels of a switch learns which calls live, but not of a call that came and went
while nobody recorded. So every controller listens to every switch all the time and keeps the last seconds of call
events, undecoded. Taking over, it reads them as if it had been the owner: what the old owner stored already changes
nothing, what it did not get to store is stored now.

`Recent` is bounded by age and by bytes; when the bytes run out first the oldest go, and are counted.
"""

from collections import deque
from collections.abc import Iterator

from core.clock import monotonic
from freeswitch.event import Event

KEEP_S = 12.0
"""Longer than a lease (1.5 s), a stalled write (a few seconds) and the time to notice both."""
KEEP_BYTES = 64 << 20
"""1,500 events a second of 4 kB for 10 s."""


class Recent:
    """The last seconds of a switch's events."""

    def __init__(self) -> None:
        self._batches: deque[tuple[float, int, list[Event]]] = deque()
        self._bytes = 0
        self.cut = 0
        """Events that left because of their size, before their time."""

    def add(self, events: list[Event]) -> None:
        now = monotonic()
        size = sum(len(event.raw) for event in events)
        self._batches.append((now, size, events))
        self._bytes += size
        while self._batches and self._batches[0][0] < now - KEEP_S:
            self._bytes -= self._batches.popleft()[1]
        while self._bytes > KEEP_BYTES and len(self._batches) > 1:
            _, gone, lost = self._batches.popleft()
            self._bytes -= gone
            self.cut += len(lost)

    def since_us(self) -> int | None:
        """The earliest time by the switch's own clock in what is kept, in microseconds; None when nothing is.

        Our clock and the switch's may be hours apart, and either may have been set.
        """
        stamps = (events[0].exact("Event-Date-Timestamp") or "" for _, _, events in self._batches if events)
        return min((int(stamp) for stamp in stamps if stamp.isascii() and stamp.isdigit()), default=None)

    def take(self) -> Iterator[list[Event]]:
        """All of them in their batches, oldest first; what was taken is gone."""
        while self._batches:
            _, size, events = self._batches.popleft()
            self._bytes -= size
            yield events
