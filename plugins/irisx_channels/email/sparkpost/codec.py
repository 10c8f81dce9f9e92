"""SparkPost's wire: JSON both ways; lists of small envelopes in, proved by a password or a token.

Source, of 2026: SparkPost's developer documents (transmissions, webhooks, relay webhooks, inbound domains).
"""

import base64
import binascii
import hmac
from collections.abc import Mapping
from email.utils import formataddr
from typing import Annotated, Any

import msgspec

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
    OutcomeUnknown,
    Parsed,
    Preference,
    Refused,
    Request,
    Sent,
    State,
    Status,
    Throttled,
    secret,
)

TITLE = "SparkPost"
MOST_BYTES = 14_000_000
"""Of files; a transmission's content may have 20 MB, with everything in base64."""
REFERENCE = "irisx_message"
RECEIVER = "irisx_to"
_STATES: Mapping[str, State] = {
    "injection": "queued", "delay": "sent", "delivery": "delivered", "bounce": "undelivered",
    "out_of_band": "undelivered", "policy_rejection": "failed", "generation_failure": "failed",
    "generation_rejection": "failed", "spam_complaint": "delivered",
}  # fmt: skip
_HARD = frozenset({10, 30, 90})
_SOFT = frozenset({20, 21, 22, 23, 24, 40, 70})
_NO_BOUNCE = frozenset({60, 80, 100})
"""Classes of bounces that are answers of machines, and words to subscribers."""
_REASONS = {
    10: "there is no such mailbox", 20: "the mailbox cannot take it", 21: "the domain cannot be reached",
    22: "the mailbox is full", 23: "the mail is too large", 24: "it could not be delivered in time",
    25: "refused by a rule of the receiver", 30: "there is no such mailbox", 50: "refused by a rule of the receiver",
    51: "taken for spam", 52: "taken for spam", 53: "refused for a file in it", 54: "refused by a rule of the receiver",
    90: "the receiver wants no mails from us",
}  # fmt: skip


class Settings(MailSettings, frozen=True, kw_only=True):
    """One API key."""

    api_key: Annotated[str, secret("An API key with the right to send")]
    webhook_token: Annotated[
        str,
        secret(
            "A long random text: the password of the webhook's basic authentication (user irisx), and the token of"
            " the relay webhook for mail that comes in"
        ),
    ]
    base_url: Annotated[
        str,
        msgspec.Meta(
            description="https://api.sparkpost.com/api/v1, in Europe https://api.eu.sparkpost.com/api/v1"
        ),
    ] = "https://api.sparkpost.com/api/v1"


def request(settings: Settings, mail: Mail) -> Ask:
    """The request that sends a mail."""
    to = formataddr((words.one_line(mail.to.name), mail.to.value))
    recipients: list[dict[str, Any]] = [
        {"address": {"email": mail.to.value, "name": words.one_line(mail.to.name)}}
    ]
    recipients += [{"address": {"email": one.value, "header_to": to}} for one in mail.copies]
    headers = {"Message-ID": f"<{mail.message_id}>", **dict(mail.threading)}
    if mail.copies:
        headers["CC"] = ", ".join(formataddr((words.one_line(one.name), one.value)) for one in mail.copies)
    content: dict[str, Any] = {
        "from": {"email": mail.sender.value, "name": words.one_line(mail.sender.name)},
        "subject": mail.subject,
        "text": mail.text or " ",  # (a content without words is refused)
        "headers": headers,
    }
    if mail.html:
        content["html"] = mail.html
    if mail.reply_to:
        content["reply_to"] = mail.reply_to
    for file in mail.attachments:
        shown = bool(file.cid and mail.html)
        content.setdefault("inline_images" if shown else "attachments", []).append(
            {
                "name": file.cid if shown else file.name,
                "type": file.media_type,
                "data": base64.b64encode(file.content).decode(),
            }
        )
    body = {
        "options": {"transactional": not mail.headers, "open_tracking": False, "click_tracking": False},
        "recipients": recipients,
        "content": content,
        "metadata": {REFERENCE: mail.reference, RECEIVER: digest(mail.to.value)},
    }
    return Ask("POST", f"{settings.base_url}/transmissions", {"Authorization": settings.api_key}, json=body)


def answer(status: int, headers: Mapping[str, str], body: bytes, mail: Mail) -> Sent:
    """What SparkPost says to it. Its id is the transmission's: events have it beside their own."""
    try:
        told = lenient.document(body)
    except Malformed:
        told = {}
    if status == 420:
        raise Throttled("SparkPost: the account's quota is used up", code="420")
    if status != 200:
        raise failure(TITLE, status)
    results = lenient.part(told, "results")
    name = lenient.words(results, "id")
    if not name:
        raise OutcomeUnknown("SparkPost: the answer has no id")
    if results.get("total_accepted_recipients") == 0:
        raise Refused("SparkPost: the receiver was refused", code="rejected")
    return Sent((name,), "queued")


def inquiry(settings: Settings) -> Ask:
    """Ask for the account itself."""
    return Ask("GET", f"{settings.base_url}/account", {"Authorization": settings.api_key})


def _prove(settings: Settings, request: Request) -> None:
    token = request.headers.get("x-messagesystems-webhook-token", "")
    kind, _, coded = request.headers.get("authorization", "").partition(" ")
    if not token and kind.lower() == "basic":
        try:
            token = base64.b64decode(coded.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeError, ValueError):
            token = ""
    if not settings.webhook_token or not hmac.compare_digest(token.encode(), settings.webhook_token.encode()):
        raise BadSignature(
            "called without the password or token of this account's webhook", challenge="Basic"
        )


def parse(account: Account, request: Request) -> Parsed:
    """A webhook: a list of events, of mails, or of nothing (a test)."""
    settings: Settings = account.settings
    _prove(settings, request)
    found: list[Parsed] = []
    for envelope in forms.json_list(request.body):
        for kind, event in lenient.part(envelope, "msys").items():
            if isinstance(event, dict):
                found.append(_mail(event, settings) if kind == "relay_message" else _event(event))
        if "msys" not in envelope:
            raise Malformed("an envelope without msys")
    return Parsed(
        messages=tuple(message for one in found for message in one.messages),
        statuses=tuple(status for one in found for status in one.statuses),
        preferences=tuple(wish for one in found for wish in one.preferences),
    )


def _event(event: lenient.Json) -> Parsed:
    name = lenient.words(event, "type")
    address = lenient.words(event, "raw_rcpt_to") or lenient.words(event, "rcpt_to")
    at_us = max(0, lenient.whole(event, "timestamp")) * 1_000_000
    kind = lenient.whole(event, "bounce_class")
    wishes: tuple[Preference, ...] = ()
    if (name in ("list_unsubscribe", "link_unsubscribe") or kind == 90) and words.is_address(address):
        wishes = (
            Preference(lenient.words(event, "event_id") or name, Address("email", address), False, at_us),
        )
    meta = lenient.part(event, "rcpt_meta")
    receiver = lenient.words(meta, RECEIVER)
    state = _STATES.get(name)
    name_of_it = lenient.words(event, "transmission_id")
    copied = bool(receiver) and receiver != digest(address)
    if state is None or not name_of_it or copied or (state == "undelivered" and kind in _NO_BOUNCE):
        return Parsed(preferences=wishes)
    said = lenient.words(event, "raw_reason") or lenient.words(event, "reason")
    code, smtp = reports.enhanced(said), lenient.words(event, "error_code")
    bad = state in ("undelivered", "failed") or name == "delay"
    hard = {**dict.fromkeys(_HARD, True), **dict.fromkeys(_SOFT, False)}.get(kind)
    told = Status(
        name_of_it,
        state,
        at_us,
        code=(code or smtp or (f"class {kind}" if kind else name)) if bad else "",
        reason=(reports.reason(code) or _REASONS.get(kind) or "not delivered") if bad else "",
        permanent=hard if state == "undelivered" else None,
        reference=lenient.words(meta, REFERENCE),
        complaint=name == "spam_complaint",
    )
    return Parsed(statuses=(told,), preferences=wishes)


def _mail(event: lenient.Json, settings: Settings) -> Parsed:
    content = lenient.part(event, "content")
    sender, recipient = lenient.words(event, "msg_from"), lenient.words(event, "rcpt_to")
    raw = lenient.words(content, "email_rfc822")
    if raw:
        try:
            whole = base64.b64decode(raw) if content.get("email_rfc822_is_base64") is True else raw.encode()
        except (binascii.Error, ValueError):
            raise Malformed("a mail that is not in base64") from None
        return incoming.parsed(mime.read(whole, sender=sender, recipient=recipient), settings)
    pairs = [
        [name, value] for one in lenient.parts(content, "headers") for name, value in one.items() if isinstance(value, str)
    ]  # fmt: skip
    mail = Received(
        headers=forms.headers(pairs),
        text=lenient.words(content, "text"),
        html=lenient.words(content, "html"),
        sender=sender,
        recipient=recipient,
    )
    return incoming.parsed(mail, settings)
