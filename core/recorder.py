"""The flight recorder: every byte that a switch sends, in journals that `irisx replay` can read.

`Recorder.write` is called by whoever reads the switch, and never waits: it puts the bytes in a bounded buffer. A
task takes them from there in batches, packs and writes them in a worker thread; another one moves finished journals
to the object store. Nothing depends on it: what a full disk or a slow one makes it lose is counted and marked in the
journal, and no call record is lost with it.

A process that dies leaves at most `GATHER_S` and one write unwritten. What its journals say up to there is found by
the next recorder of the same switch on this machine, which takes them to the object store.
"""

import math
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
import trio

from core.clock import monotonic, now_us
from core.errors import PeerError
from core.journal import SUFFIX, Header, Journal, Mark, is_being_written, pack_chunk, pack_mark
from core.logs import get_logger
from core.storage.blobs import Blobs

LOG = get_logger("recorder")

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


class Limits(msgspec.Struct, frozen=True):
    """What a recorder may use."""

    buffer_bytes: int = 32 << 20
    """Waiting for the disk: 5 s of the busiest switch (1,500 events a second of 4 kB)."""
    gather_s: float = 0.25
    """How long bytes wait for company: with the write it stays under the second that a crash may cost."""
    rotate_bytes: int = 64 << 20
    rotate_s: float = 900.0
    retry_s: float = 5.0
    """After the disk or the object store refused."""
    keep_bytes: int = 1 << 30
    """Finished journals on this disk while the object store takes none; beyond, the oldest go."""


class Statistics(msgspec.Struct):
    """Counters since the start."""

    records: int = 0
    bytes: int = 0
    written_bytes: int = 0
    """Packed."""
    lost_records: int = 0
    lost_bytes: int = 0
    write_failures: int = 0
    journals: int = 0
    uploaded: int = 0
    upload_failures: int = 0
    discarded: int = 0
    """Journals deleted unread because `Limits.keep_bytes` was reached."""


class Recorder:
    """Records one switch. Made by `open_recorder`."""

    def __init__(self, node: str, folder: Path, blobs: Blobs | None, tenant: str, limits: Limits) -> None:
        self.node = node
        self.statistics = Statistics()
        self._folder = folder
        self._blobs = blobs
        self._tenant = tenant
        self._limits = limits
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._gap_records = 0
        self._gap_bytes = 0
        self._some = trio.Event()
        self._finished = trio.Event()
        self._journal: Journal | None = None
        self._opened_at = -math.inf
        self._retry_at = -math.inf
        self.failure = ""
        """Why the disk took nothing the last time; empty while it takes everything."""

    def write(self, data: bytes) -> None:
        """Record bytes of the switch. Never waits; when the buffer is full they are lost and counted."""
        self._put(pack_chunk(now_us(), data))

    def mark(self, mark: str, **values: object) -> None:
        """Note something about the link that the bytes do not say (see `core.journal`). Never waits, like `write`."""
        self._put(pack_mark(Mark(at_us=now_us(), mark=mark, values=values)))

    @property
    def waiting_bytes(self) -> int:
        """What is not on disk yet."""
        return self._waiting_bytes

    def _put(self, record: bytes) -> None:
        if self._waiting_bytes + len(record) > self._limits.buffer_bytes:
            self._lose(1, len(record))
            return
        if self._gap_bytes and not self.failure:
            self._waiting.append(self._gap_mark())
            self._gap_records = self._gap_bytes = 0
        self._waiting.append(record)
        self._waiting_bytes += len(record)
        self._some.set()

    def _gap_mark(self) -> bytes:
        values = {"records": self._gap_records, "bytes": self._gap_bytes}
        return pack_mark(Mark(at_us=now_us(), mark="gap", values=values))

    def _lose(self, records: int, size: int) -> None:
        if not self._gap_bytes and not self.failure:
            LOG.warning("the flight recorder loses bytes", node=self.node)
        self._gap_records += records
        self._gap_bytes += size
        self.statistics.lost_records += records
        self.statistics.lost_bytes += size

    # -- to the disk

    async def _run_writer(self) -> None:
        while True:
            idle_s = self._limits.rotate_s if self._journal is None else self._due_in()
            with trio.move_on_after(max(0.0, idle_s)):
                await self._some.wait()
                await trio.sleep(self._limits.gather_s)
            await self._write_waiting()
            if self._journal is not None and (
                self._due_in() <= 0 or self._journal.size >= self._limits.rotate_bytes
            ):
                await self._close_journal()

    def _due_in(self) -> float:
        return self._opened_at + self._limits.rotate_s - monotonic()

    async def _write_waiting(self) -> None:
        """Write what waits. A disk that takes nothing loses it: calls must not wait for their flight recorder.

        Cancelling waits for the write under way: a journal has one writer.
        """
        if not self._waiting:
            return
        records, size = self._waiting, self._waiting_bytes
        self._waiting, self._waiting_bytes = [], 0
        self._some = trio.Event()
        if monotonic() < self._retry_at:
            self._lose(len(records), size)
            return
        # What was lost since the disk failed stands before what it takes again.
        gap = [self._gap_mark()] if self.failure and self._gap_bytes else []
        told_records, told_bytes = (self._gap_records, self._gap_bytes) if gap else (0, 0)
        try:
            with trio.CancelScope(shield=True):
                journal = self._journal or await self._open_journal()
                before = journal.size
                await trio.to_thread.run_sync(journal.append, [*gap, *records])
        except OSError as exc:
            self.statistics.write_failures += 1
            self._retry_at = monotonic() + self._limits.retry_s
            self.failure = exc.strerror or type(exc).__name__
            LOG.warning("the flight recorder cannot write", node=self.node, error=self.failure)
            self._lose(len(records), size)
            await self._close_journal()
            return
        if gap:
            self._gap_records -= told_records
            self._gap_bytes -= told_bytes
        if self.failure:
            self.failure = ""
            LOG.info("the flight recorder writes again", node=self.node)
        self.statistics.records += len(records)
        self.statistics.bytes += size
        self.statistics.written_bytes += journal.size - before

    async def _open_journal(self) -> Journal:
        started_us = now_us()
        header = Header(node=self.node, started_us=started_us, tenant=self._tenant)
        path = self._folder / f"{_file_name(self.node)}-{_stamp(started_us)}{SUFFIX}"

        def make() -> Journal:
            self._folder.mkdir(parents=True, exist_ok=True)
            return Journal(path, header)

        self._journal = await trio.to_thread.run_sync(make)
        self._opened_at = monotonic()
        self.statistics.journals += 1
        return self._journal

    async def _close_journal(self) -> None:
        journal, self._journal = self._journal, None
        if journal is not None:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(journal.close)
            self._finished.set()

    # -- to the object store

    async def _run_mover(self) -> None:
        while True:
            refused = False
            for path in await trio.to_thread.run_sync(self._finished_journals):
                if not await self._move(path):
                    refused = True
                    break
            self._finished = trio.Event()
            with trio.move_on_after(self._limits.retry_s if refused else math.inf):
                await self._finished.wait()

    async def _move(self, path: Path) -> bool:
        """Give one journal to the object store and delete it here; False when the store did not take it."""
        if self._blobs is None:
            return False
        key = await trio.to_thread.run_sync(_key_of, self.node, path)
        try:
            await trio.to_thread.run_sync(
                partial(self._blobs.put_file, key, path, content_type="application/zstd")
            )
        except PeerError as exc:
            self.statistics.upload_failures += 1
            LOG.warning("a journal stays here", node=self.node, journal=path.name, error=exc.code)
            return False
        await trio.to_thread.run_sync(self._remove, path)
        self.statistics.uploaded += 1
        return True

    def _remove(self, path: Path) -> None:
        """Delete a journal, and the folder of a dead recorder with its last one. Blocking."""
        path.unlink(missing_ok=True)
        if path.parent != self._folder:
            with suppress(OSError):  # not empty: other switches' journals are still there
                path.parent.rmdir()

    def _finished_journals(self) -> list[Path]:
        """Journals of this switch that nobody writes any more, oldest first; also those that dead recorders left in
        the folders beside ours. Blocking. What is too much for the disk is deleted here."""
        found = []
        for path in self._folder.parent.glob(f"*/{_file_name(self.node)}-*{SUFFIX}"):
            with suppress(OSError):
                if not is_being_written(path):
                    found.append((path.stat().st_mtime_ns, path.stat().st_size, path))
        found.sort()
        total = sum(size for _, size, _ in found)
        while found and total > self._limits.keep_bytes:
            _, size, path = found.pop(0)
            with suppress(OSError):
                path.unlink()
            total -= size
            self.statistics.discarded += 1
        return [path for _, _, path in found]


@asynccontextmanager
async def open_recorder(
    node: str, folder: Path, blobs: Blobs | None, *, tenant: str = "", limits: Limits | None = None
) -> AsyncIterator[Recorder]:
    """Record ``node`` in ``folder`` (whose siblings belong to other recorders) while the block runs.

    Leaving it writes what waits and finishes the journal; moving it is for the next recorder of this switch.
    """
    recorder = Recorder(node, folder, blobs, tenant, limits or Limits())
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(recorder._run_writer)
            nursery.start_soon(recorder._run_mover)
            yield recorder
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await recorder._write_waiting()
            await recorder._close_journal()


def _file_name(node: str) -> str:
    return _UNSAFE.sub("_", node)


def _stamp(at_us: int) -> str:
    """``20261122T211600.123456Z``: sorts by time, and no two journals of one recorder begin in one microsecond."""
    return datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def _key_of(node: str, path: Path) -> str:
    """The journal's name in the object store: by switch and day, under the recorder that wrote it, because a
    controller that stands by records the same switch."""
    day = datetime.fromtimestamp(os.stat(path).st_mtime, UTC).strftime("%Y/%m/%d")
    return f"journals/{_file_name(node)}/{day}/{_file_name(path.parent.name)}/{path.name}"
