"""One tenant's log on its way to the sessions of this controller: without holes, and only what concerns them.

The asyncio half runs for as long as the tenant has sessions here: fresh entries come over the bus, a hole in their numbers
is read from the store, and so is everything while the bus is away. What is left goes to trio through an `Inbox`.
"""

from collections.abc import Callable, Sequence

from core import log
from core.aio import Inbox
from core.bus import Bus
from core.errors import PeerError
from core.logs import get_logger
from core.model.entries import LogEntry
from core.storage.database import Database

LOG = get_logger("signaling")

LOOK_S = 5.0
"""How often the store is looked at while nothing comes, for the case that something was lost on the way."""
BLIND_S = 0.5
"""The same while the bus is away."""
RETRY_S = 0.2
CHUNK = 500
WAITING = 20_000
"""Entries that may wait for trio; more are read from the store when it is their turn."""

GAP = LogEntry(-1, "gap", "", b"")
"""The log no longer has what was missed: whoever follows begins anew."""
BEGUN = LogEntry(-2, "begun", "", b"")
"""From here on nothing is missed."""


class Follow:
    """Follows one tenant. ``wanted`` is asked on the asyncio side, and must only look."""

    def __init__(
        self,
        bus: Bus,
        db: Database,
        tenant_id: str,
        inbox: Inbox[LogEntry],
        wanted: Callable[[LogEntry], bool],
    ) -> None:
        self._bus = bus
        self._db = db
        self._tenant_id = tenant_id
        self._inbox = inbox
        self._wanted = wanted
        self._last = -1
        self.holes = 0

    async def run(self) -> None:
        """Until cancelled. Raises nothing that the store or the bus can cause."""
        async with self._bus.follow(self._tenant_id) as follower:
            while True:
                try:
                    if self._last < 0:
                        _, self._last = await log.bounds(self._db, self._tenant_id)
                        self._inbox.offer(BEGUN)
                    blind = not self._bus.listening.is_set()
                    fresh = await follower.take(BLIND_S if blind else LOOK_S)
                    if not self._all_there(fresh):
                        await self._from_store()
                    self._hand_on([entry for entry in fresh if entry.seq > self._last])
                except PeerError as exc:
                    LOG.info("the log is not to be had now", error=exc.code)
                    await follower.take(RETRY_S)  # what comes meanwhile is found in the store

    def _all_there(self, fresh: Sequence[LogEntry]) -> bool:
        """Whether these follow on the last one that was handed on. (Nothing at all may be all, or lost.)"""
        expected = self._last + 1
        for entry in fresh:
            if entry.seq > expected:
                self.holes += 1
                return False
            expected = max(expected, entry.seq + 1)
        return bool(fresh)

    async def _from_store(self) -> None:
        oldest, head = await log.bounds(self._db, self._tenant_id)
        if oldest > self._last + 1:
            self._inbox.offer(GAP)
            self._last = head
        while self._last < head:
            entries = await log.read_entries(self._db, self._tenant_id, after_seq=self._last, limit=CHUNK)
            if not entries or not self._hand_on(entries):
                return

    def _hand_on(self, entries: Sequence[LogEntry]) -> bool:
        """False when trio has no room: then these are read from the store again."""
        for entry in entries:
            if self._wanted(entry) and not self._inbox.offer(entry):
                return False
            self._last = max(self._last, entry.seq)
        return True
