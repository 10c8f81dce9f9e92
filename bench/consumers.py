"""Everybody who follows the log, for the bench of cuts: each remembers what it showed, in its order.

A consumer shows an entry when it hands it on; whatever it receives again it must not show again. `Shown.differences` compares
with the log itself. asyncio.
"""

import asyncio
import contextlib
import json
import random
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import websockets

from core.model.webhooks import is_genuine

PAGE = Path(__file__).with_name("page_client.mjs")
PAUSE_S = 0.01
Entry = tuple[int, str]
"""Number and id."""


class Shown:
    """What one consumer showed."""

    def __init__(self, name: str, *, first: int, ordered: bool = True) -> None:
        self.name = name
        self.last = first
        self.entries: list[Entry] = []
        self.received = 0
        self.connects = 0
        self._ordered = ordered
        self._known: set[str] = set()

    def take(self, seq: int, entry_id: str) -> None:
        """An entry arrived, perhaps not for the first time."""
        self.received += 1
        if entry_id in self._known if not self._ordered else seq <= self.last:
            return
        self._known.add(entry_id)
        self.last = max(self.last, seq)
        self.entries.append((seq, entry_id))

    @property
    def duplicates(self) -> int:
        """Entries that were shown more than once."""
        return len(self.entries) - len(set(self.entries))

    def differences(self, log: list[Entry]) -> int:
        """Entries that are missing, wrong, or (for those who keep the order) out of it."""
        shown = self.entries if self._ordered else sorted(self.entries)
        shown = list(dict.fromkeys(shown))
        wrong = sum(a != b for a, b in zip(shown, log, strict=False))
        return wrong + abs(len(shown) - len(log))


async def web_socket(shown: Shown, port: int, token: str) -> None:
    """Follow over a WebSocket, resuming after the last number, until cancelled."""
    while True:
        with contextlib.suppress(OSError, websockets.WebSocketException, TimeoutError, EOFError):
            async with websockets.connect(
                f"ws://127.0.0.1:{port}/v1/stream", max_size=None, compression=None, close_timeout=0.1
            ) as stream:
                shown.connects += 1
                await stream.send(json.dumps({"type": "subscribe", "token": token, "after_seq": shown.last}))
                async for message in stream:
                    frame = json.loads(message)
                    if frame["type"] == "event":
                        shown.take(frame["event"]["seq"], frame["event"]["id"])
        await asyncio.sleep(PAUSE_S * random.random())


async def server_sent(shown: Shown, port: int, token: str) -> None:
    """Follow over server-sent events, resuming by ``Last-Event-ID``, until cancelled."""
    async with httpx.AsyncClient(timeout=20, trust_env=False) as http:
        while True:
            headers = {"Authorization": f"Bearer {token}", "Last-Event-ID": str(shown.last)}
            # (anyio asks a connection that was reset at once for its peer's name: an AttributeError)
            with contextlib.suppress(httpx.HTTPError, httpx.StreamError, AttributeError):
                url = f"http://127.0.0.1:{port}/v1/stream/sse"
                async with http.stream("GET", url, headers=headers) as answer:
                    shown.connects += 1
                    async for line in answer.aiter_lines():
                        # (a line that was cut off is not handed out: the answer ends with an error)
                        if line.startswith('data: {"seq":'):
                            entry = json.loads(line.removeprefix("data: "))
                            shown.take(entry["seq"], entry["id"])
            await asyncio.sleep(PAUSE_S * random.random())


class Endpoint:
    """A receiver of webhooks that hangs up on some deliveries: before it has read them, after, or within its answer.

    It hangs up on a delivery's first try only: a second and third time would put it off for minutes by the schedule.
    """

    def __init__(self, shown: Shown, cuts: int, chance: float, seed: int) -> None:
        self.shown = shown
        self.left = cuts
        self.forged = 0
        self.secret = ""
        self._chance = chance
        self._random = random.Random(seed)
        self._tried: set[str] = set()
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError, ValueError):
            pass  # (cancelled: the bench is over)
        finally:
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in head[1:]) if n}
        name = headers["webhook-id"]
        cut = self.left > 0 and name not in self._tried and self._random.random() < self._chance
        self._tried.add(name)
        where = self._random.choice(("before", "after", "within")) if cut else ""
        self.left -= cut
        if where == "before":
            return False
        body = await reader.readexactly(int(headers["content-length"]))
        self.forged += not is_genuine(self.secret, headers, body, now_s=time.time())
        self.shown.take(json.loads(body)["seq"], name)
        if where == "after":
            return False
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
        writer.write(answer[: self._random.randrange(8)] if where == "within" else answer)
        await writer.drain()
        return not where


class Page:
    """The pages' own client, in a Node of its own."""

    def __init__(self, api: str, key: str, port: int) -> None:
        self.process = subprocess.Popen(
            ["node", str(PAGE), api, key, str(port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sys.stderr, bufsize=0,
        )  # fmt: skip
        assert self.process.stdout is not None
        if not json.loads(self.process.stdout.readline() or b"{}").get("ready"):
            raise RuntimeError("the page's client did not start: npm ci in dashboards")

    def began(self, within_s: float) -> bool:
        """Whether it has heard its first entry, or does within this time."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], within_s)
        return bool(ready) and bool(json.loads(self.process.stdout.readline() or b"{}").get("began"))

    def finish(self, head: int, within_s: float) -> dict[str, Any]:
        """What it heard, once it has heard ``head``."""
        assert self.process.stdin is not None
        try:
            said, _ = self.process.communicate(json.dumps({"head": head}).encode() + b"\n", within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise TimeoutError(f"the page's client did not get to {head}") from None
        found: dict[str, Any] = json.loads(said)
        return found

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
