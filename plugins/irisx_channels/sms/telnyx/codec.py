"""Telnyx's wire (API v2), pure: JSON out, JSON with an Ed25519 signature in. See developers.telnyx.com.

A message's state is in ``to[].status``; the flat form that some guides show does not exist on the wire.
"""

import base64
import binascii
from typing import Annotated, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta, Struct

from irisx_channels.sms import numbers, outgoing, reading, words
from irisx_channels.sms.outcomes import failure, opted_out, receipt
from irisx_channels.sms.overhttp import Ask
from irisx_channels.sms.telnyx.codes import CODES, STATES
from irisx_sdk import (
    Account,
    BadSignature,
    Malformed,
    Outbound,
    OutcomeUnknown,
    Parsed,
    Request,
    Sent,
    secret,
)

TITLE = "Telnyx"
MAX_TEXT = 1530
"""Ten parts, the most that networks in North America join again."""
MAX_FILES = 10
TOLERANCE_S = 300


class Settings(Struct, frozen=True, kw_only=True):
    """A Telnyx account."""

    api_key: Annotated[str, secret("An API key (KEY...)")]
    public_key: Annotated[
        str, Meta(description="The key that webhooks are signed with, from the portal, base64")
    ]
    sender: Annotated[str, Meta(description="A number, short code or name to send as")] = ""
    messaging_profile_id: Annotated[
        str,
        Meta(
            description="A messaging profile: needed for names, and chooses a number where no sender is set"
        ),
    ] = ""
    base_url: Annotated[str, Meta(description="Where Telnyx's interface is")] = "https://api.telnyx.com"


def submission(settings: Settings, message: Outbound, now_us: int) -> Ask:
    """The request that sends a message. Raises `Refused`, `Misconfigured`."""
    text, files = outgoing.words_and_files(message, TITLE, max_text=MAX_TEXT, max_files=MAX_FILES)
    body: dict[str, Any] = {"to": numbers.receiver(message)}
    sender = numbers.sender(message, settings.sender)
    if sender:
        body["from"] = sender
    else:
        outgoing.settled(settings.messaging_profile_id, "sender or messaging profile", TITLE)
    if settings.messaging_profile_id:
        body["messaging_profile_id"] = settings.messaging_profile_id
    if text:
        body["text"] = text
    if files:
        body["media_urls"] = list(files)
    if message.subject:
        body["subject"] = message.subject
    if message.status_url:
        body["webhook_url"] = reading.with_reference(message.status_url, message.id)
    path = "/v2/messages" if sender else "/v2/messages/number_pool"
    return Ask("POST", settings.base_url.rstrip("/") + path, json=body, headers=_headers(settings))


def probe(settings: Settings, now_us: int) -> Ask:
    """The account's balance."""
    return Ask("GET", settings.base_url.rstrip("/") + "/v2/balance", headers=_headers(settings))


def working(answer: Any) -> str:
    amount, currency = (reading.word(answer, "data", name) for name in ("balance", "currency"))
    return f"the key is good; the balance is {amount} {currency}".strip()


def file_login(settings: Settings) -> None:
    return None


def token(settings: Settings) -> None:
    return None


def _headers(settings: Settings) -> dict[str, str]:
    return {"Authorization": f"Bearer {settings.api_key}"}


def sent(message: Outbound, status: int, body: bytes, retry_after_s: float | None = None) -> Sent:
    """Read the answer to a sending. Raises what it says otherwise."""
    try:
        answer = reading.json_object(body)
    except Malformed:
        answer = {}
    if status not in (200, 201, 202):
        raise failure(TITLE, status, reading.word(answer, "errors", 0, "code"), CODES, retry_after_s)
    name = reading.word(answer, "data", "id")
    if not name:
        raise OutcomeUnknown("Telnyx took the message and did not say under which id")
    state = STATES.get(reading.word(answer, "data", "to", 0, "status"), "queued")
    if state in ("failed", "undelivered"):
        raise failure(TITLE, 400, reading.word(answer, "data", "errors", 0, "code"), CODES)
    parts = reading.whole(reading.word(answer, "data", "parts"))
    return Sent((name,), state, parts or outgoing.segments_of(message))


def verify(settings: Settings, request: Request) -> None:
    """Raises `BadSignature`."""
    stamp = reading.header(request, "telnyx-timestamp")
    if not stamp or abs(request.received_us // 1_000_000 - reading.whole(stamp)) > TOLERANCE_S:
        raise BadSignature("signed too long ago, or in the future")
    try:
        mark = base64.b64decode(reading.header(request, "telnyx-signature-ed25519"), validate=True)
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(settings.public_key, validate=True))
        key.verify(mark, stamp.encode() + b"|" + request.body)
    except (InvalidSignature, binascii.Error, ValueError):
        raise BadSignature("not signed with the key in this account's settings") from None


def parse(account: Account, request: Request) -> Parsed:
    """Read a webhook: a message, a receipt, or an event that is about neither. Raises `BadSignature`, `Malformed`."""
    verify(account.settings, request)
    body = reading.json_object(request.body)
    kind = reading.needed(body, "data", "event_type")
    payload = reading.dig(body, "data", "payload")
    if kind == "message.received":
        return _inbound(payload)
    if kind in ("message.sent", "message.finalized"):
        return _receipt(
            payload, kind, reading.time_us(reading.word(body, "data", "occurred_at")), request.url
        )
    return Parsed()  # (numbers ordered, campaigns approved: nothing that anybody wrote)


def _inbound(payload: object) -> Parsed:
    files = [
        reading.file(
            reading.word(one, "url"),
            reading.word(one, "content_type"),
            size=reading.whole(reading.word(one, "size")),
        )
        for one in reading.items(payload, "media")
        if reading.word(one, "url")
    ]
    to = reading.word(payload, "to", 0, "phone_number")
    others = [reading.word(one, "phone_number") for one in reading.items(payload, "to")[1:]]
    others += [reading.word(one, "phone_number") for one in reading.items(payload, "cc")]
    return reading.came(
        reading.needed(payload, "id"),
        numbers.address(reading.needed(payload, "from", "phone_number")),
        numbers.address(to) if to else None,
        reading.word(payload, "text"),
        files=files,
        sent_us=reading.time_us(reading.word(payload, "received_at")),
        subject=reading.word(payload, "subject"),
        also_to=[numbers.address(one) for one in others if one],
        stop=words.TELNYX_STOP,
    )


def _receipt(payload: object, kind: str, at_us: int, url: str) -> Parsed:
    name = reading.needed(payload, "id")
    told = reading.word(payload, "to", 0, "status") or ("sent" if kind == "message.sent" else "")
    state = STATES.get(told)
    if state is None:
        raise Malformed("the receipt has a state that nobody told us of", code=told[:40])
    code = reading.word(payload, "errors", 0, "code")
    status = receipt(
        name,
        state,
        code,
        CODES,
        at_us=at_us,
        reference=reading.reference(url),
        price=reading.word(payload, "cost", "amount"),
        currency=reading.word(payload, "cost", "currency"),
    )
    person, ours = (
        reading.word(payload, *path) for path in (("to", 0, "phone_number"), ("from", "phone_number"))
    )
    if not opted_out(code, CODES) or not person:
        return Parsed(statuses=(status,))
    wish = reading.wants(name, numbers.address(person), numbers.address(ours) if ours else None, False, at_us)
    return Parsed(statuses=(status,), preferences=(wish,))
