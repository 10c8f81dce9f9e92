"""Twilio's wire, pure: forms out, JSON answers and signed forms in. See twilio.com/docs/messaging and /docs/usage/security.

Twilio's signature has no time in it: a replay cannot be told from a late retry, so repetitions are recognised by the
message's id and state, as everywhere in the platform.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from irisx_channels.sms import numbers, outgoing, reading, words
from irisx_channels.sms.outcomes import failure, opted_out, receipt
from irisx_channels.sms.overhttp import Ask
from irisx_channels.sms.twilio.codes import CODES, STATES
from irisx_sdk import (
    Account,
    BadSignature,
    ChannelError,
    Malformed,
    Outbound,
    OutcomeUnknown,
    Parsed,
    Reply,
    Request,
    Sent,
    secret,
)

TITLE = "Twilio"
MAX_TEXT = 1600
MAX_FILES = 10

_ORIGIN = re.compile(r"(https?)://([^/?#]*)([^#]*)", re.IGNORECASE)
_PORT = re.compile(r":[0-9]+$")
_MOST_MEDIA = 50
_EMPTY_TWIML = Reply(200, b"<Response/>", "text/xml; charset=utf-8")
"""No answer from Twilio itself; anything else would be sent to the person."""


class Settings(Struct, frozen=True, kw_only=True):
    """A Twilio account."""

    account_sid: Annotated[str, Meta(description="The account's SID, beginning with AC", min_length=1)]
    auth_token: Annotated[str, secret("The account's primary auth token: webhooks are signed with it")]
    api_key: Annotated[str, Meta(description="SID of an API key to send with (SK...), or empty")] = ""
    api_secret: Annotated[str, secret("The API key's secret")] = ""
    sender: Annotated[str, Meta(description="A number, short code or name to send as")] = ""
    messaging_service_sid: Annotated[
        str, Meta(description="A messaging service (MG...) that chooses the sender")
    ] = ""
    base_url: Annotated[str, Meta(description="Where Twilio's interface is")] = "https://api.twilio.com"


def credentials(settings: Settings) -> tuple[str, str]:
    """User and password of the interface."""
    if settings.api_key:
        return settings.api_key, settings.api_secret
    return settings.account_sid, settings.auth_token


def address(settings: Settings, rest: str = "") -> str:
    """An address of the account's, e.g. ``/Messages.json``."""
    return f"{settings.base_url.rstrip('/')}/2010-04-01/Accounts/{settings.account_sid}{rest}.json"


def submission(settings: Settings, message: Outbound, now_us: int) -> Ask:
    """The request that sends a message. Raises `Refused`, `Misconfigured`."""
    fields = form(settings, message)
    return Ask("POST", address(settings, "/Messages"), form=fields, login=credentials(settings))


def probe(settings: Settings, now_us: int) -> Ask:
    """The account itself."""
    return Ask("GET", address(settings), login=credentials(settings))


def working(answer: Any) -> str:
    return f"the account is {reading.word(answer, 'status') or 'known'}"


def file_login(settings: Settings) -> tuple[str, tuple[str, str]]:
    return settings.base_url, credentials(settings)


def token(settings: Settings) -> None:
    return None


def form(settings: Settings, message: Outbound) -> dict[str, str | list[str]]:
    """The fields that send a message. Raises `Refused`, `Misconfigured`."""
    text, files = outgoing.words_and_files(message, TITLE, max_text=MAX_TEXT, max_files=MAX_FILES)
    out: dict[str, str | list[str]] = {"To": numbers.receiver(message)}
    if message.sender is None and settings.messaging_service_sid:
        out["MessagingServiceSid"] = settings.messaging_service_sid
    else:
        out["From"] = outgoing.settled(numbers.sender(message, settings.sender), "sender", TITLE)
    if text:
        out["Body"] = text
    if files:
        out["MediaUrl"] = list(files)
    if message.status_url:
        out["StatusCallback"] = reading.with_reference(message.status_url, message.id)
    return out


def sent(message: Outbound, status: int, body: bytes, retry_after_s: float | None = None) -> Sent:
    """Read the answer to a sending. Raises what it says otherwise."""
    try:
        answer = reading.json_object(body)
    except Malformed:
        answer = {}
    # (the newer form of errors, RFC 9457, has its code under the same name)
    if status not in (200, 201):
        raise failure(TITLE, status, reading.word(answer, "code"), CODES, retry_after_s)
    name = reading.word(answer, "sid")
    if not name:
        raise OutcomeUnknown("Twilio took the message and did not say under which id")
    state = STATES.get(reading.word(answer, "status"), "queued")
    if state == "failed":
        raise _refusal(reading.word(answer, "error_code"))
    # A messaging service cuts later than it answers and says 0 so long.
    told = reading.whole(reading.word(answer, "num_segments"))
    return Sent((name,), state, told or outgoing.segments_of(message))


def _refusal(code: str) -> ChannelError:
    return failure(TITLE, 400, code, CODES)


def signature(token: str, url: str, fields: Iterable[tuple[str, str]] = ()) -> str:
    """What Twilio writes into ``X-Twilio-Signature``: the address, then each name and value in the order of their bytes."""
    signed = url.partition("#")[0] + "".join(name + value for name, value in sorted(set(fields)))
    return base64.b64encode(
        hmac.digest(token.encode(), signed.encode("utf-8", "replace"), hashlib.sha1)
    ).decode()


def verify(settings: Settings, request: Request, fields: Sequence[tuple[str, str]]) -> None:
    """``fields`` are those of a form, none for any other body. Raises `BadSignature`."""
    given = reading.header(request, "x-twilio-signature").encode("utf-8", "replace")
    # Every candidate is computed, so that the time taken does not tell which one was close.
    good = [
        hmac.compare_digest(given, signature(settings.auth_token, url, fields).encode())
        for url in _spellings(request.url)
    ]
    if not any(good):
        raise BadSignature("not signed with this account's token, or for another address")
    if request.body and not _is_form(request):
        digest = dict(reading.query(request.url)).get("bodySHA256", "").lower()
        body = hashlib.sha256(request.body).hexdigest()
        if not hmac.compare_digest(digest.encode("utf-8", "replace"), body.encode()):
            raise BadSignature("the body is not the one that was signed")


def _spellings(url: str) -> tuple[str, str]:
    # Twilio signs some addresses with the scheme's own port and some without.
    found = _ORIGIN.match(url)
    if found is None:
        return url, url
    scheme, host, rest = found.groups()
    bare = _PORT.sub("", host)
    with_port = host if bare != host else f"{host}:{'443' if scheme.lower() == 'https' else '80'}"
    return f"{scheme}://{bare}{rest}", f"{scheme}://{with_port}{rest}"


def _is_form(request: Request) -> bool:
    return reading.media_type(request) in ("application/x-www-form-urlencoded", "")


def parse(account: Account, request: Request) -> Parsed:
    """Read a webhook: a message or a receipt. Raises `BadSignature`, `Malformed`."""
    form_fields = reading.pairs(request.body) if request.body and _is_form(request) else []
    verify(account.settings, request, form_fields)
    if request.body and not form_fields:
        given = {name: reading.word(value) for name, value in reading.json_object(request.body).items()}
    else:
        given = dict(form_fields or reading.query(request.url))
    name = given.get("MessageSid") or reading.needed(given, "SmsSid")
    state = given.get("MessageStatus") or given.get("SmsStatus", "")
    if state in ("received", "receiving") or ("MessageStatus" not in given and "Body" in given):
        return _inbound(name, given)
    if state not in STATES:
        raise Malformed("the receipt has a state that nobody told us of", code=state[:40])
    return _receipt(name, state, given, reading.reference(request.url))


def _inbound(name: str, given: dict[str, str]) -> Parsed:
    files = [
        reading.file(given[f"MediaUrl{i}"], given.get(f"MediaContentType{i}", ""))
        for i in range(min(reading.whole(given.get("NumMedia", "")), _MOST_MEDIA))
        if given.get(f"MediaUrl{i}")
    ]
    # Twilio's own reading of the words (advanced opt-out) knows the customer's own ones, too.
    told = {"STOP": False, "START": True}.get(given.get("OptOutType", ""))
    recipient = given.get("To", "")
    return reading.came(
        name,
        numbers.address(reading.needed(given, "From")),
        numbers.address(recipient) if recipient else None,
        given.get("Body", ""),
        files=files,
        stop=words.TWILIO_STOP,
        start=words.TWILIO_START,
        told=told,
        reply=_EMPTY_TWIML,
    )


def _receipt(name: str, state: str, given: dict[str, str], reference: str) -> Parsed:
    # RawDlrDoneDate has no zone: a time that may be off by half a day is worse than none.
    code = given.get("ErrorCode", "")
    status = receipt(name, STATES[state], code, CODES, reference=reference)
    if not opted_out(code, CODES) or not given.get("To"):
        return Parsed(statuses=(status,))
    sender = given.get("From", "")
    ours = numbers.address(sender) if sender else None
    return Parsed(
        statuses=(status,), preferences=(reading.wants(name, numbers.address(given["To"]), ours, False),)
    )
