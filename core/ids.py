"""Identifiers: prefixed, sortable by time, safe in an address.

``call_01jd7v4b2k…`` is a prefix, ten characters of milliseconds and sixteen of chance (Crockford's base 32,
lower case, as in the ULID specification). Calls take theirs from their first leg instead of from chance, so
that two controllers that see the same leg name the same call.
"""

import hashlib
import secrets

from core.clock import now_us

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_CHARS = 10
_REST_BITS = 80


# Two characters at a time: a busy controller derives some thousand ids a second.
_PAIRS = tuple(first + second for first in ALPHABET for second in ALPHABET)


def _text(value: int, chars: int) -> str:
    """``value`` in an even number of characters, its lowest bits."""
    return "".join([_PAIRS[value >> shift & 1023] for shift in range(chars * 5 - 10, -1, -10)])


def new_id(prefix: str, *, at_us: int | None = None) -> str:
    """A fresh id such as ``usr_01jd7v4b2kq8x3m5n7p9r1s2t4``."""
    moment = (now_us() if at_us is None else at_us) // 1000
    return f"{prefix}_{_text(moment, _TIME_CHARS)}{_text(secrets.randbits(_REST_BITS), 16)}"


def derived_id(prefix: str, *, at_us: int, source: str) -> str:
    """The id that belongs to ``source``: always the same for the same moment and source."""
    digest = hashlib.blake2b(source.encode("utf-8", "surrogateescape"), digest_size=10).digest()
    return f"{prefix}_{_text(at_us // 1000, _TIME_CHARS)}{_text(int.from_bytes(digest, 'big'), 16)}"
