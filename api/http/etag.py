"""ETags and the headers that compare them (RFC 9110, sections 8.8.3 and 13.1)."""

from api.http.problem import bad_parameter

ANY_OTHER = -1
"""A version that nothing has: what ``If-Match`` names is not one of ours."""
MAX_HEADER = 500


def parse_if_match(text: str) -> int | None:
    """The version that ``If-Match`` names; None for ``*``. Raises `Invalid` for what is no ETag."""
    text = text.strip()
    if text == "*":
        return None
    if len(text) > MAX_HEADER or len(text) < 2 or not text.endswith('"') or not text.startswith(('"', 'W/"')):
        raise bad_parameter("If-Match", 'expected an ETag such as "7", or *')
    bare = text[1:-1]
    # A weak one never matches here (section 13.1.1), and neither does what is not a number.
    return int(bare) if bare.isascii() and bare.isdigit() and len(bare) < 18 else ANY_OTHER


def matches(if_none_match: str, etag: str) -> bool:
    """Whether one of the validators in ``If-None-Match`` is ``etag`` (weak comparison)."""
    if len(if_none_match) > MAX_HEADER:
        return False
    return any(part.strip().removeprefix("W/") in ("*", f'"{etag}"') for part in if_none_match.split(","))
