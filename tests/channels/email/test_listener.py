"""Our own mail server: takes what is for us, keeps it before it says so, and lets nobody keep others out."""

import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from irisx_channels.email import fakes
from irisx_channels.email.listener import client
from irisx_channels.email.listener.fake import FakeListener
from irisx_channels.email.smtp import session
from irisx_sdk import Account, Misconfigured, Parsed, Text
from irisx_sdk.testing import account, running, tools
from tests.channels.email.mails import NOW_S, OURS, bounce
from tests.channels.email.providers import PERSON, hello


class Stored:
    """A platform in miniature; ``fails`` so many times first."""

    def __init__(self, *, fails: int = 0) -> None:
        self.parsed: list[Parsed] = []
        self.fails = fails

    async def deliver(self, parsed: Parsed) -> None:
        await trio.lowlevel.checkpoint()
        if self.fails:
            self.fails -= 1
            raise RuntimeError("the store is away")
        self.parsed.append(parsed)


@asynccontextmanager
async def listening(fake: FakeListener, stored: Stored, **changes: Any) -> AsyncIterator[Account]:
    given = account(fake, **changes)
    async with tools() as lent, trio.open_nursery() as nursery:
        nursery.start_soon(fake.channel.listen, given, lent, stored.deliver)
        while True:
            try:
                stream = await trio.open_tcp_stream("127.0.0.1", fake.listen_port)
            except OSError:
                await trio.sleep(0.01)
            else:
                await stream.aclose()
                break
        yield given
        nursery.cancel_scope.cancel()


def made() -> FakeListener:
    return FakeListener(clock=lambda: NOW_S)


async def bring(fake: FakeListener, raw: bytes, sender: str = PERSON, to: str = fakes.REPLY_TO) -> int:
    return await trio.to_thread.run_sync(fake.bring, raw, sender, [to])


async def test_a_mail_is_stored_before_its_sender_hears_so() -> None:
    fake, stored = made(), Stored(fails=1)
    async with listening(fake, stored):
        raw = fakes.written(fake, PERSON, "Hello\n.dot", answers=OURS)
        assert await bring(fake, raw) == 451
        assert await bring(fake, raw) == 250
    (message,) = stored.parsed[0].messages
    assert message.content == Text("Hello\n.dot")
    assert (message.sender.value, message.reply_to) == (PERSON, OURS)


async def test_it_is_no_relay() -> None:
    fake, stored = made(), Stored()
    async with listening(fake, stored):
        raw = fakes.written(fake, PERSON, "Hello")
        assert await bring(fake, raw, to="somebody@elsewhere.example") == 550
        assert await bring(fake, raw, to="Support@SHOP.example") == 250
        assert await bring(fake, raw, to="answers+irisx-msg_1@in.shop.example") == 250
        assert await bring(fake, raw, to="answers+damaged@in.shop.example") == 250
    assert stored.parsed[1].messages[0].reference == "msg_1"


async def test_a_whole_domain_can_be_ours() -> None:
    fake, stored = made(), Stored()
    async with listening(fake, stored, addresses=("@shop.example",)):
        raw = fakes.written(fake, PERSON, "Hello")
        assert await bring(fake, raw, to="anybody@shop.example") == 250
        assert await bring(fake, raw, to=fakes.REPLY_TO) == 550


async def test_a_bounce_from_the_null_path_is_a_status() -> None:
    fake, stored = made(), Stored()
    async with listening(fake, stored):
        assert await bring(fake, bounce(), sender="") == 250
    assert stored.parsed[0].statuses[0].state == "undelivered"


async def test_25_mb_with_200_files_arrive() -> None:
    fake, stored = made(), Stored()
    files = [
        (f"{number}.bin", "application/octet-stream", bytes([number]) * 125_000) for number in range(200)
    ]
    raw = await trio.to_thread.run_sync(lambda: fakes.written(fake, PERSON, "Many", files=files))
    async with listening(fake, stored):
        assert await bring(fake, raw) == 250
    (message,) = stored.parsed[0].messages
    assert [one.content for one in message.files] == [content for _, _, content in files]


async def test_too_many_connections_are_turned_away_and_others_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "MAX_FROM_ONE", 2)
    fake, stored = made(), Stored()
    async with listening(fake, stored):
        streams = [await trio.open_tcp_stream("127.0.0.1", fake.listen_port) for _ in range(3)]
        greetings = [await stream.receive_some() for stream in streams]
        assert [bytes(one[:3]) for one in greetings] == [b"220", b"220", b"421"]
        for stream in streams:
            await stream.aclose()
        with trio.fail_after(10):
            while await bring(fake, fakes.written(fake, PERSON, "Hello")) != 250:
                await trio.sleep(0.05)


async def test_mails_together_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "HELD_BYTES", 100_000)
    fake, stored = made(), Stored()
    async with listening(fake, stored):
        raw = fakes.written(fake, PERSON, "Hello", files=[("a.bin", "application/x-a", b"x" * 1_000_000)])
        assert await bring(fake, raw) in (421, 0)
        assert await bring(fake, fakes.written(fake, PERSON, "Hello")) == 250


async def test_a_silent_connection_is_hung_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "IDLE_S", 0.1)
    fake, stored = made(), Stored()
    async with listening(fake, stored):
        stream = await trio.open_tcp_stream("127.0.0.1", fake.listen_port)
        with trio.fail_after(5):
            while await stream.receive_some():
                pass
        await stream.aclose()


def certificates() -> tuple[str, bytes]:
    """A certificate for localhost with its key, and itself as the authority to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, SHA256())
    )
    pem = made.public_bytes(Encoding.PEM)
    return (key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + pem).decode(), pem


async def test_our_own_client_reaches_it_by_starttls_and_believes_no_other_certificate(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own, authority = certificates()
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority)
    context = ssl.create_default_context(cafile=str(trusted))
    fake, stored = made(), Stored()
    async with listening(fake, stored, certificate=own) as given:
        changes = {"host": "localhost", "port": fake.listen_port, "tls": "starttls", "user": ""}
        sender = Account("acc", msgspec.structs.replace(given.settings, **changes))
        to_us = msgspec.structs.replace(hello("Over TLS"), to=hello().to.__class__("email", fakes.REPLY_TO))
        async with tools() as lent:
            with pytest.raises(Misconfigured, match="certificate"):
                await fake.channel.send(sender, to_us, lent)
            monkeypatch.setattr(session, "_trust", lambda: context)
            await fake.channel.send(sender, to_us, lent)
    # (it comes from the address of this account itself, and is known to be here already)
    assert stored.parsed == [Parsed()]


async def test_a_port_that_is_taken_and_a_certificate_that_is_none_are_told() -> None:
    fake = made()
    async with tools() as lent:
        (taken,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = taken.socket.getsockname()[1]
        with pytest.raises(Misconfigured, match="cannot listen"):
            await fake.channel.listen(account(fake, listen_port=port), lent, Stored().deliver)
        with pytest.raises(Misconfigured, match="PEM"):
            await fake.channel.listen(account(fake, certificate="no"), lent, Stored().deliver)
        await taken.aclose()


async def test_it_sends_by_submission() -> None:
    with running(made()) as fake:
        async with tools() as lent:
            await fake.channel.send(account(fake), hello(), lent)
    assert fake.sent[0].text == "Hello, wörld"
