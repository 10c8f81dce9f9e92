"""A fake Plivo: one account, its Message interface, signed webhooks."""

import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal
from urllib.parse import urlencode

from irisx_channels.sms import reading
from irisx_channels.sms.plivo import codec
from irisx_channels.sms.plivo.client import Plivo
from irisx_sdk import segments
from irisx_sdk.fake import Answer, Call, Delivery, Fake, FakeMessage, Faults, same

_SENDER = "15005550006"


class FakePlivo(Fake):
    """One account of Plivo's."""

    channel = Plivo()
    covers: ClassVar[Literal["body", "token", "nothing"]] = "token"
    life: ClassVar[tuple[str, ...]] = ("queued", "sent", "delivered")

    def __init__(
        self,
        *,
        webhook_url: str = "",
        faults: Faults = Faults(),  # noqa: B008 - frozen
        seed: int = 0,
        clock: Callable[[], float] = time.time,
        version: int = 2,
    ) -> None:
        super().__init__(webhook_url=webhook_url, faults=faults, seed=seed, clock=clock)
        self.version = version
        """Which signature the webhooks carry: 2 or 3."""
        self.id = self.new_id("MA", 18).upper()
        self.token = self.new_id()
        self._sequence = 0
        self.route("POST", "/v1/Account/{id}/Message/", self.create)
        self.route("GET", "/v1/Account/{id}/Message/{message}/", self.show)
        self.route("GET", "/v1/Account/{id}/", self.account)

    @property
    def settings(self) -> codec.Settings:
        return codec.Settings(
            auth_id=self.id,
            auth_token=self.token,
            sender="+" + _SENDER,
            base_url=self.base or "http://127.0.0.1:1",
        )

    def throttled(self, call: Call) -> Answer:
        return self._error(429, "Too many requests, please slow down.")

    def broken(self, call: Call) -> Answer:
        return self._error(503, "service unavailable")

    async def create(self, call: Call) -> Answer:
        if denied := self._denied(call):
            return denied
        given = call.json()
        dst, src, text = given.get("dst", ""), given.get("src", ""), given.get("text", "")
        media = tuple(given.get("media_urls", ()))
        if bool(src) == bool(given.get("powerpack_uuid")):
            return self._error(400, "Specify either src or powerpack_uuid")
        if not dst or (not text and not media):
            return self._error(400, "dst or text is missing")
        if src in dst.split("<"):
            return self._error(400, "src and dst are the same")
        wide = segments.encoding_of(text) == "ucs2"
        if len(text) > (codec.MAX_WIDE_TEXT if wide else codec.MAX_TEXT):
            return self._error(400, "message too long")
        names = []
        for one in dst.split("<"):
            names.append(self._uuid())
            self.took(
                FakeMessage(
                    names[-1],
                    "+" + one.lstrip("+"),
                    text,
                    media,
                    raw=given,
                    at=self.clock(),
                    sender=src or _SENDER,
                    reference=reading.reference(given.get("url", "")),
                )
            )
        return Answer(202, {"api_id": self._uuid(), "message": "message(s) queued", "message_uuid": names})

    async def show(self, call: Call) -> Answer:
        if denied := self._denied(call):
            return denied
        for one in self.sent:
            if one.id == call.params["message"]:
                shown = {
                    "message_uuid": one.id,
                    "message_state": self.states.get(one.id, "queued"),
                    "error_code": None,
                }
                return Answer(200, shown | {"to_number": one.to.lstrip("+"), "from_number": one.sender})
        return self._error(404, "not found")

    async def account(self, call: Call) -> Answer:
        shown = {"api_id": self._uuid(), "auth_id": self.id, "state": "active", "cash_credits": "10.0"}
        return self._denied(call) or Answer(200, shown)

    def say(self, sender: str, text: str, *, media: tuple[str, ...] = (), **more: Any) -> list[Delivery]:
        """``media``: addresses of pictures; ``more`` are further fields (``MessageIntent``)."""
        fields = {
            "From": sender.lstrip("+"), "To": _SENDER, "MessageUUID": self._uuid(), "Units": "1",
            "Type": "mms" if media else "sms", "TotalRate": "0", "TotalAmount": "0",
        }  # fmt: skip
        fields |= {"Body": text, "MediaCount": str(len(media))} if media else {"Text": text}
        fields |= {f"Media{i}": url for i, url in enumerate(media, 1)}
        return [self.hook(fields | more)]

    def receipt(self, sent: FakeMessage, state: str) -> list[Delivery]:
        self._sequence += 1
        fields = {
            "MessageUUID": sent.id, "From": sent.sender, "To": sent.to.lstrip("+"), "Status": state, "Type": "sms",
            "Units": "1", "TotalRate": "0.0065", "TotalAmount": "0.0065", "Sequence": str(self._sequence),
            "ErrorCode": {"undelivered": "20", "failed": "30"}.get(state, "000"),
        }  # fmt: skip
        path = "?" + urlencode({reading.REFERENCE: sent.reference}) if sent.reference else ""
        return [self.hook(fields, path)]

    def hook(self, fields: Mapping[str, str], path: str = "") -> Delivery:
        """A webhook with these fields as Plivo would sign it."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"} | self._marks(
            list(fields.items()), path
        )
        return Delivery("POST", path, headers, urlencode(fields).encode())

    def signed(self, body: bytes) -> Delivery:
        return Delivery("POST", "", {"Content-Type": "application/json"} | self._marks([], ""), body)

    def _marks(self, fields: list[tuple[str, str]], path: str) -> dict[str, str]:
        nonce = str(self.random.randrange(10**19, 10**20))
        url = self.webhook_url + path
        if self.version == 3:
            mark = codec.signature_v3(self.token, "POST", url, fields, nonce)
        else:
            mark = codec.signature_v2(self.token, url, nonce)
        return {f"X-Plivo-Signature-V{self.version}": mark, f"X-Plivo-Signature-V{self.version}-Nonce": nonce}

    def _denied(self, call: Call) -> Answer | None:
        user, password = call.basic()
        if same(user, self.id) and same(password, self.token) and call.params["id"] == self.id:
            return None
        return self.deny(self._error(401, "could not verify your access level for that URL").body)

    def _error(self, status: int, text: str) -> Answer:
        return Answer(status, {"api_id": self._uuid(), "error": text})

    def _uuid(self) -> str:
        name = self.new_id()
        return "-".join((name[:8], name[8:12], name[12:16], name[16:20], name[20:]))
