"""SendGrid's wire: JSON out, signed JSON lists of events in, multipart mails in.

Sources, of 2026: Twilio's OpenAPI documents for mail and webhooks (tsg_mail_v3, tsg_webhooks_v3), the event webhook
helper of its Python SDK, its pages "Inbound Parse" and "Securing your Inbound Parse Webhooks".
"""

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from irisx_channels import lenient
from irisx_channels.email import forms, incoming, mime, reports, words
from irisx_channels.email.mail import Mail, Received, digest
from irisx_channels.email.mail import Settings as MailSettings
from irisx_channels.email.overhttp import Ask, failure
from irisx_sdk import (
    Account,
    Address,
    BadSignature,
    Malformed,
    Parsed,
    Preference,
    Request,
    Sent,
    State,
    Status,
    secret,
)

TITLE = "SendGrid"
MOST_BYTES = 20_000_000
"""Of files; SendGrid takes 30 MB with everything in base64."""
WINDOW_S = 73 * 3600
"""How old a signature may be. SendGrid repeats events for 24 hours and mails for three days, and does not say that it
signs them anew; what comes twice is known by its ids."""
SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
REFERENCE = "irisx_message"
RECEIVER = "irisx_to"
MESSAGE_ID = "irisx_id"
_STATES: Mapping[str, State] = {
    "processed": "queued", "deferred": "sent", "delivered": "delivered", "bounce": "undelivered",
    "dropped": "failed", "spamreport": "delivered",
}  # fmt: skip
_WISHES = {"unsubscribe": False, "group_unsubscribe": False, "group_resubscribe": True}


class Settings(MailSettings, frozen=True, kw_only=True):
    """One API key."""

    api_key: Annotated[str, secret("An API key with the right to send mail (SG.…)")]
    public_key: Annotated[
        str,
        msgspec.Meta(
            description="The verification key of the signed event webhook: base64, one line. Empty only if a"
            " webhook_password is in the webhook's address."
        ),
    ] = ""
    webhook_password: Annotated[
        str,
        secret(
            "For mails of an Inbound Parse without a security policy: what follows ?password= in its address"
        ),
    ] = ""
    base_url: Annotated[
        str,
        msgspec.Meta(
            description="https://api.sendgrid.com, for European subusers https://api.eu.sendgrid.com"
        ),
    ] = "https://api.sendgrid.com"


def request(settings: Settings, mail: Mail) -> Ask:
    """The request that sends a mail."""
    one: dict[str, Any] = {"to": [_named(mail.to)]}
    if mail.copies:
        # (SendGrid refuses an address that stands twice in one mail)
        copies = {copy.value.lower(): _named(copy) for copy in mail.copies}
        copies.pop(mail.to.value.lower(), None)
        one |= {"cc": list(copies.values())} if copies else {}
    content = [{"type": "text/plain", "value": mail.text or " "}]  # (an empty one is refused)
    if mail.html:
        content.append({"type": "text/html", "value": mail.html})
    body: dict[str, Any] = {
        "personalizations": [one],
        "from": _named(mail.sender),
        "subject": mail.subject,
        "content": content,
        "headers": {"Message-ID": f"<{mail.message_id}>", **dict(mail.threading)},
        "custom_args": {
            REFERENCE: mail.reference,
            RECEIVER: digest(mail.to.value),
            MESSAGE_ID: mail.message_id,
        },
    }
    if mail.reply_to:
        body["reply_to"] = {"email": mail.reply_to}
    if mail.attachments:
        body["attachments"] = [
            {
                "content": base64.b64encode(file.content).decode(),
                "type": file.media_type,
                "filename": file.name,
                **(
                    {"disposition": "inline", "content_id": file.cid}
                    if file.cid and mail.html
                    else {"disposition": "attachment"}
                ),
            }
            for file in mail.attachments
        ]
    return Ask(
        "POST",
        f"{settings.base_url}/v3/mail/send",
        {"Authorization": f"Bearer {settings.api_key}"},
        json=body,
    )


def _named(address: Address) -> dict[str, str]:
    name = words.one_line(address.name)
    return {"email": address.value, "name": name} if name else {"email": address.value}


def answer(status: int, headers: Mapping[str, str], body: bytes, mail: Mail) -> Sent:
    """What SendGrid says to it. Its own id (X-Message-Id) is only the beginning of what its events say; ours comes back."""
    if status not in (200, 202):
        raise failure(TITLE, status)
    return Sent((mail.message_id,), "queued")


def inquiry(settings: Settings) -> Ask:
    """Ask what the key may do."""
    return Ask("GET", f"{settings.base_url}/v3/scopes", {"Authorization": f"Bearer {settings.api_key}"})


def verify(public_key: str, signature: str, timestamp: str, body: bytes) -> None:
    """ECDSA on P-256 with SHA-256 over the timestamp and the raw body. Raises `BadSignature`."""
    try:
        key = load_der_public_key(base64.b64decode(public_key, validate=True))
        if not isinstance(key, EllipticCurvePublicKey):
            raise TypeError
    except (ValueError, TypeError, UnsupportedAlgorithm, binascii.Error):
        raise BadSignature("the account's public_key is not a verification key of SendGrid") from None
    try:
        key.verify(base64.b64decode(signature, validate=True), timestamp.encode() + body, ECDSA(SHA256()))
    except (InvalidSignature, ValueError, binascii.Error):
        raise BadSignature("not signed by SendGrid with this account's key") from None


def _prove(settings: Settings, request: Request) -> None:
    signature, timestamp = request.headers.get(SIGNATURE, ""), request.headers.get(TIMESTAMP, "")
    if signature and settings.public_key:
        verify(settings.public_key, signature, timestamp, request.body)
        age_s = (
            request.received_us / 1e6 - int(timestamp)
            if timestamp.isascii() and timestamp.isdigit()
            else None
        )
        if age_s is None or abs(age_s) > WINDOW_S:
            raise BadSignature("signed too long ago")
        return
    given = dict(forms.query(request.url)).get("password", "")
    if not settings.webhook_password or not hmac.compare_digest(
        given.encode(), settings.webhook_password.encode()
    ):
        raise BadSignature("neither signed nor called with the password of this account's webhook")


def parse(account: Account, request: Request) -> Parsed:
    """A webhook: a list of events (JSON) or a mail (multipart)."""
    settings: Settings = account.settings
    _prove(settings, request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        return incoming.parsed(_mail(forms.read(request)), settings)
    events = forms.json_list(request.body)
    statuses: list[Status] = []
    wishes: list[Preference] = []
    for event in events:
        _event(event, statuses, wishes)
    return Parsed(statuses=tuple(statuses), preferences=tuple(wishes))


def _event(event: lenient.Json, statuses: list[Status], wishes: list[Preference]) -> None:
    name, address = lenient.words(event, "event"), lenient.words(event, "email")
    at_us = max(0, lenient.whole(event, "timestamp")) * 1_000_000
    dropped_for = lenient.words(event, "reason")
    allowed = False if name == "dropped" and dropped_for == "Unsubscribed Address" else _WISHES.get(name)
    if allowed is not None and words.is_address(address):
        wishes.append(
            Preference(lenient.words(event, "sg_event_id") or name, Address("email", address), allowed, at_us)
        )
    state = _STATES.get(name)
    receiver = lenient.words(event, RECEIVER)
    message_id = lenient.words(event, MESSAGE_ID) or lenient.words(event, "smtp-id").strip("<>")
    if state is None or not message_id or (receiver and receiver != digest(address)):
        return
    said = f"{lenient.words(event, 'status')} {lenient.words(event, 'reason')} {lenient.words(event, 'response')}"
    code, smtp = reports.enhanced(said), reports.plain_code(said)
    blocked = lenient.words(event, "type") == "blocked"
    bad = name in ("deferred", "bounce", "dropped")
    statuses.append(
        Status(
            message_id,
            state,
            at_us,
            code=(code or smtp or (dropped_for[:60] if name == "dropped" else "")) if bad else "",
            reason=(_DROPPED.get(dropped_for) or reports.reason(code, smtp)) if bad else "",
            # (a block is a rule of today, whatever its code says)
            permanent=None if blocked else {"bounce": True, "dropped": True}.get(name),
            reference=lenient.words(event, REFERENCE),
            complaint=name == "spamreport",
        )
    )


_DROPPED = {
    "Bounced Address": "SendGrid knows from before that the address does not work",
    "Unsubscribed Address": "the receiver wants no mails from us",
    "Spam Reporting Address": "the receiver has reported a mail of ours before",
    "Invalid SMTPAPI header": "SendGrid could not read the mail's settings",
    "Spam Content (if spam checker app enabled)": "SendGrid takes the mail for spam",
}


def _mail(form: forms.Form) -> Received:
    envelope = forms.json_object(form.raw.get("envelope", b"{}"))
    sender = lenient.words(envelope, "from") if "from" in envelope else None
    receivers = envelope.get("to")
    recipient = (
        receivers[0] if isinstance(receivers, list) and receivers and isinstance(receivers[0], str) else ""
    )
    if "email" in form.raw:
        return mime.read(form.raw["email"], sender=sender, recipient=recipient)
    if "headers" not in form.raw:
        raise Malformed("neither events nor a mail")
    charsets = forms.json_object(form.raw.get("charsets", b"{}"))
    shown = {
        field: cid for cid, field in forms.json_object(form.raw.get("content-ids", b"{}")).items() if isinstance(field, str)
    }  # fmt: skip
    head = mime.read(form.raw["headers"].rstrip() + b"\r\n\r\n")
    return Received(
        headers=head.headers,
        text=form.text("text", lenient.words(charsets, "text")),
        html=form.text("html", lenient.words(charsets, "html")),
        files=tuple(
            msgspec.structs.replace(file, id=f"cid:{shown[field]}") if field in shown else file
            for field, file in form.files.items()
            if field.startswith("attachment")
        ),
        sender=sender,
        recipient=recipient,
        problem=head.problem,
    )
