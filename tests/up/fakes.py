"""Programs to supervise: real processes that do little, and a teller that remembers."""

import os
import sys
from pathlib import Path

from api.up.parts import Probe, Program

SLEEPER = "import time; time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
CRASHER = "import sys; print('cannot find my shoes'); sys.exit(3)"


class Told:
    """What a supervisor said, in order."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def begin(self, number: int, total: int, name: str, about: str) -> None:
        self.said.append(f"begin {name}")

    def done(self, number: int, total: int, name: str, about: str, seconds: float) -> None:
        self.said.append(f"ready {name}")

    def note(self, name: str, text: str, *, bad: bool = False) -> None:
        self.said.append(f"{name}: {text}")


async def at_once(_pid: int) -> str | None:
    return None


async def never(_pid: int) -> str | None:
    return "it has not said hello"


def says_ready(log: Path) -> Probe:
    """Ready when the program has printed so."""

    async def ask(_pid: int) -> str | None:
        return None if b"ready" in log.read_bytes() else "silent"

    return ask


def program(
    name: str, code: str, folder: Path, *, ready: Probe = at_once, start_s: float = 20.0, stop_s: float = 5.0
) -> Program:
    """A Python one-liner as a part."""
    argv = [sys.executable, "-I", "-S", "-c", code]
    env = {"PATH": os.environ["PATH"]}
    return Program(
        name, name, argv, env=env, log=folder / f"{name}.log", ready=ready, start_s=start_s, stop_s=stop_s
    )


def lives(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
