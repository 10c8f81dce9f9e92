"""A fake Postmark: one server, its interface for sending, webhooks with a user and a password."""

import base64
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec

from irisx_channels.email import fakes, mime, words
from irisx_channels.email.postmark import codec
from irisx_channels.email.postmark.client import Postmark
from irisx_sdk import Address
from irisx_sdk.fake import Answer, Call, Delivery, Fake, FakeMessage, Faults, same

MOST_BYTES = 10_000_000


class FakePostmark(Fake):
    """One server at Postmark."""

    channel = Postmark()
    life: ClassVar[tuple[str, ...]] = ("delivered",)
    covers = "token"

    def __init__(
        self,
        *,
        webhook_url: str = "",
        faults: Faults = Faults(),  # noqa: B008 - frozen
        seed: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(webhook_url=webhook_url, faults=faults, seed=seed, clock=clock)
        self.token = self._uuid()
        self.password = self.new_id(digits=24)
        self.inactive: set[str] = set()
        """Addresses that Postmark writes to no more."""
        self.route("POST", "/email", self.create)
        self.route("GET", "/server", self.server)

    def _uuid(self) -> str:
        return str(uuid.UUID(self.new_id()))

    @property
    def settings(self) -> codec.Settings:
        return codec.Settings(
            **fakes.ADDRESSES,
            token=self.token,
            webhook_password=self.password,
            base_url=self.base or "http://127.0.0.1:1",
        )

    def throttled(self, call: Call) -> Answer:
        return _error(429, 429, "Rate limit exceeded")

    def broken(self, call: Call) -> Answer:
        return _error(503, 0, "Service unavailable")

    async def create(self, call: Call) -> Answer:
        if denied := self._denied(call):
            return denied
        if len(call.body) > MOST_BYTES * 4 // 3:
            return Answer(413, b"")
        given = call.json()
        to = words.addresses(given["To"])
        if len(to) != 1 or not words.addresses(given["From"]):
            return _error(422, 300, "Invalid 'To' or 'From' address")
        if to[0].value in self.inactive:
            return _error(422, 406, "You tried to send to recipient(s) that have been marked as inactive.")
        if not given.get("TextBody") and not given.get("HtmlBody"):
            given["TextBody"] = ""
        name = self._uuid()
        files = given.get("Attachments", [])
        for one in files:
            base64.b64decode(one["Content"], validate=True)
        self.took(
            FakeMessage(
                name,
                to[0].value,
                given.get("TextBody", ""),
                tuple(one["Name"] for one in files),
                raw=given,
                at=self.clock(),
                sender=given["From"],
                reference=given.get("Metadata", {}).get(codec.REFERENCE, ""),
            )
        )
        at = datetime.fromtimestamp(self.clock(), UTC).isoformat()
        return Answer(
            200, {"To": given["To"], "SubmittedAt": at, "MessageID": name, "ErrorCode": 0, "Message": "OK"}
        )

    async def server(self, call: Call) -> Answer:
        return self._denied(call) or Answer(200, {"ID": 1, "Name": "The shop"})

    def _denied(self, call: Call) -> Answer | None:
        if same(call.headers.get("x-postmark-server-token", ""), self.token):
            return None
        return self.deny({"ErrorCode": 10, "Message": "The Server Token you provided was invalid."})

    def headers_of(self, sent: FakeMessage) -> dict[str, str]:
        """The headers that a mail goes out with, names in lower case."""
        given = sent.raw
        headers = {one["Name"].lower(): one["Value"] for one in given["Headers"]}
        return {"subject": given["Subject"], "reply-to": given.get("ReplyTo", ""), **headers}

    def say(self, sender: str, text: str, **more: Any) -> list[Delivery]:
        """``more`` as in `fakes.written`."""
        return self.forward(fakes.written(self, sender, text, **more), sender, more.get("to", fakes.REPLY_TO))

    def forward(self, written: bytes, sender: str, recipient: str) -> list[Delivery]:
        """Any mail that came in, as an inbound webhook tells it."""
        mail = mime.read(written)
        origin = next(iter(words.addresses(mail.first("from"))), Address("email", ""))
        left_out = {"from", "to", "cc", "subject", "date", "reply-to"}
        pairs = [(name, value) for name, value in mail.headers if name.lower() not in left_out]
        body = {
            "From": origin.value, "FromName": origin.name, "FromFull": _person(origin, recipient),
            "To": mail.first("to"), "Cc": mail.first("cc"), "ReplyTo": mail.first("reply-to"),
            "ToFull": [_person(one, recipient) for one in words.addresses(mail.first("to"))],
            "CcFull": [_person(one, recipient) for one in words.addresses(mail.first("cc"))],
            "OriginalRecipient": recipient, "MailboxHash": recipient.partition("@")[0].partition("+")[2],
            "Subject": mail.first("subject"), "MessageID": self._uuid(), "Date": mail.first("date"),
            "MessageStream": "inbound", "TextBody": mail.text, "HtmlBody": mail.html, "Tag": "",
            "Headers": [{"Name": "Return-Path", "Value": f"<{sender}>"}, *({"Name": name, "Value": value} for name, value in pairs)],
            "Attachments": [
                {
                    "Name": file.name, "Content": base64.b64encode(file.content or b"").decode(),
                    "ContentType": file.media_type, "ContentLength": file.size, "ContentID": file.id,
                }
                for file in mail.files
            ],
        }  # fmt: skip
        return [self.signed(msgspec.json.encode(body))]

    def signed(self, body: bytes) -> Delivery:
        proof = base64.b64encode(f"{self.settings.webhook_user}:{self.password}".encode()).decode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Postmark",
            "Authorization": f"Basic {proof}",
        }
        return Delivery("POST", "", headers, body)

    def receipt(self, sent: FakeMessage, state: str) -> list[Delivery]:
        at = datetime.fromtimestamp(self.clock(), UTC).isoformat()
        known = sent.id in {one.id for one in self.sent}
        common = {"MessageID": sent.id, "ServerID": 1, "MessageStream": "outbound", "Tag": ""}
        common["Metadata"] = dict((sent.raw or {}).get("Metadata", {})) if known else {}
        if state == "delivered":
            more = {
                "RecordType": "Delivery",
                "Recipient": sent.to,
                "DeliveredAt": at,
                "Details": "250 2.0.0 OK",
            }
        elif state in ("undelivered", "sent", "failed"):
            name = {"undelivered": "HardBounce", "sent": "Transient", "failed": "SMTPApiError"}[state]
            said = "smtp;550 5.1.1 no such user" if state == "undelivered" else "later"
            more = {"RecordType": "Bounce", "Type": name, "Email": sent.to, "BouncedAt": at, "Details": said}
            more |= {"ID": 1, "Description": "", "Inactive": state == "undelivered"}  # type: ignore[dict-item]
        else:
            return []
        return [self.signed(msgspec.json.encode(common | more))]


def _person(address: Address, recipient: str) -> dict[str, str]:
    return {
        "Email": address.value,
        "Name": address.name,
        "MailboxHash": address.value.partition("@")[0].partition("+")[2],
    }


def _error(status: int, code: int, text: str) -> Answer:
    return Answer(status, {"ErrorCode": code, "Message": text})
