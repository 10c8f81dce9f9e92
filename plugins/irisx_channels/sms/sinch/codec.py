"""Sinch's wire (SMS, "XMS"), pure: batches out, reports and texts in. See developers.sinch.com/docs/sms.

A batch has one id for all of its receivers. We send to one at a time, so that the batch's id is the message's.
Callbacks are signed (HMAC) or bring a user and password, whichever the account manager set up; both are accepted
where they are in the settings, nothing else is.
"""

import base64
import hashlib
import hmac
from typing import Annotated, Any

from msgspec import Meta, Struct

from irisx_channels.sms import numbers, outgoing, reading
from irisx_channels.sms.outcomes import failure, receipt
from irisx_channels.sms.overhttp import Ask
from irisx_channels.sms.sinch.codes import CODES, FINE, STATES
from irisx_sdk import (
    Account,
    Address,
    BadSignature,
    Malformed,
    Outbound,
    OutcomeUnknown,
    Parsed,
    Request,
    Sent,
    Status,
    secret,
)

TITLE = "Sinch"
MAX_TEXT = 2000
MAX_FILES = 1
TOLERANCE_S = 300
_TOKENS = "https://auth.sinch.com/oauth2/token"


class Settings(Struct, frozen=True, kw_only=True):
    """A Sinch service plan, or a project where OAuth is used."""

    plan_id: Annotated[str, Meta(description="The service plan's id, or the project's", min_length=1)]
    api_token: Annotated[str, secret("The service plan's API token, or the access key's secret")]
    key_id: Annotated[
        str, Meta(description="The access key's id, for a project (OAuth 2); empty for a plan")
    ] = ""
    webhook_secret: Annotated[str, secret("The secret that callbacks are signed with")] = ""
    callback_user: Annotated[
        str, Meta(description="The user that callbacks bring, where they are not signed")
    ] = ""
    callback_password: Annotated[str, secret("The password that callbacks bring")] = ""
    sender: Annotated[
        str, Meta(description="A number, short code or name to send as; empty for the plan's own")
    ] = ""
    base_url: Annotated[
        str,
        Meta(
            description="Where the interface is: us, eu, au, br or ca; https://zt.us.sms.api.sinch.com for a project"
        ),
    ] = "https://us.sms.api.sinch.com"
    token_url: Annotated[str, Meta(description="Where tokens come from")] = _TOKENS


def submission(settings: Settings, message: Outbound, now_us: int) -> Ask:
    """The request that sends a message. Raises `Refused`, `Misconfigured`."""
    text, files = outgoing.words_and_files(message, TITLE, max_text=MAX_TEXT, max_files=MAX_FILES)
    body: dict[str, Any] = {
        "to": [numbers.receiver(message, plus=False)],
        "delivery_report": "per_recipient",
        "client_reference": message.id,
    }
    sender = numbers.sender(message, settings.sender, plus=False)
    if sender:
        body["from"] = sender
    if files:
        words = {"message": text} if text else {}
        body |= {"type": "mt_media", "body": {"url": files[0]} | words}
    else:
        body |= {"type": "mt_text", "body": text}
    if message.status_url:
        body["callback_url"] = message.status_url
    return Ask("POST", _address(settings, "batches"), json=body, headers=_headers(settings))


def probe(settings: Settings, now_us: int) -> Ask:
    """The newest batch."""
    return Ask("GET", _address(settings, "batches?page_size=1"), headers=_headers(settings))


def working(answer: Any) -> str:
    return "the plan and its token are good"


def file_login(settings: Settings) -> None:
    return None


def token(settings: Settings) -> Ask | None:
    if not settings.key_id:
        return None
    grant = {"grant_type": "client_credentials"}
    return Ask("POST", settings.token_url, form=grant, login=(settings.key_id, settings.api_token))


def _address(settings: Settings, rest: str) -> str:
    return f"{settings.base_url.rstrip('/')}/xms/v1/{settings.plan_id}/{rest}"


def _headers(settings: Settings) -> dict[str, str]:
    return {} if settings.key_id else {"Authorization": f"Bearer {settings.api_token}"}


def sent(message: Outbound, status: int, body: bytes, retry_after_s: float | None = None) -> Sent:
    """Read the answer to a sending. Raises what it says otherwise; errors have a word instead of a number."""
    try:
        answer = reading.json_object(body)
    except Malformed:
        answer = {}
    if status not in (200, 201):
        raise failure(TITLE, status, reading.word(answer, "code"), {}, retry_after_s)
    name = reading.word(answer, "id")
    if not name:
        raise OutcomeUnknown("Sinch took the message and did not say under which id")
    return Sent((name,), "queued", outgoing.segments_of(message))


def signature(key: str, body: bytes, nonce: str, stamp: str) -> str:
    """What Sinch writes into ``X-Sinch-Webhook-Signature``."""
    signed = body + f".{nonce}.{stamp}".encode("utf-8", "replace")
    return base64.b64encode(hmac.digest(key.encode(), signed, hashlib.sha256)).decode()


def verify(settings: Settings, request: Request) -> None:
    """Raises `BadSignature`."""
    given = reading.header(request, "x-sinch-webhook-signature")
    if settings.webhook_secret and given:
        nonce, stamp, kind = (
            reading.header(request, f"x-sinch-webhook-signature-{name}")
            for name in ("nonce", "timestamp", "algorithm")
        )
        good = signature(settings.webhook_secret, request.body, nonce, stamp)
        if kind.lower() not in ("", "hmacsha256"):
            raise BadSignature("signed with a method that is not HMAC SHA-256")
        if not hmac.compare_digest(given.encode("utf-8", "replace"), good.encode()):
            raise BadSignature("not signed with this account's webhook secret")
        # The vendor's libraries look at no time; five minutes either way is our choice.
        if abs(request.received_us / 1e6 - reading.whole(stamp)) > TOLERANCE_S:
            raise BadSignature("signed too long ago, or in the future")
        return
    pair = f"{settings.callback_user}:{settings.callback_password}".encode()
    kind, _, rest = reading.header(request, "authorization").partition(" ")
    basic = f"{kind.lower()} {rest.strip()}".encode("utf-8", "replace")
    if not settings.callback_password or not hmac.compare_digest(basic, b"basic " + base64.b64encode(pair)):
        raise BadSignature(
            "neither signed with this account's webhook secret nor with its callback password",
            challenge="Basic" if settings.callback_password else "",
        )


def parse(account: Account, request: Request) -> Parsed:
    """Read a webhook. Raises `BadSignature`, `Malformed`."""
    verify(account.settings, request)
    body = reading.json_object(request.body)
    kind = reading.needed(body, "type")
    if kind in ("mo_text", "mo_binary", "mo_media"):
        return _inbound(kind, body)
    name = reading.needed(body, "batch_id")
    if kind.startswith("recipient_delivery_report_"):
        return Parsed(statuses=(_status(name, body, body),))
    if kind.startswith("delivery_report_"):
        return Parsed(statuses=tuple(_status(name, one, body) for one in reading.items(body, "statuses")))
    raise Malformed("a callback of a kind that nobody told us of", code=kind[:40])


def _status(name: str, told: object, body: object) -> Status:
    word = reading.needed(told, "status")
    state = STATES.get(word.lower())
    if state is None:
        raise Malformed("the report has a state that nobody told us of", code=word[:40])
    code = reading.word(told, "code")
    return receipt(
        name,
        state,
        "" if code in FINE else code,
        CODES,
        at_us=reading.time_us(reading.word(told, "operator_status_at") or reading.word(told, "at")),
        reference=reading.word(body, "client_reference"),
    )


def _inbound(kind: str, body: dict[str, Any]) -> Parsed:
    name = reading.needed(body, "id")
    sender = numbers.address(reading.needed(body, "from"), plus=False)
    ours = reading.word(body, "to")
    recipient: Address | None = numbers.address(ours, plus=False) if ours else None
    sent_us = reading.time_us(reading.word(body, "sent_at") or reading.word(body, "received_at"))
    if kind == "mo_text":
        return reading.came(name, sender, recipient, reading.word(body, "body"), sent_us=sent_us)
    if kind == "mo_media":
        files = [
            reading.file(reading.word(one, "url"), reading.word(one, "content_type"))
            for one in reading.items(body, "body", "media")
            if reading.word(one, "url") and reading.word(one, "status").lower() != "failed"
        ]
        text, subject = (reading.word(body, "body", part) for part in ("message", "subject"))
        return reading.came(name, sender, recipient, text, files=files, sent_us=sent_us, subject=subject)
    return reading.strange(name, sender, recipient, "binary", sent_us=sent_us)
