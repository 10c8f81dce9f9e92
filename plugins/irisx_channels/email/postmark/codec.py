"""Postmark's wire: JSON both ways, an ErrorCode that says more than the status, webhooks that prove nothing by themselves.

Sources, of 2026: Postmark's official SDKs for Python and JavaScript, its published integration notes, its page
"Understanding inbound webhook retries".
"""

import base64
import binascii
import hmac
from collections.abc import Mapping
from datetime import datetime
from email.utils import formataddr
from typing import Annotated, Any

import msgspec

from irisx_channels import lenient
from irisx_channels.email import forms, incoming, mime, reports, words
from irisx_channels.email.mail import MAX_FILES, Mail, Received, digest
from irisx_channels.email.mail import Settings as MailSettings
from irisx_channels.email.overhttp import Ask, failure
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
    Refused,
    Request,
    Sent,
    State,
    Status,
    secret,
)

TITLE = "Postmark"
MOST_BYTES = 7_000_000
"""Of files; Postmark takes 10 MB with everything in base64."""
REFERENCE = "irisx-message"
RECEIVER = "irisx-to"
_INACTIVE = 406
"""ErrorCode: every receiver is one that Postmark writes to no more: after a bounce, a complaint, or by hand. Only the
second is a wish, and the code does not tell which it was."""
_BAD_ACCOUNT = frozenset({10, 400, 401, 402, 405, 412, 413, 1235})
"""ErrorCodes about the token, the sender's signature, the server or the message stream."""
_BOUNCES: Mapping[str, tuple[State, bool | None]] = {
    "HardBounce": ("undelivered", True), "BadEmailAddress": ("undelivered", True), "Blocked": ("undelivered", None),
    "DMARCPolicy": ("undelivered", None), "SoftBounce": ("undelivered", False), "VirusNotification": ("undelivered", None),
    "ManuallyDeactivated": ("undelivered", True), "Undeliverable": ("undelivered", None), "Unknown": ("undelivered", None),
    "Transient": ("sent", False), "DnsError": ("sent", False),
    "SMTPApiError": ("failed", None), "TemplateRenderingFailed": ("failed", True), "InboundError": ("failed", None),
}  # fmt: skip
_REASONS = {
    "HardBounce": "there is no such mailbox", "BadEmailAddress": "the address is not valid",
    "Blocked": "refused by a rule of the receiver", "SoftBounce": "the mailbox cannot take it",
    "DMARCPolicy": "refused by the sender's own DMARC rule", "VirusNotification": "taken for a virus",
    "ManuallyDeactivated": "Postmark writes to this address no more", "Transient": "delayed by the receiver",
    "DnsError": "the domain cannot be reached",
}  # fmt: skip


class Settings(MailSettings, frozen=True, kw_only=True):
    """One server of Postmark's."""

    token: Annotated[str, secret("The server's API token")]
    webhook_user: Annotated[
        str, msgspec.Meta(description="The user of HTTP authentication at Postmark's webhooks")
    ] = "irisx"
    webhook_password: Annotated[
        str, secret("Its password: put https://user:password@… into the webhooks' addresses at Postmark")
    ]
    stream: Annotated[str, msgspec.Meta(description="The message stream: outbound, or a broadcast one")] = (
        "outbound"
    )
    base_url: Annotated[str, msgspec.Meta(description="https://api.postmarkapp.com")] = (
        "https://api.postmarkapp.com"
    )


def request(settings: Settings, mail: Mail) -> Ask:
    """The request that sends a mail."""
    pairs = [("Message-ID", f"<{mail.message_id}>"), ("X-PM-KeepID", "true"), *mail.threading]
    body: dict[str, Any] = {
        "From": _named(mail.sender),
        "To": _named(mail.to),
        "Subject": mail.subject,
        "TextBody": mail.text,
        "MessageStream": settings.stream,
        "Headers": [{"Name": name, "Value": value} for name, value in pairs],
        "Metadata": {REFERENCE: mail.reference, RECEIVER: digest(mail.to.value)},
    }
    if mail.copies:
        body["Cc"] = ", ".join(_named(one) for one in mail.copies)
    if mail.html:
        body["HtmlBody"] = mail.html
    if mail.reply_to:
        body["ReplyTo"] = mail.reply_to
    if mail.attachments:
        body["Attachments"] = [
            {
                "Name": file.name,
                "Content": base64.b64encode(file.content).decode(),
                "ContentType": file.media_type,
                **({"ContentID": f"cid:{file.cid}"} if file.cid and mail.html else {}),
            }
            for file in mail.attachments
        ]
    return Ask("POST", f"{settings.base_url}/email", _headers(settings), json=body)


def _named(address: Address) -> str:
    return formataddr((words.one_line(address.name), address.value))


def _headers(settings: Settings) -> dict[str, str]:
    return {"X-Postmark-Server-Token": settings.token, "Accept": "application/json"}


def answer(status: int, headers: Mapping[str, str], body: bytes, mail: Mail) -> Sent:
    """What Postmark says to it: an ErrorCode decides, whatever the status is."""
    try:
        told = lenient.document(body)
    except Malformed:
        told = {}
    code = lenient.whole(told, "ErrorCode")
    if status == 200 and not code:
        if not (name := lenient.words(told, "MessageID")):
            raise OutcomeUnknown("Postmark: the answer has no MessageID")
        return Sent((name,), "queued")
    if code == _INACTIVE:
        raise Refused(
            "Postmark: the receiver bounced or complained before and is written to no more",
            code="406",
        )
    if code in _BAD_ACCOUNT:
        raise Misconfigured("Postmark: the token, the sender or the stream is not accepted", code=str(code))
    if status == 200:
        raise Refused("Postmark: the mail was refused", code=str(code))
    raise failure(TITLE, status, str(code) if code else "")


def inquiry(settings: Settings) -> Ask:
    """Ask for the server that the token belongs to."""
    return Ask("GET", f"{settings.base_url}/server", _headers(settings))


def _prove(settings: Settings, request: Request) -> None:
    kind, _, coded = request.headers.get("authorization", "").partition(" ")
    try:
        user, _, password = base64.b64decode(coded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeError, ValueError):
        user = password = ""
    right = hmac.compare_digest(password.encode(), settings.webhook_password.encode())
    if kind.lower() != "basic" or not settings.webhook_password or user != settings.webhook_user or not right:
        raise BadSignature(
            "called without the user and password of this account's webhook", challenge="Basic"
        )


def parse(account: Account, request: Request) -> Parsed:
    """A webhook: something happened (it has a RecordType), or a mail came (it has none)."""
    settings: Settings = account.settings
    _prove(settings, request)
    whole = lenient.document(request.body)
    kind = lenient.words(whole, "RecordType")
    if not kind:
        if not lenient.words(whole, "MessageID") or not isinstance(whole.get("Headers"), list):
            raise Malformed("neither an event nor a mail")
        return incoming.parsed(_mail(whole), settings)
    if kind == "SubscriptionChange":
        return _wish(whole)
    return _event(kind, whole)


def _event(kind: str, event: lenient.Json) -> Parsed:
    message_id = lenient.words(event, "MessageID")
    recipient = lenient.words(event, "Recipient") or lenient.words(event, "Email")
    metadata = lenient.part(event, "Metadata")
    receiver = lenient.words(metadata, RECEIVER)
    if not message_id or (receiver and receiver != digest(recipient)):
        return Parsed()
    reference = lenient.words(metadata, REFERENCE)
    at_us = time_us(lenient.words(event, "DeliveredAt") or lenient.words(event, "BouncedAt"))
    name = lenient.words(event, "Type")
    if kind == "Delivery":
        told = Status(message_id, "delivered", at_us, reference=reference)
    elif kind == "SpamComplaint" or (kind == "Bounce" and name in ("SpamComplaint", "SpamNotification")):
        told = Status(message_id, "delivered", at_us, code=name, reason="reported as unwanted", reference=reference, complaint=True)  # fmt: skip
    elif kind == "Bounce" and name in _BOUNCES:
        state, permanent = _BOUNCES[name]
        said = f"{lenient.words(event, 'Details')} {lenient.words(event, 'Description')}"
        code = reports.enhanced(said)
        reason = reports.reason(code) or _REASONS.get(name, "not delivered")
        told = Status(message_id, state, at_us, code=code or name, reason=reason, permanent=permanent, reference=reference)  # fmt: skip
    else:
        return Parsed()  # (Open, Click, and bounces that are answers of machines)
    return Parsed(statuses=(told,))


def _wish(event: lenient.Json) -> Parsed:
    address = lenient.words(event, "Recipient")
    at = lenient.words(event, "ChangedAt")
    suppressed = event.get("SuppressSending") is True
    # (a hard bounce is a fact about an address, not a wish; its bounce has been told already)
    if not words.is_address(address) or (
        suppressed and lenient.words(event, "SuppressionReason") == "HardBounce"
    ):
        return Parsed()
    name = f"{lenient.words(event, 'MessageID') or address}:{at}:{'stop' if suppressed else 'start'}"
    return Parsed(
        preferences=(Preference(name[:400], Address("email", address), not suppressed, time_us(at)),)
    )


def _mail(whole: lenient.Json) -> Received:
    recipient = lenient.words(whole, "OriginalRecipient")
    name = f"postmark-{lenient.words(whole, 'MessageID')}"
    headers = forms.headers(whole.get("Headers"))
    known = {header.lower() for header, _ in headers}
    path = next((value for header, value in headers if header.lower() == "return-path"), None)
    sender = path.strip().strip("<>") if path is not None else None
    if raw := lenient.words(whole, "RawEmail"):
        return mime.read(raw.encode(), sender=sender, recipient=recipient, id=name)
    given = [
        ("From", _people(whole, "FromFull", lenient.words(whole, "From"))),
        ("To", _people(whole, "ToFull", lenient.words(whole, "To"))),
        ("Cc", _people(whole, "CcFull", lenient.words(whole, "Cc"))),
        ("Reply-To", lenient.words(whole, "ReplyTo")),
        ("Subject", lenient.words(whole, "Subject")),
        ("Date", lenient.words(whole, "Date")),
    ]
    headers += tuple((header, value) for header, value in given if value and header.lower() not in known)
    return Received(
        headers=headers,
        text=lenient.words(whole, "TextBody"),
        html=lenient.words(whole, "HtmlBody"),
        files=tuple(_file(one) for one in lenient.parts(whole, "Attachments")[:MAX_FILES]),
        sender=sender,
        recipient=recipient,
        id=name,
    )


def _people(whole: lenient.Json, field: str, plain: str) -> str:
    """Addresses as a header has them, from the form in which names need no quoting."""
    found = whole.get(field)
    people = [found] if isinstance(found, dict) else lenient.parts(whole, field)
    named = [
        formataddr((words.one_line(lenient.words(one, "Name")), lenient.words(one, "Email")))
        for one in people
        if lenient.words(one, "Email").isascii() and lenient.words(one, "Email")
    ]
    return ", ".join(named) or plain


def _file(one: lenient.Json) -> File:
    # (test webhooks of Postmark's once called the content "Data")
    coded = lenient.words(one, "Content") or lenient.words(one, "Data")
    try:
        content = base64.b64decode(coded)
    except (binascii.Error, ValueError):
        content = b""
    kind = lenient.words(one, "ContentType").partition(";")[0].strip() or "application/octet-stream"
    cid = lenient.words(one, "ContentID").removeprefix("cid:").strip("<>")
    name = mime.file_name(lenient.words(one, "Name"), kind)
    return File(name, kind, len(content), id=f"cid:{cid}" if cid else "", content=content)


def time_us(written: str) -> int:
    """Microseconds since 1970 of an ISO 8601 time; 0 when it is none."""
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        return 0
    return max(0, round(at.timestamp() * 1_000_000)) if at.tzinfo is not None else 0
