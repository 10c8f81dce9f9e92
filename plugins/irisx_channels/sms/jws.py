"""Signed claims as some providers send them: JSON Web Signatures (RFC 7515, compact form) with a shared secret."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from irisx_sdk import BadSignature

_HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


def claims(token: str, secret: str, methods: Collection[str] = ("HS256",)) -> dict[str, Any]:
    """What a token says, once it is certain who says it. Raises `BadSignature`."""
    head, _, rest = token.partition(".")
    body, _, mark = rest.partition(".")
    try:
        method = msgspec.json.decode(_bytes(head), type=dict[str, Any]).get("alg")
        # The token names the method, we decide which ones count: never "none", never one for public keys.
        if not isinstance(method, str) or method not in _HASHES or method not in methods or not secret:
            raise BadSignature("not signed in the way that this account uses")
        signed = f"{head}.{body}".encode()
        if not hmac.compare_digest(hmac.digest(secret.encode(), signed, _HASHES[method]), _bytes(mark)):
            raise BadSignature("not signed with this account's secret")
        return msgspec.json.decode(_bytes(body), type=dict[str, Any])
    except (msgspec.DecodeError, binascii.Error, ValueError, RecursionError):
        raise BadSignature("the signature cannot be read") from None


def make(said: Mapping[str, Any], secret: str) -> str:
    """Such a token, HS256: what the fakes sign with."""
    head = _text(b'{"alg":"HS256","typ":"JWT"}')
    body = _text(msgspec.json.encode(said))
    return f"{head}.{body}.{_text(hmac.digest(secret.encode(), f'{head}.{body}'.encode(), hashlib.sha256))}"


def number(said: Mapping[str, Any], name: str) -> float:
    """A time among the claims. Raises `BadSignature` when it is none."""
    value = said.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadSignature(f"the signature does not say {name}")
    return value


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
