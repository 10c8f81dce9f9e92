"""The listener channel: a mail server of our own for the account's addresses; answers go out by SMTP submission.

A mail is answered 250 only when the platform has stored it: the sender's server keeps it and tries again until then.
Mail is taken for the account's own addresses and for nobody else: it is no relay.

What somebody could do to it, and the answer: many connections (`MAX_CONNECTIONS`, `MAX_FROM_ONE`: 421, they come back),
slow ones (`IDLE_S`, `CONNECTION_S`: hung up), large mails (SIZE, `HELD_BYTES`: 452 or 552), many commands
(`protocol.MAX_ERRORS`), guessing addresses (each costs a command, and errors are counted).
"""

import logging
import ssl
import tempfile
from collections import Counter
from functools import partial
from typing import Annotated, ClassVar

import msgspec
import trio

from irisx_channels.email import incoming, mime, threading
from irisx_channels.email.listener.protocol import Close, Event, Letter, Server, StartTls
from irisx_channels.email.smtp import client, session
from irisx_sdk import Account, Capabilities, Deliver, Misconfigured, Tools, secret

LOG = logging.getLogger(__name__)
IDLE_S = 300.0
"""For the next bytes (RFC 5321, 4.5.3.2.7)."""
CONNECTION_S = 1800.0
HANDSHAKE_S = 30.0
MAX_CONNECTIONS = 100
MAX_FROM_ONE = 20
"""Connections of one address; large senders open a handful."""
HELD_BYTES = 256 << 20
"""Of all mails that are on their way in."""
MAX_BYTES = 36_000_000
"""Of one mail: 25 MB of files in base64, with line ends, and the words."""
_LARGE = 1 << 20
_CHUNK = 1 << 16


class Settings(session.SubmissionSettings, frozen=True, kw_only=True):
    """Where to listen, and for whom."""

    listen_host: Annotated[str, msgspec.Meta(description="The address to listen on")] = "127.0.0.1"
    listen_port: Annotated[int, msgspec.Meta(description="25, or one that 25 is led to", ge=0, le=65_535)] = (
        2525
    )
    addresses: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Addresses to take mail for; @example.org is all of a domain. Empty: sender and reply_to"
        ),
    ] = ()
    certificate: Annotated[
        str, secret("Certificates and key in PEM, to offer STARTTLS; empty for mail in clear only")
    ] = ""


class Listener(client.Submitting):
    """Our own server."""

    name: ClassVar[str] = "email.listener"
    title: ClassVar[str] = "Mail server"
    Settings: ClassVar[type[Settings]] = Settings
    capabilities: ClassVar[Capabilities] = client.capabilities(listens=True)

    async def listen(self, account: Account, tools: Tools, deliver: Deliver) -> None:
        settings: Settings = account.settings
        context = _context(settings.certificate)
        try:
            listeners = await trio.open_tcp_listeners(settings.listen_port, host=settings.listen_host)
        except OSError as failed:
            text = f"cannot listen on {settings.listen_host}:{settings.listen_port} ({failed.strerror})"
            raise Misconfigured(text) from None
        desk = Desk(settings, context, deliver)
        await trio.serve_listeners(desk.serve, listeners)


class Desk:
    """Everybody who is connected to one account's server."""

    def __init__(self, settings: Settings, context: ssl.SSLContext | None, deliver: Deliver) -> None:
        self.settings = settings
        self.context = context
        self.deliver = deliver
        self.connected = 0
        self.held = 0
        self.turned_away = 0
        self.letters = 0
        self._from: Counter[str] = Counter()

    def accepts(self, address: str) -> str:
        """What is said to RCPT: empty for an address of this account."""
        local, _, domain = address.lower().rpartition("@")
        # (a token that was damaged on the way is no reason to lose a mail)
        plain = f"{local.partition('+')[0]}@{domain}"
        wanted = self.settings.addresses or (self.settings.sender, self.settings.reply_to)
        known = {one.lower() for one in wanted if one}
        good = plain in known or f"@{domain}" in known
        return "" if good else "550 5.1.1 no such mailbox here"

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection, whatever happens on it."""
        try:
            peer = str(stream.socket.getpeername()[0])
        except OSError:
            peer = ""
        if self.connected >= MAX_CONNECTIONS or self._from[peer] >= MAX_FROM_ONE:
            self.turned_away += 1
            with trio.move_on_after(1):
                try:
                    await stream.send_all(b"421 4.3.2 too many connections\r\n")
                except trio.BrokenResourceError:
                    pass
            return
        self.connected += 1
        self._from[peer] += 1
        try:
            with trio.move_on_after(CONNECTION_S):
                await _Connection(self, stream).run()
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError, ssl.SSLError, OSError):
            pass
        finally:
            self.connected -= 1
            self._from[peer] -= 1
            if not self._from[peer]:
                del self._from[peer]


class _Connection:
    def __init__(self, desk: Desk, stream: trio.SocketStream) -> None:
        self.desk = desk
        self.stream: trio.abc.Stream = stream
        self.server = Server(
            desk.settings.hello, accepts=desk.accepts, max_bytes=MAX_BYTES, tls=desk.context is not None
        )
        self._held = 0

    async def run(self) -> None:
        try:
            await self._say(self.server.greeting())
            while True:
                event = self.server.next_event()
                self._account()
                if event is None:
                    if not await self._hear():
                        return
                elif not await self._do(event):
                    return
        finally:
            self.desk.held -= self._held
            with trio.move_on_after(1, shield=True):
                await trio.aclose_forcefully(self.stream)

    def _account(self) -> None:
        now = self.server.held
        self.desk.held += now - self._held
        self._held = now

    async def _hear(self) -> bool:
        if self.desk.held > HELD_BYTES:
            await self._say(b"421 4.3.1 too much mail at once\r\n")
            return False
        with trio.fail_after(IDLE_S):
            data = await self.stream.receive_some(_CHUNK)
        self.server.receive(bytes(data))
        return bool(data)

    async def _say(self, data: bytes) -> None:
        with trio.fail_after(IDLE_S):
            await self.stream.send_all(data)

    async def _do(self, event: Event) -> bool:
        if isinstance(event, Letter):
            await self._say(self.server.stored(await self._store(event)).data)
            return True
        await self._say(event.data)
        if isinstance(event, StartTls):
            assert self.desk.context is not None  # noqa: S101 - it was offered
            secured = trio.SSLStream(self.stream, self.desk.context, server_side=True, https_compatible=True)
            with trio.fail_after(HANDSHAKE_S):
                await secured.do_handshake()
            self.stream = secured
            self.server.secured()
        return not isinstance(event, Close)

    async def _store(self, letter: Letter) -> str:
        """Hand a mail to the platform; what to say to its sender."""
        tagged = (one for one in letter.recipients if threading.reference_of_address(one))
        recipient = next(tagged, letter.recipients[0])
        reading = partial(mime.read, letter.raw, sender=letter.sender, recipient=recipient)
        if len(letter.raw) > _LARGE:
            mail = await trio.to_thread.run_sync(reading)
        else:
            mail = reading()
        self.desk.letters += 1
        try:
            await self.desk.deliver(incoming.parsed(mail, self.desk.settings))
        except Exception as failed:  # noqa: BLE001 - the sender's server keeps the mail and comes back with it
            LOG.warning("a mail could not be stored: %s", type(failed).__name__)
            return "451 4.3.0 not stored, try again"
        return "250 2.0.0 stored"


def _context(pem: str) -> ssl.SSLContext | None:
    """A context of a server with these certificates. Raises `Misconfigured`."""
    if not pem:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # (the library reads certificates from files only)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(pem)
        file.flush()
        try:
            context.load_cert_chain(file.name)
        except (ssl.SSLError, ValueError):
            raise Misconfigured(
                "the certificate setting holds no certificates with their key in PEM"
            ) from None
    return context
