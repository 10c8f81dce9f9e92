"""Agents' browsers at one controller: memory of idle ones, and the delay that we add to what passes through.

The controller is a real process with real stores; the pages are WebSockets in a process of their own. Orders go to a stand-in
for the owner of the switch that answers at once, so a request's round trip is what signaling, bus and bridge cost. Events are
written as the owner of a switch writes them; their delay is from the moment before the commit to the page. The reference is a
bare trio-websocket server in the same run: the same number of idle sockets, the same rate of echoes.
"""

import argparse
import asyncio
import math
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

import msgspec
import trio
import uvloop
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    serve_websocket,
    wrap_client_stream,
)

from bench.report import Figure, arguments, percentile, report
from bench.stack import Child, Stack
from core.access.tokens import Keyring
from core.bus import LEASE, PRESENCE, Bus
from core.clock import now_us
from core.ids import new_id
from core.model.orders import Order, Outcome
from core.model.records import Call, Change, Leg
from core.model.signaling import PROTOCOL
from core.storage import nodes as node_store
from core.storage.calls import write_changes
from core.storage.database import Database

TENANT = "tnt_main"
CONNECTING = 32
PING_S = 20.0
SETTLE_S = 2.0


def main() -> None:
    """Run the bench and print its figures."""
    given = arguments(__doc__ or "", idle=10_000, busy=1_000, rate=200, seconds=20)
    _many_files()
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder) / "s") as stack:
        bare = _bare(given)
        users, node = asyncio.run(_prepare(stack, max(given.idle, given.busy)))
        controller = stack.controller(env={"IRISX_SIGNALING": "127.0.0.1:0"})
        url = asyncio.run(_address(stack))
        idle = _idle(stack, controller, url, users[: given.idle])
        rounds, delays, cpu_us = _busy(stack, controller, url, users[: given.busy], node, given)
    report(
        "signaling",
        [
            Figure("idle agents connected", idle[0], "", given.idle, "asked for", "all", idle[0] == given.idle),
            Figure("memory of an idle agent", idle[1], "KiB", bare[0], "a bare socket", "shown", True),
            Figure("CPU of the controller, idle", idle[2], "%", 100, "a core", "shown", True),
            Figure("request and answer, p50", percentile(rounds, 0.5), "ms", percentile(bare[1], 0.5), "bare echo", "", True),
            _limit("request and answer, p99", percentile(rounds, 0.99), percentile(bare[1], 0.99)),
            Figure("event to page, p50", percentile(delays, 0.5), "ms", percentile(bare[1], 0.5), "bare echo", "", True),
            Figure("CPU of the controller for a request or event", cpu_us, "us", 1000, "a millisecond", "shown", True),
            _limit("event to page, p99", percentile(delays, 0.99), percentile(bare[1], 0.99)),
        ],
        as_json=given.json,
    )  # fmt: skip


def _limit(name: str, value: float, bare: float) -> Figure:
    return Figure(name, value, "ms", bare, "bare echo", "under 5 ms on an idle machine", value < 5.0)


def _many_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


# -- what there is to talk about


async def _prepare(stack: Stack, count: int) -> tuple[list[tuple[str, str]], str]:
    """(agent, user) pairs, and a switch that exists in the store only: it is ours, so no controller answers for it."""
    db = await Database.open(stack.env["DATABASE_URL"])
    bus = await Bus.open(stack.env["REDIS_URL"])
    try:
        node = await node_store.create_node(
            db, secret=stack.secret, name="nowhere", url="esl://:x@127.0.0.1:1"
        )
        await bus.redis.set(LEASE + node.id, b"bench", ex=3600)
        users = [(new_id("agt"), new_id("usr")) for _ in range(count)]
        async with db.tenant(TENANT) as connection:
            await connection.executemany(
                "insert into agents (tenant_id, id, user_id, name, since_us, capacity, created_us, updated_us)"
                ' values ($1, $2, $3, \'Bench\', 1, \'{"attention": 1.0, "audio": 1, "slots": 4}\', 1, 1)',
                [(TENANT, agent, user) for agent, user in users],
            )
        return users, node.id
    finally:
        await bus.aclose()
        await db.close()


async def _address(stack: Stack) -> str:
    """Where the controller serves browsers."""
    bus = await Bus.open(stack.env["REDIS_URL"])
    try:
        while True:
            for said in await bus.who_is_present(PRESENCE):
                url = msgspec.json.decode(said).get("signaling")
                if url:
                    return str(url)
            await asyncio.sleep(0.1)
    finally:
        await bus.aclose()


# -- idle agents


def _idle(
    stack: Stack, controller: Child, url: str, users: Sequence[tuple[str, str]]
) -> tuple[int, float, float]:
    """(how many were connected, KiB of each, per cent of a core) while they do nothing but say that they are there."""
    before = controller.rss()
    with _Crowd(partial(_sit, url, _tokens(stack, users), PROTOCOL)) as crowd:
        connected = crowd.ready()
        time.sleep(SETTLE_S)
        memory = (controller.rss() - before) / max(connected, 1) / 1024
        used, began = controller.cpu_s(), time.monotonic()
        time.sleep(PING_S if len(users) >= 1000 else SETTLE_S)
        cpu = (controller.cpu_s() - used) / (time.monotonic() - began) * 100
    return connected, memory, cpu


def _tokens(stack: Stack, users: Sequence[tuple[str, str]]) -> list[str]:
    keyring = Keyring(stack.secret)
    return [
        keyring.sign("signaling", subject=user, tenant_id=TENANT, session_id="ses_1", seconds=3600)
        for _, user in users
    ]


def _bare(given: argparse.Namespace) -> tuple[float, list[float]]:
    """(KiB of an idle socket, milliseconds of echoes) of a server that is nothing but trio-websocket."""
    theirs, ours = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_echo_server, args=(theirs,), daemon=True)
    server.start()
    port, page_kib = ours.recv()
    url = f"ws://127.0.0.1:{port}/v1/signaling"
    before = _rss_kib(server.pid or 0, page_kib)
    with _Crowd(partial(_sit, url, [""] * given.idle, PROTOCOL)) as crowd:
        connected = crowd.ready()
        time.sleep(SETTLE_S)
        memory = (_rss_kib(server.pid or 0, page_kib) - before) / max(connected, 1)
    with _Crowd(partial(_ask, url, [""] * given.busy, [""] * given.busy, given.rate, given.seconds)) as crowd:
        crowd.ready()
        rounds, _ = crowd.result()
    server.kill()
    server.join()
    return memory, rounds


def _rss_kib(pid: int, page_kib: float) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page_kib


def _echo_server(pipe: Connection) -> None:
    async def handle(request: WebSocketRequest) -> None:
        ws = await request.accept(subprotocol=PROTOCOL)
        try:
            while True:
                text = await ws.get_message()
                words = msgspec.json.decode(text)
                await ws.send_message(msgspec.json.encode({"re": words["id"], "ok": True}).decode())
        except ConnectionClosed:
            return

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            server = await nursery.start(partial(serve_websocket, handle, "127.0.0.1", 0, None))
            pipe.send((server.port, resource.getpagesize() / 1024))

    trio.run(run)


# -- busy agents


def _busy(
    stack: Stack,
    controller: Child,
    url: str,
    users: Sequence[tuple[str, str]],
    node: str,
    given: argparse.Namespace,
) -> tuple[list[float], list[float], float]:
    """Milliseconds of requests that become orders, and of events; microseconds of CPU that the controller had for each."""
    calls = [_call(node, agent) for agent, _ in users]
    ids = [call.id for call in calls]
    with _Crowd(partial(_ask, url, _tokens(stack, users), ids, given.rate, given.seconds)) as crowd:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            used = runner.run(_switch(stack, controller, node, calls, crowd, given))
        rounds, delays = crowd.result()
    return rounds, delays, used * 1e6 / (len(rounds) + len(delays))


def _call(node: str, agent: str) -> Call:
    at = now_us()
    customer = Leg(
        uuid=new_id("leg"), direction="inbound", state="answered", caller="+493011122", created_us=at
    )
    own = Leg(uuid=new_id("leg"), direction="inbound", state="answered", agent=agent, created_us=at,
              bridged_to=customer.uuid, other_leg=customer.uuid)  # fmt: skip
    customer = msgspec.structs.replace(customer, bridged_to=own.uuid, other_leg=own.uuid)
    return Call(
        id=new_id("call"),
        tenant_id=TENANT,
        node=node,
        state="bridged",
        legs=(customer, own),
        created_us=at,
        version=1,
    )


async def _switch(
    stack: Stack, controller: Child, node: str, calls: list[Call], crowd: "_Crowd", given: argparse.Namespace
) -> float:
    """The owner of the switch: answers every order at once, and tells of changes at the same rate. The CPU seconds that the
    controller used meanwhile."""
    db = await Database.open(stack.env["DATABASE_URL"])
    bus = await Bus.open(stack.env["REDIS_URL"])
    db.show = bus.publish
    answers: set[asyncio.Task[None]] = set()

    def obey(reply_to: str, order: Order) -> None:
        task = asyncio.get_running_loop().create_task(
            bus.answer(reply_to, Outcome(order_id=order.id, status="done"))
        )
        answers.add(task)
        task.add_done_callback(answers.discard)

    try:
        await bus.listening.wait()
        await bus.serve(node, obey)
        fence = (await node_store.get_node(db, node)).fence
        for start in range(0, len(calls), 100):
            some = [Change("call.bridged", call, now_us()) for call in calls[start : start + 100]]
            await write_changes(db, node=node, fence=fence, changes=some)
        await asyncio.to_thread(crowd.ready)
        used = controller.cpu_s()
        until = time.monotonic() + given.seconds
        number = 0
        while time.monotonic() < until:
            call = calls[number % len(calls)]
            own = msgspec.structs.replace(call.legs[1], muted=not call.legs[1].muted)
            # The moment rides in a member that pages are shown.
            legs = (msgspec.structs.replace(call.legs[0], caller=str(now_us())), own)
            calls[number % len(calls)] = call = msgspec.structs.replace(
                call, legs=legs, version=call.version + 1
            )
            await write_changes(db, node=node, fence=fence, changes=[Change("call.muted", call, now_us())])
            number += 1
            await asyncio.sleep(max(0.0, 1 / given.rate - 0.001))
        await asyncio.sleep(SETTLE_S)
        return controller.cpu_s() - used
    finally:
        await bus.aclose()
        await db.close()


# -- pages, in a process of their own


class _Crowd:
    """A process full of pages. Leaving the block ends it."""

    def __init__(self, run: "partial[Any]") -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=_pages, args=(theirs, run), daemon=True
        )

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    def ready(self) -> int:
        """How many are connected, when all that can be are."""
        return int(self._said(900))

    def result(self) -> tuple[list[float], list[float]]:
        found: tuple[list[float], list[float]] = self._said(900)
        return found

    def _said(self, within_s: float) -> Any:
        if not self._pipe.poll(within_s):
            raise TimeoutError("the pages said nothing")
        return self._pipe.recv()


def _pages(pipe: Connection, run: "partial[Any]") -> None:
    _many_files()
    trio.run(run, pipe)


async def _connect(nursery: trio.Nursery, url: str, token: str, number: int) -> WebSocketConnection:
    host, _, rest = url.removeprefix("ws://").partition(":")
    stream = await trio.open_tcp_stream(host, int(rest.partition("/")[0]))
    ws = await wrap_client_stream(nursery, stream, host, "/v1/signaling", subprotocols=[PROTOCOL])
    hello = {
        "id": "hello",
        "type": "hello",
        "token": token,
        "device": {"id": f"d{number}"},
        "take_over": True,
    }
    await ws.send_message(msgspec.json.encode(hello).decode())
    while True:
        answer = msgspec.json.decode(await ws.get_message())
        if answer.get("re") == "hello":
            if not answer["ok"]:
                raise RuntimeError(answer["code"])
            return ws


async def _all(nursery: trio.Nursery, url: str, tokens: Sequence[str]) -> list[WebSocketConnection]:
    found: list[WebSocketConnection] = []
    limit = trio.CapacityLimiter(CONNECTING)

    async def one(number: int, token: str) -> None:
        async with limit:
            for _ in range(5):
                try:
                    found.append(await _connect(nursery, url, token, number))
                    return
                except (RuntimeError, OSError, ConnectionClosed):
                    await trio.sleep(0.5)

    async with trio.open_nursery() as together:
        for number, token in enumerate(tokens):
            together.start_soon(one, number, token)
    return found


async def _sit(url: str, tokens: Sequence[str], _protocol: str, pipe: Connection) -> None:
    """Connect, and from then on say only that one is there."""
    async with trio.open_nursery() as nursery:

        async def stay(ws: WebSocketConnection, after_s: float) -> None:
            await trio.sleep(after_s)
            while True:
                await ws.send_message(f'{{"id":"{time.monotonic_ns()}","type":"ping"}}')
                await trio.sleep(PING_S)

        async def listen(ws: WebSocketConnection) -> None:
            while True:
                await ws.get_message()

        sockets = await _all(nursery, url, tokens)
        for number, ws in enumerate(sockets):
            nursery.start_soon(stay, ws, PING_S * number / len(sockets))
            nursery.start_soon(listen, ws)
        pipe.send(len(sockets))
        await trio.sleep_forever()


async def _ask(
    url: str, tokens: Sequence[str], calls: Sequence[str], rate: float, seconds: float, pipe: Connection
) -> None:
    """Every page mutes and unmutes its call, ``rate`` requests a second over all of them, and notes what it is told."""
    rounds: list[float] = []
    delays: list[float] = []
    begun: dict[str, float] = {}

    async def listen(ws: WebSocketConnection) -> None:
        while True:
            told = msgspec.json.decode(await ws.get_message())
            if (asked := begun.pop(told.get("re", ""), None)) is not None:
                rounds.append((time.monotonic() - asked) * 1000)
            elif told.get("type") == "call" and told["call"]["other"].isdigit():
                delays.append((now_us() - int(told["call"]["other"])) / 1000)

    async with trio.open_nursery() as nursery:
        sockets = await _all(nursery, url, tokens)
        for ws in sockets:
            nursery.start_soon(listen, ws)
        pipe.send(len(sockets))
        began = trio.current_time()
        for number in range(math.ceil(rate * seconds)):
            await trio.sleep_until(began + number / rate)
            which = number % len(sockets)
            request = f"r{number}"
            begun[request] = time.monotonic()
            kind = "unmute" if number // len(sockets) % 2 else "mute"
            words = {"id": request, "type": kind, "call": calls[which]}
            await sockets[which].send_message(msgspec.json.encode(words).decode())
        await trio.sleep(2)
        pipe.send((rounds or [math.inf], delays or [math.inf]))


if __name__ == "__main__":
    main()
