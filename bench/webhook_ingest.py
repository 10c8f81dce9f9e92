"""Signed inbound messages a second through the real API process, and how soon an agent's stream shows them.

Each request is a webhook as Twilio signs it, from one of 500 people; what is answered 200 is committed by a Postgres that waits
for its disk, and the rows are counted afterwards. The reference of the rate is an empty handler under the same server in the
same run, loaded the same way. Latency is measured with a stream client at 500 messages a second, from the moment at which
the webhook is written to its socket to the event `message.received`; and for one quiet tenant alone and while another
floods, over and over on 16 connections.

Everything shares the machine's cores: the API, Postgres, Valkey and this load generator.
"""

import asyncio
import json
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import uvloop
import websockets

from bench.api_read import cpu_s, free_port, load, request, start, wait_for
from bench.report import Figure, arguments, percentile, report
from bench.stack import Api, Stack
from irisx_sdk.fake import Fake
from irisx_sdk.loading import fake_of, installed

PEOPLE = 500
CONNECTIONS = 32
FLOOD = 16
RATE = 500
QUIET = 20
_NUMBER = re.compile(r"number (\d+) ")


class Account:
    """A tenant's Twilio account, and the webhooks that Twilio would send for it."""

    def __init__(self, api: Api, tenant: str) -> None:
        self.api, self.tenant = api, tenant
        self._fake: Fake = fake_of(installed().channels["sms.twilio"])()
        settings = msgspec.to_builtins(self._fake.settings)
        body = {"type": "sms.twilio", "name": tenant, "settings": settings}
        made = api.client.post("/v1/channels", json=body, headers={"Tenant": tenant})
        made.raise_for_status()
        self.path = f"/v1/channels/{made.json()['id']}/inbound"
        self._fake.webhook_url = api.url + self.path
        self._numbers = 0

    def webhooks(self, count: int) -> list[bytes]:
        """Requests, each of another message."""
        found = []
        for _ in range(count):
            self._numbers += 1
            text = f"number {self._numbers} of a bench: is my order on its way?"
            (one,) = self._fake.say(f"+4930{self._numbers % PEOPLE:07d}", text)
            head = f"{one.method} {self.path}{one.path} HTTP/1.1\r\nHost: {self.api.url.removeprefix('http://')}\r\n"
            head += "".join(
                f"{name}: {value}\r\n" for name, value in one.headers.items() if name.lower() != "host"
            )
            found.append(f"{head}Content-Length: {len(one.body)}\r\n\r\n".encode() + one.body)
        return found

    @property
    def last(self) -> int:
        """The number of the last message."""
        return self._numbers

    def stored(self) -> int:
        """How many messages its conversations hold."""
        total, cursor = 0, ""
        while True:
            query = {"limit": "200", "fields": "messages", **({"cursor": cursor} if cursor else {})}
            page = self.api.client.get(
                "/v1/conversations", params=query, headers={"Tenant": self.tenant}
            ).json()
            total += sum(int(one["messages"]) for one in page["data"])
            if not page["has_more"]:
                return total
            cursor = page["next_cursor"]


class Line(asyncio.Protocol):
    """A keep-alive connection that sends what it is given, one after the other."""

    def __init__(self) -> None:
        self._answered: asyncio.Future[bool] | None = None
        self._buffer = b""
        self._turn = asyncio.Lock()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, mark, body = self._buffer.partition(b"\r\n\r\n")
        found = re.search(rb"content-length: (\d+)", head.lower())
        if mark and len(body) >= (int(found[1]) if found else 0):
            good, self._buffer = b" 20" in head[:16], b""
            if self._answered is not None and not self._answered.done():
                self._answered.set_result(good)

    async def ask(self, raw: bytes) -> bool:
        async with self._turn:
            self._answered = asyncio.get_running_loop().create_future()
            self._transport.write(raw)
            return await self._answered


async def lines(api: Api, count: int) -> list[Line]:
    """So many connections."""
    host, port = api.url.removeprefix("http://").split(":")
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(Line, host, int(port)))[1] for _ in range(count)]


async def flood(api: Api, requests: Sequence[bytes], connections: int) -> tuple[int, float]:
    """Send them all, each connection its next when it has its answer: (answered 2xx, seconds)."""
    waiting = iter(requests)
    began, good = time.perf_counter(), 0

    async def one(line: Line) -> None:
        nonlocal good
        for raw in waiting:
            answer = await line.ask(raw)  # (not within the sum: it would be read before the wait)
            good += answer

    await asyncio.gather(*map(one, await lines(api, connections)))
    return good, time.perf_counter() - began


async def watched(
    account: Account, token: str, rate: float, seconds: float, noise: Sequence[bytes] = ()
) -> list[float]:
    """Milliseconds from webhook to stream event at ``rate`` a second, while ``noise`` is sent as fast as it goes."""
    api, first = account.api, account.last
    requests = account.webhooks(int(rate * seconds))
    sent: dict[int, float] = {}
    delays: list[float] = []
    over = asyncio.Event()
    address = api.url.replace("http", "ws") + "/v1/stream"
    async with websockets.connect(address, max_size=None, compression=None) as stream:
        await stream.send(json.dumps({"type": "subscribe", "token": token, "types": ["message.received"]}))
        await stream.recv()

        async def read() -> None:
            async for message in stream:
                now = time.perf_counter()
                text = message if isinstance(message, str) else message.decode()
                for number in map(int, _NUMBER.findall(text)):
                    if number in sent:
                        delays.append((now - sent.pop(number)) * 1e3)
                if len(delays) == len(requests):
                    over.set()
                    return

        reading = asyncio.create_task(read())
        noisy = asyncio.create_task(flood(api, noise, FLOOD)) if noise else None
        await asyncio.sleep(0.3 if noise else 0.0)
        pool = await lines(api, CONNECTIONS)
        asked = []
        began = time.perf_counter()
        for at, raw in enumerate(requests):
            await asyncio.sleep(max(began + at / rate - time.perf_counter(), 0))
            sent[first + at + 1] = time.perf_counter()
            asked.append(asyncio.create_task(pool[at % len(pool)].ask(raw)))
        await asyncio.gather(*asked)
        try:
            await asyncio.wait_for(over.wait(), 10)
        except TimeoutError:
            delays += [10_000.0] * len(sent)  # (what never came is not left out)
        if noisy is not None:
            await noisy
        reading.cancel()
    return delays


def key_of(api: Api, tenant: str) -> str:
    """A key for a tenant's stream."""
    body = {"name": "bench", "scopes": ["events:read", "conversations:read"]}
    made = api.client.post("/v1/api-keys", json=body, headers={"Tenant": tenant})
    made.raise_for_status()
    return str(made.json()["secret"])


def main() -> None:
    """Run the bench and print its figures."""
    given = arguments(__doc__ or "", messages=8000, seconds=8.0)
    with (
        tempfile.TemporaryDirectory() as folder,
        Stack(Path(folder) / "s", durable=True) as stack,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        api = stack.api()
        main_one = Account(api, "tnt_main")
        made = api.client.post("/v1/tenants", json={"name": "Quiet"})
        made.raise_for_status()
        quiet = Account(api, made.json()["id"])
        runner.run(flood(api, main_one.webhooks(1000), CONNECTIONS))  # (warm: people, plans, code)
        wave = main_one.webhooks(given.messages)
        before = api.child.cpu_s()
        accepted, took = runner.run(flood(api, wave, CONNECTIONS))
        cpu = (api.child.cpu_s() - before) / len(wave) * 1e6
        stored = main_one.stored() - 1000
        port = free_port()
        empty = start("empty", port, {})
        try:
            wait_for(port)
            reference, _ = runner.run(load(port, [request("/empty")], 3.0))
            spent = cpu_s(empty.pid)
        finally:
            empty.terminate()
            empty.wait(10)
        delays = runner.run(watched(main_one, key_of(api, "tnt_main"), RATE, given.seconds))
        key = key_of(api, quiet.tenant)
        alone = runner.run(watched(quiet, key, QUIET, given.seconds))
        noise = main_one.webhooks(int(accepted / took * (given.seconds + 1)))
        beside = runner.run(watched(quiet, key, QUIET, given.seconds, noise))
    rate = accepted / took
    idle = spent / max(reference * 3.0, 1) * 1e6
    p99, still, loud = percentile(delays, 0.99), percentile(alone, 0.99), percentile(beside, 0.99)
    report(
        "webhook_ingest",
        [
            Figure("messages a second", rate, "/s", reference, "empty handler", "1,000/s", rate >= 1000),
            Figure("stored", stored, "", accepted, "accepted", "all", stored == accepted == len(wave)),
            Figure("API CPU for a message", cpu, "us", idle, "empty handler", "", True),
            Figure(
                "webhook to stream, p50",
                percentile(delays, 0.5),
                "ms",
                percentile(alone, 0.5),
                f"{QUIET}/s",
                "",
                True,
            ),
            Figure("webhook to stream, p99", p99, "ms", still, f"{QUIET}/s", "100 ms at 500/s", p99 <= 100),
            Figure(
                "the same beside a flood, p99", loud, "ms", still, "alone", "twice alone", loud <= 2 * still
            ),
        ],
        as_json=given.json,
    )


if __name__ == "__main__":
    main()
