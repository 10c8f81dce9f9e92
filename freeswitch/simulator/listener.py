"""One Event Socket connection as FreeSWITCH's listener thread runs it: commands in, replies and events out.

No I/O here: bytes come through `received`, leave through a `Pipe`, and time is the switch's. The scheduling
is the listener loop's (facts 3.13): a command that has arrived goes before queued events, a command that has
begun to arrive holds them back, ``api`` holds everything back until it returns, and an idle connection looks
at its queue every 20 ms.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from freeswitch.simulator.channel import Channel
from freeswitch.simulator.desk import Fired, Frame
from freeswitch.simulator.interest import Filters, Interest
from freeswitch.simulator.message import BadCommand, Message, Reader
from freeswitch.simulator.switch import Switch
from freeswitch.simulator.timing import Timer
from freeswitch.simulator.wire import to_bytes

GOODBYE = "Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"
LOST_KILL = 501
"""So many events lost in a row end a connection (MAX_MISSED is 500)."""
REPLY_LIMIT = 511
"""A reply's text is cut at so many bytes (reply[512])."""
LOG_QUEUE = 100_000


class Pipe(Protocol):
    """The way out to one peer."""

    @property
    def congested(self) -> bool:
        """Whether the peer does not read: sending more would block the listener thread."""

    def send(self, data: bytes) -> None:
        """Send ``data``, or keep it until the peer reads."""

    def close(self) -> None:
        """Close once everything has been sent."""


class Listener:
    """One connection. ``run`` executes a command line and answers through the listener."""

    def __init__(
        self,
        switch: Switch,
        pipe: Pipe,
        number: int,
        remote: str,
        command: Callable[["Listener", Message], None],
        *,
        channel: Channel | None = None,
    ) -> None:
        self.switch = switch
        self.pipe = pipe
        self.number = number
        self.remote = remote
        self._command = command
        self.reader = Reader()
        self.interest = Interest()
        self.filters = Filters()
        self.queue: deque[Frame] = deque()
        self.logs: deque[bytes] = deque()
        self.authed = channel is not None
        self.allow_log = True
        self.allowed_api: set[str] | None = None
        self.log_level: int | None = None
        self.lost = 0
        self.closed = False
        self.busy = False
        """A command is being executed: nothing else happens on this connection."""
        self.stalled = False
        """A fault: the thread stands still."""
        self.channel = channel
        """The channel an outbound connection controls, or that ``myevents`` tied to an inbound one."""
        self.outbound = channel is not None
        self.full = True
        self.sync = False
        self.my_events = False
        self.connected = False
        self.first_reply = self.outbound
        """An outbound connection swallows the reply to its first command."""
        self.controlled: Any = None
        """What runs the messages of a sync outbound connection (`outbound.Control`)."""
        self.linger_s: float | None = None
        """Seconds to stay after the hangup; infinite for until the client leaves."""
        self.lingering = False
        self.resume = False
        self.commands = 0
        self.on_closed: Callable[[], None] = lambda: None
        self._flush: Timer | None = None
        self._auth_timer: Timer | None = None

    # -- life ----------------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin: ask for a password (inbound) and give the peer 25 s for its first command."""
        self.switch.listeners[self.number] = self
        if not self.outbound:
            self.pipe.send(b"Content-Type: auth/request\n\n")
        self._auth_timer = self.switch.threads.after(self.switch.settings.auth_timeout_s, self._silent)

    def _silent(self) -> None:
        if not self.commands and not self.closed:
            self.disconnect(GOODBYE)

    def disconnect(self, text: str) -> None:
        """Send a disconnect notice with ``text`` and close."""
        if self.closed:
            return
        lines = "Content-Type: text/disconnect-notice\n"
        if self.channel is not None:
            lines += f"Controlled-Session-UUID: {self.channel.uuid}\nContent-Disposition: disconnect\n"
        body = text.encode()
        self.pipe.send(to_bytes(f"{lines}Content-Length: {len(body)}\n\n") + body)
        self.end()

    def end(self) -> None:
        """Close without a word."""
        if self.closed:
            return
        self.closed = True
        self.queue.clear()
        self.logs.clear()
        self.switch.listeners.pop(self.number, None)
        self.switch.desk.changed()
        if self._flush is not None:
            self._flush.cancel()
        if self._auth_timer is not None:
            self._auth_timer.cancel()
        self.pipe.close()
        if self.channel is not None:
            self.channel.holders.discard(self)
            self.channel.wake()
        self.on_closed()

    # -- events in -----------------------------------------------------------------------------------

    def takes(self, kind: str) -> bool:
        """Say whether events of ``kind`` may be for this connection."""
        return self.authed and not self.closed and self.interest.takes(kind)

    def session_changed(self) -> None:
        """The channel this connection is tied to hung up: look at it at the next poll."""
        if not self.closed and self._flush is None and not self.busy:
            poll = self.switch.settings.poll_s
            self._flush = self.switch.threads.after(poll, self.pump)

    def offer(self, event: Fired) -> None:
        """Take an event if the filters let it pass; lose it when the queue is full."""
        if self.closed:
            return
        if self.filters and not self.filters.pass_event(event.header):
            return
        if self.my_events and not self._mine(event):
            return
        self.enqueue(event.frame(self.interest.form))

    def take(self, event: Fired) -> None:
        """Take an event that was diverted to this connection, past subscriptions and filters."""
        if not self.closed and self.interest.enabled:
            self.enqueue(event.frame(self.interest.form))

    def controls(self, channel: Channel) -> bool:
        """Say whether this is the connection that controls ``channel``."""
        return self.channel is channel

    def _mine(self, event: Fired) -> bool:
        # With a uuid that was already gone there is no session to compare with: everything that has a
        # uuid passes. FreeSWITCH really does that (facts 0.9).
        if self.channel is None:
            return bool(event.uuid)
        if event.uuid == self.channel.uuid:
            return True
        return event.origin.event == "BACKGROUND_JOB" and event.header("Job-Owner-UUID") == self.channel.uuid

    def enqueue(self, frame: Frame) -> None:
        """Queue an event for sending."""
        if len(self.queue) >= self.switch.settings.event_queue:
            self._lose()
            return
        self.queue.append(frame)
        if self.lost:
            lost, self.lost = self.lost, 0
            size, limit = len(self.queue), self.switch.settings.event_queue
            self._crit(f"Lost [{lost}] events! Event Queue size: [{size}/{limit}]", 390)
        if self._flush is None and not self.busy:
            poll = self.switch.settings.poll_s
            self._flush = self.switch.threads.after(self.switch.rng.random() * poll, self.pump)

    def _lose(self) -> None:
        self.lost += 1
        size, limit = len(self.queue), self.switch.settings.event_queue
        self._crit(
            f"Event enqueue ERROR [70015] | [Could not find specified socket in poll list.] | Queue size: "
            f"[{size}/{limit}] Max queue size reached",
            396,
        )
        if self.lost >= LOST_KILL:
            self._crit(
                "Killing listener because of too many lost events. "
                f"Lost [{self.lost}] Queue size[{size}/{limit}]",
                400,
            )
            self.killed("killed listener because of lost events\n")

    def _crit(self, text: str, line: int) -> None:
        self.switch.log(2, text, file="mod_event_socket.c", function="event_handler", line=line)

    def killed(self, text: str) -> None:
        """End the connection from outside its thread: event dispatch itself writes the farewell.

        When the peer does not read, that write blocks, and every other connection with it (facts 0.1).
        """
        if self.pipe.congested and self.switch.settings.freeze_when_stuck:
            self.stalled = True
            self.switch.on_stuck(self)
            return
        self.disconnect(text)

    def log_line(self, level: int, head: bytes, text: bytes) -> None:
        """Queue a log line if lines of ``level`` are wanted."""
        if self.log_level is None or level > self.log_level or len(self.logs) >= LOG_QUEUE:
            return
        self.logs.append(head + text)
        if self._flush is None and not self.busy:
            poll = self.switch.settings.poll_s
            self._flush = self.switch.threads.after(self.switch.rng.random() * poll, self.pump)

    # -- the loop ------------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Take bytes from the peer."""
        if self.closed:
            return
        self.reader.feed(data)
        self.pump()

    def peer_left(self) -> None:
        """The peer closed its side."""
        self.end()

    def pump(self) -> None:
        """Do what the thread would do now: commands first, then everything queued."""
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        while not (self.closed or self.busy or self.stalled or self.switch.frozen or self.pipe.congested):
            try:
                message = self.reader.take()
            except BadCommand:
                self.disconnect(GOODBYE)
                return
            if message is None:
                break
            self.commands += 1
            self._command(self, message)
        self._drain()

    def _drain(self) -> None:
        queue, pipe = self.queue, self.pipe
        if self.closed or self.busy or self.stalled or self.switch.frozen or self.reader.partial:
            return
        if not self.first_reply or self.connected:
            while queue and not pipe.congested:
                envelope, body = queue.popleft()
                pipe.send(envelope)
                pipe.send(body)
            # One log line a turn of the loop, events first.
            while self.logs and not pipe.congested:
                pipe.send(self.logs.popleft())
        if self.channel is not None and self.channel.down and not self.lingering and not queue:
            self._session_over(self.channel)

    def _session_over(self, channel: Channel) -> None:
        """The controlled channel hung up: close, or linger and say so."""
        if self.linger_s is None:
            self.disconnect(GOODBYE)
            return
        self.lingering = True
        endless = self.linger_s == float("inf")
        seconds = -1 if endless else int(self.linger_s)
        self.pipe.send(
            to_bytes(
                "Content-Type: text/disconnect-notice\n"
                f"Controlled-Session-UUID: {channel.uuid}\n"
                "Content-Disposition: linger\n"
                f"Channel-Name: {channel.name}\n"
                f"Linger-Time: {seconds}\n"
                "Content-Length: 0\n\n"
            )
        )
        if not endless:
            # Whole seconds of the wall clock: between N and N+1 of them pass.
            wall = self.switch.clock.now_us() % 1_000_000 / 1_000_000
            self.switch.threads.after(seconds + 1.0 - wall, self.disconnect, GOODBYE)

    def writable(self) -> None:
        """The peer has read what was kept: go on."""
        self.pump()

    # -- replies -------------------------------------------------------------------------------------

    def reply(self, text: str) -> None:
        """Answer a command with ``Reply-Text`` (cut at 511 bytes)."""
        if self.first_reply:
            # An outbound connection answers nothing to its first command, unless that is connect.
            self.first_reply = False
            return
        cut = to_bytes(text)[:REPLY_LIMIT]
        self.pipe.send(b"Content-Type: command/reply\nReply-Text: %b\n\n" % cut)

    def reply_headers(self, lines: str) -> None:
        """Answer a command with header lines of its own choice."""
        self.first_reply = False
        self.pipe.send(to_bytes(f"Content-Type: command/reply\n{lines}\n"))

    def respond(self, body: str) -> None:
        """Answer ``api``."""
        self.first_reply = False
        data = to_bytes(body) or b"-ERR no reply\n"
        self.pipe.send(b"Content-Type: api/response\nContent-Length: %d\n\n" % len(data))
        self.pipe.send(data)

    def hold(self) -> Callable[[Any], None]:
        """Mark the connection busy; calling what this returns with the answer ends that."""
        self.busy = True

        def done(answer: Any) -> None:
            self.busy = False
            if self.closed:
                return
            if answer is not None:
                answer()
            self.pump()

        return done
