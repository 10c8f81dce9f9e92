"""One WebSocket as the hub sees it: frames go in without waiting, and a page that does not read is cut off.

The task that sends exists only while there is something to send: an idle agent costs no task for it.
"""

from collections import deque

import trio
from msgspec import Struct
from trio_websocket import ConnectionClosed, WebSocketConnection

from core.clock import monotonic

MOST_WAITING = 400
"""Frames that may wait for one page: more than a session keeps for a page that is away."""
MOST_BYTES = 512 << 10
SEND_S = 10.0
"""How long one frame may take to leave. A page whose tab sleeps still reads: the browser's network does."""
CLOSE_S = 2.0
REQUESTS_A_SECOND = 30.0
BURST = 60.0


class Counters(Struct):
    """What happened to the sockets of this controller."""

    opened: int = 0
    not_read: int = 0
    """Cut off because they did not read."""
    too_fast: int = 0
    """Closed because they asked too much."""
    refused: int = 0
    """Turned away before they were anything: no place, no token, no protocol."""
    faults: int = 0
    """Closed because of a bug of ours."""
    frames: int = 0
    """Sent."""


class Socket:
    """See the module's text."""

    __slots__ = (
        "_allowance",
        "_at",
        "_bytes",
        "_closing",
        "_idle",
        "_nursery",
        "_out",
        "_sending",
        "_ws",
        "counters",
        "scope",
    )

    def __init__(self, ws: WebSocketConnection, nursery: trio.Nursery, counters: Counters) -> None:
        self._ws = ws
        self._nursery = nursery
        self._out: deque[bytes] = deque()
        self._bytes = 0
        self._sending = False
        self._idle: trio.Event
        self._closing: tuple[int, str] | None = None
        self._allowance = BURST
        self._at = monotonic()
        self.counters = counters
        self.scope = trio.CancelScope()
        """Cancelled to cut the connection."""

    @property
    def closed(self) -> bool:
        return self._closing is not None or self.scope.cancel_called or self._ws.closed is not None

    def push(self, frame: bytes) -> None:
        """Send it, after what waits already. One that cannot take any more is cut off."""
        if self.closed:
            return
        if len(self._out) >= MOST_WAITING or self._bytes + len(frame) > MOST_BYTES:
            self._not_read()
            return
        self._out.append(frame)
        self._bytes += len(frame)
        self._start()

    def close(self, code: int, reason: str) -> None:
        """Close it in good order, after what waits."""
        if not self.closed:
            self._closing = code, reason
            self._start()

    def may_ask(self) -> bool:
        """Whether one more request is within what a page may ask."""
        now = monotonic()
        self._allowance = min(BURST, self._allowance + (now - self._at) * REQUESTS_A_SECOND)
        self._at = now
        if self._allowance < 1.0:
            self.counters.too_fast += 1
            return False
        self._allowance -= 1.0
        return True

    async def flushed(self) -> None:
        """Wait until all is sent that was to be, the closing too."""
        while self._sending:
            await self._idle.wait()

    def _start(self) -> None:
        if not self._sending:
            self._sending = True
            self._idle = trio.Event()
            self._nursery.start_soon(self._send)

    async def _send(self) -> None:
        try:
            with trio.CancelScope() as limit:
                while self._out:
                    frame = self._out.popleft()
                    self._bytes -= len(frame)
                    limit.deadline = trio.current_time() + SEND_S
                    await self._ws.send_message(frame.decode())
                    self.counters.frames += 1
                if self._closing is not None:
                    limit.deadline = trio.current_time() + CLOSE_S
                    await self._ws.aclose(*self._closing)
            if limit.cancelled_caught:
                self._not_read()
        except ConnectionClosed:
            self._out.clear()
            self._bytes = 0
        finally:
            self._sending = False
            self._idle.set()

    def _not_read(self) -> None:
        if not self.scope.cancel_called:
            self.counters.not_read += 1
        self._out.clear()
        self._bytes = 0
        self.scope.cancel()
