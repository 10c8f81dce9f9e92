"""A fake SendGrid: one key, the v3 interface for sending, a signed event webhook, a signed Inbound Parse."""

import base64
import time
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from irisx_channels.email import fakes, mime
from irisx_channels.email.sendgrid import codec
from irisx_channels.email.sendgrid.client import SendGrid
from irisx_sdk.fake import Answer, Call, Delivery, Fake, FakeMessage, Faults, same

_EVENTS = {
    "queued": "processed", "sent": "deferred", "delivered": "delivered", "undelivered": "bounce", "failed": "dropped",
}  # fmt: skip


class FakeSendGrid(Fake):
    """One account at SendGrid."""

    channel = SendGrid()
    life: ClassVar[tuple[str, ...]] = ("queued", "delivered")

    def __init__(
        self,
        *,
        webhook_url: str = "",
        faults: Faults = Faults(),  # noqa: B008 - frozen
        seed: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(webhook_url=webhook_url, faults=faults, seed=seed, clock=clock)
        self.key = f"SG.{self.new_id(digits=22)}.{self.new_id(digits=43)}"
        self.private = ec.derive_private_key(int(self.new_id(digits=60), 16) + 1, ec.SECP256R1())
        self.route("POST", "/v3/mail/send", self.create)
        self.route("GET", "/v3/scopes", self.scopes)

    @property
    def settings(self) -> codec.Settings:
        public = self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return codec.Settings(
            **fakes.ADDRESSES,
            api_key=self.key,
            public_key=base64.b64encode(public).decode(),
            base_url=self.base or "http://127.0.0.1:1",
        )

    def throttled(self, call: Call) -> Answer:
        return Answer(429, _errors("too many requests"), {"retry-after": "1", "x-ratelimit-remaining": "0"})

    def broken(self, call: Call) -> Answer:
        return Answer(503, _errors("service unavailable"))

    async def create(self, call: Call) -> Answer:
        if denied := self._denied(call):
            return denied
        given = call.json()
        (person,) = given["personalizations"]
        to = [one["email"] for one in person["to"]]
        every = [*to, *(one["email"] for one in person.get("cc", ()))]
        kinds = [one["type"] for one in given["content"]]
        if len({one.lower() for one in every}) < len(every):
            return Answer(400, _errors("Each email address in the personalization block should be unique"))
        if kinds not in (["text/plain"], ["text/html"], ["text/plain", "text/html"]):
            return Answer(400, _errors("If present, text/plain must be first"))
        if not all(one["value"] for one in given["content"]):
            return Answer(
                400, _errors("The content value must be a string at least one character in length.")
            )
        if not given["from"]["email"] or not given["subject"]:
            return Answer(400, _errors("The from email or the subject is required"))
        files = given.get("attachments", [])
        for one in files:
            base64.b64decode(one["content"], validate=True)
        name = self.new_id(digits=22)
        self.took(
            FakeMessage(
                f"{name}.recvd-1-1",
                to[0],
                given["content"][0]["value"],
                tuple(one["filename"] for one in files),
                raw=given,
                at=self.clock(),
                sender=given["from"]["email"],
                reference=given.get("custom_args", {}).get(codec.REFERENCE, ""),
            )
        )
        return Answer(202, b"", {"x-message-id": name})

    async def scopes(self, call: Call) -> Answer:
        return self._denied(call) or Answer(200, {"scopes": ["mail.send"]})

    def _denied(self, call: Call) -> Answer | None:
        if same(call.bearer(), self.key):
            return None
        return self.deny(_errors("The provided authorization grant is invalid, expired, or revoked"))

    def headers_of(self, sent: FakeMessage) -> dict[str, str]:
        """The headers that a mail goes out with, names in lower case."""
        given = sent.raw
        headers = {name.lower(): value for name, value in given.get("headers", {}).items()}
        return {
            "subject": given["subject"],
            "reply-to": given.get("reply_to", {}).get("email", ""),
            **headers,
        }

    def say(self, sender: str, text: str, *, raw: bool = False, **more: Any) -> list[Delivery]:
        """``raw``: with "POST the raw, full MIME message"; ``more`` as in `fakes.written`."""
        written = fakes.written(self, sender, text, **more)
        return self.forward(written, sender, more.get("to", fakes.REPLY_TO), raw=raw)

    def forward(self, written: bytes, sender: str, recipient: str, *, raw: bool = False) -> list[Delivery]:
        """Any mail that came in, as Inbound Parse hands it on."""
        envelope = msgspec.json.encode({"to": [recipient], "from": sender}).decode()
        if raw:
            body, kind = fakes.form(
                {"email": written.decode("latin-1"), "envelope": envelope},
                [],
                encoding="latin-1",
                multipart=True,
            )
            return [self.sign(body, kind)]
        mail = mime.read(written)
        head = written.partition(b"\r\n\r\n")[0].decode(errors="replace")
        fields = {
            "headers": head.replace("\r\n", "\n") + "\n", "to": mail.first("to"), "from": mail.first("from"),
            "subject": mail.first("subject"), "text": mail.text, "html": mail.html, "envelope": envelope,
            "charsets": '{"to":"UTF-8","from":"UTF-8","subject":"UTF-8","text":"utf-8","html":"utf-8"}',
            "dkim": "{@customer.example : pass}", "SPF": "pass", "sender_ip": "192.0.2.1",
            "attachments": str(len(mail.files)),
        }  # fmt: skip
        named = [(f"attachment{number}", file) for number, file in enumerate(mail.files, 1)]
        shown = {file.id.removeprefix("cid:"): field for field, file in named if file.id}
        if shown:
            fields["content-ids"] = msgspec.json.encode(shown).decode()
        files = [(field, (file.name, file.content or b"", file.media_type)) for field, file in named]
        return [self.sign(*fakes.form(fields, files, multipart=True))]

    def signed(self, body: bytes) -> Delivery:
        return self.sign(body, "application/json")

    def sign(self, body: bytes, kind: str) -> Delivery:
        """A webhook as SendGrid signs it."""
        at = str(int(self.clock()))
        mark = base64.b64encode(self.private.sign(at.encode() + body, ec.ECDSA(SHA256()))).decode()
        headers = {
            "Content-Type": kind,
            "X-Twilio-Email-Event-Webhook-Signature": mark,
            "X-Twilio-Email-Event-Webhook-Timestamp": at,
        }
        return Delivery("POST", "", headers, body)

    def receipt(self, sent: FakeMessage, state: str) -> list[Delivery]:
        if state not in _EVENTS:
            return []
        arguments = dict((sent.raw or {}).get("custom_args", {}))
        if codec.MESSAGE_ID in arguments and sent.id not in {one.id for one in self.sent}:
            arguments = {codec.MESSAGE_ID: sent.id}  # (one that never was)
        event = {
            "email": sent.to, "timestamp": int(self.clock()), "event": _EVENTS[state],
            "sg_event_id": self.new_id(digits=22), "sg_message_id": sent.id, **arguments,
        }  # fmt: skip
        if state == "undelivered":
            event |= {"type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 The mailbox does not exist"}
        if state == "sent":
            event |= {"response": "450 4.2.0 try again later", "attempt": "1"}
        if state == "failed":
            event |= {"reason": "Bounced Address"}
        return [self.events([event])]

    def events(self, events: list[dict[str, Any]]) -> Delivery:
        """Events as SendGrid signs them: a list, and a line end after it."""
        return self.signed(msgspec.json.encode(events) + b"\r\n")


def _errors(text: str) -> dict[str, Any]:
    return {"errors": [{"message": text, "field": None, "help": None}]}
