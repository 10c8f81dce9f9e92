"""Facts on the local disk while the database is away.

One file for each switch and controller: length-prefixed records, appended and synced in batches, read back in
order, cut to nothing when all of it is stored. A record that was torn by a crash ends the reading; what stood
before it is good. The file is locked while its owner lives, so that whoever owns the switch next on this machine
can tell what a dead controller left behind.

Blocking code: call it from a worker thread.
"""

import fcntl
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Self

_LENGTH = struct.Struct(">I")
MAX_RECORD = 1 << 20
"""A call's record is a few kB; anything near this is a damaged file."""


class Spool:
    """A queue of byte records in a file, with a place up to which they were taken."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            raise
        self._read_at = 0
        self._end = self._scan()
        self._size = self._end
        if self._end < os.fstat(self._fd).st_size:
            os.ftruncate(self._fd, self._end)

    @classmethod
    def open_for(cls, folder: Path, node: str, owner: str) -> Self:
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder / f"{node}-{owner}.spool")

    @classmethod
    def left_behind(cls, folder: Path, node: str) -> list[Self]:
        """The spools of ``node`` that no living process holds, now locked by us."""
        found = []
        for path in sorted(folder.glob(f"{node}-*.spool")):
            try:
                found.append(cls(path))
            except OSError:
                continue  # held by a living controller
        return found

    def _scan(self) -> int:
        """The end of the last whole record."""
        size = os.fstat(self._fd).st_size
        at = 0
        while at + _LENGTH.size <= size:
            (length,) = _LENGTH.unpack(os.pread(self._fd, _LENGTH.size, at))
            if length > MAX_RECORD or at + _LENGTH.size + length > size:
                break
            at += _LENGTH.size + length
        return at

    def __bool__(self) -> bool:
        return self._read_at < self._end

    @property
    def waiting_bytes(self) -> int:
        return self._end - self._read_at

    def append(self, records: Sequence[bytes]) -> None:
        """Add records and make them survive a crash. Raises OSError (disk full) and then holds none of them."""
        data = b"".join(_LENGTH.pack(len(record)) + record for record in records)
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(self._fd, data[written:], self._end + written)
            os.fsync(self._fd)
        except OSError:
            os.ftruncate(self._fd, self._end)
            raise
        self._end += len(data)

    def peek(self, count: int) -> tuple[list[bytes], int]:
        """Up to ``count`` records that were not taken yet, and the mark for `taken`."""
        records: list[bytes] = []
        at = self._read_at
        while len(records) < count and at < self._end:
            (length,) = _LENGTH.unpack(os.pread(self._fd, _LENGTH.size, at))
            records.append(os.pread(self._fd, length, at + _LENGTH.size))
            at += _LENGTH.size + length
        return records, at

    def taken(self, mark: int) -> None:
        """Everything before ``mark`` is stored. The file is emptied when that is all of it."""
        self._read_at = mark
        if self._read_at >= self._end:
            os.ftruncate(self._fd, 0)
            self._read_at = self._end = 0

    def close(self) -> None:
        """Let go; an empty file is removed."""
        if not self:
            self.path.unlink(missing_ok=True)
        os.close(self._fd)
