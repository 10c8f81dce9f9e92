"""The folder of recordings as the process beside the switch sees it. Blocking.

``<folder>/<tenant>/<recording>.wav`` is what controllers name; recordings that a switch begins by itself may lie deeper.
``<tenant>/prompts`` holds what is played and is no recording, and what begins with a dot is ours.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from core.errors import Conflict
from core.model import wav
from core.node_agent.choosing import Seen

PROMPTS = "prompts"
NOTES = ".irisx-uploads"
LOCK = ".irisx-node"
POINTS = 800
"""Of a recording's shape: two for each pixel of a wide player."""


class Sound(Struct, frozen=True, kw_only=True):
    """What a file's head and samples tell; zeros for what is no WAV file."""

    duration_ms: int = 0
    channels: int = 0
    samples: int = 0
    peaks: bytes = b""


class Folder:
    """A switch's recordings. One process holds it at a time."""

    def __init__(self, here: Path, *, there: str = "") -> None:
        """``there`` is how the switch calls it, where that is different. Raises `Conflict` when it is held, OSError."""
        self.here = here.absolute()
        self.there = (there or str(self.here)).rstrip("/")
        self.here.mkdir(parents=True, exist_ok=True)
        self.notes = self.here / NOTES
        self.notes.mkdir(exist_ok=True)
        # The lock ends with the process, however it ends.
        self._lock = os.open(self.here / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise Conflict(f"another irisx node works in {self.here}", code="folder_taken") from None

    def close(self) -> None:
        """Let go of it."""
        os.close(self._lock)

    def scan(self) -> Iterator[Seen]:
        """Every file of sound there is."""
        places = [self.here]
        while places:
            with os.scandir(places.pop()) as found:
                for entry in found:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name != PROMPTS:
                            places.append(Path(entry.path))
                    elif entry.name.endswith(".wav") and entry.is_file(follow_symlinks=False):
                        try:
                            about = entry.stat(follow_symlinks=False)
                        except FileNotFoundError:
                            continue
                        path = self.there + entry.path[len(str(self.here)) :]
                        yield Seen(path=path, size=about.st_size, changed_us=about.st_mtime_ns // 1000)

    def local(self, path: str) -> Path | None:
        """Where the switch's ``path`` is for us; None when it is none of this folder."""
        inner = path.removeprefix(self.there + "/")
        if inner == path or ".." in inner.split("/"):
            return None
        return self.here / inner

    def note(self, recording_id: str) -> Path:
        """Where an upload under way is remembered."""
        return self.notes / f"{recording_id}.json"

    def forget_notes(self, living: set[str]) -> None:
        """Remove the notes of recordings that are not there any more."""
        for entry in list(self.notes.iterdir()):
            if entry.name.partition(".")[0] not in living:
                entry.unlink(missing_ok=True)


def listen(path: Path) -> Sound:
    """How long a file is, and its shape. Raises OSError."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            head = wav.read_head(file.read(wav.HEAD), size)
        except wav.NoWav:
            return Sound()

        def read(offset: int, length: int) -> bytes:
            return os.pread(file.fileno(), length, offset)

        shapes = wav.peaks(head, read, POINTS)
        return Sound(
            duration_ms=head.duration_ms,
            channels=head.channels,
            samples=head.samples,
            peaks=b"".join(shapes),
        )
