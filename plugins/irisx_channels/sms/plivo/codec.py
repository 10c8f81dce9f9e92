"""Plivo's wire, pure: JSON out, forms with a signature in. See docs.plivo.com/messaging.

Signature version 2, the one of messages, covers the address without its query and a nonce, not the body: it says who
calls, no more. Version 3 covers everything; it is checked where it is there. Numbers have no plus on this wire.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from irisx_channels.sms import numbers, outgoing, reading
from irisx_channels.sms.outcomes import failure, opted_out, receipt
from irisx_channels.sms.overhttp import Ask
from irisx_channels.sms.plivo.codes import CODES, STATES
from irisx_sdk import (
    Account,
    BadSignature,
    Malformed,
    Outbound,
    OutcomeUnknown,
    Parsed,
    Reply,
    Request,
    Sent,
    secret,
)

TITLE = "Plivo"
MAX_TEXT = 1600
MAX_WIDE_TEXT = 737
"""Where a character needs Unicode."""
MAX_FILES = 10

_QUERY = re.compile(r"[?#].*", re.DOTALL)
_EMPTY = Reply(200, b"<Response/>", "text/xml; charset=utf-8")
_MOST_MEDIA = 20


class Settings(Struct, frozen=True, kw_only=True):
    """A Plivo account."""

    auth_id: Annotated[str, Meta(description="The account's auth id", min_length=1)]
    auth_token: Annotated[str, secret("The account's auth token: webhooks are signed with it, too")]
    main_token: Annotated[str, secret("For a subaccount: the main account's auth token, or empty")] = ""
    sender: Annotated[str, Meta(description="A number, short code or name to send as")] = ""
    powerpack_uuid: Annotated[str, Meta(description="A powerpack that chooses the sender")] = ""
    base_url: Annotated[str, Meta(description="Where Plivo's interface is")] = "https://api.plivo.com"


def submission(settings: Settings, message: Outbound, now_us: int) -> Ask:
    """The request that sends a message. Raises `Refused`, `Misconfigured`."""
    text, files = outgoing.words_and_files(
        message, TITLE, max_text=MAX_TEXT, max_wide_text=MAX_WIDE_TEXT, max_files=MAX_FILES
    )
    body: dict[str, Any] = {"dst": numbers.receiver(message, plus=False), "type": "mms" if files else "sms"}
    if message.sender is None and settings.powerpack_uuid:
        body["powerpack_uuid"] = settings.powerpack_uuid
    else:
        body["src"] = outgoing.settled(numbers.sender(message, settings.sender, plus=False), "sender", TITLE)
    if text:
        body["text"] = text
    if files:
        body["media_urls"] = list(files)
    if message.status_url:
        body["url"] = reading.with_reference(message.status_url, message.id)
        body["method"] = "POST"
    return Ask("POST", _address(settings, "Message/"), json=body, login=_login(settings))


def probe(settings: Settings, now_us: int) -> Ask:
    """The account itself."""
    return Ask("GET", _address(settings), login=_login(settings))


def working(answer: Any) -> str:
    return f"the account is {reading.word(answer, 'state') or 'known'}"


def file_login(settings: Settings) -> tuple[str, tuple[str, str]]:
    return settings.base_url, _login(settings)


def token(settings: Settings) -> None:
    return None


def _address(settings: Settings, rest: str = "") -> str:
    return f"{settings.base_url.rstrip('/')}/v1/Account/{settings.auth_id}/{rest}"


def _login(settings: Settings) -> tuple[str, str]:
    return settings.auth_id, settings.auth_token


def sent(message: Outbound, status: int, body: bytes, retry_after_s: float | None = None) -> Sent:
    """Read the answer to a sending. Raises what it says otherwise; Plivo's errors are texts without codes."""
    if status not in (200, 201, 202):
        raise failure(TITLE, status, "", CODES, retry_after_s)
    try:
        answer = reading.json_object(body)
    except Malformed:
        answer = {}
    name = reading.word(answer, "message_uuid", 0) or reading.word(answer, "message_uuid")
    if not name:
        raise OutcomeUnknown("Plivo took the message and did not say under which id")
    return Sent((name,), "queued", outgoing.segments_of(message))


def signature_v2(token: str, url: str, nonce: str) -> str:
    """What Plivo writes into ``X-Plivo-Signature-V2``."""
    return _sign(token, _QUERY.sub("", url) + nonce)


def signature_v3(token: str, method: str, url: str, fields: Iterable[tuple[str, str]], nonce: str) -> str:
    """What Plivo writes into ``X-Plivo-Signature-V3``; ``fields`` are those of a form."""
    form = sorted(fields)
    query = sorted(reading.query(url))
    if method == "GET":
        query, form = sorted(query + form), []
    signed = _QUERY.sub("", url)
    if query or form:
        signed += "?" + "&".join(f"{name}={value}" for name, value in query)
    if query and form:
        signed += "."
    signed += "".join(name + value for name, value in form)
    return _sign(token, f"{signed}.{nonce}")


def _sign(token: str, signed: str) -> str:
    digest = hmac.digest(token.encode(), signed.encode("utf-8", "replace"), hashlib.sha256)
    return base64.b64encode(digest).decode()


def verify(settings: Settings, request: Request, fields: Sequence[tuple[str, str]]) -> None:
    """``fields`` are those of a form. Raises `BadSignature`."""
    if reading.header(request, "x-plivo-signature-v3"):
        kind = "v3"
        nonce = reading.header(request, "x-plivo-signature-v3-nonce")
        good = [signature_v3(one, request.method, request.url, fields, nonce) for one in _tokens(settings)]
    else:
        kind = "v2"
        nonce = reading.header(request, "x-plivo-signature-v2-nonce")
        good = [signature_v2(one, request.url, nonce) for one in _tokens(settings)]
    # A header may hold several, one for each token that is good at the moment.
    headers = (f"x-plivo-signature-{kind}", f"x-plivo-signature-ma-{kind}")
    given = [one.strip() for name in headers for one in reading.header(request, name).split(",")]
    same = [hmac.compare_digest(a.encode("utf-8", "replace"), b.encode()) for a in given for b in good]
    if not nonce or not any(same):
        raise BadSignature("not signed with this account's token, or for another address")


def _tokens(settings: Settings) -> list[str]:
    return [one for one in (settings.auth_token, settings.main_token) if one]


def parse(account: Account, request: Request) -> Parsed:
    """Read a webhook: a message or a receipt. Raises `BadSignature`, `Malformed`."""
    is_form = reading.media_type(request) in ("application/x-www-form-urlencoded", "")
    form = reading.pairs(request.body) if request.body and is_form else []
    verify(account.settings, request, form)
    given = reading.fields(request)
    name = reading.needed(given, "MessageUUID")
    told = given.get("Status", "").lower()
    if not told or told == "received":
        return _inbound(name, given)
    if told not in STATES:
        raise Malformed("the receipt has a state that nobody told us of", code=told[:40])
    code = given.get("ErrorCode", "")
    status = receipt(name, STATES[told], code, CODES, reference=reading.reference(request.url))
    if not opted_out(code, CODES) or not given.get("To"):
        return Parsed(statuses=(status,))
    wish = reading.wants(name, _end(given["To"]), _end(given["From"]) if given.get("From") else None, False)
    return Parsed(statuses=(status,), preferences=(wish,))


def _end(written: str) -> Any:
    return numbers.address(written, plus=False)


def _inbound(name: str, given: dict[str, str]) -> Parsed:
    # The vendor counts from 1, older accounts from 0. No media type is told.
    files = [reading.file(given[f"Media{i}"]) for i in range(_MOST_MEDIA) if given.get(f"Media{i}")]
    recipient = given.get("To", "")
    return reading.came(
        name,
        _end(reading.needed(given, "From")),
        _end(recipient) if recipient else None,
        given.get("Text") or given.get("Body", ""),
        files=files,
        told={"optout": False, "optin": True}.get(given.get("MessageIntent", "").lower()),
        reply=_EMPTY,
    )
