"""Numbered steps with their reason and their time, and commands whose output goes to a file.

A step says what it is about to do and why before it starts, moves while it runs, and ends with the seconds it
took. What a command prints is kept in ``.tools/log/``; a person sees it only when the command failed.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
LOGS = TOOLS / "log"
_QUIET_S = 10.0
"""Where the output is not a terminal, a running step is heard of this often."""


class BootstrapError(Exception):
    """Something that a person has to put right; the message says what and how."""


class Steps:
    """Counts and times the steps of one run."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._number = 0
        self._began = time.monotonic()
        self._step_began = self._began
        self._heard = self._began
        self._terminal = sys.stdout.isatty()

    @contextlib.contextmanager
    def step(self, title: str, why: str) -> Iterator[Callable[[str], None]]:
        """Announce a step, hand over a function that shows how far it is, and say how long it took."""
        self._number += 1
        self._step_began = self._heard = time.monotonic()
        print(f"[{self._number}/{self._total}] {title}: {why}", flush=True)
        yield self._show
        self._wipe()
        print(f"      done in {time.monotonic() - self._step_began:.1f} s", flush=True)

    def have(self, title: str, what: str) -> None:
        """A step with nothing to do."""
        self._number += 1
        print(f"[{self._number}/{self._total}] {title}: {what}", flush=True)

    def finish(self, what: str) -> None:
        print(f"{what} after {time.monotonic() - self._began:.1f} s", flush=True)

    def _show(self, text: str) -> None:
        now = time.monotonic()
        line = f"      {text} ({now - self._step_began:.0f} s)"
        if self._terminal:
            columns = os.get_terminal_size().columns if sys.stdout.isatty() else 80
            sys.stdout.write("\r\033[K" + line[: max(columns - 1, 20)])
            sys.stdout.flush()
        elif now - self._heard >= _QUIET_S:
            self._heard = now
            print(line, flush=True)

    def _wipe(self) -> None:
        if self._terminal:
            sys.stdout.write("\r\033[K")


def run(
    argv: Sequence[str | Path],
    *,
    log: str,
    show: Callable[[str], None] | None = None,
    tell: Callable[[str], str | None] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
) -> None:
    """Run a command to its end, its output in ``.tools/log/LOG.log``.

    ``tell`` turns a line of output into words for ``show``; None keeps the last words. Raises `BootstrapError`
    with the end of the output when the command fails.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    path = LOGS / f"{log}.log"
    words = ""
    with path.open("w", encoding="utf-8", errors="replace") as out:
        command = [str(part) for part in argv]
        out.write("$ " + " ".join(command) + "\n")
        try:
            child = subprocess.Popen(
                command,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise BootstrapError(f"cannot run {command[0]}: {error.strerror}") from error
        assert child.stdout is not None  # noqa: S101 - stdout=PIPE above
        with child.stdout:
            for line in child.stdout:
                out.write(line)
                if tell is not None:
                    words = tell(line) or words
                if show is not None and words:
                    show(words)
    if child.wait() != 0:
        raise BootstrapError(
            f"{Path(command[0]).name} failed (exit {child.returncode}); the end of {path.relative_to(ROOT)}:\n"
            + "\n".join("    " + line for line in tail(path, 15))
        )


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a text file."""
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    return []


def stamped(path: Path, value: str) -> bool:
    """Whether the stamp file says exactly this: then the work behind it was done for the same input."""
    with contextlib.suppress(OSError):
        return path.read_text() == value
    return False


def put_stamp(path: Path, value: str) -> None:
    """Written last, so that an interrupted run is done again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value)
