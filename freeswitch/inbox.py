"""What a switch has to say, in one ordered, bounded queue.

`Notices` sits between the reader, which must never wait, and the consumer, which may be slow. Policy when full:
the whole batch is dropped and counted, and a `Doubt` takes its place in the order, so that the consumer knows
where facts are missing and reads the switch's channels again. `Up`, `Down` and `Doubt` always fit: they are few,
and a run of dropped batches shares one `Doubt`.
"""

from collections import deque

import msgspec
import trio

from freeswitch.event import Event

MAX_EVENTS = 20_000
"""At 1,500 events a second 13 s of a consumer that stands still."""
MAX_BYTES = 64 << 20
"""Events average 4 kB and reach 13 kB; the bytes are what fills a machine."""


class Events(msgspec.Struct, frozen=True):
    """A batch as it came in one read, in order."""

    events: list[Event]


class Up(msgspec.Struct, frozen=True):
    """The event link is subscribed: read the channels now, everything after is told."""

    core_uuid: str
    """One for each start of FreeSWITCH."""
    changed: bool
    """It is another one than before: the calls of the earlier one are gone, unless recovered."""
    first: bool
    """The first time since we began."""


class Down(msgspec.Struct, frozen=True):
    """The event link is lost, or could not be made. Told once, however long it lasts."""

    reason: str


class Doubt(msgspec.Struct, frozen=True):
    """Events may be missing at this place: read the channels again."""

    reason: str


Notice = Events | Up | Down | Doubt

OVERFLOW = "overflow"


class Notices:
    """The queue itself. Only `receive` waits."""

    def __init__(self, *, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._queue: deque[tuple[Notice, int]] = deque()
        self._wake = trio.Event()
        self.events = 0
        """Events waiting."""
        self.bytes = 0
        self.dropped = 0
        """Events dropped because the queue was full, in all."""
        self.overflows = 0
        """How many times the queue began to drop."""

    def put_events(self, events: list[Event]) -> None:
        """Add a batch, or drop it and leave a doubt in its place."""
        size = 0
        for event in events:
            size += len(event.raw)
        if self.events + len(events) > self._max_events or self.bytes + size > self._max_bytes:
            self.dropped += len(events)
            last = self._queue[-1][0] if self._queue else None
            if not (isinstance(last, Doubt) and last.reason == OVERFLOW):
                self.overflows += 1
                self.put(Doubt(OVERFLOW))
            return
        self.events += len(events)
        self.bytes += size
        self._queue.append((Events(events), size))
        self._wake.set()

    def put(self, notice: Up | Down | Doubt) -> None:
        """Add a notice that always fits. A doubt like the last one waiting says nothing new."""
        if isinstance(notice, Doubt) and self._queue and self._queue[-1][0] == notice:
            return
        self._queue.append((notice, 0))
        self._wake.set()

    async def receive(self) -> Notice:
        """The next notice; waits for one. Cancelling loses nothing."""
        await trio.lowlevel.checkpoint()
        while not self._queue:
            self._wake = trio.Event()
            await self._wake.wait()
        notice, size = self._queue.popleft()
        if isinstance(notice, Events):
            self.events -= len(notice.events)
            self.bytes -= size
        return notice
