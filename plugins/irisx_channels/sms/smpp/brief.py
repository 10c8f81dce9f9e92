"""A session for one purpose: to ask whether the account works, or to send one message where no session is held.

On asyncio and trio alike.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from anyio.abc import ByteStream

from irisx_channels.sms.smpp import sending, translate
from irisx_channels.sms.smpp.codec import Short
from irisx_channels.sms.smpp.session import Answered, Bound, Delivered, Event, Lost, NotBound, Session
from irisx_channels.sms.smpp.words import TRY_AGAIN
from irisx_sdk import NotSent, OutcomeUnknown

T = TypeVar("T")

CONNECT_S = 10.0
WHOLE_S = 60.0
LEAVE_S = 2.0


class Brief:
    """A bound session of our own."""

    def __init__(self, stream: ByteStream, session: Session) -> None:
        self._stream = stream
        self.session = session
        self.system_id = ""

    async def submit(self, short: Short) -> Answered:
        """As `sending.Submit`."""
        await anyio.sleep(self.session.wait_s(anyio.current_time()) or 0)
        try:
            sequence = self.session.submit(short, anyio.current_time())
        except NotBound:
            raise NotSent("SMPP: the session has ended") from None
        while True:
            for event in await self.turn():
                if isinstance(event, Answered) and event.sequence == sequence:
                    return event

    async def turn(self) -> list[Event]:
        """Write what there is to write, then read until something comes or is due."""
        session = self.session
        try:
            if octets := session.take():
                await self._stream.send(octets)
            events: list[Event] = []
            with anyio.move_on_after(max(0.01, session.next_tick() - anyio.current_time())):
                try:
                    data = await self._stream.receive(65536)
                except anyio.EndOfStream:
                    data = b""
                events = session.receive(data, anyio.current_time())
            events += session.tick(anyio.current_time())
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            events = session.broken("the connection broke")
        for event in events:
            if isinstance(event, Delivered):
                session.answer(event, TRY_AGAIN)  # (a message for whoever holds the account's session)
        return events


async def brief(settings: translate.Settings, work: Callable[[Brief], Awaitable[T]]) -> T:
    """Connect, bind, do ``work``, unbind. Raises `NotSent` and `Misconfigured` for what is before the work."""
    bind = translate.bind(settings)
    begun = False
    try:
        with anyio.fail_after(WHOLE_S):
            stream = await _connect(settings)
            async with stream:
                session = Session(bind, now=anyio.current_time(), response_s=settings.response_s)
                held = Brief(stream, session)
                await _bound(held)
                begun = True
                try:
                    return await work(held)
                finally:
                    with anyio.move_on_after(LEAVE_S, shield=True):
                        session.leave(anyio.current_time())
                        while session.lost is None:
                            await held.turn()
    except TimeoutError:
        if begun:
            raise OutcomeUnknown("SMPP: the centre took too long") from None
        raise NotSent("SMPP: the centre took too long to let us in") from None


async def _connect(settings: translate.Settings) -> ByteStream:
    try:
        with anyio.fail_after(CONNECT_S):
            if settings.tls:
                return await anyio.connect_tcp(settings.host, settings.port, tls=True)
            return await anyio.connect_tcp(settings.host, settings.port)
    except (OSError, TimeoutError) as failed:
        raise NotSent(f"SMPP: no connection to the centre ({type(failed).__name__})") from None


async def _bound(held: Brief) -> None:
    while True:
        for event in await held.turn():
            if isinstance(event, Bound):
                held.system_id = event.system_id
                return
            if isinstance(event, Lost):
                raise sending.not_bound(event)
