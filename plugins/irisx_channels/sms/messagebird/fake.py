"""A fake MessageBird: one account, its messages, signed reports."""

import hashlib
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from irisx_channels.sms import jws, reading
from irisx_channels.sms.messagebird import codec
from irisx_channels.sms.messagebird.client import MessageBird
from irisx_sdk.fake import Answer, Call, Delivery, Fake, FakeMessage, Faults, same

_SENDER = "15005550006"
_WORDS = {"queued": "scheduled", "sent": "sent", "delivered": "delivered", "undelivered": "delivery_failed"}


class FakeMessageBird(Fake):
    """One account of MessageBird's."""

    channel = MessageBird()

    def __init__(
        self,
        *,
        webhook_url: str = "",
        faults: Faults = Faults(),  # noqa: B008 - frozen
        seed: int = 0,
        clock: Callable[[], float] = time.time,
        old_signature: bool = False,
    ) -> None:
        super().__init__(webhook_url=webhook_url, faults=faults, seed=seed, clock=clock)
        self.old_signature = old_signature
        """Sign as before 2021."""
        self.key, self.signing = self.new_id(digits=25), self.new_id()
        self.route("POST", "/messages", self.create)
        self.route("GET", "/messages/{message}", self.show)
        self.route("GET", "/balance", self.balance)

    @property
    def settings(self) -> codec.Settings:
        return codec.Settings(
            access_key=self.key,
            signing_key=self.signing,
            sender="+" + _SENDER,
            base_url=self.base or "http://127.0.0.1:1",
        )

    def throttled(self, call: Call) -> Answer:
        return _error(429, 101, "too many requests")

    def broken(self, call: Call) -> Answer:
        return _error(503, 99, "internal error")

    async def create(self, call: Call) -> Answer:
        if not self._knows(call):
            return self._denied()
        given = call.json()
        recipients = given.get("recipients", [])
        if isinstance(recipients, str):
            recipients = recipients.split(",")
        for name, there in (
            ("originator", given.get("originator")),
            ("recipients", recipients),
            ("body", given.get("body")),
        ):
            if not there:
                return _error(422, 9, f"{name} is required", name)
        if not all(str(one).isdigit() for one in recipients):
            return _error(422, 10, "recipients is invalid", "recipients")
        if len(given["body"]) > codec.MAX_TEXT:
            return _error(422, 10, "body is too long", "body")
        made = FakeMessage(
            self.new_id(),
            f"+{recipients[0]}",
            given["body"],
            raw=given,
            at=self.clock(),
            sender=given["originator"],
            reference=given.get("reference", ""),
        )
        self.took(made)
        return Answer(201, self._shown(made))

    async def show(self, call: Call) -> Answer:
        if not self._knows(call):
            return self._denied()
        for one in self.sent:
            if one.id == call.params["message"]:
                return Answer(200, self._shown(one))
        return _error(404, 20, "message not found")

    async def balance(self, call: Call) -> Answer:
        if not self._knows(call):
            return self._denied()
        return Answer(200, {"payment": "prepaid", "type": "euros", "amount": 103.81})

    def say(self, sender: str, text: str, **more: Any) -> list[Delivery]:
        """``more`` are further fields."""
        fields = {
            "id": self.new_id(), "originator": sender.lstrip("+"), "recipient": _SENDER, "body": text,
            "createdDatetime": self._now(), "reference": "",
        }  # fmt: skip
        kind = "application/x-www-form-urlencoded"
        return [self._hook("POST", "", urlencode(fields | more).encode(), kind)]

    def receipt(self, sent: FakeMessage, state: str) -> list[Delivery]:
        if state not in _WORDS:
            return []
        fields = {
            "id": sent.id, "reference": sent.reference, "recipient": sent.to.lstrip("+"), "status": _WORDS[state],
            "statusDatetime": self._now(), "mccmnc": "31026", "ported": "0",
        }  # fmt: skip
        if state == "undelivered":
            fields |= {"statusReason": "absent subscriber", "statusErrorCode": "27"}
        return [self.report_of(fields)]

    def report_of(self, fields: Mapping[str, str]) -> Delivery:
        """A report with these fields."""
        return self._hook("GET", "?" + urlencode(fields))

    def signed(self, body: bytes) -> Delivery:
        return self._hook("POST", "", body, "application/json")

    def _hook(self, method: str, path: str, body: bytes = b"", kind: str = "") -> Delivery:
        headers = {"Content-Type": kind} if kind else {}
        url, now_s = self.webhook_url + path, int(self.clock())
        if self.old_signature:
            mark = codec.old_signature(self.signing, str(now_s), reading.query(url), body)
            headers |= {"MessageBird-Signature": mark, "MessageBird-Request-Timestamp": str(now_s)}
            return Delivery(method, path, headers, body)
        said: dict[str, Any] = {"iss": "MessageBird", "nbf": now_s, "exp": now_s + 60, "jti": self.new_id()}
        said["url_hash"] = hashlib.sha256(url.encode()).hexdigest()
        if body:
            said["payload_hash"] = hashlib.sha256(body).hexdigest()
        return Delivery(
            method, path, headers | {"MessageBird-Signature-JWT": jws.make(said, self.signing)}, body
        )

    def _knows(self, call: Call) -> bool:
        return same(call.headers.get("authorization", ""), f"AccessKey {self.key}")

    def _denied(self) -> Answer:
        return self.deny(_error(401, 2, "Request not allowed (incorrect access_key)", "access_key").body)

    def _shown(self, message: FakeMessage) -> dict[str, Any]:
        told = _WORDS.get(self.states.get(message.id, ""), "sent")
        items = [{"recipient": int(message.to[1:]), "status": told, "statusDatetime": self._now()}]
        counts = {
            "totalCount": 1,
            "totalSentCount": 1,
            "totalDeliveredCount": 0,
            "totalDeliveryFailedCount": 0,
        }
        return {
            "id": message.id, "href": f"{self.base}/messages/{message.id}", "direction": "mt", "type": "sms",
            "originator": message.sender, "body": message.text, "reference": message.reference or None,
            "createdDatetime": self._now(), "recipients": counts | {"items": items},
        }  # fmt: skip

    def _now(self) -> str:
        return datetime.fromtimestamp(self.clock(), UTC).isoformat(timespec="seconds")


def _error(status: int, code: int, text: str, parameter: str | None = None) -> Answer:
    return Answer(status, {"errors": [{"code": code, "description": text, "parameter": parameter}]})
