"""Reading JSON that others wrote, whatever they wrote: what is missing or of another type is empty.

Broken halves of emoji, NULs, ids and times as texts or numbers are forgiven, because
WhatsApp, Telegram and Teams put many people's messages or years of clients behind one address, and one odd field must
not lose the rest.
"""

import json
from typing import Any

import msgspec

from irisx_sdk import Malformed

Json = dict[str, Any]

LATEST_S = 253_402_300_799
"""The end of the year 9999: a time after it is a mistake of somebody's units."""


def document(body: bytes) -> Json:
    """The object in ``body``. Raises `Malformed` when there is none.

    A text that was cut in the middle of an emoji is not Unicode any more (a lone surrogate); its half becomes ``?``,
    because refusing the whole delivery would lose the other messages in it.
    """
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        value = _mended(body)
    if not isinstance(value, dict):
        raise Malformed("the body is not a JSON object")
    return value


def _mended(body: bytes) -> Any:
    try:
        return msgspec.json.decode(
            json.dumps(json.loads(body), ensure_ascii=False).encode("utf-8", "replace")
        )
    except (ValueError, RecursionError):
        raise Malformed("the body cannot be read as JSON") from None


def part(value: Any, *keys: str) -> Json:
    """The object below ``keys``, empty when there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def parts(value: Any, key: str) -> list[Json]:
    """The objects in the list at ``key``; what is no object is left out."""
    found = value.get(key) if isinstance(value, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def words(value: Any, key: str) -> str:
    """The text at ``key``. A whole number is written out: ids come as both. NUL is left out: no database keeps it."""
    found = value.get(key) if isinstance(value, dict) else None
    if isinstance(found, str):
        return found.replace("\x00", "")
    return str(found) if isinstance(found, int) and not isinstance(found, bool) else ""


def whole(value: Any, key: str) -> int:
    """The whole number at ``key``, also when it is written as a text; 0 when there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    if isinstance(found, str) and len(found) <= 20 and found.isascii() and found.removeprefix("-").isdigit():
        return int(found)
    return 0


def decimal(value: Any, key: str) -> float:
    """The number at ``key``; 0.0 when there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return float(found) if isinstance(found, int | float) and abs(found) < 1e15 else 0.0


def seconds_us(value: Any, key: str) -> int:
    """Seconds since 1970 at ``key``, in microseconds; 0 when they are no time."""
    seconds = whole(value, key)
    return seconds * 1_000_000 if 0 < seconds <= LATEST_S else 0
