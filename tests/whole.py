"""The whole of IRISX as a person starts it: `irisx up` in a process of its own, with simulated calls."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import msgspec

from api.up.ports import free_port

START_S = 120.0
STOP_S = 60.0
# Without byte code on disk every process would compile everything again.
LEFT_OUT = ("DATABASE_URL", "REDIS_URL", "SWITCHES", "IRISX_", "S3_", "BLOBS_DIR", "PYTHONDONTWRITEBYTECODE")


def clean_environment(**more: str) -> dict[str, str]:
    """Ours, without what would point IRISX elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
    return {**kept, **more}


class Whole:
    """One running `irisx up`."""

    def __init__(self, state_dir: Path, *options: str) -> None:
        self.state_dir = state_dir
        self.address = f"http://127.0.0.1:{free_port()}"
        self.said: list[dict[str, Any]] = []
        self.email = self.password = ""
        self._news = threading.Condition()
        command = [sys.executable, "-m", "api.cli", "up", "--json", "--state-dir", str(state_dir)]
        command += ["--port", self.address.rpartition(":")[2], *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment()
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.said.append(msgspec.json.decode(line))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def wait_for(self, seconds: float, since: int = 0, **members: object) -> dict[str, Any]:
        """The first thing said (behind the first ``since``) that has these members."""
        deadline = time.monotonic() + seconds
        with self._news:
            while True:
                for one in self.said[since:]:
                    if all(one.get(name) == value for name, value in members.items()):
                        return one
                left = deadline - time.monotonic()
                if left <= 0 or self.process.poll() is not None:
                    raise AssertionError(f"{members} was not said: {self.said[-12:]} {self._complaint()}")
                self._news.wait(min(left, 0.5))

    def _complaint(self) -> str:
        if self.process.poll() is None or self.process.stderr is None:
            return ""
        return self.process.stderr.read()

    def wait_until_up(self) -> Self:
        box = self.wait_for(START_S, event="running")
        self.email, self.password = box.get("e-mail", ""), box.get("password", "")
        return self

    def children(self) -> dict[str, int]:
        """The living children by name: what they are is read from their command lines."""
        found: dict[str, int] = {}
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            for pid in (task / "children").read_text().split():
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if name := _name(words):
                    found[name if name not in found else f"{name} 2"] = int(pid)
        return found

    def stop(self) -> str:
        """Ctrl-C; what was said on standard error."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(STOP_S)
        self._listener.join(STOP_S)
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def client(self) -> httpx.Client:
        """Signed in as the first operator."""
        login = {"email": self.email, "password": self.password, "grant": "token"}
        tokens = httpx.post(f"{self.address}/v1/auth/login", json=login, timeout=20).raise_for_status().json()
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        return httpx.Client(base_url=f"{self.address}/v1", headers=headers, timeout=20)


def _name(words: list[bytes]) -> str:
    program = words[0].rpartition(b"/")[2].decode()
    if b"api.cli" in words:
        return words[words.index(b"api.cli") + 1].decode()
    # Valkey writes where it listens over its own command line.
    for server in ("postgres", "valkey"):
        if any(word.rpartition(b"/")[2].startswith(server.encode()) for word in words):
            return server
    return "" if program.startswith("python") else program


@contextmanager
def whole(state_dir: Path, *options: str) -> Iterator[Whole]:
    """Start, wait until it runs, and stop it afterwards, whatever happened."""
    running = Whole(state_dir, *options)
    try:
        yield running.wait_until_up()
    finally:
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGINT)
            try:
                running.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.process.wait()
        for stream in (running.process.stdout, running.process.stderr):
            if stream is not None:
                stream.close()


def eventually(seconds: float, look: Any, what: str) -> Any:
    """What ``look`` answers once that is true."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)
    return found
