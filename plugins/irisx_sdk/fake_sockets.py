"""A WebSocket as a fake gateway sees it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Closed(Exception):
    """The other side has closed; ``code`` is its reason (RFC 6455, 7.4), 1006 when it just went away."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class WebSocket:
    """One connection, already accepted."""

    def __init__(
        self,
        params: Mapping[str, str],
        query: Mapping[str, str],
        headers: Mapping[str, str],
        receive: Receive,
        send: Send,
        cut: Callable[[], None],
    ) -> None:
        self.params = params
        self.query = query
        self.headers = headers
        self.cut = cut
        """End it without a word, as a broken network does."""
        self._receive = receive
        self._send = send
        self.closed = False

    async def receive(self) -> str | bytes:
        """The next message. Raises `Closed`."""
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            self.closed = True
            raise Closed(event.get("code") or 1006)
        text: str | bytes | None = event.get("text")
        return text if text is not None else event["bytes"]

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Every message until it is closed."""
        try:
            while True:
                yield await self.receive()
        except Closed:
            return

    async def send(self, message: str | bytes) -> None:
        """Send a message. Raises `Closed` when the other side is gone."""
        if self.closed:
            raise Closed(1006)
        kind = "text" if isinstance(message, str) else "bytes"
        try:
            await self._send({"type": "websocket.send", kind: message})
        except (OSError, RuntimeError) as gone:
            self.closed = True
            raise Closed(1006) from gone

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye; a second time is nothing."""
        if self.closed:
            return
        self.closed = True
        await self._send({"type": "websocket.close", "code": code, "reason": reason})
