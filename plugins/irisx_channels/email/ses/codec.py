"""What SES tells through SNS: events of mails that went out, and mails that came in.

Sources, of 2026: the AWS pages on SES event publishing, notification contents and receiving mail; botocore's model of
the interface (sesv2).
"""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec

from irisx_channels import lenient
from irisx_channels.email import forms, incoming, mime, reports, threading
from irisx_channels.email.mail import Mail, Received, digest
from irisx_channels.email.mail import Settings as MailSettings
from irisx_channels.email.ses import sns
from irisx_sdk import Account, File, Malformed, NeedsKey, Parsed, Request, State, Status, secret

TITLE = "Amazon SES"
MOST_BYTES = 28_000_000
"""Of files; a mail may have 40 MB in base64."""
REFERENCE = "irisx-message"
RECEIVER = "irisx-to"
S3 = "s3:"
"""Before bucket and key, in `File.id`, of a mail that is kept in S3."""
_STATES: Mapping[str, State] = {
    "Send": "sent", "Delivery": "delivered", "Bounce": "undelivered", "Complaint": "delivered", "Reject": "failed",
    "Rendering Failure": "failed", "DeliveryDelay": "sent",
}  # fmt: skip
_PEOPLE = {
    "Bounce": ("bounce", "bouncedRecipients"), "Complaint": ("complaint", "complainedRecipients"),
    "DeliveryDelay": ("deliveryDelay", "delayedRecipients"),
}  # fmt: skip


class Settings(MailSettings, frozen=True, kw_only=True):
    """One region of one AWS account."""

    region: Annotated[
        str, msgspec.Meta(description="Such as eu-west-1", pattern="^[a-z]{2}(-[a-z]+)+-[0-9]+$")
    ]
    access_key_id: Annotated[str, msgspec.Meta(description="Of an IAM user that may ses:SendEmail")]
    secret_access_key: Annotated[str, secret("Its secret access key")]
    topics: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="ARNs of the SNS topics that tell about mails; others are not believed"),
    ] = ()
    configuration_set: Annotated[
        str, msgspec.Meta(description="The configuration set whose events go to those topics")
    ] = ""
    base_url: Annotated[str, msgspec.Meta(description="Another address of SES than Amazon's own")] = ""
    sns_url: Annotated[str, msgspec.Meta(description="Another address of SNS than Amazon's own")] = ""
    s3_url: Annotated[str, msgspec.Meta(description="Another address of S3 than Amazon's own")] = ""


def wire_id(settings: Settings, message_id: str) -> str:
    """The Message-ID that SES writes in place of ours: what answers name."""
    domain = "email" if settings.region == "us-east-1" else settings.region
    return f"{message_id}@{domain}.amazonses.com"


def arguments(settings: Settings, mail: Mail) -> dict[str, Any]:
    """The arguments of ``send_email``."""
    given: dict[str, Any] = {
        "FromEmailAddress": mail.sender.value,
        "Destination": {"ToAddresses": [mail.to.value]},
        "Content": {"Raw": {"Data": mime.write(mail)}},
        "EmailTags": [
            {"Name": REFERENCE, "Value": threading.token(mail.reference)},
            {"Name": RECEIVER, "Value": digest(mail.to.value)},
        ],
    }
    if mail.copies:
        given["Destination"]["CcAddresses"] = [one.value for one in mail.copies]
    if settings.configuration_set:
        given["ConfigurationSetName"] = settings.configuration_set
    return given


def parse(account: Account, request: Request) -> Parsed:
    """A message of SNS."""
    settings: Settings = account.settings
    envelope = sns.verify(account, request, settings.topics, settings.sns_url)
    kind = lenient.words(envelope, "Type")
    if kind == "SubscriptionConfirmation":
        return _confirmed(account, lenient.words(envelope, "SubscribeURL"), settings)
    if kind != "Notification":
        return Parsed()
    try:
        told = lenient.document(lenient.words(envelope, "Message").encode())
    except Malformed:
        return Parsed()  # (a sentence: SNS and SES say hello to a new topic)
    name = lenient.words(told, "eventType") or lenient.words(told, "notificationType")
    if name == "Received":
        return _mail(told, settings)
    return _event(name, told, settings)


def _confirmed(account: Account, url: str, settings: Settings) -> Parsed:
    """A topic wants to know that we want it: whoever gets that address has said so.

    Reading a webhook gets nothing, but the platform does when it is told that a published document is needed.
    """
    if not sns.trusted(url, settings.sns_url):
        raise Malformed("the address to confirm a subscription at is not at Amazon SNS")
    if url not in account.keys:
        raise NeedsKey(url, keep_s=3600)
    return Parsed()


def _event(name: str, told: lenient.Json, settings: Settings) -> Parsed:
    mail = lenient.part(told, "mail")
    message_id = lenient.words(mail, "messageId")
    state = _STATES.get(name)
    if state is None or not message_id:
        return Parsed()  # (Open, Click, Subscription, and what is new)
    tags = lenient.part(mail, "tags")
    receiver = _first(tags, RECEIVER)
    field, people = _PEOPLE.get(name, ("", ""))
    about = lenient.parts(lenient.part(told, field), people) if field else []
    addresses = [lenient.words(one, "emailAddress") for one in about]
    if name == "Delivery":
        found = lenient.part(told, "delivery").get("recipients")
        addresses = [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
    if receiver and addresses and receiver not in map(digest, addresses):
        return Parsed()  # (a copy's fate is not the message's)
    reference = threading.reference(_first(tags, REFERENCE)) or _from_headers(mail)
    detail = next(iter(about), {})
    said = f"{lenient.words(detail, 'status')} {lenient.words(detail, 'diagnosticCode')}"
    code = reports.enhanced(said)
    kind = lenient.words(lenient.part(told, "bounce"), "bounceType")
    why = (
        lenient.words(lenient.part(told, "bounce"), "bounceSubType")
        or lenient.words(lenient.part(told, "complaint"), "complaintFeedbackType")
        or lenient.words(lenient.part(told, "reject"), "reason")
        or lenient.words(lenient.part(told, "deliveryDelay"), "delayType")
    )
    status = Status(
        wire_id(settings, message_id),
        state,
        _at_us(told, name, mail),
        code=code or why[:60],
        reason=reports.reason(code) or _REASONS.get(why) or _WHY.get(name, ""),
        permanent={"Permanent": True, "Transient": False}.get(kind) if state == "undelivered" else None,
        reference=reference,
        complaint=name == "Complaint",
    )
    return Parsed(statuses=(status,))


_REASONS = {
    "NoEmail": "there is no such mailbox", "Suppressed": "SES knows from before that the address does not work",
    "OnAccountSuppressionList": "the address is on the account's suppression list", "MailboxFull": "the mailbox is full",
    "MessageTooLarge": "the mail is too large", "AttachmentRejected": "refused for a file in it",
    "ContentRejected": "refused for its content", "Bad content": "taken for a virus",
}  # fmt: skip
_WHY = {
    "Bounce": "not delivered", "Complaint": "reported as unwanted", "Reject": "refused by Amazon SES",
    "Rendering Failure": "the template has no value for a place", "DeliveryDelay": "delayed by the receiver",
}  # fmt: skip


def _first(tags: lenient.Json, name: str) -> str:
    values = tags.get(name)
    return values[0] if isinstance(values, list) and values and isinstance(values[0], str) else ""


def _from_headers(mail: lenient.Json) -> str:
    """Our id out of the Message-ID that the mail had before SES, where notifications carry headers."""
    for name, value in forms.headers(mail.get("headers")):
        if name.lower() == "message-id" and (ids := threading.ids(value)):
            return threading.reference_of_id(ids[0])
    return ""


def _at_us(told: lenient.Json, name: str, mail: lenient.Json) -> int:
    field = {"DeliveryDelay": "deliveryDelay", "Rendering Failure": "failure"}.get(name, name.lower())
    for part in (lenient.part(told, field), mail):
        if found := time_us(lenient.words(part, "timestamp")):
            return found
    return 0


def _mail(told: lenient.Json, settings: Settings) -> Parsed:
    mail, receipt = lenient.part(told, "mail"), lenient.part(told, "receipt")
    sender = lenient.words(mail, "source") if "source" in mail else None
    recipients = receipt.get("recipients")
    recipient = (
        recipients[0]
        if isinstance(recipients, list) and recipients and isinstance(recipients[0], str)
        else ""
    )
    action = lenient.part(receipt, "action")
    name = f"ses-{lenient.words(mail, 'messageId')}"
    content = told.get("content")
    if isinstance(content, str):
        raw = _raw(content, lenient.words(action, "encoding"))
        received = mime.read(raw, sender=sender, recipient=recipient, id=name)
        if lenient.words(lenient.part(receipt, "virusVerdict"), "status") == "FAIL":
            received = msgspec.structs.replace(
                received, text="", html="", files=(), problem="Amazon SES found a virus in it"
            )
    else:
        received = _kept(mail, action, sender, recipient, name)
    return incoming.parsed(received, settings)


def _kept(
    mail: lenient.Json, action: lenient.Json, sender: str | None, recipient: str, name: str
) -> Received:
    """A mail that is kept in S3: its headers are told, the whole of it is got by `Channel.fetch`."""
    bucket, key = lenient.words(action, "bucketName"), lenient.words(action, "objectKey")
    if not bucket or not key:
        raise Malformed("a mail without its content and without a place of it")
    whole = File("message.eml", "message/rfc822", id=f"{S3}{bucket}/{key}")
    return Received(
        headers=forms.headers(mail.get("headers")), files=(whole,), sender=sender, recipient=recipient, id=name,
        problem="it is kept in S3, because it is too large for SNS",
    )  # fmt: skip


def _raw(content: str, encoding: str) -> bytes:
    if encoding.upper() != "BASE64":
        return content.encode("utf-8", "replace")
    try:
        return base64.b64decode(content)
    except (binascii.Error, ValueError):
        raise Malformed("a mail that is not in base64") from None


def time_us(written: str) -> int:
    """Microseconds since 1970 of an ISO 8601 time; 0 when it is none."""
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        return 0
    return max(0, round(at.timestamp() * 1_000_000)) if at.tzinfo is not None else 0
