"""Serving the dialplan's ``socket`` application: the switch calls us, one connection for each call.

What we say first is ``connect``: the answer to any other first command is swallowed. Then we ask for the call's
events and, where the dialplan allows it (``async full``), for ``linger``, without which the switch closes
right at the hangup and the last events are lost. At the end we always say ``exit``: a lingering connection keeps
the dead call's memory in the switch.

Each call is one task of the server's nursery. A handler that returns gives the call back: with `Session.resume`
the dialplan goes on behind ``socket``, otherwise what is left of the extension decides, mostly a hangup.

The four kinds of connection differ, and a `Session` says which it is: without ``full`` only messages, ``getvar``
and ``resume`` work; without ``async`` an application runs to its end before the switch answers anything else.
"""

import uuid as uuids
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import msgspec
import structlog
import trio

from freeswitch import commands
from freeswitch.arguments import name as checked_name
from freeswitch.arguments import no_expansion
from freeswitch.beside import beside
from freeswitch.errors import CommandError, CommandRefused, EslError, OutcomeUnknown, ProtocolError
from freeswitch.esl import Event
from freeswitch.link import Link, attach_link

LOG = structlog.get_logger("outbound")

NO_SUCH = "-ERR command not found"
"""What ``getvar`` answers for a variable that is not set."""


class OutboundSettings(msgspec.Struct, frozen=True):
    """Limits of the server."""

    max_sessions: int = 2_000
    """Calls served at once. A connection beyond is closed unanswered: the dialplan then goes on behind ``socket``,
    or tries its next host."""
    connect_s: float = 5.0
    """The switch answers ``connect`` at once; it waits 25 s for our first word."""
    linger_s: int = 10
    max_events: int = 1_000
    """Events that a handler has not received. When full the oldest goes and is counted: the newest say how the
    call stands, and completions of applications do not pass through this queue."""
    farewell_s: float = 2.0


class OutboundStatistics(msgspec.Struct):
    """What the server has done."""

    served: int = 0
    active: int = 0
    refused: int = 0
    """Closed because `OutboundSettings.max_sessions` calls were being served."""
    failed: int = 0
    """Connections that did not begin as an Event Socket does."""
    events_dropped: int = 0


class Session:
    """One call in our hands."""

    def __init__(self, settings: OutboundSettings, statistics: OutboundStatistics) -> None:
        self._settings = settings
        self._statistics = statistics
        self._link: Link
        self.channel: Event
        """The channel as it was when the switch called: every header and variable."""
        self.uuid = ""
        self.is_async = False
        self.is_full = False
        self.hangup_cause = ""
        """Empty while the call lives."""
        self._events: deque[Event] = deque()
        self._wake = trio.Event()
        self._running: dict[str, _Run] = {}
        self._hung_up = trio.Event()
        self._completed = trio.Event()
        self.last_event: Event | None = None
        """CHANNEL_HANGUP_COMPLETE, with durations and statistics, once it came (lingering connections only)."""

    async def execute(
        self, app: str, argument: str = "", *, deadline_s: float = 60.0, lock: bool = False
    ) -> Event:
        """Run an application and wait for its end; returns CHANNEL_EXECUTE_COMPLETE.

        Some applications never end (``park``, ``conference``): use `start` for those. Raises `CommandRefused`,
        `NotSent`, and `OutcomeUnknown` when the deadline passes or the call ends before the application is
        told to have ended.
        """
        end = trio.current_time() + deadline_s
        event_uuid = str(uuids.uuid4())
        run = self._running[event_uuid] = _Run()
        try:
            # On a synchronous connection this answer comes only when the application has ended.
            await self._send_execute(app, argument, event_uuid, lock, deadline_s)
            with trio.move_on_at(end):
                await run.ended.wait()
        finally:
            del self._running[event_uuid]
        if run.event is None:
            raise OutcomeUnknown(
                "the call ended first" if run.ended.is_set() else f"{app} did not end within {deadline_s:g} s"
            )
        return run.event

    async def start(
        self, app: str, argument: str = "", *, deadline_s: float = 5.0, lock: bool = False
    ) -> str:
        """Run an application without waiting for its end; returns the id that its events carry as Application-UUID."""
        event_uuid = str(uuids.uuid4())
        await self._send_execute(app, argument, event_uuid, lock, deadline_s)
        return event_uuid

    async def message(
        self, headers: Mapping[str, str], *, body: bytes = b"", deadline_s: float = 5.0
    ) -> None:
        """Any other ``sendmsg`` to this call."""
        await self._link.confirm(commands.sendmsg("", headers, body), deadline_s=deadline_s)

    async def getvar(self, variable: str, *, deadline_s: float = 5.0) -> str | None:
        """A channel variable as it is now, None when it is not set.

        Without ``full`` the switch cuts the value at 511 bytes; with it, any length is whole.
        """
        if self.is_full:
            text = await self._link.api(commands.uuid_getvar(self.uuid, variable), deadline_s=deadline_s)
            return None if text == "_undef_" else text
        frame = await self._link.command(f"getvar {checked_name(variable)}", deadline_s=deadline_s)
        return None if frame.reply_text == NO_SUCH else frame.reply_text

    async def setvar(self, variable: str, value: str, *, deadline_s: float = 5.0) -> None:
        """Set a channel variable, by the ``set`` application; ``${`` in the value is refused."""
        await self.execute(
            "set", f"{checked_name(variable)}={no_expansion(value, 'a variable')}", deadline_s=deadline_s
        )

    async def api(self, line: str, *, deadline_s: float = 5.0) -> str:
        """Run an api command on this connection. Raises `CommandError` when the dialplan did not say ``full``."""
        self._must_be_full()
        return await self._link.api(line, deadline_s=deadline_s)

    async def subscribe(self, keywords: list[str], *, deadline_s: float = 5.0) -> None:
        """Receive more kinds of events of this call. Needs ``full``."""
        self._must_be_full()
        await self._link.confirm(commands.subscribe(keywords), deadline_s=deadline_s)

    async def hangup(self, cause: str = "NORMAL_CLEARING", *, deadline_s: float = 5.0) -> None:
        """Ask for the end of the call; `wait_hangup` tells when it came."""
        await self.message(commands.hangup(cause), deadline_s=deadline_s)

    async def resume(self, *, deadline_s: float = 5.0) -> None:
        """Let the dialplan go on behind ``socket`` when we are done."""
        await self._link.confirm("resume", deadline_s=deadline_s)

    async def receive(self) -> Event | None:
        """The call's next event; None when the connection has ended and all were received."""
        await trio.lowlevel.checkpoint()
        while not self._events:
            if self._link.closed:
                return None
            self._wake = trio.Event()
            await self._wake.wait()
        return self._events.popleft()

    async def wait_hangup(self) -> str:
        """Wait until the call has ended and return the cause (empty when the connection was lost instead)."""
        await self._hung_up.wait()
        return self.hangup_cause

    async def wait_complete(self) -> Event | None:
        """Wait for the call's last event, which has its durations; None when this connection does not get it."""
        await self._completed.wait()
        return self.last_event

    def _must_be_full(self) -> None:
        if not self.is_full:
            raise CommandError("the dialplan opened this socket without 'full'")

    async def _send_execute(
        self, app: str, argument: str, event_uuid: str, lock: bool, deadline_s: float
    ) -> None:
        headers, body = commands.execute(app, argument, event_uuid=event_uuid, lock=lock)
        await self.message(headers, body=body, deadline_s=deadline_s)

    # --- what the server does -----------------------------------------------------------------------------

    async def begin(self, link: Link) -> None:
        """Take the call over. Raises `EslError` when the far side is no switch."""
        self._link = link
        frame = await link.command("connect", deadline_s=self._settings.connect_s)
        channel = frame.event()
        if channel is None:
            raise ProtocolError("the answer to connect is no channel")
        self.channel = channel
        self.uuid = channel.get("Unique-ID") or channel.get("Channel-Unique-ID") or ""
        self.is_async = frame.header("Socket-Mode") == "async"
        self.is_full = frame.header("Control") == "full"
        await link.confirm("myevents plain")
        if self.is_full and self.is_async and self._settings.linger_s:
            await link.confirm(f"linger {self._settings.linger_s}")

    def on_events(self, events: list[Event]) -> None:
        for event in events:
            name = event.name
            if name == "CHANNEL_EXECUTE_COMPLETE":
                run = self._running.get(event.exact("Application-UUID") or "")
                if run is not None:
                    run.event = event
                    run.ended.set()
            elif name == "CHANNEL_HANGUP" and event.uuid == self.uuid:
                self.hangup_cause = event.get("Hangup-Cause") or "NONE"
                self._hung_up.set()
            elif name == "CHANNEL_HANGUP_COMPLETE" and event.uuid == self.uuid:
                self.last_event = event
                self._no_more()
            if len(self._events) >= self._settings.max_events:
                self._events.popleft()
                self._statistics.events_dropped += 1
            self._events.append(event)
        self._wake.set()

    def _no_more(self) -> None:
        """Applications that have not ended by now never will."""
        self._completed.set()
        for run in self._running.values():
            run.ended.set()

    async def follow(self) -> None:
        """Tell everybody who waits when the connection ends."""
        await self._link.wait_closed()
        self._hung_up.set()
        self._no_more()
        self._wake.set()

    async def leave(self) -> None:
        """Say ``exit``, so that the switch can forget the call."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + self._settings.farewell_s):
            try:
                await self._link.command("exit", deadline_s=self._settings.farewell_s, guarded=False)
            except EslError:
                return  # it closed first, which is as good


class _Run:
    """An application under way."""

    __slots__ = ("ended", "event")

    def __init__(self) -> None:
        self.ended = trio.Event()
        self.event: Event | None = None


class OutboundServer:
    """Accepts the switch's connections and runs ``handler`` once for each."""

    def __init__(
        self, handler: Callable[[Session], Awaitable[None]], settings: OutboundSettings | None = None
    ) -> None:
        self._handler = handler
        self._settings = settings or OutboundSettings()
        self.statistics = OutboundStatistics()

    async def serve(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen until cancelled; ``task_status`` gets the port, which may have been asked for as 0.

        Errors of the link end the call's task only. Any other exception of the handler is a bug and ends the
        server.
        """
        listeners = await trio.open_tcp_listeners(port, host=host)
        bound: int = listeners[0].socket.getsockname()[1]
        task_status.started(bound)
        await trio.serve_listeners(self.serve_stream, listeners)

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """One call over a connected stream."""
        numbers = self.statistics
        if numbers.active >= self._settings.max_sessions:
            numbers.refused += 1
            await trio.aclose_forcefully(stream)
            return
        numbers.active += 1
        try:
            async with _session(stream, self._settings, numbers) as session:
                numbers.served += 1
                await self._handler(session)
        except CommandRefused as exc:
            LOG.info("the switch refused", answer=exc.text)
        except EslError as exc:
            LOG.info("a call's connection ended", reason=str(exc))
        finally:
            numbers.active -= 1


@asynccontextmanager
async def _session(
    stream: trio.abc.Stream, settings: OutboundSettings, statistics: OutboundStatistics
) -> AsyncIterator[Session]:
    session = Session(settings, statistics)
    async with attach_link(stream, on_events=session.on_events) as link:
        try:
            await session.begin(link)
        except EslError:
            statistics.failed += 1
            raise
        async with beside(session.follow):
            try:
                yield session
            finally:
                await session.leave()
