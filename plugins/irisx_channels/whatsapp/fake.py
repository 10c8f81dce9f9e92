"""A fake Cloud API: one number, the 24-hour window, templates, files in two steps, signed webhooks.

What it refuses, it refuses with Meta's codes and in Meta's order: the token, the number, the shape, the receiver.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from irisx_channels.whatsapp import codec
from irisx_channels.whatsapp.client import WhatsApp, WhatsAppSettings
from irisx_channels.whatsapp.failures import meaning
from irisx_channels.whatsapp.outgoing import MAX_TEXT, WINDOW_S
from irisx_sdk.fake import Answer, Call, Delivery, Fake, FakeMessage, Faults, same

BUSINESS, NUMBER, SHOWN = "100000000000001", "200000000000002", "15550001111"
FILE_LIVES_S = 300.0
PAIR_S = 6.0
_PICTURE = b"\x89PNG\r\n\x1a\n fake"
_TYPES = (
    "text", "image", "video", "audio", "document", "sticker", "location", "contacts", "reaction", "template",
    "interactive",
)  # fmt: skip


class FakeWhatsApp(Fake):
    """One WhatsApp number of an app of Meta's."""

    channel = WhatsApp()
    life: ClassVar[tuple[str, ...]] = ("sent", "delivered", "read")

    def __init__(
        self,
        *,
        webhook_url: str = "",
        faults: Faults = Faults(),  # noqa: B008 - frozen
        seed: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(webhook_url=webhook_url, faults=faults, seed=seed, clock=clock)
        self.token, self.app_secret, self.verify_token = (
            self.new_id("EAA"),
            self.new_id(),
            self.new_id("v", 8),
        )
        self.wrote: dict[str, float] = {}
        """When each person last wrote: their window."""
        self.always_open = False
        """Nobody has a window: for showing the channel to people, where a fake forgets when it is restarted."""
        self.late_refusals = False
        """A message outside the window is accepted, and a status tells that it failed."""
        self.pair_limit = False
        """One message in 6 s to one person, without the burst that Meta lends."""
        self.gone: set[str] = set()
        """Ids of people who are answered 131026."""
        self.templates: dict[tuple[str, str], int] = {("hello_world", "en"): 0, ("order_ready", "en_US"): 2}
        """Approved templates: name and language, and how many places their bodies have."""
        self.files: dict[str, tuple[bytes, str]] = {}
        self.read: list[dict[str, Any]] = []
        """Read marks, with and without a typing indicator."""
        self._last: dict[str, float] = {}
        self.route("GET", "/lookaside/{file}/{until}", self.download)
        self.route("POST", "/{version}/{number}/messages", self.messages)
        self.route("POST", "/{version}/{number}/media", self.upload)
        self.route("GET", "/{version}/{name}", self.show)
        self.route("DELETE", "/{version}/{name}", self.delete)

    @property
    def settings(self) -> WhatsAppSettings:
        return WhatsAppSettings(
            phone_number_id=NUMBER,
            access_token=self.token,
            app_secret=self.app_secret,
            verify_token=self.verify_token,
            base_url=self.base or "http://127.0.0.1:1",
        )

    def throttled(self, call: Call) -> Answer:
        return error(130429, "Rate limit hit", status=400)

    def broken(self, call: Call) -> Answer:
        return error(131016, "Service unavailable", status=503)

    # What the platform asks -----------------------------------------------------------------------------------------

    async def messages(self, call: Call) -> Answer:
        if denied := self._denied(call, call.params["number"]):
            return denied
        body = call.json()
        if body.get("messaging_product") != "whatsapp":
            return error(100, "The parameter messaging_product is required.")
        if body.get("status") == "read":
            self.read.append(body)
            return Answer(200, {"success": True})
        kind, to = body.get("type", "text"), _receiver(body)
        if not to:
            return error(131008, "The parameter to is required.")
        if kind not in _TYPES or not isinstance(body.get(kind), dict | list):
            return error(131009, f"Parameter {kind} is not valid.")
        if refused := self._refused(kind, body[kind], to):
            return refused
        made = FakeMessage(
            "wamid." + self.new_id(digits=24), to, _shown(kind, body[kind]), _files(kind, body[kind]), raw=body,
            at=self.clock(), sender="+" + SHOWN, reference=body.get("biz_opaque_callback_data", ""),
        )  # fmt: skip
        self.took(made)
        contact = {"input": body["to"], "wa_id": to.removeprefix("+")} if "to" in body else {"user_id": to}
        return Answer(
            200, {"messaging_product": "whatsapp", "contacts": [contact], "messages": [{"id": made.id}]}
        )

    def _refused(self, kind: str, content: Any, to: str) -> Answer | None:
        if to in self.gone and not self.late_refusals:
            return error(131026, "Message undeliverable")
        if self._closed(kind, to) and not self.late_refusals:
            return error(131047, "Re-engagement message")
        if self.pair_limit and self.clock() - self._last.get(to, 0) < PAIR_S:
            return error(131056, "(Business Account, Consumer Account) pair rate limit hit")
        self._last[to] = self.clock()
        if kind == "text" and not 0 < len(content["body"]) <= MAX_TEXT:
            return error(100, "Param text['body'] must be at most 4096 characters long.")
        if kind == "template":
            return self._template(content)
        for name in ("id", "link"):
            if kind in ("image", "video", "audio", "document", "sticker") and name in content:
                return (
                    None
                    if name == "link" or content[name] in self.files
                    else error(131053, "Media upload error")
                )
        return None

    def _template(self, content: Any) -> Answer | None:
        places = self.templates.get((content["name"], content["language"]["code"]))
        if places is None:
            return error(132001, "Template name does not exist in the translation", status=404)
        given = [one["parameters"] for one in content.get("components", []) if one["type"] == "body"]
        if sum(len(values) for values in given) != places:
            return error(132000, "Number of parameters does not match the expected number of params")
        return None

    def _closed(self, kind: str, to: str) -> bool:
        return (
            kind != "template" and not self.always_open and self.clock() - self.wrote.get(to, 0) >= WINDOW_S
        )

    async def upload(self, call: Call) -> Answer:
        if denied := self._denied(call, call.params["number"]):
            return denied
        fields = call.form()
        file = next((one for one in call.parts() if one.filename), None)
        if fields.get("messaging_product") != "whatsapp" or file is None:
            return error(100, "Invalid parameter")
        return Answer(200, {"id": self.keep(file.content, file.media_type)})

    def keep(self, content: bytes, media_type: str) -> str:
        """Store a file; its id."""
        name = str(int(self.new_id(digits=12), 16))
        self.files[name] = (content, media_type)
        return name

    async def show(self, call: Call) -> Answer:
        if denied := self._denied(call):
            return denied
        name = call.params["name"]
        if name == NUMBER:
            number = {
                "display_phone_number": "+1 555-000-1111",
                "verified_name": "Fake",
                "quality_rating": "GREEN",
            }
            return Answer(200, number | {"id": NUMBER})
        if name not in self.files:
            return error(100, f"Unsupported get request. Object with ID '{name}' does not exist.")
        content, media_type = self.files[name]
        return Answer(
            200,
            {
                "messaging_product": "whatsapp", "id": name, "mime_type": media_type, "file_size": len(content),
                "url": f"{self.base}/lookaside/{name}/{int(self.clock() + FILE_LIVES_S)}",
                "sha256": hashlib.sha256(content).hexdigest(),
            },
        )  # fmt: skip

    async def download(self, call: Call) -> Answer:
        if denied := self._denied(call):
            return denied
        if call.params["file"] not in self.files or self.clock() > int(call.params["until"]):
            return Answer(404, b"")
        content, media_type = self.files[call.params["file"]]
        return Answer(200, content, {"content-type": media_type})

    async def delete(self, call: Call) -> Answer:
        if denied := self._denied(call):
            return denied
        return Answer(200, {"success": self.files.pop(call.params["name"], None) is not None})

    def _denied(self, call: Call, number: str = NUMBER) -> Answer | None:
        if not same(call.bearer(), self.token):
            wrong = error(190, "Invalid OAuth access token - Cannot parse access token", status=401)
            return self.deny(wrong.body)
        return None if number == NUMBER else error(33, f"Object with ID '{number}' does not exist")

    # What the platform is told --------------------------------------------------------------------------------------

    def say(
        self, sender: str, text: str, *, user_id: str = "", name: str = "", **more: Any
    ) -> list[Delivery]:
        """``sender`` is a number or, without a plus, a user id; ``user_id`` goes along with a number.

        ``media`` makes a picture of it; otherwise ``more`` are further fields of the message: a ``type`` with its
        object in place of the text, ``context``, ``from_user_id``.
        """
        self.wrote[sender] = self.clock()
        person: dict[str, Any] = {"profile": {"name": name or "Customer"}}
        message: dict[str, Any] = {
            "id": "wamid." + self.new_id(digits=24),
            "timestamp": str(int(self.clock())),
        }
        if sender.startswith("+"):
            person["wa_id"] = message["from"] = sender[1:]
        user_id = user_id or ("" if sender.startswith("+") else sender)
        if user_id:
            person["user_id"] = message["from_user_id"] = user_id
        if more.pop("media", 0):
            file = {"id": self.keep(_PICTURE, "image/png"), "mime_type": "image/png", "caption": text}
            message |= {"type": "image", "image": file}
        elif "type" not in more:
            message |= {"type": "text", "text": {"body": text}}
        return [self.webhook({"contacts": [person], "messages": [message | more]})]

    def receipt(self, sent: FakeMessage, state: str) -> list[Delivery]:
        word = {"undelivered": "failed"}.get(state, state)
        if word == "queued":
            return []
        raw = sent.raw if isinstance(sent.raw, dict) else {}
        code = 131026
        if self.late_refusals and self._closed(raw.get("type", "text"), sent.to):
            word, code = "failed", 131047
        status: dict[str, Any] = {
            "id": sent.id, "status": word, "timestamp": str(int(self.clock())),
            "recipient_id": sent.to.removeprefix("+"),
        }  # fmt: skip
        if sent.reference:
            status["biz_opaque_callback_data"] = sent.reference
        if word == "failed":
            known = meaning(code)
            status["errors"] = [
                {"code": code, "title": known.text if known else "", "error_data": {"details": ""}}
            ]
        else:
            category = "marketing" if raw.get("type") == "template" else "service"
            status["pricing"] = {
                "billable": category != "service", "pricing_model": "PMP", "category": category,
                "type": "regular" if category != "service" else "free_customer_service",
            }  # fmt: skip
        return [self.webhook({"statuses": [status]})]

    def handshake(self, token: str = "") -> Delivery:
        """Meta's question when somebody enters the webhook's address."""
        asked = f"?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token or self.verify_token}"
        return Delivery("GET", asked)

    def webhook(self, value: Mapping[str, Any], field: str = "messages") -> Delivery:
        """A webhook about ``value``; beyond ASCII everything is escaped, as Meta writes it."""
        metadata = {"display_phone_number": SHOWN, "phone_number_id": NUMBER}
        change = {"value": {"messaging_product": "whatsapp", "metadata": metadata, **value}, "field": field}
        found = {"object": "whatsapp_business_account", "entry": [{"id": BUSINESS, "changes": [change]}]}
        return self.signed(json.dumps(found, separators=(",", ":")).encode())

    def signed(self, body: bytes) -> Delivery:
        mark = codec.signature(self.app_secret, body)
        return Delivery("POST", "", {"Content-Type": "application/json", "X-Hub-Signature-256": mark}, body)


def error(code: int, text: str, *, status: int = 400) -> Answer:
    """An error as the Graph API writes it."""
    details = {"messaging_product": "whatsapp", "details": text}
    inner = {"message": f"(#{code}) {text}", "type": "OAuthException", "code": code, "error_data": details}
    return Answer(status, {"error": inner | {"fbtrace_id": "Afake"}})


def _receiver(body: dict[str, Any]) -> str:
    if body.get("recipient_type") == "group":
        return str(body.get("to", ""))
    digits = "".join(char for char in str(body.get("to", "")) if char.isdigit())
    return "+" + digits if digits else str(body.get("recipient", ""))


def _shown(kind: str, content: Any) -> str:
    """What the person reads."""
    if kind == "text":
        return str(content["body"])
    if kind == "reaction":
        return str(content.get("emoji", ""))
    if kind == "template":
        values = [
            one["text"]
            for part in content.get("components", [])
            for one in part["parameters"]
            if "text" in one
        ]
        return " ".join([f"[{content['name']}]", *values])
    if kind == "interactive":
        return str(content["body"]["text"])
    return (
        str(content.get("caption") or content.get("name") or f"[{kind}]")
        if isinstance(content, dict)
        else f"[{kind}]"
    )


def _files(kind: str, content: Any) -> tuple[str, ...]:
    found = (
        [content.get("id"), content.get("link")] if isinstance(content, dict) and kind in _TYPES[1:6] else []
    )
    return tuple(one for one in found if one)
