"""Bandwidth's wire (Messaging v2), pure: JSON out, lists of events in. See dev.bandwidth.com/docs/messaging.

Bandwidth signs nothing: a webhook is believed when it brings the user and password that the application was given for
its callbacks. Receipts have no text in them, but they have our tag.
"""

import base64
import hmac
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from msgspec import Meta, Struct

from irisx_channels.sms import numbers, outgoing, reading
from irisx_channels.sms.bandwidth.codes import CODES, failed_as, meaning_of
from irisx_channels.sms.outcomes import failure, opted_out, receipt
from irisx_channels.sms.overhttp import Ask
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
    State,
    secret,
)

TITLE = "Bandwidth"
MAX_TEXT = 2048
MAX_FILES = 10
MAX_EVENTS = 1000
_TOKENS = "https://api.bandwidth.com/api/v1/oauth2/token"

STATES: Mapping[str, State] = {
    "message-sending": "sent",
    "message-sent": "sent",
    "message-delivered": "delivered",
    "message-read": "read",
}


class Settings(Struct, frozen=True, kw_only=True):
    """A Bandwidth account."""

    account_id: Annotated[str, Meta(description="The account's number", min_length=1)]
    application_id: Annotated[str, Meta(description="The messaging application that the numbers belong to")]
    user: Annotated[str, Meta(description="The API user, or the client's id where OAuth is used")]
    password: Annotated[str, secret("The API user's password, or the client's secret")]
    oauth: Annotated[bool, Meta(description="User and password are a client's id and secret (OAuth 2)")] = (
        False
    )
    callback_user: Annotated[str, Meta(description="The user that the application's callbacks bring")]
    callback_password: Annotated[str, secret("The password that the application's callbacks bring")]
    sender: Annotated[str, Meta(description="A number or short code to send as")] = ""
    base_url: Annotated[str, Meta(description="Where the interface is")] = "https://messaging.bandwidth.com"
    token_url: Annotated[str, Meta(description="Where tokens come from")] = _TOKENS


def submission(settings: Settings, message: Outbound, now_us: int) -> Ask:
    """The request that sends a message. Raises `Refused`, `Misconfigured`."""
    text, files = outgoing.words_and_files(message, TITLE, max_text=MAX_TEXT, max_files=MAX_FILES)
    body: dict[str, Any] = {
        "applicationId": settings.application_id,
        "to": [numbers.receiver(message)],
        "from": outgoing.settled(numbers.sender(message, settings.sender), "sender", TITLE),
        "text": text,
        "tag": message.id,
    }
    if files:
        body["media"] = list(files)
    return Ask("POST", address(settings, "messages"), json=body, login=_login(settings))


def upload(settings: Settings, name: str) -> str:
    """Where a file of ours is put, and where Bandwidth then takes it from."""
    return address(settings, f"media/{quote(name, safe='')}")


def probe(settings: Settings, now_us: int) -> Ask:
    """The files that are kept for the account."""
    return Ask("GET", address(settings, "media"), login=_login(settings))


def working(answer: Any) -> str:
    return "the account answers"


def file_login(settings: Settings) -> tuple[str, tuple[str, str]] | None:
    return None if settings.oauth else (settings.base_url, (settings.user, settings.password))


def token(settings: Settings) -> Ask | None:
    if not settings.oauth:
        return None
    grant = {"grant_type": "client_credentials"}
    return Ask("POST", settings.token_url, form=grant, login=(settings.user, settings.password))


def address(settings: Settings, rest: str) -> str:
    """An address of the account's."""
    return f"{settings.base_url.rstrip('/')}/api/v2/users/{settings.account_id}/{rest}"


def _login(settings: Settings) -> tuple[str, str] | None:
    return None if settings.oauth else (settings.user, settings.password)


def sent(message: Outbound, status: int, body: bytes, retry_after_s: float | None = None) -> Sent:
    """Read the answer to a sending. Raises what it says otherwise; errors have a word instead of a number."""
    try:
        answer = reading.json_object(body)
    except Malformed:
        answer = {}
    if status not in (200, 201, 202):
        raise failure(TITLE, status, reading.word(answer, "type"), {}, retry_after_s)
    name = reading.word(answer, "id")
    if not name:
        raise OutcomeUnknown("Bandwidth took the message and did not say under which id")
    parts = reading.whole(reading.word(answer, "segmentCount"))
    return Sent((name,), "queued", parts or outgoing.segments_of(message))


def verify(settings: Settings, request: Request) -> None:
    """Raises `BadSignature`."""
    pair = f"{settings.callback_user}:{settings.callback_password}".encode()
    expected = b"basic " + base64.b64encode(pair)
    kind, _, rest = reading.header(request, "authorization").partition(" ")
    given = f"{kind.lower()} {rest.strip()}".encode("utf-8", "replace")
    if not settings.callback_password or not hmac.compare_digest(given, expected):
        raise BadSignature(
            "without the callback user and password of this account's application", challenge="Basic"
        )


def parse(account: Account, request: Request) -> Parsed:
    """Read a webhook: any number of events. Raises `BadSignature`, `Malformed`."""
    verify(account.settings, request)
    events = reading.json_value(request.body)
    if not isinstance(events, list) or not events:
        raise Malformed("the body is not a list of events")
    if len(events) > MAX_EVENTS:
        raise Malformed(f"more than {MAX_EVENTS} events at once")
    return reading.together([_event(event) for event in events])


def _event(event: object) -> Parsed:
    kind = reading.needed(event, "type")
    at_us = reading.time_us(reading.word(event, "time"))
    if kind == "message-received":
        return _inbound(event, at_us)
    code = reading.word(event, "errorCode")
    state = failed_as(code) if kind == "message-failed" else STATES.get(kind)
    if state is None:
        raise Malformed("an event of a kind that nobody told us of", code=kind[:40])
    name = reading.needed(event, "message", "id")
    known = meaning_of(code)
    status = receipt(name, state, known, CODES, at_us=at_us, reference=reading.word(event, "message", "tag"))
    status = msgspec.structs.replace(status, code=code)
    person = reading.word(event, "to") or reading.word(event, "message", "to", 0)
    if not opted_out(code, CODES) or not person:
        return Parsed(statuses=(status,))
    ours = _ours(event)
    return Parsed(
        statuses=(status,), preferences=(reading.wants(name, numbers.address(person), ours, False, at_us),)
    )


def _inbound(event: object, at_us: int) -> Parsed:
    message = reading.dig(event, "message")
    ours = _ours(event)
    everyone = [reading.word(one) for one in reading.items(message, "to")]
    others = [numbers.address(one) for one in everyone if one]
    return reading.came(
        reading.needed(message, "id"),
        numbers.address(reading.needed(message, "from")),
        ours,
        reading.word(message, "text"),
        files=_files([reading.word(one) for one in reading.items(message, "media")]),
        sent_us=reading.time_us(reading.word(message, "time")) or at_us,
        also_to=[one for one in others if one != ours],
    )


def _ours(event: object) -> Address | None:
    owner = reading.word(event, "message", "owner") or reading.word(event, "to")
    return numbers.address(owner) if owner else None


def _files(urls: Sequence[str]) -> list[Any]:
    # (a .smil file only says in which order the others are shown)
    return [
        reading.file(url, name=url.rpartition("/")[2]) for url in urls if url and not url.endswith(".smil")
    ]
