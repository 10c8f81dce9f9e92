"""Secrets that must be readable again (a switch's password), sealed before they are stored.

The key is derived from the installation's secret (`core.config.Settings.secret`), which is not in the database:
a dump of it opens nothing. ``IRISX_SECRET=new,old`` changes the secret: the first seals, all of them open.
"""

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from core.errors import PeerError


class WrongSecret(PeerError):
    """What is stored was sealed with another secret than ours."""

    status_hint = 500
    code = "wrong_secret"
    retryable = False


def derive_key(secret: str, purpose: str) -> bytes:
    """32 bytes for one purpose: knowing one such key tells nothing of another."""
    return HKDF(SHA256(), 32, salt=None, info=f"irisx/{purpose}".encode()).derive(secret.encode())


class Sealer:
    """Seals and opens texts for one purpose."""

    def __init__(self, secret: str, purpose: str) -> None:
        if not secret:
            raise WrongSecret("no secret is given: set IRISX_SECRET")
        keys = [derive_key(one.strip(), purpose) for one in secret.split(",")]
        self._fernet = MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in keys])

    def seal(self, text: str) -> bytes:
        return self._fernet.encrypt(text.encode())

    def open(self, sealed: bytes) -> str:
        """Raises `WrongSecret`."""
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken:
            raise WrongSecret("it was stored under another IRISX_SECRET than this one") from None
