"""A fake Sinch: one service plan, its batches, signed callbacks."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec

from irisx_channels.sms import numbers
from irisx_channels.sms.sinch import codec
from irisx_channels.sms.sinch.client import Sinch
from irisx_sdk.fake import Answer, Call, Delivery, Fake, FakeMessage, Faults, same

_SENDER = "15005550006"
_WORDS = {
    "queued": ("Queued", 400),
    "sent": ("Dispatched", 401),
    "delivered": ("Delivered", 0),
    "undelivered": ("Failed", 404),
    "failed": ("Rejected", 402),
}


class FakeSinch(Fake):
    """One plan of Sinch's."""

    channel = Sinch()
    life: ClassVar[tuple[str, ...]] = ("queued", "sent", "delivered")

    def __init__(
        self,
        *,
        webhook_url: str = "",
        faults: Faults = Faults(),  # noqa: B008 - frozen
        seed: int = 0,
        clock: Callable[[], float] = time.time,
        oauth: bool = False,
    ) -> None:
        super().__init__(webhook_url=webhook_url, faults=faults, seed=seed, clock=clock)
        self.plan, self.key, self.secret = self.new_id(), self.new_id(), self.new_id()
        self.oauth = oauth
        self.tokens: list[str] = []
        self.route("POST", "/xms/v1/{plan}/batches", self.create)
        self.route("GET", "/xms/v1/{plan}/batches", self.list_batches)
        self.route("GET", "/xms/v1/{plan}/batches/{batch}/delivery_report", self.report_of)
        self.route("POST", "/oauth2/token", self.token)

    @property
    def settings(self) -> codec.Settings:
        base = self.base or "http://127.0.0.1:1"
        return codec.Settings(
            plan_id=self.plan,
            api_token=self.key,
            key_id="key-1" if self.oauth else "",
            webhook_secret=self.secret,
            sender="+" + _SENDER,
            base_url=base,
            token_url=f"{base}/oauth2/token",
        )

    def throttled(self, call: Call) -> Answer:
        return Answer(429, {"code": "too_many_requests", "text": "Too many requests"})

    def broken(self, call: Call) -> Answer:
        return Answer(503, {"code": "unavailable", "text": "Service unavailable"})

    async def create(self, call: Call) -> Answer:
        if not self._knows(call):
            return self._denied()
        given = call.json()
        body, kind = given.get("body", ""), given.get("type", "mt_text")
        text = body if kind == "mt_text" else body.get("message", "")
        media = (body["url"],) if kind == "mt_media" else ()
        to = given.get("to", [])
        if not to or not all(one.lstrip("+").isdigit() for one in to):
            return Answer(400, {"code": "syntax_invalid_parameter_format", "text": "to: wrong"})
        if "from" in given and not given["from"].isdigit() and numbers.kind_of(given["from"]) is None:
            return Answer(400, {"code": "syntax_invalid_parameter_format", "text": "from: wrong"})
        if not text and not media:
            return Answer(400, {"code": "syntax_constraint_violation", "text": "body: empty"})
        made = FakeMessage(
            self.new_id("01", 24).upper(),
            "+" + to[0].lstrip("+"),
            text,
            media,
            raw=given,
            at=self.clock(),
            sender=given.get("from", _SENDER),
            reference=given.get("client_reference", ""),
        )
        self.took(made)
        told = {"id": made.id, "canceled": False, "created_at": self._now(), "modified_at": self._now()}
        return Answer(201, given | told)

    async def list_batches(self, call: Call) -> Answer:
        if not self._knows(call):
            return self._denied()
        return Answer(
            200, {"count": len(self.sent), "page": 0, "batches": [one.raw for one in self.sent[-1:]]}
        )

    async def report_of(self, call: Call) -> Answer:
        if not self._knows(call):
            return self._denied()
        for one in self.sent:
            if one.id == call.params["batch"]:
                word, code = _WORDS[self.states.get(one.id, "queued")]
                counted = [{"status": word, "code": code, "count": 1, "recipients": [one.to.lstrip("+")]}]
                told = {"type": "delivery_report_sms", "batch_id": one.id, "total_message_count": 1}
                return Answer(200, told | {"statuses": counted})
        return Answer(404, {"code": "not_found", "text": "no such batch"})

    async def token(self, call: Call) -> Answer:
        user, password = call.basic()
        if not (same(user, "key-1") and same(password, self.key)):
            return self.deny({"error": "invalid_client"})
        self.tokens.append(self.new_id())
        return Answer(200, {"access_token": self.tokens[-1], "expires_in": 3599, "token_type": "bearer"})

    def say(self, sender: str, text: str, *, media: tuple[str, ...] = (), **more: Any) -> list[Delivery]:
        """``media``: addresses of pictures; ``more`` are further fields."""
        body: dict[str, Any] = {
            "type": "mo_media" if media else "mo_text", "id": self.new_id("01", 24).upper(),
            "from": sender.lstrip("+"), "to": _SENDER, "received_at": self._now(), "body": text,
        }  # fmt: skip
        if media:
            files = [
                {"url": one, "content_type": "image/png", "status": "Uploaded", "code": 0} for one in media
            ]
            body["body"] = {"message": text, "subject": "", "media": files}
        return [self.signed(msgspec.json.encode(body | more))]

    def receipt(self, sent: FakeMessage, state: str) -> list[Delivery]:
        if state not in _WORDS:
            return []
        word, code = _WORDS[state]
        body = {
            "type": "recipient_delivery_report_sms", "batch_id": sent.id, "recipient": sent.to.lstrip("+"),
            "code": code, "status": word, "at": self._now(), "operator_status_at": self._now(),
            "client_reference": sent.reference, "number_of_message_parts": 1,
        }  # fmt: skip
        return [self.signed(msgspec.json.encode(body))]

    def signed(self, body: bytes) -> Delivery:
        nonce, stamp = self.new_id("01", 24).upper(), str(int(self.clock()))
        headers = {
            "Content-Type": "application/json",
            "X-Sinch-Webhook-Signature": codec.signature(self.secret, body, nonce, stamp),
            "X-Sinch-Webhook-Signature-Nonce": nonce,
            "X-Sinch-Webhook-Signature-Timestamp": stamp,
            "X-Sinch-Webhook-Signature-Algorithm": "HmacSHA256",
        }
        return Delivery("POST", "", headers, body)

    def _knows(self, call: Call) -> bool:
        good = self.tokens[-1] if self.oauth and self.tokens else self.key
        return same(call.bearer(), good) and call.params["plan"] == self.plan

    def _denied(self) -> Answer:
        return self.deny({"code": "unauthorized", "text": "Unauthorized"})

    def _now(self) -> str:
        return (
            datetime.fromtimestamp(self.clock(), UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )
