"""A fake Telnyx: one account, its messages interface, webhooks signed with a key of its own."""

import base64
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from irisx_channels.sms import numbers, reading
from irisx_channels.sms.telnyx import codec
from irisx_channels.sms.telnyx.client import Telnyx
from irisx_sdk import segments
from irisx_sdk.fake import Answer, Call, Delivery, Fake, FakeMessage, Faults, same

_SENDER = "+15005550006"
_FINAL = {"delivered": "delivered", "undelivered": "delivery_failed", "failed": "sending_failed"}


class FakeTelnyx(Fake):
    """One account of Telnyx's."""

    channel = Telnyx()

    def __init__(
        self,
        *,
        webhook_url: str = "",
        faults: Faults = Faults(),  # noqa: B008 - frozen
        seed: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(webhook_url=webhook_url, faults=faults, seed=seed, clock=clock)
        self.key = self.new_id("KEY")
        self._signer = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(self.new_id(digits=64)))
        self.opted_out: set[str] = set()
        """Numbers that are answered 40300, as after a STOP."""
        self.route("POST", "/v2/messages", self.create)
        self.route("POST", "/v2/messages/number_pool", self.create)
        self.route("GET", "/v2/balance", self.balance)

    @property
    def settings(self) -> codec.Settings:
        public = self._signer.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return codec.Settings(
            api_key=self.key,
            public_key=base64.b64encode(public).decode(),
            sender=_SENDER,
            base_url=self.base or "http://127.0.0.1:1",
        )

    def throttled(self, call: Call) -> Answer:
        return _error(429, "10011", "Too many requests")

    def broken(self, call: Call) -> Answer:
        return _error(503, "10016", "Service unavailable")

    async def create(self, call: Call) -> Answer:
        if not same(call.bearer(), self.key):
            return self.deny(_error(401, "10009", "Authentication failed").body)
        given = call.json()
        to, text, media = given.get("to", ""), given.get("text", ""), tuple(given.get("media_urls", ()))
        if numbers.kind_of(to) not in ("number", "short"):
            return _error(400, "10002", "Invalid phone number")
        if not given.get("from") and not given.get("messaging_profile_id"):
            return _error(400, "10004", "Missing required parameter")
        if numbers.kind_of(given.get("from", "")) == "name" and not given.get("messaging_profile_id"):
            return _error(400, "40013", "Invalid source number")
        if not text and not media:
            return _error(400, "10004", "Missing required parameter")
        if to in self.opted_out:
            return _error(400, "40300", "Blocked due to STOP message")
        made = FakeMessage(
            self._uuid(),
            to,
            text,
            media,
            raw=given,
            at=self.clock(),
            sender=given.get("from", _SENDER),
            reference=reading.reference(given.get("webhook_url", "")),
        )
        self.took(made)
        return Answer(200, {"data": self._shown(made, "queued")})

    async def balance(self, call: Call) -> Answer:
        if not same(call.bearer(), self.key):
            return self.deny(_error(401, "10009", "Authentication failed").body)
        return Answer(200, {"data": {"record_type": "balance", "balance": "300.00", "currency": "USD"}})

    def say(self, sender: str, text: str, *, media: tuple[str, ...] = (), **more: Any) -> list[Delivery]:
        """``media``: addresses of pictures; ``more`` goes into the payload."""
        payload = {
            "record_type": "message", "direction": "inbound", "id": self._uuid(), "type": "MMS" if media else "SMS",
            "from": {"phone_number": sender, "carrier": "", "line_type": ""}, "text": text, "errors": [],
            "to": [{"phone_number": _SENDER, "status": "webhook_delivered"}], "received_at": self._now(),
            "media": [{"url": one, "content_type": "image/png", "size": 17, "sha256": None} for one in media],
            "parts": segments.count(text).segments, "encoding": "GSM-7",
        }  # fmt: skip
        return [self.event("message.received", payload | more)]

    def receipt(self, sent: FakeMessage, state: str) -> list[Delivery]:
        if state == "read":
            return []
        payload = self._shown(sent, _FINAL.get(state, state))
        if state in ("undelivered", "failed"):
            payload["errors"] = [{"code": "40006" if state == "undelivered" else "40003", "title": "no"}]
        kind = "message.finalized" if state in _FINAL else "message.sent"
        path = "?" + urlencode({reading.REFERENCE: sent.reference}) if sent.reference else ""
        return [self.event(kind, payload, path)]

    def event(self, kind: str, payload: object, path: str = "") -> Delivery:
        """A signed webhook."""
        data = {"event_type": kind, "id": self._uuid(), "occurred_at": self._now(), "record_type": "event"}
        meta = {"attempt": 1, "delivered_to": self.webhook_url + path}
        made = self.signed(msgspec.json.encode({"data": data | {"payload": payload}, "meta": meta}))
        return msgspec.structs.replace(made, path=path)

    def signed(self, body: bytes) -> Delivery:
        stamp = str(int(self.clock()))
        mark = base64.b64encode(self._signer.sign(stamp.encode() + b"|" + body)).decode()
        headers = {
            "Content-Type": "application/json",
            "Telnyx-Signature-Ed25519": mark,
            "Telnyx-Timestamp": stamp,
        }
        return Delivery("POST", "", headers, body)

    def _shown(self, message: FakeMessage, state: str) -> dict[str, Any]:
        return {
            "record_type": "message", "direction": "outbound", "id": message.id, "type": "SMS", "text": message.text,
            "from": {"phone_number": message.sender}, "to": [{"phone_number": message.to, "status": state}],
            "parts": segments.count(message.text).segments, "errors": [], "cost": {"amount": "0.0040", "currency": "USD"},
            "media": [{"url": one} for one in message.media], "received_at": self._now(), "webhook_url": None,
        }  # fmt: skip

    def _now(self) -> str:
        return datetime.fromtimestamp(self.clock(), UTC).isoformat(timespec="milliseconds")

    def _uuid(self) -> str:
        name = self.new_id()
        return "-".join((name[:8], name[8:12], "4" + name[13:16], "8" + name[17:20], name[20:]))


def _error(status: int, code: str, title: str) -> Answer:
    return Answer(status, {"errors": [{"code": code, "title": title, "detail": title, "meta": {}}]})
