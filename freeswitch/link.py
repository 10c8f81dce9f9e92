"""One connection to a switch: authenticated, pipelined, and always read.

The switch answers commands in the order they came, so replies are matched by their place in a queue. Two rules
keep the places right: a command is queued and written under one lock, whole, in one send (a half-sent command
also stops the delivery of events); and an asker who gives up leaves the place behind, so that the late answer
falls into it and not on the next asker.

The reader never waits for anyone. Events are handed over per read, as a list, to a plain function that must
return at once; the policy for a slow consumer is that function's (see `freeswitch.inbox`). A reader that
stopped would freeze the Event Socket of the whole switch.

When the link is lost every command that waits fails: `NotSent` when the switch cannot have a whole command,
`OutcomeUnknown` when it may.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import trio

from freeswitch import commands
from freeswitch.beside import beside
from freeswitch.endpoint import Connect, Endpoint, dial
from freeswitch.errors import (
    AuthRefused,
    CommandRefused,
    EslError,
    NotSent,
    OutcomeUnknown,
    ProtocolError,
)
from freeswitch.esl import Decoder, Event, Frame

__all__ = ["Endpoint", "Link", "LinkStatistics", "attach_link", "open_link", "refuse_errors"]

RECEIVE_BYTES = 120 * 1024
"""Events are handed over per read: large reads make few, large batches when it matters. From 128 KiB on malloc maps
fresh memory for every read, whose page faults cost more than the reads they save (measured: a third of all CPU)."""

SEND_LIMIT_S = 5.0
"""A switch that takes no command for so long has stopped reading; a command is a few hundred bytes."""

MAX_PENDING = 10_000
"""Unanswered commands on one link. The switch answers 15,000 cheap ones a second; more would only grow old here."""


class LinkStatistics(msgspec.Struct):
    """What one connection has seen."""

    bytes_received: int = 0
    frames: int = 0
    events: int = 0
    malformed: int = 0
    """Events that were announced and could not be read."""
    unknown: int = 0
    """Frames of a kind we do not know, skipped by their length."""
    commands: int = 0
    pending: int = 0


class _Asker:
    __slots__ = ("answered", "error", "frame", "queued", "since")

    def __init__(self, since: float) -> None:
        self.answered = trio.Event()
        self.frame: Frame | None = None
        self.error: EslError | None = None
        self.queued = False
        self.since = since


class Link:
    """One connection. Made by `open_link` (we call the switch) or `attach_link` (over any trio stream)."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        guard: Callable[[], None] | None = None,
        on_events: Callable[[list[Event]], None] | None = None,
        on_log: Callable[[Frame], None] | None = None,
        record: Callable[[bytes], None] | None = None,
    ) -> None:
        self._stream = stream
        self._guard = guard
        self._on_events = on_events
        self._on_log = on_log
        self._record = record
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._decoder = Decoder()
        self._askers: deque[_Asker] = deque()
        self._line = trio.StrictFIFOLock()
        self._scope = trio.CancelScope()
        self._invited = trio.Event()
        self._closed = trio.Event()
        self._refused = False
        self.reason = ""
        """Why the link ended; empty while it lives."""
        self.notice = ""
        """First line of the switch's farewell, if it sent one."""
        self.received_at = trio.current_time()
        """trio's clock when the last bytes came."""
        self._statistics = LinkStatistics()

    # --- asking -------------------------------------------------------------------------------------------

    async def command(self, line: str | bytes, *, deadline_s: float = 5.0, guarded: bool = True) -> Frame:
        """Send one command and return the answer, whatever it says.

        ``line`` is text for a command of one line, or bytes from `freeswitch.commands`. Raises `NotSent` or
        `OutcomeUnknown`. `guard` is called right before the bytes go; what it raises becomes `NotSent`.
        A caller that is cancelled while waiting leaves a command that the switch will carry out.
        """
        data = commands.command(line) if isinstance(line, str) else line
        asker = _Asker(trio.current_time())
        with trio.move_on_after(deadline_s):
            async with self._line:
                self._check_open()
                if guarded and self._guard is not None:
                    try:
                        self._guard()
                    except NotSent:
                        raise
                    except Exception as exc:  # its reason is the caller's, and is kept as the cause
                        raise NotSent(f"not allowed to command now: {exc}") from exc
                self._askers.append(asker)
                asker.queued = True
                self._statistics.commands += 1
                await self._send(data, asker)
            await asker.answered.wait()
        if asker.frame is not None:
            return asker.frame
        if asker.error is not None:
            raise asker.error
        if asker.queued:
            raise OutcomeUnknown(f"no answer within {deadline_s:g} s")
        raise NotSent(f"the link was busy for {deadline_s:g} s")

    async def confirm(self, line: str | bytes, *, deadline_s: float = 5.0, guarded: bool = True) -> Frame:
        """Like `command`; raises `CommandRefused` when the answer is ``-ERR`` or ``-USAGE``."""
        frame = await self.command(line, deadline_s=deadline_s, guarded=guarded)
        refuse_errors(frame.reply_text)
        return frame

    async def api(self, line: str, *, deadline_s: float = 5.0, guarded: bool = True) -> str:
        """Run an api command and return its output. Raises `CommandRefused` for ``-ERR`` and ``-USAGE``.

        Nothing else is answered on this link, and no event delivered, until the switch is done with it.
        """
        frame = await self.command(commands.api(line), deadline_s=deadline_s, guarded=guarded)
        if frame.content_type != "api/response":
            raise CommandRefused(frame.reply_text)
        text = frame.body.decode("utf-8", "replace")
        refuse_errors(text)
        return text

    def oldest_wait_s(self) -> float:
        """For how long the oldest unanswered command has been waiting; 0 when there is none."""
        return trio.current_time() - self._askers[0].since if self._askers else 0.0

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise NotSent(f"the link is down: {self.reason}")
        if len(self._askers) >= MAX_PENDING:
            raise NotSent(f"{MAX_PENDING} commands are unanswered already")

    async def _send(self, data: bytes, asker: _Asker) -> None:
        """Write a whole command whatever happens to the caller meanwhile; the link ends if that fails."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + SEND_LIMIT_S) as scope:
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
                # The end of the command never reached the kernel, so the switch has no command to run.
                if asker in self._askers:
                    self._askers.remove(asker)
                self.abort("the connection broke")
                raise NotSent("the connection broke while writing") from exc
        if scope.cancelled_caught:
            self.abort(f"the switch took no command for {SEND_LIMIT_S:g} s")

    # --- reading ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read until the connection ends. Never raises for what the switch does; see `reason`."""
        reason = "closed by the switch"
        try:
            with self._scope:
                while data := await self._stream.receive_some(RECEIVE_BYTES):
                    self._take(bytes(data))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            reason = f"the connection broke ({exc.__cause__ or exc or type(exc).__name__})"
        except ProtocolError as exc:
            reason = f"not the Event Socket: {exc}"
        finally:
            self._end(self.notice or reason)

    def abort(self, reason: str) -> None:
        """End the link now; it is closed when `wait_closed` returns."""
        self.reason = self.reason or reason
        self._scope.cancel()

    async def wait_closed(self) -> str:
        """Wait until the link has ended and return why."""
        await self._closed.wait()
        return self.reason

    @property
    def pending(self) -> int:
        """How many commands are unanswered."""
        return len(self._askers)

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    def statistics(self) -> LinkStatistics:
        self._statistics.pending = len(self._askers)
        return self._statistics

    def _end(self, reason: str) -> None:
        self.reason = self.reason or reason
        self._closed.set()
        self._invited.set()
        while self._askers:
            asker = self._askers.popleft()
            asker.error = OutcomeUnknown(f"the link was lost before the answer: {self.reason}")
            asker.answered.set()

    def _take(self, data: bytes) -> None:
        statistics = self._statistics
        statistics.bytes_received += len(data)
        self.received_at = trio.current_time()
        frames = self._decoder.feed(data)
        if self._record is not None:
            self._keep(data, self._record)
        statistics.frames += len(frames)
        events: list[Event] = []
        for frame in frames:
            kind = frame.content_type
            if kind == "text/event-plain":
                events.append(Event(frame.body))
            elif kind.startswith("text/event-"):
                try:
                    event = frame.event()
                except ProtocolError:
                    event = None
                if event is None:
                    statistics.malformed += 1
                else:
                    events.append(event)
            else:
                self._take_other(kind, frame)
        if events:
            statistics.events += len(events)
            if self._on_events is not None:
                self._on_events(events)
        if self._decoder.broken is not None:
            raise ProtocolError(self._decoder.broken)

    def _take_other(self, kind: str, frame: Frame) -> None:
        if kind in ("command/reply", "api/response"):
            if not self._askers:
                raise ProtocolError("an answer that nobody asked for")
            asker = self._askers.popleft()
            asker.frame = frame
            asker.answered.set()
        elif kind == "auth/request":
            self._invited.set()
        elif kind == "log/data":
            if self._on_log is not None:
                self._on_log(frame)
        elif kind == "text/rude-rejection":
            self._refused = True
            self.notice = "refused by the switch's access list"
            self._invited.set()
        elif kind == "text/disconnect-notice":
            # With linger the first notice only announces that the call has ended and events go on.
            if frame.header("Content-Disposition") != "linger" and not self.notice:
                self.notice = frame.body.decode("utf-8", "replace").partition("\n")[0].strip()
        else:
            self._statistics.unknown += 1

    def _keep(self, data: bytes, record: Callable[[bytes], None]) -> None:
        """Hand on the bytes of whole frames only: a connection that breaks inside one leaves no half frame."""
        self._held.append(data)
        self._held_bytes += len(data)
        rest = self._decoder.buffered
        if rest >= self._held_bytes:
            return
        whole = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        self._held = [whole[len(whole) - rest :]] if rest else []
        self._held_bytes = rest
        record(whole[: len(whole) - rest])

    async def authenticate(self, endpoint: Endpoint, *, limit_s: float) -> None:
        """Answer the switch's invitation. Raises `AuthRefused`; `NotSent` when the switch does not speak."""
        with trio.move_on_after(limit_s):
            await self._invited.wait()
        if self.closed or self._refused:
            raise AuthRefused(self.reason or self.notice)
        if not self._invited.is_set():
            raise NotSent(f"the switch said nothing for {limit_s:g} s")
        word = (
            commands.userauth(endpoint.user, endpoint.password)
            if endpoint.user
            else commands.auth(endpoint.password)
        )
        frame = await self.command(word, deadline_s=limit_s, guarded=False)
        if not frame.reply_text.startswith("+OK"):
            raise AuthRefused(frame.reply_text or "the switch did not accept the password")


def refuse_errors(text: str) -> None:
    """Raise `CommandRefused` when an answer begins with ``-ERR`` or ``-USAGE``.

    Only the beginning counts: commands answer ``+OK``, a bare value or several lines as they like.
    """
    if text.startswith(("-ERR", "-USAGE")):
        raise CommandRefused(text.rstrip("\n"))


@asynccontextmanager
async def attach_link(
    stream: trio.abc.Stream,
    *,
    guard: Callable[[], None] | None = None,
    on_events: Callable[[list[Event]], None] | None = None,
    on_log: Callable[[Frame], None] | None = None,
    record: Callable[[bytes], None] | None = None,
) -> AsyncIterator[Link]:
    """Read a connected stream until the block is left, which also closes it. No authentication."""
    link = Link(stream, guard=guard, on_events=on_events, on_log=on_log, record=record)
    try:
        async with beside(link.run):
            yield link
    finally:
        link.abort("closed by us")
        await trio.aclose_forcefully(stream)


@asynccontextmanager
async def open_link(
    endpoint: Endpoint,
    *,
    guard: Callable[[], None] | None = None,
    on_events: Callable[[list[Event]], None] | None = None,
    on_log: Callable[[Frame], None] | None = None,
    record: Callable[[bytes], None] | None = None,
    limit_s: float = 10.0,
    connect: Connect = dial,
) -> AsyncIterator[Link]:
    """Connect and authenticate within ``limit_s`` each, and hold the link while the block runs.

    ``connect`` makes the stream: TCP unless told otherwise.
    Raises `NotSent` when nobody answers there, `AuthRefused` when the switch does not let us in.
    """
    try:
        with trio.fail_after(limit_s):
            stream = await connect(endpoint)
    except (OSError, trio.TooSlowError) as exc:
        raise NotSent(f"no connection to {endpoint}: {str(exc) or 'too slow'}") from exc
    async with attach_link(stream, guard=guard, on_events=on_events, on_log=on_log, record=record) as link:
        await link.authenticate(endpoint, limit_s=limit_s)
        yield link
