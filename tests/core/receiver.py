"""A receiver of webhooks for tests: a small HTTP server on trio that does as it is told, and remembers what it heard."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import h11
import msgspec
import trio
from msgspec import Struct

from core.model.webhooks import is_genuine

Behaviour = Callable[["Receiver", trio.SocketStream, h11.Connection], Awaitable[None]]


class Heard(Struct):
    """One delivery as it came."""

    headers: dict[str, str]
    body: bytes

    @property
    def entry(self) -> dict[str, Any]:
        return msgspec.json.decode(self.body, type=dict[str, Any])

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


class Receiver:
    """What an endpoint does: answers ``status`` unless ``behave`` does something else."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.status = 200
        self.more: list[tuple[str, str]] = []
        self.behave: Behaviour | None = None
        self.open = 0
        self.most_open = 0
        self.port = 0
        self.news = trio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def seqs(self) -> list[int]:
        return [one.entry["seq"] for one in self.heard]

    def genuine(self, secret: str, now_s: float) -> bool:
        return all(is_genuine(secret, one.headers, one.body, now_s=now_s) for one in self.heard)

    async def until(self, count: int, within_s: float = 20) -> None:
        """Wait until so many deliveries were heard."""
        with trio.fail_after(within_s):
            while len(self.heard) < count:
                self.news = trio.Event()
                await self.news.wait()

    async def serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            try:
                while await self._one(stream):
                    pass
            except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
                return

    async def _one(self, stream: trio.SocketStream) -> bool:
        wire = h11.Connection(h11.SERVER)
        head: h11.Request | None = None
        body = b""
        while True:
            event = wire.next_event()
            if event is h11.NEED_DATA:
                wire.receive_data(await stream.receive_some(65536))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                break
        if head is None:
            return False
        self.heard.append(Heard({k.decode(): v.decode() for k, v in head.headers}, body))
        self.news.set()
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            if self.behave is not None:
                await self.behave(self, stream, wire)
                return False
            headers = [("content-length", "2"), *self.more]
            await stream.send_all(
                (wire.send(h11.Response(status_code=self.status, headers=headers)) or b"")
                + (wire.send(h11.Data(data=b"ok")) or b"")
                + (wire.send(h11.EndOfMessage()) or b"")
            )
        finally:
            self.open -= 1
        return True


async def hang(_: Receiver, stream: trio.SocketStream, wire: h11.Connection) -> None:
    """Never answers, and does not hang up."""
    await stream.receive_some(1)


async def drip(_: Receiver, stream: trio.SocketStream, wire: h11.Connection) -> None:
    """The head of an answer, a byte at a time."""
    for byte in b"HTTP/1.1 200 OK\r\nserver: " + b"x" * 1000:
        await stream.send_all(bytes([byte]))
        await trio.sleep(0.05)


async def huge(_: Receiver, stream: trio.SocketStream, wire: h11.Connection) -> None:
    """Answers 10 MB."""
    await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10485760\r\n\r\n")
    for _number in range(160):
        await stream.send_all(b"<b>\x00" * 16384)


async def cut(_: Receiver, stream: trio.SocketStream, wire: h11.Connection) -> None:
    """Hangs up instead of answering."""


async def rubbish(_: Receiver, stream: trio.SocketStream, wire: h11.Connection) -> None:
    """Answers something else than HTTP."""
    await stream.send_all(b"220 mail.example ESMTP\r\n\r\n" * 10)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a port of 127.0.0.1 while the block lasts."""
    receiver = Receiver()
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        receiver.port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, receiver.serve, [listener])
        yield receiver
        nursery.cancel_scope.cancel()
