"""Dial strings: ``<a=b>{c=d}[e=f]sofia/x/1@y,[..]user/2|loopback/3`` taken apart. Pure."""

import re

import msgspec

_ESCAPED = re.compile(r"""\\(['"\\])""")
"""The third reading of a variable's value; each takes one backslash away."""


class Leg(msgspec.Struct, frozen=True):
    """One endpoint to call, with the variables of its own brackets."""

    endpoint: str
    variables: dict[str, str]


class Dial(msgspec.Struct, frozen=True):
    """A dial string: groups tried one after the other, the legs of a group all at once."""

    variables: dict[str, str]
    groups: tuple[tuple[Leg, ...], ...]


_CLOSING = {"<": ">", "{": "}", "[": "]"}


def parse(text: str) -> Dial:
    """Take a dial string apart. What makes no sense ends up in an endpoint, which then fails to be called."""
    shared: dict[str, str] = {}
    rest = text.lstrip(" ")
    while rest[:1] in ("<", "{"):
        found, rest = _block(rest)
        if found is None:
            break
        shared.update(found)
    groups: list[tuple[Leg, ...]] = []
    # ``:_:`` separates whole originations that run at the same time; here they are simply more legs.
    for part in _split(rest.replace(":_:", ","), "|"):
        legs: list[Leg] = []
        for one in _split(part, ","):
            leg, own = one.strip(), {}
            while leg[:1] in ("[", "{", "<"):
                found, after = _block(leg)
                if found is None:
                    break
                own.update(found)
                leg = after
            legs.append(Leg(leg, own))
        groups.append(tuple(legs))
    return Dial(shared, tuple(groups))


def _block(text: str) -> tuple[dict[str, str] | None, str]:
    """Return the variables of the bracket ``text`` starts with, and what follows it."""
    close = _CLOSING[text[0]]
    depth, quoted = 0, False
    for n, letter in enumerate(text):
        if letter == "'" and text[n - 1] != "\\":
            quoted = not quoted
        elif not quoted and letter == text[0]:
            depth += 1
        elif not quoted and letter == close:
            depth -= 1
            if depth == 0:
                return assignments(text[1:n]), text[n + 1 :].lstrip(" ")
    return None, text


def assignments(text: str) -> dict[str, str]:
    """Return ``a=b,c='d,e'`` as a mapping; ``^^:a=b:c=d`` names another separator, ``\\,`` is a comma."""
    separator = ","
    if text.startswith("^^") and len(text) > 2:
        separator, text = text[2], text[3:]
    found: dict[str, str] = {}
    for part in _split(text, separator, keep=False):
        name, equals, value = part.partition("=")
        if equals and name.strip():
            found[name.strip()] = _ESCAPED.sub(r"\1", value)
    return found


def _split(text: str, separator: str, *, keep: bool = True) -> list[str]:
    """Split outside quotes and brackets; ``keep`` leaves quotes and backslashes for the next reading."""
    parts: list[str] = []
    current: list[str] = []
    quoted = escaped = False
    depth = 0
    for letter in text:
        if escaped:
            plain = not keep and letter in (separator, "\\", "'")
            current.append(letter if plain else "\\" + letter)
            escaped = False
        elif letter == "\\":
            escaped = True
        elif letter == "'":
            quoted = not quoted
            if keep:
                current.append(letter)
        elif not quoted and keep and letter in "[{<":
            depth += 1
            current.append(letter)
        elif not quoted and keep and depth and letter in "]}>":
            depth -= 1
            current.append(letter)
        elif letter == separator and not quoted and not depth:
            parts.append("".join(current))
            current = []
        else:
            current.append(letter)
    if escaped:
        current.append("\\")
    return [*parts, "".join(current)]
