"""A TCP proxy that can be told to misbehave: cut every connection (by reset), or go silent without closing."""

import asyncio
import contextlib
import socket
import struct
import threading

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: close() sends RST


class Proxy(threading.Thread):
    """Listens on a free port of 127.0.0.1 and carries bytes to ``target``; `cut` and `silent` from any thread."""

    def __init__(self, target: int) -> None:
        super().__init__(daemon=True)
        self.port = 0
        self.silent = False
        self.cuts = 0
        self._target = target
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self.start()
        self._ready.wait(10)

    def run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._carry, "127.0.0.1", 0, backlog=100))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, far_writer)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        except OSError:
            pass
        finally:
            self._pairs.discard(pair)
            for end in pair:
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(262144):
            while self.silent:
                await asyncio.sleep(0.05)
            writer.write(data)
            await writer.drain()
        writer.transport.abort()

    @property
    def standing(self) -> int:
        """How many connections stand now."""
        return len(self._pairs)

    def cut(self) -> None:
        """Reset every connection that stands now."""
        self.cuts += 1
        self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for pair in list(self._pairs):
            for end in pair:
                peer = end.get_extra_info("socket")
                with contextlib.suppress(OSError):
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                end.transport.abort()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self.join(5)
