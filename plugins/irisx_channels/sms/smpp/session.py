"""One SMPP session, pure: bytes and times in, events and bytes out. Whoever owns the socket and the clock drives it.

A session binds, keeps a window of unanswered messages, asks whether the other side is alive, and ends once. Nothing the
centre sends raises: what is wrong with it ends the session, with the reason in `Lost`.

What is known about a message is kept exact. Until its bytes were taken (`take`) it has certainly not been sent; after
that an end of the session leaves its outcome unknown. The window closes by half when the centre says "too fast", with a
pause that doubles, and opens by one for every windowful of accepted messages.
"""

from collections import deque
from collections.abc import Iterator

from msgspec import Struct

from irisx_channels.sms.smpp import codec, words
from irisx_channels.sms.smpp.codec import BadStream, BadUnit, Bind, Decoder, Pdu, Short

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 8.0
MAX_PENDING_OUT = 1 << 20
"""Bytes that wait for the socket: a centre that reads nothing is dead long before."""


class Bound(Struct, frozen=True):
    """The centre let us in."""

    system_id: str
    version: int


class Delivered(Struct, frozen=True):
    """A ``deliver_sm`` or ``data_sm``: answer it with `Session.answer`."""

    sequence: int
    command: int
    short: Short
    body: bytes


class Answered(Struct, frozen=True):
    """What became of a message of ours. ``status`` None: nobody knows (`late`: in time, `gone`: the bytes had left)."""

    sequence: int
    status: int | None
    id: str = ""
    gone: bool = True


class Lost(Struct, frozen=True):
    """The end. ``refused`` is the status of a bind that was turned down."""

    reason: str
    refused: int | None = None


class NotBound(Exception):
    """A message for a session that takes none, or takes none now."""


Event = Bound | Delivered | Answered | Lost


class _Asked(Struct):
    command: int
    until: float
    gone: bool = False


class Session:
    """Times are seconds of any one clock."""

    def __init__(
        self, bind: Bind, *, now: float, window: int = 10, enquire_s: float = 30, response_s: float = 30
    ) -> None:
        self.bound = False
        self.lost: Lost | None = None
        self.leaving = False
        self.window = window
        self.limit = window
        """How many unanswered messages are allowed at the moment."""
        self.throttled = 0
        self.surprises = 0
        """Answers to nothing, and commands that nobody knows."""
        self.heard = 0
        """The newest request of ours that was answered: what the centre was sent before it, it has read."""
        self._enquire_s = enquire_s
        self._response_s = response_s
        self._decoder = Decoder()
        self._out: deque[tuple[bytes, int]] = deque()
        self._out_size = 0
        self._asked: dict[int, _Asked] = {}
        self._sequence = 0
        self._last_heard = now
        self._hold_until = 0.0
        self._pause = 0.0
        self._accepted = 0
        self._ask(words.BIND_TRANSCEIVER, codec.bind_body(bind), now)

    @property
    def sequence(self) -> int:
        """The newest number that a request of ours got."""
        return self._sequence

    @property
    def outstanding(self) -> int:
        """Messages without an answer."""
        return sum(one.command == words.SUBMIT_SM for one in self._asked.values())

    # In -------------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> list[Event]:
        """What the centre said; no bytes: it hung up."""
        if self.lost is not None:
            return []
        if not data:
            return list(self._end("the centre hung up"))
        self._last_heard = now
        events: list[Event] = []
        try:
            for pdu in self._decoder.feed(data):
                events += self._response(pdu, now) if pdu.is_response else self._request(pdu)
                if self.lost is not None:
                    break
        except BadStream:
            events += self._end("the centre sent something that is no SMPP")
        return events

    def tick(self, now: float) -> list[Event]:
        """What time has brought: call it at `next_tick` at the latest."""
        if self.lost is not None:
            return []
        events: list[Event] = []
        for sequence, asked in list(self._asked.items()):
            if asked.until > now:
                continue
            if asked.command != words.SUBMIT_SM:
                return [*events, *self._end(_SILENT.get(asked.command, "the centre does not answer"))]
            del self._asked[sequence]
            events.append(Answered(sequence, None, gone=asked.gone))
        if now - self._last_heard >= self._enquire_s:
            self.enquire(now)
        if self._out_size > MAX_PENDING_OUT:
            events += self._end("the centre reads nothing")
        return events

    def next_tick(self) -> float:
        """When something happens at the latest."""
        times = [asked.until for asked in self._asked.values()]
        if self.bound and not self._enquiring:
            times.append(self._last_heard + self._enquire_s)
        return min(times, default=self._last_heard + self._enquire_s)

    # Out ------------------------------------------------------------------------------------------------------------

    def take(self) -> bytes:
        """Everything that is to be written, which now counts as written."""
        taken = b"".join(octets for octets, _ in self._out)
        for _, sequence in self._out:
            if sequence in self._asked:
                self._asked[sequence].gone = True
        self._out.clear()
        self._out_size = 0
        return taken

    def wait_s(self, now: float) -> float | None:
        """How long the next message has to wait because we were too fast; None while the window is full."""
        if self.outstanding >= self.limit:
            return None
        return max(0.0, self._hold_until - now)

    def submit(self, short: Short, now: float) -> int:
        """Send a message; its sequence number.

        Raises `NotBound` unless the session is `bound` and `wait_s` is 0, `ValueError` for what fits in no unit.
        """
        if not self.bound or self.leaving or self.wait_s(now) != 0:
            raise NotBound
        return self._ask(words.SUBMIT_SM, codec.short_body(short), now)

    def answer(self, delivered: Delivered, status: int = words.OK) -> None:
        """Tell the centre that we have a message, or why not."""
        body = codec.id_body() if status == words.OK else b""
        self._put(Pdu(delivered.command | words.RESPONSE, status, delivered.sequence, body))

    def enquire(self, now: float) -> None:
        """Ask whether the centre is there, which also tells what it has read (`heard`)."""
        if self.bound and not self._enquiring:
            self._ask(words.ENQUIRE_LINK, b"", now)

    @property
    def _enquiring(self) -> bool:
        return any(one.command == words.ENQUIRE_LINK for one in self._asked.values())

    def leave(self, now: float) -> None:
        """Ask for the end, once: the centre answers after everything else."""
        if self.lost is None and self.bound and not self.leaving:
            self.leaving = True
            self._ask(words.UNBIND, b"", now)

    def broken(self, reason: str) -> list[Event]:
        """The socket is gone."""
        return [] if self.lost is not None else list(self._end(reason))

    # The rules ------------------------------------------------------------------------------------------------------

    def _request(self, pdu: Pdu) -> Iterator[Event]:
        if pdu.command == words.ENQUIRE_LINK:
            self._put(Pdu(pdu.command | words.RESPONSE, words.OK, pdu.sequence))
        elif pdu.command in (words.DELIVER_SM, words.DATA_SM):
            yield from self._delivery(pdu)
        elif pdu.command == words.UNBIND:
            self._put(Pdu(pdu.command | words.RESPONSE, words.OK, pdu.sequence))
            yield from self._end("the centre ended the session")
        elif pdu.command in (words.ALERT_NOTIFICATION, words.OUTBIND):
            pass  # these have no answer, and nothing in them is for us
        else:
            self.surprises += 1
            self._put(Pdu(words.GENERIC_NACK, words.BAD_COMMAND, pdu.sequence))

    def _delivery(self, pdu: Pdu) -> Iterator[Event]:
        try:
            if not self.bound:
                raise BadUnit("before the bind", words.BAD_STATE)
            read = codec.read_short if pdu.command == words.DELIVER_SM else codec.read_data
            yield Delivered(pdu.sequence, pdu.command, read(pdu.body), pdu.body)
        except BadUnit as bad:
            self.surprises += 1
            self._put(Pdu(pdu.command | words.RESPONSE, bad.status, pdu.sequence))

    def _response(self, pdu: Pdu, now: float) -> Iterator[Event]:
        asked = self._asked.pop(pdu.sequence, None)
        if asked is None or pdu.command not in (asked.command | words.RESPONSE, words.GENERIC_NACK):
            if asked is not None:
                self._asked[pdu.sequence] = asked
            self.surprises += 1
            return
        self.heard = max(self.heard, pdu.sequence)
        if asked.command == words.SUBMIT_SM:
            yield self._submitted(pdu, now)
        elif asked.command == words.BIND_TRANSCEIVER:
            if pdu.status != words.OK:
                yield from self._end("the centre does not let us in", refused=pdu.status)
                return
            self.bound = True
            yield Bound(*codec.read_bound(pdu.body))
        elif asked.command == words.UNBIND:
            yield from self._end("we ended the session")

    def _submitted(self, pdu: Pdu, now: float) -> Answered:
        # A nack without a status would read as success: it never is one.
        nack = pdu.command == words.GENERIC_NACK
        status = pdu.status or (words.BAD_COMMAND if nack else words.OK)
        if status in (words.THROTTLED, words.QUEUE_FULL):
            self.throttled += 1
            self.limit = max(1, self.limit // 2)
            self._accepted = 0
            self._pause = min(max(self._pause * 2, FIRST_PAUSE_S), LONGEST_PAUSE_S)
            self._hold_until = now + self._pause
        elif status == words.OK:
            self._pause = 0.0
            self._accepted += 1
            if self._accepted >= self.limit < self.window:
                self._accepted = 0
                self.limit += 1
        return Answered(pdu.sequence, status, codec.read_id(pdu.body) if status == words.OK else "")

    def _ask(self, command: int, body: bytes, now: float) -> int:
        # 0x7FFFFFFF is the last number (section 3.2); an old message may still hold the next one.
        while True:
            self._sequence = self._sequence % 0x7FFFFFFF + 1
            if self._sequence not in self._asked:
                break
        self._asked[self._sequence] = _Asked(command, now + self._response_s)
        self._put(Pdu(command, 0, self._sequence, body), self._sequence)
        return self._sequence

    def _put(self, pdu: Pdu, ours: int = 0) -> None:
        octets = codec.encode(pdu)
        self._out.append((octets, ours))
        self._out_size += len(octets)

    def _end(self, reason: str, refused: int | None = None) -> Iterator[Event]:
        self.lost = Lost(reason, refused)
        self.bound = False
        for sequence, asked in self._asked.items():
            if asked.command == words.SUBMIT_SM:
                yield Answered(sequence, None, gone=asked.gone)
        self._asked.clear()
        yield self.lost


_SILENT = {
    words.BIND_TRANSCEIVER: "the centre does not answer to the bind",
    words.ENQUIRE_LINK: "the centre is silent",
    words.UNBIND: "the centre does not answer to the end",
}
