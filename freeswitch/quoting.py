"""How header values travel inside event bodies: percent encoding, with FreeSWITCH's own quirks. Pure.

Decoding happens for one value at a time, after the lines were split: whoever decodes the whole block first
lets a caller named ``bob%0AHangup-Cause: CALL_REJECTED`` write headers of his own.
"""

import re
from urllib.parse import unquote_to_bytes

UNDEFINED = "_undef_"
"""What an empty value looks like in a plain event (switch_event.c)."""

ARRAY_MARK = "ARRAY::"
ARRAY_SEPARATOR = "|:"

# Everything below 0x20 and above 0x7E, and these (switch_utils.h, switch_url_encode's unsafe set as observed).
_UNSAFE = frozenset(b'\r\n #%&+:;<=>?@[\\]^`{|}"')
_QUOTED = tuple(
    b"%%%02X" % code if code < 0x20 or code > 0x7E or code in _UNSAFE else bytes((code,))
    for code in range(256)
)
_REPLACEMENT = "\ufffd".encode()
_SAFE_ONLY = re.compile(rb"[A-Za-z0-9/*'()$!,~\-_.]*")
_ALREADY_QUOTED = re.compile(rb"%[0-9A-F]{2}")


def quote_value(value: str | bytes) -> bytes:
    """The value as FreeSWITCH writes it in plain and xml events.

    A ``%`` that two upper-case hex digits follow already stays as it is: FreeSWITCH does so, and it makes the
    plain form lossy (``a%41b`` comes back as ``aAb``). An empty value becomes ``_undef_``.
    """
    raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    if not raw:
        return UNDEFINED.encode()
    if _SAFE_ONLY.fullmatch(raw):
        return raw
    out = bytearray()
    for at, code in enumerate(raw):
        if code == 0x25 and _ALREADY_QUOTED.match(raw, at):
            out += b"%"
        else:
            out += _QUOTED[code]
    return bytes(out)


def unquote_value(raw: bytes) -> str:
    """The text of one value. Bytes that are no UTF-8 become U+FFFD; ``+`` is a plus, not a space.

    ``%00`` stays as it is: FreeSWITCH's values are C strings, so a NUL cannot have been in one, while the text
    ``%00`` can (a caller's name, say), and a NUL would be refused by Postgres.
    """
    if b"%" in raw:
        if b"%00" in raw:
            raw = raw.replace(b"%00", b"%2500")
        raw = unquote_to_bytes(raw)
    if b"\x00" in raw:
        raw = raw.replace(b"\x00", _REPLACEMENT)
    text = raw.decode("utf-8", "replace")
    return "" if text == UNDEFINED else text


def unquote_name(raw: bytes) -> str:
    """The text of a header's name, which is never percent-encoded."""
    return raw.replace(b"\x00", _REPLACEMENT).decode("utf-8", "replace")


def split_array(value: str) -> list[str] | None:
    """The parts of ``ARRAY::a|:b``, None for a value that is no array."""
    if not value.startswith(ARRAY_MARK):
        return None
    return value[len(ARRAY_MARK) :].split(ARRAY_SEPARATOR)


def join_array(values: list[str]) -> str:
    """The one-text form of a header with several values."""
    return ARRAY_MARK + ARRAY_SEPARATOR.join(values)
