"""A fake Mailgun: one domain, its messages interface, signed events, a route that forwards mail."""

import time
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from irisx_channels.email import fakes, mime
from irisx_channels.email.mailgun import codec
from irisx_channels.email.mailgun.client import Mailgun
from irisx_sdk.fake import Answer, Call, Delivery, Fake, FakeMessage, Faults, same

DOMAIN = "shop.example"
_EVENTS = {
    "queued": ("accepted", ""), "sent": ("failed", "temporary"), "delivered": ("delivered", ""),
    "undelivered": ("failed", "permanent"), "failed": ("rejected", ""),
}  # fmt: skip


class FakeMailgun(Fake):
    """One account at Mailgun."""

    channel = Mailgun()
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
        self.key = self.new_id("key-")
        self.signing_key = self.new_id()
        self.route("POST", "/v3/{domain}/messages", self.create)
        self.route("GET", "/v3/domains/{domain}", self.show)
        self.route("GET", "/v3/domains/{domain}/messages/{name}/attachments/0", self.file)

    @property
    def settings(self) -> codec.Settings:
        base = self.base or "http://127.0.0.1:1"
        return codec.Settings(
            **fakes.ADDRESSES,
            domain=DOMAIN,
            api_key=self.key,
            signing_key=self.signing_key,
            base_url=f"{base}/v3",
        )

    def throttled(self, call: Call) -> Answer:
        return Answer(429, {"message": "Too many requests"}, {"retry-after": "1"})

    def broken(self, call: Call) -> Answer:
        return Answer(503, {"message": "Service Unavailable"})

    async def create(self, call: Call) -> Answer:
        if denied := self._denied(call):
            return denied
        given = dict(call.fields())
        for wanted in ("from", "to"):
            if not given.get(wanted):
                return Answer(400, {"message": f"{wanted} parameter is missing"})
        if not given.get("text") and not given.get("html"):
            return Answer(400, {"message": "Need at least one of 'text' or 'html' parameters specified"})
        to = fakes.address_of(given["to"])
        if not to:
            return Answer(
                400, {"message": "'to' parameter is not a valid address. please check documentation"}
            )
        uploads = (
            [part for part in call.parts() if part.filename]
            if call.headers.get("content-type", "").startswith("multipart/")
            else []
        )
        name = given.get("h:Message-Id", "").strip("<>") or f"{self.new_id(digits=24)}@{DOMAIN}"
        self.took(
            FakeMessage(
                name,
                to,
                given.get("text", ""),
                tuple(part.filename for part in uploads),
                raw=given,
                at=self.clock(),
                sender=given["from"],
                reference=given.get(f"v:{codec.REFERENCE}", ""),
            )
        )
        return Answer(200, {"id": f"<{name}>", "message": "Queued. Thank you."})

    async def show(self, call: Call) -> Answer:
        return self._denied(call) or Answer(200, {"domain": {"name": DOMAIN, "state": "active"}})

    async def file(self, call: Call) -> Answer:
        return self._denied(call) or Answer(200, b"stored", {"content-type": "application/octet-stream"})

    def _denied(self, call: Call) -> Answer | None:
        user, password = call.basic()
        if call.params["domain"] != DOMAIN:
            return Answer(404, {"message": "Domain not found"})
        return None if user == "api" and same(password, self.key) else self.deny("Forbidden")

    def proof(self) -> dict[str, str]:
        """A fresh signature, as it comes with everything."""
        at, token = str(int(self.clock())), self.new_id(digits=50)
        return {"timestamp": at, "token": token, "signature": codec.signature(self.signing_key, at, token)}

    def say(self, sender: str, text: str, *, raw: bool = False, **more: Any) -> list[Delivery]:
        """``raw``: a route whose address ends in ``mime``; ``more`` as in `fakes.written`."""
        written = fakes.written(self, sender, text, **more)
        return [self.route_form(written, sender, more.get("to", fakes.REPLY_TO), raw=raw)]

    def forward(self, written: bytes, sender: str, recipient: str) -> list[Delivery]:
        """Any mail that came in."""
        return [self.route_form(written, sender, recipient)]

    def headers_of(self, sent: FakeMessage) -> dict[str, str]:
        """The headers that a mail goes out with, names in lower case."""
        given = {name.removeprefix("h:").lower(): value for name, value in sent.raw.items()}
        return {"message-id": f"<{sent.id}>", **given}

    def route_form(self, written: bytes, sender: str, recipient: str, *, raw: bool = False) -> Delivery:
        """Any mail as a route would forward it."""
        fields = {"recipient": recipient, "sender": sender, **self.proof()}
        files: list[tuple[str, tuple[str, bytes, str]]] = []
        if raw:
            fields["body-mime"] = written.decode("latin-1")
            return self._form({**fields}, [], encoding="latin-1")
        mail = mime.read(written)
        fields |= {"body-plain": mail.text.replace("\n", "\r\n"), "body-html": mail.html}
        fields |= {"from": mail.first("from"), "subject": mail.first("subject")}
        fields["message-headers"] = msgspec.json.encode([list(pair) for pair in mail.headers]).decode()
        shown = {}
        for number, file in enumerate(mail.files, 1):
            files.append((f"attachment-{number}", (file.name, file.content or b"", file.media_type)))
            if file.id:
                shown[f"<{file.id.removeprefix('cid:')}>"] = f"attachment-{number}"
        if files:
            fields |= {
                "attachment-count": str(len(files)),
                "content-id-map": msgspec.json.encode(shown).decode(),
            }
        return self._form(fields, files)

    def _form(
        self,
        fields: dict[str, str],
        files: list[tuple[str, tuple[str, bytes, str]]],
        *,
        encoding: str = "utf-8",
    ) -> Delivery:
        body, kind = fakes.form(fields, files, encoding=encoding)
        return Delivery("POST", "", {"Content-Type": kind, "User-Agent": "mailgun/treq-19.7.0"}, body)

    def signed(self, body: bytes) -> Delivery:
        fields = {**self.proof(), "recipient": fakes.REPLY_TO, "body-mime": body.decode("latin-1")}
        return self._form(fields, [], encoding="latin-1")

    def receipt(self, sent: FakeMessage, state: str) -> list[Delivery]:
        if state not in _EVENTS:
            return []
        event, severity = _EVENTS[state]
        variables = (
            {
                codec.REFERENCE: sent.reference,
                codec.RECEIVER: dict(sent.raw or {}).get(f"v:{codec.RECEIVER}", ""),
            }
            if sent.reference
            else {}
        )
        data: dict[str, Any] = {
            "event": event, "id": self.new_id(digits=22), "timestamp": self.clock(), "recipient": sent.to,
            "message": {"headers": {"message-id": sent.id, "to": sent.to}, "attachments": [], "size": 800},
            "user-variables": variables, "tags": [], "flags": {"is-test-mode": False}, "log-level": "info",
        }  # fmt: skip
        if event == "failed":
            code = 550 if severity == "permanent" else 450
            text = "5.1.1 no such user" if severity == "permanent" else "4.2.0 greylisted"
            data |= {"severity": severity, "reason": "bounce" if severity == "permanent" else "generic"}
            data["delivery-status"] = {"code": code, "message": text, "attempt-no": 1}
        return [self.event(data)]

    def event(self, data: dict[str, Any]) -> Delivery:
        """An event as Mailgun signs it."""
        body = msgspec.json.encode({"signature": self.proof(), "event-data": data})
        return Delivery("POST", "", {"Content-Type": "application/json"}, body)
