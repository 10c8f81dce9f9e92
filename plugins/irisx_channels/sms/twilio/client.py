"""The Twilio channel: text messages with pictures through Twilio's Messages interface (2010-04-01)."""

from collections.abc import AsyncIterator
from typing import ClassVar

from irisx_channels.sms import media, reading
from irisx_channels.sms.outcomes import failure
from irisx_channels.sms.twilio import codec
from irisx_sdk import Account, Capabilities, Channel, File, Outbound, Parsed, Request, Sent, Tools
from irisx_sdk.http import call, retry_after_s
from irisx_sdk.messages import AddressKind


class Twilio(Channel):
    """Twilio."""

    name: ClassVar[str] = "sms.twilio"
    title: ClassVar[str] = codec.TITLE
    address: ClassVar[AddressKind] = "phone"
    Settings: ClassVar[type[codec.Settings]] = codec.Settings
    capabilities: ClassVar[Capabilities] = Capabilities(
        sends=frozenset(["text", "media"]),
        max_text=codec.MAX_TEXT,
        max_files=codec.MAX_FILES,
        max_file_bytes=5_000_000,
        max_total_bytes=5_000_000,
        receipts="delivered",
        segments="sms",
    )

    def parse_webhook(self, account: Account, request: Request) -> Parsed:
        return codec.parse(account, request)

    async def send(self, account: Account, message: Outbound, tools: Tools) -> Sent:
        settings: codec.Settings = account.settings
        answer = await call(
            tools.http,
            "POST",
            codec.address(settings, "/Messages"),
            data=codec.form(settings, message),
            auth=codec.credentials(settings),
        )
        return codec.sent(message, answer.status_code, answer.content, retry_after_s(answer))

    def fetch(self, account: Account, file: File, tools: Tools) -> AsyncIterator[bytes]:
        settings: codec.Settings = account.settings
        login = codec.credentials(settings)
        return media.download(file, tools, title=codec.TITLE, at=settings.base_url, auth=login)

    async def check(self, account: Account, tools: Tools) -> str:
        settings: codec.Settings = account.settings
        answer = await call(tools.http, "GET", codec.address(settings), auth=codec.credentials(settings))
        if answer.status_code != 200:
            raise failure(codec.TITLE, answer.status_code, "", {}, retry_after_s(answer))
        return f"the account is {reading.word(reading.json_object(answer.content), 'status') or 'known'}"
