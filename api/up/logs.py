"""The children's log files: shown as one stream on the terminal, and kept from filling the disk.

Children write to their files themselves (see `parts`); here they are read behind them. A file that grows beyond
`LIMIT` is copied aside and cut to nothing: its writers append, so they go on at its new end. Lines that arrive
between the copy and the cut are lost; what must not be lost is in Postgres, not in a log.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import trio

LIMIT = 16 << 20
KEPT = 3
LOOK_S = 0.25
_MOST = 256 << 10
"""Bytes read of one file at one look; what a flood has beyond that is passed over on the terminal."""
_LEVELS = {"debug": 0, "info": 1, "warning": 2, "error": 3, "critical": 4}


class Line(msgspec.Struct, frozen=True):
    """One line of a log, taken apart if it is one of ours."""

    level: str
    text: str


def read_line(raw: str) -> Line:
    """Our JSON lines become words; anything else stays as it is."""
    if not raw.startswith("{"):
        lowered = raw.lower()
        bad = any(word in lowered for word in ("error", "fatal", "panic", "traceback"))
        return Line("error" if bad else "info", raw)
    try:
        entry = msgspec.json.decode(raw, type=dict[str, object])
    except msgspec.MsgspecError:
        return Line("info", raw)
    event, level = str(entry.pop("event", "")), str(entry.pop("level", "info"))
    trace = str(entry.pop("exception", ""))
    for known in ("timestamp", "process"):
        entry.pop(known, None)
    rest = " ".join(f"{key}={value}" for key, value in entry.items())
    text = f"{event}  {rest}" if rest else event
    return Line(level, f"{text}\n{trace}" if trace else text)


def at_least(level: str, wanted: str) -> bool:
    return _LEVELS.get(level, 1) >= _LEVELS.get(wanted, 1)


class Tail:
    """Reads what was added to one file since the last look."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path
        # What earlier runs wrote was shown by them.
        self._at = path.stat().st_size if path.exists() else 0
        self._rest = b""

    def fresh(self) -> Iterator[Line]:
        """The whole lines that came since the last call."""
        try:
            size = self.path.stat().st_size
            if size < self._at:
                self._at, self._rest = 0, b""
            if size == self._at:
                return
            with self.path.open("rb") as file:
                if size - self._at > _MOST:
                    yield Line(
                        "warning", f"{(size - self._at) >> 10} KiB at once; all of it is in {self.path}"
                    )
                    self._at, self._rest = size - _MOST, b""
                file.seek(self._at)
                data = file.read(_MOST)
        except OSError:
            return
        self._at += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.strip():
                yield read_line(line.decode("utf-8", "replace"))

    def rotate(self) -> bool:
        """Set the file aside if it has grown too large."""
        try:
            if self.path.stat().st_size < LIMIT:
                return False
            for number in range(KEPT, 1, -1):
                older = self.path.with_name(f"{self.path.name}.{number - 1}")
                if older.exists():
                    older.replace(self.path.with_name(f"{self.path.name}.{number}"))
            shutil.copyfile(self.path, self.path.with_name(f"{self.path.name}.1"))
            with self.path.open("r+b") as file:
                file.truncate(0)
        except OSError:
            return False
        self._at, self._rest = 0, b""
        return True


async def follow(tails: Sequence[Tail], show: Callable[[str, Line], None], *, level: str) -> None:
    """Show lines of at least ``level`` as they come, and rotate, until cancelled."""
    while True:
        for tail in tails:
            for line in tail.fresh():
                if at_least(line.level, level):
                    show(tail.name, line)
            tail.rotate()
        await trio.sleep(LOOK_S)
