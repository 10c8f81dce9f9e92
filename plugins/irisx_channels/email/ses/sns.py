"""Amazon SNS: the envelope around everything that SES tells, and how its signature is checked.

Sources, of 2026: the AWS pages "Verifying the signatures of Amazon SNS messages" and "Parsing message formats".
"""

import base64
import binascii
import re
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from irisx_channels import lenient
from irisx_sdk import Account, BadSignature, NeedsKey, Request

WINDOW_S = 2 * 3600
"""How old a message may be: SNS repeats for an hour, with the time of the first try."""
KEEP_S = 86_400.0
_HOST = re.compile(r"sns\.[a-z0-9-]{3,30}\.amazonaws\.com(?:\.cn)?")
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}  # fmt: skip


def canonical(envelope: lenient.Json) -> bytes:
    """What is signed: names and values by turns, a line each; a subject only if there is one."""
    names = _SIGNED.get(lenient.words(envelope, "Type"), ())
    said = [(name, envelope[name]) for name in names if isinstance(envelope.get(name), str)]
    return "".join(f"{name}\n{value}\n" for name, value in said).encode("utf-8", "replace")


def verify(account: Account, request: Request, topics: tuple[str, ...], sns_url: str) -> lenient.Json:
    """The envelope in a request. Raises `BadSignature`, and `NeedsKey` for the certificate.

    ``sns_url``: another host than Amazon's own that may name certificates; empty for none.
    """
    envelope = lenient.document(request.body)
    if lenient.words(envelope, "Type") not in _SIGNED:
        raise BadSignature("not a message of Amazon SNS")
    if lenient.words(envelope, "TopicArn") not in topics:
        raise BadSignature("of a topic that is not in this account's settings")
    at = _time_s(lenient.words(envelope, "Timestamp"))
    if at is None or abs(request.received_us / 1e6 - at) > WINDOW_S:
        raise BadSignature("signed too long ago")
    url = lenient.words(envelope, "SigningCertURL") or lenient.words(envelope, "SigningCertUrl")
    if not trusted(url, sns_url) or not urlsplit(url).path.endswith(".pem"):
        raise BadSignature("the certificate is not at Amazon SNS")
    if url not in account.keys:
        raise NeedsKey(url, keep_s=KEEP_S)
    _check(account.keys[url], envelope, request.received_us)
    return envelope


def trusted(url: str, sns_url: str) -> bool:
    """Whether an address is at Amazon SNS (or at what stands for it)."""
    try:
        parts, known = urlsplit(url), urlsplit(sns_url)
        # (the whole of netloc: a user or a port before or behind the host is another place)
        if parts.scheme == "https" and _HOST.fullmatch(parts.netloc):
            return True
        return bool(sns_url) and (parts.scheme, parts.netloc) == (known.scheme, known.netloc)
    except ValueError:
        return False


def _check(pem: bytes, envelope: lenient.Json, now_us: int) -> None:
    algorithm = {"1": SHA1, "2": SHA256}.get(lenient.words(envelope, "SignatureVersion"))
    if algorithm is None:
        raise BadSignature("a signature of an unknown version")
    try:
        certificate = _certificate(pem)
        key = certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadSignature("the certificate cannot be read") from None
    now = datetime.fromtimestamp(now_us / 1e6, UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise BadSignature("the certificate is not valid at this time")
    if not isinstance(key, RSAPublicKey):
        raise BadSignature("the certificate is not Amazon's")
    try:
        signature = base64.b64decode(lenient.words(envelope, "Signature"), validate=True)
        key.verify(signature, canonical(envelope), PKCS1v15(), algorithm())
    except (InvalidSignature, ValueError, binascii.Error):
        raise BadSignature("not signed by Amazon SNS") from None


@lru_cache(maxsize=16)
def _certificate(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def _time_s(written: str) -> float | None:
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        return None
    return at.timestamp() if at.tzinfo is not None else None
