"""MessageBird's wire (now Bird; the REST interface of rest.messagebird.com), pure. See developers.messagebird.com/api.

Reports come as GET with everything in the query. They are signed by a JSON Web Token over the whole address and the
body; the older signature, over the query's fields and the body, is still read.
"""

import base64
import hashlib
import hmac
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from msgspec import Meta, Struct

from irisx_channels.sms import jws, numbers, outgoing, reading
from irisx_channels.sms.messagebird.codes import CODES, REASONS, STATES
from irisx_channels.sms.outcomes import failure, opted_out, receipt
from irisx_channels.sms.overhttp import Ask
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

TITLE = "MessageBird"
MAX_TEXT = 1377
"""Nine parts."""
LEEWAY_S = 1
OLD_TOLERANCE_S = 10
"""Of the older signature."""


class Settings(Struct, frozen=True, kw_only=True):
    """A MessageBird account."""

    access_key: Annotated[str, secret("A live access key")]
    signing_key: Annotated[str, secret("The signing key that reports and messages come with")]
    sender: Annotated[str, Meta(description="A number, short code or name to send as")] = ""
    base_url: Annotated[str, Meta(description="Where the interface is")] = "https://rest.messagebird.com"


def submission(settings: Settings, message: Outbound, now_us: int) -> Ask:
    """The request that sends a message. Raises `Refused`, `Misconfigured`."""
    text, _ = outgoing.words_and_files(message, TITLE, max_text=MAX_TEXT)
    body: dict[str, Any] = {
        "originator": outgoing.settled(numbers.sender(message, settings.sender, plus=False), "sender", TITLE),
        "recipients": [numbers.receiver(message, plus=False)],
        "body": text,
        "datacoding": "auto",
        "reference": message.id,
    }
    if message.status_url:
        body["reportUrl"] = message.status_url
    return Ask("POST", settings.base_url.rstrip("/") + "/messages", json=body, headers=_headers(settings))


def probe(settings: Settings, now_us: int) -> Ask:
    """The account's balance."""
    return Ask("GET", settings.base_url.rstrip("/") + "/balance", headers=_headers(settings))


def working(answer: Any) -> str:
    return f"the key is good; the balance is {reading.word(answer, 'amount')} {reading.word(answer, 'type')}".strip()


def file_login(settings: Settings) -> None:
    return None


def token(settings: Settings) -> None:
    return None


def _headers(settings: Settings) -> dict[str, str]:
    return {"Authorization": f"AccessKey {settings.access_key}"}


def sent(message: Outbound, status: int, body: bytes, retry_after_s: float | None = None) -> Sent:
    """Read the answer to a sending. Raises what it says otherwise."""
    try:
        answer = reading.json_object(body)
    except Malformed:
        answer = {}
    if status not in (200, 201):
        raise failure(TITLE, status, reading.word(answer, "errors", 0, "code"), CODES, retry_after_s)
    name = reading.word(answer, "id")
    if not name:
        raise OutcomeUnknown("MessageBird took the message and did not say under which id")
    told = reading.word(answer, "recipients", "items", 0, "status")
    return Sent((name,), STATES.get(told, "queued"), outgoing.segments_of(message))


def verify(settings: Settings, request: Request) -> None:
    """Raises `BadSignature`."""
    if token := reading.header(request, "messagebird-signature-jwt"):
        _verify_token(settings, request, token)
    else:
        _verify_old(settings, request)


def _verify_token(settings: Settings, request: Request, token: str) -> None:
    said = jws.claims(token, settings.signing_key, ("HS256", "HS384", "HS512"))
    if said.get("iss") != "MessageBird":
        raise BadSignature("not signed by MessageBird")
    now_s = request.received_us / 1e6
    if not jws.number(said, "nbf") - LEEWAY_S <= now_s <= jws.number(said, "exp") + LEEWAY_S:
        raise BadSignature("signed too long ago, or in the future")
    if said.get("url_hash") != hashlib.sha256(request.url.encode("utf-8", "replace")).hexdigest():
        raise BadSignature("signed for another address")
    body = hashlib.sha256(request.body).hexdigest() if request.body else None
    if said.get("payload_hash") != body:
        raise BadSignature("the body is not the one that was signed")


def old_signature(key: str, stamp: str, query: list[tuple[str, str]], body: bytes) -> str:
    """What ``MessageBird-Signature`` holds: time, sorted query and the body's digest."""
    head = f"{stamp}\n{urlencode(sorted(query))}\n".encode("utf-8", "replace")
    signed = head + hashlib.sha256(body).digest()
    return base64.b64encode(hmac.digest(key.encode(), signed, hashlib.sha256)).decode()


def _verify_old(settings: Settings, request: Request) -> None:
    stamp = reading.header(request, "messagebird-request-timestamp")
    given = reading.header(request, "messagebird-signature")
    try:
        good = old_signature(settings.signing_key, stamp, reading.query(request.url), request.body)
    except Malformed:
        raise BadSignature("the address cannot be read") from None
    if not settings.signing_key or not hmac.compare_digest(given.encode("utf-8", "replace"), good.encode()):
        raise BadSignature("not signed with this account's signing key")
    if abs(request.received_us / 1e6 - reading.whole(stamp)) > OLD_TOLERANCE_S:
        raise BadSignature("signed too long ago, or in the future")


def parse(account: Account, request: Request) -> Parsed:
    """Read a webhook: a report or a message. Raises `BadSignature`, `Malformed`."""
    verify(account.settings, request)
    given = reading.fields(request)
    if "status" in given and "body" not in given:
        return _report(given)
    ours = given.get("recipient", "")
    return reading.came(
        given.get("id") or reading.needed(given, "message_id"),
        numbers.address(reading.needed(given, "originator"), plus=False),
        numbers.address(ours, plus=False) if ours else None,
        given.get("body", ""),
        sent_us=reading.time_us(given.get("createdDatetime", "")),
    )


def _report(given: dict[str, str]) -> Parsed:
    told = given["status"]
    if told not in STATES:
        raise Malformed("the report has a state that nobody told us of", code=told[:40])
    name, why = reading.needed(given, "id"), given.get("statusReason", "").lower()
    status = receipt(
        name,
        STATES[told],
        "" if why == "successfully delivered" else why,
        REASONS,
        # A plus in a query is a space: "2024-01-02T03:04:05 00:00".
        at_us=reading.time_us(given.get("statusDatetime", "").replace(" ", "+")),
        reference=given.get("reference", ""),
    )
    status = msgspec.structs.replace(status, code=given.get("statusErrorCode") or status.code)
    if not opted_out(why, REASONS) or not given.get("recipient"):
        return Parsed(statuses=(status,))
    person = numbers.address(given["recipient"], plus=False)
    return Parsed(statuses=(status,), preferences=(reading.wants(name, person, None, False, status.at_us),))
