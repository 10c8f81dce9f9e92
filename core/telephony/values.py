"""What callers of the API may put into a command to a switch: checked here, right before it becomes one.

The API checks the same things to answer with the field's name; this is the wall that does not trust it. Nothing
with a blank, a comma or a bracket gets through where FreeSWITCH would read it as syntax.
"""

import re

from core.errors import RequestError

_DIGITS = re.compile(r"[0-9A-Da-d*#wW]{1,64}\Z")
_NUMBER = re.compile(r"\+?[0-9*#]{1,32}\Z")
_USER = re.compile(r"user:([A-Za-z0-9_.-]{1,64}(?:@[A-Za-z0-9_.:-]{1,128})?)\Z")
_NAME = re.compile(r"[^\x00-\x1f\x7f'\"\\{}\[\]<>,^]{0,80}\Z")
_SOUND = re.compile(r"(?!.*\.\.)[A-Za-z0-9_./:@+%(),;=-]{1,400}\Z")
_CAUSE = re.compile(r"[A-Z0-9_]{2,48}\Z")
_ROOM = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")


def digits(value: object) -> str:
    """Keys to press: 0-9, A-D, * and #, w and W for pauses of half a second and a second."""
    return _matching(_DIGITS, value, "digits", "1 to 64 of 0-9 A-D * # w W")


def caller_name(value: object) -> str:
    return _matching(_NAME, value, "caller_name", "at most 80 characters without quotes, brackets, commas")


def number(value: object, field: str = "from") -> str:
    return _matching(_NUMBER, value, field, "a number such as +14155550100")


def sound(value: object) -> str:
    """A file path, or a stream such as ``tone_stream://%(300,100,440)``; blanks are never part of one."""
    return _matching(_SOUND, value, "path", "a path or stream without blanks, quotes or '..'")


def cause(value: object) -> str:
    return _matching(_CAUSE, value, "cause", "a hangup cause such as NORMAL_CLEARING")


def room(value: object) -> str:
    return _matching(_ROOM, value, "conference", "1 to 64 letters, digits, dots, dashes")


def dial_string(target: object, template: str) -> str:
    """Where to dial: ``user:NAME`` is a registered phone, a number goes through the switch's template."""
    text = target if isinstance(target, str) else ""
    if user := _USER.match(text):
        return f"user/{user[1]}"
    return template.replace("{number}", number(text, "to"))


def _matching(pattern: re.Pattern[str], value: object, field: str, wanted: str) -> str:
    if not isinstance(value, str) or not pattern.match(value):
        raise RequestError(f"{field}: expected {wanted}", code="invalid_value")
    return value
