"""A fake SparkPost: one key, its transmissions, event and relay webhooks with a password and a token."""

import base64
import time
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from irisx_channels.email import fakes
from irisx_channels.email.sparkpost import codec
from irisx_channels.email.sparkpost.client import SparkPost
from irisx_sdk.fake import Answer, Call, Delivery, Fake, FakeMessage, Faults, same

_EVENTS = {
    "queued": "injection", "sent": "delay", "delivered": "delivery", "undelivered": "bounce",
    "failed": "policy_rejection",
}  # fmt: skip


class FakeSparkPost(Fake):
    """One account at SparkPost."""

    channel = SparkPost()
    life: ClassVar[tuple[str, ...]] = ("queued", "delivered")
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
        self.key = self.new_id(digits=40)
        self.token = self.new_id(digits=24)
        self.quota = 1_000_000
        self.route("POST", "/api/v1/transmissions", self.create)
        self.route("GET", "/api/v1/account", self.account)

    @property
    def settings(self) -> codec.Settings:
        base = self.base or "http://127.0.0.1:1"
        return codec.Settings(
            **fakes.ADDRESSES, api_key=self.key, webhook_token=self.token, base_url=f"{base}/api/v1"
        )

    def throttled(self, call: Call) -> Answer:
        return Answer(429, _errors("Too many requests", "1500"), {"retry-after": "1"})

    def broken(self, call: Call) -> Answer:
        return Answer(503, _errors("Service unavailable", "1000"))

    async def create(self, call: Call) -> Answer:
        if denied := self._denied(call):
            return denied
        if len(self.sent) >= self.quota:
            return Answer(420, _errors("Exceed Sending Limit (daily)", "2101"))
        given = call.json()
        content = given["content"]
        if not content.get("text") and not content.get("html"):
            return Answer(422, _errors("At least one of text or html needs to exist in content", "1300"))
        if not content["subject"] or not content["from"]["email"]:
            return Answer(422, _errors("required field is missing", "1400"))
        files = [*content.get("attachments", []), *content.get("inline_images", [])]
        for one in files:
            base64.b64decode(one["data"], validate=True)
        name = str(int(self.new_id(digits=13), 16))
        self.took(
            FakeMessage(
                name,
                given["recipients"][0]["address"]["email"],
                content.get("text", ""),
                tuple(one["name"] for one in files),
                raw=given,
                at=self.clock(),
                sender=content["from"]["email"],
                reference=given.get("metadata", {}).get(codec.REFERENCE, ""),
            )
        )
        count = len(given["recipients"])
        results = {"id": name, "total_accepted_recipients": count, "total_rejected_recipients": 0}
        return Answer(200, {"results": results})

    async def account(self, call: Call) -> Answer:
        return self._denied(call) or Answer(
            200, {"results": {"company_name": "The shop", "status": "active"}}
        )

    def _denied(self, call: Call) -> Answer | None:
        if same(call.headers.get("authorization", ""), self.key):
            return None
        return self.deny(_errors("Unauthorized.", "1401"))

    def headers_of(self, sent: FakeMessage) -> dict[str, str]:
        """The headers that a mail goes out with, names in lower case."""
        content = sent.raw["content"]
        headers = {name.lower(): value for name, value in content["headers"].items()}
        return {"subject": content["subject"], "reply-to": content.get("reply_to", ""), **headers}

    def say(self, sender: str, text: str, **more: Any) -> list[Delivery]:
        """``more`` as in `fakes.written`."""
        return self.forward(fakes.written(self, sender, text, **more), sender, more.get("to", fakes.REPLY_TO))

    def forward(self, written: bytes, sender: str, recipient: str) -> list[Delivery]:
        """Any mail that came in, as a relay webhook tells it."""
        content = {
            "email_rfc822": base64.b64encode(written).decode(), "email_rfc822_is_base64": True,
            "headers": [], "subject": "", "text": "", "html": "", "to": [recipient], "cc": [],
        }  # fmt: skip
        message = {
            "content": content, "customer_id": "1", "friendly_from": sender, "msg_from": sender,
            "rcpt_to": recipient, "webhook_id": "4839201967643219", "protocol": "smtp",
        }  # fmt: skip
        body = msgspec.json.encode([{"msys": {"relay_message": message}}])
        headers = {"Content-Type": "application/json", "X-MessageSystems-Webhook-Token": self.token}
        return [Delivery("POST", "", headers, body)]

    def signed(self, body: bytes) -> Delivery:
        proof = base64.b64encode(f"irisx:{self.token}".encode()).decode()
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Basic {proof}",
            "X-MessageSystems-Batch-ID": self.new_id(),
        }
        return Delivery("POST", "", headers, body)

    def receipt(self, sent: FakeMessage, state: str) -> list[Delivery]:
        if state not in _EVENTS:
            return []
        known = sent.id in {one.id for one in self.sent}
        event = {
            "type": _EVENTS[state], "event_id": self.new_id(digits=20), "transmission_id": sent.id,
            "message_id": self.new_id(digits=20), "rcpt_to": sent.to.lower(), "raw_rcpt_to": sent.to,
            "rcpt_meta": dict((sent.raw or {}).get("metadata", {})) if known else {},
            "timestamp": str(int(self.clock())),
        }  # fmt: skip
        if state == "undelivered":
            event |= {"bounce_class": "10", "error_code": "550", "raw_reason": "550 5.1.1 no such user"}
        if state == "sent":
            event |= {"bounce_class": "21", "error_code": "451", "raw_reason": "451 4.4.1 no answer"}
        return [self.events([event])]

    def events(self, events: list[dict[str, Any]]) -> Delivery:
        """A batch as SparkPost posts it."""
        return self.signed(msgspec.json.encode([{"msys": {"message_event": event}} for event in events]))


def _errors(text: str, code: str) -> dict[str, Any]:
    return {"errors": [{"message": text, "code": code}]}
