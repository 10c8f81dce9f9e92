"""Calls of the Bot API, with its token kept where it belongs.

Every address of the Bot API holds the bot's token. So addresses are made here and used at once: none is kept in a
`File`, none is in an error, and httpx's own log line for each request is written without it (`HideTokens`).
"""

import logging
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import msgspec
from msgspec import Meta, Struct

from irisx_channels.lenient import document
from irisx_channels.telegram.failures import failure
from irisx_channels.telegram.outgoing import MAX_FILE, Ask
from irisx_sdk import File, Malformed, NotSent, OutcomeUnknown, Refused, Tools, secret
from irisx_sdk.http import call, retry_after_s

API = "https://api.telegram.org"


class TelegramSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bot."""

    token: Annotated[str, secret("The bot's token, as @BotFather gave it")]
    secret_token: Annotated[
        str, secret("What setWebhook was given as secret_token; empty without a webhook")
    ] = ""
    poll: Annotated[bool, Meta(description="Ask Telegram for messages whenever no webhook is set")] = True
    base_url: Annotated[str, Meta(description="Where the Bot API is")] = API


def bot_of(settings: TelegramSettings) -> str:
    """The bot's id: what stands before the colon of its token, and is no secret."""
    number, colon, _ = settings.token.partition(":")
    return number if colon and number.isdigit() else ""


async def asked(settings: TelegramSettings, tools: Tools, ask: Ask, wait_s: float | None = None) -> Any:
    """The result of a call. Raises what the Bot API's refusal means."""
    url = f"{_root(settings, '/bot')}/{ask.method}"
    more: dict[str, Any] = {} if wait_s is None else {"timeout": httpx.Timeout(10.0, read=wait_s)}
    if ask.files:
        more["files"] = {
            part: (file.name or part, await _content(file, tools), file.media_type)
            for part, file in ask.files.items()
        }
        more["data"] = {name: _field(value) for name, value in ask.fields.items()}
    else:
        more |= {"content": msgspec.json.encode(ask.fields), "headers": {"Content-Type": "application/json"}}
    answer = await call(tools.http, "POST", url, **more)
    if answer.status_code != 200:
        raise failure(answer.status_code, answer.content, retry_after_s(answer))
    try:
        found = document(answer.content)
    except Malformed:
        raise OutcomeUnknown("Telegram's answer cannot be read") from None
    if found.get("ok") is not True:
        raise failure(answer.status_code, answer.content)
    return found.get("result")


async def _content(file: File, tools: Tools) -> bytes:
    content = file.content if file.content is not None else await tools.read_file(file.id)
    if len(content) > MAX_FILE:
        raise Refused("the file is too big for Telegram", code="413")
    return content


def _field(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


async def downloaded(settings: TelegramSettings, tools: Tools, path: str) -> AsyncIterator[bytes]:
    """The content of a file by its ``file_path``. Raises `NotSent` when another try may work."""
    try:
        async with tools.http.stream(
            "GET", f"{_root(settings, '/file/bot')}/{quote(path.lstrip('/'))}"
        ) as answer:
            if answer.status_code in (400, 401, 404):
                raise Refused("the file is not there any more", code=str(answer.status_code))
            if answer.status_code != 200:
                raise NotSent(f"Telegram's files answered {answer.status_code}")
            async for piece in answer.aiter_bytes():
                yield piece
    except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as failed:
        raise NotSent(f"the download broke off ({type(failed).__name__})") from None


def _root(settings: TelegramSettings, between: str) -> str:
    return settings.base_url.rstrip("/") + between + quote(settings.token, safe=":")


class HideTokens(logging.Filter):
    """Takes bots' tokens out of what httpx logs of each request."""

    _TOKEN = re.compile(r"/bot[^/\s\"]+")

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if "/bot" in text:
            record.msg, record.args = self._TOKEN.sub("/bot…", text), ()
        return True


logging.getLogger("httpx").addFilter(HideTokens())
