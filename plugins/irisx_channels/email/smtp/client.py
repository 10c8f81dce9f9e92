"""The SMTP channel: mail out through any server that takes it from us. What happened to it, only a bounce tells."""

from typing import Any, ClassVar

import anyio.to_thread

from irisx_channels.email import mime, outgoing, unsubscribe
from irisx_channels.email.mail import Mail
from irisx_channels.email.smtp import session
from irisx_sdk import Account, Capabilities, Channel, Malformed, Outbound, Parsed, Request, Sent, Tools

MOST_BYTES = 25_000_000
_LARGE = 1 << 20
"""Bytes of files from which on a mail is written in a thread: 25 MB take more than a second."""


class Settings(session.SubmissionSettings, frozen=True, kw_only=True):
    """One server and one sender."""


class Submitting(Channel):
    """Base of the channels that send by SMTP; their settings are `session.SubmissionSettings`."""

    address: ClassVar[Any] = "email"

    def parse_webhook(self, account: Account, request: Request) -> Parsed:
        found = unsubscribe.asked(account.settings, request)
        if found is None:
            raise Malformed("only requests to unsubscribe come here")
        return found

    async def send(self, account: Account, message: Outbound, tools: Tools) -> Sent:
        mail = await outgoing.composed(account.settings, message, tools, most_bytes=MOST_BYTES)
        if sum(len(file.content) for file in mail.attachments) > _LARGE:
            raw = await anyio.to_thread.run_sync(mime.write, mail)
        else:
            raw = mime.write(mail)
        return await self._submitted(account.settings, mail, raw, tools)

    async def _submitted(self, settings: Any, mail: Mail, raw: bytes, tools: Tools) -> Sent:
        async with session.opened(settings, tools) as connection:
            await connection.mail(mail.sender.value, mail.recipients, raw)
        return Sent((mail.message_id,), "sent")

    async def check(self, account: Account, tools: Tools) -> str:
        settings: session.SubmissionSettings = account.settings
        async with session.opened(settings, tools):
            return f"{settings.host} takes mails from us"


def capabilities(*, listens: bool) -> Capabilities:
    """What these channels can do."""
    return Capabilities(
        sends=frozenset(["text", "media"]),
        listens=listens,
        max_files=100,
        max_file_bytes=MOST_BYTES,
        max_total_bytes=MOST_BYTES,
        html=True,
        subject=True,
        threads=True,
        receipts="sent",
    )


class Smtp(Submitting):
    """SMTP submission."""

    name: ClassVar[str] = "email.smtp"
    title: ClassVar[str] = "SMTP"
    Settings: ClassVar[type[Settings]] = Settings
    capabilities: ClassVar[Capabilities] = capabilities(listens=False)
