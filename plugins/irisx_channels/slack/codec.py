"""Slack's requests and Socket Mode's envelopes: signatures and frames. Pure; what is in them is read by `events`."""

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from irisx_channels.lenient import Json, document, part, words
from irisx_channels.slack.events import read
from irisx_sdk.channel import Parsed, Reply, Request
from irisx_sdk.errors import BadSignature, Malformed

TOLERANCE_S = 300
"""How old a signed request may be (docs.slack.dev, "Verifying requests from Slack")."""


class Envelope(Struct, frozen=True):
    """One frame of Socket Mode."""

    kind: str
    """``hello``, ``disconnect``, ``events_api``, ``slash_commands``, ``interactive``, or something newer."""
    id: str = ""
    payload: Json = {}
    wants_payload: bool = False
    reason: str = ""


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """``X-Slack-Signature`` of a request's raw body."""
    base = b"v0:" + timestamp.encode() + b":" + body
    return "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()


def verify(secret: str, headers: Mapping[str, str], body: bytes, now_us: int) -> None:
    """Raise `BadSignature` unless Slack signed exactly this, within `TOLERANCE_S` of now."""
    stamp = headers.get("x-slack-request-timestamp", "")
    given = headers.get("x-slack-signature", "")
    if not secret:
        raise BadSignature("this account has no signing secret, so requests cannot be believed")
    if not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= 11):
        raise BadSignature("no time in the request")
    if not hmac.compare_digest(given.encode("utf-8", "replace"), sign(secret, stamp, body).encode()):
        raise BadSignature("the signature is not Slack's: check the signing secret")
    if abs(now_us - int(stamp) * 1_000_000) > TOLERANCE_S * 1_000_000:
        raise BadSignature("signed too long ago, or the clock of this machine is wrong")


def parse(secret: str, command_reply: str, request: Request) -> Parsed:
    """A request of Slack's. Raises `BadSignature` and `Malformed`."""
    verify(secret, request.headers, request.body, request.received_us)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        try:
            form = dict(parse_qsl(request.body.decode(), keep_blank_values=True, max_num_fields=200))
        except ValueError:
            raise Malformed("not a form") from None
        payload = document(form["payload"].encode("utf-8", "replace")) if "payload" in form else dict(form)
    else:
        payload = document(request.body)
    return read(payload, command_reply, request.received_us)


def envelope(frame: bytes | str) -> Envelope:
    """One frame of Socket Mode. Raises `Malformed`."""
    found = document(frame.encode("utf-8", "replace") if isinstance(frame, str) else frame)
    return Envelope(
        kind=words(found, "type"),
        id=words(found, "envelope_id"),
        payload=part(found, "payload"),
        wants_payload=found.get("accepts_response_payload") is True,
        reason=words(found, "reason"),
    )


def acknowledge(of: Envelope, reply: Reply) -> str:
    """The frame that tells Slack that an envelope was taken."""
    answer: Json = {"envelope_id": of.id}
    if of.wants_payload and reply.body and reply.media_type.startswith("application/json"):
        answer["payload"] = msgspec.Raw(reply.body)
    return msgspec.json.encode(answer).decode()
