"""Sockets without a task for each write: what the core sends goes out at once or waits until the peer reads.

`Wire` is a listener's pipe over one TCP connection. Sending is a plain non-blocking ``send``; only a full
socket needs the task that waits for it. Faults live here because they are about bytes: standing still,
dripping, cutting at random places, resetting.
"""

import contextlib
import random
import socket
import struct
from collections.abc import Callable

import trio
import trio.lowlevel

HIGH_WATER = 64 * 1024
"""So many kept bytes make the connection count as congested, like a send buffer that is full."""
STUCK_LIMIT = 256 * 1024 * 1024
"""A peer for whom so much waits is cut off: nothing real would keep it either."""


class Wire:
    """One connected socket."""

    def __init__(self, sock: socket.socket, rng: random.Random) -> None:
        self.sock = sock
        self._rng = rng
        self._kept = bytearray()
        self._wake = trio.Event()
        self._closing = False
        self.closed = False
        self.segment = False
        self.drip_bytes_s = 0
        self.stalled = False
        """Neither reads nor writes any more."""
        self.cut_after: int | None = None
        """Reset the connection after so many more bytes (a truncated frame)."""
        self.sent = 0
        self.on_writable: Callable[[], None] = lambda: None

    @property
    def congested(self) -> bool:
        """Whether sending more would block FreeSWITCH's thread."""
        return self.stalled or len(self._kept) > (0 if self.drip_bytes_s else HIGH_WATER)

    @property
    def waiting(self) -> int:
        """Bytes kept for a peer that does not read."""
        return len(self._kept)

    def send(self, data: bytes) -> None:
        """Send now what the socket takes and keep the rest."""
        if self.closed or self._closing:
            return
        if self.cut_after is not None and len(data) >= self.cut_after:
            data = data[: self.cut_after]
            self._write(data)
            self.reset()
            return
        if self.cut_after is not None:
            self.cut_after -= len(data)
        if self._kept or self.stalled or self.segment or self.drip_bytes_s:
            self._keep(data)
            return
        self._write(data)

    def _write(self, data: bytes) -> None:
        try:
            n = self.sock.send(data)
        except BlockingIOError:
            n = 0
        except OSError:
            self.abandon()
            return
        self.sent += n
        if n < len(data):
            self._keep(data[n:])

    def _keep(self, data: bytes) -> None:
        self._kept += data
        if len(self._kept) > STUCK_LIMIT:
            self.abandon()
        self._wake.set()

    def close(self) -> None:
        """Close when everything kept has gone."""
        if self._closing or self.closed:
            return
        self._closing = True
        if not self._kept:
            self.abandon()
        self._wake.set()

    def reset(self) -> None:
        """Tear the connection down with a RST."""
        if self.closed:
            return
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abandon()

    def abandon(self) -> None:
        """Close now; what was kept is lost."""
        if self.closed:
            return
        self.closed = True
        self._kept.clear()
        trio.lowlevel.notify_closing(self.sock)
        self.sock.close()
        self._wake.set()

    def resume(self) -> None:
        """End a stall."""
        self.stalled = False
        self._wake.set()
        self.on_writable()

    async def pump_out(self) -> None:
        """Write what is kept whenever the peer reads; ends when the connection is closed."""
        while not self.closed:
            if not self._kept or self.stalled:
                if self._closing and not self._kept:
                    self.abandon()
                    return
                self._wake = trio.Event()
                await self._wake.wait()
                continue
            try:
                await trio.lowlevel.wait_writable(self.sock)
                await self._write_kept()
            except (OSError, trio.ClosedResourceError):
                self.abandon()
                return
            if not self.congested and not self.closed and not self._closing:
                self.on_writable()

    async def _write_kept(self) -> None:
        size = min(len(self._kept), 256 * 1024)
        if self.segment:
            size = min(size, self._rng.choice((1, 2, 3, 7, 50, 400, 1400, 5000)))
        if self.drip_bytes_s:
            size = min(size, max(1, self.drip_bytes_s // 20))
        with contextlib.suppress(BlockingIOError):
            n = self.sock.send(memoryview(self._kept)[:size].tobytes())
            self.sent += n
            del self._kept[:n]
        if self.drip_bytes_s:
            await trio.sleep(0.05)
        elif self.segment:
            await trio.lowlevel.checkpoint()

    async def receive(self) -> bytes:
        """Return what the peer sent, empty when it is gone."""
        while not self.closed:
            if self.stalled:
                self._wake = trio.Event()
                with trio.move_on_after(0.05):
                    await self._wake.wait()
                continue
            try:
                await trio.lowlevel.wait_readable(self.sock)
                return self.sock.recv(65536)
            except BlockingIOError:
                continue
            except (OSError, trio.ClosedResourceError):
                return b""
        return b""
