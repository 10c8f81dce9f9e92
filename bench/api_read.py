"""Requests a second for reading calls over HTTP, against an empty Litestar handler on the same server.

Three processes: the API (with embedded Postgres and Valkey behind it), an application with one empty Litestar handler
under the same uvicorn, and this one, which loads them in turns over 32 keep-alive connections. The figures are ratios
of numbers from the same minute; how fast the machine is falls out. A page holds 50 calls, about 70 kB. The server's CPU
time for each request stands beside its rate, because on two cores the load generator and Postgres compete with it.
"""

import argparse
import asyncio
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from bench.report import Figure, report

CONNECTIONS = 32
CALLS = 2000
LIVE = 200
PAGE = 50
ROUNDS = 5
SECRET = "a secret for benches and tests only"
TARGET = 0.5
WORDS = {
    "call": "GET /v1/calls/{id}",
    "list": f"GET /v1/calls?limit={PAGE}, all the same page",
    "lists": f"GET /v1/calls?limit={PAGE}, 64 different filters",
}


class Loader(asyncio.Protocol):
    """One keep-alive connection: a request, its answer, the next request."""

    def __init__(self, requests: list[bytes], done: "asyncio.Future[None]", until: float) -> None:
        self._requests = requests
        self._done = done
        self._until = until
        self._at = random.randrange(len(requests))
        self._buffer = bytearray()
        self._missing = -1
        self.answered = 0
        self.bytes = 0
        self.bad = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._at = (self._at + 1) % len(self._requests)
        self._transport.write(self._requests[self._at])

    def data_received(self, data: bytes) -> None:
        if self._missing < 0:
            self._buffer += data
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            if b" 200 " not in head[:20] and b" 204 " not in head[:20]:
                self.bad += 1
            at = head.find(b"content-length: ")
            size = int(head[at + 16 :].split(b"\r", 1)[0]) if at >= 0 else 0
            self._missing = size - (len(self._buffer) - end - 4)
            self.bytes += len(self._buffer)
            self._buffer.clear()
        else:
            self._missing -= len(data)
            self.bytes += len(data)
        if self._missing <= 0:
            self._missing = -1
            self.answered += 1
            if time.perf_counter() < self._until:
                self._ask()
            elif not self._done.done():
                self._done.set_result(None)
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionError("the server hung up"))


async def load(port: int, requests: list[bytes], seconds: float) -> tuple[float, float]:
    """(requests a second, bytes a second) that the server at ``port`` answers."""
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    loaders = []
    for _ in range(CONNECTIONS):
        done = loop.create_future()
        loader = Loader(requests, done, began + seconds)
        loaders.append((loader, done))
        await loop.create_connection(lambda loader=loader: loader, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*(done for _, done in loaders))
    took = time.perf_counter() - began
    if bad := sum(loader.bad for loader, _ in loaders):
        raise RuntimeError(f"{bad} answers were not 200")
    return (
        sum(loader.answered for loader, _ in loaders) / took,
        sum(loader.bytes for loader, _ in loaders) / took,
    )


def request(path: str, token: str = "") -> bytes:
    head = f"GET {path} HTTP/1.1\r\nHost: bench\r\nAccept: application/json\r\n"
    if token:
        head += f"Authorization: Bearer {token}\r\n"
    return (head + "\r\n").encode()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def start(role: str, port: int, env: dict[str, str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "bench.api_read", "--serve", role, "--port", str(port)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), **env},
        stdin=subprocess.DEVNULL,
    )


def serve_empty(port: int) -> None:
    """An application with one handler that does nothing."""
    import uvicorn
    from litestar import Litestar, get

    @get("/empty")
    async def empty() -> None:
        return None

    uvicorn.run(
        Litestar([empty], openapi_config=None),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


def serve_api(port: int) -> None:
    """The real API, without rate limits worth mentioning: they are spent, but not used up."""
    from api.app import create_app, server_of
    from api.http.ratelimit import DEFAULTS, Limit
    from core.config import Settings
    from core.logs import set_up

    set_up(process="api", level="warning")
    limits = {name: Limit(1_000_000.0, 1_000_000) for name in DEFAULTS}
    application = create_app(Settings.from_env(), limits=limits)
    server_of(application, host="127.0.0.1", port=port).run()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError("a server did not start")


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def fill(database_url: str) -> tuple[str, list[str]]:
    """Calls to read; an API key's text and the calls' ids."""
    from core.access import keys
    from core.clock import now_us
    from core.ids import derived_id
    from core.model.records import Call, Change, Leg
    from core.storage import access_keys, nodes
    from core.storage.calls import write_changes
    from core.storage.database import Database

    db = await Database.open(database_url)
    node = await nodes.create_node(db, secret=SECRET, name="bench", url="esl://:x@127.0.0.1:8021")
    fence = await nodes.draw_fence(db, node.id)
    begun = now_us() - CALLS * 1_000_000
    changes, ids = [], []
    for number in range(CALLS):
        at = begun + number * 1_000_000
        live = number >= CALLS - LIVE
        uuids = [f"{number:08x}-0000-4000-8000-00000000000{side}" for side in (1, 2)]
        legs = tuple(
            Leg(
                uuid=uuid,
                direction="outbound" if side else "inbound",
                state="answered" if live else "ended",
                channel_name=f"sofia/carrier/+1415555{number:04d}@192.0.2.1:5060",
                caller=f"+1415555{number:04d}",
                caller_name="Somebody",
                destination="+442071234567",
                created_us=at + side * 200_000,
                progress_us=at + 900_000,
                answered_us=at + 4_000_000,
                bridged_us=at + 4_000_100,
                bridged_to=uuids[1 - side] if live else "",
                other_leg=uuids[1 - side],
                hangup_us=0 if live else at + 60_000_000,
                hangup_cause="" if live else "NORMAL_CLEARING",
                sip_call_id=f"{number:032x}",
                codec="PCMA",
                trunk="carrier",
            )
            for side, uuid in enumerate(uuids)
        )
        call = Call(
            id=derived_id("call", at_us=at, source=f"{node.id}/{uuids[0]}"),
            tenant_id="tnt_main",
            node=node.id,
            state="bridged" if live else "ended",
            caller=legs[0].caller,
            caller_name="Somebody",
            destination="+442071234567",
            created_us=at,
            ringing_us=at + 900_000,
            answered_us=at + 4_000_000,
            ended_us=0 if live else at + 60_000_000,
            legs=legs,
            version=7,
        )
        if live:
            ids.append(call.id)
        changes.append(Change("call.bridged" if live else "call.ended", call, at))
    for first in range(0, CALLS, 200):
        await write_changes(db, node=node.id, fence=fence, changes=changes[first : first + 200])
    key_id, text, digest = keys.fresh_key()
    async with db.tenant("tnt_main") as conn:
        await access_keys.insert_key(
            conn,
            tenant_id="tnt_main",
            key_id=key_id,
            name="bench",
            scopes=["calls:read"],
            all_tenants=False,
            secret_hash=digest,
            created_by="usr_bench",
            expires_at=None,
        )
        await conn.execute("analyze calls")
    await db.close()
    return text, ids


def measure(seconds: float) -> dict[str, tuple[float, float, float]]:
    """Start everything, load it, and stop it."""
    from core.storage.embedded import EmbeddedPostgres, EmbeddedValkey
    from core.storage.migrate import migrate

    with tempfile.TemporaryDirectory(prefix="irisx-bench-") as folder:
        postgres, valkey = EmbeddedPostgres(Path(folder) / "pg"), EmbeddedValkey(Path(folder) / "vk")
        servers = []
        try:
            env = {"DATABASE_URL": postgres.start(), "REDIS_URL": valkey.start(), "IRISX_SECRET": SECRET}
            migrate(env["DATABASE_URL"])
            key, ids = asyncio.run(fill(env["DATABASE_URL"]))
            ports = {"empty": free_port(), "api": free_port()}
            for role, port in ports.items():
                servers.append(start(role, port, env))
                wait_for(port)
            return rounds(ports, [server.pid for server in servers], key, ids, seconds)
        finally:
            for server in servers:
                server.terminate()
            for server in servers:
                server.wait(15)
            valkey.stop()
            postgres.stop()


def rounds(
    ports: dict[str, int], pids: list[int], key: str, ids: list[str], seconds: float
) -> dict[str, tuple[float, float, float]]:
    """(requests a second, bytes a second, CPU microseconds a request) of each load: the median of all rounds."""
    random.shuffle(ids)
    what = {
        "empty": ("empty", [request("/empty")]),
        "call": ("api", [request(f"/v1/calls/{one}", key) for one in ids]),
        "list": ("api", [request(f"/v1/calls?limit={PAGE}", key)]),
        "lists": ("api", [request(f"/v1/calls?limit={PAGE}&caller[ne]={n}", key) for n in range(64)]),
    }
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in what}
    pid_of = dict(zip(("empty", "api"), pids, strict=True))
    for role, requests in what.values():
        uvloop.run(load(ports[role], requests, 0.5))  # warm: statements prepared, caches filled
    for _ in range(ROUNDS):
        for name, (role, requests) in what.items():
            before = cpu_s(pid_of[role])
            rate, volume = uvloop.run(load(ports[role], requests, seconds))
            spent = cpu_s(pid_of[role]) - before
            found[name].append((rate, volume, spent / seconds / rate * 1e6))
    return {
        name: (median(one[0] for one in many), median(one[1] for one in many), median(one[2] for one in many))
        for name, many in found.items()
    }


def figures(found: dict[str, tuple[float, float, float]]) -> list[Figure]:
    """Rates against the empty handler's, and what a request costs the server's processor.

    Pages that are all different are shown, not judged: each moves 70 kB from Postgres and 70 kB to the client, which
    costs the kernel more than an empty answer costs altogether.
    """
    empty_rate, _, empty_cpu = found["empty"]
    told = []
    for name, words in WORDS.items():
        rate, _, cpu = found[name]
        judged = name != "lists"
        wanted, most = (f"at least {TARGET} x", "at most 2 x") if judged else ("", "")
        reached = not judged or rate >= TARGET * empty_rate
        cheap = not judged or cpu <= empty_cpu / TARGET
        told += [
            Figure(words, rate, "/s", empty_rate, "empty handler", wanted, reached),
            Figure(f"{words}, CPU", cpu, "us", empty_cpu, "empty handler", most, cheap),
        ]
    return told


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each of the rounds")
    parser.add_argument("--serve", choices=("empty", "api"), help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve == "empty":
        serve_empty(asked.port)
    elif asked.serve == "api":
        serve_api(asked.port)
    else:
        report("api_read", figures(measure(asked.seconds)), as_json=asked.json)


if __name__ == "__main__":
    main()
