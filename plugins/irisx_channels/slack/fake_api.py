"""The fake workspace's Web API: what is there, and the methods that our app uses.

As the real one it answers 200 with ``ok`` and a word, takes JSON or a form (three of the methods a form only), and
wants the right kind of token.
"""

import re
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any

from irisx_channels.lenient import Json
from irisx_channels.slack.text import EMOJI, name_of, plain
from irisx_sdk.fake import Answer, Call, Fake, FakeMessage

Method = Callable[[Json], Awaitable[Json]]

PERSON = re.compile("[UW][A-Z0-9]{2,}")
FORM_ONLY = frozenset({"files.getUploadURLExternal", "files.info", "reactions.get"})
MAX_TEXT = 40_000


class WebApi(Fake):
    """Half of `irisx_channels.slack.fake.FakeSlack`."""

    GENERAL, ELSEWHERE, ARCHIVED = "C0GENERAL", "C0ELSEWHERE", "C0ARCHIVED"

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.bot_user = "U0IRISX"
        self.bot_token = self.new_id("xoxb-")
        self.app_token = self.new_id("xapp-1-")
        self.signing_secret = self.new_id()
        self.messages: dict[str, Json] = {}
        """Every message there is by its name, ``channel:ts``; reactions are in it."""
        self.directs: dict[str, str] = {}
        """Direct messages with the app: channel and person."""
        self.strangers = {"U0GONE"}
        self.files: dict[str, Json] = {}
        self.contents: dict[str, bytes] = {}
        self.echoes = True
        """The app is told of its own messages, too, as every subscriber of ``message`` events is."""
        self._uploads: dict[str, str] = {}
        self._ticks = 0
        for name, method in self._methods().items():
            self.route("POST", f"/api/{name}", self._method(name, method))
        self.route("POST", "/upload/v1/{ticket}", self._upload)
        self.route("GET", "/files/{id}/{name}", self._download)

    @abstractmethod
    def tell(self, event: Json) -> None:
        """Tell the app of an event."""

    @abstractmethod
    def new_link(self) -> str:
        """The address of a new Socket Mode connection."""

    def throttled(self, call: Call) -> Answer:
        """Slack's "too fast"."""
        return Answer(429, {"ok": False, "error": "ratelimited"}, {"retry-after": "1"})

    def broken(self, call: Call) -> Answer:
        """Slack's "come back later"."""
        return Answer(503, {"ok": False, "error": "service_unavailable"})

    def new_ts(self) -> str:
        """A time stamp that no other message has."""
        self._ticks += 1
        return f"{int(self.clock())}.{self._ticks:06d}"

    def direct(self, person: str) -> str:
        """The channel of direct messages with somebody."""
        channel = "D" + person
        self.directs[channel] = person
        return channel

    def keep_file(self, name: str, media_type: str, content: bytes) -> Json:
        """A file as messages have it."""
        id = self.new_id("F", 8).upper()
        url = f"{self.base}/files/{id}/{name}"
        self.contents[id] = content
        self.files[id] = {
            "id": id, "name": name, "title": name, "mimetype": media_type, "size": len(content), "mode": "hosted",
            "url_private": url, "url_private_download": url,
        }  # fmt: skip
        return self.files[id]

    def _methods(self) -> dict[str, Method]:
        return {
            "auth.test": self._auth,
            "apps.connections.open": self._open,
            "conversations.open": self._direct,
            "chat.postMessage": self._post_message,
            "chat.update": self._update,
            "chat.delete": self._delete,
            "reactions.add": self._add,
            "reactions.remove": self._remove,
            "reactions.get": self._reactions,
            "files.getUploadURLExternal": self._place,
            "files.completeUploadExternal": self._complete,
            "files.info": self._info,
        }

    def _method(self, name: str, method: Method) -> Callable[[Call], Awaitable[Answer]]:
        async def handler(call: Call) -> Answer:
            wanted = self.app_token if name == "apps.connections.open" else self.bot_token
            if not call.bearer():
                return self.deny({"ok": False, "error": "not_authed"}, status=200)
            if call.bearer() != wanted:
                other = call.bearer() in (self.app_token, self.bot_token)
                return self.deny(_no("not_allowed_token_type" if other else "invalid_auth"), status=200)
            if call.headers.get("content-type", "").startswith("application/json"):
                if name in FORM_ONLY:
                    return Answer(200, _no("invalid_arguments"))
                args = call.json()
            else:
                args = call.form()
            return Answer(200, await method(args))

        return handler

    def _where(self, channel: str) -> tuple[str, str]:
        """The channel that ``channel`` (or a person's id) means, and the word for why it cannot be written to."""
        if channel == self.ARCHIVED:
            return "", "is_archived"
        if channel == self.ELSEWHERE:
            return "", "not_in_channel"
        if channel == self.GENERAL or channel in self.directs:
            return channel, ""
        if PERSON.fullmatch(channel) and channel not in self.strangers:
            return self.direct(channel), ""
        return "", "channel_not_found"

    async def _auth(self, args: Json) -> Json:
        return _yes(
            user="irisx", user_id=self.bot_user, team="Fake Workspace", team_id="T0FAKE", bot_id="B0IRISX"
        )

    async def _open(self, args: Json) -> Json:
        return _yes(url=self.new_link())

    async def _direct(self, args: Json) -> Json:
        person = str(args.get("users", ""))
        if not PERSON.fullmatch(person) or person in self.strangers:
            return _no("user_not_found")
        return _yes(channel={"id": self.direct(person)})

    async def _post_message(self, args: Json) -> Json:
        channel, why = self._where(str(args.get("channel", "")))
        if not channel:
            return _no(why)
        text = args.get("text", "")
        if not text and not args.get("blocks"):
            return _no("no_text")
        if len(text) > MAX_TEXT:
            return _no("msg_too_long")
        if not _good_blocks(args.get("blocks", [])):
            return _no("invalid_blocks")
        message = self._posted(channel, args, text)
        self._took(name_of(channel, message["ts"]), channel, text, args)
        return _yes(channel=channel, ts=message["ts"], message=message)

    def _posted(self, channel: str, args: Json, text: str, **more: Any) -> Json:
        message: Json = {
            "type": "message", "channel": channel, "user": self.bot_user, "bot_id": "B0IRISX", "app_id": "A0IRISX",
            "text": text, "ts": self.new_ts(), "channel_type": "im" if channel in self.directs else "channel",
        }  # fmt: skip
        message |= {key: args[key] for key in ("thread_ts", "blocks") if args.get(key)}
        message |= more
        self.messages[name_of(channel, message["ts"])] = message
        if self.echoes:
            self.tell(message | {"event_ts": message["ts"]})
        return message

    def _took(self, id: str, channel: str, text: str, args: Json, media: tuple[str, ...] = ()) -> None:
        to = self.directs.get(channel, channel)
        self.took(FakeMessage(id, to, plain(text), media, args, self.clock(), self.bot_user))

    def _ours(self, args: Json, word: str) -> Json | str:
        found = self.messages.get(name_of(str(args.get("channel")), str(args.get("ts"))))
        if found is None:
            return "message_not_found"
        return found if found["user"] == self.bot_user else word

    async def _update(self, args: Json) -> Json:
        found = self._ours(args, "cant_update_message")
        if isinstance(found, str):
            return _no(found)
        found |= {"text": args["text"], "edited": {"user": self.bot_user, "ts": self.new_ts()}}
        return _yes(channel=found["channel"], ts=found["ts"], text=args["text"])

    async def _delete(self, args: Json) -> Json:
        found = self._ours(args, "cant_delete_message")
        if isinstance(found, str):
            return _no(found)
        del self.messages[name_of(found["channel"], found["ts"])]
        return _yes(channel=found["channel"], ts=found["ts"])

    def _signs(self, args: Json) -> dict[str, list[str]] | None:
        found = self.messages.get(name_of(str(args.get("channel")), str(args.get("timestamp"))))
        return None if found is None else found.setdefault("signs", {})

    async def _add(self, args: Json) -> Json:
        signs, name = self._signs(args), str(args.get("name", ""))
        if signs is None:
            return _no("message_not_found")
        if name.partition("::")[0] not in {*EMOJI.values(), "irisx"}:
            return _no("invalid_name")
        if self.bot_user in signs.setdefault(name, []):
            return _no("already_reacted")
        signs[name].append(self.bot_user)
        return _yes()

    async def _remove(self, args: Json) -> Json:
        signs, name = self._signs(args), str(args.get("name", ""))
        if signs is None:
            return _no("message_not_found")
        if self.bot_user not in signs.get(name, []):
            return _no("no_reaction")
        signs[name].remove(self.bot_user)
        return _yes()

    async def _reactions(self, args: Json) -> Json:
        signs = self._signs(args)
        if signs is None:
            return _no("message_not_found")
        shown = [
            {"name": name, "users": users, "count": len(users)} for name, users in signs.items() if users
        ]
        return _yes(type="message", message={"reactions": shown})

    async def _place(self, args: Json) -> Json:
        if not args.get("filename") or int(args.get("length", "0")) <= 0:
            return _no("invalid_arguments")
        file = self.keep_file(args["filename"], "application/octet-stream", b"")
        file["length"] = int(args["length"])
        ticket = self.new_id()
        self._uploads[ticket] = file["id"]
        return _yes(upload_url=f"{self.base}/upload/v1/{ticket}", file_id=file["id"])

    async def _upload(self, call: Call) -> Answer:
        id = self._uploads.get(call.params["ticket"], "")
        if not id or len(call.body) != self.files[id]["length"]:
            return Answer(400, "the file is not as long as it was announced")
        self.contents[id] = call.body
        self.files[id]["size"] = len(call.body)
        return Answer(200, f"OK - {len(call.body)}")

    async def _complete(self, args: Json) -> Json:
        channel, why = self._where(str(args.get("channel_id", "")))
        if not channel or channel != args["channel_id"]:
            return _no(why or "channel_not_found")  # (a person's id is no channel here)
        ids = [one["id"] for one in args["files"]]
        if not all(self.contents.get(id) for id in ids):
            return _no("file_not_found")
        text = args.get("initial_comment", "")
        self._posted(channel, args, text, files=[self.files[id] for id in ids])
        media = tuple(self.files[id]["name"] for id in ids)
        self._took(ids[0], channel, text, args, media)
        return _yes(files=[{"id": id, "title": self.files[id]["title"]} for id in ids])

    async def _info(self, args: Json) -> Json:
        found = self.files.get(str(args.get("file")))
        return _yes(file=found) if found else _no("file_not_found")

    async def _download(self, call: Call) -> Answer:
        if call.bearer() != self.bot_token:
            self.unauthorized += 1
            return Answer(
                200, "<html>Sign in to your workspace</html>", {"content-type": "text/html; charset=utf-8"}
            )
        file = self.files.get(call.params["id"])
        if file is None:
            return Answer(404)
        return Answer(200, self.contents[file["id"]], {"content-type": file["mimetype"]})


def _yes(**more: Any) -> Json:
    return {"ok": True} | more


def _no(error: str) -> Json:
    return {"ok": False, "error": error}


def _good_blocks(blocks: list[Json]) -> bool:
    """Slack's own limits of the blocks that we use."""
    if len(blocks) > 50:
        return False
    for block in blocks:
        if block["type"] == "section" and not 0 < len(block["text"]["text"]) <= 3000:
            return False
        if block["type"] == "header" and not 0 < len(block["text"]["text"]) <= 150:
            return False
        if block["type"] == "actions":
            elements = block["elements"]
            if not 0 < len(elements) <= 25 or len({one["action_id"] for one in elements}) != len(elements):
                return False
            for one in elements:
                texts = [one["text"]] if "text" in one else [option["text"] for option in one["options"]]
                if not 0 < len(texts) <= 100 or any(not 0 < len(text["text"]) <= 75 for text in texts):
                    return False
    return True
