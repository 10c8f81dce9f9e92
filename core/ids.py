"""Identifiers: prefixed, sortable by time, safe in an address.

``call_01jd7v4b2k…`` is a prefix, ten characters of milliseconds and sixteen of chance (Crockford's base 32,
lower case, as in the ULID specification). Calls take theirs from their first leg instead of from chance, so
that two controllers that see the same leg name the same call.
"""

import hashlib
import os

from core.clock import now_us

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_CHARS = 10


# Two characters at a time: a busy controller derives some thousand ids a second.
_PAIRS = tuple(first + second for first in ALPHABET for second in ALPHABET)


def _text(value: int, chars: int) -> str:
    """``value`` in an even number of characters, its lowest bits."""
    return "".join([_PAIRS[value >> shift & 1023] for shift in range(chars * 5 - 10, -1, -10)])


_CHANCE = 10
_DRAWN: list[bytes] = []
"""Chance that was drawn and not used yet: the kernel is asked once for many ids."""
os.register_at_fork(after_in_child=_DRAWN.clear)


def _chance() -> int:
    while True:
        try:
            return int.from_bytes(
                _DRAWN.pop(), "big"
            )  # (a list's own operations are whole, whichever thread)
        except IndexError:
            drawn = os.urandom(100 * _CHANCE)
            _DRAWN.extend(drawn[at : at + _CHANCE] for at in range(0, len(drawn), _CHANCE))


def new_id(prefix: str, *, at_us: int | None = None) -> str:
    """A fresh id such as ``usr_01jd7v4b2kq8x3m5n7p9r1s2t4``."""
    moment = (now_us() if at_us is None else at_us) // 1000
    return f"{prefix}_{_text(moment, _TIME_CHARS)}{_text(_chance(), 16)}"


def derived_id(prefix: str, *, at_us: int, source: str) -> str:
    """The id that belongs to ``source``: always the same for the same moment and source."""
    digest = hashlib.blake2b(source.encode("utf-8", "surrogateescape"), digest_size=10).digest()
    return f"{prefix}_{_text(at_us // 1000, _TIME_CHARS)}{_text(int.from_bytes(digest, 'big'), 16)}"
