"""A fake Bot API server with one bot: chats, files, updates by webhook or polling.

It is polled while it has no webhook's address, and answers polls with 409 while it has one, as Telegram does.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from irisx_channels.telegram.api import TelegramSettings
from irisx_channels.telegram.client import Telegram
from irisx_channels.telegram.outgoing import MAX_CAPTION, MAX_DATA, MAX_TEXT
from irisx_sdk.fake import Answer, Call, Delivery, Fake, FakeMessage, Faults, same

_PICTURE = b"\x89PNG\r\n\x1a\n fake"
_BATCH = 100
LONGEST_POLL_S = 0.5
"""Telegram's is 50: this one ends soon so that a fake can."""
_FILES = ("photo", "document", "video", "audio", "voice", "sticker")
_NAMES = {f"send{name.capitalize()}": name for name in _FILES}
Json = dict[str, Any]


class Wrong(Exception):
    """A refusal of the server's: ``sentence`` begins with the reason of its status."""

    def __init__(self, status: int, sentence: str, **parameters: Any) -> None:
        super().__init__(sentence)
        more = {"parameters": parameters} if parameters else {}
        self.answer = Answer(status, {"ok": False, "error_code": status, "description": sentence} | more)


class FakeTelegram(Fake):
    """One bot."""

    channel = Telegram()
    life: ClassVar[tuple[str, ...]] = ("sent",)
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
        self.token = f"7000000001:{self.new_id('AA', 33)}"
        self.secret_token = self.new_id("hook-")
        self.started_by: set[str] = set()
        """Chats that wrote to the bot: it may write to no other."""
        self.always_started = False
        """It may write to everybody: for showing the channel to people, where a fake forgets when it is restarted."""
        self.blocked: set[str] = set()
        self.moved: dict[str, str] = {}
        """Groups that have become supergroups, and their new ids."""
        self.files: dict[str, bytes] = {}
        self.held: list[Json] = []
        """Updates that no poll has confirmed."""
        self.polls: list[Json] = []
        self.changes: list[tuple[str, Json]] = []
        """Every call that is no new message: edits, deletions, signs, typing, answered buttons."""
        # A fake with a seed of its own begins where no other run of it has been: numbers are how repetitions are known.
        self._update, self._message = (int(clock()), int(clock())) if seed else (1000, 0)
        self._news = asyncio.Event()
        self.route("GET", "/file/bot{token}/{path:path}", self.download)
        for method in ("GET", "POST"):
            self.route(method, "/bot{token}/{method}", self.called)

    @property
    def settings(self) -> TelegramSettings:
        base = self.base or "http://127.0.0.1:1"
        return TelegramSettings(token=self.token, secret_token=self.secret_token, base_url=base)

    def throttled(self, call: Call) -> Answer:
        return Wrong(429, "Too Many Requests: retry after 1", retry_after=1).answer

    def broken(self, call: Call) -> Answer:
        return Wrong(500, "Internal Server Error").answer

    # What the platform asks -----------------------------------------------------------------------------------------

    async def called(self, call: Call) -> Answer:
        if not same(call.params["token"], self.token):
            return self.deny(Wrong(401, "Unauthorized").answer.body)
        try:
            given = _given(call)
            return Answer(200, {"ok": True, "result": await self._result(call.params["method"], given, call)})
        except Wrong as wrong:
            return wrong.answer

    async def _result(self, method: str, given: Json, call: Call) -> Any:
        if method == "getMe":
            return {"id": 7000000001, "is_bot": True, "first_name": "Fake", "username": "irisx_fake_bot"}
        if method == "getWebhookInfo":
            return {"url": self.webhook_url, "pending_update_count": len(self.held)}
        if method in ("setWebhook", "deleteWebhook"):
            self.webhook_url = str(given.get("url", ""))
            self.secret_token = str(given.get("secret_token", self.secret_token))
            return True
        if method == "getUpdates":
            return await self._polled(given)
        if method == "getFile":
            if given["file_id"] not in self.files:
                raise Wrong(400, "Bad Request: wrong file_id or the file is temporarily unavailable")
            size = len(self.files[given["file_id"]])
            return {
                "file_id": given["file_id"],
                "file_path": f"photos/{given['file_id']}.png",
                "file_size": size,
            }
        if method == "answerCallbackQuery":
            self.changes.append((method, given))
            return True
        chat = self._chat(given)
        if method == "sendMediaGroup":
            return self._group(chat, given, call)
        if method.startswith("send") and method != "sendChatAction":
            return self._one(chat, method, given, call)
        return self._change(chat, method, given)

    def _chat(self, given: Json) -> str:
        chat = str(given.get("chat_id", ""))
        if chat in self.moved:
            new = int(self.moved[chat])
            raise Wrong(
                400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=new
            )
        if chat in self.blocked:
            raise Wrong(403, "Forbidden: bot was blocked by the user")
        if not self.always_started and chat not in self.started_by:
            raise Wrong(400, "Bad Request: chat not found")
        return chat

    def _one(self, chat: str, method: str, given: Json, call: Call) -> Json:
        text, media = str(given.get("text", "")), tuple[str, ...]()
        if method == "sendMessage":
            if not text.strip():
                raise Wrong(400, "Bad Request: message text is empty")
            if len(text) > MAX_TEXT:
                raise Wrong(400, "Bad Request: message is too long")
            for row in given.get("reply_markup", {}).get("inline_keyboard", []):
                if any(len(button["callback_data"].encode()) > MAX_DATA for button in row):
                    raise Wrong(400, "Bad Request: BUTTON_DATA_INVALID")
        elif method in _NAMES:
            media, text = (self._upload(given, call, _NAMES[method]),), str(given.get("caption", ""))
            if len(text) > MAX_CAPTION:
                raise Wrong(400, "Bad Request: message caption is too long")
        elif method in ("sendLocation", "sendVenue"):
            text = str(given.get("title") or f"{float(given['latitude'])}, {float(given['longitude'])}")
        else:
            raise Wrong(404, "Not Found: method not found")
        return self._made(chat, text, media, given)

    def _group(self, chat: str, given: Json, call: Call) -> list[Json]:
        items = given["media"]
        kinds = {item["type"] for item in items}
        if not 2 <= len(items) <= 10 or (len(kinds) > 1 and not kinds <= {"photo", "video"}):
            raise Wrong(400, "Bad Request: wrong number of media or types that cannot be grouped")
        files = [self._upload({"media": item["media"]}, call, "media") for item in items]
        return [
            self._made(chat, item.get("caption", ""), (file,), given)
            for item, file in zip(items, files, strict=True)
        ]

    def _upload(self, given: Json, call: Call, name: str) -> str:
        """The id of a file that was uploaded, or its address."""
        value = str(given.get(name, ""))
        if value.startswith("https://") or value in self.files:
            return value
        wanted = value.removeprefix("attach://") or name
        for part in call.parts():
            if part.name == wanted and part.filename:
                return self.keep(part.content)
        raise Wrong(400, f"Bad Request: there is no {name} in the request")

    def keep(self, content: bytes) -> str:
        """Store a file; its id."""
        name = self.new_id("AgAC", 20)
        self.files[name] = content
        return name

    def _made(self, chat: str, text: str, media: tuple[str, ...], given: Json) -> Json:
        self._message += 1
        self.took(
            FakeMessage(
                f"{chat}:{self._message}", chat, text, media, raw=given, at=self.clock(), sender="7000000001"
            )
        )
        return {
            "message_id": self._message,
            "date": int(self.clock()),
            "chat": {"id": int(chat)},
            "text": text,
        }

    def _change(self, chat: str, method: str, given: Json) -> Any:
        message = next((one for one in self.sent if one.id == f"{chat}:{given.get('message_id')}"), None)
        if method in ("editMessageText", "editMessageCaption"):
            if message is None:
                raise Wrong(400, "Bad Request: message to edit not found")
            if method == "editMessageText" and message.media:
                raise Wrong(400, "Bad Request: there is no text in the message to edit")
            if given.get("text", given.get("caption")) == message.text:
                raise Wrong(
                    400, "Bad Request: message is not modified: specified new message content is the same"
                )
        elif method == "deleteMessage":
            if message is None:
                raise Wrong(400, "Bad Request: message to delete not found")
        elif method not in ("setMessageReaction", "sendChatAction"):
            raise Wrong(404, "Not Found: method not found")
        self.changes.append((method, given))
        return True

    async def download(self, call: Call) -> Answer:
        if not same(call.params["token"], self.token):
            return self.deny(Wrong(401, "Unauthorized").answer.body)
        name = call.params["path"].removeprefix("photos/").removesuffix(".png")
        return Answer(200, self.files[name]) if name in self.files else Wrong(404, "Not Found").answer

    async def _polled(self, given: Json) -> list[Json]:
        if self.webhook_url:
            raise Wrong(
                409, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook"
            )
        self.polls.append(given)
        mine = len(self.polls)
        self._news.set()  # a poll that still waits is told that there is another one
        offset = int(given.get("offset", 0))
        self.held = [one for one in self.held if one["update_id"] >= offset]
        if not self.held:
            self._news = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(float(given.get("timeout", 0)), LONGEST_POLL_S)):
                    await self._news.wait()
        if len(self.polls) != mine:
            raise Wrong(409, "Conflict: terminated by other getUpdates request")
        return self.held[:_BATCH]

    # What the platform is told --------------------------------------------------------------------------------------

    def say(
        self, sender: str, text: str, *, media: int = 0, chat: Json | None = None, **more: Any
    ) -> list[Delivery]:
        """``chat`` is the group it is said in; ``more`` are further fields of the message."""
        message: Json = {"from": _person(sender), "chat": chat or {"id": int(sender), "type": "private"}}
        said: Json = {"text": text}
        if media:
            sizes = [{"file_id": self.keep(_PICTURE), "width": side, "height": side} for side in (90, 800)]
            said = {"photo": sizes, "caption": text}
        return self.update("message", message | said | more)

    def press(self, sender: str, data: str, below: FakeMessage) -> list[Delivery]:
        """Somebody presses a button below a message of the bot's."""
        message = {"message_id": int(below.id.rpartition(":")[2]), "chat": {"id": int(below.to)}}
        message["reply_markup"] = below.raw.get("reply_markup", {})
        query = {"id": self.new_id(digits=16), "from": _person(sender), "message": message, "data": data}
        return self.update("callback_query", query)

    def block(self, sender: str, *, again: bool = False) -> list[Delivery]:
        """Somebody blocks the bot, or lets it in ``again``."""
        if again:
            self.blocked.discard(sender)
        else:
            self.blocked.add(sender)
        chat = {"id": int(sender), "type": "private", "first_name": "Kim"}
        member = {"status": "member" if again else "kicked"}
        value = {"chat": chat, "from": _person(sender), "date": int(self.clock()), "new_chat_member": member}
        return self.update("my_chat_member", value)

    def update(self, kind: str, value: Mapping[str, Any]) -> list[Delivery]:
        """Any update: the webhook of it, or nothing and it waits for a poll."""
        self._update += 1
        made = dict(value)
        if kind.endswith(("message", "post")):
            self._message += 1
            self.started_by.add(str(made["chat"]["id"]))
            made = {"message_id": self._message, "date": int(self.clock())} | made
        update = {"update_id": self._update, kind: made}
        if self.webhook_url:
            return [self.signed(json.dumps(update).encode())]
        self.held.append(update)
        self._news.set()
        return []

    def signed(self, body: bytes) -> Delivery:
        headers = {"Content-Type": "application/json", "X-Telegram-Bot-Api-Secret-Token": self.secret_token}
        return Delivery("POST", "", headers, body)


def _person(sender: str) -> Json:
    return {"id": int(sender), "is_bot": False, "first_name": "Kim", "last_name": "Customer"}


def _given(call: Call) -> Json:
    """The fields of a call: a query, JSON, or a form in which objects and lists are JSON."""
    kind = call.headers.get("content-type", "")
    if call.method == "GET":
        return dict(call.query)
    if kind.startswith("application/json"):
        return dict(call.json())
    return {name: json.loads(value) if value[:1] in "[{" else value for name, value in call.fields() if value}
