"""Values from outside made fit for a database.

A caller chooses much of what we store: a display name may hold a NUL, half of a surrogate pair, anything that
survives the switch. Postgres refuses some of it, and one refused row would hold up every fact behind it. So what
cannot be stored is replaced here, before it is sent: U+FFFD for characters, the nearest bound for numbers.
"""

from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

MAX_BIGINT = 2**63 - 1
MAX_INTEGER = 2**31 - 1
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# How JSON writes a NUL. It also stands in an escaped backslash followed by "u0000": then we look closer in vain.
_NUL = b"\\u0000"


def storable(text: str) -> str:
    """``text`` without what Postgres cannot hold (NUL) and UTF-8 cannot say (lone surrogates)."""
    if "\x00" in text:
        text = text.replace("\x00", _REPLACEMENT)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            # By way of UTF-16, so that two halves that belong together become their character.
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def bigint(value: int) -> int:
    """``value`` within 64 bits."""
    return value if -MAX_BIGINT <= value <= MAX_BIGINT else MAX_BIGINT * (1 if value > 0 else -1)


def integer(value: int) -> int:
    """``value`` within 32 bits."""
    return value if -MAX_INTEGER <= value <= MAX_INTEGER else MAX_INTEGER * (1 if value > 0 else -1)


def encode_storable(value: T, encode: msgspec.json.Encoder) -> tuple[bytes, T]:
    """``value`` as JSON that can be stored, and the value that this JSON says (almost always the same one)."""
    try:
        body = encode.encode(value)
        if _NUL not in body:
            return body, value
    except UnicodeEncodeError:
        pass
    repaired: T = msgspec.convert(_repair(msgspec.to_builtins(value)), type(value))
    return encode.encode(repaired), repaired


def _repair(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {_repair(key): _repair(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_repair(one) for one in value]
    return value


_encode = msgspec.json.Encoder().encode


def json_text(value: object) -> str:
    """``value`` as the text of a JSON document that Postgres takes."""
    try:
        body = _encode(value)
        if _NUL not in body:
            return body.decode()
    except UnicodeEncodeError:
        pass
    return _encode(_repair(msgspec.to_builtins(value))).decode()
