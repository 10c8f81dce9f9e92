"""One tenant's log to many readers: delay from the commit to each WebSocket, and CPU for each delivered entry.

A writer commits entries as a controller does; every client is a real WebSocket on one real API process. The reference is the
same with a single client.
"""

import argparse
import asyncio
import json
import multiprocessing
import tempfile
from pathlib import Path

import uvloop
from websockets.asyncio.client import ClientConnection, connect

from bench.report import Figure, arguments, percentile, report
from bench.stack import Api, Stack
from core.bus import Bus
from core.clock import now_us
from core.log import append
from core.storage.database import Database
from core.storage.entries import NewEntry

SETTLE_S = 3.0


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
    ready, go = multiprocessing.Event(), multiprocessing.Event()
    answers: multiprocessing.SimpleQueue[list[float]] = multiprocessing.SimpleQueue()
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
    go.set()
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


def _crowd(
    url: str,
    token: str,
    clients: int,
    entries: int,
    ready: "multiprocessing.synchronize.Event",
    answers: "multiprocessing.SimpleQueue[list[float]]",
) -> None:
    delays: list[float] = []
    connected = 0

    async def follow(socket: ClientConnection) -> None:
        nonlocal connected
        await socket.send(json.dumps({"type": "subscribe", "token": token, "types": ["call.bench"]}))
        await socket.recv()  # hello
        connected += 1
        if connected == clients:
            ready.set()
        seen = 0
        while seen < entries:
            text = str(await socket.recv())
            now = now_us()
            if '"sent_us":' in text:
                seen += 1
                delays.append((now - int(text.split('"sent_us":', 1)[1].split(",", 1)[0])) / 1e3)

    async def everybody() -> None:
        address = url.replace("http", "ws", 1) + "/v1/stream"
        gate = asyncio.Semaphore(50)

        async def one() -> None:
            async with gate:
                socket = await connect(address, open_timeout=60, compression=None, max_queue=None)
            try:
                await follow(socket)
            finally:
                await socket.close()

        try:
            async with asyncio.timeout(240):
                await asyncio.gather(*(one() for _ in range(clients)))
        except TimeoutError:
            pass  # what arrived is counted
        answers.put(delays)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(everybody())


if __name__ == "__main__":
    main()
