"""The listening end: WebSockets on ``/v1/signaling``, each one a page that must say hello before it is anything.

A fault of ours over one page's words ends that page's socket and is counted, and nothing else: the same process commands
switches. (Every other room lets a bug end the program.)
"""

from collections.abc import Iterator
from contextlib import contextmanager

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, wrap_server_stream

from core.errors import IrisxError, NotAuthenticated
from core.logs import get_logger
from core.model.signaling import MOST_FRAME, PROTOCOL, BadFrame, BadRequest, Hello, decode, encode
from core.signaling.hub import Held, Hub
from core.signaling.socket import CLOSE_S, Socket

LOG = get_logger("signaling")

PATH = "/v1/signaling"
MOST_SOCKETS = 12_000
MOST_STRANGERS = 1_000
"""Sockets that have not said hello."""
HELLO_S = 10.0
CONNECT_S = 10.0
RECEIVE_BYTES = 4 << 10
BAD_FRAME, NOT_YOU, NO_PLACE, TOO_FAST, FAULT = 4400, 4401, 1013, 4429, 1011
"""Codes of closing."""


class Server:
    """See the module's text."""

    def __init__(self, hub: Hub, nursery: trio.Nursery) -> None:
        self._hub = hub
        self._nursery = nursery
        """Where the tasks that send live."""
        self._sockets = 0
        self._strangers = 0

    async def run(
        self,
        listeners: list[trio.SocketListener],
        *,
        task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until cancelled."""
        await trio.serve_listeners(self.serve, listeners, task_status=task_status)

    async def serve(self, stream: trio.abc.Stream) -> None:
        """One connection, from the handshake to its end."""
        try:
            async with trio.open_nursery() as nursery:
                ws = None
                with self._stranger(), trio.move_on_after(CONNECT_S):
                    request = await wrap_server_stream(
                        nursery,
                        stream,
                        message_queue_size=1,
                        max_message_size=MOST_FRAME,
                        receive_buffer_size=RECEIVE_BYTES,
                    )
                    ws = await self._accepted(request)
                if ws is not None:
                    await self._talk(ws)
                nursery.cancel_scope.cancel()
        except Exception as exc:  # noqa: BLE001 - see the module's text
            self._fault(exc)
        finally:
            # Whichever way it ended: the library leaves a stream open that the other side has broken.
            await trio.aclose_forcefully(stream)

    @contextmanager
    def _stranger(self) -> Iterator[None]:
        self._strangers += 1
        try:
            yield
        finally:
            self._strangers -= 1

    async def _accepted(self, request: WebSocketRequest) -> WebSocketConnection | None:
        """The connection; None when it was turned away."""
        refusal = self._refusal(request)
        try:
            if not refusal:
                return await request.accept(subprotocol=PROTOCOL)
            self._hub.counters.refused += 1
            await request.reject(refusal)
        except ConnectionClosed:
            pass
        return None

    def _fault(self, exc: Exception) -> None:
        self._hub.counters.faults += 1
        LOG.exception("a fault over one page; its socket is closed", error=type(exc).__name__)

    async def _talk(self, ws: WebSocketConnection) -> None:
        socket = Socket(ws, self._nursery, self._hub.counters)
        self._hub.counters.opened += 1
        self._sockets += 1
        held: Held | None = None
        try:
            with socket.scope:
                held = await self._hello(socket, ws)
                while held is not None:
                    if not self._take(held, socket, await ws.get_message()):
                        break
        except ConnectionClosed:
            pass
        except Exception as exc:  # noqa: BLE001 - see the module's text
            self._fault(exc)
            socket.close(FAULT, "fault")
        finally:
            self._sockets -= 1
            if held is not None:
                self._hub.lost(held, socket)
            with trio.move_on_after(CLOSE_S) as closing:
                closing.shield = True
                await socket.flushed()

    def _refusal(self, request: WebSocketRequest) -> int:
        """The HTTP status that turns this connection away; 0 when nothing does."""
        if request.path.partition("?")[0] != PATH:
            return 404
        if PROTOCOL not in request.proposed_subprotocols:
            return 400
        return 503 if self._sockets >= MOST_SOCKETS or self._strangers >= MOST_STRANGERS else 0

    async def _hello(self, socket: Socket, ws: WebSocketConnection) -> Held | None:
        """The session that the socket is for; None when it was turned away."""
        with self._stranger(), trio.move_on_after(HELLO_S):
            return await self._greeted(socket, await ws.get_message())
        socket.close(BAD_FRAME, "no hello")
        return None

    async def _greeted(self, socket: Socket, text: str | bytes) -> Held | None:
        try:
            hello = decode(text)
        except BadFrame:
            self._turned_away(socket, BAD_FRAME, "bad_frame")
            return None
        except BadRequest as bad:
            socket.push(_refused(bad.request_id, "bad_request", bad.detail))
            self._turned_away(socket, BAD_FRAME, "bad_request")
            return None
        if not isinstance(hello, Hello):
            socket.push(_refused(hello.id, "hello_first", "the first request is hello"))
            self._turned_away(socket, BAD_FRAME, "hello_first")
            return None
        try:
            return await self._hub.hello(socket, hello)
        except IrisxError as exc:
            socket.push(_refused(hello.id, exc.code, exc.detail, retryable=exc.retryable))
            self._turned_away(socket, NOT_YOU if isinstance(exc, NotAuthenticated) else NO_PLACE, exc.code)
            return None

    def _turned_away(self, socket: Socket, code: int, reason: str) -> None:
        self._hub.counters.refused += 1
        socket.close(code, reason)

    def _take(self, held: Held, socket: Socket, text: str | bytes) -> bool:
        """One message of a page that said hello; False when it was the last one."""
        if held.socket is not socket or held.session.over:
            return False
        if not socket.may_ask():
            socket.close(TOO_FAST, "too many requests")
            return False
        try:
            request = decode(text)
        except BadFrame:
            socket.close(BAD_FRAME, "bad_frame")
            return False
        except BadRequest as bad:
            self._hub.refuse(held, bad.request_id, "bad_request", bad.detail)
            return True
        self._hub.asked(held, request)
        return True


def _refused(request: str, code: str, detail: str, *, retryable: bool = False) -> bytes:
    return encode({"re": request, "ok": False, "code": code, "detail": detail, "retryable": retryable})
