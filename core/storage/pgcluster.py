"""The data directory of an embedded Postgres: who runs the server, how it is made, when it is ready.

Postgres refuses to run as root, and ``initdb`` needs a user that has a name. So there are three ways to run it:

``plain``      as ourselves: an ordinary user.
``namespace``  root, or a uid without a name (containers): in a user namespace where we are ``nobody``. For the
               rest of the machine the files stay ours, so nothing is chowned and nobody else can read them.
``nobody``     root where user namespaces are blocked: setpriv to the real ``nobody``, which then owns the data
               directory, with a readable copy of the binaries if ours are in a closed folder.
"""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from msgspec import Struct

from core.storage.errors import EmbeddedFailed

ADMIN = "postgres"
OWNER = "irisx"
DATABASE = "irisx"
NOBODY = 65534
COMMAND_S = 60.0
ORPHAN_S = 8.0
"""How long a server without a parent gets to end by itself before it is told to."""

_NAMESPACE = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}")
# Changing the user clears the death signal that we set, so setpriv sets it again after the change.
_SETPRIV = (
    "setpriv",
    f"--reuid={NOBODY}",
    f"--regid={NOBODY}",
    "--clear-groups",
    "--inh-caps=-all",
    "--pdeathsig=INT",
)


class Runner(Struct, frozen=True):
    """How programs of Postgres are run on this machine."""

    mode: str
    prefix: tuple[str, ...]
    bin_dir: Path
    environment: Mapping[str, str]

    @classmethod
    def choose(cls, mode: str, package: Path, state_dir: Path) -> Self:
        """``mode`` if it says one, else the first of plain, namespace, nobody that works here."""
        if not mode:
            mode = working_mode()
        prefix = {"plain": (), "namespace": _NAMESPACE, "nobody": _SETPRIV}[mode]
        if mode == "nobody" and not open_to_all(package / "bin" / "postgres"):
            package = _open_copy(package, state_dir)
        # PGDATA, PGPORT and the like are about somebody else's Postgres.
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LANG"))}
        environment |= {"LC_ALL": "C", "TZ": "UTC"}
        return cls(mode, prefix, package / "bin", environment)

    def admit(self, *folders: Path) -> None:
        """Let the server's user pass through ``folders`` (they stay unreadable)."""
        if self.mode != "nobody":
            # They were nobody's if it was another mode's turn before.
            self.take_over(folders[-1])
            return
        for folder in folders:
            folder.chmod(0o711)
            if not open_to_all(folder):
                raise EmbeddedFailed(
                    f"Postgres must not run as root and nobody cannot enter {folder.parent}: "
                    "set IRISX_STATE_DIR to a folder such as /var/lib/irisx, or run as another user"
                )
        # The socket is made in the last one.
        os.chown(folders[-1], NOBODY, NOBODY)

    def take_over(self, tree: Path) -> None:
        """Make ``tree`` belong to the server's user: ours, except in mode ``nobody``."""
        uid, gid = (NOBODY, NOBODY) if self.mode == "nobody" else (os.getuid(), os.getgid())
        if tree.stat().st_uid == uid:
            return
        for folder, _, files in os.walk(tree):
            for place in (folder, *(os.path.join(folder, name) for name in files)):
                os.chown(place, uid, gid, follow_symlinks=False)

    def run(self, program: str, *arguments: str, feed: str = "") -> str:
        """Run one program to its end and return what it printed. Raises `EmbeddedFailed`."""
        try:
            done = subprocess.run(  # noqa: S603 - our own binaries, no shell
                [*self.prefix, str(self.bin_dir / program), *arguments],
                input=feed,
                env=dict(self.environment),
                cwd="/",
                capture_output=True,
                text=True,
                errors="replace",
                timeout=COMMAND_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise EmbeddedFailed(f"{program} cannot be run: {type(exc).__name__}") from exc
        if done.returncode != 0:
            raise EmbeddedFailed(f"{program} failed: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout


def _open_copy(package: Path, state_dir: Path) -> Path:
    """A copy of the binaries that anybody can read, with the libraries which they look for beside the package."""
    copy = state_dir / "pginstall"
    inside = copy / package.parent.name / package.name
    if not (inside / "bin" / "postgres").exists():
        part = copy.with_name("pginstall.part")
        for old in (copy, part):
            shutil.rmtree(old, ignore_errors=True)
        shutil.copytree(package, part / package.parent.name / package.name)
        # Wheels keep them in NAME.libs, and the binaries find them by their own place ($ORIGIN).
        libraries = package.parent.with_name(package.parent.name + ".libs")
        if libraries.is_dir():
            shutil.copytree(libraries, part / libraries.name)
        part.rename(copy)
    return inside


def working_mode() -> str:
    """The first of plain, namespace, nobody that works for us on this machine. Raises `EmbeddedFailed`."""
    if os.getuid() != 0:
        try:
            pwd.getpwuid(os.getuid())
            return "plain"
        except KeyError:
            pass
    try:
        tried = subprocess.run([*_NAMESPACE, "true"], capture_output=True, timeout=10, check=False)  # noqa: S603
        if tried.returncode == 0:
            return "namespace"
    except (OSError, subprocess.TimeoutExpired):
        pass
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        raise EmbeddedFailed("this user has no name and user namespaces are blocked: run as a named user")
    return "nobody"


def open_to_all(path: Path) -> bool:
    """Can any user reach ``path``?"""
    return all(place.stat().st_mode & stat.S_IXOTH for place in (path, *path.resolve().parents))


def make(data_dir: Path, runner: Runner, *, durable: bool) -> None:
    """Make the data directory with our role and database, unless it is there.

    It is made beside its place and then renamed, so a crash in between leaves nothing half made.
    """
    if data_dir.exists():
        _check_version(data_dir, runner)
        runner.take_over(data_dir)
        return
    part = data_dir.with_name(data_dir.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    runner.take_over(part)
    # Nobody but us can enter the socket's folder, and there is no other way in: no passwords are needed.
    # The built-in C.UTF-8 sorts the same on every machine and never changes with its C library.
    runner.run(
        "initdb",
        f"--pgdata={part}",
        f"--username={ADMIN}",
        "--auth-local=trust",
        "--auth-host=reject",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        *([] if durable else ["--no-sync"]),
    )
    # In the template, for all databases: see the migration 0006 for why, and why it may be said.
    leakproof = "ALTER FUNCTION ts_match_vq(tsvector, tsquery) LEAKPROOF\n"
    orders = f"{leakproof}CREATE ROLE {OWNER} LOGIN\nCREATE DATABASE {DATABASE} OWNER {OWNER}\n"
    sync = "on" if durable else "off"
    runner.run("postgres", "--single", "-D", str(part), "-c", f"fsync={sync}", "template1", feed=orders)
    part.rename(data_dir)


def _check_version(data_dir: Path, runner: Runner) -> None:
    made_by = (data_dir / "PG_VERSION").read_text().strip()
    ours = runner.run("postgres", "--version").split()[-1].split(".")[0]
    if made_by != ours:
        raise EmbeddedFailed(
            f"{data_dir} was made by Postgres {made_by}, this is {ours}: dump it with the old version and load it"
        )


def server_command(data_dir: Path, run_dir: Path, runner: Runner, *, durable: bool) -> list[str]:
    """The command line of the server."""
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(run_dir),
        "unix_socket_permissions": "0700",
        "max_connections": "200",
        "shared_buffers": "128MB",
        "max_wal_size": "2GB",
        "jit": "off",
        "max_parallel_workers_per_gather": "0",
        "timezone": "UTC",
        "log_timezone": "UTC",
        # What a failed statement says quotes values (telephone numbers, names): its client hears it, the log
        # gets what the server says of itself. In this setting "log" is above "error".
        "log_min_messages": "log",
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
    }
    if not durable:
        options |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
    command = [*runner.prefix, str(runner.bin_dir / "postgres"), "-D", str(data_dir)]
    for key, value in options.items():
        command += ["-c", f"{key}={value}"]
    return command


def clear_stale_lock(data_dir: Path, deadline: float) -> None:
    """Remove a ``postmaster.pid`` that nobody stands behind.

    Postgres keeps out of a directory while the pid in that file is any living process; after a kill -9 that
    number may belong to anything (in a container it is often the very same one). Who holds our lock on the
    state directory may look closer. A server that lost its parent is given time to end.
    """
    path = data_dir / "postmaster.pid"
    pid = _pid_in(path)
    began = time.monotonic()
    told = False
    while pid and _serves(pid, data_dir):
        if time.monotonic() > deadline:
            raise EmbeddedFailed(f"an earlier Postgres (pid {pid}) still runs on {data_dir}")
        if not told and time.monotonic() > began + ORPHAN_S:
            os.kill(pid, signal.SIGQUIT)
            told = True
        time.sleep(0.02)
    path.unlink(missing_ok=True)


def _pid_in(path: Path) -> int:
    try:
        first = path.read_text().split("\n", 1)[0].strip()
    except FileNotFoundError:
        return 0
    return int(first) if first.isdigit() else 0


def _serves(pid: int, data_dir: Path) -> bool:
    """Is ``pid`` a Postgres on this very directory?"""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(data_dir) in arguments


def is_ready(data_dir: Path, pid: int) -> bool:
    """Does the server say that it takes connections? It does so in line 8 of its pid file (miscadmin.h)."""
    try:
        lines = (data_dir / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"
