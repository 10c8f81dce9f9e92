"""The Bandwidth channel: text messages with pictures through Bandwidth's Messaging API v2."""

from typing import ClassVar

from irisx_channels.sms import overhttp
from irisx_channels.sms.bandwidth import codec
from irisx_channels.sms.outcomes import failure
from irisx_sdk import Account, Capabilities, File, NotSent, OutcomeUnknown, Tools
from irisx_sdk.http import retry_after_s


class Bandwidth(overhttp.OverHttp):
    """Bandwidth."""

    name: ClassVar[str] = "sms.bandwidth"
    title: ClassVar[str] = codec.TITLE
    wire: ClassVar[overhttp.Codec] = codec
    Settings: ClassVar[type[codec.Settings]] = codec.Settings
    capabilities: ClassVar[Capabilities] = Capabilities(
        sends=frozenset(["text", "media"]),
        max_text=codec.MAX_TEXT,
        max_files=codec.MAX_FILES,
        max_file_bytes=3_750_000,
        max_total_bytes=3_750_000,
        receipts="delivered",
        segments="sms",
    )

    async def address_of(self, account: Account, file: File, tools: Tools) -> str:
        """Bandwidth keeps files for its customers: ours need no public address."""
        url = codec.upload(account.settings, file.id)
        login = codec.file_login(account.settings)
        ask = overhttp.Ask(
            "PUT",
            url,
            content=await tools.read_file(file.id),
            headers={"Content-Type": file.media_type},
            login=login[1] if login else None,
        )
        try:
            answer = await self.ask(account, ask, tools)
        except OutcomeUnknown as unknown:
            # Whether the file arrived does not matter: no message was sent yet, and it can be put there again.
            raise NotSent("Bandwidth: the file could not be handed over", code=unknown.code) from None
        if answer.status_code not in (200, 201, 204):
            error = failure(codec.TITLE, answer.status_code, "", {}, retry_after_s(answer))
            raise NotSent(str(error), code=error.code) if isinstance(error, OutcomeUnknown) else error
        return url
