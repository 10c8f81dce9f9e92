"""A fake Bandwidth: one account, its messages and files, webhooks that bring a password."""

import base64
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

import msgspec

from irisx_channels.sms import numbers
from irisx_channels.sms.bandwidth import codec
from irisx_channels.sms.bandwidth.client import Bandwidth
from irisx_sdk import segments
from irisx_sdk.fake import Answer, Call, Delivery, Fake, FakeMessage, Faults, same

_SENDER = "+15005550006"


class FakeBandwidth(Fake):
    """One account of Bandwidth's."""

    channel = Bandwidth()
    covers: ClassVar[Literal["body", "token", "nothing"]] = "token"

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
        self.oauth = oauth
        self.number = str(self.random.randrange(5_000_000, 6_000_000))
        self.user, self.password = self.new_id("u", 10), self.new_id()
        self.callback = (self.new_id("c", 10), self.new_id())
        self.files: dict[str, tuple[bytes, str]] = {}
        """What was put there: content and media type by name."""
        self.tokens: list[str] = []
        """Those that were given out; the last one is good."""
        self.route("POST", "/api/v2/users/{id}/messages", self.create)
        self.route("PUT", "/api/v2/users/{id}/media/{name}", self.put)
        self.route("GET", "/api/v2/users/{id}/media/{name}", self.get)
        self.route("GET", "/api/v2/users/{id}/media", self.stored)
        self.route("POST", "/oauth2/token", self.token)

    @property
    def settings(self) -> codec.Settings:
        base = self.base or "http://127.0.0.1:1"
        return codec.Settings(
            account_id=self.number,
            application_id="93de2206-9669-4e07-948d-329f4b722ee2",
            user=self.user,
            password=self.password,
            oauth=self.oauth,
            callback_user=self.callback[0],
            callback_password=self.callback[1],
            sender=_SENDER,
            base_url=base,
            token_url=f"{base}/oauth2/token",
        )

    def throttled(self, call: Call) -> Answer:
        return Answer(429, {"type": "max-message-queue-size-exceeded", "description": "slow down"})

    def broken(self, call: Call) -> Answer:
        return Answer(503, {"type": "service-unavailable", "description": "try later"})

    async def create(self, call: Call) -> Answer:
        if not self._knows(call):
            return self._denied()
        given = call.json()
        wrong: list[dict[str, str]] = [
            {"fieldName": name, "description": f"'{name}' must be set"}
            for name in ("from", "to", "applicationId")
            if not given.get(name)
        ]
        wrong += [
            {"fieldName": "to", "description": f"'{one}' must be replaced with a valid E164 formatted number"}
            for one in given.get("to", ())
            if numbers.kind_of(one) != "number"
        ]
        if wrong or not (given.get("text") or given.get("media")):
            described = {"description": "Your request could not be accepted", "fieldErrors": wrong}
            return Answer(400, {"type": "request-validation"} | described)
        made = FakeMessage(
            self.new_id(digits=29),
            given["to"][0],
            given.get("text", ""),
            tuple(given.get("media", ())),
            raw=given,
            at=self.clock(),
            sender=given["from"],
            reference=given.get("tag", ""),
        )
        self.took(made)
        return Answer(202, self._shown(made) | {"text": made.text})

    async def put(self, call: Call) -> Answer:
        if not self._knows(call):
            return self._denied()
        self.files[call.params["name"]] = (call.body, call.headers.get("content-type", ""))
        return Answer(204)

    async def get(self, call: Call) -> Answer:
        if not self._knows(call):
            return self._denied()
        if call.params["name"] not in self.files:
            return Answer(404, {"type": "media-not-found"})
        content, kind = self.files[call.params["name"]]
        return Answer(200, content, {"content-type": kind})

    async def stored(self, call: Call) -> Answer:
        if not self._knows(call):
            return self._denied()
        return Answer(
            200, [{"mediaName": name, "contentLength": len(self.files[name][0])} for name in self.files]
        )

    async def token(self, call: Call) -> Answer:
        user, password = call.basic()
        if not (same(user, self.user) and same(password, self.password)):
            return self.deny({"error": "invalid_client"})
        if call.form().get("grant_type") != "client_credentials":
            return Answer(400, {"error": "unsupported_grant_type"})
        self.tokens.append(self.new_id())
        return Answer(200, {"access_token": self.tokens[-1], "token_type": "Bearer", "expires_in": 3600})

    def say(self, sender: str, text: str, *, media: tuple[str, ...] = (), **more: Any) -> list[Delivery]:
        """``media``: addresses of pictures; ``more`` goes into the message."""
        message = {
            "id": self.new_id(digits=29), "owner": _SENDER, "applicationId": self.settings.application_id,
            "time": self._now(), "segmentCount": segments.count(text).segments, "direction": "in",
            "to": [_SENDER], "from": sender, "text": text, "media": list(media), "channel": "sms",
        }  # fmt: skip
        event: dict[str, Any] = {
            "type": "message-received",
            "time": self._now(),
            "description": "Incoming message received",
        }
        return [self.hook(event | {"to": _SENDER, "message": message | more})]

    def receipt(self, sent: FakeMessage, state: str) -> list[Delivery]:
        if state == "queued":
            return []
        kind = {"undelivered": "failed"}.get(state, state)
        event: dict[str, Any] = {
            "type": f"message-{kind}",
            "time": self._now(),
            "to": sent.to,
            "message": self._shown(sent),
        }
        if kind == "failed":
            event |= {"errorCode": 4702 if state == "undelivered" else 4470, "description": "it failed"}
        return [self.hook(event)]

    def hook(self, *events: Mapping[str, Any]) -> Delivery:
        """A webhook with these events."""
        return self.signed(msgspec.json.encode(events))

    def signed(self, body: bytes) -> Delivery:
        pair = base64.b64encode(":".join(self.callback).encode()).decode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "BandwidthAPI/v2",
            "Authorization": f"Basic {pair}",
        }
        return Delivery("POST", "", headers, body)

    def _knows(self, call: Call) -> bool:
        if self.oauth:
            return bool(self.tokens) and same(call.bearer(), self.tokens[-1])
        user, password = call.basic()
        return same(user, self.user) and same(password, self.password) and call.params["id"] == self.number

    def _denied(self) -> Answer:
        return self.deny({"type": "unauthorized", "description": "Authentication failed"})

    def _shown(self, message: FakeMessage) -> dict[str, Any]:
        return {
            "id": message.id, "owner": message.sender, "applicationId": self.settings.application_id,
            "time": self._now(), "segmentCount": segments.count(message.text).segments, "direction": "out",
            "to": [message.to], "from": message.sender, "text": "", "media": list(message.media),
            "tag": message.reference, "priority": "default",
        }  # fmt: skip

    def _now(self) -> str:
        return (
            datetime.fromtimestamp(self.clock(), UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )
