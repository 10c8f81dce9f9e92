"""API keys: ``irx_<id>_<secret>``. The id finds the row, the secret is compared with its hash.

The secret has 256 bits of chance, so one SHA-256 is enough of a hash: there is nothing to guess from a list of
likely ones. The fixed beginning lets scanners find keys that leaked into a repository.
"""

import hashlib
import re
import secrets

from core.ids import ALPHABET, new_id

PREFIX = "irx_"
_FORM = re.compile(r"irx_([0-9a-z]{26})_([0-9a-z]{52})")


def fresh_key() -> tuple[str, str, bytes]:
    """A new key: its id, the text to be shown once, and the hash to keep."""
    key_id = new_id("key")
    text, digest = fresh_secret(key_id)
    return key_id, text, digest


def fresh_secret(key_id: str) -> tuple[str, bytes]:
    """A new secret for an id that exists: the text to be shown once, and the hash to keep."""
    secret = "".join(secrets.choice(ALPHABET) for _ in range(52))
    return f"{PREFIX}{key_id.removeprefix('key_')}_{secret}", digest_of(secret)


def digest_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def parse_key(text: str) -> tuple[str, bytes] | None:
    """The id in ``text`` and the hash of its secret; None when it cannot be a key."""
    match = _FORM.fullmatch(text)
    return None if match is None else ("key_" + match[1], digest_of(match[2]))
