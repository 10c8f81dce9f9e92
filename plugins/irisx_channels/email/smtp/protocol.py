"""The client's half of SMTP as values: replies out of bytes, commands into bytes. No I/O.

RFC 5321 (the protocol), RFC 4954 (AUTH), RFC 3207 (STARTTLS), RFC 1870 (SIZE). The standard library's smtplib would need
a thread for each connection, and a server that answers slowly would keep threads from everybody; smtpproto, the one
library without I/O of its own, had its last release in April 2024 and gives up on replies that it does not expect.
"""

import base64
import hashlib
import hmac
import re

from msgspec import Struct

MAX_LINE = 4096
MAX_LINES = 200
_LINE = re.compile(rb"([2-5]\d\d)([ -]?)(.*)", re.DOTALL)


class Broken(Exception):
    """The server says something that is no SMTP."""


class Reply(Struct, frozen=True):
    """One answer of the server."""

    code: int
    lines: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return " ".join(self.lines)

    @property
    def kind(self) -> int:
        """2 is yes, 3 go on, 4 not now, 5 never."""
        return self.code // 100


class Replies:
    """Replies out of a stream of bytes, cut anywhere."""

    def __init__(self) -> None:
        self._buffer = b""
        self._lines: list[str] = []

    def feed(self, data: bytes) -> Reply | None:
        """The reply that is complete now, if one is. (A client that asks one thing at a time gets one at a time.)"""
        self._buffer += data
        while b"\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\n")
            found = _LINE.fullmatch(line.rstrip(b"\r"))
            if found is None:
                raise Broken("the server does not speak SMTP")
            self._lines.append(found.group(3).decode("utf-8", "replace"))
            if len(self._lines) > MAX_LINES:
                raise Broken("an answer without an end")
            if found.group(2) != b"-":
                reply = Reply(int(found.group(1)), tuple(self._lines))
                self._lines = []
                return reply
        if len(self._buffer) > MAX_LINE:
            raise Broken("an answer without an end")
        return None


class Offers(Struct, frozen=True):
    """What a server can do (its answer to EHLO)."""

    names: frozenset[str] = frozenset()
    mechanisms: frozenset[str] = frozenset()
    size: int = 0
    """The largest mail it takes; 0 when it does not say."""


def offers(reply: Reply) -> Offers:
    """What stands in the answer to EHLO."""
    names, mechanisms, size = set(), set(), 0
    for line in reply.lines[1:]:
        name, _, rest = line.strip().upper().partition(" ")
        if name.startswith("AUTH="):  # (an old form)
            name, rest = "AUTH", f"{name[5:]} {rest}"
        names.add(name)
        if name == "AUTH":
            mechanisms |= set(rest.split())
        elif name == "SIZE" and rest.isascii() and rest.isdigit() and len(rest) < 16:
            size = int(rest)
    return Offers(frozenset(names), frozenset(mechanisms), size)


def command(*words: str) -> bytes:
    """A line to the server. Raises `Broken` for what would be two lines."""
    line = " ".join(words)
    if not line.isascii() or "\r" in line or "\n" in line or "\0" in line:
        raise Broken("an address or setting that cannot be written in one line")
    return line.encode() + b"\r\n"


def stuffed(raw: bytes) -> bytes:
    """A mail for DATA, without the final dot: every line ended by CRLF, dots at the beginning of a line doubled."""
    if re.search(rb"(?<!\r)\n|\r(?!\n)", raw):
        raw = re.sub(rb"\r\n|\r|\n", b"\r\n", raw)
    raw = raw.replace(b"\r\n.", b"\r\n..")
    raw = b"." + raw if raw.startswith(b".") else raw
    return raw if raw.endswith(b"\r\n") else raw + b"\r\n"


def plain(user: str, password: str) -> str:
    """The answer for AUTH PLAIN (RFC 4616)."""
    return base64.b64encode(f"\0{user}\0{password}".encode()).decode()


def xoauth2(user: str, token: str) -> str:
    """The answer for AUTH XOAUTH2, as Gmail and Exchange Online describe it."""
    return base64.b64encode(f"user={user}\1auth=Bearer {token}\1\1".encode()).decode()


def cram_md5(user: str, password: str, challenge: str) -> str:
    """The answer for AUTH CRAM-MD5 (RFC 2195)."""
    asked = base64.b64decode(challenge + "=" * (-len(challenge) % 4))
    digest = hmac.new(password.encode(), asked, hashlib.md5).hexdigest()
    return base64.b64encode(f"{user} {digest}".encode()).decode()


def coded(text: str) -> str:
    """A word of AUTH LOGIN."""
    return base64.b64encode(text.encode()).decode()
