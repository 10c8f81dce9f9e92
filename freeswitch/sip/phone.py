"""The user agent on trio: one TCP connection to a switch's inside profile, made again whenever it is lost.

    async with open_phone(Place("10.0.0.5", 5080), identity) as phone:
        answered = await phone.call(uuid, "agent", offer, headers={"X-Agent": "agt_1"})
        ...
        await phone.hang_up(uuid)

Legs outlive the connection and the process: media does not pass through here. Who wants to go on with one later keeps
`Answered.dialog` and gives it to `restore`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import trio
from msgspec import Struct

from freeswitch.beside import beside
from freeswitch.endpoint import Endpoint, dial
from freeswitch.keeping import Backoff
from freeswitch.sip.agent import Answered, Ended, Event, Failed, UserAgent
from freeswitch.sip.dialog import Dialog
from freeswitch.sip.making import Identity
from freeswitch.sip.stream import SipError

RECEIVE_BYTES = 64 * 1024
CONNECT_S = 3.0
UP_S = 3.0
"""How long a call waits for a connection."""
SEND_S = 5.0
"""A switch that takes nothing for so long has stopped reading."""
FIRST_RETRY_S = 0.1
MAX_RETRY_S = 5.0
ENDS_KEPT = 1_000
"""Ends that nobody has fetched; beyond, the oldest are dropped and counted: the Event Socket tells them, too."""


class CallFailed(Exception):
    """The switch did not take an offer. ``status`` is its SIP status, 408 when it was silent.

    0: nobody knows, because the connection was lost over it. Then look for the channel before anything else is tried.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}" if status else reason)
        self.status = status
        self.reason = reason


class PhoneStatistics(Struct):
    """What one phone has seen."""

    connects: int = 0
    calls: int = 0
    failed: int = 0
    ends_dropped: int = 0


class _Waiter:
    """One who waits for the answer to an offer."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.outcome: Answered | Failed | None = None

    def settle(self, outcome: Answered | Failed) -> None:
        self.outcome = outcome
        self.done.set()


Connect = Callable[[], Awaitable[trio.abc.Stream]]


class Phone:
    """All legs of one switch. Made by `open_phone`."""

    def __init__(self, identity: Identity, connect: Connect) -> None:
        self._agent = UserAgent(identity)
        self._connect = connect
        self._waiting: dict[str, _Waiter] = {}
        self._stream: trio.abc.Stream | None = None
        self._up = trio.Event()
        self._sending = trio.Lock()
        self._rescheduled = trio.Event()
        self._ended_in, self._ended_out = trio.open_memory_channel[Ended](ENDS_KEPT)
        self.statistics = PhoneStatistics()

    @property
    def up(self) -> bool:
        """Whether there is a connection now."""
        return self._stream is not None

    # Orders -------------------------------------------------------------------------------------------

    async def call(
        self,
        call_id: str,
        number: str,
        sdp: str,
        *,
        headers: Mapping[str, str] | None = None,
        caller: str = "",
    ) -> Answered:
        """Begin a leg; ``call_id`` becomes the channel's UUID. Cancelling it gives the leg up.

        Raises `CallFailed`, and `ValueError` for what must not be in a header or a leg that is being called already.
        """
        await self._wait_up()
        return await self._offer(
            call_id,
            lambda: self._agent.invite(
                call_id, number, sdp, now=trio.current_time(), headers=headers, caller=caller
            ),
        )

    async def renew(
        self, call_id: str, sdp: str, *, keep: Callable[[Dialog], Awaitable[None]] | None = None
    ) -> Answered:
        """Offer anew within a leg. ``keep`` is called with the dialog's next state before anything is sent.

        Raises `CallFailed` (the leg goes on as it was, unless the status is 481), `KeyError` for an unknown leg.
        """
        await self._wait_up()
        if keep is not None:
            await keep(self._agent.dialogs[call_id].next())
        return await self._offer(call_id, lambda: self._agent.renew(call_id, sdp, now=trio.current_time()))

    async def hang_up(self, call_id: str) -> None:
        """End a leg; returns when that is on its way. A leg that is unknown, or ended meanwhile, is no error.

        Raises `CallFailed` without a connection.
        """
        await self._wait_up()
        if call_id in self._agent.dialogs:
            self._agent.bye(call_id, now=trio.current_time())
        else:
            self._agent.cancel(call_id, now=trio.current_time())
        await self._flush()

    def knows(self, call_id: str) -> bool:
        """Whether a leg stands, as far as we have heard."""
        return call_id in self._agent.dialogs

    def forget(self, call_id: str) -> None:
        """A leg is over, and we were told otherwise than by SIP."""
        self._agent.forget(call_id)

    def restore(self, dialog: Dialog) -> None:
        """A leg that another process has begun."""
        self._agent.restore(dialog)

    async def next_end(self) -> Ended:
        """The next leg that is over."""
        return await self._ended_out.receive()

    async def _offer(self, call_id: str, begin: Callable[[], object]) -> Answered:
        if call_id in self._waiting:
            raise ValueError("an offer of this leg is not answered yet")
        waiter = self._waiting[call_id] = _Waiter()
        try:
            begin()
            self.statistics.calls += 1
            await self._flush()
            await waiter.done.wait()
        except trio.Cancelled:
            self._agent.cancel(call_id, now=trio.current_time())
            with trio.CancelScope(shield=True), trio.move_on_after(SEND_S):
                await self._flush()
            raise
        finally:
            del self._waiting[call_id]
        if isinstance(waiter.outcome, Answered):
            return waiter.outcome
        assert waiter.outcome is not None  # noqa: S101 - it was settled
        self.statistics.failed += 1
        raise CallFailed(waiter.outcome.status, waiter.outcome.reason)

    async def _wait_up(self) -> None:
        with trio.move_on_after(UP_S):
            await self._up.wait()
        if self._stream is None:
            raise CallFailed(503, "no connection to the switch")

    # The connection -----------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Hold the connection for ever."""
        backoff = Backoff(FIRST_RETRY_S, MAX_RETRY_S)
        while True:
            try:
                with trio.fail_after(CONNECT_S):
                    stream = await self._connect()
                async with stream:
                    await self._serve(stream, backoff)
            except (OSError, trio.BrokenResourceError, trio.TooSlowError, SipError):
                pass
            finally:
                self._stream, self._up = None, trio.Event()
                self._deal(self._agent.lost())
            await backoff.wait()

    async def _serve(self, stream: trio.abc.Stream, backoff: Backoff) -> None:
        host, port = "127.0.0.1", 0
        if isinstance(stream, trio.SocketStream):
            host, port = stream.socket.getsockname()[:2]
        self._agent.connected(host, port)
        self.statistics.connects += 1
        self._stream = stream
        self._up.set()
        async with beside(self._watch_time):
            while data := await stream.receive_some(RECEIVE_BYTES):
                backoff.reset()
                self._deal(self._agent.receive(bytes(data), now=trio.current_time()))
                await self._flush()

    async def _watch_time(self) -> None:
        while True:
            self._rescheduled = trio.Event()
            deadline = self._agent.next_deadline()
            with trio.move_on_at(trio.current_time() + 3600 if deadline is None else deadline):
                await self._rescheduled.wait()
            self._deal(self._agent.expire(trio.current_time()))
            await self._flush()

    async def _flush(self) -> None:
        """Write what the agent wants to say, whole and in its order."""
        async with self._sending:
            self._rescheduled.set()
            data, stream = self._agent.output(), self._stream
            if not data or stream is None:
                return
            # Half a message would spoil the connection for all the others.
            with trio.CancelScope(shield=True), trio.move_on_after(SEND_S) as limit:
                try:
                    await stream.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return  # the reader notices, too
            if limit.cancelled_caught:
                await trio.aclose_forcefully(stream)

    def _deal(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Answered | Failed):
                waiter = self._waiting.get(event.call_id)
                if waiter is not None:
                    waiter.settle(event)
            elif isinstance(event, Ended):
                self._tell(event)

    def _tell(self, ended: Ended) -> None:
        try:
            self._ended_in.send_nowait(ended)
        except trio.WouldBlock:
            self.statistics.ends_dropped += 1
            self._ended_out.receive_nowait()
            self._ended_in.send_nowait(ended)


class Place(Struct, frozen=True):
    """Where a switch's inside profile listens."""

    host: str
    port: int = 5080


@asynccontextmanager
async def open_phone(
    place: Place, identity: Identity, *, connect: Connect | None = None
) -> AsyncIterator[Phone]:
    """A phone for as long as the block lasts. ``connect`` makes another kind of stream."""
    phone = Phone(identity, connect or (lambda: dial(Endpoint(place.host, place.port))))
    async with beside(phone.keep):
        yield phone
