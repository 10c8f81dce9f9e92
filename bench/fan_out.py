"""One tenant's log to many readers: delay from the commit to each WebSocket, and CPU for each delivered entry.

A writer commits entries as a controller does; every client is a real WebSocket on one real API process. The reference is the
same with a single client.
"""

import argparse
import asyncio
import json
import multiprocessing
import tempfile
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import cast

import uvloop

from bench.report import Figure, arguments, percentile, report
from bench.stack import Api, Stack
from core.bus import Bus
from core.clock import now_us
from core.log import append
from core.storage.database import Database
from core.storage.entries import NewEntry


def main() -> None:
    """Run the bench and print its figures."""
    given = arguments(__doc__ or "", clients=1000, entries=300, rate=30)
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder) / "s") as stack:
        api = stack.api()
        one, _ = _run(stack, api, 1, given)
        many, cpu = _run(stack, api, given.clients, given)
    everything = given.clients * given.entries
    arrived = len(many)
    report(
        "fan_out",
        [
            Figure("delivered", arrived, "", everything, "entries x clients", "all", arrived == everything),
            Figure("delay, p50", percentile(many, 0.5), "ms", percentile(one, 0.5), "one client", "", True),
            Figure("delay, p99", percentile(many, 0.99), "ms", percentile(one, 0.99), "one client", "", True),
            Figure("API CPU for a delivery", cpu / arrived * 1e6, "us", 100, "a tenth of a ms", "", True),
        ],
        as_json=given.json,
    )


def _run(stack: Stack, api: Api, clients: int, given: argparse.Namespace) -> tuple[list[float], float]:
    """Milliseconds of every delivery, and the CPU seconds that the API spent on all of them."""
    # The clients live in a process of their own: their work must not delay the writer whose clock is compared.
    ready = multiprocessing.Event()
    answers: SimpleQueue[list[float]] = multiprocessing.SimpleQueue()
    crowd = multiprocessing.Process(
        target=_crowd, args=(api.url, api.token, clients, given.entries, ready, answers), daemon=True
    )
    crowd.start()
    if not ready.wait(120):
        raise TimeoutError("the clients did not connect")
    before = api.child.cpu_s()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_write(stack, given.entries, given.rate))
    delays = answers.get()
    used = api.child.cpu_s() - before
    crowd.join(30)
    return delays, used


async def _write(stack: Stack, entries: int, rate: int) -> None:
    db = await Database.open(stack.env["DATABASE_URL"])
    bus = await Bus.open(stack.env["REDIS_URL"])
    try:
        await bus.listening.wait()
        await asyncio.sleep(0.5)
        for number in range(entries):
            entry = NewEntry(
                tenant_id="tnt_main",
                type="call.bench",
                resource=f"call_bench{number}",
                data=b'{"sent_us":%d,"filler":"%s"}' % (now_us(), b"x" * 1200),
                occurred_us=now_us(),
            )
            async with db.system() as connection:
                fresh = await append(connection, [entry])
            for tenant_id, told in fresh.items():
                await bus.publish(tenant_id, told)
            await asyncio.sleep(1 / rate)
    finally:
        await bus.aclose()
        await db.close()


class _Reader(asyncio.Protocol):
    """A WebSocket client that costs little: it cuts the frames and looks for one number in each.

    A client library takes longer for a frame than the API does, and then a thousand of them would measure themselves.
    """

    def __init__(self, crowd: "_Crowd") -> None:
        self._crowd = crowd
        self._buffer = bytearray()
        self._upgraded = False
        self._seen = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # (uvloop's is one, and says not)
        self._transport.write(
            b"GET /v1/stream HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: YmVuY2hiZW5jaGJlbmNoIQ==\r\n\r\n"
        )

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        if not self._upgraded:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if b" 101 " not in buffer[:end]:
                raise RuntimeError(bytes(buffer[:end]).decode("latin-1"))
            del buffer[: end + 4]
            self._upgraded = True
            self._send(1, self._crowd.subscription)
        at = 0
        while len(buffer) - at >= 2:
            opcode, size, start = buffer[at] & 15, buffer[at + 1] & 127, at + 2
            if size == 126:
                size, start = int.from_bytes(buffer[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                size, start = int.from_bytes(buffer[at + 2 : at + 10], "big"), at + 10
            if len(buffer) < start + size:
                break
            at = start + size
            if opcode == 9:
                self._send(10, bytes(buffer[start:at]))
            elif opcode == 1:
                self._message(start, at)
        del buffer[:at]

    def _message(self, start: int, end: int) -> None:
        found = self._buffer.find(b'"sent_us":', start, end)
        if found >= 0:
            sent_us = int(self._buffer[found + 10 : self._buffer.index(b",", found)])
            self._crowd.delays.append((now_us() - sent_us) / 1e3)
            self._seen += 1
            if self._seen == self._crowd.entries:
                self._crowd.finished()
        elif self._buffer.find(b'"hello"', start, end) >= 0:
            self._crowd.joined()

    def _send(self, opcode: int, payload: bytes) -> None:
        """Send a frame (RFC 6455, 5.2), masked with zeros as a client may."""
        head = bytes((128 | opcode, 128 | min(len(payload), 126)))
        if len(payload) >= 126:
            head += len(payload).to_bytes(2, "big")
        self._transport.write(head + b"\0\0\0\0" + payload)


class _Crowd:
    """All clients: who has joined, who has seen everything, and how late everything was."""

    def __init__(self, token: str, clients: int, entries: int, ready: "Event") -> None:
        self.subscription = json.dumps(
            {"type": "subscribe", "token": token, "types": ["call.bench"]}
        ).encode()
        self.entries = entries
        self.delays: list[float] = []
        self.over = asyncio.Event()
        self._waited_for = self._unfinished = clients
        self._ready = ready

    def joined(self) -> None:
        self._waited_for -= 1
        if not self._waited_for:
            self._ready.set()

    def finished(self) -> None:
        self._unfinished -= 1
        if not self._unfinished:
            self.over.set()


def _crowd(
    url: str, token: str, clients: int, entries: int, ready: "Event", answers: "SimpleQueue[list[float]]"
) -> None:
    host, port = url.removeprefix("http://").split(":")

    async def everybody() -> None:
        crowd = _Crowd(token, clients, entries, ready)
        loop = asyncio.get_running_loop()
        for _ in range(clients):
            await loop.create_connection(lambda: _Reader(crowd), host, int(port))
        try:
            async with asyncio.timeout(240):
                await crowd.over.wait()
        except TimeoutError:
            pass  # what arrived is counted
        answers.put(crowd.delays)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(everybody())


if __name__ == "__main__":
    main()
