"""Reading JSON whose shape belongs to somebody else: what is absent, null or of another type is simply empty.

A provider adds fields and nulls as it likes. A strict reading would lose a customer's message over a field that we
never look at; so only what we need is read, one field at a time.
"""

from typing import Any

import msgspec

from irisx_sdk.errors import Malformed

Json = dict[str, Any]


def decode(body: bytes | str, what: str) -> Json:
    """The object in ``body``. Raises `Malformed`, naming ``what`` was expected, for everything else."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError):
        raise Malformed(f"{what} is not JSON") from None
    if not isinstance(found, dict):
        raise Malformed(f"{what} is not a JSON object")
    return found


def word(value: Json, name: str) -> str:
    """A text, or empty."""
    found = value.get(name)
    return found if isinstance(found, str) else ""


def number(value: Json, name: str) -> int:
    """A whole number, or 0."""
    found = value.get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def part(value: Json, name: str) -> Json:
    """An object, or an empty one."""
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def parts(value: Json, name: str) -> list[Json]:
    """The objects of a list; what is none of them is left out."""
    found = value.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
