"""The names of objects, and what is known of one. See `core.storage.blobs`."""

from msgspec import Struct

from core.errors import RequestError

CHUNK = 1 << 18
"""Bytes read or written at a time."""
MAX_KEY = 900
"""Bytes. S3 allows 1024; the rest is for prefixes that a bucket's owner may put in front."""
MAX_WORD = 240
"""Bytes of one word as a file name: Linux takes 255, and we add a suffix."""


class Blob(Struct, frozen=True):
    """What is known of an object."""

    key: str
    size: int
    modified_us: int
    sha256: str = ""
    """In hex; empty in lists, where S3 does not tell it."""


def checked_key(key: str) -> str:
    """``key`` if it is one. Raises `RequestError`."""
    words = key.split("/")
    try:
        good = len(key.encode()) <= MAX_KEY and all(
            word not in ("", ".", "..") and len(file_name(word).encode()) <= MAX_WORD for word in words
        )
    except UnicodeEncodeError:
        good = False
    if not good or _has_controls(key):
        raise RequestError("this is no key for an object", code="bad_key")
    return key


def checked_prefix(prefix: str) -> str:
    """``prefix`` if keys can begin with it. Raises `RequestError`."""
    try:
        good = len(prefix.encode()) <= MAX_KEY
    except UnicodeEncodeError:
        good = False
    if not good or _has_controls(prefix):
        raise RequestError("no object's key begins like this", code="bad_key")
    return prefix


def _has_controls(text: str) -> bool:
    return any(ord(char) < 32 or ord(char) == 127 for char in text)


def file_name(word: str) -> str:
    """A word of a key as a file name. ``#`` is ours: it marks folders and checksums (`blobs_folder`)."""
    return word.replace("%", "%25").replace("#", "%23")
