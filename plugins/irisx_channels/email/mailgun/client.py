"""The Mailgun channel: mail out through its HTTP interface, mail in through its routes, events through its webhooks."""

from collections.abc import AsyncIterator
from typing import ClassVar

import httpx

from irisx_channels.email import overhttp
from irisx_channels.email.mailgun import codec
from irisx_sdk import Account, Capabilities, File, Misconfigured, Tools


class Mailgun(overhttp.OverHttp):
    """Mailgun."""

    name: ClassVar[str] = "email.mailgun"
    title: ClassVar[str] = codec.TITLE
    wire: ClassVar[overhttp.Codec] = codec
    Settings: ClassVar[type[codec.Settings]] = codec.Settings
    capabilities: ClassVar[Capabilities] = overhttp.capabilities(codec.MOST_BYTES)

    def fetch(self, account: Account, file: File, tools: Tools) -> AsyncIterator[bytes]:
        """A file's content; one that Mailgun stores is asked for with the account's key, at Mailgun only."""
        return _fetched(account.settings, file, tools)


async def _fetched(settings: codec.Settings, file: File, tools: Tools) -> AsyncIterator[bytes]:
    if file.content is not None:
        yield file.content
        return
    host = httpx.URL(file.url).host
    if host != httpx.URL(settings.base_url).host and not host.endswith(".mailgun.net"):
        raise Misconfigured("Mailgun named a file that is not at Mailgun: it is not fetched")
    async with tools.http.stream("GET", file.url, auth=("api", settings.api_key)) as response:
        response.raise_for_status()
        async for piece in response.aiter_bytes():
            yield piece
