"""A fake Vonage: one account, both interfaces, webhooks of either kind, signed."""

import hashlib
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlencode

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from irisx_channels.sms import jws
from irisx_channels.sms.vonage import codec, proofs
from irisx_channels.sms.vonage.client import Vonage
from irisx_sdk import segments
from irisx_sdk.fake import Answer, Call, Delivery, Fake, FakeMessage, Faults, same

_SENDER = "447700900000"
_WORDS = {
    "messages": {
        "sent": "submitted",
        "delivered": "delivered",
        "read": "read",
        "failed": "rejected",
        "undelivered": "undeliverable",
    },
    "sms": {"sent": "accepted", "delivered": "delivered", "failed": "rejected", "undelivered": "failed"},
}
_PROBLEMS = "https://developer.vonage.com/api-errors/messages#"


class FakeVonage(Fake):
    """One account of Vonage's."""

    channel = Vonage()

    def __init__(
        self,
        *,
        webhook_url: str = "",
        faults: Faults = Faults(),  # noqa: B008 - frozen
        seed: int = 0,
        clock: Callable[[], float] = time.time,
        interface: Literal["messages", "sms"] = "messages",
        public_key: RSAPublicKey | None = None,
    ) -> None:
        super().__init__(webhook_url=webhook_url, faults=faults, seed=seed, clock=clock)
        self.interface: Literal["messages", "sms"] = interface
        """The account's default SMS setting: which kind of webhooks it gets."""
        self.public_key = public_key
        """Of the application; then requests carry tokens."""
        self.key, self.secret, self.signature = self.new_id(digits=8), self.new_id(digits=16), self.new_id()
        self.barred: set[str] = set()
        """Numbers that cannot be sent to."""
        self.route("POST", "/v1/messages", self.create)
        self.route("POST", "/sms/json", self.create_classic)
        self.route("GET", "/account/get-balance", self.balance)

    @property
    def settings(self) -> codec.Settings:
        base = self.base or "http://127.0.0.1:1"
        return codec.Settings(
            api_key=self.key,
            api_secret=self.secret,
            signature_secret=self.signature,
            interface=self.interface,
            sender="+" + _SENDER,
            base_url=base,
            sms_base_url=base,
        )

    def throttled(self, call: Call) -> Answer:
        if call.path == "/sms/json":
            return _classic([{"status": "1", "error-text": "Throughput Rate Exceeded"}])
        return _problem(429, "1000", "Rate Limit Hit")

    def broken(self, call: Call) -> Answer:
        return _problem(503, "1030", "Internal error")

    async def create(self, call: Call) -> Answer:
        if not self._knows(call):
            return self.deny(_problem(401, "1080", "Unauthorized").body)
        given = call.json()
        kind = given["message_type"]
        text = given["text"] if kind == "text" else given[kind].get("caption", "")
        media = () if kind == "text" else (given[kind]["url"],)
        if not given["to"].isdigit() or (not text and not media):
            return _problem(422, "1020", "Invalid params")
        if len(text) > codec.MAX_TEXT:
            return _problem(422, "1090", "Message too long")
        if given["to"] in self.barred:
            return _problem(422, "1050", "Number barred")
        made = self._took(given["to"], text, media, given, given["from"], given.get("client_ref", ""))
        return Answer(202, {"message_uuid": made.id})

    async def create_classic(self, call: Call) -> Answer:
        given = call.form()
        if not self._knows(call):
            self.unauthorized += 1
            return _classic([{"status": "4", "error-text": "Bad Credentials"}])
        if not given.get("text"):
            return _classic([{"status": "2", "error-text": "Missing Message text"}])
        if given["to"] in self.barred:
            return _classic([{"status": "7", "error-text": "Number barred"}])
        if given.get("type") != "unicode" and segments.encoding_of(given["text"]) == "ucs2":
            return _classic([{"status": "6", "error-text": "Unroutable message"}])
        made = self._took(given["to"], given["text"], (), given, given["from"], given.get("client-ref", ""))
        rest = range(segments.count(given["text"]).segments - 1)
        ids = [made.id, *(self.new_id(digits=16).upper() for _ in rest)]
        return _classic(
            [{"to": given["to"], "message-id": one, "status": "0", "network": "23410"} for one in ids]
        )

    async def balance(self, call: Call) -> Answer:
        if not self._knows(call):
            return self.deny({"error-code": "401", "error-code-label": "authentication failed"})
        return Answer(200, {"value": 10.28, "autoReload": False})

    def say(self, sender: str, text: str, *, parts: int = 1, image: str = "", **more: Any) -> list[Delivery]:
        """``parts``: in so many pieces, as the SMS interface hands over long texts; ``more`` are further fields."""
        if self.interface == "messages":
            body: dict[str, Any] = {
                "channel": "mms" if image else "sms", "message_uuid": self._uuid(), "to": _SENDER,
                "from": sender.lstrip("+"), "timestamp": self._now(), "message_type": "image" if image else "text",
            }  # fmt: skip
            body |= {"image": {"url": image, "caption": text}} if image else {"text": text}
            return [self.signed(msgspec.json.encode(body | more))]
        size, group = -(-len(text) // parts), self.new_id(digits=4)
        made = []
        for i in range(parts):
            fields = {
                "msisdn": sender.lstrip("+"), "to": _SENDER, "messageId": self.new_id(digits=16).upper(),
                "text": text[i * size : (i + 1) * size], "type": "text", "keyword": "X", "api-key": self.key,
                "message-timestamp": self._now().replace("T", " ")[:19],
            }  # fmt: skip
            if parts > 1:
                fields |= {
                    "concat": "true",
                    "concat-ref": group,
                    "concat-total": str(parts),
                    "concat-part": str(i + 1),
                }
            made.append(self.hook(fields | more))
        return made

    def receipt(self, sent: FakeMessage, state: str) -> list[Delivery]:
        if state not in _WORDS[self.interface]:
            return []
        word, bad = _WORDS[self.interface][state], state in ("failed", "undelivered")
        if self.interface == "messages":
            body: dict[str, Any] = {
                "message_uuid": sent.id, "to": sent.to.lstrip("+"), "from": sent.sender, "timestamp": self._now(),
                "status": word, "channel": "sms", "client_ref": sent.reference,
                "usage": {"currency": "EUR", "price": "0.0333"},
            }  # fmt: skip
            if bad:
                body["error"] = {"type": _PROBLEMS + "1050", "title": 1050, "detail": "no", "instance": "x"}
            return [self.signed(msgspec.json.encode(body))]
        fields = {
            "msisdn": sent.to.lstrip("+"), "to": sent.sender, "network-code": "23410", "messageId": sent.id,
            "price": "0.0333", "status": word, "scts": "2401020304", "err-code": "6" if bad else "0",
            "api-key": self.key, "client-ref": sent.reference,
        }  # fmt: skip
        return [self.hook(fields)]

    def hook(self, fields: Mapping[str, str]) -> Delivery:
        """A webhook of the SMS interface, which is a GET."""
        signed = dict(fields) | {"timestamp": str(int(self.clock())), "nonce": self.new_id(digits=8)}
        signed["sig"] = proofs.signature("sha256", self.signature, signed)
        return Delivery("GET", "?" + urlencode(signed))

    def signed(self, body: bytes) -> Delivery:
        said = {
            "iat": int(self.clock()), "jti": self._uuid(), "iss": "Vonage", "api_key": self.key,
            "payload_hash": hashlib.sha256(body).hexdigest(),
        }  # fmt: skip
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {jws.make(said, self.signature)}",
        }
        return Delivery("POST", "", headers, body)

    def _knows(self, call: Call) -> bool:
        if self.public_key is not None and call.bearer():
            try:
                said = jwt.decode(
                    call.bearer(), self.public_key, algorithms=["RS256"], options={"verify_iat": False}
                )
            except jwt.PyJWTError:
                return False
            return bool(said.get("application_id") and said.get("jti"))
        user, password = call.basic()
        return same(user, self.key) and same(password, self.secret)

    def _took(
        self, to: str, text: str, media: tuple[str, ...], raw: Any, sender: str, reference: str
    ) -> FakeMessage:
        name = self.new_id(digits=16).upper() if self.interface == "sms" else self._uuid()
        made = FakeMessage(name, "+" + to, text, media, raw, self.clock(), sender, reference)
        return self.took(made)

    def _now(self) -> str:
        return (
            datetime.fromtimestamp(self.clock(), UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )

    def _uuid(self) -> str:
        name = self.new_id()
        return "-".join((name[:8], name[8:12], "4" + name[13:16], "8" + name[17:20], name[20:]))


def _problem(status: int, code: str, title: str) -> Answer:
    return Answer(status, {"type": _PROBLEMS + code, "title": title, "detail": title, "instance": "x"})


def _classic(messages: list[dict[str, str]]) -> Answer:
    return Answer(200, {"message-count": str(len(messages)), "messages": messages})
