"""Sends a second through the real channel host: one process, the Twilio channel, a provider that takes 50 ms and says 429 now and then.

The messages wait in the outbox before the host starts (a campaign, or the minutes after an outage). What counts is what was
committed as sent by a Postgres that waits for its disk; the provider counts each text, so nothing is sent twice unseen. The
reference is a bare HTTP client that posts the same forms to the same provider, as many at once, and stores nothing.

Everything shares the machine's cores: host, Postgres, Valkey and the provider.
"""

import asyncio
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs

import httpx
import trio
import uvloop

from bench.report import Figure, arguments, report
from bench.stack import Stack
from core.clock import now_us
from core.outbox import AT_ONCE
from core.storage import outbox
from core.storage.channels import create_channel
from core.storage.database import Database
from core.storage.starting import open_place
from irisx_sdk import Address, Text

WANTED = 500.0
"""Sends a second, to reach."""
LATENCY_S = 0.05
PEOPLE = 200
POOL = 4
"""Connections of one bare client: httpcore looks at each for every other one."""
TENANT = "tnt_main"


def main() -> None:
    """Run the bench and print its figures."""
    given = arguments(__doc__ or "", messages=6000, accounts=2, throttle_every=400, reference_s=4.0)
    ours, theirs = multiprocessing.Pipe()
    provider = multiprocessing.Process(
        target=_provider, args=(theirs, int(given.throttle_every)), daemon=True
    )
    provider.start()
    port = ours.recv()
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder) / "s", durable=True) as stack:
        bare = trio.run(_bare, port, given.reference_s)
        time.sleep(5 * LATENCY_S)  # (what is under way comes to its end)
        _asked(ours, "forget")
        wanted = int(given.messages)
        asyncio.run(_fill(stack, port, wanted, int(given.accounts)))
        host = stack._start("channels", ["-m", "api.cli", "channels"], IRISX_LOCAL_PROVIDERS="yes")
        sent, seconds = asyncio.run(_watch(stack, wanted))
        cpu = host.cpu_s()
        told = Counter(_asked(ours, "texts"))
        throttled = _asked(ours, "throttled")
        host.stop()
    provider.terminate()
    rate = sent / seconds
    doubled = sum(count - 1 for count in told.values())
    report(
        "outbox",
        [
            Figure("sent and committed", rate, "/s", bare, "bare httpx", "500/s", rate >= WANTED),
            Figure("doubled", doubled, "", 0, "none", "0", doubled == 0),
            Figure("lost", wanted - len(told), "", 0, "none", "0", len(told) == wanted),
            Figure(
                "429 answered", len(throttled), "", wanted / given.throttle_every, "one in so many", "", True
            ),
            Figure(
                "host CPU for a message",
                cpu / sent * 1e3,
                "ms",
                1 / WANTED * 1e3,
                "one core at 500/s",
                "",
                True,
            ),
        ],
        as_json=given.json,
    )


# The provider ------------------------------------------------------------------------------------------


class _Wire(asyncio.Protocol):
    """As little HTTP as a provider needs: a library's would cost more than what is measured."""

    def __init__(self, state: "_State") -> None:
        self._state = state
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:end]).lower()
            at = head.find(b"content-length: ")
            size = int(head[at + 16 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + size:
                return
            body = bytes(self._buffer[end + 4 : end + 4 + size])
            del self._buffer[: end + 4 + size]
            asyncio.get_running_loop().call_later(LATENCY_S, self._answer, body)

    def _answer(self, body: bytes) -> None:
        status, said = self._state.take(body)
        if not self._transport.is_closing():
            self._transport.write(
                b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (status, len(said), said)
            )


class _State:
    def __init__(self, throttle_every: int) -> None:
        self.texts: list[str] = []
        self.throttled: list[int] = []
        self._every = throttle_every
        self._asked = 0

    def take(self, body: bytes) -> tuple[int, bytes]:
        self._asked += 1
        if self._asked % self._every == 0:
            self.throttled.append(self._asked)
            return 429, b'{"code": 20429, "message": "Too Many Requests", "status": 429}'
        self.texts.append(parse_qs(body.decode())["Body"][0])
        return 201, b'{"sid": "SM%032x", "status": "queued", "num_segments": "1"}' % len(self.texts)


def _provider(pipe: Connection, throttle_every: int) -> None:
    state = _State(throttle_every)

    def serve() -> None:
        asked = pipe.recv()
        if asked == "forget":
            state.texts.clear()
            state.throttled.clear()
        pipe.send(getattr(state, asked, []))

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Wire(state), "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        loop.add_reader(pipe.fileno(), serve)
        await server.serve_forever()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def _asked(pipe: Connection, what: str) -> list[str]:
    pipe.send(what)
    return list(pipe.recv())


# The work ----------------------------------------------------------------------------------------------


async def _bare(port: int, seconds: float) -> float:
    """What a bare client posts in a second."""
    done = 0
    url = f"http://127.0.0.1:{port}/2010-04-01/Accounts/AC1/Messages.json"

    async def post(client: httpx.AsyncClient) -> None:
        nonlocal done
        while True:
            form = {"To": "+4930123", "From": "+4930999", "Body": f"bare {done}"}
            answer = await client.post(url, data=form, auth=("AC1", "hush"))
            done += answer.status_code == 201

    # (many connections in one client would measure the bookkeeping of its pool)
    limits = httpx.Limits(max_connections=POOL, max_keepalive_connections=POOL)
    clients = [httpx.AsyncClient(limits=limits, timeout=10, trust_env=False) for _ in range(AT_ONCE // POOL)]
    began = time.monotonic()
    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            for number in range(AT_ONCE):
                nursery.start_soon(post, clients[number % len(clients)])
    return done / (time.monotonic() - began)


async def _fill(stack: Stack, port: int, messages: int, accounts: int) -> None:
    """Messages that wait to be sent, from several conversations through several accounts."""
    settings = {
        "account_sid": "AC1", "auth_token": "hush", "sender": "+4930999", "base_url": f"http://127.0.0.1:{port}",
    }  # fmt: skip
    async with await Database.open(stack.env["DATABASE_URL"], max_size=8) as db:
        channels = [
            await create_channel(
                db, TENANT, secret=stack.secret, type="sms.twilio", name=f"A{n}", settings=settings, hidden=()
            )
            for n in range(accounts)
        ]
        moment = now_us()
        for start in range(0, messages, PEOPLE):
            async with db.tenant(TENANT) as connection:
                for number in range(start, min(start + PEOPLE, messages)):
                    account = channels[number % accounts].id
                    to = Address("phone", f"+4930{number % PEOPLE:06}")
                    place = await open_place(connection, TENANT, to, channel_id=account, now_us=moment)
                    message = outbox.NewMessage(
                        conversation_id=place.conversation_id, contact_id=place.contact_id, channel_id=account, to=to,
                        content=Text(f"number {number}"), now_us=moment,
                    )  # fmt: skip
                    await outbox.enqueue(connection, TENANT, message)


async def _watch(stack: Stack, wanted: int) -> tuple[int, float]:
    """How many were sent, and the seconds from the first to the last of them."""
    async with await Database.open(stack.env["DATABASE_URL"]) as db:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            await asyncio.sleep(0.25)
            async with db.reader(TENANT) as connection:
                row = await connection.fetchrow(
                    "select count(*) as sent, max(sent_us) - min(sent_us) as us from messages"
                    " where direction = 'out' and sent_us > 0"
                )
            if row["sent"] >= wanted:
                break
        else:
            print(json.dumps(dict(row)), file=sys.stderr)
    return row["sent"], max((row["us"] or 0) / 1e6, 1e-3)


if __name__ == "__main__":
    main()
