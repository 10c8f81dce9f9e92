"""What callers of the API may put into a command to a switch: checked here, right before it becomes one.

The API checks the same things to answer with the field's name; this is the wall that does not trust it. Nothing
with a blank, a comma or a bracket gets through where FreeSWITCH would read it as syntax.
"""

import posixpath
import re
from collections.abc import Iterable

from core.errors import RequestError

_DIGITS = re.compile(r"[0-9A-Da-d*#wW]{1,64}")
_NUMBER = re.compile(r"\+?[0-9*#]{1,32}")
_USER = re.compile(r"user:([A-Za-z0-9_.-]{1,64}(?:@[A-Za-z0-9_.:-]{1,128})?)")
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\"`\\{}\[\]()<>,;^|$\ud800-\udfff]{0,80}")
_STREAM = re.compile(r"(?:tone|silence|local)_stream://[A-Za-z0-9_./:@+%(),;=-]{1,400}")
_FILE = re.compile(r"[A-Za-z0-9_./+][A-Za-z0-9_./+-]{0,399}")
_CAUSE = re.compile(r"[A-Z0-9_]{2,48}")
_ROOM = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_RECORDING = re.compile(r"rec_[0-9a-z]{1,40}")
_DIRECTORY_USER = re.compile(r"[a-z0-9]{1,40}")
_LEG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@:+~=/-]{0,254}")


def digits(value: object) -> str:
    """Keys to press: 0-9, A-D, * and #, w and W for pauses of half a second and a second."""
    return _matching(_DIGITS, value, "digits", "1 to 64 of 0-9 A-D * # w W")


def caller_name(value: object) -> str:
    """A name for people, in any script."""
    return _matching(
        _NAME, value, "caller_name", "at most 80 characters without quotation marks, brackets or commas"
    )


def number(value: object, field: str = "from") -> str:
    return _matching(_NUMBER, value, field, "a number such as +14155550100")


def is_number(value: str) -> bool:
    return _NUMBER.fullmatch(value) is not None


def sound(value: object, folders: Iterable[str]) -> str:
    """What to play: a stream that the switch makes or mixes by itself (tones, silence, its own radio), a file below
    one of ``folders``, or a relative name, which the switch looks up among its own sounds.

    Nothing else can be reached: other schemes fetch from anywhere or speak any text, and one tenant must not hear
    another's recordings. Blanks are never part of a name.
    """
    if isinstance(value, str) and _STREAM.fullmatch(value):
        return value
    text = _matching(
        _FILE, value, "path", "a file, or a tone, local or silence stream, without blanks or quotes"
    )
    if ".." in text:
        raise RequestError("path: expected a path without '..'", code="invalid_value")
    if text.startswith("/"):
        allowed = [f"{folder.rstrip('/')}/" for folder in folders if folder.startswith("/")]
        if not any(posixpath.normpath(text).startswith(folder) for folder in allowed):
            raise RequestError("path: not in a folder of sounds of this switch", code="path_not_allowed")
    return text


def cause(value: object) -> str:
    return _matching(_CAUSE, value, "cause", "a hangup cause such as NORMAL_CLEARING")


def room(value: object) -> str:
    return _matching(_ROOM, value, "conference", "1 to 64 letters, digits, dots, dashes")


def leg(value: object, field: str = "leg") -> str:
    """A leg's uuid, before it is compared with anything."""
    return _matching(_LEG, value, field, "the uuid of a leg")


def recording(value: object) -> str:
    """The id of a recording, which becomes the name of its file."""
    return _matching(_RECORDING, value, "recording", "the id of a recording")


def directory_user(value: object) -> str:
    """The user name of a telephone: one that we made up."""
    return _matching(_DIRECTORY_USER, value, "user", "letters and digits")


def one_of(value: object, field: str, allowed: Iterable[str]) -> str:
    """One word out of a few."""
    words = tuple(allowed)
    if not isinstance(value, str) or value not in words:
        raise RequestError(f"{field}: expected one of {', '.join(words)}", code="invalid_value")
    return value


def seconds(value: object, field: str, *, default: int, least: int, most: int) -> int:
    """A whole number of seconds within limits; ``default`` for None."""
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise RequestError(f"{field}: expected {least} to {most} seconds", code="invalid_value")
    return int(value)


def dial_string(target: object, template: str, field: str = "to") -> str:
    """Where to dial: ``user:NAME`` is a registered phone, a number goes through the switch's template."""
    text = target if isinstance(target, str) else ""
    if user := _USER.fullmatch(text):
        return f"user/{user[1]}"
    return template.replace("{number}", number(text, field))


def _matching(pattern: re.Pattern[str], value: object, field: str, wanted: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise RequestError(f"{field}: expected {wanted}", code="invalid_value")
    return value
