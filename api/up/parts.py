"""The parts that `irisx up` starts: programs of ours and embedded servers, seen alike.

A part is started and then ready, ended at some time, or stopped. What it prints goes straight into its log file: no
child ever waits for its supervisor, not even while somebody holds the terminal with Ctrl-S.
"""

import os
import re
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

import trio

from api.up.logs import read_line
from core.errors import IrisxError

CHILD = Path(__file__).with_name("child.py")
KILL_S = 5.0
"""After SIGKILL the kernel needs a moment, not this long."""
POLL_S = 0.05
_EXCEPTION = re.compile(
    r"^[\s|+-]*((?:\w+\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Failed|Refused|Lost)\b.*)$"
)

Probe = Callable[[int], Awaitable[str | None]]
"""Asks the process with this id whether it is ready: None when it is, otherwise what is still missing."""


class PartFailed(Exception):
    """A part did not come up, or could not be kept up; the message is for the operator."""


class Part(ABC):
    """Something with a beginning and an end."""

    def __init__(self, name: str, about: str, log: Path, *, stop_s: float) -> None:
        self.name = name
        self.about = about
        self.log = log
        self.stop_s = stop_s
        """How long an orderly stop may take before it is forced."""

    @property
    @abstractmethod
    def pid(self) -> int:
        """0 while it does not run."""

    @abstractmethod
    async def start(self) -> None:
        """Come up and be ready. Raises `PartFailed`."""

    @abstractmethod
    async def ended(self) -> str:
        """Wait for the end, and say how it ended."""

    @abstractmethod
    async def stop(self) -> None:
        """End it in good order, by force after ``stop_s``. May be called when it does not run."""


def spawn(
    argv: Sequence[str], *, env: Mapping[str, str], out: IO[bytes] | int, errors: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a process that ends with us, in a session of its own.

    In the main thread on purpose: the kernel's "parent" is the thread that forked, and helper threads end.
    """
    # SIGKILL: our own processes may die at any moment by design, and nothing they do then can be awaited.
    guard = [sys.executable, "-I", "-S", str(CHILD), str(int(signal.SIGKILL)), str(os.getpid())]
    return subprocess.Popen(
        [*guard, *argv],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=errors,
        env=dict(env),
        start_new_session=True,
    )


class Program(Part):
    """A program of ours: its own session (Ctrl-C is for the supervisor alone), gone when the supervisor is."""

    def __init__(
        self,
        name: str,
        about: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Path,
        ready: Probe,
        start_s: float = 30.0,
        stop_s: float = 10.0,
    ) -> None:
        super().__init__(name, about, log, stop_s=stop_s)
        self._argv = list(argv)
        self._env = dict(env)
        self._ready = ready
        self._start_s = start_s
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    async def start(self) -> None:
        self._spawn()
        missing = ""
        with trio.move_on_after(self._start_s):
            while self.pid:
                missing = await self._ready(self.pid) or ""
                if not missing:
                    return
                await trio.sleep(POLL_S)
        how = self._how()
        await self.stop()
        if how:
            raise PartFailed(f"{self.name} ended while it started ({how}): {last_words(self.log)}")
        raise PartFailed(f"{self.name} is not ready after {self._start_s:.0f} s: {missing}")

    def _spawn(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = spawn(self._argv, env=self._env, out=log, errors=log)

    async def ended(self) -> str:
        if pid := self.pid:
            await wait_for_end(pid, lambda: self.pid == 0)
        return self._how() or "it was not running"

    def _how(self) -> str:
        code = None if self._process is None else self._process.poll()
        if code is None:
            return ""
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    async def stop(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        with trio.CancelScope(shield=True):
            process.terminate()
            with trio.move_on_after(self.stop_s):
                await wait_for_end(process.pid, lambda: process.poll() is not None)
            if process.poll() is None:
                process.kill()
                with trio.move_on_after(KILL_S):
                    await wait_for_end(process.pid, lambda: process.poll() is not None)


class Embedded(Protocol):
    """What `core.storage.embedded` gives us."""

    log_path: Path

    @property
    def pid(self) -> int: ...
    def start(self) -> str: ...
    def stop(self) -> None: ...


class Server(Part):
    """An embedded database server. It blocks, so it is called in a worker thread."""

    def __init__(self, name: str, about: str, server: Embedded, url: str) -> None:
        super().__init__(name, about, server.log_path, stop_s=20.0)
        self._server = server
        self._url = url

    @property
    def pid(self) -> int:
        return self._server.pid

    async def start(self) -> None:
        try:
            url = await trio.to_thread.run_sync(self._server.start)
        except (IrisxError, OSError) as error:
            raise PartFailed(f"{self.name}: {error}") from error
        if url != self._url:
            raise PartFailed(f"{self.name} listens at another place than the others were told")

    async def ended(self) -> str:
        if pid := self.pid:
            await wait_for_end(pid, lambda: self.pid == 0)
        # Lets go of its lock and threads, so that it can be started again.
        await trio.to_thread.run_sync(self._server.stop)
        return "it ended"

    async def stop(self) -> None:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._server.stop)


async def wait_for_end(pid: int, gone: Callable[[], bool]) -> None:
    """Wait until a child has ended; ``gone`` looks, and takes its exit code in."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:  # gone already, or a kernel without pidfd_open(2)
        handle = -1
    try:
        if handle >= 0:
            await trio.lowlevel.wait_readable(handle)
        # The handle is readable a moment before the exit code can be fetched.
        while not gone():  # noqa: ASYNC110 - nothing wakes us where there is no pidfd
            await trio.sleep(POLL_S)
    finally:
        if handle >= 0:
            os.close(handle)


def last_words(path: Path) -> str:
    """The end of a log in one line: a traceback's last line, a warning's words, or the last lines there are."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
    except OSError:
        return "(no log)"
    if not lines:
        return "(it printed nothing)"
    if any("Traceback (most recent call last)" in line for line in lines):
        # The exception itself, without the frame that Python draws around groups of them.
        named = [match[1] for line in lines if (match := _EXCEPTION.match(line))]
        return named[-1] if named else lines[-1]
    if lines[-1].startswith("{"):
        return read_line(lines[-1]).text.splitlines()[-1]
    return " | ".join(lines[-3:])


async def run_once(
    name: str, argv: Sequence[str], *, env: Mapping[str, str], log: Path, limit_s: float
) -> bytes:
    """Run a helper to its end and return what it printed. Raises `PartFailed` with its own words."""
    log.parent.mkdir(parents=True, exist_ok=True)
    out = b""
    with log.open("wb") as errors:
        process = spawn(argv, env=env, out=subprocess.PIPE, errors=errors)
    assert process.stdout is not None  # noqa: S101 - stdout=PIPE above
    try:
        with process.stdout, trio.move_on_after(limit_s) as limit:
            async with trio.lowlevel.FdStream(os.dup(process.stdout.fileno())) as stream:
                async for chunk in stream:
                    out += chunk
            await wait_for_end(process.pid, lambda: process.poll() is not None)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if limit.cancelled_caught:
        raise PartFailed(f"{name} took longer than {limit_s:.0f} s: {last_words(log)}")
    if process.returncode != 0:
        raise PartFailed(f"{name}: {last_words(log)}")
    return out
