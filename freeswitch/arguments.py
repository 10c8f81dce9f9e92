"""How values get through FreeSWITCH's argument parsers unchanged: words, variable lists, dial strings. Pure.

An ``api`` line is cut into words at spaces, and every parser on the way takes quotes and one level of
backslashes off (switch_utils.c, cleanup_separated_string). A variable inside ``{a=b,c=d}`` passes three of
them: the line's, the list's and the assignment's. Braces are counted before any of these look for quotes
(switch_find_end_paren), so an unbalanced brace cannot be escaped at all: it is refused.

What cannot be carried is refused with `CommandError` rather than changed: a caller's name never becomes part
of a command's structure.
"""

import re
from collections.abc import Mapping

from freeswitch.errors import CommandError

_BREAKS = re.compile("[\r\n\x00]")
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_.,:;/@+*#%&=~!?|^<>()\[\]{}$-]+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,254}")
_TOKEN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+\-]{0,254}")
_UUID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@:+~=/-]{0,254}")
_DESTINATION = re.compile(r"[A-Za-z0-9+*#][A-Za-z0-9+*#._~@:/;=%-]{0,255}")
_ENTERPRISE = ":_:"


def one_line(text: str, what: str = "a command") -> str:
    """The text itself. Raises `CommandError` for a line break or a NUL, which would end the command early."""
    if _BREAKS.search(text):
        raise CommandError(f"{what} holds a line break or a NUL")
    return text


def no_expansion(text: str, what: str) -> str:
    """The text itself. Raises `CommandError` for ``${``, which FreeSWITCH would replace by a variable or a call."""
    if "${" in text:
        raise CommandError(f"{what} holds a variable reference, which the switch would expand")
    return text


def uuid(text: str) -> str:
    """A channel's id. Raises `CommandError` for what can be none; Call-IDs of SIP are allowed."""
    if not _UUID.fullmatch(text):
        raise CommandError("not a channel id")
    return text


def name(text: str, what: str = "a variable's name") -> str:
    """A variable's or application's name. Raises `CommandError` for other text."""
    if not _NAME.fullmatch(text):
        raise CommandError(f"not {what}")
    return text


def token(text: str, what: str) -> str:
    """A conference's, context's or dialplan's name. Raises `CommandError` for other text."""
    if not _TOKEN.fullmatch(text):
        raise CommandError(f"not {what}")
    return text


def destination(text: str) -> str:
    """A number or address that may stand in a dial string or be an extension.

    Raises `CommandError` for characters that would be structure there: blanks, quotes, commas, bars,
    brackets, dollars.
    """
    if not _DESTINATION.fullmatch(text) or _ENTERPRISE in text:
        raise CommandError("not a number or address that can be dialled")
    return text


def escape(text: str, also: str = "") -> str:
    """The text with one level of backslashes for FreeSWITCH's parsers to take off; ``also`` is the delimiter."""
    out = text.replace("\\", "\\\\").replace("'", "\\'")
    for delimiter in also:
        out = out.replace(delimiter, "\\" + delimiter)
    return out


def word(text: str) -> str:
    """One word of an api line, quoted when it must be."""
    one_line(text, "an argument")
    if _PLAIN_WORD.fullmatch(text):
        return text
    return f"'{escape(text)}'"


def assignments(variables: Mapping[str, str]) -> str:
    """``{a=b,c=d}`` as the list and assignment parsers want it; an empty text for no variables.

    The result still has to pass the line's parser: give it to `word`. Empty values are left out, since
    FreeSWITCH ignores them. Raises `CommandError` for names that are none, values with unbalanced braces,
    line breaks or ``${``.
    """
    parts = []
    for key, value in variables.items():
        name(key)
        if value == "":
            continue
        one_line(value, "a variable")
        no_expansion(value, "a variable")
        _check_braces(value)
        if _ENTERPRISE in value:
            raise CommandError("a variable holds ':_:', which separates whole originates")
        inner = escape(value)
        # The assignment's parser cuts blanks at both ends; an escaped blank stays.
        stripped = inner.lstrip(" ")
        inner = "\\s" * (len(inner) - len(stripped)) + stripped
        kept = inner.rstrip(" ")
        inner = kept + "\\s" * (len(inner) - len(kept))
        parts.append(f"{key}={escape(inner, also=',')}")
    return "{" + ",".join(parts) + "}" if parts else ""


def _check_braces(value: str) -> None:
    depth = 0
    for char in value:
        if char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth < 0:
                break
    if depth:
        raise CommandError("a variable holds a brace without its partner")
