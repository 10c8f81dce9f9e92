"""The Telegram channel: the Bot API over HTTP, updates by webhook or by polling.

Which of the two is in use, Telegram knows: while a webhook is set there, nobody can poll.
"""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import msgspec
import trio
from msgspec import Struct

from irisx_channels.lenient import Json, part, parts, whole, words
from irisx_channels.telegram import codec, outgoing
from irisx_channels.telegram.api import TelegramSettings, asked, bot_of, downloaded
from irisx_channels.telegram.failures import Gone, Moved, Unchanged, WebhookActive
from irisx_channels.telegram.outgoing import Ask
from irisx_channels.telegram.place import Place
from irisx_sdk import (
    Account,
    Capabilities,
    Channel,
    ChannelError,
    Deliver,
    Edit,
    File,
    Inbound,
    Malformed,
    NotSent,
    Outbound,
    OutcomeUnknown,
    Parsed,
    Preference,
    Refused,
    Request,
    Sent,
    Throttled,
    Tools,
)
from irisx_sdk.messages import AddressKind

POLL_S = 25
"""How long Telegram holds a poll open when nothing comes (it allows 50)."""
POLL_SLACK_S = 15
WEBHOOK_LOOK_S = 60.0
"""How often we look whether a webhook was removed, so that polling may begin."""
MAX_PAUSE_S = 300.0


class Telegram(Channel):
    """Telegram bots."""

    name: ClassVar[str] = "telegram"
    title: ClassVar[str] = "Telegram"
    address: ClassVar[AddressKind] = "user"
    Settings: ClassVar[type[Struct]] = TelegramSettings
    capabilities: ClassVar[Capabilities] = Capabilities(
        sends=frozenset(
            {"text", "media", "interactive", "location", "reaction", "edit", "deletion", "typing"}
        ),
        listens=True,
        max_text=outgoing.MAX_TEXT,
        max_files=outgoing.MAX_GROUP,
        max_file_bytes=outgoing.MAX_FILE,
        max_total_bytes=outgoing.MAX_FILE,
        threads=True,
        starts=False,
    )

    def parse_webhook(self, account: Account, request: Request) -> Parsed:
        settings = _settings(account)
        codec.check_secret(settings.secret_token, request.headers.get("x-telegram-bot-api-secret-token", ""))
        return codec.parse(request.body, bot_of(settings))

    async def send(self, account: Account, message: Outbound, tools: Tools) -> Sent:
        """Send one message. ``Sent.context`` has the new chat when the group moved meanwhile."""
        settings = _settings(account)
        ask = outgoing.ask(message)
        if ask is None:
            return Sent(ids=())
        try:
            return _sent(ask, await self._changed(settings, message, ask, tools))
        except Moved as moved:
            # Refused for certain: the same call may go to the group's new chat.
            there = msgspec.structs.replace(ask, fields=ask.fields | {"chat_id": moved.chat})
            sent = _sent(there, await asked(settings, tools, there))
            return msgspec.structs.replace(sent, context={"chat_id": moved.chat})

    async def _changed(self, settings: TelegramSettings, message: Outbound, ask: Ask, tools: Tools) -> Any:
        """The result of ``ask``; what is already as it should be is a success."""
        try:
            return await asked(settings, tools, ask)
        except (Unchanged, Gone) as already:
            if isinstance(already, Gone) and ask.method != "deleteMessage":
                raise
            return True
        except Refused as refused:
            if refused.code != "no_text" or not isinstance(message.content, Edit):
                raise
            with contextlib.suppress(Unchanged):
                return await asked(settings, tools, outgoing.caption_instead(message.content))
            return True

    async def listen(self, account: Account, tools: Tools, deliver: Deliver) -> None:
        """Poll for updates; while a webhook is set, only look now and then whether it still is.

        The place in the stream is kept only after everything before it was stored: a crash in between brings the same
        updates again, with the same ids.
        """
        settings = _settings(account)
        if not settings.poll:
            await trio.sleep_forever()
        place = Place.read(await tools.load(), bot_of(settings))
        while True:
            try:
                updates = await self._updates(settings, place.next(tools.now_us()), tools)
            except WebhookActive:
                await trio.sleep(WEBHOOK_LOOK_S)
                continue
            except Throttled as slow:
                await trio.sleep(min(slow.retry_after_s or 5.0, MAX_PAUSE_S))
                continue
            if not updates:
                continue
            await deliver(_merged(updates, bot_of(settings)))
            place = place.after(max(whole(update, "update_id") for update in updates), tools.now_us())
            await tools.save(place.written())
            for update in updates:
                if pressed := words(part(update, "callback_query"), "id"):
                    with contextlib.suppress(
                        ChannelError
                    ):  # (the person's button stops waiting by itself, too)
                        await asked(
                            settings, tools, Ask("answerCallbackQuery", {"callback_query_id": pressed})
                        )

    async def _updates(self, settings: TelegramSettings, offset: int, tools: Tools) -> list[Json]:
        fields: Json = {"timeout": POLL_S, "allowed_updates": list(codec.UPDATES)}
        if offset:
            fields["offset"] = offset
        found = await asked(settings, tools, Ask("getUpdates", fields), wait_s=POLL_S + POLL_SLACK_S)
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    async def fetch(self, account: Account, file: File, tools: Tools) -> AsyncIterator[bytes]:
        """An inbound file by its id. Raises `NotSent` when another try may work."""
        settings = _settings(account)
        try:
            found = await asked(settings, tools, Ask("getFile", {"file_id": file.id}))
        except OutcomeUnknown as unknown:
            raise NotSent(f"the file's place was not told: {unknown}") from unknown
        path = words(found, "file_path")
        if not path or ".." in path.split("/"):
            raise Refused("Telegram does not say where the file is")
        size = 0
        async for piece in downloaded(settings, tools, path):
            size += len(piece)
            yield piece
        if whole(found, "file_size") not in (0, size):
            raise NotSent("the file came only in part")

    async def check(self, account: Account, tools: Tools) -> str:
        settings = _settings(account)
        bot = await asked(settings, tools, Ask("getMe", {}))
        hook = await asked(settings, tools, Ask("getWebhookInfo", {}))
        if words(hook, "url"):
            how = f"webhook set, {whole(hook, 'pending_update_count')} waiting"
            if not settings.secret_token:
                how += ", but no secret token is known here: its messages are refused"
            elif words(hook, "last_error_message"):
                how += f", last trouble: {words(hook, 'last_error_message')}"
        else:
            how = "polling" if settings.poll else "neither webhook nor polling: no messages come"
        return f"@{words(bot, 'username')} · {how}"


def _settings(account: Account) -> TelegramSettings:
    assert isinstance(account.settings, TelegramSettings)  # noqa: S101 - the platform gives the channel's own
    return account.settings


def _sent(ask: Ask, result: Any) -> Sent:
    """The names of what was sent. A change, a sign and a deletion answer with the message or just with true."""
    if not ask.method.startswith("send") or ask.method == "sendChatAction":
        return Sent(ids=())
    made = parts({"all": result}, "all") if isinstance(result, list) else [part({"one": result}, "one")]
    ids = tuple(name for name in map(codec.message_id, made) if name)
    if not ids:
        raise OutcomeUnknown("Telegram accepted the message and gave it no id")
    return Sent(ids=ids)


def _merged(updates: list[Json], bot: str) -> Parsed:
    messages: list[Inbound] = []
    preferences: list[Preference] = []
    for update in updates:
        # An update that has no id or sender cannot be stored, and must not hold up those behind it.
        with contextlib.suppress(Malformed):
            found = codec.parse_update(update, bot)
            messages += found.messages
            preferences += found.preferences
    return Parsed(tuple(messages), (), tuple(preferences))
