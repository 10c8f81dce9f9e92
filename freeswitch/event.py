"""One event of the switch, in any of the three formats, read lazily. Pure.

Most readers want two to twenty of an event's hundred headers. So a plain event keeps its bytes and each `get`
searches them: about a microsecond each, where a dictionary of everything costs a hundred. The search is bounded
by the end of the header block, so nothing inside the event's own body (a text message, the output of a
command) can pass for a header.

json and xml events are mappings from the start. xml is read by a scanner for exactly the shape that FreeSWITCH
writes: no entity is ever expanded, and header names that are no XML names (FreeSWITCH does not check) are fine.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from operator import itemgetter

import orjson

from freeswitch.errors import ProtocolError
from freeswitch.quoting import UNDEFINED, join_array, split_array, unquote_name, unquote_value
from freeswitch.words import EVENT_NAMES

_NAME_LINE = b"Event-Name: "
_LENGTH_LINE = b"\nContent-Length: "
_UNDEFINED = UNDEFINED.encode()
_NAMES = {name.encode(): name for name in EVENT_NAMES}
_NEEDLES: dict[str, bytes] = {}
_MAX_NEEDLES = 4096
"""Names come from our own code, so a few hundred; the limit is for callers who pass names from outside."""

_XML_HEADER = re.compile(rb"<([^\n]{1,1024}?)>([^<>]*)</\1>")
# A name has at most 1023 characters; without a limit a hostile line would be searched once for each of its signs.
_XML_REFERENCE = re.compile(rb"&(?:#x([0-9A-Fa-f]{1,6})|#([0-9]{1,7})|(amp|lt|gt|quot|apos));")
_XML_NAMED = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'"}


def _needle(name: str) -> bytes:
    if len(_NEEDLES) >= _MAX_NEEDLES:
        _NEEDLES.clear()
    needle = _NEEDLES[name] = b"\n" + name.encode("utf-8", "replace") + b": "
    return needle


class Event:
    """An event whose headers are looked up by name. This class holds the plain form."""

    __slots__ = ("_clear", "_end", "_lower", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        """The bytes as they came, for whoever wants to keep them."""
        self._clear = 0  # no Content-Length line stands before this place
        self._end = -1
        self._lower: bytes | None = None

    @staticmethod
    def from_connect(head: bytes) -> "Event":
        """The channel that `connect` answers with; ``head`` is the reply's whole header block."""
        return Event(head)

    @staticmethod
    def from_json(raw: bytes) -> "Event":
        """Raises `ProtocolError` when the text is not one JSON object."""
        return _MappedEvent(raw, *_read_json(raw), join_array)

    @staticmethod
    def from_xml(raw: bytes) -> "Event":
        """Raises `ProtocolError` when the text is not an event as FreeSWITCH writes it."""
        return _MappedEvent(raw, *_read_xml(raw), itemgetter(0))

    def exact(self, name: str) -> str | None:
        """The decoded value of the first header with exactly this name, None if there is none.

        Cheaper than `get` for headers that are often absent: it never looks for other spellings.
        """
        raw = self.raw
        needle = _NEEDLES.get(name) or _needle(name)
        at = raw.find(needle)
        if at < 0:
            if not raw.startswith(needle[1:]):
                return None
            start = len(needle) - 1
        else:
            if at > self._clear:
                # Before a body there is always a Content-Length line. Without one up to here, this is a header.
                if self._end < 0 and raw.find(_LENGTH_LINE, self._clear, at) < 0:
                    self._clear = at
                elif at >= self._header_end():
                    return None
            start = at + len(needle)
        stop = raw.find(b"\n", start)
        value = raw[start:stop] if stop >= 0 else raw[start:]
        if value.isascii() and b"%" not in value and b"\x00" not in value and value != _UNDEFINED:
            return value.decode()
        return unquote_value(value)

    def get(self, name: str, default: str | None = None) -> str | None:
        """The decoded value of a header, ``default`` if there is none.

        The exact name is tried first, any casing second (FreeSWITCH's own casing differs between sources).
        A header with several values gives FreeSWITCH's one-text form ``ARRAY::a|:b``, in xml the first of them:
        xml writes an array and a header that occurs twice (Hangup-Cause does) in the same way. See `values`.
        """
        value = self.exact(name)
        if value is not None:
            return value
        return self._get_any_case(name, default)

    def _get_any_case(self, name: str, default: str | None) -> str | None:
        end = self._header_end()
        lower = self._lower
        if lower is None:
            lower = self._lower = b"\n" + self.raw[:end].lower()
        needle = b"\n" + name.encode("utf-8", "replace").lower() + b": "
        at = lower.find(needle)
        if at < 0:
            return default
        at += len(needle) - 1  # one less: ``lower`` has one line feed more in front
        stop = self.raw.find(b"\n", at, end)
        return unquote_value(self.raw[at : stop if stop >= 0 else end])

    def values(self, name: str) -> list[str]:
        """Every value of a header: none, one, or the parts of an array."""
        value = self.get(name)
        if value is None:
            return []
        return split_array(value) or [value]

    @property
    def name(self) -> str:
        """Such as ``CHANNEL_ANSWER``; empty when the event has none."""
        raw = self.raw
        if raw.startswith(_NAME_LINE):
            known = _NAMES.get(raw[12 : raw.find(b"\n", 12)])
            if known is not None:
                return known
        return self.exact("Event-Name") or ""

    @property
    def subclass(self) -> str:
        """Such as ``sofia::register`` for CUSTOM events; otherwise empty."""
        return self.exact("Event-Subclass") or ""

    @property
    def uuid(self) -> str:
        """The channel's ``Unique-ID``; empty when the event is about no channel."""
        return self.exact("Unique-ID") or ""

    @property
    def body(self) -> bytes:
        """The event's own body, never decoded; empty when it has none."""
        # All that is left: the frame's length has cut it already, and the event's own Content-Length is the last
        # of its headers with that name, not the first.
        return self.raw[self._header_end() + 1 :]

    def items(self) -> Iterator[tuple[str, str | list[str]]]:
        """Every header with its decoded value, in the order they came; an array as a list."""
        for line in self.raw[: self._header_end()].split(b"\n"):
            name, colon, value = line.partition(b": ")
            if colon:
                text = unquote_value(value)
                yield unquote_name(name), split_array(text) or text

    def _header_end(self) -> int:
        """Where the header block ends: the index just behind its last line's line feed.

        FreeSWITCH writes a Content-Length line whenever a body follows (switch_event_serialize). So a text that
        ends in an empty line and has no such line is all headers, which is three times cheaper to see than
        the first empty line is to find.
        """
        if self._end < 0:
            raw = self.raw
            if raw.endswith(b"\n\n") and raw.find(_LENGTH_LINE) < 0:
                self._end = len(raw) - 1
            else:
                at = raw.find(b"\n\n")
                self._end = at + 1 if at >= 0 else len(raw)
        return self._end

    def __repr__(self) -> str:
        # No header but these: logs carry ids, never what people said or who they are.
        return f"<Event {self.name} {self.subclass} {self.uuid}>"


class _MappedEvent(Event):
    """A json or xml event: its headers were read at once."""

    __slots__ = ("_body", "_folded", "_map", "_one_text")

    def __init__(
        self,
        raw: bytes,
        headers: Mapping[str, str | list[str]],
        body: bytes,
        one_text: Callable[[list[str]], str],
    ) -> None:
        super().__init__(raw)
        self._map = headers
        self._one_text = one_text
        self._body = body
        self._folded: dict[str, str | list[str]] | None = None

    def exact(self, name: str) -> str | None:
        value = self._map.get(name)
        return self._one_text(value) if isinstance(value, list) else value

    def _get_any_case(self, name: str, default: str | None) -> str | None:
        if self._folded is None:
            self._folded = {}
            for known, value in self._map.items():
                self._folded.setdefault(known.lower(), value)
        found = self._folded.get(name.lower(), default)
        return self._one_text(found) if isinstance(found, list) else found

    def values(self, name: str) -> list[str]:
        value = self._map.get(name)
        return list(value) if isinstance(value, list) else super().values(name)

    @property
    def name(self) -> str:
        return self.exact("Event-Name") or ""

    @property
    def body(self) -> bytes:
        return self._body

    def items(self) -> Iterator[tuple[str, str | list[str]]]:
        yield from self._map.items()


def _read_json(raw: bytes) -> tuple[dict[str, str | list[str]], bytes]:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        # FreeSWITCH copies bytes that are no UTF-8 as they are (a SIP peer can send such); the standard
        # library's reader also takes raw control characters, which strict readers refuse.
        try:
            found = json.loads(raw.decode("utf-8", "replace"), strict=False)
        except (ValueError, RecursionError) as exc:
            raise ProtocolError("an event that claims to be json is not") from exc
    if not isinstance(found, dict):
        raise ProtocolError("a json event is not an object")
    headers: dict[str, str | list[str]] = {}
    for name, value in found.items():
        if isinstance(value, str):
            headers[_clean(name)] = _clean(value)
        elif isinstance(value, list):
            headers[_clean(name)] = [_clean(one) for one in value if isinstance(one, str)]
        else:
            raise ProtocolError("a json event has a value that is neither text nor a list")
    body = headers.pop("_body", "")
    if isinstance(body, list):
        raise ProtocolError("a json event's body is a list")
    return headers, body.encode("utf-8", "surrogatepass")


def _clean(text: str) -> str:
    # A lone surrogate (``\ud800`` in the standard library's reading) has no UTF-8 form and would break every
    # consumer; a NUL cannot come from a C string and would break Postgres.
    if text.isascii():
        return text.replace("\x00", "�") if "\x00" in text else text
    return text.replace("\x00", "�").encode("utf-8", "replace").decode("utf-8")


def _read_xml(raw: bytes) -> tuple[dict[str, str | list[str]], bytes]:
    start = raw.find(b"<headers>")
    stop = raw.find(b"</headers>", start)
    if start < 0 or stop < 0 or b"<!DOCTYPE" in raw[:start] or not raw.lstrip().startswith(b"<event>"):
        raise ProtocolError("an event that claims to be xml is not one that FreeSWITCH writes")
    headers: dict[str, str | list[str]] = {}
    for line in raw[start + 9 : stop].split(b"\n"):
        match = _XML_HEADER.fullmatch(line.strip())
        if match is None:
            continue
        name, value = unquote_name(match[1]), unquote_value(match[2])
        known = headers.get(name)
        if known is None:
            headers[name] = value
        elif isinstance(known, list):
            known.append(value)
        else:
            headers[name] = [known, value]
    begin, end = raw.find(b"<body>", stop), raw.rfind(b"</body>")
    if begin < 0 or end < begin:
        return headers, b""
    return headers, _XML_REFERENCE.sub(_dereference, raw[begin + 6 : end])


def _dereference(match: re.Match[bytes]) -> bytes:
    if match[3]:
        return _XML_NAMED[match[3]]
    code = int(match[1], 16) if match[1] else int(match[2])
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        return match[0]
    return chr(code).encode("utf-8")
