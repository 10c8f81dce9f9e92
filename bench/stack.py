"""The whole program on this machine, as real processes, for benches and for tests that kill some of them.

Each part is a child of its own with its own pid: a Postgres, a Valkey, simulated switches, controllers, APIs. Nothing
here knows how they work inside; it starts them with the commands an operator would use and talks to them from outside.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

import httpx

from bench.ear import PASSWORD
from bench.raw import raw_esl
from bench.servers import Servers
from core.clock import monotonic

READY_S = 60.0
INSIDE_USER = "irisx"


class Child:
    """One process of ours."""

    def __init__(self, name: str, command: Sequence[str], env: dict[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._env = env
        self._asked = False
        self._file: IO[bytes] = log.open("ab")
        self.process = subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=self._file, stdin=subprocess.DEVNULL
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self) -> str:
        """The next line that it printed."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def ask_to_stop(self) -> None:
        """Let it begin to end in good order (asked twice, it would end at once)."""
        if self.process.poll() is None and not self._asked:
            self._asked = True
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()

    def stop(self, within_s: float = 8.0) -> int:
        """End it in good order; its exit code."""
        if self.process.poll() is None:
            self.ask_to_stop()
            try:
                self.process.wait(within_s)
            except subprocess.TimeoutExpired:
                self.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._file.close()
        return self.process.returncode

    def cpu_s(self) -> float:
        """CPU seconds, user and system, that it has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss(self) -> int:
        """Resident memory in bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


class Stack:
    """Everything together. Use as a context manager; parts that were killed can be started again.

    With ``servers`` it uses a Postgres and a Valkey that run already, and leaves them to the next stack.
    """

    def __init__(self, folder: Path, *, durable: bool = False, servers: Servers | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._own_servers = servers is None
        self.servers = Servers(folder, durable=durable) if servers is None else servers
        self.postgres = self.servers.postgres
        self.valkey = self.servers.valkey
        self.children: list[Child] = []
        self._clients: list[httpx.Client] = []
        self.switches: dict[str, tuple[Child, int]] = {}
        self.addresses: dict[str, str] = {}
        """How each switch is registered."""
        self.env: dict[str, str] = {}
        self.secret = "a secret for benches and tests only"

    def __enter__(self) -> Self:
        try:
            if self._own_servers:
                self.servers.__enter__()
            database_url, redis_url = self.servers.fresh()
            self.env = {
                **os.environ,
                "DATABASE_URL": database_url,
                "REDIS_URL": redis_url,
                "IRISX_STATE_DIR": str(self.folder / "state"),
                "IRISX_SECRET": self.secret,
                "IRISX_LOG_FORMAT": "json",
                "PYTHONPATH": str(Path(__file__).parent.parent),
            }
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()
        for child in self.children:
            child.ask_to_stop()
        for child in reversed(self.children):
            child.stop()
        if self._own_servers:
            self.servers.__exit__()

    def run(self, *words: str) -> str:
        """Run ``irisx WORDS`` to its end; what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "api.cli", *words],
            check=False,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode:
            raise RuntimeError(f"irisx {' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def _start(self, name: str, command: Sequence[str], **env: str) -> Child:
        child = Child(name, [sys.executable, *command], {**self.env, **env}, self.folder / f"{name}.log")
        self.children.append(child)
        return child

    def switch(
        self,
        name: str = "sim1",
        *,
        port: int = 0,
        register: bool = True,
        agents: bool = False,
        **options: object,
    ) -> int:
        """Start a simulated switch and tell the store of it; its port. With ``agents`` it takes agents' legs, too."""
        words = ["-m", "freeswitch.simulator", "--port", str(port), "--switchname", name]
        if agents:
            # (nobody listens here: browsers in tests have switches of their own)
            words += ["--sip-port", "0", "--silent", "--inside-user", INSIDE_USER]
            words += ["--inside-password", PASSWORD]
        for option, value in options.items():
            words += [f"--{option.replace('_', '-')}", str(value)]
        child = self._start(name, words)
        ready = json.loads(child.line())
        port = int(ready["port"])
        self.switches[name] = (child, port)
        inside = f"?inside={INSIDE_USER}:{PASSWORD}@127.0.0.1:{ready['sip_port']}" if agents else ""
        self.addresses[name] = f"esl://:{PASSWORD}@127.0.0.1:{port}{inside}"
        if register:
            self.register(name, self.addresses[name])
        return port

    def register(self, name: str, url: str) -> None:
        """Tell the store of a switch."""
        from core.config import SwitchAddress
        from core.storage import nodes
        from core.storage.database import Database

        async def add() -> None:
            db = await Database.open(self.env["DATABASE_URL"])
            try:
                await nodes.ensure_nodes(db, [SwitchAddress(name, url)], secret=self.secret)
            finally:
                await db.close()

        asyncio.run(add())

    def controller(self, name: str = "controller-1", env: Mapping[str, str] | None = None) -> Child:
        return self._start(name, ["-m", "api.cli", "controller"], **(env or {}))

    def api(self, name: str = "api-1", *, port: int = 0, env: Mapping[str, str] | None = None) -> "Api":
        """Start an API, on a free port unless told which; returns when it answers."""
        return self.api_of(*self.start_api(name, port=port, env=env))

    def start_api(
        self, name: str = "api-1", *, port: int = 0, env: Mapping[str, str] | None = None
    ) -> tuple[Child, int]:
        """Start an API and wait for nothing: its process and port are for `api_of`."""
        if not port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
        command = ["-m", "api.cli", "api"]
        return self._start(name, command, IRISX_LISTEN=f"127.0.0.1:{port}", **(env or {})), port

    def api_of(self, child: Child, port: int) -> "Api":
        """A client of an API that was started; returns when it answers."""
        api = Api(child, f"http://127.0.0.1:{port}", self)
        self._clients.append(api.client)
        return api

    def traffic(self, name: str, *, rate: float, total: int, talk: float = 2.0, to: str = "9196") -> None:
        """Let callers come to a simulated switch: ``rate`` a second, each talks ``talk`` seconds (0: for ever)."""
        line = f"sim call to={to} context=default count={total} every={1 / rate} talk={talk or 'inf'}"
        answer = self.esl(name, line)
        if not answer.startswith("+OK"):
            raise RuntimeError(f"{line}: {answer}")

    def esl(self, name: str, line: str) -> str:
        """One api command on a switch, over a plain socket."""
        with raw_esl(self.switches[name][1]) as ask:
            return str(ask(line))


class Api:
    """A running API and a client that is logged in as the operator."""

    def __init__(self, child: Child, url: str, stack: Stack) -> None:
        self.child = child
        self.url = url
        self.client = httpx.Client(base_url=url, timeout=20.0)
        wait_until(self._ready, "the API answers")
        self.email, self.password = operator(stack)
        token = self.client.post(
            "/v1/auth/login",
            json={"email": self.email, "password": self.password, "grant": "token"},
        )
        token.raise_for_status()
        self.token = token.json()["access_token"]
        self.client.headers["Authorization"] = f"Bearer {self.token}"

    def _ready(self) -> bool:
        try:
            return self.client.get("/v1/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def get(self, path: str, **params: Any) -> Any:
        answer = self.client.get(path, params=params)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, **body: Any) -> httpx.Response:
        headers = {"Idempotency-Key": os.urandom(8).hex()}
        return self.client.post(path, json=body, headers=headers)


def operator(stack: Stack) -> tuple[str, str]:
    """The first operator of the store, made when there is none yet."""
    known = stack.folder / "operator.json"
    if known.exists():
        email, password = json.loads(known.read_text())
        return email, password
    from core.access import first_operator
    from core.storage.database import Database

    async def make() -> tuple[str, str] | None:
        db = await Database.open(stack.env["DATABASE_URL"])
        try:
            return await first_operator(db)
        finally:
            await db.close()

    made = asyncio.run(make())
    if made is None:
        raise RuntimeError("the store has an operator whose password is not known here")
    known.write_text(json.dumps(made))
    return made


def wait_until(
    holds: Any, what: str, within_s: float = READY_S, *, every_s: float = 0.02, fail: bool = True
) -> float:
    """Wait until ``holds()`` is true; the seconds it took. With ``fail=False`` the time's end is no error.

    Ask a database less often than every 20 ms: each question of `rows` is a session of its own, and Postgres pays some
    milliseconds for it.
    """
    began = monotonic()
    while not holds():
        if monotonic() - began > within_s:
            if not fail:
                break
            raise TimeoutError(f"not within {within_s:g} s: {what}")
        time.sleep(every_s)
    return monotonic() - began


def rows(url: str, *statements: str) -> list[list[Any]]:
    """What SQL statements answer that see every tenant."""
    import asyncpg

    async def go() -> list[list[Any]]:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            await connection.execute("set irisx.tenant = '*'")
            return [await connection.fetch(statement) for statement in statements]
        finally:
            await connection.close()

    return asyncio.run(go())


def owned(stack: Stack) -> Callable[[], bool]:
    """Has a controller written its name on the switch?"""
    return lambda: bool(rows(stack.env["DATABASE_URL"], "select 1 from nodes where owner <> ''")[0])


def present(stack: Stack) -> set[int]:
    """The pids of the controllers that say that they live (a dead one is forgotten after some seconds)."""
    import redis

    with redis.Redis.from_url(stack.env["REDIS_URL"]) as client:
        said = [client.get(key) for key in client.scan_iter("irisx:controller:*")]
    return {int(json.loads(one)["pid"]) for one in said if one and json.loads(one)["nodes"]}


def owner_pid(stack: Stack) -> int:
    """The pid of the controller that owns the switch now; 0 when nobody does."""
    import redis

    with redis.Redis.from_url(stack.env["REDIS_URL"]) as client:
        holders = [client.get(key) for key in client.scan_iter("irisx:lease:*")]
        for key in client.scan_iter("irisx:controller:*"):
            said = client.get(key)
            if said and (told := json.loads(said)) and told["name"].encode() in holders:
                return int(told["pid"])
    return 0


def owner_of(stack: Stack, controllers: list[Child]) -> Child:
    """The process that owns the switch now."""
    wait_until(lambda: owner_pid(stack) in [one.pid for one in controllers], "somebody owns the switch", 10)
    pid = owner_pid(stack)
    return next(one for one in controllers if one.pid == pid)
