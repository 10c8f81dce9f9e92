"""SIP over a stream: where one message ends and the next begins (RFC 3261, 18.3 and 7.5). Pure."""

import re

from sipmessage import Message, Request, Response

MAX_HEAD = 16 * 1024
"""A header beyond this is no header: the largest the switch sends is under 2 KiB."""
MAX_BODY = 64 * 1024
"""Browsers' offers with many candidates are 10 KiB."""

_LENGTH = re.compile(rb"^(?:content-length|l)[ \t]*:[ \t]*([0-9]{1,9})[ \t]*$", re.IGNORECASE | re.MULTILINE)


class SipError(Exception):
    """The other side speaks no SIP that we understand: the connection is of no use any more."""


class Stream:
    """Takes what a connection brings, in any pieces, and gives whole messages."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[Request | Response]:
        """The messages that are complete now. Raises `SipError` at the first thing that is none."""
        self._data += data
        found: list[Request | Response] = []
        while (message := self._next()) is not None:
            found.append(message)
        return found

    def _next(self) -> Request | Response | None:
        data = self._data
        # Empty lines between messages keep connections alive.
        blank = 0
        while blank < len(data) and data[blank] in b"\r\n":
            blank += 1
        if blank:
            del data[:blank]
        end = data.find(b"\r\n\r\n", 0, MAX_HEAD + 4)
        if end < 0:
            if len(data) > MAX_HEAD:
                raise SipError(f"a header of more than {MAX_HEAD} bytes")
            return None
        lengths = {int(one) for one in _LENGTH.findall(bytes(data[:end]).replace(b"\r\n", b"\n"))}
        if len(lengths) != 1:
            raise SipError("a message over a stream must say its length, once")
        length = lengths.pop()
        if length > MAX_BODY:
            raise SipError(f"a body of {length} bytes; the most is {MAX_BODY}")
        whole = end + 4 + length
        if len(data) < whole:
            return None
        try:
            message = Message.parse(bytes(data[:whole]))
            # What everything else relies on; the library reads each when it is asked for.
            _ = (
                message.call_id,
                message.cseq,
                message.from_address,
                message.to_address,
                message.via,
                message.contact,
            )
        except (ValueError, KeyError) as exc:
            raise SipError(f"a message that cannot be read: {exc or type(exc).__name__}") from exc
        del data[:whole]
        return message
