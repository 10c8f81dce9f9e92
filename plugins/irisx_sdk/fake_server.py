"""A fake provider on a port: the ASGI application, and uvicorn around it.

uvicorn is imported when it is needed only: a channel at work has no server in it.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, cast
from urllib.parse import parse_qsl

from irisx_sdk.fake import Fake
from irisx_sdk.fake_calls import Answer, Call
from irisx_sdk.fake_page import control
from irisx_sdk.fake_sockets import Closed, WebSocket

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY = 64 << 20
"""Bytes of one request to a fake: more than any provider takes."""
_MOST_PEERS = 1000
_START_S = 20.0
_STOP_S = 5.0


class Application:
    """What uvicorn runs: the fake's routes, its WebSockets, its page and its controls."""

    def __init__(self, fake: Fake) -> None:
        self.fake = fake

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                return
            body += event.get("body", b"")
            if len(body) > MAX_BODY:
                await _send(send, Answer(413), "")
                return
            if not event.get("more_body"):
                break
        call = _call(scope, body)
        answer = await control(self.fake, call) or await self.fake.answer(call)
        if answer is None:
            self.fake.cut(scope["client"])
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await _send(send, answer, call.method)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        found = self.fake.socket(scope["path"])
        if found is None:
            await send({"type": "websocket.close"})  # before it is accepted: a 403
            return
        handler, params = found
        await send({"type": "websocket.accept"})
        call = _call(scope, b"")

        def cut() -> None:
            self.fake.cut(scope["client"])

        opened = WebSocket(params, call.query, call.headers, receive, send, cut)
        with contextlib.suppress(Closed):
            await handler(opened)
        with contextlib.suppress(OSError, RuntimeError):
            await opened.close()


def _call(scope: Scope, body: bytes) -> Call:
    query = scope["query_string"].decode("latin-1")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    queries = tuple(parse_qsl(query, keep_blank_values=True))
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    url = f"{scope['scheme']}://{headers.get('host', '')}{path}" + (f"?{query}" if query else "")
    return Call(scope.get("method", "GET"), scope["path"], {}, dict(queries), headers, body, url, queries)


async def _send(send: Send, answer: Answer, method: str) -> None:
    body, headers = answer.raw()
    headers.setdefault("content-length", str(len(body)))
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


@contextlib.asynccontextmanager
async def serving(fake: Fake, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Fake]:
    """The fake on a port (0: a free one) for as long as the block lasts; asyncio. Raises `OSError` for a taken port."""
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    peers: dict[Any, asyncio.Transport] = {}

    class Protocol(H11Protocol):
        """Remembers the transports, because ASGI has no words for "hang up without an answer"."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(peers) >= _MOST_PEERS:
                for peer in [peer for peer, old in peers.items() if old.is_closing()]:
                    del peers[peer]
            peers[self.client] = transport

    def cut(peer: Any) -> None:
        if (transport := peers.pop(tuple(peer), None)) is not None:
            transport.abort()

    listener = socket.create_server((host, port), backlog=1024)
    fake.cut = cut
    config = uvicorn.Config(
        cast(Any, Application(fake)),
        http=Protocol,
        ws="websockets-sansio",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
        ws_ping_interval=None,
    )
    server = uvicorn.Server(config)
    shown = f"[{host}]" if ":" in host else host
    await fake.open(f"http://{shown}:{listener.getsockname()[1]}")
    task = asyncio.create_task(
        server._serve([listener])
    )  # (`serve` would take the process's signals for itself)
    try:
        async with asyncio.timeout(_START_S):
            while not server.started:
                if task.done():
                    task.result()
                    raise OSError("the fake's server did not start")
                await asyncio.sleep(0.005)
        yield fake
    finally:
        server.should_exit = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(task, _STOP_S)
        await fake.close()
        listener.close()
