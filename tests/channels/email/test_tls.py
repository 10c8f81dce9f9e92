"""TLS from the first byte: our clients speak it, and believe only certificates of somebody they trust."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from irisx_channels.email.imap import session as imap
from irisx_channels.email.imap.fake import FakeImap
from irisx_channels.email.smtp import session as smtp
from irisx_channels.email.smtp.fake import FakeSmtp
from irisx_sdk import Misconfigured, NotSent
from irisx_sdk.testing import account, running, tools
from tests.channels.email.providers import hello
from tests.channels.email.test_listener import certificates


async def pipe(one: trio.abc.Stream, other: trio.abc.Stream, scope: trio.CancelScope) -> None:
    try:
        while data := await one.receive_some(65_536):
            await other.send_all(data)
    except trio.BrokenResourceError:
        pass
    scope.cancel()


@asynccontextmanager
async def in_tls(port: int, pem: str, folder: Path) -> AsyncIterator[int]:
    """A port of localhost that speaks TLS for another port."""
    file = folder / "own.pem"
    file.write_text(pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        plain = await trio.open_tcp_stream("127.0.0.1", port)
        try:
            async with trio.open_nursery() as both:
                both.start_soon(pipe, stream, plain, both.cancel_scope)
                both.start_soon(pipe, plain, stream, both.cancel_scope)
        finally:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(plain)
                await trio.aclose_forcefully(stream)

    listeners = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1", https_compatible=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        inner = listeners[0].transport_listener
        assert isinstance(inner, trio.SocketListener)
        yield int(inner.socket.getsockname()[1])
        nursery.cancel_scope.cancel()


@pytest.fixture(scope="module")
def pair() -> tuple[str, bytes]:
    return certificates()


@pytest.fixture
def trusted(pair: tuple[str, bytes], tmp_path: Path) -> ssl.SSLContext:
    file = tmp_path / "trusted.pem"
    file.write_bytes(pair[1])
    return ssl.create_default_context(cafile=str(file))


async def test_a_mail_leaves_through_tls_to_somebody_we_trust_only(
    pair: tuple[str, bytes], trusted: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(FakeSmtp()) as fake:
        async with in_tls(fake.port, pair[0], tmp_path) as port, tools() as lent:
            given = account(fake, host="localhost", port=port, tls="tls")
            with pytest.raises(Misconfigured, match="certificate"):
                await fake.channel.send(given, hello(), lent)
            monkeypatch.setattr(smtp, "_trust", lambda: trusted)
            await fake.channel.send(given, hello(), lent)
            wrong_name = account(fake, host="127.0.0.1", port=port, tls="tls")
            with pytest.raises(Misconfigured, match="certificate"):
                await fake.channel.send(wrong_name, hello(), lent)
            no_tls = account(fake, tls="tls")
            with pytest.raises(NotSent):
                await fake.channel.send(no_tls, hello(), lent)
    assert len(fake.sent) == 1


async def test_a_mailbox_is_read_through_tls_from_somebody_we_trust_only(
    pair: tuple[str, bytes], trusted: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(FakeImap()) as fake:
        async with in_tls(fake.imap_port, pair[0], tmp_path) as port, tools() as lent:
            given = account(fake, imap_host="localhost", imap_port=port, imap_tls="tls")
            with pytest.raises(Misconfigured, match="certificate"):
                await fake.channel.check(given, lent)
            monkeypatch.setattr(imap, "_trust", lambda: trusted)
            assert "can be read" in await fake.channel.check(given, lent)
            with pytest.raises(NotSent):
                await fake.channel.check(account(fake, imap_tls="tls"), lent)
