"""The Discord channel: one bot, in servers and in direct messages."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import msgspec

from irisx_channels.discord import bodies, codec
from irisx_channels.discord.rest import Rest
from irisx_channels.discord.settings import Settings
from irisx_channels.discord.text import emoji_path, is_snowflake, name_of
from irisx_channels.lenient import Json, part, parts, whole, words
from irisx_sdk.channel import Account, Capabilities, Channel, Deliver, Parsed, Request, Tools
from irisx_sdk.errors import (
    ChannelError,
    NotSent,
    OutcomeUnknown,
    Refused,
    Throttled,
)
from irisx_sdk.http import retry_after_s
from irisx_sdk.messages import (
    Deletion,
    Edit,
    File,
    Interactive,
    Media,
    Outbound,
    Reaction,
    Sent,
    Text,
    Typing,
)

_RESPOND_S = 3.0


class Discord(Channel):
    """Discord: gateway and interactions in, REST out."""

    name = "discord"
    title = "Discord"
    address = "user"
    capabilities = Capabilities(
        sends=frozenset({"text", "media", "interactive", "reaction", "edit", "deletion", "typing"}),
        listens=True,
        max_text=bodies.MAX_TEXT,
        max_files=bodies.MAX_FILES,
        max_file_bytes=bodies.MAX_FILE_BYTES,
        max_total_bytes=bodies.MAX_TOTAL_BYTES,
        threads=True,
        idempotent=True,
        idempotent_s=120,  # docs, "Message Resource": a nonce is remembered for "the past few minutes"
    )
    Settings = Settings
    identify_every_s: float = 5.0
    """Between two new sessions (docs, "Gateway", rate limiting)."""

    def __init__(self) -> None:
        self._api = Rest()

    def parse_webhook(self, account: Account, request: Request) -> Parsed:
        """An interaction: signed with the application's key, at most five minutes old."""
        settings: Settings = account.settings
        return codec.parse(settings.public_key, settings.command_reply, request)

    async def listen(self, account: Account, tools: Tools, deliver: Deliver) -> None:
        """The gateway, see `irisx_channels.discord.shards`."""
        from irisx_channels.discord.shards import Holder, Kept, Start  # trio is needed only here

        settings: Settings = account.settings
        told = await self._api.ask(account, tools, "GET", "/gateway/bot")
        limit = part(told, "session_start_limit")
        start = Start(
            url=words(told, "url"),
            shards=min(settings.shards or max(1, whole(told, "shards")), 64),
            remaining=whole(limit, "remaining"),
            reset_after_s=whole(limit, "reset_after") / 1000,
            max_concurrency=min(max(1, whole(limit, "max_concurrency")), 64),
        )
        try:
            kept = msgspec.json.decode(await tools.load() or b"{}", type=Kept)
        except msgspec.DecodeError:
            kept = Kept()

        async def respond(interaction: Json) -> None:
            await self._respond(account, tools, interaction)

        await Holder(
            start,
            kept,
            token=settings.bot_token,
            intents=settings.intents,
            deliver=deliver,
            save=tools.save,
            respond=respond,
            identify_every_s=self.identify_every_s,
            plain=urlsplit(settings.base_url).scheme == "http",
        ).hold()

    async def send(self, account: Account, message: Outbound, tools: Tools) -> Sent:
        """Write, change, take back, react. Discord recognises a repetition for some minutes by the message's id."""
        content = message.content
        if isinstance(content, Edit):
            channel, id = bodies.target(content.target)
            body = bodies.change(content, message)
            await self._api.send(
                account, tools, "PATCH", "/channels/{}/messages/{}", (channel, id), json=body
            )
            return Sent((f"edit:{message.id}",))
        if isinstance(content, Deletion):
            return await self._take_back(account, tools, message, content)
        if isinstance(content, Reaction):
            return await self._react(account, tools, message, content)
        if isinstance(content, Typing):
            channel = await self._channel(account, tools, message)
            if content.on:
                await self._api.send(account, tools, "POST", "/channels/{}/typing", (channel,))
            return Sent((f"typing:{message.id}",))
        if not isinstance(content, Text | Media | Interactive):
            raise Refused(f"Discord cannot show this kind of message ({type(content).__name__})")
        return await self._write(account, tools, message)

    async def fetch(self, account: Account, file: File, tools: Tools) -> AsyncIterator[bytes]:
        """A file's content, from an address that is signed and expires: no token is given to it."""
        try:
            async with tools.http.stream("GET", file.url) as answer:
                if answer.status_code == 429:
                    raise Throttled("too fast for Discord", code="429", retry_after_s=retry_after_s(answer))
                if answer.status_code in (400, 401, 403, 404, 410):
                    raise Refused(
                        "Discord no longer has the file, or its address has expired", code="file_gone"
                    )
                if answer.status_code != 200:
                    raise NotSent("Discord did not give the file", code=str(answer.status_code))
                async for piece in answer.aiter_bytes():
                    yield piece
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise Refused("the file has no address") from None
        except httpx.HTTPError as failed:
            raise NotSent(f"the file could not be fetched ({type(failed).__name__})") from None

    async def check(self, account: Account, tools: Tools) -> str:
        """Who the bot is."""
        found = await self._api.ask(account, tools, "GET", "/users/@me")
        return f"connected as {words(found, 'username')}"

    async def _write(self, account: Account, tools: Tools, message: Outbound) -> Sent:
        files = bodies.attached(message)
        body = bodies.create(message, files)
        sending: dict[str, Any] = {"json": body}
        if files:
            contents = [
                one.content if one.content is not None else await tools.read_file(one.id) for one in files
            ]
            bodies.check_sizes(contents)
            sending = {
                "data": {"payload_json": msgspec.json.encode(body).decode()},
                "files": [
                    (f"files[{at}]", (bodies.file_name(file), content, file.media_type))
                    for at, (file, content) in enumerate(zip(files, contents, strict=True))
                ],
            }
        channel = await self._channel(account, tools, message)
        made = await self._api.send(account, tools, "POST", "/channels/{}/messages", (channel,), **sending)
        if not words(made, "id"):
            raise OutcomeUnknown("Discord took the message and did not say what it is called")
        where = words(made, "channel_id") or channel
        return Sent((name_of(where, words(made, "id")),), context={"channel": where})

    async def _channel(self, account: Account, tools: Tools, message: Outbound) -> str:
        """Where to write: the thread's channel, or the direct messages with the receiver, which are opened."""
        channel = message.thread or message.context.get("channel", "")
        if channel:
            if not is_snowflake(channel):
                raise Refused("this is no channel of Discord's", code="10003")
            return channel
        if not is_snowflake(message.to.value):
            raise Refused("this is no person's id of Discord's", code="50033")
        opened = await self._api.ask(
            account, tools, "POST", "/users/@me/channels", json={"recipient_id": message.to.value}
        )
        if not is_snowflake(words(opened, "id")):
            raise NotSent("Discord did not open the direct messages")
        return words(opened, "id")

    async def _take_back(self, account: Account, tools: Tools, message: Outbound, deletion: Deletion) -> Sent:
        where = bodies.target(deletion.target)
        try:
            await self._api.send(account, tools, "DELETE", "/channels/{}/messages/{}", where)
        except Refused as refused:
            if refused.code != "10008":  # gone already: that is what an earlier try may have done
                raise
        return Sent((f"deletion:{message.id}",))

    async def _react(self, account: Account, tools: Tools, message: Outbound, reaction: Reaction) -> Sent:
        """Put a sign, or take ours away: Discord wants to be told which, so we look first."""
        where = bodies.target(reaction.target)
        path = "/channels/{}/messages/{}/reactions/{}/@me"
        if reaction.emoji:
            sign = emoji_path(reaction.emoji)
            if not sign:
                raise Refused("Discord knows no such sign", code="10014")
            await self._api.send(account, tools, "PUT", path, (*where, sign))
            return Sent((f"reaction:{message.id}",))
        found = await self._api.ask(account, tools, "GET", "/channels/{}/messages/{}", where)
        for one in parts(found, "reactions"):
            emoji = part(one, "emoji")
            sign = (
                f"{words(emoji, 'name')}:{words(emoji, 'id')}" if words(emoji, "id") else words(emoji, "name")
            )
            if one.get("me") is True and sign:
                await self._api.send(account, tools, "DELETE", path, (*where, sign))
        return Sent((f"reaction:{message.id}",))

    async def _respond(self, account: Account, tools: Tools, interaction: Json) -> None:
        """Answer an interaction that came over the gateway; too late or not at all loses nothing of ours."""
        settings: Settings = account.settings
        ids = (words(interaction, "id"), words(interaction, "token"))
        if not all(ids):
            return
        body = codec.answer(interaction, settings.command_reply)
        with anyio.move_on_after(_RESPOND_S):
            try:
                await self._api.send(
                    account, tools, "POST", "/interactions/{}/{}/callback", ids, counted=False, json=body
                )
            except ChannelError:
                return
