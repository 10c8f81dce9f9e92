"""The server's half of SMTP: bytes in, events out. No I/O; one object for one connection.

RFC 5321, with PIPELINING, SIZE, 8BITMIME, SMTPUTF8, ENHANCEDSTATUSCODES, STARTTLS and AUTH PLAIN / LOGIN. aiosmtpd, the
known library, is asyncio to its bones and had its last release in May 2024; this speaks to trio (the listener) and to
asyncio (the fake server of the tests).

A mail ends at CR LF . CR LF and at nothing else: servers that let a bare line feed end it can be made to take one mail
for two (SMTP smuggling, CVE-2023-51764).
"""

import base64
import binascii
import re
from collections.abc import Callable

from msgspec import Struct

from irisx_channels.email import words

MAX_COMMAND = 2048
"""Bytes of one command; RFC 5321, 4.5.3.1.4, asks for 512 and extensions for more."""
MAX_RECIPIENTS = 100
MAX_ERRORS = 20
_PATH = re.compile(r"<([^<>\s]*)>((?: [!-~]+)*)\s*")
_END = b"\r\n.\r\n"


class Say(Struct, frozen=True):
    """Send these bytes."""

    data: bytes


class StartTls(Struct, frozen=True):
    """Send these bytes, then begin TLS, then call `Server.secured`."""

    data: bytes


class Letter(Struct, frozen=True):
    """A mail is complete: store it, then call `Server.stored`. Until then nothing else happens."""

    sender: str
    """Empty for the null path."""
    recipients: tuple[str, ...]
    raw: bytes


class Close(Struct, frozen=True):
    """Send these bytes and hang up."""

    data: bytes


Event = Say | StartTls | Letter | Close
Verdict = str
"""A reply line such as ``550 5.1.1 no such mailbox``, empty for yes."""


class Server:
    """One connection."""

    def __init__(
        self,
        name: str,
        *,
        accepts: Callable[[str], Verdict],
        max_bytes: int,
        tls: bool = False,
        login: Callable[[str, str], bool] | None = None,
    ) -> None:
        self.name = name
        self.accepts = accepts
        self.max_bytes = max_bytes
        self.tls = tls
        """STARTTLS is offered."""
        self.login = login
        """Who may send; None for a server that takes mail from everybody (for its own addresses)."""
        self.user = ""
        self._buffer = b""
        self._errors = 0
        self._greeted = False
        self._sender: str | None = None
        self._recipients: list[str] = []
        self._data: _Data | None = None
        self._asking: Callable[[str], Event] | None = None
        self._waiting = False
        self._closed = False

    def greeting(self) -> bytes:
        """The first line of the connection."""
        return f"220 {self.name} ESMTP\r\n".encode()

    def receive(self, data: bytes) -> None:
        """Bytes from the client, cut anywhere."""
        if not self._closed:
            self._buffer += data

    def next_event(self) -> Event | None:
        """What to do next; None when the client has to say more first."""
        if self._waiting or self._closed:
            return None
        if self._data is not None:
            return self._content()
        line, found, rest = self._buffer.partition(b"\n")
        if not found:
            if len(self._buffer) > MAX_COMMAND:
                self._closed = True
                return Close(b"500 5.5.6 line too long\r\n")
            return None
        self._buffer = rest
        event = self._line(line)
        if isinstance(event, Close):
            self._closed = True
        elif isinstance(event, Say) and event.data[:1] == b"5":
            self._errors += 1
            if self._errors >= MAX_ERRORS:
                self._closed = True
                return Close(event.data + b"421 4.7.0 too many errors\r\n")
        return event

    def stored(self, reply: str = "250 2.0.0 stored") -> Say:
        """The answer to a mail: the default only once it is safe."""
        self._waiting = False
        return _say(reply)

    @property
    def held(self) -> int:
        """Bytes of a mail that are held in memory."""
        return len(self._buffer) + (self._data.size if self._data is not None else 0)

    def secured(self) -> None:
        """TLS runs: whatever was said before is forgotten, also what came behind STARTTLS in clear (RFC 3207, 5)."""
        self._buffer = b""
        self._greeted = False
        self.tls = False
        self.user = ""
        self._reset()

    def _reset(self) -> None:
        self._sender, self._recipients, self._data = None, [], None

    def _line(self, raw: bytes) -> Event:
        if len(raw) > MAX_COMMAND:
            return _say("500 5.5.6 line too long")
        line = raw.rstrip(b"\r").decode("utf-8", "replace")
        if self._asking is not None:
            asking, self._asking = self._asking, None
            return asking(line)
        verb, _, rest = line.partition(" ")
        handler = getattr(self, f"_on_{verb.lower()}", None) if verb.isascii() and verb.isalpha() else None
        if handler is None:
            return _say("500 5.5.2 not understood")
        event: Event = handler(rest.strip())
        return event

    def _on_ehlo(self, name: str) -> Event:
        self._greeted = True
        self._reset()
        offered = [
            self.name,
            "PIPELINING",
            f"SIZE {self.max_bytes}",
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
        ]
        offered += ["STARTTLS"] if self.tls else []
        offered += ["AUTH PLAIN LOGIN"] if self.login is not None else []
        lines = [f"250-{one}" for one in offered[:-1]] + [f"250 {offered[-1]}"]
        return Say("".join(f"{line}\r\n" for line in lines).encode())

    def _on_helo(self, name: str) -> Event:
        self._greeted = True
        self._reset()
        return _say(f"250 {self.name}")

    def _on_noop(self, rest: str) -> Event:
        return _say("250 2.0.0 ok")

    def _on_vrfy(self, rest: str) -> Event:
        return _say("252 2.5.2 send, and see")

    def _on_rset(self, rest: str) -> Event:
        self._reset()
        return _say("250 2.0.0 ok")

    def _on_quit(self, rest: str) -> Event:
        return Close(b"221 2.0.0 bye\r\n")

    def _on_starttls(self, rest: str) -> Event:
        if not self.tls:
            return _say("502 5.5.1 no TLS here")
        return StartTls(b"220 2.0.0 go ahead\r\n")

    def _on_auth(self, rest: str) -> Event:
        if self.login is None or self.user:
            return _say("503 5.5.1 not now")
        mechanism, _, first = rest.partition(" ")
        if mechanism.upper() == "PLAIN":
            if first:
                return self._plain(first)
            self._asking = self._plain
            return _say("334 ")
        if mechanism.upper() == "LOGIN":
            self._asking = self._login_user
            return _say("334 VXNlcm5hbWU6")
        return _say("504 5.5.4 no such mechanism")

    def _plain(self, coded: str) -> Event:
        _, _, rest = _decoded(coded).partition("\0")
        user, _, password = rest.partition("\0")
        return self._logged_in(user, password)

    def _login_user(self, coded: str) -> Event:
        user = _decoded(coded)
        self._asking = lambda again: self._logged_in(user, _decoded(again))
        return _say("334 UGFzc3dvcmQ6")

    def _logged_in(self, user: str, password: str) -> Event:
        if self.login is None or not user or not self.login(user, password):
            return _say("535 5.7.8 wrong user or password")
        self.user = user
        return _say("235 2.7.0 welcome")

    def _on_mail(self, rest: str) -> Event:
        if not self._greeted:
            return _say("503 5.5.1 say EHLO first")
        if self.login is not None and not self.user:
            return _say("530 5.7.0 log in first")
        found = _PATH.fullmatch(rest[5:].lstrip()) if rest[:5].upper() == "FROM:" else None
        if found is None or (found.group(1) and not words.is_address(found.group(1))):
            return _say("501 5.1.7 what address is that?")
        if self._sender is not None:
            return _say("503 5.5.1 one mail at a time")
        for parameter in found.group(2).split():
            name, _, value = parameter.upper().partition("=")
            if name == "SIZE" and value.isascii() and value.isdigit() and int(value[:18]) > self.max_bytes:
                return _say(f"552 5.3.4 at most {self.max_bytes} bytes")
        self._sender = found.group(1)
        return _say("250 2.1.0 ok")

    def _on_rcpt(self, rest: str) -> Event:
        if self._sender is None:
            return _say("503 5.5.1 MAIL first")
        found = _PATH.fullmatch(rest[3:].lstrip()) if rest[:3].upper() == "TO:" else None
        if found is None or not words.is_address(found.group(1)):
            return _say("501 5.1.3 what address is that?")
        if len(self._recipients) >= MAX_RECIPIENTS:
            return _say("452 4.5.3 too many receivers")
        verdict = self.accepts(found.group(1))
        if verdict:
            return _say(verdict)
        self._recipients.append(found.group(1))
        return _say("250 2.1.5 ok")

    def _on_data(self, rest: str) -> Event:
        if not self._recipients:
            return _say("503 5.5.1 RCPT first")
        self._data = _Data(self.max_bytes)
        return _say("354 go ahead, end with a dot")

    def _content(self) -> Event | None:
        assert self._data is not None  # noqa: S101 - for the type checker
        taken, self._buffer = self._data.take(self._buffer)
        if not taken:
            return None
        raw, too_large = self._data.raw(), self._data.too_large
        sender, recipients = self._sender or "", tuple(self._recipients)
        self._reset()
        if too_large:
            return _say(f"552 5.3.4 at most {self.max_bytes} bytes")
        self._waiting = True
        return Letter(sender, recipients, raw)


class _Data:
    """A mail on its way in."""

    def __init__(self, max_bytes: int) -> None:
        self._pieces: list[bytes] = []
        self._tail = b"\r\n"  # (a mail can be empty: the dot stands in the first line then)
        self.size = 0
        """Bytes kept so far."""
        self._max = max_bytes
        self.too_large = False

    def take(self, data: bytes) -> tuple[bool, bytes]:
        """Whether the end was in there, and what came behind it."""
        data = self._tail + data
        end = data.find(_END)
        if end >= 0:
            self._keep(data[: end + 2])
            return True, data[end + len(_END) :]
        # (the end may be cut anywhere: so many bytes are looked at again)
        cut = max(0, len(data) - len(_END) + 1)
        self._keep(data[:cut])
        self._tail = data[cut:]
        return False, b""

    def _keep(self, piece: bytes) -> None:
        if self.too_large or self.size + len(piece) > self._max + 2:
            self.too_large, self._pieces, self.size = True, [], 0
        else:
            self._pieces.append(piece)
            self.size += len(piece)

    def raw(self) -> bytes:
        """The mail without the dots that were put before dots (RFC 5321, 4.5.2)."""
        return b"".join(self._pieces).replace(b"\r\n..", b"\r\n.")[2:]


def _say(line: str) -> Say:
    return Say(f"{line}\r\n".encode())


def _decoded(coded: str) -> str:
    try:
        return base64.b64decode(coded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeError, ValueError):
        return ""
