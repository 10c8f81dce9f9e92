"""Webhooks out: how a delivery is signed, and what an attempt means. Pure.

Signatures are those of the Standard Webhooks specification 1.0.0 (standard-webhooks/standard-webhooks:
spec/standard-webhooks.md), so receivers check them with any of its libraries: HMAC-SHA256 over
``id.timestamp.body``, as ``v1,<base64>``, one for each secret in force, separated by spaces.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec
from msgspec import Struct

SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix of every secret
SECRET_BYTES = 32
"""The specification asks for 24 to 64."""
TOLERANCE_S = 300
"""How old a timestamp may be that a receiver believes."""

SCHEDULE_S = (5, 60, 300, 1800, 7200, 28800, 86400)
"""Seconds before each further try; after the last one a delivery has failed."""
LONGEST_WISH_S = 86400
"""How long a ``Retry-After`` is heeded."""
WARN_AFTER_S = 3600
"""Of nothing but failure: then the log says so."""
OFF_AFTER_S = 3 * 86400
"""Of nothing but failure: then the endpoint is switched off."""
EXCERPT_BYTES = 1024
"""Of an answer, kept for people."""

Step = Literal["delivered", "again", "failed"]


class Attempt(Struct, frozen=True, kw_only=True):
    """One try, as it is kept."""

    at_us: int
    took_ms: int = 0
    status: int = 0
    """Of the answer; 0 when there was none."""
    error: str = ""
    """Why there was none: ``timeout``, ``connection_failed``, ``no_such_host``, ``private_address``, ``tls_failed`` ..."""
    excerpt: str = ""
    """The beginning of the answer."""
    timestamp: int = 0
    """As it was signed: seconds."""
    signature: str = ""
    retry_after_s: float | None = None


class After(Struct, frozen=True):
    """What follows from an attempt."""

    step: Step
    pause_s: float = 0.0
    reason: str = ""
    """For people; empty when it was delivered."""
    off: bool = False
    """The endpoint wants no more (410)."""


def fresh_secret() -> str:
    """A new secret as receivers enter it: ``whsec_`` and base64."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def sign(secret: str, webhook_id: str, timestamp: int, body: bytes) -> str:
    """One signature: ``v1,<base64>``. Raises `ValueError` for what is no secret."""
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError("a secret begins with whsec_")
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    digest = hmac.digest(key, b"%s.%d." % (webhook_id.encode(), timestamp) + body, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


def headers(valid: Iterable[str], webhook_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of a delivery, signed with every secret in force."""
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(sign(secret, webhook_id, timestamp, body) for secret in valid),
    }


def is_genuine(secret: str, received: Mapping[str, str], body: bytes, *, now_s: float) -> bool:
    """What a receiver does: one of the signatures fits, and the timestamp is not older or newer than `TOLERANCE_S`."""
    webhook_id, stamp = received.get("webhook-id", ""), received.get("webhook-timestamp", "")
    if not webhook_id or not stamp.isdigit() or abs(now_s - int(stamp)) > TOLERANCE_S:
        return False
    wanted = sign(secret, webhook_id, int(stamp), body).encode()
    given = received.get("webhook-signature", "").encode().split(b" ")
    return any(hmac.compare_digest(one, wanted) for one in given)


def after(attempt: Attempt, *, tries: int, jitter: float) -> After:
    """What to do after an attempt, the ``tries``-th since the delivery was made due.

    ``jitter`` stretches the pause (0.8 to 1.2). An answer is tried again where another time may bring another one: none
    at all, 408, 429 and 5xx. Redirects are not followed: the endpoint's address is to be changed instead.
    """
    status = attempt.status
    if 200 <= status < 300:
        return After("delivered")
    reason = _words(attempt)
    if status == 410:
        return After("failed", reason=reason, off=True)
    if status and status not in (408, 429) and status < 500:
        return After("failed", reason=reason)
    if tries > len(SCHEDULE_S):
        return After("failed", reason=f"{reason}; tried {tries} times")
    pause = SCHEDULE_S[tries - 1] * jitter
    return After("again", max(pause, min(attempt.retry_after_s or 0.0, LONGEST_WISH_S)), reason)


_ERRORS = {
    "timeout": "no answer in time",
    "connection_failed": "no connection",
    "connection_lost": "the connection ended before there was an answer",
    "no_such_host": "the host's name is not known",
    "private_address": "its address is in a private network",
    "tls_failed": "no secure connection: look at the certificate",
    "bad_answer": "what it answered is not HTTP",
    "gone": "the entry is not in the log any more",
}


def _words(attempt: Attempt) -> str:
    if not attempt.status:
        return _ERRORS.get(attempt.error, attempt.error)
    if 300 <= attempt.status < 400:
        return f"it answered {attempt.status}: redirects are not followed"
    return f"it answered {attempt.status}"


class _Occurred(Struct):
    occurred_at: str


def payload(entry: bytes) -> bytes:
    """An entry of the log as it is delivered: with the ``timestamp`` that the specification recommends.

    (Its other recommended members, ``type`` and ``data``, every entry has.) Raises `msgspec.MsgspecError`.
    """
    occurred_at = msgspec.json.decode(entry, type=_Occurred).occurred_at
    return b'{"timestamp":%s,%s' % (msgspec.json.encode(occurred_at), entry[1:])


def covers(types: Iterable[str], kind: str) -> bool:
    """Whether an endpoint that asked for ``types`` (``*``, ``call.*``, ``call.ended``) wants this kind."""
    return any(
        one in ("*", kind) or (one.endswith(".*") and kind.startswith(one.removesuffix("*"))) for one in types
    )
