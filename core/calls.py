"""The ledger: every change of a call, on its way from the switchboard into the store.

One ledger for each owned switch. Changes come in without waiting (the reader of the switch must never wait) and
leave in order, in batches: while one transaction is under way the next batch gathers, so load makes batches
larger, not slower.

When the database is away the calls go on, and their facts go to a spool on the local disk at once, so that
neither a long outage nor a crash during it loses one; memory stays bounded. When it is back the spool is written
first. Writing twice is writing once: the store knows a change by its call and version.

What the store says about our right to write: a lower fencing token is refused (`FenceLost`). Then somebody else
owned the switch in between, and `superseded` decides: draw a new token and go on, or stop.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

import msgspec
import trio

from core.errors import PeerError
from core.logs import get_logger
from core.model.records import Change
from core.spool import Spool

LOG = get_logger("ledger")

BATCH = 400
"""Changes in one transaction: about 20 ms of work for Postgres, so a waiting batch is never far behind."""
MEMORY = 100_000
"""Changes held in memory at most (about 200 MB), reached only when the database and the disk both fail."""
GATHER_S = 0.004
"""How long a lone change waits for company."""
FIRST_RETRY_S = 0.1
MAX_RETRY_S = 2.0

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Change).decode


class Superseded(Exception):
    """Another controller owns the switch: what we still hold is for it to find out."""


class Ledger:
    """Takes changes, keeps them safe, writes them. See the module's text."""

    def __init__(
        self,
        node: str,
        write: Callable[[Sequence[Change]], Awaitable[None]],
        folder: Path,
        owner: str,
    ) -> None:
        self.node = node
        self._write_batch = write
        self._folder = folder
        self._owner = owner
        self._changes: deque[Change] = deque()
        self._some = trio.Event()
        self._idle = trio.Event()
        self._spool: Spool | None = None
        self._disk = trio.Lock()
        self.away = False
        """True while the store does not take our facts."""
        self.written = 0
        self.spooled = 0
        self.lost = 0

    def add(self, changes: Iterable[Change]) -> None:
        """Take changes; never waits. Beyond `MEMORY` the newest are lost and counted."""
        for change in changes:
            if len(self._changes) >= MEMORY:
                self.lost += 1
            else:
                self._changes.append(change)
        self._some.set()

    @property
    def waiting(self) -> int:
        return len(self._changes)

    async def wait_written(self) -> None:
        """Wait until everything that was added is in the store."""
        while self._changes or self._spool or not self._idle.is_set():
            self._idle = trio.Event()
            self._some.set()
            await self._idle.wait()

    async def adopt(self) -> int:
        """Write what dead controllers of this machine left on disk for this switch; how many facts that were."""
        adopted = 0
        for spool in await trio.to_thread.run_sync(Spool.left_behind, self._folder, self.node):
            try:
                while spool:
                    adopted += await self._write_some(spool)
            finally:
                await trio.to_thread.run_sync(spool.close)
        if adopted:
            LOG.info("facts of an earlier run are stored", node=self.node, facts=adopted)
        return adopted

    async def run(self) -> None:
        """Write for ever. Raises `Superseded`; being cancelled leaves what is not written to `flush`."""
        while True:
            if not self._changes:
                self._idle.set()
                self._some = trio.Event()
                await self._some.wait()
                self._idle = trio.Event()
                await trio.sleep(GATHER_S)
            await self._write_next()

    async def flush(self) -> None:
        """Write what is left; what cannot be written now goes to the spool. For an orderly stop."""
        while self._changes:
            await self._write_next(patient=False)
            if self.away:
                break

    async def aclose(self) -> None:
        if self._changes:
            await self._to_disk(len(self._changes))
        if self._spool is not None:
            await trio.to_thread.run_sync(self._spool.close)
            self._spool = None

    async def _write_next(self, *, patient: bool = True) -> None:
        batch = [self._changes[i] for i in range(min(BATCH, len(self._changes)))]
        if not batch:
            return
        if await self._write(batch):
            self._drop(len(batch))
            return
        await self._to_disk(len(self._changes))
        if patient:
            await self._ride_out()

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self._changes.popleft()

    async def _write(self, batch: Sequence[Change]) -> bool:
        """True when the batch is in the store, False when the store is away."""
        try:
            await self._write_batch(batch)
        except PeerError as exc:
            if not self.away:
                self.away = True
                LOG.warning("the store is away; facts go to disk", node=self.node, error=exc.code)
            return False
        if self.away:
            self.away = False
            LOG.info("the store is back", node=self.node, spooled=self.spooled)
        self.written += len(batch)
        return True

    async def _to_disk(self, count: int) -> None:
        """Move the oldest ``count`` changes to the spool; on a failing disk they stay in memory."""
        records = [_encode(self._changes[i]) for i in range(count)]
        try:
            if self._spool is None:
                self._spool = await trio.to_thread.run_sync(
                    Spool.open_for, self._folder, self.node, self._owner
                )
            async with self._disk:
                await trio.to_thread.run_sync(self._spool.append, records)
        except OSError as exc:
            LOG.error("facts stay in memory: the disk takes none", node=self.node, error=exc.strerror)
            return
        self._drop(count)
        self.spooled += count

    async def _write_some(self, spool: Spool) -> int:
        """Write one batch from a spool, waiting as long as it takes; how many facts it held."""
        delay = FIRST_RETRY_S
        records, mark = await trio.to_thread.run_sync(spool.peek, BATCH)
        while not await self._write([_decode(record) for record in records]):
            await trio.sleep(delay)
            delay = min(delay * 2, MAX_RETRY_S)
        async with self._disk:
            await trio.to_thread.run_sync(spool.taken, mark)
        return len(records)

    async def _ride_out(self) -> None:
        """The store is away: write the spool until it is empty, in order, before anything newer."""
        superseded: Superseded | None = None
        async with trio.open_nursery() as nursery:
            # An attempt to write may take seconds; what comes meanwhile must not wait for it in memory.
            nursery.start_soon(self._keep_spooling)
            try:
                while self._spool is not None and self._spool:
                    await self._write_some(self._spool)
            except Superseded as exc:
                superseded = exc  # raised below: a nursery would wrap it
            nursery.cancel_scope.cancel()
        if superseded is not None:
            raise superseded
        # A failing disk left them in memory: `run` writes them as soon as the store takes them.
        if self.away:
            await trio.sleep(FIRST_RETRY_S)

    async def _keep_spooling(self) -> None:
        """Newer facts queue behind those on disk."""
        while True:
            if self._changes:
                await self._to_disk(len(self._changes))
            if not self._changes:
                self._some = trio.Event()
                await self._some.wait()
            else:
                await trio.sleep(FIRST_RETRY_S)  # the disk takes none
