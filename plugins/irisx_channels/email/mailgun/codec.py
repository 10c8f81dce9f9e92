"""Mailgun's wire: forms out, forms and JSON in.

Sources, of 2026: Mailgun's pages "Messages", "Webhooks", "Receiving messages via HTTP", and its Python SDK.
"""

import hashlib
import hmac
from collections.abc import Mapping
from email.utils import formataddr
from typing import Annotated, Any

import msgspec

from irisx_channels import lenient
from irisx_channels.email import forms, incoming, mime, reports, words
from irisx_channels.email.mail import Mail, Received, digest
from irisx_channels.email.mail import Settings as MailSettings
from irisx_channels.email.overhttp import Ask, Upload, failure
from irisx_sdk import (
    Account,
    Address,
    BadSignature,
    File,
    Malformed,
    Misconfigured,
    OutcomeUnknown,
    Parsed,
    Preference,
    Request,
    Sent,
    State,
    Status,
    secret,
)

TITLE = "Mailgun"
MOST_BYTES = 18_000_000
"""Of files; the mail may have 25 MB, in base64."""
WINDOW_S = 12 * 3600
"""How old a signature may be. Mailgun repeats a webhook for about eight hours and does not say that it signs it anew;
what comes twice is known by its ids."""
REFERENCE = "irisx-message"
RECEIVER = "irisx-to"
_STATES: Mapping[str, State] = {"accepted": "queued", "delivered": "delivered", "rejected": "failed"}


class Settings(MailSettings, frozen=True, kw_only=True):
    """One sending domain."""

    domain: Annotated[str, msgspec.Meta(description="The sending domain, as Mailgun lists it")]
    api_key: Annotated[str, secret("A sending key of that domain, or the account's API key")]
    signing_key: Annotated[str, secret("The HTTP webhook signing key (not the API key)")]
    base_url: Annotated[
        str,
        msgspec.Meta(description="https://api.mailgun.net/v3, in Europe https://api.eu.mailgun.net/v3"),
    ] = "https://api.mailgun.net/v3"


def request(settings: Settings, mail: Mail) -> Ask:
    """The request that sends a mail."""
    data = {
        "from": [_named(mail.sender)],
        "to": [_named(mail.to)],
        "subject": [mail.subject],
        "text": [mail.text],
        "h:Message-Id": [f"<{mail.message_id}>"],
        f"v:{REFERENCE}": [mail.reference],
        f"v:{RECEIVER}": [digest(mail.to.value)],
    }
    if mail.copies:
        data["cc"] = [_named(one) for one in mail.copies]
    if mail.html:
        data["html"] = [mail.html]
    if mail.reply_to:
        data["h:Reply-To"] = [mail.reply_to]
    for name, value in mail.threading:
        data[f"h:{name}"] = [value]
    files: list[Upload] = [
        # Mailgun takes the name of an inline file for its content id.
        ("inline", (one.cid, one.content, one.media_type))
        if one.cid and mail.html
        else ("attachment", (one.name, one.content, one.media_type))
        for one in mail.attachments
    ]
    url = f"{settings.base_url}/{settings.domain}/messages"
    return Ask("POST", url, auth=("api", settings.api_key), data=data, files=files or None)


def _named(address: Address) -> str:
    return formataddr((words.one_line(address.name), address.value))


def answer(status: int, headers: Mapping[str, str], body: bytes, mail: Mail) -> Sent:
    """What Mailgun says to it."""
    if status != 200:
        raise failure(TITLE, status)
    try:
        told = lenient.words(lenient.document(body), "id")
    except Malformed:
        told = ""
    if not told:
        if b"Magnificent" in body:  # what any address of theirs answers that is none of an interface
            raise Misconfigured("Mailgun: base_url is not the address of its interface")
        raise OutcomeUnknown("Mailgun: the answer has no id")
    return Sent((told.strip("<>"),), "queued")


def inquiry(settings: Settings) -> Ask:
    """Ask for the domain's own record."""
    return Ask("GET", f"{settings.base_url}/domains/{settings.domain}", auth=("api", settings.api_key))


def signature(key: str, timestamp: str, token: str) -> str:
    """HMAC-SHA256 over the timestamp and the token, in hexadecimal; it does not cover the rest."""
    return hmac.new(key.encode(), f"{timestamp}{token}".encode(), hashlib.sha256).hexdigest()


def _verify(settings: Settings, timestamp: str, token: str, given: str, received_us: int) -> None:
    expected = signature(settings.signing_key, timestamp, token)
    if not settings.signing_key or not token or not hmac.compare_digest(given.encode(), expected.encode()):
        raise BadSignature("not signed by Mailgun with this account's webhook signing key")
    age_s = (
        received_us / 1e6 - int(timestamp) if timestamp.isascii() and timestamp.isdigit() else WINDOW_S + 1
    )
    if abs(age_s) > WINDOW_S:
        raise BadSignature("signed too long ago")


def parse(account: Account, request: Request) -> Parsed:
    """A webhook: an event (JSON) or a mail (a form)."""
    settings: Settings = account.settings
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        form = forms.read(request)
        given = (form.text("timestamp"), form.text("token"), form.text("signature"))
        _verify(settings, *given, request.received_us)
        return incoming.parsed(_mail(form), settings)
    try:
        whole = lenient.document(request.body)
    except Malformed:
        raise BadSignature("not signed: the body cannot be read") from None
    signed = lenient.part(whole, "signature")
    given = (lenient.words(signed, "timestamp"), lenient.words(signed, "token"), lenient.words(signed, "signature"))  # fmt: skip
    _verify(settings, *given, request.received_us)
    event = lenient.part(whole, "event-data")
    if not lenient.words(event, "event"):
        raise Malformed("an event without a name")
    return _event(event, settings)


def _event(event: lenient.Json, settings: Settings) -> Parsed:
    name = lenient.words(event, "event")
    message_id = lenient.words(lenient.part(event, "message", "headers"), "message-id").strip("<>")
    variables = lenient.part(event, "user-variables")
    recipient = lenient.words(event, "recipient")
    at_us = round(max(0.0, lenient.decimal(event, "timestamp")) * 1e6)
    reason = lenient.words(event, "reason")
    unwanted = name == "unsubscribed" or (name == "failed" and reason == "suppress-unsubscribe")
    wishes = (
        (Preference(lenient.words(event, "id") or message_id, Address("email", recipient), False, at_us),)
        if unwanted and words.is_address(recipient)
        else ()
    )
    receiver = lenient.words(variables, RECEIVER)
    state = _state(name, lenient.words(event, "severity"), reason)
    if state is None or not message_id or (receiver and receiver != digest(recipient)):
        return Parsed(preferences=wishes)  # (a copy's fate is not the message's)
    status = lenient.part(event, "delivery-status")
    code = lenient.words(status, "enhanced-code") or reports.enhanced(lenient.words(status, "message"))
    smtp = lenient.words(status, "code")
    bad = state in ("undelivered", "failed") or name == "failed"
    told = Status(
        message_id,
        state,
        at_us,
        code=(code or smtp or reason) if bad else "",
        reason=(_REASONS.get(reason) or reports.reason(code, smtp)) if bad else "",
        permanent={"permanent": True, "temporary": False}.get(lenient.words(event, "severity")),
        reference=lenient.words(variables, REFERENCE),
        complaint=name == "complained",
    )
    return Parsed(statuses=(told,), preferences=wishes)


_REASONS = {
    "suppress-bounce": "Mailgun knows from before that the address does not work",
    "suppress-complaint": "the receiver has reported a mail of ours before",
    "suppress-unsubscribe": "the receiver wants no mails from us",
    "old": "it could not be delivered in eight hours",
}


def _state(name: str, severity: str, reason: str) -> State | None:
    """The state an event means; None for those about reading (opened, clicked) and unknown ones."""
    if name == "failed":
        if severity == "temporary":
            return "sent"
        return "failed" if reason.startswith("suppress-") else "undelivered"
    return "delivered" if name == "complained" else _STATES.get(name)


def _mail(form: forms.Form) -> Received:
    sender, recipient = form.text("sender"), form.text("recipient")
    if "body-mime" in form.raw:
        return mime.read(form.raw["body-mime"], sender=sender, recipient=recipient)
    if not recipient and "message-headers" not in form.raw:
        raise Malformed("neither an event nor a mail")
    try:
        headers = forms.headers(msgspec.json.decode(form.raw.get("message-headers", b"[]")))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        headers = ()
    known = {name.lower() for name, _ in headers}
    given = (("From", "from"), ("Subject", "subject"))
    headers += tuple((name, form.text(field)) for name, field in given if name.lower() not in known and form.text(field))  # fmt: skip
    return Received(
        headers=headers,
        text=form.text("body-plain").replace("\r\n", "\n"),
        html=form.text("body-html"),
        files=_files(form),
        sender=sender or None,
        recipient=recipient,
    )


def _files(form: forms.Form) -> tuple[File, ...]:
    shown = {field: cid.strip("<>") for cid, field in _strings(form.raw.get("content-id-map", b"{}"))}
    found = [
        msgspec.structs.replace(file, id=f"cid:{shown[field]}") if field in shown else file
        for field, file in form.files.items()
        if field.startswith("attachment-")
    ]
    try:
        stored: Any = msgspec.json.decode(form.raw.get("attachments", b"[]"))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        stored = []
    for one in lenient.parts({"all": stored}, "all"):
        url = lenient.words(one, "url")
        if url:
            kind = lenient.words(one, "content-type").partition(";")[0] or "application/octet-stream"
            name = mime.file_name(lenient.words(one, "name"), kind)
            found.append(File(name, kind, max(0, lenient.whole(one, "size")), url=url))
    return tuple(found)


def _strings(raw: bytes) -> list[tuple[str, str]]:
    try:
        return list(msgspec.json.decode(raw, type=dict[str, str]).items())
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return []
