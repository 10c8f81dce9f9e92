"""The SMPP channel: text messages directly to a message centre, over a session that `Smpp.listen` holds.

`Smpp.send` hands a message to the session that is held for the account in this process, whichever loop or thread it is
called from. Where none is held nothing is sent (`NotSent`), or, if the account allows it (``alone``), a session is opened
for this one message.
"""

from typing import ClassVar

import anyio.to_thread
import trio

from irisx_channels.sms import outgoing
from irisx_channels.sms.smpp import sending, translate
from irisx_channels.sms.smpp.brief import CONNECT_S, Brief, brief
from irisx_channels.sms.smpp.codec import Short
from irisx_channels.sms.smpp.link import Link
from irisx_channels.sms.smpp.receipts import plain
from irisx_sdk import (
    Account,
    Capabilities,
    Channel,
    Deliver,
    NotSent,
    Outbound,
    OutcomeUnknown,
    Sent,
    Tools,
)
from irisx_sdk.messages import AddressKind


class Smpp(Channel):
    """SMPP 3.4, as a transceiver."""

    name: ClassVar[str] = "sms.smpp"
    title: ClassVar[str] = translate.TITLE
    address: ClassVar[AddressKind] = "phone"
    Settings: ClassVar[type[translate.Settings]] = translate.Settings
    capabilities: ClassVar[Capabilities] = Capabilities(
        sends=frozenset(["text"]),
        webhook=False,
        listens=True,
        max_text=translate.MAX_TEXT,
        receipts="delivered",
        segments="sms",
    )

    def __init__(self) -> None:
        self._links: dict[str, Link] = {}
        """The sessions that are held, by account: not what is known of an account, only the way to it."""

    async def send(self, account: Account, message: Outbound, tools: Tools) -> Sent:
        settings: translate.Settings = account.settings
        link = self._links.get(account.id)
        held = link is not None and link.bound and link.settings == settings
        reference = link.next_reference() if link is not None else tools.now_us()
        parts = translate.shorts(settings, message, reference)
        if link is not None and held:
            ids = await _over(link, parts)
        elif settings.alone:
            ids = await brief(settings, lambda own: sending.in_parts(parts, own.submit))
        else:
            raise NotSent("SMPP: there is no session with the centre at the moment")
        return Sent(tuple(map(plain, ids)), "sent", max(len(parts), outgoing.segments_of(message)))

    async def listen(self, account: Account, tools: Tools, deliver: Deliver) -> None:
        settings: translate.Settings = account.settings
        translate.bind(settings)
        stream = await _connect(settings)
        async with stream:
            link = Link(settings, stream, tools, deliver)
            # (a second session for the same account takes over: the newest is the one that is held)
            self._links[account.id] = link
            try:
                await link.run()
            finally:
                if self._links.get(account.id) is link:
                    del self._links[account.id]

    async def check(self, account: Account, tools: Tools) -> str:
        settings: translate.Settings = account.settings
        link = self._links.get(account.id)
        if link is not None and link.bound and link.settings == settings:
            return f"a session with {link.system_id or 'the centre'} is held"

        async def name(own: Brief) -> str:
            return own.system_id

        return f"{await brief(settings, name) or 'the centre'} lets us in"


async def _connect(settings: translate.Settings) -> trio.abc.Stream:
    try:
        with trio.fail_after(CONNECT_S):
            if not settings.tls:
                return await trio.open_tcp_stream(settings.host, settings.port)
            secure = await trio.open_ssl_over_tcp_stream(settings.host, settings.port)
            await secure.do_handshake()
            return secure
    except (OSError, trio.TooSlowError, trio.BrokenResourceError) as failed:
        raise NotSent(f"SMPP: no connection to the centre ({type(failed).__name__})") from None


async def _over(link: Link, parts: list[Short]) -> tuple[str, ...]:
    """By the held session, from its own loop or from anywhere else."""
    try:
        here = trio.lowlevel.current_trio_token()
    except RuntimeError:
        here = None
    if here is link.token:
        return await link.send(parts)

    def there() -> tuple[str, ...]:
        try:
            return trio.from_thread.run(link.send, parts, trio_token=link.token)
        except trio.RunFinishedError:
            raise NotSent("SMPP: the session has ended") from None
        except trio.Cancelled:
            raise OutcomeUnknown("SMPP: the session's program ended") from None

    return await anyio.to_thread.run_sync(there, abandon_on_cancel=True)
