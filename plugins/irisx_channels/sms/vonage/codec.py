"""Vonage's wire, pure: its Messages interface and the older SMS interface, which many accounts still get webhooks of.

Numbers have no plus on either. Which webhooks come depends on the account's default SMS setting, so both kinds are
read whatever the account sends with.
"""

import hashlib
from typing import Annotated, Any, Literal

import jwt
from msgspec import Meta, Struct

from irisx_channels.sms import numbers, outgoing, reading
from irisx_channels.sms.outcomes import failure, receipt
from irisx_channels.sms.overhttp import Ask
from irisx_channels.sms.vonage import classic
from irisx_channels.sms.vonage.codes import CODES, STATES
from irisx_channels.sms.vonage.proofs import Method, verify_fields, verify_token
from irisx_sdk import (
    Account,
    Malformed,
    Media,
    Misconfigured,
    Outbound,
    OutcomeUnknown,
    Parsed,
    Request,
    Sent,
    secret,
)

TITLE = "Vonage"
MAX_TEXT = 1000
MAX_FILES = 1
_TOKEN_S = 600
"""Vonage takes tokens that are good for up to a day; ours are made for each request."""


class Settings(Struct, frozen=True, kw_only=True):
    """A Vonage account."""

    api_key: Annotated[str, Meta(description="The account's API key", min_length=1)]
    api_secret: Annotated[str, secret("The API key's secret")]
    signature_secret: Annotated[str, secret("The account's signature secret: webhooks are signed with it")]
    signature_method: Annotated[
        Method, Meta(description="How webhooks of the SMS interface are signed, see the account's settings")
    ] = "sha256"
    interface: Annotated[Literal["messages", "sms"], Meta(description="What to send with")] = "messages"
    application_id: Annotated[str, Meta(description="To send as an application: its id, or empty")] = ""
    private_key: Annotated[str, secret("The application's private key (PEM)")] = ""
    sender: Annotated[str, Meta(description="A number, short code or name to send as")] = ""
    base_url: Annotated[str, Meta(description="Where the Messages interface is")] = "https://api.nexmo.com"
    sms_base_url: Annotated[str, Meta(description="Where the SMS interface and the balance are")] = (
        "https://rest.nexmo.com"
    )


def submission(settings: Settings, message: Outbound, now_us: int) -> Ask:
    """The request that sends a message. Raises `Refused`, `Misconfigured`."""
    text, files = outgoing.words_and_files(message, TITLE, max_text=MAX_TEXT, max_files=MAX_FILES)
    sender = outgoing.settled(numbers.sender(message, settings.sender, plus=False), "sender", TITLE)
    to = numbers.receiver(message, plus=False)
    if settings.interface == "sms" and not files:
        fields = classic.form(to, sender, text, message)
        return Ask(
            "POST", settings.sms_base_url.rstrip("/") + "/sms/json", form=fields, login=_login(settings)
        )
    body: dict[str, Any] = {"to": to, "from": sender, "client_ref": message.id}
    if files:
        kind = _kind(message)
        body |= {
            "channel": "mms",
            "message_type": kind,
            kind: {"url": files[0]} | ({"caption": text} if text else {}),
        }
    else:
        body |= {"channel": "sms", "message_type": "text", "text": text, "sms": {"encoding_type": "auto"}}
    if message.status_url:
        body["webhook_url"] = message.status_url
    url = settings.base_url.rstrip("/") + "/v1/messages"
    if settings.application_id and settings.private_key:
        bearer = {"Authorization": f"Bearer {_token(settings, message.id, now_us)}"}
        return Ask("POST", url, json=body, headers=bearer)
    return Ask("POST", url, json=body, login=_login(settings))


def probe(settings: Settings, now_us: int) -> Ask:
    """The account's balance."""
    return Ask("GET", settings.sms_base_url.rstrip("/") + "/account/get-balance", login=_login(settings))


def working(answer: Any) -> str:
    return f"the key is good; the balance is {reading.word(answer, 'value') or 'unknown'}"


def file_login(settings: Settings) -> None:
    return None


def token(settings: Settings) -> None:
    return None


def _login(settings: Settings) -> tuple[str, str]:
    return settings.api_key, settings.api_secret


def _token(settings: Settings, name: str, now_us: int) -> str:
    now_s = now_us // 1_000_000
    said = {
        "application_id": settings.application_id,
        "iat": now_s,
        "exp": now_s + _TOKEN_S,
        "jti": hashlib.sha256(f"{name} {now_us}".encode()).hexdigest(),
    }
    try:
        return jwt.encode(said, settings.private_key, algorithm="RS256")
    except (ValueError, TypeError, jwt.PyJWTError):
        raise Misconfigured("Vonage: the application's private key is not a PEM key for RSA") from None


def _kind(message: Outbound) -> str:
    file = message.content.file if isinstance(message.content, Media) else message.files[0]
    if file.media_type in ("text/vcard", "text/x-vcard"):
        return "vcard"
    main = file.media_type.partition("/")[0]
    return main if main in ("image", "audio", "video") else "file"


def sent(message: Outbound, status: int, body: bytes, retry_after_s: float | None = None) -> Sent:
    """Read the answer to a sending. Raises what it says otherwise."""
    try:
        answer = reading.json_object(body)
    except Malformed:
        answer = {}
    if status == 200 and "messages" in answer:
        return classic.sent(answer, TITLE)
    if status not in (200, 202):
        raise failure(TITLE, status, _code(answer), CODES, retry_after_s)
    name = reading.word(answer, "message_uuid")
    if not name:
        raise OutcomeUnknown("Vonage took the message and did not say under which id")
    return Sent((name,), "queued", outgoing.segments_of(message))


def _code(problem: object) -> str:
    """The number of a problem: at the end of its type's address, or its title."""
    tail = reading.word(problem, "type").rpartition("#")[2]
    return (
        tail
        if tail.isdigit()
        else reading.word(problem, "title")
        if reading.word(problem, "title").isdigit()
        else ""
    )


def parse(account: Account, request: Request) -> Parsed:
    """Read a webhook of either interface. Raises `BadSignature`, `Malformed`."""
    settings: Settings = account.settings
    if reading.header(request, "authorization")[:7].lower() == "bearer ":
        verify_token(settings.signature_secret, request)
        return _message(reading.json_object(request.body))
    # (before the signature is known to be good, a body that cannot be read is a forgery like any other)
    fields = _fields(request)
    verify_fields(settings.signature_method, settings.signature_secret, fields, request.received_us)
    return classic.parse(fields)


def _fields(request: Request) -> dict[str, str]:
    try:
        return reading.fields(request)
    except Malformed:
        return {}


def _message(body: dict[str, Any]) -> Parsed:
    name = reading.needed(body, "message_uuid")
    at_us = reading.time_us(reading.word(body, "timestamp"))
    told = reading.word(body, "status")
    if not told:
        return _inbound(name, body, at_us)
    if told not in STATES:
        raise Malformed("the receipt has a state that nobody told us of", code=told[:40])
    status = receipt(
        name,
        STATES[told],
        _code(reading.dig(body, "error")),
        CODES,
        at_us=at_us,
        reference=reading.word(body, "client_ref"),
        price=reading.word(body, "usage", "price"),
        currency=reading.word(body, "usage", "currency"),
    )
    return Parsed(statuses=(status,))


def _inbound(name: str, body: dict[str, Any], at_us: int) -> Parsed:
    kind = reading.word(body, "message_type")
    url = reading.word(body, kind, "url")
    files = [reading.file(url, f"{kind}/*" if kind in ("image", "audio", "video") else "")] if url else []
    ours = _end(body, "to")
    return reading.came(
        name,
        numbers.address(_end(body, "from") or reading.needed(body, "from"), plus=False),
        numbers.address(ours, plus=False) if ours else None,
        reading.word(body, "text") or reading.word(body, kind, "caption"),
        files=files,
        sent_us=at_us,
    )


def _end(body: object, name: str) -> str:
    # The first version of the interface had an object here: {"type": "sms", "number": "..."}.
    return reading.word(body, name) or reading.word(body, name, "number")
