"""Interactions over HTTP: Discord's signature, and what it must be answered at once. Pure.

Discord tests addresses with wrong signatures now and then and switches off those that accept them. It names no limit
for the age of a request; ours is `TOLERANCE_S`.
"""

from collections.abc import Mapping

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from irisx_channels.discord import events
from irisx_channels.lenient import Json, document, whole
from irisx_sdk.channel import Parsed, Reply, Request
from irisx_sdk.errors import BadSignature, Misconfigured

TOLERANCE_S = 300

PING = 1
_PONG, _MESSAGE, _DEFERRED_UPDATE, _CHOICES = 1, 4, 6, 8
"""Types of answers (docs, "Receiving and Responding")."""

ONLY_FOR_THEM = 64
"""The flag of a message that only the person sees."""


def verify(public_key: str, headers: Mapping[str, str], body: bytes, now_us: int) -> None:
    """Raise `BadSignature` unless Discord signed exactly this, not longer ago than `TOLERANCE_S`."""
    if not public_key:
        raise BadSignature("this account has no public key, so requests cannot be believed")
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
    except ValueError:
        raise Misconfigured("the public key must be 64 hexadecimal digits") from None
    stamp = headers.get("x-signature-timestamp", "")
    try:
        key.verify(bytes.fromhex(headers.get("x-signature-ed25519", "")), stamp.encode() + body)
    except (InvalidSignature, ValueError):
        raise BadSignature("the signature is not Discord's: check the application's public key") from None
    if not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= 11):
        raise BadSignature("no time in the request")
    if abs(now_us - int(stamp) * 1_000_000) > TOLERANCE_S * 1_000_000:
        raise BadSignature("signed too long ago, or the clock of this machine is wrong")


def parse(public_key: str, command_reply: str, request: Request) -> Parsed:
    """A request of Discord's. Raises `BadSignature` and `Malformed`."""
    verify(public_key, request.headers, request.body, request.received_us)
    found = document(request.body)
    if whole(found, "type") == PING:
        return Parsed(reply=_json({"type": _PONG}))
    return Parsed(messages=events.interaction(found), reply=_json(answer(found, command_reply)))


def answer(interaction: Json, command_reply: str) -> Json:
    """What an interaction is answered within 3 s: Discord shows an error to the person otherwise."""
    kind = whole(interaction, "type")
    if kind == events.COMPONENT:
        return {"type": _DEFERRED_UPDATE}
    if kind == events.AUTOCOMPLETE:
        return {"type": _CHOICES, "data": {"choices": []}}
    return {"type": _MESSAGE, "data": {"content": command_reply or "✓", "flags": ONLY_FOR_THEM}}


def _json(body: Json) -> Reply:
    return Reply(body=msgspec.json.encode(body), media_type="application/json")
