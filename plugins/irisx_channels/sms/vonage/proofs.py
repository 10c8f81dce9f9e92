"""How Vonage proves that a webhook is its own: a JSON Web Token over the body, or ``sig`` over the fields.

See developer.vonage.com, "Signed webhooks" and "Signing messages".
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Literal

from irisx_channels.sms import jws, reading
from irisx_sdk import BadSignature, Request

Method = Literal["md5hash", "md5", "sha1", "sha256", "sha512"]
"""The account's setting: the plain MD5 that was the default for long, or HMAC with one of the others."""

TOLERANCE_S = 300


def signature(method: Method, secret: str, fields: Mapping[str, str]) -> str:
    """``sig`` over every other field, hexadecimal. Separators within values are made harmless first."""
    signed = "".join(
        f"&{name}={value.replace('&', '_').replace('=', '_')}"
        for name, value in sorted(fields.items())
        if name != "sig"
    ).encode("utf-8", "replace")
    if method == "md5hash":
        return hashlib.md5(signed + secret.encode(), usedforsecurity=False).hexdigest()
    return hmac.digest(secret.encode(), signed, method).hex()


def verify_fields(method: Method, secret: str, fields: Mapping[str, str], now_us: int) -> None:
    """A webhook of the SMS interface. Raises `BadSignature`."""
    given = fields.get("sig", "").lower().encode("utf-8", "replace")
    if not secret or not hmac.compare_digest(given, signature(method, secret, fields).encode()):
        raise BadSignature("not signed with this account's signature secret, or with another method")
    if abs(now_us / 1e6 - reading.whole(fields.get("timestamp", ""))) > TOLERANCE_S:
        raise BadSignature("signed too long ago, or in the future")


def verify_token(secret: str, request: Request) -> None:
    """A webhook of the Messages interface; always SHA-256. Raises `BadSignature`."""
    said = jws.claims(reading.header(request, "authorization")[7:].strip(), secret)
    if said.get("iss") != "Vonage":
        raise BadSignature("not signed by Vonage")
    if abs(request.received_us / 1e6 - jws.number(said, "iat")) > TOLERANCE_S:
        raise BadSignature("signed too long ago, or in the future")
    told = said.get("payload_hash")
    if told is None and not request.body:
        return
    body = hashlib.sha256(request.body).hexdigest()
    if not isinstance(told, str) or not hmac.compare_digest(
        told.lower().encode("utf-8", "replace"), body.encode()
    ):
        raise BadSignature("the body is not the one that was signed")
