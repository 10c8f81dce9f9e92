"""One connection to a server that takes our mails, on asyncio or trio; and what its answers mean.

When is a mail certainly not sent? Until the final dot has left us: a server must not deliver half a mail. From then on
silence means that nobody knows.
"""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Annotated, Literal

import anyio
import msgspec
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from irisx_channels.email import reports
from irisx_channels.email.mail import Settings
from irisx_channels.email.smtp.protocol import (
    Broken,
    Offers,
    Replies,
    Reply,
    coded,
    command,
    cram_md5,
    offers,
    plain,
    stuffed,
    xoauth2,
)
from irisx_sdk import ChannelError, Misconfigured, NotSent, OutcomeUnknown, Refused, Throttled, Tools, secret

CONNECT_S = 15.0
ANSWER_S = 60.0
"""For one answer. RFC 5321, 4.5.3.2, allows five minutes; a person waits for this mail."""
STORED_S = 180.0
"""For the answer to the final dot, while the server may look for viruses (the RFC allows ten minutes)."""
GOODBYE_S = 2.0
_LOST = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError, ssl.SSLError)


class SubmissionSettings(Settings, frozen=True, kw_only=True):
    """The server that takes our mails."""

    host: Annotated[str, msgspec.Meta(description="The server's name: smtp.example.org")] = ""
    port: Annotated[int, msgspec.Meta(description="465 for TLS, 587 for STARTTLS", ge=1, le=65_535)] = 587
    tls: Annotated[
        Literal["tls", "starttls", "none"],
        msgspec.Meta(
            description="starttls is required, never hoped for; none is for a server on this machine"
        ),
    ] = "starttls"
    user: Annotated[str, msgspec.Meta(description="Empty for a server that asks for none")] = ""
    password: Annotated[str, secret("The user's password")] = ""
    oauth_token: Annotated[str, secret("An OAuth 2 access token in place of a password (XOAUTH2)")] = ""
    hello: Annotated[str, msgspec.Meta(description="The name that we say is ours")] = "localhost"


@cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


class Session:
    """A connection on which somebody is logged in."""

    def __init__(self, stream: ByteStream, settings: SubmissionSettings) -> None:
        self.stream = stream
        self.settings = settings
        self.offers = Offers()
        self._replies = Replies()

    async def ask(self, *words: str, limit_s: float = ANSWER_S) -> Reply:
        """Send a command and wait for its answer. Raises `NotSent` when there is none."""
        try:
            await self.say(command(*words))
            return await self.answer(limit_s)
        except (Broken, TimeoutError, *_LOST) as failed:
            raise NotSent(f"{self.settings.host}: the connection failed ({type(failed).__name__})") from None

    async def say(self, data: bytes) -> None:
        with anyio.fail_after(STORED_S):
            await self.stream.send(data)

    async def answer(self, limit_s: float = ANSWER_S) -> Reply:
        with anyio.fail_after(limit_s):
            reply = self._replies.feed(b"")
            while reply is None:
                reply = self._replies.feed(await self.stream.receive())
            return reply

    async def greet(self) -> None:
        """EHLO, STARTTLS where it is wanted, and who we are."""
        try:
            first = await self.answer()
        except (Broken, TimeoutError, *_LOST) as failed:
            raise NotSent(f"{self.settings.host}: no greeting ({type(failed).__name__})") from None
        self._welcome(first, "does not take connections")
        await self._hello()
        if self.settings.tls == "starttls":
            await self._start_tls()
        if self.settings.user:
            await self._log_in()

    async def _hello(self) -> None:
        reply = await self.ask("EHLO", self.settings.hello)
        if reply.code in (500, 502, 504):
            reply = await self.ask("HELO", self.settings.hello)
        self._welcome(reply, "does not take our greeting")
        self.offers = offers(reply)

    def _welcome(self, reply: Reply, otherwise: str) -> None:
        """What is refused before a mail is named is not the mail's fault."""
        if reply.kind == 5:
            raise Misconfigured(f"{self.settings.host} {otherwise}", code=_code(reply))
        _expect(reply, 2, otherwise, self.settings.host)

    async def _start_tls(self) -> None:
        if "STARTTLS" not in self.offers.names:
            raise Misconfigured(f"{self.settings.host} offers no STARTTLS: nothing is sent in clear")
        self._welcome(await self.ask("STARTTLS"), "does not start TLS")
        # (whatever somebody put between the lines before TLS is forgotten)
        self._replies = Replies()
        self.stream = await _secured(self.stream, self.settings.host)
        await self._hello()

    async def _log_in(self) -> None:
        settings, known = self.settings, self.offers.mechanisms
        if settings.oauth_token:
            reply = await self.ask("AUTH", "XOAUTH2", xoauth2(settings.user, settings.oauth_token))
            if reply.code == 334:  # (the reason, which an empty line asks for)
                reply = await self.ask("")
        elif "PLAIN" in known:
            reply = await self.ask("AUTH", "PLAIN", plain(settings.user, settings.password))
        elif "LOGIN" in known:
            reply = await self.ask("AUTH", "LOGIN")
            for word in (settings.user, settings.password):
                reply = await self.ask(coded(word)) if reply.code == 334 else reply
        elif "CRAM-MD5" in known:
            reply = await self.ask("AUTH", "CRAM-MD5")
            if reply.code == 334:
                try:
                    proof = cram_md5(settings.user, settings.password, reply.text)
                except ValueError:
                    raise NotSent(f"{settings.host}: its challenge cannot be read") from None
                reply = await self.ask(proof)
        else:
            raise Misconfigured(f"{settings.host} offers no way to log in that we know")
        if reply.kind == 2:
            return
        if reply.kind == 4:
            raise _failure(settings.host, reply, "cannot log us in at the moment")
        raise Misconfigured(f"{settings.host} does not accept the user or the password", code=str(reply.code))

    async def mail(self, sender: str, recipients: Sequence[str], raw: bytes) -> Reply:
        """Hand over a mail; the first of the recipients has to be accepted. Raises the SDK's errors."""
        host = self.settings.host
        if self.offers.size and len(raw) > self.offers.size:
            raise Refused(f"{host} takes no mail of this size", code="5.3.4")
        size = (f"SIZE={len(raw)}",) if "SIZE" in self.offers.names else ()
        reply = await self.ask(f"MAIL FROM:<{sender}>", *size)
        if reply.kind == 5 and reply.code != 552:
            raise Misconfigured(f"{host} does not accept the sender", code=_code(reply))
        _expect(reply, 2, "does not accept the mail", host)
        for number, recipient in enumerate(recipients):
            reply = await self.ask(f"RCPT TO:<{recipient}>")
            if number == 0:
                _expect(reply, 2, "does not accept the receiver", host)
        _expect(await self.ask("DATA"), 3, "does not take the mail", host)
        try:
            await self.say(stuffed(raw))
        except (TimeoutError, *_LOST) as failed:
            raise NotSent(
                f"{host}: the connection failed before the mail's end ({type(failed).__name__})"
            ) from None
        try:
            await self.say(b".\r\n")
            reply = await self.answer(STORED_S)
        except (Broken, TimeoutError, *_LOST) as failed:
            raise OutcomeUnknown(
                f"{host} did not say whether it took the mail ({type(failed).__name__})"
            ) from None
        _expect(reply, 2, "refused the mail", host)
        return reply

    async def leave(self) -> None:
        """Say goodbye, if the server still listens."""
        with anyio.move_on_after(GOODBYE_S), suppress(Exception):
            await self.ask("QUIT", limit_s=GOODBYE_S)


@asynccontextmanager
async def opened(settings: SubmissionSettings, tools: Tools) -> AsyncIterator[Session]:
    """A session for the time of the block. Raises `NotSent`, `Misconfigured`, `Throttled`."""
    if not settings.host:
        raise Misconfigured("no server is set that takes our mails (host)")
    address = await tools.reach(settings.host, settings.port)
    try:
        with anyio.fail_after(CONNECT_S):
            stream: ByteStream = await anyio.connect_tcp(address, settings.port)
    except (OSError, TimeoutError) as failed:
        raise NotSent(f"no connection to {settings.host} ({type(failed).__name__})") from None
    session = Session(stream, settings)
    try:
        if settings.tls == "tls":
            session.stream = await _secured(stream, settings.host)
        await session.greet()
        yield session
        await session.leave()
    finally:
        with anyio.move_on_after(GOODBYE_S, shield=True), suppress(*_LOST):
            await anyio.aclose_forcefully(session.stream)


async def _secured(stream: ByteStream, host: str) -> TLSStream:
    try:
        with anyio.fail_after(CONNECT_S):
            return await TLSStream.wrap(
                stream, hostname=host, ssl_context=_trust(), standard_compatible=False
            )
    except ssl.SSLCertVerificationError:
        raise Misconfigured(f"{host} shows a certificate that is not valid for it") from None
    except (TimeoutError, *_LOST) as failed:
        raise NotSent(f"{host}: TLS failed ({type(failed).__name__})") from None


def _expect(reply: Reply, kind: int, otherwise: str, host: str) -> None:
    if reply.kind != kind:
        raise _failure(host, reply, otherwise)


def _failure(host: str, reply: Reply, otherwise: str) -> ChannelError:
    """The error for an answer; its words are left out, because they quote addresses and mails."""
    code = _code(reply)
    text = f"{host} {otherwise}" + (
        f": {found}" if (found := reports.reason(code if "." in code else "")) else ""
    )
    if reply.code == 421 or code.startswith("4.7."):
        return Throttled(text, code=code)
    if reply.code in (530, 534, 535, 538):
        return Misconfigured(text, code=code)
    return Refused(text, code=code) if reply.kind == 5 else NotSent(text, code=code)


def _code(reply: Reply) -> str:
    return reports.enhanced(reply.text) or str(reply.code)
