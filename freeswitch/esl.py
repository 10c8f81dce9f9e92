"""Event Socket frames out of bytes, in any chunking. No socket, clock, task or logger.

A frame is a block of ``Name: value`` lines, an empty line and, when a Content-Length says so, that many bytes
(bytes, never characters). Envelope headers are not percent-encoded, with one exception: the reply to
``connect`` is a whole event in place of an envelope (see `Frame.event`).

What a decoder must never do is search the same bytes twice: a peer that drips one byte at a time would turn
that into quadratic work. So the place where the last search stopped is kept, and while a body is incomplete
its bytes are only collected.
"""

from freeswitch.errors import ProtocolError
from freeswitch.event import Event

__all__ = ["MAX_BODY", "MAX_HEADER", "Decoder", "Event", "Frame"]

MAX_HEADER = 1 << 20
"""The reply to ``connect`` holds every variable of a channel in its header block: 3 to 20 kB in practice. A
block without an end in a mebibyte is no Event Socket."""

MAX_BODY = 64 << 20
"""The largest body of a healthy switch is ``show channels as json``: about 1.2 kB a channel, so 24 MB for 20,000."""

_MAX_LENGTH_DIGITS = 12
_LENGTH = b"Content-Length: "
_PLAIN = b"\nContent-Type: text/event-plain\n\n"
_JSON = b"\nContent-Type: text/event-json\n\n"
_XML = b"\nContent-Type: text/event-xml\n\n"
_FORMS = {b"{": b"json", b"<": b"xml"}
_READERS = {
    "text/event-plain": Event,
    "text/event-json": Event.from_json,
    "text/event-xml": Event.from_xml,
}


class Frame:
    """One packet of the switch. ``head`` is its header block (every line with its line feed), ``body`` its body."""

    __slots__ = ("body", "content_type", "head")

    def __init__(self, content_type: str, head: bytes, body: bytes) -> None:
        self.content_type = content_type
        self.head = head
        self.body = body

    def header(self, name: str) -> str | None:
        """The value of an envelope header as it was sent, never percent-decoded; any casing of the name."""
        found = _line_of(self.head, name)
        return None if found is None else found.decode("utf-8", "replace")

    @property
    def reply_text(self) -> str:
        """The answer of a ``command/reply`` such as ``+OK accepted``; empty for other frames."""
        text = self.header("Reply-Text") or ""
        # ``connect`` answers with an encoded block: ``%2BOK%0A``. No plain reply begins with a percent sign
        # but a ``getvar`` of such a value, and that has no Socket-Mode.
        if text.startswith("%2B") and self.is_connect_reply:
            return "+" + text[3:].removesuffix("%0A")
        return text

    @property
    def is_connect_reply(self) -> bool:
        """True for the answer to ``connect``: an event written in place of an envelope."""
        return self.content_type == "command/reply" and b"\nSocket-Mode: " in self.head

    def event(self) -> Event | None:
        """The event that this frame carries, None for frames that carry none.

        Raises `ProtocolError` for a json or xml event that is none; the frames after it are still good.
        """
        reader = _READERS.get(self.content_type)
        if reader is not None:
            return reader(self.body)
        return Event.from_connect(self.head) if self.is_connect_reply else None

    def __repr__(self) -> str:
        return f"<Frame {self.content_type} {len(self.body)} bytes>"


class Decoder:
    """Turns a byte stream into frames; order is kept, and any chunking gives the same frames.

    After a `ProtocolError` the stream's framing is lost for good: every later `feed` raises it again.
    """

    __slots__ = ("_broken", "_max_body", "_max_header", "_need", "_pending", "_scanned")

    def __init__(self, *, max_header: int = MAX_HEADER, max_body: int = MAX_BODY) -> None:
        self._max_header = max_header
        self._max_body = max_body
        self._pending = bytearray()
        self._scanned = 0  # no header block ends before this place of the pending bytes
        self._need = 0  # so many pending bytes complete the frame; 0 while its header block is incomplete
        self._broken: str | None = None

    @property
    def buffered(self) -> int:
        """How many bytes wait for the rest of their frame."""
        return len(self._pending)

    @property
    def broken(self) -> str | None:
        """Why the stream cannot be read any further, None while it can. Ask after the frames were used."""
        return self._broken

    def feed(self, data: bytes) -> list[Frame]:
        """Return every frame that ``data`` completes, in order. Raises `ProtocolError`."""
        if self._broken is not None:
            raise ProtocolError(self._broken)
        out: list[Frame] = []
        try:
            if not self._pending:
                self._parse(data, out)
                return out
            pending = self._pending
            pending += data
            if self._ready():
                whole = bytes(pending)
                pending.clear()
                self._parse(whole, out)
            return out
        except ProtocolError as exc:
            self._broken = str(exc)
            self._pending = bytearray()
            if out:
                # What came before the damage is good; `broken` and the next call tell of the damage.
                return out
            raise

    def _ready(self) -> bool:
        """Whether the pending bytes hold a whole frame. Looks at each byte once over all calls."""
        pending = self._pending
        if not self._need:
            # The first empty line may begin in the last byte seen before.
            end = pending.find(b"\n\n", max(0, self._scanned - 1))
            if end < 0:
                self._scanned = len(pending)
                if self._scanned > self._max_header:
                    raise ProtocolError(f"no end of a header block in {self._scanned} bytes")
                return False
            self._need = end + 2 + self._length(bytes(pending[: end + 1]))
        if len(pending) < self._need:
            return False
        self._need = self._scanned = 0
        return True

    def _parse(self, data: bytes, out: list[Frame]) -> None:
        """Take every whole frame of ``data``; keep the rest as pending."""
        at = 0
        size = len(data)
        while at < size:
            if data.startswith(_LENGTH, at):
                # Nearly all traffic: an event, whose envelope is always these two lines in this order.
                stop = data.find(b"\n", at + 16, at + 16 + _MAX_LENGTH_DIGITS + 1)
                if stop < 0:
                    content_type, body_at = "", 0
                elif data.startswith(_PLAIN, stop):
                    content_type, body_at = "text/event-plain", stop + len(_PLAIN)
                else:
                    content_type, body_at = _other_event(data, stop)
                if body_at and (digits := data[at + 16 : stop]).isdigit():
                    next_at = body_at + int(digits)
                    if next_at - body_at > self._max_body:
                        raise ProtocolError(f"a body of {next_at - body_at} bytes is announced")
                    if next_at > size:
                        self._keep(data, at, need=next_at - at)
                        return
                    out.append(Frame(content_type, data[at : body_at - 1], data[body_at:next_at]))
                    at = next_at
                    continue
            if data[at] == 10:
                at += 1  # a stray line feed between frames (a reply text may end in one) is no frame
                continue
            end = data.find(b"\n\n", at)
            if end < 0:
                if size - at > self._max_header:
                    raise ProtocolError(f"no end of a header block in {size - at} bytes")
                self._keep(data, at, scanned=size - at)
                return
            head = data[at : end + 1]
            length = self._length(head)
            body_at = end + 2
            next_at = body_at + length
            if next_at > size:
                self._keep(data, at, need=next_at - at)
                return
            kind = _line_of(head, "Content-Type")
            if kind is None:
                raise ProtocolError("a header block without a Content-Type")
            out.append(Frame(kind.decode("utf-8", "replace"), head, data[body_at:next_at]))
            at = next_at

    def _keep(self, data: bytes, at: int, *, need: int = 0, scanned: int = 0) -> None:
        self._pending = bytearray(memoryview(data)[at:])
        self._need = need
        self._scanned = scanned

    def _length(self, head: bytes) -> int:
        """The body's length that a header block announces; 0 when it announces none."""
        if len(head) > self._max_header:
            raise ProtocolError(f"a header block of {len(head)} bytes")
        text = _line_of(head, "Content-Length")
        if text is None:
            return 0
        digits = text.strip()
        # int() would take signs, blanks and underscores.
        if not digits.isdigit() or len(digits) > _MAX_LENGTH_DIGITS:
            raise ProtocolError("a Content-Length that is no number")
        length = int(digits)
        if length > self._max_body:
            raise ProtocolError(f"a body of {length} bytes is announced")
        return length


def _other_event(data: bytes, stop: int) -> tuple[str, int]:
    """Content type and place of the body, when the envelope's second line at ``stop`` is json's or xml's."""
    if data.startswith(_JSON, stop):
        return "text/event-json", stop + len(_JSON)
    if data.startswith(_XML, stop):
        return "text/event-xml", stop + len(_XML)
    return "", 0


def _line_of(head: bytes, name: str) -> bytes | None:
    """The raw value of the first line of ``head`` with this name, in any casing."""
    key = name.encode("utf-8", "replace") + b":"
    if head.startswith(key):
        at = len(key)
    else:
        at = head.find(b"\n" + key)
        if at < 0:
            lower = b"\n" + head.lower()
            at = lower.find(b"\n" + key.lower())
            if at < 0:
                return None
            at -= 1
        at += len(key) + 1
    stop = head.find(b"\n", at)
    return head[at : stop if stop >= 0 else len(head)].strip(b" \r")


def frame_of(event: Event) -> bytes:
    """An event's frame as the switch sent it: the envelope's two headers, and the event's own bytes."""
    raw = event.raw
    form = _FORMS.get(raw[:1], b"plain")
    return b"Content-Length: %d\nContent-Type: text/event-%s\n\n%s" % (len(raw), form, raw)
