"""The flight recorder's file: what a switch sent us, byte for byte, with the time it came.

A ``.irj.zst`` file is one zstandard stream. Unpacked it is a line ``irj1``, a line of JSON (the header) and then
records: 8 bytes of wall time in microseconds, 4 bytes of length, the bytes (numbers big-endian). The top bit of the
length makes a record a mark: a JSON object about the link, not bytes of the switch. A file whose writer was killed
ends anywhere; everything up to its last flush can be read.

Marks, by their ``mark``: ``connected`` (a new connection: the stream of frames begins anew), ``lost``, ``restarted``
(``recovering``) and ``listing`` (``since_us``, ``rows`` of ``show channels``): whatever let the controller conclude
something that no event says, so that reading the file again concludes the same (with the moment in ``at_us``, when it
is not that of the mark). ``gap`` (``records``, ``bytes``) says
that the recorder itself lost something here.

Blocking code: call it from a worker thread.
"""

import fcntl
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import zstandard

MAGIC = b"irj1\n"
SUFFIX = ".irj.zst"
MARK_BIT = 1 << 31
MAX_RECORD = 64 << 20
"""The largest chunk anybody writes is a listing of 20,000 channels, 24 MB; more is a damaged file."""
_MAX_HEADER = 1 << 16
_CHUNK = 1 << 18

_HEAD = struct.Struct(">QI")


class Header(msgspec.Struct, frozen=True):
    """The first words of a journal."""

    node: str
    started_us: int
    tenant: str = ""
    """The switch's default tenant."""


class Chunk(msgspec.Struct, frozen=True):
    """Bytes that the switch sent."""

    at_us: int
    data: bytes


class Mark(msgspec.Struct, frozen=True):
    """Something about the link, told by us."""

    at_us: int
    mark: str
    values: dict[str, Any] = {}


class DamagedJournal(Exception):
    """The file is no journal, or not the one it says it is."""


class Journal:
    """A journal that is being written. Locked while it is, so that others can tell a dead writer's file."""

    LEVEL = 3
    """Of zstandard: 20 times smaller at 200 MB a second of one core, measured on a captured stream."""

    def __init__(self, path: Path, header: Header) -> None:
        """Raises OSError; then there is no file."""
        self.path = path
        self.size = 0
        """Bytes on disk."""
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._packer = zstandard.ZstdCompressor(level=self.LEVEL).compressobj()
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.append([pack_header(header)])
        except OSError:
            os.close(self._fd)
            with suppress(OSError):
                path.unlink()
            raise

    def append(self, records: Sequence[bytes]) -> None:
        """Write records so that a reader sees them even if this process dies now. Raises OSError, after which the
        file is good up to the last call that did not; only `close` may follow."""
        packed = self._packer.compress(b"".join(records))
        packed += self._packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        self._write(packed)

    def close(self) -> None:
        """End the stream as far as the disk lets us, and let go of the file."""
        try:
            with suppress(OSError):
                self._write(self._packer.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH))
        finally:
            os.close(self._fd)

    def _write(self, packed: bytes) -> None:
        view = memoryview(packed)
        while view:
            written = os.write(self._fd, view)
            self.size += written
            view = view[written:]


def is_being_written(path: Path) -> bool:
    """Whether a living process holds this journal. False for a file that is gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def pack_header(header: Header) -> bytes:
    """The bytes that a journal begins with."""
    return MAGIC + msgspec.json.encode(header) + b"\n"


def pack_chunk(at_us: int, data: bytes) -> bytes:
    """One record of bytes."""
    return _HEAD.pack(at_us, len(data)) + data


def pack_mark(mark: Mark) -> bytes:
    """One record about the link."""
    body = msgspec.json.encode({"mark": mark.mark, **mark.values})
    return _HEAD.pack(mark.at_us, len(body) | MARK_BIT) + body


def read_header(path: Path) -> Header:
    """Who was recorded, and since when. Raises `DamagedJournal`, OSError."""
    with path.open("rb") as file:
        return _header(_Unpacked(file))


def read(path: Path) -> Iterator[Chunk | Mark]:
    """Every whole record, in order; a torn end is the end. Raises `DamagedJournal`, OSError."""
    with path.open("rb") as file:
        unpacked = _Unpacked(file)
        _header(unpacked)
        while len(head := unpacked.take(_HEAD.size)) == _HEAD.size:
            at_us, length = _HEAD.unpack(head)
            is_mark, length = bool(length & MARK_BIT), length & ~MARK_BIT
            if length > MAX_RECORD:
                raise DamagedJournal(f"{path.name}: a record of {length} bytes")
            body = unpacked.take(length)
            if len(body) < length:
                return
            yield _mark(path, at_us, body) if is_mark else Chunk(at_us=at_us, data=body)


def _mark(path: Path, at_us: int, body: bytes) -> Mark:
    try:
        values = msgspec.json.decode(body, type=dict[str, Any])
        return Mark(at_us=at_us, mark=str(values.pop("mark")), values=values)
    except (msgspec.MsgspecError, KeyError) as exc:
        raise DamagedJournal(f"{path.name}: a mark that is none") from exc


def _header(unpacked: "_Unpacked") -> Header:
    if unpacked.take(len(MAGIC)) != MAGIC:
        raise DamagedJournal("no journal of the flight recorder")
    try:
        return msgspec.json.decode(unpacked.line(_MAX_HEADER), type=Header)
    except msgspec.MsgspecError as exc:
        raise DamagedJournal("a journal without its header") from exc


class _Unpacked:
    """The unpacked bytes of a zstandard file that may end anywhere, or be damaged at its end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._unpacker = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True)
        self._bytes = bytearray()
        self._over = False

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes, fewer at the end."""
        while len(self._bytes) < count and self._more():
            pass
        taken = bytes(self._bytes[:count])
        del self._bytes[:count]
        return taken

    def line(self, limit: int) -> bytes:
        """The bytes up to the next line feed, without it."""
        while (end := self._bytes.find(b"\n")) < 0 and len(self._bytes) < limit and self._more():
            pass
        taken = bytes(self._bytes[: max(end, 0)])
        del self._bytes[: end + 1]
        return taken

    def _more(self) -> bool:
        if self._over:
            return False
        packed = self._file.read(_CHUNK)
        try:
            if packed:
                self._bytes += self._unpacker.decompress(packed)
        except zstandard.ZstdError:
            # The disk lost a block of it (a crash of the machine): what came before is good.
            packed = b""
        self._over = not packed
        return not self._over
