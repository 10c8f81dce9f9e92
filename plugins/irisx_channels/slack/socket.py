"""Socket Mode: the connection that we hold to Slack instead of being called by it (trio).

Rules, from docs.slack.dev, "Using Socket Mode":
1. An address is asked for with the app's token and can be used once.
2. Slack sends ``hello`` when the connection counts. Every envelope is to be acknowledged within 3 s; we do so only
   when the platform has stored what was in it. Without that it comes again, here or on another connection.
3. Slack renews connections every few hours and says so (``disconnect``). Then a second one is opened beside the first;
   when that one has its ``hello``, the first finishes the envelope in hand and goes. Nothing is missed in between.

A connection that breaks without a word ends `hold`: the platform starts it again, and Slack repeats what is not
acknowledged.
"""

from collections.abc import Awaitable, Callable

import trio

from irisx_channels.slack import codec, events
from irisx_channels.websocket import Lost, Socket, connected, only
from irisx_sdk.channel import Deliver
from irisx_sdk.errors import Malformed, Misconfigured, NotSent

HELLO_S = 15.0
QUIET_S = 45.0
"""After so long without a frame we ask whether anybody is there. (Slack itself pings about every 10 s.)"""


class Link:
    """One connection of the two that there may be."""

    def __init__(self) -> None:
        self.waiting: trio.CancelScope | None = None
        self.retired = False
        self.followed = False

    def retire(self) -> None:
        """End it after the envelope in hand."""
        self.retired = True
        if self.waiting is not None:
            self.waiting.cancel()


class Holder:
    """Holds the connection of one account."""

    def __init__(
        self,
        open_url: Callable[[], Awaitable[str]],
        deliver: Deliver,
        now_us: Callable[[], int],
        *,
        command_reply: str = "",
        plain: bool = False,
    ) -> None:
        self._open_url = open_url
        self._deliver = deliver
        self._now_us = now_us
        self._command_reply = command_reply
        self._plain = plain

    async def hold(self) -> None:
        """Until a connection is lost. Raises what ended it, never a group."""
        try:
            async with trio.open_nursery() as nursery:
                await self._connection(nursery, None)
        except BaseExceptionGroup as group:
            raise only(group) from None

    async def _connection(self, nursery: trio.Nursery, before: Link | None) -> None:
        link = Link()
        async with connected(await self._open_url(), plain=self._plain, max_bytes=4 * 2**20) as socket:
            await self._greeted(socket)
            if before is not None:
                before.retire()
            try:
                await self._frames(nursery, socket, link)
            except Lost:
                # The next one is open or being opened: Slack may close this one whenever it likes.
                if not link.followed:
                    raise

    async def _greeted(self, socket: Socket) -> None:
        frame = await socket.receive(HELLO_S)
        if frame is None:
            raise NotSent("Slack did not say hello")
        first = codec.envelope(frame)
        if first.kind == "disconnect" and first.reason == "link_disabled":
            raise Misconfigured("Socket Mode is switched off for the app", code=first.reason)
        if first.kind != "hello":
            raise NotSent("Slack did not say hello", code=first.reason)

    async def _frames(self, nursery: trio.Nursery, socket: Socket, link: Link) -> None:
        while not link.retired:
            frame = None
            with trio.CancelScope() as link.waiting:
                frame = await socket.receive(QUIET_S)
            if link.retired and frame is None:
                return
            if frame is None:
                await socket.alive()
                continue
            try:
                envelope = codec.envelope(frame)
            except Malformed:
                continue  # nothing that could be acknowledged
            if envelope.kind == "disconnect":
                if envelope.reason == "link_disabled":
                    raise Misconfigured("Socket Mode is switched off for the app", code=envelope.reason)
                if not link.followed:
                    link.followed = True
                    nursery.start_soon(self._connection, nursery, link)
            elif envelope.id:
                await self._take(socket, envelope)

    async def _take(self, socket: Socket, envelope: codec.Envelope) -> None:
        try:
            parsed = events.read(envelope.payload, self._command_reply, self._now_us())
        except Malformed:
            # Not acknowledged: as a request it would be answered 400. Slack tries three times and counts it as failed.
            return
        if parsed.messages or parsed.statuses or parsed.preferences:
            await self._deliver(parsed)
        await socket.send(codec.acknowledge(envelope, parsed.reply))
