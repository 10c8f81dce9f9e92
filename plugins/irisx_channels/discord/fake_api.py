"""The fake Discord's REST: messages, signs, direct messages, files, and rate limits told in every answer."""

import re
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from irisx_channels.discord.text import EPOCH_MS, is_snowflake, name_of
from irisx_channels.lenient import Json
from irisx_sdk.fake import Answer, Call, Fake, FakeMessage

Handler = Callable[[Call], Awaitable[Answer]]
AGENT = re.compile(r"DiscordBot \(\S+, \S+\)")


class Refusal(Exception):
    """A status with Discord's own code."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.answer = Answer(status, {"code": code, "message": message})


class Api(Fake):
    """A third of `irisx_channels.discord.fake.FakeDiscord`."""

    GUILD, GENERAL, CLOSED = "41771983423143937", "41771983423143938", "41771983423143939"

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.bot_id = "80351110224678912"
        self.bot_token = self.new_id("MTk4.")
        self.messages: dict[str, Json] = {}
        """Every message there is, by our name for it."""
        self.directs: dict[str, str] = {}
        """Channels of direct messages and who is there."""
        self.shut = {"53908232506183680"}
        """People who take no direct messages."""
        self.contents: dict[str, bytes] = {}
        self.interactions: dict[str, Json] = {}
        self.responses: list[Json] = []
        """How interactions were answered over REST."""
        self.typed: list[str] = []
        """Channels in which the bot was shown writing."""
        self.limit, self.window_s = 1000, 1.0
        """Requests of one bucket in one window."""
        self.shards = 1
        self.remaining_starts, self.max_concurrency = 1000, 1
        self._windows: dict[tuple[str, str], tuple[float, int]] = {}
        self._nonces: dict[str, Json] = {}
        self._ticks = 0
        for method, path, handler in self._paths():
            self.route(method, "/api/v10" + path, self._within_limits(f"{method} {path}", handler))
        self.route("GET", "/attachments/{id}/{name}", self._download)

    @abstractmethod
    def tell(self, kind: str, d: Json) -> None:
        """Dispatch an event to the bot."""

    @property
    @abstractmethod
    def gateway_url(self) -> str:
        """Where the gateway is."""

    def throttled(self, call: Call) -> Answer:
        """Discord's "too fast"."""
        headers = {"retry-after": "1", "x-ratelimit-scope": "shared"}
        return Answer(
            429, {"message": "You are being rate limited.", "retry_after": 0.5, "global": False}, headers
        )

    def broken(self, call: Call) -> Answer:
        """Discord's "come back later"."""
        return Answer(503, {"code": 0, "message": "503: Service Unavailable"})

    # What there is --------------------------------------------------------------------------------------------------

    def new_snowflake(self) -> str:
        """A new id, with the time in it."""
        self._ticks += 1
        return str((int(self.clock() * 1000) - EPOCH_MS) << 22 | (self._ticks & 0x3FFFFF))

    def new_time(self) -> str:
        """Now, as messages have it; never the same twice."""
        self._ticks += 1
        return datetime.fromtimestamp(self.clock() + self._ticks / 1e6, UTC).isoformat()

    def user(self, id: str) -> Json:
        """A person, or the bot."""
        names: Json = {"id": id, "username": f"user{id[-4:]}", "global_name": None, "avatar": None}
        return names | ({"bot": True, "username": "irisx"} if id == self.bot_id else {})

    def direct(self, person: str) -> str:
        """The channel of direct messages with somebody."""
        known = {who: channel for channel, who in self.directs.items()}
        if person not in known:
            known[person] = self.new_snowflake()
            self.directs[known[person]] = person
        return known[person]

    def place(self, channel: str) -> Json:
        """What events say of where a channel is."""
        return {} if channel in self.directs else {"guild_id": self.GUILD}

    def made(self, channel: str, text: str, author: Json) -> Json:
        """A new message."""
        message: Json = {
            "id": self.new_snowflake(), "channel_id": channel, "author": author, "content": text, "type": 0,
            "timestamp": self.new_time(), "edited_timestamp": None, "tts": False, "mention_everyone": False,
            "mentions": [], "mention_roles": [], "attachments": [], "embeds": [], "components": [], "pinned": False,
            **self.place(channel),
        }  # fmt: skip
        self.messages[name_of(channel, message["id"])] = message
        return message

    def keep_file(self, name: str, media_type: str, content: bytes) -> Json:
        """A file as messages have it."""
        id = self.new_snowflake()
        self.contents[id] = content
        url = f"{self.base}/attachments/{id}/{name}?ex=66&is=65&hm=00"
        return {"id": id, "filename": name, "content_type": media_type, "size": len(content), "url": url}

    # The paths ------------------------------------------------------------------------------------------------------

    def _paths(self) -> list[tuple[str, str, Handler]]:
        message, sign = "/channels/{channel}/messages/{id}", "/reactions/{emoji}/@me"
        return [
            ("GET", "/users/@me", self._me),
            ("POST", "/users/@me/channels", self._open),
            ("GET", "/gateway/bot", self._gateway),
            ("POST", "/channels/{channel}/messages", self._create),
            ("GET", message, self._get),
            ("PATCH", message, self._edit),
            ("DELETE", message, self._delete),
            ("PUT", message + sign, self._add),
            ("DELETE", message + sign, self._remove),
            ("POST", "/channels/{channel}/typing", self._typing),
            ("POST", "/interactions/{id}/{token}/callback", self._callback),
        ]

    def _within_limits(self, route: str, handler: Handler) -> Handler:
        async def limited(call: Call) -> Answer:
            if call.headers.get("authorization") != f"Bot {self.bot_token}":
                return self.deny({"code": 0, "message": "401: Unauthorized"})
            if not AGENT.fullmatch(call.headers.get("user-agent", "")):
                return Answer(403, "error code: 1010")
            key, now = (route, call.params.get("channel", "")), self.clock()
            began, used = self._windows.get(key, (now, 0))
            if now >= began + self.window_s:
                began, used = now, 0
            after = began + self.window_s - now
            headers = {
                "x-ratelimit-bucket": f"{hash(route) & 0xFFFFFFFF:08x}",
                "x-ratelimit-limit": str(self.limit),
                "x-ratelimit-remaining": str(max(0, self.limit - used - 1)),
                "x-ratelimit-reset": f"{began + self.window_s:.3f}",
                "x-ratelimit-reset-after": f"{after:.3f}",
            }
            if used >= self.limit:
                self.refused_for_speed += 1
                body = {"message": "You are being rate limited.", "retry_after": after, "global": False}
                return Answer(
                    429, body, headers | {"retry-after": f"{after:.0f}", "x-ratelimit-scope": "user"}
                )
            self._windows[key] = (began, used + 1)
            try:
                answer = await handler(call)
            except Refusal as refusal:
                answer = refusal.answer
            return msgspec.structs.replace(answer, headers={**answer.headers, **headers})

        return limited

    refused_for_speed = 0

    def _channel(self, call: Call) -> str:
        channel = call.params["channel"]
        if channel == self.CLOSED:
            raise Refusal(403, 50001, "Missing Access")
        if channel != self.GENERAL and channel not in self.directs:
            raise Refusal(404, 10003, "Unknown Channel")
        if self.directs.get(channel) in self.shut:
            raise Refusal(403, 50007, "Cannot send messages to this user")
        return channel

    def _message(self, call: Call) -> Json:
        found = self.messages.get(name_of(self._channel(call), call.params["id"]))
        if found is None:
            raise Refusal(404, 10008, "Unknown Message")
        return found

    async def _me(self, call: Call) -> Answer:
        return Answer(200, self.user(self.bot_id))

    async def _gateway(self, call: Call) -> Answer:
        limit = {
            "total": 1000, "remaining": self.remaining_starts, "reset_after": 14_400_000,
            "max_concurrency": self.max_concurrency,
        }  # fmt: skip
        return Answer(200, {"url": self.gateway_url, "shards": self.shards, "session_start_limit": limit})

    async def _open(self, call: Call) -> Answer:
        person = call.json().get("recipient_id", "")
        if not is_snowflake(person) or person == self.bot_id:
            raise Refusal(400, 50033, "Invalid Recipient(s)")
        return Answer(200, {"id": self.direct(person), "type": 1, "recipients": [self.user(person)]})

    async def _create(self, call: Call) -> Answer:
        channel = self._channel(call)
        files: list[tuple[str, str, bytes]] = []
        if call.headers.get("content-type", "").startswith("multipart/"):
            if len(call.body) > 25 * 2**20:
                raise Refusal(413, 40005, "Request entity too large")
            body = msgspec.json.decode(call.form()["payload_json"])
            named = {f"files[{one['id']}]": one for one in body["attachments"]}
            for piece in call.parts():
                if piece.filename:
                    if len(piece.content) > 10 * 2**20:
                        raise Refusal(413, 40005, "Request entity too large")
                    files.append((named[piece.name]["filename"], piece.media_type, piece.content))
        else:
            body = call.json()
        nonce = str(body.get("nonce", ""))
        if len(nonce) > 25:
            raise Refusal(400, 50035, "Invalid Form Body")
        if body.get("enforce_nonce") and nonce in self._nonces:
            return Answer(200, self._nonces[nonce])
        text = body.get("content", "")
        if len(text) > 2000 or not _good_components(body.get("components", [])):
            raise Refusal(400, 50035, "Invalid Form Body")
        if not text.strip() and not files:
            raise Refusal(400, 50006, "Cannot send an empty message")
        message = self.made(channel, text, self.user(self.bot_id))
        message |= {"components": body.get("components", []), "nonce": nonce}
        message["attachments"] = [self.keep_file(*one) for one in files]
        if reference := body.get("message_reference"):
            known = name_of(channel, reference["message_id"]) in self.messages
            if not known and reference.get("fail_if_not_exists", True):
                raise Refusal(400, 50035, "Invalid Form Body")
            if known:
                message |= {"type": 19, "message_reference": reference}
        self._nonces[nonce] = message
        self.tell("MESSAGE_CREATE", message)
        to = self.directs.get(channel, channel)
        media = tuple(name for name, _, _ in files)
        self.took(
            FakeMessage(
                name_of(channel, message["id"]), to, text, media, body, self.clock(), self.bot_id, nonce
            )
        )
        return Answer(200, message)

    async def _get(self, call: Call) -> Answer:
        message = self._message(call)
        signs = [
            {"emoji": {"id": id or None, "name": name}, "count": len(who), "me": self.bot_id in who}
            for sign, who in message.get("signs", {}).items()
            if who
            for name, _, id in [sign.partition(":")]
        ]
        return Answer(200, {**message, "reactions": signs})

    def _own(self, call: Call) -> Json:
        message = self._message(call)
        if message["author"]["id"] != self.bot_id:
            raise Refusal(403, 50005, "Cannot edit a message authored by another user")
        return message

    async def _edit(self, call: Call) -> Answer:
        message = self._own(call)
        message |= {"content": call.json()["content"], "edited_timestamp": self.new_time()}
        self.tell("MESSAGE_UPDATE", message)
        return Answer(200, message)

    async def _delete(self, call: Call) -> Answer:
        message = self._message(call)
        if message["author"]["id"] != self.bot_id:
            raise Refusal(403, 50013, "Missing Permissions")
        del self.messages[name_of(message["channel_id"], message["id"])]
        self.tell("MESSAGE_DELETE", {"id": message["id"], "channel_id": message["channel_id"]})
        return Answer(204)

    async def _add(self, call: Call) -> Answer:
        signs = self._message(call).setdefault("signs", {})
        emoji = call.params["emoji"]
        if emoji.isascii() and not re.fullmatch(r"\w+:\d+", emoji):
            raise Refusal(400, 10014, "Unknown Emoji")
        who = signs.setdefault(emoji, [])
        if self.bot_id not in who:
            who.append(self.bot_id)
        return Answer(204)

    async def _remove(self, call: Call) -> Answer:
        who = self._message(call).get("signs", {}).get(call.params["emoji"], [])
        if self.bot_id in who:
            who.remove(self.bot_id)
        return Answer(204)

    async def _typing(self, call: Call) -> Answer:
        self.typed.append(self._channel(call))
        return Answer(204)

    async def _callback(self, call: Call) -> Answer:
        found = self.interactions.pop(call.params["id"], None)
        if found is None or found["token"] != call.params["token"]:
            raise Refusal(404, 10062, "Unknown interaction")
        self.responses.append(call.json())
        return Answer(204)

    async def _download(self, call: Call) -> Answer:
        content = self.contents.get(call.params["id"])
        if content is None or "hm" not in call.query:
            return Answer(404, "This content is no longer available.")
        return Answer(200, content, {"content-type": "application/octet-stream"})


def _good_components(rows: list[Json]) -> bool:
    """Discord's own limits of the components that we use."""
    if len(rows) > 5:
        return False
    ids = [one["custom_id"] for row in rows for one in row["components"]]
    if len(set(ids)) != len(ids) or any(not 0 < len(id) <= 100 for id in ids):
        return False
    for row in rows:
        if not 0 < len(row["components"]) <= 5:
            return False
        for one in row["components"]:
            if one["type"] == 2 and not 0 < len(one["label"]) <= 80:
                return False
            if one["type"] == 3 and not 0 < len(one["options"]) <= 25:
                return False
            if any(not 0 < len(option["label"]) <= 100 for option in one.get("options", [])):
                return False
    return True
