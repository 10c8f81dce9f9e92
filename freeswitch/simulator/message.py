"""What a client sends: commands with headers and a body, cut out of a byte stream. Pure.

The reader follows mod_event_socket's: leading line ends are skipped, two line ends finish the header part
(a CR does not count), the first line is the command, further lines are headers whose values only lose
their leading spaces, and ``Content-Length`` says how many bytes of body follow.
"""

import re

import msgspec

from freeswitch.simulator.wire import Pair, from_bytes

MAX_HEADER = 10 * 1024 * 1024
"""After so many bytes the header part ends wherever it is (read_packet's max_len)."""
MAX_BODY = 16 * 1024 * 1024
"""Newer releases close the connection over this; 1.10.12 would try to allocate it."""

_END = re.compile(rb"\n\r*\n")
_BREAKS = re.compile(r"[\r\n]+")


class BadCommand(Exception):
    """The peer announced a body that nobody would read; the connection is closed."""


class Message(msgspec.Struct):
    """One command: its line, its headers in order, its body."""

    line: str
    headers: list[tuple[str, str]]
    body: str | None = None

    def get(self, name: str) -> str | None:
        """Return the first header called ``name``, any case."""
        wanted = name.lower()
        for have, value in self.headers:
            if have.lower() == wanted:
                return value
        return None

    def pairs(self) -> list[Pair]:
        """Return the message as the headers of an event, ``Command`` first."""
        return [("Command", self.line), *self.headers]


class Reader:
    """Collects bytes and gives out complete commands."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        """Take ``data`` in."""
        self._data += data

    @property
    def partial(self) -> bool:
        """Say whether a command has begun: until it is whole, no event is sent on this connection."""
        self._skip()
        return bool(self._data)

    def _skip(self) -> None:
        data = self._data
        n = 0
        while n < len(data) and data[n] in b"\r\n":
            n += 1
        if n:
            del data[:n]

    def take(self) -> Message | None:
        """Return the next command, or None while it is incomplete. Raises `BadCommand`."""
        self._skip()
        found = _END.search(self._data)
        if found is None:
            if len(self._data) < MAX_HEADER:
                return None
            end = head_end = len(self._data)
        else:
            end, head_end = found.end(), found.start()
        lines = _BREAKS.split(from_bytes(bytes(self._data[:head_end])))
        headers: list[tuple[str, str]] = []
        body: str | None = None
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                continue
            value = value.lstrip(" ")
            headers.append((name, value))
            if name.lower() == "content-length":
                size = _number(value)
                if size > MAX_BODY:
                    raise BadCommand(f"a body of {size} bytes")
                if len(self._data) < end + size:
                    return None
                # A C string ends at the first NUL.
                if size > 0:
                    body = from_bytes(bytes(self._data[end : end + size]).split(b"\0", 1)[0])
                    end += size
        del self._data[:end]
        return Message(lines[0], headers, body)


def _number(text: str) -> int:
    """Return what C's atoi makes of ``text``."""
    found = re.match(r"\s*[+-]?\d+", text)
    return int(found[0]) if found else 0
