"""Addresses of people in the one form in which they are compared: E.164 for telephones, small letters for mail. Pure."""

import re

import phonenumbers

from core.errors import RequestError

_MAIL = re.compile(r"[^@\s\x00-\x1f<>()\[\],;:\"]{1,64}@[^@\s\x00-\x1f<>()\[\],;:\"]{1,189}")
KINDS = ("phone", "email", "user")


def normal(kind: str, value: str, *, region: str = "") -> str:
    """``value`` as it is stored. ``region`` (``DE``) is where a number without a country code belongs.

    Raises `RequestError` for what cannot be such an address.
    """
    value = value.strip()
    if kind == "phone":
        return _phone(value, region)
    if kind == "email":
        if not _MAIL.fullmatch(value):
            raise RequestError("this is not a mail address", code="bad_email")
        return value.lower()
    if not 0 < len(value) <= 300:
        raise RequestError("an id has 1 to 300 characters", code="bad_value")
    return value


def _phone(value: str, region: str) -> str:
    try:
        number = phonenumbers.parse(value, region.upper() or None)
    except phonenumbers.NumberParseException as exc:
        raise RequestError(
            "this is not a telephone number; write it with its country code (+49 30 123456)",
            code="bad_phone",
        ) from exc
    if not phonenumbers.is_possible_number(number):
        raise RequestError("a number of this country cannot have so many digits", code="bad_phone")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def searched(text: str) -> list[tuple[str, ...]]:
    """What to look for, word by word: each may be found in one of several forms.

    A word of three or more digits is also looked for as the end of a number, which is kept backwards after a ``~``
    (`core.storage.schema.versions.0006_content`).
    """
    text = text.strip().lower()
    digits = re.sub(r"[\s()./-]", "", text)
    bare = digits.removeprefix("+")
    if len(bare) >= 3 and bare.isascii() and bare.isdigit():
        return [(digits, bare, "~" + bare[::-1])]
    words = [word for word in re.split(r"[\s,;()<>\"]+", text) if word]
    return [(word[:100],) for word in words[:8]]
