"""The client's half of IMAP as values: lines and literals out of bytes, commands into bytes. No I/O.

RFC 3501 and 9051, IDLE of RFC 2177. The kept libraries (imaplib, IMAPClient, imap-tools) block, so that a thousand
mailboxes would be a thousand threads that nothing can stop; aioimaplib is asyncio. What a reader of a mailbox needs is
small: eight commands, and the parenthesised lists that answer them.
"""

import base64
import re
from typing import TypeAlias

from msgspec import Struct

MAX_LINE = 1 << 20
"""Bytes of a line without its literals; an answer to SEARCH names every mail."""
MAX_LITERALS = 40
MAX_DEPTH = 60
_LITERAL = re.compile(rb"\{(\d{1,12})\+?\}$")
_ATOM_END = re.compile(rb'[ ()"{]')

Value: TypeAlias = "bytes | list[Value] | None"
"""An atom, a string or a literal; NIL; a list."""


class Broken(Exception):
    """The server says something that is no IMAP, or too much of it."""


class Line(Struct, frozen=True):
    """One answer: its tag (``*`` for one that nobody asked for, ``+`` for "go on") and its parts."""

    tag: str
    values: tuple[Value, ...] = ()
    text: str = ""
    """The whole without the tag and without literals, for codes and for what people say."""

    @property
    def word(self) -> str:
        """The first part in capitals: OK, NO, BAD, BYE, CAPABILITY …"""
        first = self.values[0] if self.values else b""
        return first.decode("ascii", "replace").upper() if isinstance(first, bytes) else ""

    @property
    def code(self) -> str:
        """What stands in brackets behind OK or NO, such as ``UIDVALIDITY 7``."""
        found = re.match(r"\S+ \[([^\]]*)\]", self.text)
        return found.group(1) if found else ""


class Lines:
    """Answers out of a stream of bytes, cut anywhere."""

    def __init__(self, *, max_literal: int) -> None:
        self.max_literal = max_literal
        self._buffer = bytearray()
        self._pieces: list[bytes] = []
        """Of the answer that is not complete: text and literals by turns."""
        self._need = 0
        """Bytes of a literal that are still to come."""
        self._searched = 0

    def feed(self, data: bytes) -> list[Line]:
        """Every answer that ``data`` completes. Raises `Broken`."""
        self._buffer += data
        found = []
        while (line := self._take()) is not None:
            found.append(line)
        return found

    def _take(self) -> Line | None:
        while True:
            if self._need:
                if len(self._buffer) < self._need:
                    return None
                self._pieces.append(bytes(self._buffer[: self._need]))
                del self._buffer[: self._need]
                self._need = 0
            end = self._buffer.find(b"\n", self._searched)
            if end < 0:
                self._searched = len(self._buffer)
                if len(self._buffer) > MAX_LINE:
                    raise Broken("a line without an end")
                return None
            text = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            self._searched = 0
            self._pieces.append(text)
            literal = _LITERAL.search(text)
            if literal is None:
                pieces, self._pieces = self._pieces, []
                return _line(pieces)
            if int(literal.group(1)) > self.max_literal or len(self._pieces) > 2 * MAX_LITERALS:
                raise Broken("a literal that is too large")
            self._pieces[-1] = text[: literal.start()]
            # (an empty literal is a piece, too)
            self._need = int(literal.group(1))
            if not self._need:
                self._pieces.append(b"")


def _line(pieces: list[bytes]) -> Line:
    head, _, rest = pieces[0].partition(b" ")
    tag = head.decode("ascii", "replace")
    text = b" ".join([rest, *pieces[2::2]]).decode("utf-8", "replace")
    if tag == "+":
        return Line(tag, (), text)
    word = rest.partition(b" ")[0].upper()
    if word in (b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"):  # (what follows is for people)
        return Line(tag, (word,), text)
    return Line(tag, tuple(_Values([rest, *pieces[1:]]).all()), text)


class _Values:
    """Reads the parts of an answer: text pieces at even places, literals at odd ones."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self._piece = 0
        self._at = 0

    def all(self) -> list[Value]:
        """Every part. Raises `Broken` for lists that never end."""
        stack: list[list[Value]] = [[]]
        while True:
            text = self._pieces[self._piece]
            if self._at >= len(text):
                if self._piece + 1 >= len(self._pieces):
                    break
                stack[-1].append(self._pieces[self._piece + 1])
                self._piece, self._at = self._piece + 2, 0
                continue
            letter = text[self._at : self._at + 1]
            if letter == b"(":
                stack.append([])
                self._at += 1
                if len(stack) > MAX_DEPTH:
                    raise Broken("lists in lists without an end")
            elif letter == b")":
                self._at += 1
                if len(stack) > 1:
                    done = stack.pop()
                    stack[-1].append(done)
            elif letter == b" ":
                self._at += 1
            elif letter == b'"':
                stack[-1].append(self._quoted(text))
            else:
                stack[-1].append(self._atom(text))
        while len(stack) > 1:
            done = stack.pop()
            stack[-1].append(done)
        return stack[0]

    def _quoted(self, text: bytes) -> bytes:
        found = re.compile(rb'"((?:[^"\\]|\\.)*)"?').match(text, self._at)
        assert found is not None  # noqa: S101 - it begins with a quotation mark
        self._at = found.end()
        return re.sub(rb"\\(.)", rb"\1", found.group(1))

    def _atom(self, text: bytes) -> Value:
        start = self._at
        if text[start : start + 5].upper() == b"BODY[":  # (brackets may hold spaces)
            end = text.find(b"]", start)
            self._at = end + 1 if end >= 0 else len(text)
            # (BODY[]<0>: a part of it)
            if text[self._at : self._at + 1] == b"<":
                stop = text.find(b">", self._at)
                self._at = stop + 1 if stop >= 0 else len(text)
            return text[start : self._at]
        found = _ATOM_END.search(text, start + 1)
        self._at = found.start() if found else len(text)
        atom = text[start : self._at]
        return None if atom.upper() == b"NIL" else atom


def pairs(value: Value) -> dict[str, Value]:
    """The names and values of a FETCH answer's list."""
    if not isinstance(value, list):
        return {}
    found: dict[str, Value] = {}
    for name, said in zip(value[::2], value[1::2], strict=False):
        if isinstance(name, bytes):
            found[name.decode("ascii", "replace").upper()] = said
    return found


def number(value: Value) -> int:
    """A whole number, -1 for anything else."""
    return int(value) if isinstance(value, bytes) and value.isdigit() and len(value) < 20 else -1


def quoted(text: str) -> str:
    """A string for a command. Raises `Broken` for what would be two lines, or is no ASCII."""
    if not text.isascii() or any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise Broken("a name or password that cannot be written in one line")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def mailbox(name: str) -> str:
    """A mailbox's name on the wire: modified UTF-7 (RFC 3501, 5.1.3), quoted."""
    out: list[str] = []
    for piece in re.findall(r"[\x20-\x7e]+|[^\x20-\x7e]+", name):
        if piece[0].isascii() and piece[0] >= " ":
            out.append(piece.replace("&", "&-"))
        else:
            coded = base64.b64encode(piece.encode("utf-16-be", "replace")).decode().rstrip("=")
            out.append(f"&{coded.replace('/', ',')}-")
    return quoted("".join(out))
