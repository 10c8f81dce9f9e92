"""A Slack that does not exist: one workspace with our app in it, its Web API, its events and its Socket Mode.

Events go over the connections that are held, if the app ever opened one, and otherwise to the webhook's address. The
Web API's methods are in `fake_api`.

Who is there: everybody whose id looks like one (``U0ANN``), except `FakeSlack.strangers`; `GENERAL` has the app in it,
`ELSEWHERE` has not, `ARCHIVED` is archived.
"""

import asyncio
from typing import Any
from urllib.parse import urlencode

import msgspec

from irisx_channels.lenient import Json
from irisx_channels.slack import CHANNELS
from irisx_channels.slack.client import Settings
from irisx_channels.slack.codec import sign
from irisx_channels.slack.fake_api import WebApi
from irisx_channels.slack.text import escape, name_of, split_name
from irisx_sdk.fake import Closed, Delivery, WebSocket

APP, TEAM = "A0IRISX", "T0FAKE"


class Link:
    """One Socket Mode connection."""

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket

    async def send(self, frame: Json) -> None:
        """Send a frame. Raises `Closed`."""
        await self.socket.send(msgspec.json.encode(frame).decode())


class FakeSlack(WebApi):
    """See the module."""

    channel = CHANNELS[0]
    life = ("sent",)
    ack_s: float = 3.0
    """How long an envelope may wait for its acknowledgement (docs.slack.dev, "Using Socket Mode": 3 s)."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.links: list[Link] = []
        self.opened = 0
        """Socket Mode connections so far."""
        self.acknowledged: list[str] = []
        """Event ids in the order of their acknowledgement; a command's or button's is its trigger."""
        self.answers: list[Json] = []
        """What came with acknowledgements."""
        self.lost: list[Json] = []
        """Payloads that nobody acknowledged, after four tries."""
        self._tickets: set[str] = set()
        self._waiting: dict[str, asyncio.Event] = {}
        self._someone = asyncio.Event()
        self.socket_mode = False
        self.websocket("/link", self._link)

    @property
    def settings(self) -> Settings:
        """The account's settings that fit."""
        return Settings(
            bot_token=self.bot_token,
            signing_secret=self.signing_secret,
            app_token=self.app_token,
            base_url=f"{self.base}/api",
        )

    # What people do -------------------------------------------------------------------------------------------------

    def say(self, sender: str, text: str, **more: Any) -> list[Delivery]:
        """Somebody writes: to the app directly, or in ``channel``, in the thread ``thread_ts``, with ``files``.

        ``files`` are names, media types and contents. ``mention`` names the app, which brings two events for one post.
        ``raw`` keeps Slack's own marks in the text.
        """
        channel = more.get("channel") or self.direct(sender)
        event: Json = {
            "type": "message",
            "channel": channel,
            "channel_type": "im" if channel in self.directs else "channel",
            "user": sender,
            "text": text if more.get("raw") else escape(text),
            "ts": self.new_ts(),
            "team": TEAM,
        }
        if more.get("thread_ts"):
            event["thread_ts"] = more["thread_ts"]
        if more.get("files"):
            event |= {"subtype": "file_share", "files": [self.keep_file(*one) for one in more["files"]]}
        event["event_ts"] = event["ts"]
        self.messages[name_of(channel, event["ts"])] = event
        if not more.get("mention"):
            return self.event(event)
        event["text"] = f"<@{self.bot_user}> {event['text']}"
        return self.event(event) + self.event({**event, "type": "app_mention"})

    def edit(self, target: str, text: str) -> list[Delivery]:
        """The author of ``target`` writes it anew."""
        before = self.messages[target]
        after = {**before, "text": escape(text), "edited": {"user": before["user"], "ts": self.new_ts()}}
        self.messages[target] = after
        return self._change("message_changed", before, message=after)

    def erase(self, target: str) -> list[Delivery]:
        """The author of ``target`` takes it back."""
        before = self.messages.pop(target)
        return self._change("message_deleted", before, deleted_ts=before["ts"])

    def react(self, sender: str, target: str, name: str, *, added: bool = True) -> list[Delivery]:
        """Somebody puts a sign at ``target``, or takes it away."""
        channel, ts = split_name(target)
        return self.event(
            {
                "type": "reaction_added" if added else "reaction_removed",
                "user": sender,
                "reaction": name,
                "item_user": self.bot_user,
                "item": {"type": "message", "channel": channel, "ts": ts},
                "event_ts": self.new_ts(),
            }
        )

    def command(self, sender: str, command: str, text: str) -> list[Delivery]:
        """Somebody uses a slash command, in a channel that the app need not be in."""
        form = {
            "token": "x", "team_id": TEAM, "api_app_id": APP, "channel_id": self.ELSEWHERE, "user_id": sender,
            "user_name": sender.lower(), "command": command, "text": escape(text), "trigger_id": self.new_id("13."),
            "response_url": f"{self.base}/commands/1",
        }  # fmt: skip
        return self.emit(form, "slash_commands", urlencode(form).encode())

    def press(self, sender: str, target: str, value: str) -> list[Delivery]:
        """Somebody chooses ``value`` of the buttons or the menu at ``target``."""
        message = self.messages[target]
        channel, ts = split_name(target)
        elements = [e for block in message["blocks"] if block["type"] == "actions" for e in block["elements"]]
        action: Json = {"action_ts": self.new_ts(), "block_id": "b1"}
        for element in elements:
            for option in element.get("options", []):
                if option["value"] == value:
                    action |= {
                        "type": element["type"],
                        "action_id": element["action_id"],
                        "selected_option": option,
                    }
            if element.get("value") == value:
                action |= {key: element[key] for key in ("type", "action_id", "text", "value")}
        if "type" not in action:
            raise ValueError(f"nothing to press is called {value}")
        payload = {
            "type": "block_actions",
            "user": {"id": sender, "username": sender.lower(), "name": sender.lower(), "team_id": TEAM},
            "api_app_id": APP,
            "container": {"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": False},
            "trigger_id": self.new_id("13."),
            "team": {"id": TEAM},
            "channel": {"id": channel},
            "message": message,
            "response_url": f"{self.base}/actions/1",
            "actions": [action],
        }
        return self.emit(
            payload, "interactive", urlencode({"payload": msgspec.json.encode(payload)}).encode()
        )

    def handshake(self, challenge: str) -> Delivery:
        """What Slack asks when an address is entered."""
        body = {"token": "x", "type": "url_verification", "challenge": challenge}
        return self._request(msgspec.json.encode(body), "application/json")

    def signed(self, body: bytes) -> Delivery:
        """Any body, signed."""
        return self._request(body, "application/json")

    # How the app learns of it ---------------------------------------------------------------------------------------

    def event(self, event: Json) -> list[Delivery]:
        """Tell the app of an event."""
        payload = {
            "token": "x", "team_id": TEAM, "api_app_id": APP, "event": event, "type": "event_callback",
            "event_id": self.new_id("Ev", 10).upper(), "event_time": int(self.clock()), "event_context": "4-x",
            "authorizations": [{"enterprise_id": None, "team_id": TEAM, "user_id": self.bot_user, "is_bot": True}],
            "is_ext_shared_channel": False,
        }  # fmt: skip
        return self.emit(payload, "events_api")

    def emit(self, payload: Json, kind: str, form: bytes = b"") -> list[Delivery]:
        """A payload as a request, or over a connection when the app holds those."""
        if self.socket_mode:
            self.spawn(self._push(payload, kind))
            if self._chance(self.faults.duplicate):
                self.spawn(self._push(payload, kind))
            return []
        if form:
            return [self._request(form, "application/x-www-form-urlencoded")]
        return [self._request(msgspec.json.encode(payload), "application/json")]

    def tell(self, event: Json) -> None:
        """Tell the app of an event by itself, beside everything else."""
        if self._loop is not None:
            self.spawn(self.deliver(self.event(event)))

    def _request(self, body: bytes, kind: str) -> Delivery:
        stamp = str(int(self.clock()))
        headers = {
            "Content-Type": kind,
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": sign(self.signing_secret, stamp, body),
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
        }
        return Delivery("POST", "", headers, body)

    def _change(self, subtype: str, before: Json, **more: Any) -> list[Delivery]:
        now = self.new_ts()
        kind = "im" if before["channel"] in self.directs else "channel"
        event = {
            "type": "message", "subtype": subtype, "hidden": True, "channel": before["channel"], "channel_type": kind,
            "ts": now, "event_ts": now, "previous_message": before,
        }  # fmt: skip
        return self.event(event | more)

    # Socket Mode ----------------------------------------------------------------------------------------------------

    def new_link(self) -> str:
        """The address of a connection that can be opened once."""
        self.socket_mode = True
        ticket = self.new_id()
        self._tickets.add(ticket)
        return f"{self.base.replace('http', 'ws', 1)}/link?ticket={ticket}&app_id={APP}"

    async def renew(self, reason: str = "warning") -> None:
        """Ask for a fresh connection in place of the oldest."""
        await self.links[0].send({"type": "disconnect", "reason": reason, "debug_info": {"host": "fake"}})

    async def _link(self, socket: WebSocket) -> None:
        if socket.query.get("ticket", "") not in self._tickets:
            await socket.close(1008)
            return
        self._tickets.remove(socket.query["ticket"])
        link = Link(socket)
        self.opened += 1
        info = {"app_id": APP}
        await link.send({"type": "hello", "num_connections": len(self.links) + 1, "connection_info": info})
        self.links.append(link)
        self._someone.set()
        try:
            async for frame in socket:
                answer = msgspec.json.decode(frame, type=Json)
                if "payload" in answer:
                    self.answers.append(answer["payload"])
                if (waiting := self._waiting.pop(answer["envelope_id"], None)) is not None:
                    waiting.set()
        finally:
            self.links.remove(link)
            if not self.links:
                self._someone.clear()

    async def _push(self, payload: Json, kind: str) -> None:
        """Send a payload until it is acknowledged: four tries, each to one of the connections."""
        known = payload.get("event_id") or payload.get("trigger_id", "")
        for attempt in range(4):
            await self._someone.wait()
            link = self.random.choice(self.links)
            id, done = self.new_id(), asyncio.Event()
            self._waiting[id] = done
            frame: Json = {"envelope_id": id, "payload": payload, "type": kind}
            frame["accepts_response_payload"] = kind != "events_api"
            if attempt:
                frame |= {"retry_attempt": attempt, "retry_reason": "timeout"}
            try:
                await link.send(frame)
                async with asyncio.timeout(self.ack_s):
                    await done.wait()
            except (TimeoutError, Closed):
                self._waiting.pop(id, None)
                continue
            self.acknowledged.append(known)
            return
        self.lost.append(payload)
