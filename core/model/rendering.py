"""Texts with places for values: ``Hello {{contact.name|there}}``. Pure.

The whole language is one thing: two braces, a path of names with dots, and after a bar what stands there when there is no
value. No conditions, loops, calls or look-ups of attributes: a path leads through plain dictionaries only, so a text written by
anybody can read what it was given and nothing else. Values are put in as they are and never read for places again; where
the result is HTML they are escaped, and the text around them is the author's.
"""

import re
from collections.abc import Mapping
from html import escape

from msgspec import Struct

_PLACE = re.compile(r"\{\{\s*([A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+){0,5})\s*(?:\|([^{}]*))?\}\}")
MAX_RESULT = 100_000
"""Characters of a result; what is beyond is cut off."""


class Rendered(Struct, frozen=True):
    """A text with its values."""

    text: str
    missing: tuple[str, ...] = ()
    """Places for which there was neither a value nor a default: nothing stands there."""


def places(text: str) -> list[str]:
    """The paths that a text asks for, each once, in their order."""
    return list(dict.fromkeys(found[1] for found in _PLACE.finditer(text)))


def render(text: str, values: Mapping[str, object], *, html: bool = False) -> Rendered:
    """``text`` with ``values`` at its places."""
    missing: dict[str, None] = {}

    def put(found: re.Match[str]) -> str:
        said = _said(_at(values, found[1]))
        if not said and found[2] is not None:
            said = found[2].strip()
        elif not said:
            missing[found[1]] = None
        return escape(said) if html else said

    return Rendered(_PLACE.sub(put, text)[:MAX_RESULT], tuple(missing))


def _at(values: Mapping[str, object], path: str) -> object:
    here: object = values
    for name in path.split("."):
        if not isinstance(here, Mapping):
            return None
        here = here.get(name)
    return here


def _said(value: object) -> str:
    """What stands for a value: lists are joined, what is no plain value is nothing."""
    match value:
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case int() | float():
            return str(value)
        case list() | tuple():
            return ", ".join(part for part in map(_said, value) if part)
    return ""
