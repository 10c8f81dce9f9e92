"""Objects in a folder. The words of a key are folders and a file: ``a/b.wav`` is the file ``b.wav`` in ``a#``.

The ``#`` lets ``a`` and ``a/b`` both exist, as they can in S3. Beside each file lies its checksum
(``b.wav#sha256``) with the size and time of the file it is about; one that does not fit is made anew.
Files are written elsewhere and renamed into place, so a reader never sees half of one, nor does a crash leave it.
"""

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from core.errors import NotFound, PeerError, Unavailable
from core.storage.blob_keys import CHUNK, Blob, checked_key, checked_prefix, file_name

_PARTS = "#parts"
_SUM = "#sha256"


class FolderBlobs:
    """A store of objects in ``folder``, which is made when the first object comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    def put(self, key: str, data: bytes, *, content_type: str = "") -> Blob:
        return self._write(key, iter((data,)))

    def put_file(self, key: str, path: Path, *, content_type: str = "") -> Blob:
        try:
            source = path.open("rb")
        except FileNotFoundError:
            raise NotFound(f"there is no file {path.name} to store") from None
        with source:
            return self._write(key, iter(lambda: source.read(CHUNK), b""))

    def get(self, key: str) -> bytes:
        return b"".join(self.open_range(key))

    def open_range(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        with _failures():
            try:
                file = self._path(key).open("rb")
            except (FileNotFoundError, NotADirectoryError):
                raise NotFound("there is no such object", code="no_such_object") from None
        return _chunks(file, start, stop)

    def stat(self, key: str) -> Blob | None:
        path = self._path(key)
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Blob(key, found.st_size, found.st_mtime_ns // 1000, _checksum(path, found))

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _failures():
            for place in (path.with_name(path.name + _SUM), path):
                with suppress(FileNotFoundError, NotADirectoryError):
                    place.unlink()
            for folder in path.parents:
                if folder == self.folder:
                    break
                try:
                    folder.rmdir()
                except OSError:
                    break  # it holds more

    def list(self, prefix: str = "") -> Iterator[Blob]:
        # Only the folder that all matches share is walked.
        *words, _ = checked_prefix(prefix).split("/")
        top = self.folder.joinpath(*(file_name(word) + "#" for word in words))
        found = []
        for place, _, names in os.walk(top):
            inner = Path(place).relative_to(self.folder).parts
            if inner[:1] == (_PARTS,):
                continue
            for name in names:
                if "#" not in name:
                    key = _word("/".join((*(part[:-1] for part in inner), name)))
                    if key.startswith(prefix):
                        found.append((key.encode(), key, os.path.join(place, name)))
        for _, key, file in sorted(found):
            with suppress(FileNotFoundError):  # deleted since
                about = os.stat(file)
                yield Blob(key, about.st_size, about.st_mtime_ns // 1000)

    def presign(self, key: str, seconds: int) -> str | None:
        return None

    def check(self) -> None:
        with _failures(), self._part() as (_, file):
            file.write(b"\0")

    def _path(self, key: str) -> Path:
        *folders, name = (file_name(word) for word in checked_key(key).split("/"))
        return self.folder.joinpath(*(folder + "#" for folder in folders), name)

    def _write(self, key: str, chunks: Iterator[bytes]) -> Blob:
        path = self._path(key)
        digest = hashlib.sha256()
        with _failures(), self._part() as (part, file):
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
            found = os.fstat(file.fileno())
            # A folder may be removed, being empty, between our making it and our using it.
            for _ in range(3):
                path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    part.replace(path)
                    _note_checksum(path, found, digest.hexdigest())
                    break
                except FileNotFoundError:
                    continue
            else:
                raise PeerError("the folder of an object went away while it was written")
        return Blob(key, found.st_size, found.st_mtime_ns // 1000, digest.hexdigest())

    @contextmanager
    def _part(self) -> Iterator[tuple[Path, BinaryIO]]:
        parts = self.folder / _PARTS
        parts.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=parts)
        try:
            with os.fdopen(handle, "wb") as file:
                yield Path(name), file
        finally:
            with suppress(FileNotFoundError):  # it has its place now
                os.unlink(name)


def _word(name: str) -> str:
    """What `file_name` made a file name of."""
    return name.replace("%23", "#").replace("%25", "%")


def _chunks(file: BinaryIO, start: int, stop: int | None) -> Iterator[bytes]:
    with file, _failures():
        file.seek(start)
        left = None if stop is None else max(stop - start, 0)
        while left is None or left > 0:
            chunk = file.read(CHUNK if left is None else min(CHUNK, left))
            if not chunk:
                return
            if left is not None:
                left -= len(chunk)
            yield chunk


def _checksum(path: Path, about: os.stat_result) -> str:
    with suppress(OSError):
        said = path.with_name(path.name + _SUM).read_text().split()
        if said[1:] == [str(about.st_size), str(about.st_mtime_ns)]:
            return said[0]
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    with suppress(OSError):
        _note_checksum(path, about, found)
    return found


def _note_checksum(path: Path, about: os.stat_result, digest: str) -> None:
    path.with_name(path.name + _SUM).write_text(f"{digest} {about.st_size} {about.st_mtime_ns}\n")


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Unavailable("the disk for objects is full", code="disk_full") from exc
        raise PeerError(f"the folder for objects fails: {exc.strerror}", code="blobs_failed") from exc
