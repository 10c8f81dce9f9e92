"""The two protocols that uvicorn runs for us, with what it does not offer.

HTTP: answers in one write, a limit for headers (llhttp has none, so a client could send them for ever), a deadline for them (a client that
sends one byte a second holds a connection), and a way to cut a client that does not read.

WebSocket: frames that are encoded once and written to any number of clients as they are. A server's frames are not
masked (RFC 6455, section 5.1), so the same bytes serve everybody; through ASGI's ``websocket.send`` each client would
cost an encoding of its own.
"""

import asyncio
from functools import partial
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

EXTENSION = "irisx.wire"
"""The key in ``scope["extensions"]`` under which a `Wire` is found."""
REPLY = "irisx.reply"
"""The key under which an HTTP request finds what sends a whole answer in one write."""
CUT = "irisx.cut"
"""The key under which an HTTP request finds what ends its connection."""
MAX_HEAD = 32 * 1024
"""Bytes of a request's line and headers: our own largest is a token and a cookie, 2 kB together."""
HEAD_S = 10.0
"""How long a request's head may take to arrive."""
WRITE_BUFFER = 256 * 1024
"""Bytes that may wait in our memory for one stream's client; its kernel buffer holds some more."""


class Wire:
    """A connection, for those who write to it themselves."""

    __slots__ = ("_protocol", "_writable")

    def __init__(self, protocol: Any, writable: asyncio.Event) -> None:
        self._protocol = protocol
        self._writable = writable

    @property
    def closed(self) -> bool:
        return bool(self._protocol.transport.is_closing())

    @property
    def ready(self) -> bool:
        """Whether writing now stays within `WRITE_BUFFER`."""
        return self._writable.is_set()

    async def wait_ready(self) -> None:
        """Wait until the client has read enough, or is gone."""
        await self._writable.wait()

    def write(self, data: bytes) -> None:
        """Send bytes that are valid for this protocol at this moment (whole frames)."""
        if not self.closed:
            self._protocol.transport.write(data)

    def enlarge(self) -> None:
        """Let `WRITE_BUFFER` bytes wait before `ready` is false."""
        self._protocol.transport.set_write_buffer_limits(high=WRITE_BUFFER)

    def cut(self) -> None:
        """End the connection now. A polite close would wait for a client that does not read."""
        self._protocol.transport.abort()


class Http(HttpToolsProtocol):
    """uvicorn's HTTP with limits on heads."""

    _head = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_S, self._head_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # -1: in a body, or between requests; a head begins with `on_message_begin`.
        if self._head >= 0:
            self._head += len(data)
            if self._head > MAX_HEAD:
                # The end of the head may be in here with a body behind it: let the parser decide first.
                super().data_received(data)
                if self._head > MAX_HEAD and not self.transport.is_closing():
                    self.send_400_response("The header is too large.")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {CUT: self.cut}  # type: ignore[dict-item]  # ours, not ASGI's
        self._head = 0
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_S, self._head_late)

    def on_headers_complete(self) -> None:
        self._head = -1
        self._stop_timer()
        super().on_headers_complete()
        if not self.parser.should_upgrade():
            self.scope["extensions"][REPLY] = partial(_reply, self.cycle)  # type: ignore[assignment]  # ours

    def cut(self) -> None:
        """End the connection now, whatever still waits to be written."""
        self.transport.abort()

    def _head_late(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.abort()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class Socket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, with a `Wire` in its scope."""

    async def run_asgi(self) -> None:
        self.scope["extensions"][EXTENSION] = Wire(self, self.writable)  # type: ignore[assignment]  # ours
        await super().run_asgi()


async def _reply(cycle: RequestResponseCycle, head: bytes, body: bytes) -> None:
    """Answer the request of ``cycle`` with a whole response: ``head`` is the status line and header lines.

    One write instead of two, and no look at every header: on a machine where a system call is dear this is a fifth
    of a short answer's cost. The rest is what the cycle itself does at the end of a response.
    """
    if cycle.flow.write_paused and not cycle.disconnected:
        await cycle.flow.drain()
    if cycle.disconnected:
        return
    cycle.response_started = True
    cycle.waiting_for_100_continue = False
    lines = [head]
    lines += [b"%s: %s\r\n" % header for header in cycle.default_headers]
    if not cycle.keep_alive:
        lines.append(b"connection: close\r\n")
    lines += [b"\r\n", body]
    cycle.transport.write(b"".join(lines))
    cycle.response_complete = True
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()


_STATUS: dict[int, bytes] = {
    status: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


def status_line(status: int) -> bytes:
    """The first line of a response (RFC 9112, section 4)."""
    return _STATUS.get(status) or b"HTTP/1.1 %d \r\n" % status


def text_frame(payload: bytes) -> bytes:
    """A whole, unmasked text frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return b"\x81" + size.to_bytes(1, "big") + payload
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload
