"""Mail by SMTP: on the wire as other programs speak it, and honest about what happened."""

import smtplib

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from irisx_channels.email.listener.protocol import Close, Letter, Say, Server, StartTls
from irisx_channels.email.smtp import protocol
from irisx_channels.email.smtp.fake import FakeSmtp
from irisx_channels.email.smtp.protocol import Broken, Replies, Reply, offers, stuffed
from irisx_sdk import (
    Address,
    ChannelError,
    Misconfigured,
    NotSent,
    OutcomeUnknown,
    Refused,
    Sent,
    Throttled,
)
from irisx_sdk.fake import Faults
from irisx_sdk.testing import account, running, tools
from tests.channels.email.mails import HOOK, NOW_S
from tests.channels.email.providers import PERSON, hello


def made() -> FakeSmtp:
    return FakeSmtp(webhook_url=HOOK, clock=lambda: NOW_S)


async def send(fake: FakeSmtp, **more: object) -> Sent:
    async with tools() as lent:
        return await fake.channel.send(account(fake), hello(**more), lent)  # type: ignore[arg-type]


async def test_a_mail_is_on_the_wire_as_it_was_written() -> None:
    with running(made()) as fake:
        text = ".dot\n..two\n\nend."
        sent = await send(fake, text=text, subject="Tea", copies=(Address("email", "lee@customer.example"),))
    (message,) = fake.sent
    letter = message.raw["letter"]
    assert (letter.sender, letter.recipients) == ("support@shop.example", (PERSON, "lee@customer.example"))
    assert message.text == text
    assert sent.ids == (message.id,) == ("irisx-msg_1@shop.example",)


@pytest.mark.asyncio_loop
async def test_it_is_sent_from_asyncio_too() -> None:
    with running(made()) as fake:
        await send(fake)
    assert len(fake.sent) == 1


async def test_the_same_message_has_the_same_id_at_every_try() -> None:
    with running(made()) as fake:
        first, second = await send(fake), await send(fake)
    assert first.ids == second.ids


@pytest.mark.parametrize(
    ("reply", "error", "code"),
    [
        ("550 5.1.1 who?", Refused, "5.1.1"),
        ("553 no", Refused, "553"),
        ("450 4.2.0 greylisted", NotSent, "4.2.0"),
        ("450 4.7.1 greylisted", Throttled, "4.7.1"),
        ("421 closing", Throttled, "421"),
    ],
)
async def test_what_is_said_to_a_receiver_is_told_as_what_it_is(
    reply: str, error: type[Exception], code: str
) -> None:
    with running(made()) as fake:
        fake.verdicts[PERSON] = reply
        with pytest.raises(error) as raised:
            await send(fake)
    assert raised.value.code == code  # type: ignore[attr-defined]
    assert PERSON not in str(raised.value)
    assert fake.sent == []


async def test_a_copy_that_is_refused_does_not_keep_the_mail_from_its_receiver() -> None:
    with running(made()) as fake:
        fake.verdicts["lee@customer.example"] = "550 5.1.1 who?"
        await send(fake, copies=(Address("email", "lee@customer.example"),))
    assert fake.sent[0].raw["letter"].recipients == (PERSON,)


@pytest.mark.parametrize(
    ("reply", "error"),
    [("554 5.7.1 spam", Refused), ("452 4.3.1 full", NotSent), ("552 5.3.4 large", Refused)],
)
async def test_what_is_said_to_the_end_of_a_mail_decides(reply: str, error: type[Exception]) -> None:
    with running(made()) as fake:
        fake.at_data = reply
        with pytest.raises(error):
            await send(fake)


async def test_silence_after_the_final_dot_is_an_unknown_outcome() -> None:
    with running(made()) as fake:
        for faults in (Faults(drop_before=1), Faults(drop_after=1)):
            fake.faults = faults
            with pytest.raises(OutcomeUnknown):
                await send(fake)
    assert len(fake.sent) == 1


async def test_a_wrong_password_no_tls_and_no_server_are_told() -> None:
    with running(made()) as fake:
        async with tools() as lent:
            with pytest.raises(Misconfigured):
                await fake.channel.check(account(fake, password="wrong"), lent)
            with pytest.raises(Misconfigured, match="nothing is sent in clear"):
                await fake.channel.send(account(fake, tls="starttls"), hello(), lent)
            with pytest.raises(NotSent):
                await fake.channel.send(account(fake, port=1), hello(), lent)
            assert await fake.channel.check(account(fake), lent)
    assert fake.sent == []


async def scripted(answers: list[bytes]) -> type[BaseException] | None:
    """What a send comes to against a server that says these things in turn, whatever it is told."""

    async def serve(stream: trio.SocketStream) -> None:
        with trio.move_on_after(5):
            for answer in answers:
                await stream.send_all(answer)
                if not await stream.receive_some():
                    return

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        fake = made()
        caught: type[BaseException] | None = None
        async with tools() as lent:
            try:
                port = listener.socket.getsockname()[1]
                await fake.channel.send(account(fake, port=port, user=""), hello(), lent)
            except ChannelError as error:
                caught = type(error)
        nursery.cancel_scope.cancel()
    return caught


GO = [b"220 x\r\n", b"250-x\r\n250 SIZE 1000000\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"]


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([], NotSent),
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], NotSent),
        ([b"554 no\r\n"], Misconfigured),
        ([b"220 x\r\n"], NotSent),
        ([b"220 x\r\n", b"250 SIZE 10\r\n"], NotSent),
        ([b"220 x\r\n", b"250-x\r\n250 SIZE 10\r\n"], Refused),
        ([b"220 x\r\n", b"250 x\r\n", b"553 not you\r\n"], Misconfigured),
        (GO[:3], NotSent),
        (GO, OutcomeUnknown),
        ([b"220 " + b"x" * 10_000], NotSent),
    ],
)
async def test_odd_servers_are_told_as_what_they_are(
    answers: list[bytes], error: type[BaseException]
) -> None:
    assert await scripted(answers) is error


def test_replies_do_not_depend_on_where_they_are_cut() -> None:
    stream = b"250-mx\r\n250-SIZE 5\r\n250-AUTH PLAIN LOGIN\r\n250 AUTH=CRAM-MD5\r\n"
    for cut in range(len(stream)):
        replies = Replies()
        found = replies.feed(stream[:cut]) or replies.feed(stream[cut:])
        assert found == Reply(250, ("mx", "SIZE 5", "AUTH PLAIN LOGIN", "AUTH=CRAM-MD5"))
    told = offers(Reply(250, ("mx", "SIZE 5", "AUTH PLAIN LOGIN", "AUTH=CRAM-MD5", "starttls")))
    assert (told.size, "STARTTLS" in told.names) == (5, True)
    assert told.mechanisms == {"PLAIN", "LOGIN", "CRAM-MD5"}


@given(st.binary(max_size=300))
def test_any_bytes_are_a_reply_or_no_smtp(data: bytes) -> None:
    try:
        Replies().feed(data)
    except Broken:
        pass


def test_a_command_is_one_line() -> None:
    for bad in ("MAIL FROM:<a@b>\r\nRCPT", "x\0", "ü"):
        with pytest.raises(Broken):
            protocol.command(bad)


def test_the_proof_of_rfc_2195() -> None:
    challenge = "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"
    proof = protocol.cram_md5("tim", "tanstaaftanstaaf", challenge)
    assert proof == "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"


# The server's half, which the fake and our own listener speak.


def server(**more: object) -> Server:
    known: dict[str, object] = {"accepts": lambda _: "", "max_bytes": 100_000}
    return Server("mx.example", **(known | more))  # type: ignore[arg-type]


def said(one: Server, data: bytes) -> list[object]:
    one.receive(data)
    found: list[object] = []
    while (event := one.next_event()) is not None:
        found.append(event)
        if isinstance(event, Letter):
            found.append(one.stored())
    return found


@given(
    st.lists(st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"x", b"..", b"\r\n."]), max_size=20),
    st.integers(1, 9),
)
def test_any_content_arrives_as_it_was_however_it_is_cut(pieces: list[bytes], step: int) -> None:
    raw = b"".join(pieces)
    whole = b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n" + stuffed(raw) + b".\r\nNOOP\r\n"
    one = server()
    events: list[object] = []
    for at in range(0, len(whole), step):
        events += said(one, whole[at : at + step])
    (letter,) = [event for event in events if isinstance(event, Letter)]
    lines = stuffed(raw).split(b"\r\n")
    assert letter.raw == b"\r\n".join(
        line.removeprefix(b".") if line.startswith(b"..") else line for line in lines
    )
    assert events[-1] == Say(b"250 2.0.0 ok\r\n")


@pytest.mark.parametrize("end", [b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r"])
def test_only_one_thing_ends_a_mail(end: bytes) -> None:
    one = server()
    smuggled = b"first" + end + b"MAIL FROM:<x@evil.example>\r\nRCPT TO:<c@d>\r\nDATA\r\nsecond\r\n.\r\n"
    events = said(one, b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n" + smuggled)
    assert [event.sender for event in events if isinstance(event, Letter)] == ["a@b"]


def test_what_comes_in_clear_behind_starttls_is_forgotten() -> None:
    one = server(tls=True)
    events = said(one, b"EHLO x\r\nSTARTTLS\r\nMAIL FROM:<evil@example.org>\r\n"[:20])
    assert isinstance(events[-1], StartTls)
    one.receive(b"MAIL FROM:<evil@example.org>\r\n")
    one.secured()
    assert said(one, b"") == []
    assert said(one, b"RCPT TO:<c@d>\r\n") == [Say(b"503 5.5.1 MAIL first\r\n")]


def test_limits_hold() -> None:
    one = server(max_bytes=1000)
    events = said(one, b"EHLO x\r\nMAIL FROM:<a@b> SIZE=2000\r\n")
    assert events[-1] == Say(b"552 5.3.4 at most 1000 bytes\r\n")
    events = said(one, b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n" + b"x" * 5000 + b"\r\n.\r\nNOOP\r\n")
    assert events[-2:] == [Say(b"552 5.3.4 at most 1000 bytes\r\n"), Say(b"250 2.0.0 ok\r\n")]
    assert isinstance(said(server(), b"x" * 5000)[-1], Close)
    assert isinstance(said(server(), b"nonsense\r\n" * 30)[-1], Close)
    many = b"EHLO x\r\nMAIL FROM:<a@b>\r\n" + b"RCPT TO:<c@d>\r\n" * 101
    assert said(server(), many)[-1] == Say(b"452 4.5.3 too many receivers\r\n")


@given(st.binary(max_size=300))
def test_any_bytes_are_answered(data: bytes) -> None:
    said(server(login=lambda *_: False, tls=True), data + b"\r\n")


def test_the_standard_librarys_client_is_understood() -> None:
    with running(made()) as fake, smtplib.SMTP("127.0.0.1", fake.port, timeout=10) as client:
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.sendmail("support@shop.example", [PERSON], "Subject: x\r\n\r\nHello")
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login(fake.user, "wrong")
        client.login(fake.user, fake.password)
        fake.verdicts["lee@customer.example"] = "550 5.1.1 who?"
        refused = client.sendmail(
            "support@shop.example", [PERSON, "lee@customer.example"], "Message-ID: <m@x>\r\n\r\n.Hello"
        )
    assert list(refused) == ["lee@customer.example"]
    assert fake.sent[0].text == ".Hello"
