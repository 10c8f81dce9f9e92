"""HTTP/1.1 for everything that leaves: httpx's face, httptools' parser, trio's streams.

A transport for `httpx.AsyncClient`. The one that httpx brings (httpcore over h11) is complete and in Python throughout: it
costs more CPU than all the rest of sending a message, and its pool looks at every connection for every other one. This one
does what channels and webhooks need: kept connections, TLS, timeouts, bodies in pieces both ways. No proxies, no HTTP/2, no
upgrades. Errors are httpx's own.
"""

import math
import ssl
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any, NoReturn

import httptools
import httpx
import trio

READ_BYTES = 64 * 1024
MAX_HEAD = 64 * 1024
IDLE_S = 30.0
"""How long a connection is kept for the next request; servers close them after about as long."""

WHOLE = "irisx.whole"
"""A request's extension: its answer is wanted whole, not piece by piece."""

Connect = Callable[[str, int], Awaitable[trio.SocketStream]]
"""Opens a connection to a host and port, however long it takes. Raises `OSError`, or an error of its own."""
_Key = tuple[bytes, str, int]


class _Answer:
    """What the parser finds. (Its methods are called by httptools.)"""

    def __init__(self, method: str) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self._bodyless = method == "HEAD"
        self._head_bytes = 0
        self._stays = False
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.pieces: deque[bytes] = deque()
        self.begun = False
        """Its head is there."""
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD:
            raise ValueError("a header without an end")
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()
        if self.status >= 200:
            self.begun = True
            # (asked later the parser would answer for the message after this one)
            self._stays = self.parser.should_keep_alive()
            # The parser cannot know that a HEAD was asked.
            self.complete = self._bodyless

    def on_body(self, body: bytes) -> None:
        self.pieces.append(body)

    def on_message_complete(self) -> None:
        if self.begun:
            self.complete = True
        else:
            self.headers.clear()  # "100 Continue" and its like: the answer is yet to come

    def ends_with_the_connection(self) -> bool:
        """Whether nothing but the end of the connection says where the body ends."""
        names = {name.lower() for name, _ in self.headers}
        return self.begun and not names & {b"content-length", b"transfer-encoding"}

    def keeps_alive(self) -> bool:
        return self.complete and not self._bodyless and self._stays


class _Connection:
    """One connection, for one request at a time."""

    def __init__(self, key: _Key, tcp: trio.SocketStream, stream: trio.abc.Stream) -> None:
        self.key = key
        self._tcp = tcp
        self._stream = stream
        self.idle_since = 0.0

    def usable(self) -> bool:
        """Whether it was kept long enough ago to be gone, or has something to say that nobody asked for: its end."""
        fresh = trio.current_time() - self.idle_since < IDLE_S
        return fresh and self._tcp.socket.fileno() >= 0 and not self._tcp.socket.is_readable()

    async def exchange(
        self, request: httpx.Request, answer: _Answer, limits: Mapping[str, float | None], *, whole: bool
    ) -> None:
        """Send a request and read the head of its answer, or the whole of it."""
        write_s, read_s = _seconds(limits.get("write")), _seconds(limits.get("read"))
        written = False
        # (one scope whose deadline moves on: each costs as much as a write)
        with trio.CancelScope() as scope:
            head, chunked = _head_of(request)
            if isinstance(request.stream, httpx.ByteStream):
                scope.deadline = trio.current_time() + write_s
                await self._write(b"".join([head, *request.stream]))
            else:
                async with aclosing(_framed(head, request.stream, chunked=chunked)) as pieces:
                    async for piece in pieces:
                        scope.deadline = trio.current_time() + write_s
                        await self._write(piece)
                        scope.deadline = math.inf  # (whoever makes the next piece takes their time)
            written = True
            while not (answer.complete if whole else answer.begun):
                scope.deadline = trio.current_time() + read_s
                await self._read_into(answer)
        if scope.cancelled_caught:
            if written:
                raise httpx.ReadTimeout("the server says nothing")
            raise httpx.WriteTimeout("the server takes nothing")

    async def read_into(self, answer: _Answer, limit_s: float | None) -> None:
        """Some more of the answer."""
        try:
            with trio.fail_after(_seconds(limit_s)):
                await self._read_into(answer)
        except trio.TooSlowError:
            raise httpx.ReadTimeout("the server says nothing") from None

    async def _write(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise httpx.WriteError("the connection broke while the request was sent") from exc

    async def _read_into(self, answer: _Answer) -> None:
        try:
            data = await self._stream.receive_some(READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise httpx.ReadError("the connection broke") from exc
        if not data:
            if not answer.ends_with_the_connection():
                raise httpx.RemoteProtocolError("the server disconnected without a whole answer")
            answer.complete = True
            self.close()
            return
        try:
            answer.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise httpx.RemoteProtocolError("the server speaks something else") from None
        except httptools.HttpParserError as exc:
            raise httpx.RemoteProtocolError("what the server says is not HTTP") from exc

    def end(self, answer: _Answer) -> None:
        """``answer`` is wanted no more: what is left of it would be taken for the beginning of the next one."""
        if not answer.keeps_alive():
            self.close()

    def close(self) -> None:
        """At once, without good-byes."""
        self._tcp.socket.close()

    async def aclose(self) -> None:
        """As `close`: what users of the extension ``network_stream`` call."""
        self.close()


class _Body(httpx.AsyncByteStream):
    """The body of an answer as it comes."""

    def __init__(
        self,
        connection: _Connection,
        answer: _Answer,
        limit_s: float | None,
        ended: Callable[[_Connection | None], None],
    ) -> None:
        self._connection = connection
        self._answer = answer
        self._limit_s = limit_s
        self._ended = ended

    async def __aiter__(self) -> AsyncIterator[bytes]:
        answer = self._answer
        while True:
            while answer.pieces:
                yield answer.pieces.popleft()
            if answer.complete:
                return
            await self._connection.read_into(answer, self._limit_s)

    async def aclose(self) -> None:
        """The connection is kept when all was read, else closed."""
        self._connection.end(self._answer)
        self._ended(self._connection)


class Transport(httpx.AsyncBaseTransport):
    """Connections to any number of servers, at most ``connections`` under way together."""

    def __init__(self, context: ssl.SSLContext, connect: Connect, *, connections: int) -> None:
        self._context = context
        self._connect = connect
        self._room = trio.CapacityLimiter(connections)
        self._idle: dict[_Key, list[_Connection]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it and return when the answer's head is there (all of it with `WHOLE`). Raises `httpx.HTTPError`, and what
        ``connect`` raises."""
        if request.url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol("addresses begin with http:// or https://", request=request)
        limits: dict[str, float | None] = request.extensions.get("timeout", {})
        place = object()
        await self._take_room(place, limits.get("pool"), request)
        connection: _Connection | None = None

        def ended(used: _Connection | None) -> None:
            with suppress(RuntimeError):  # a body may be closed more than once
                self._room.release_on_behalf_of(place)
                self._keep(used)

        whole = WHOLE in request.extensions
        try:
            key = _key(request.url)
            connection = self._kept(key) or await self._open(key, limits.get("connect"))
            answer = _Answer(request.method)
            await connection.exchange(request, answer, limits, whole=whole)
        except BaseException:
            if connection is not None:
                connection.close()
            ended(None)
            raise
        network = {"network_stream": connection}
        if whole:
            connection.end(answer)
            ended(connection)
            body = b"".join(answer.pieces)
            return httpx.Response(answer.status, headers=answer.headers, content=body, extensions=network)
        stream = _Body(connection, answer, limits.get("read"), ended)
        return httpx.Response(answer.status, headers=answer.headers, stream=stream, extensions=network)

    async def _take_room(self, place: object, limit_s: float | None, request: httpx.Request) -> None:
        try:
            self._room.acquire_on_behalf_of_nowait(place)
        except trio.WouldBlock:
            try:
                with trio.fail_after(_seconds(limit_s)):
                    await self._room.acquire_on_behalf_of(place)
            except trio.TooSlowError:
                raise httpx.PoolTimeout("all connections are busy", request=request) from None

    def _kept(self, key: _Key) -> _Connection | None:
        idle = self._idle.get(key, [])
        while idle:
            connection = idle.pop()
            if connection.usable():
                return connection
            connection.close()
        self._idle.pop(key, None)
        return None

    def _keep(self, connection: _Connection | None) -> None:
        if connection is not None and connection._tcp.socket.fileno() >= 0:
            connection.idle_since = trio.current_time()
            self._idle.setdefault(connection.key, []).append(connection)

    async def _open(self, key: _Key, limit_s: float | None) -> _Connection:
        scheme, host, port = key
        try:
            with trio.fail_after(_seconds(limit_s)):
                tcp = await self._connect(host, port)
                if scheme == b"http":
                    return _Connection(key, tcp, tcp)
                try:
                    secure = trio.SSLStream(tcp, self._context, server_hostname=host, https_compatible=True)
                    await secure.do_handshake()
                except BaseException:
                    tcp.socket.close()
                    raise
                return _Connection(key, tcp, secure)
        except trio.TooSlowError:
            raise httpx.ConnectTimeout("no connection in time") from None
        except (OSError, trio.BrokenResourceError, ssl.CertificateError) as exc:
            _no_connection(exc)

    async def aclose(self) -> None:
        """Close what is kept; what is under way ends by itself."""
        for idle in self._idle.values():
            for connection in idle:
                connection.close()
        self._idle.clear()


def _no_connection(cause: Exception) -> NoReturn:
    raise httpx.ConnectError("no connection") from cause


def _seconds(limit_s: float | None) -> float:
    return math.inf if limit_s is None else limit_s


def _key(url: httpx.URL) -> _Key:
    scheme = url.raw_scheme
    return scheme, url.host, url.port or (443 if scheme == b"https" else 80)


def _head_of(request: httpx.Request) -> tuple[bytes, bool]:
    """The request's line and headers; whether its body is chunked."""
    lines = [b"%s %s HTTP/1.1\r\n" % (request.method.encode("ascii"), request.url.raw_path)]
    chunked = False
    for name, value in request.headers.raw:
        lines.append(b"%s: %s\r\n" % (name, value))
        chunked = chunked or (name.lower() == b"transfer-encoding" and value.lower() == b"chunked")
    lines.append(b"\r\n")
    return b"".join(lines), chunked


async def _framed(head: bytes, stream: Any, *, chunked: bool) -> AsyncGenerator[bytes, None]:
    """The whole request in pieces as they go onto the wire."""
    waiting = head
    pieces = stream.__aiter__()
    try:
        async for piece in pieces:
            if not piece:
                continue
            # (the head goes with the first piece: mostly they are one packet)
            yield waiting + (b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            waiting = b""
    finally:
        if hasattr(pieces, "aclose"):
            await pieces.aclose()
    if chunked:
        waiting += b"0\r\n\r\n"
    if waiting:
        yield waiting
