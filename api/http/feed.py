"""The newest entries of one tenant's log, kept once in a process for all who follow it live.

A `Feed` follows the bus and the store: what comes over the bus makes it fast, the numbers make it true. A hole in the
numbers is filled from the store before anything behind it is shown; a loss that nothing follows is found by looking
at the store's head every few seconds, and every second while the bus is away.

Followers hold no queue of their own, only a place (the number of the last entry they were sent). So the memory of a
thousand slow clients is one ring, and a client that is further behind than the ring reaches is told of a gap. Entries
are encoded for a protocol once, for everybody.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from core import log
from core.bus import Bus
from core.clock import monotonic
from core.errors import IrisxError
from core.logs import get_logger
from core.model.entries import LogEntry
from core.storage.database import Database

LOG = get_logger("feed")

MOST_BEHIND = 10_000
"""Entries that a follower may be behind before it is told of a gap; also how many the ring holds."""
MOST_MOMENTS = 200
"""What is going on right now (somebody types) and is in no log: so much of it is kept for followers who are slow."""
MOST_BYTES = 64 * 1024 * 1024
"""Bytes that the ring holds; large documents make it shorter."""
LOOK_S = 3.0
"""How often to compare with the store's head while the bus is there: finds losses at the end of the numbers."""
LOOK_AWAY_S = 1.0
"""The same while the bus is away: then this is how entries come."""
PAGE = 500
"""Entries read from the store at a time."""
BREATH_S = 0.005
BREATH_EACH_S = 0.00002
"""The pause between two rounds to all followers, and its growth for each of them: a round costs about 15 µs a
follower, and waiting a little lets one round carry several entries."""

Encode = Callable[[LogEntry], bytes]


class Feed:
    """One tenant's newest entries. ``head`` is the number of the last one; followers wait with `news`."""

    def __init__(self, database: Database, bus: Bus, tenant_id: str) -> None:
        self._database = database
        self._bus = bus
        self.tenant_id = tenant_id
        self.head = 0
        self.oldest = 1
        """The lowest number that the store keeps, as far as we know."""
        self._ring: deque[LogEntry] = deque()
        self._bytes = 0
        self._news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._joined: dict[tuple[str, int], tuple[int, bytes]] = {}
        self.followers = 0
        self.known = asyncio.Event()
        """Set when ``head`` is true for the first time."""
        self.broken = False
        """Set when nothing follows the log for us any more: a bug of ours, and the reason to hang up."""
        self.filled = 0
        """Entries that did not come over the bus."""
        self._moments: deque[dict[str, Any]] = deque(maxlen=MOST_MOMENTS)
        self.moments = 0
        """How many moments there were. They have no place in the log: whoever misses some has missed nothing."""

    @property
    def first(self) -> int:
        """The lowest number in the ring; ``head + 1`` when it is empty."""
        return self._ring[0].seq if self._ring else self.head + 1

    # What followers use -------------------------------------------------------------------------------

    def entries_after(self, seq: int, limit: int) -> list[LogEntry]:
        """Up to ``limit`` entries after ``seq``, which must not be before the ring (`first` - 1)."""
        start = seq + 1 - self.first
        stop = min(start + limit, len(self._ring))
        return [self._ring[at] for at in range(start, stop)]

    def joined_after(self, seq: int, kind: str, encode: Encode, limit_bytes: int) -> tuple[bytes, int]:
        """The encoded entries after ``seq`` as one piece, and the number of the last one in it.

        Made once for all followers who are at the same place and use the same ``kind`` of encoding.
        """
        known = self._joined.get((kind, seq))
        if known is not None:
            return known[1], known[0]
        pieces, size, last = [], 0, seq
        for entry in self.entries_after(seq, PAGE):
            piece = encode(entry)
            pieces.append(piece)
            size += len(piece)
            last = entry.seq
            if size >= limit_bytes:
                break
        joined = b"".join(pieces)
        self._joined[(kind, seq)] = last, joined
        return joined, last

    def moments_after(self, count: int) -> list[dict[str, Any]]:
        """Those after the first ``count``, as far as they are kept."""
        fresh = min(self.moments - count, len(self._moments))
        return [self._moments[at] for at in range(len(self._moments) - fresh, len(self._moments))]

    async def news(self, seq: int, timeout: float) -> None:
        """Wait until there may be an entry after ``seq``, for ``timeout`` seconds at most."""
        if self.head == seq and not self.broken:
            # One future for all; waiting like this does not cancel it when one of us is cancelled.
            await asyncio.wait([self._news], timeout=timeout)

    # How it stays true --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow for ever."""
        channel = f"live:{self.tenant_id}"
        try:
            await self._bus.hear(channel, self._on_moment)
            await self._run()
        finally:
            self.broken = True
            self._wake()
            await self._bus.unhear(channel)

    def _on_moment(self, payload: bytes) -> None:
        try:
            said = msgspec.json.decode(payload, type=dict[str, Any])
        except msgspec.MsgspecError:
            return  # of a newer version of ours
        self._moments.append(said)
        self.moments += 1
        self._wake()

    async def _run(self) -> None:
        async with self._bus.follow(self.tenant_id) as fresh:
            last_look = -LOOK_AWAY_S
            while True:
                listening = self._bus.listening.is_set()
                look_s = LOOK_S if listening and self.known.is_set() else LOOK_AWAY_S
                due = last_look + look_s - monotonic()
                entries = await fresh.take(timeout=max(due, 0.0))
                if entries and self.known.is_set():
                    await self._take(entries)
                if monotonic() - last_look >= look_s:
                    last_look = monotonic()
                    await self._look()
                if entries:
                    await asyncio.sleep(BREATH_S + BREATH_EACH_S * self.followers)

    async def _take(self, entries: Sequence[LogEntry]) -> None:
        """Add what the bus brought; holes are filled from the store first."""
        for entry in entries:
            if entry.seq <= self.head:
                continue
            if entry.seq > self.head + 1 and not await self._fill(entry.seq - 1):
                # The store is away, so what lies between is not to be had: what is behind the hole waits, and is
                # read from the store when it is back.
                break
            if entry.seq == self.head + 1:
                self._add(entry)
        self._wake()

    async def _look(self) -> None:
        """Compare with the store."""
        try:
            self.oldest, head = await log.bounds(self._database, self.tenant_id)
        except IrisxError as exc:
            LOG.info("the store is not to be had", tenant=self.tenant_id, error=exc.code)
            return
        if not self.known.is_set() or head < self.head:
            # The first look; or the store is another one than before, and nothing that we hold is true.
            self._begin_at(head)
        elif head > self.head and await self._fill(head):
            self._wake()

    def _begin_at(self, head: int) -> None:
        self.head = head
        self._ring.clear()
        self._bytes = 0
        self._joined.clear()
        self.known.set()
        self._wake()

    async def _fill(self, up_to: int) -> bool:
        """Read the entries up to number ``up_to`` from the store; False when it does not give all of them."""
        if up_to - self.head > MOST_BEHIND:
            # More than the ring holds: who followed closely gets a gap, as anybody this far behind does.
            self._begin_at(up_to)
        while self.head < up_to:
            try:
                found = await log.read_entries(
                    self._database, self.tenant_id, after_seq=self.head, limit=PAGE, up_to=up_to
                )
            except IrisxError as exc:
                LOG.info("a hole in the log cannot be filled yet", tenant=self.tenant_id, error=exc.code)
                return False
            for entry in found:
                if entry.seq != self.head + 1:
                    break
                self._add(entry)
                self.filled += 1
            else:
                if found:
                    continue
            # The store does not have the next number (any more): go on behind the hole, with a gap.
            self._begin_at(found[-1].seq if found else up_to)
            return True
        return True

    def _add(self, entry: LogEntry) -> None:
        self._ring.append(entry)
        self.head = entry.seq
        self._bytes += len(entry.body)
        while len(self._ring) > MOST_BEHIND or self._bytes > MOST_BYTES:
            self._bytes -= len(self._ring.popleft().body)

    def _wake(self) -> None:
        """Let the followers go on. What was joined for them is for this round only."""
        self._joined.clear()
        waiting, self._news = self._news, asyncio.get_running_loop().create_future()
        if not waiting.done():
            waiting.set_result(None)


class Feeds:
    """The feeds of one process: one for each tenant that somebody follows, and for a while after the last one left."""

    LINGER_S = 30.0

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus
        self._feeds: dict[str, tuple[Feed, asyncio.Task[None]]] = {}
        self._ends: dict[str, asyncio.TimerHandle] = {}

    def open(self, tenant_id: str) -> Feed:
        """The feed of a tenant, running. Every `open` needs a `close`."""
        if timer := self._ends.pop(tenant_id, None):
            timer.cancel()
        held = self._feeds.get(tenant_id)
        if held is None or held[1].done():
            feed = Feed(self._database, self._bus, tenant_id)
            task = asyncio.get_running_loop().create_task(feed.run())
            task.add_done_callback(_report)
            held = self._feeds[tenant_id] = feed, task
        held[0].followers += 1
        return held[0]

    def close(self, feed: Feed) -> None:
        feed.followers -= 1
        held = self._feeds.get(feed.tenant_id)
        if feed.followers == 0 and held is not None and held[0] is feed:
            loop = asyncio.get_running_loop()
            self._ends[feed.tenant_id] = loop.call_later(self.LINGER_S, self._end, feed.tenant_id)

    def _end(self, tenant_id: str) -> None:
        self._ends.pop(tenant_id, None)
        held = self._feeds.get(tenant_id)
        if held is not None and held[0].followers == 0:
            held[1].cancel()
            del self._feeds[tenant_id]

    def __iter__(self) -> Iterator[Feed]:
        return iter([feed for feed, _ in self._feeds.values()])

    async def aclose(self) -> None:
        """End all of them."""
        for timer in self._ends.values():
            timer.cancel()
        tasks = [task for _, task in self._feeds.values()]
        self._feeds.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _report(task: "asyncio.Task[None]") -> None:
    """A feed that ended by a bug of ours says so; who opens it next gets a new one."""
    if not task.cancelled() and (error := task.exception()) is not None:
        LOG.error("a feed broke", exc_info=error)
