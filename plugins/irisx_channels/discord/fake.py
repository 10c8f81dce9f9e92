"""A Discord that does not exist: one bot, one server with a channel, direct messages, gateway, REST and interactions.

Messages of people go over the gateway to every session that the bot has started, also while nobody is connected (they
are replayed when the session is resumed); before there is one they are lost, as at the real one. Commands and buttons
go to the webhook's address while nobody is connected, and over the gateway otherwise.

The REST half is in `fake_api`, the gateway's in `fake_gateway`.
"""

from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from irisx_channels.discord import CHANNELS
from irisx_channels.discord.fake_gateway import Gateway
from irisx_channels.discord.settings import Settings
from irisx_channels.discord.text import name_of, split_name
from irisx_channels.lenient import Json
from irisx_sdk.fake import Delivery


class FakeDiscord(Gateway):
    """See the module."""

    channel = CHANNELS[0]
    life = ("sent",)
    person = "175928847299117063"

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        seed = bytes.fromhex(self.new_id())  # 16 bytes; twice is as secret as a fake needs
        self._key = Ed25519PrivateKey.from_private_bytes(seed * 2)

    @property
    def settings(self) -> Settings:
        """The account's settings that fit."""
        public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
        return Settings(bot_token=self.bot_token, public_key=public, base_url=f"{self.base}/api/v10")

    # What people do -------------------------------------------------------------------------------------------------

    def say(self, sender: str, text: str, **more: Any) -> list[Delivery]:
        """Somebody writes: to the bot directly, or in the server's ``channel``, answering ``reply_to``, with ``files``.

        ``files`` are names, media types and contents.
        """
        channel = more.get("channel") or self.direct(sender)
        message = self.made(channel, text, self.user(sender))
        if more.get("files"):
            message["attachments"] = [self.keep_file(*one) for one in more["files"]]
        if more.get("reply_to"):
            where, id = split_name(more["reply_to"])
            message |= {"type": 19, "message_reference": {"type": 0, "message_id": id, "channel_id": where}}
        self.tell("MESSAGE_CREATE", message)
        return []

    def edit(self, target: str, text: str) -> list[Delivery]:
        """The author of ``target`` writes it anew."""
        self.messages[target] |= {"content": text, "edited_timestamp": self.new_time()}
        self.tell("MESSAGE_UPDATE", self.messages[target])
        return []

    def erase(self, target: str) -> list[Delivery]:
        """The author of ``target`` takes it back."""
        message = self.messages.pop(target)
        self.tell(
            "MESSAGE_DELETE",
            {key: message[key] for key in ("id", "channel_id", "guild_id") if key in message},
        )
        return []

    def react(self, sender: str, target: str, emoji: str, *, added: bool = True) -> list[Delivery]:
        """Somebody puts a sign at ``target``, or takes it away."""
        channel, id = split_name(target)
        kind = "MESSAGE_REACTION_ADD" if added else "MESSAGE_REACTION_REMOVE"
        sign = {
            "user_id": sender,
            "channel_id": channel,
            "message_id": id,
            "emoji": {"id": None, "name": emoji},
        }
        self.tell(kind, sign | self.place(channel))
        return []

    def command(self, sender: str, name: str, **values: str) -> list[Delivery]:
        """Somebody uses a command, in the server's channel."""
        options = [{"name": key, "type": 3, "value": value} for key, value in values.items()]
        data = {"id": self.new_snowflake(), "name": name, "type": 1, "options": options}
        return self.interact(2, sender, self.GENERAL, {"data": data})

    def form(self, sender: str, text: str) -> list[Delivery]:
        """Somebody fills in a form of one field."""
        if len(text) > 4000:
            raise ValueError("a form takes 4000 characters")
        field = {"type": 4, "custom_id": "text", "value": text}
        data = {"custom_id": "contact", "components": [{"type": 1, "components": [field]}]}
        return self.interact(5, sender, self.direct(sender), {"data": data})

    def press(self, sender: str, target: str, value: str) -> list[Delivery]:
        """Somebody chooses ``value`` of the buttons or the menu at ``target``."""
        message = self.messages[target]
        for row in message["components"]:
            for one in row["components"]:
                if one.get("custom_id") == value:
                    data: Json = {"custom_id": value, "component_type": 2}
                elif any(option["value"] == value for option in one.get("options", [])):
                    data = {"custom_id": one["custom_id"], "component_type": 3, "values": [value]}
                else:
                    continue
                return self.interact(3, sender, message["channel_id"], {"data": data, "message": message})
        raise ValueError(f"nothing to press is called {value}")

    def ping(self) -> Delivery:
        """What Discord asks when an address is entered."""
        return self.signed(msgspec.json.encode({"type": 1, "id": self.new_snowflake(), "version": 1}))

    # How the bot learns of it ---------------------------------------------------------------------------------------

    def interact(self, kind: int, sender: str, channel: str, more: Json) -> list[Delivery]:
        """An interaction, over the gateway or as a request."""
        body: Json = {
            "id": self.new_snowflake(), "application_id": self.bot_id, "type": kind, "version": 1, "context": 0,
            "token": self.new_id("aW50"), "channel_id": channel, "channel": {"id": channel}, **more,
        }  # fmt: skip
        if "guild_id" in self.place(channel):
            body |= {"member": {"user": self.user(sender), "nick": None}, **self.place(channel)}
        else:
            body |= {"user": self.user(sender), "context": 1}
        self.interactions[body["id"]] = body
        if self.links:
            self.tell("INTERACTION_CREATE", body)
            return []
        return [self.signed(msgspec.json.encode(body))]

    def signed(self, body: bytes) -> Delivery:
        """Any body, signed."""
        stamp = str(int(self.clock()))
        headers = {
            "Content-Type": "application/json",
            "X-Signature-Timestamp": stamp,
            "X-Signature-Ed25519": self._key.sign(stamp.encode() + body).hex(),
            "User-Agent": "Discord-Interactions/1.0 (+https://discord.com)",
        }
        return Delivery("POST", "", headers, body)

    def name(self, message: Json) -> str:
        """What the platform calls a message."""
        return name_of(message["channel_id"], message["id"])
