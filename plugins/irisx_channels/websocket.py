"""A WebSocket to a provider, with deadlines and with the SDK's errors (trio).

`trio_websocket` answers pings by itself, as long as its queue has room: `QUEUE` messages wait for us, then the reader
stops and the network holds the provider back.
"""

import math
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionTimeout,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
)

from irisx_sdk.errors import Misconfigured, NotSent

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]

QUEUE = 64
CONNECT_S = 15.0
CLOSE_S = 3.0
LEAVE_S = 0.1
SEND_S = 10.0


class Lost(NotSent):
    """The connection is over; ``close_code`` is the other side's reason (RFC 6455, 7.4), 1006 when it just went away."""

    def __init__(self, close_code: int) -> None:
        super().__init__(f"the connection was closed ({close_code})", code=str(close_code))
        self.close_code = close_code


class Socket:
    """One open connection."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self._connection = connection

    async def receive(self, within_s: float) -> str | bytes | None:
        """The next message; None when there was none for so long. Raises `Lost`."""
        with trio.move_on_after(within_s):
            try:
                return await self._connection.get_message()
            except ConnectionClosed as closed:
                raise Lost(closed.reason.code if closed.reason else 1006) from None
        return None

    async def send(self, message: str) -> None:
        """Send a message. Raises `Lost`, also when the other side takes none for `SEND_S`."""
        try:
            with trio.fail_after(SEND_S):
                await self._connection.send_message(message)
        except ConnectionClosed as closed:
            raise Lost(closed.reason.code if closed.reason else 1006) from None
        except trio.TooSlowError:
            raise Lost(1006) from None

    async def alive(self) -> None:
        """Ask for a sign of life. Raises `Lost` when there is none within `SEND_S`."""
        try:
            with trio.fail_after(SEND_S):
                await self._connection.ping()
        except (ConnectionClosed, trio.TooSlowError):
            raise Lost(1006) from None

    async def close(self, code: int) -> None:
        """Say goodbye with ``code``; bounded, and done even while being cancelled.

        Then without waiting for the other side's goodbye: the task that would read it has been cancelled, too.
        """
        cancelled = trio.current_effective_deadline() == -math.inf
        with trio.move_on_after(LEAVE_S if cancelled else CLOSE_S) as scope:
            scope.shield = cancelled
            await self._connection.aclose(code)


@asynccontextmanager
async def connected(
    url: str, *, plain: bool = False, close_code: int = 1000, max_bytes: int = 2**20
) -> AsyncIterator[Socket]:
    """A connection to ``url``, closed with ``close_code`` at the end.

    ``plain`` allows ``ws://`` (a fake on this machine). Raises `Misconfigured` for another kind of address, `NotSent`
    when the connection cannot be opened, and otherwise what the block raises, never a group of it.
    """
    host, port, resource, safe = _places(url, plain)
    try:
        with trio.fail_after(CONNECT_S):
            stream = await _dial(host, port, safe)
    except (OSError, trio.TooSlowError, trio.BrokenResourceError) as failed:
        raise NotSent(f"no connection to {host} ({type(failed).__name__})") from None
    # The stream is ours to close: trio_websocket 0.12 leaves it open when the other side goes first.
    try:
        async with trio.open_nursery() as nursery:
            named = host if port in (80, 443) else f"{host}:{port}"
            connection = await _greet(nursery, stream, named, resource, max_bytes)
            socket = Socket(connection)
            try:
                yield socket
            finally:
                await socket.close(close_code)
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        found = only(group)
        if isinstance(found, HandshakeError):
            raise NotSent(f"{host} does not take the connection ({type(found).__name__})") from None
        raise found from None
    finally:
        await trio.aclose_forcefully(stream)


def _places(url: str, plain: bool) -> tuple[str, int, str, bool]:
    """Host, port, what to ask for, and whether over TLS."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not (parts.scheme == "wss" or (plain and parts.scheme == "ws")):
        raise Misconfigured("the provider named no wss:// address for the connection")
    resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    safe = parts.scheme == "wss"
    return host, port or (443 if safe else 80), resource, safe


async def _dial(host: str, port: int, safe: bool) -> Stream:
    if not safe:
        return await trio.open_tcp_stream(host, port)
    context = ssl.create_default_context()
    return await trio.open_ssl_over_tcp_stream(host, port, ssl_context=context, https_compatible=True)


async def _greet(
    nursery: trio.Nursery, stream: Stream, host: str, resource: str, max_bytes: int
) -> WebSocketConnection:
    try:
        with trio.fail_after(CONNECT_S):
            return await wrap_client_stream(
                nursery, stream, host, resource, message_queue_size=QUEUE, max_message_size=max_bytes
            )
    except trio.TooSlowError:
        raise ConnectionTimeout from None


def only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What a nursery's group is about: its one error, or the first that is no cancellation."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        inner = [one for one in found.exceptions if not isinstance(one, trio.Cancelled)] or list(
            found.exceptions
        )
        found = inner[0]
    return found
