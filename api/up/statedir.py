"""The state directory of one `irisx up`: one supervisor at a time, and what it has to remember.

``up.lock`` is held as long as the supervisor lives (the kernel lets go of it, however that ends) and says who holds it.
``up.json`` remembers what must stay the same over restarts (the simulated switch's port and password) and where the database is.
"""

import fcntl
import os
import secrets
from pathlib import Path

import msgspec
from msgspec import Struct

SOCKET_ROOM = 30
"""Bytes for ``/run/.s.PGSQL.5432.lock`` and the like behind the directory's name."""


class Occupied(Exception):
    """Another `irisx up` holds the directory."""


class Remembered(Struct):
    """What one run leaves to the next."""

    simulator_port: int = 0
    simulator_password: str = ""
    simulator_sip_port: int = 0
    fakes: dict[str, int] = {}
    """The ports of the fake providers, by channel."""
    database_dir: str = ""
    """Where the embedded Postgres is, when there is one."""


class Holder(Struct, frozen=True):
    """Who holds the lock."""

    pid: int
    address: str


class StateDir:
    """Takes the directory on entering, lets go on leaving."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.logs = self.path / "logs"
        self._lock = -1

    def take(self) -> None:
        """Raises `Occupied`, saying who has it; OSError when the directory cannot be used."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.logs.mkdir(exist_ok=True)
        self._lock = os.open(self.path / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = self._holder()
            os.close(self._lock)
            self._lock = -1
            who = f" (process {holder.pid}, {holder.address})" if holder else ""
            raise Occupied(
                f"IRISX already runs on {self.path}{who}; stop it, or choose another --state-dir"
            ) from None

    def say(self, address: str) -> None:
        """Let a second starter tell where the first one answers."""
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, msgspec.json.encode(Holder(os.getpid(), address)), 0)

    def _holder(self) -> Holder | None:
        try:
            return msgspec.json.decode(os.pread(self._lock, 4096, 0), type=Holder)
        except msgspec.MsgspecError:
            return None

    def release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def remembered(self) -> Remembered:
        try:
            return msgspec.json.decode((self.path / "up.json").read_bytes(), type=Remembered)
        except (OSError, msgspec.MsgspecError):
            return Remembered(simulator_password=secrets.token_urlsafe(12))

    def remember(self, what: Remembered) -> None:
        """Written aside and moved into place, readable by the owner alone."""
        fresh = self.path / "up.json.new"
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(what))
        fresh.replace(self.path / "up.json")


def default() -> Path:
    """Where state goes when nobody says: the XDG state directory (freedesktop's Base Directory Specification)."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "state") / "irisx"
