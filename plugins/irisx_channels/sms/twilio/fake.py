"""A fake Twilio: one account, its Messages interface, signed webhooks, a file that needs the account's password."""

import hashlib
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

from irisx_channels.sms import numbers, reading
from irisx_channels.sms.twilio import codec
from irisx_channels.sms.twilio.client import Twilio
from irisx_sdk import segments
from irisx_sdk.fake import Answer, Call, Delivery, Fake, FakeMessage, Faults, same

_FILE = b"\x89PNG\r\n\x1a\n fake"
_SENDER = "+15005550006"


class FakeTwilio(Fake):
    """One account of Twilio's."""

    channel = Twilio()
    life: ClassVar[tuple[str, ...]] = ("queued", "sent", "delivered")

    def __init__(
        self,
        *,
        webhook_url: str = "",
        faults: Faults = Faults(),  # noqa: B008 - frozen
        seed: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(webhook_url=webhook_url, faults=faults, seed=seed, clock=clock)
        self.sid = self.new_id("AC")
        self.token = self.new_id()
        self.opted_out: set[str] = set()
        """Numbers that are answered 21610, as after a STOP."""
        self.leaked = 0
        """Requests that told another company's storage the account's password."""
        self.route("POST", "/2010-04-01/Accounts/{sid}/Messages.json", self.create)
        self.route("GET", "/2010-04-01/Accounts/{sid}/Messages/{message}.json", self.show)
        self.route("GET", "/2010-04-01/Accounts/{sid}/Messages/{message}/Media/{file}", self.file)
        self.route("GET", "/2010-04-01/Accounts/{sid}.json", self.account)
        self.route("GET", "/storage/{file}", self.storage)

    @property
    def settings(self) -> codec.Settings:
        return codec.Settings(
            account_sid=self.sid,
            auth_token=self.token,
            sender=_SENDER,
            base_url=self.base or "http://127.0.0.1:1",
        )

    def throttled(self, call: Call) -> Answer:
        return _error(429, 20429, "Too Many Requests")

    def broken(self, call: Call) -> Answer:
        return _error(503, 20503, "Service Unavailable")

    async def create(self, call: Call) -> Answer:
        if denied := self._denied(call):
            return denied
        given = call.form()
        to, text = given.get("To", ""), given.get("Body", "")
        media = tuple(value for name, value in call.fields() if name == "MediaUrl")
        sender = given.get("From") or given.get("MessagingServiceSid", "")
        if numbers.kind_of(to) not in ("number", "short"):
            return _error(400, 21211, f"The 'To' number {to} is not a valid phone number.")
        if not sender:
            return _error(400, 21603, "A 'From' phone number is required.")
        if "From" in given and numbers.kind_of(sender) is None:
            return _error(400, 21212, f"The 'From' number {sender} is not a valid phone number.")
        if not text and not media:
            return _error(400, 21602, "Message body is required.")
        if len(text) > codec.MAX_TEXT:
            return _error(400, 21617, "The concatenated message body exceeds the 1600 character limit")
        if to in self.opted_out:
            return _error(400, 21610, "Attempt to send to unsubscribed recipient")
        made = FakeMessage(
            self.new_id("MM" if media else "SM"),
            to,
            text,
            media,
            raw=given,
            at=self.clock(),
            sender=sender,
            reference=dict(reading.query(given.get("StatusCallback", ""))).get(reading.REFERENCE, ""),
        )
        self.took(made)
        return Answer(201, self._shown(made, "queued"))

    async def show(self, call: Call) -> Answer:
        if denied := self._denied(call):
            return denied
        for message in self.sent:
            if message.id == call.params["message"]:
                return Answer(200, self._shown(message, self.states.get(message.id, "queued")))
        return _error(404, 20404, "The requested resource was not found")

    async def account(self, call: Call) -> Answer:
        return self._denied(call) or Answer(200, {"sid": self.sid, "status": "active", "type": "Full"})

    async def file(self, call: Call) -> Answer:
        elsewhere = self.base.replace("127.0.0.1", "localhost")
        return self._denied(call) or Answer(
            307, b"", {"location": f"{elsewhere}/storage/{call.params['file']}"}
        )

    async def storage(self, call: Call) -> Answer:
        self.leaked += "authorization" in call.headers
        return Answer(200, _FILE, {"content-type": "image/png"})

    def say(self, sender: str, text: str, *, media: int = 0, **more: Any) -> list[Delivery]:
        """``media``: so many pictures with it; ``more`` are further fields (``OptOutType``)."""
        name = self.new_id("MM" if media else "SM")
        fields = {
            "ToCountry": "US", "SmsMessageSid": name, "NumMedia": str(media), "SmsSid": name, "SmsStatus": "received",
            "Body": text, "To": _SENDER, "From": sender, "MessageSid": name, "AccountSid": self.sid,
            "NumSegments": str(segments.count(text).segments), "ApiVersion": "2010-04-01",
        }  # fmt: skip
        for i in range(media):
            at = f"{self.base}/2010-04-01/Accounts/{self.sid}/Messages/{name}/Media/{self.new_id('ME')}"
            fields |= {f"MediaUrl{i}": at, f"MediaContentType{i}": "image/png"}
        return [self.hook(fields | more)]

    def receipt(self, sent: FakeMessage, state: str) -> list[Delivery]:
        fields = {
            "MessageSid": sent.id, "SmsSid": sent.id, "AccountSid": self.sid, "MessageStatus": state,
            "SmsStatus": state, "From": sent.sender, "To": sent.to, "ApiVersion": "2010-04-01",
        }  # fmt: skip
        if state in ("failed", "undelivered"):
            fields["ErrorCode"] = "30003" if state == "undelivered" else "30007"
        return [
            self.hook(fields, "?" + urlencode({reading.REFERENCE: sent.reference}) if sent.reference else "")
        ]

    def signed(self, body: bytes) -> Delivery:
        path = f"?bodySHA256={hashlib.sha256(body).hexdigest()}"
        mark = codec.signature(self.token, self.webhook_url + path)
        return Delivery("POST", path, {"Content-Type": "application/json", "X-Twilio-Signature": mark}, body)

    def hook(self, fields: Mapping[str, str], path: str = "") -> Delivery:
        """A webhook with these fields as Twilio would sign it."""
        mark = codec.signature(self.token, self.webhook_url + path, fields.items())
        headers = {
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
            "X-Twilio-Signature": mark,
            "User-Agent": "TwilioProxy/1.1",
        }
        return Delivery("POST", path, headers, urlencode(fields).encode())

    def _denied(self, call: Call) -> Answer | None:
        user, password = call.basic()
        if same(user, self.sid) and same(password, self.token) and call.params["sid"] == self.sid:
            return None
        return self.deny(_error(401, 20003, "Authenticate").body)

    def _shown(self, message: FakeMessage, state: str) -> dict[str, Any]:
        at = format_datetime(datetime.fromtimestamp(message.at, UTC))
        through_service = message.sender.startswith("MG")
        return {
            "sid": message.id, "account_sid": self.sid, "api_version": "2010-04-01", "body": message.text,
            "status": state, "to": message.to, "from": None if through_service else message.sender,
            "messaging_service_sid": message.sender if through_service else None, "direction": "outbound-api",
            "date_created": at, "date_updated": at, "date_sent": None, "error_code": None, "error_message": None,
            "num_media": str(len(message.media)), "price": None, "price_unit": "USD",
            "num_segments": "0" if through_service else str(segments.count(message.text).segments),
            "uri": f"/2010-04-01/Accounts/{self.sid}/Messages/{message.id}.json",
        }  # fmt: skip


def _error(status: int, code: int, text: str) -> Answer:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return Answer(status, {"code": code, "message": text, "more_info": more, "status": status})
