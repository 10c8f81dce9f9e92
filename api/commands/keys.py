"""Keys of a terminal, one by one, for screens that stay open."""

import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

_KEYS = {b"\x1b[A": "up", b"\x1b[B": "down", b"\x1bOA": "up", b"\x1bOB": "down", b"\r": "open", b"\n": "open"}
_KEYS |= {b"\x1b[5~": "page up", b"\x1b[6~": "page down", b"\x1b": "close", b"q": "quit", b"\x03": "quit"}
_KEYS |= {b"\x1b[C": "open", b"\x1b[D": "close", b"j": "down", b"k": "up"}


@contextmanager
def raw_keys() -> Iterator[None]:
    """Keys one by one and unseen, and the terminal as it was afterwards, whatever happens."""
    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    try:
        tty.setcbreak(handle)
        yield
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)


def pressed() -> list[str]:
    """The keys that were pressed since the last look."""
    raw = b""
    while select.select([sys.stdin], [], [], 0)[0]:
        more = os.read(sys.stdin.fileno(), 64)
        if not more:
            return ["quit"]  # the terminal is gone
        raw += more
    return read_keys(raw)


def read_keys(raw: bytes) -> list[str]:
    """Names of the keys in what a terminal sent; what we do not know is passed over."""
    pressed: list[str] = []
    while raw:
        # The longest first: an arrow begins with the byte that Esc is.
        found = next((sent for sent in sorted(_KEYS, key=len, reverse=True) if raw.startswith(sent)), raw[:1])
        if found in _KEYS:
            pressed.append(_KEYS[found])
        raw = raw[len(found) :]
    return pressed
