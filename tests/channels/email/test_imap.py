"""A mailbox that somebody else keeps: every mail is handed over once, in order, whatever happens to the connection."""

import imaplib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from irisx_channels.email import fakes
from irisx_channels.email.imap import client, protocol
from irisx_channels.email.imap.fake import FakeImap
from irisx_channels.email.imap.protocol import Broken, Lines, mailbox, pairs, quoted
from irisx_sdk import Account, Misconfigured, NotSent, Parsed, Text, Tools, Unsupported
from irisx_sdk.testing import account, running, tools
from tests.channels.email.mails import NOW_S, OURS, bounce
from tests.channels.email.providers import PERSON, hello


def made(**more: Any) -> FakeImap:
    return FakeImap(clock=lambda: NOW_S, **more)


class Platform:
    """A platform in miniature: starts the reader again whenever it ends, and keeps what came and the place."""

    def __init__(self, fake: FakeImap, lent: Tools, given: Account) -> None:
        self.fake, self.lent, self.given = fake, lent, given
        self.texts: list[str] = []
        self.known: set[str] = set()
        self.parsed: list[Parsed] = []
        self.failures: list[BaseException] = []
        self.refuse = 0

    async def deliver(self, parsed: Parsed) -> None:
        await trio.lowlevel.checkpoint()
        if self.refuse:
            self.refuse -= 1
            raise RuntimeError("the store is away")
        self.parsed.append(parsed)
        for message in parsed.messages:
            if (
                message.id not in self.known
            ):  # (a connection that broke before the place was kept brings it again)
                self.known.add(message.id)
                self.texts.append(message.content.text if isinstance(message.content, Text) else "?")

    async def keep(self) -> None:
        while True:
            try:
                await self.fake.channel.listen(self.given, self.lent, self.deliver)
            except (NotSent, RuntimeError) as failed:
                self.failures.append(failed)
            await trio.sleep(0.01)

    async def until(self, *texts: str) -> None:
        with trio.move_on_after(15):
            while self.texts != list(texts) and len(self.texts) <= len(texts):
                await trio.sleep(0.01)
        assert self.texts == list(texts), self.failures


@asynccontextmanager
async def reading(fake: FakeImap, **changes: Any) -> AsyncIterator[Platform]:
    """A platform that reads the running fake, and has begun to."""
    async with tools() as lent, trio.open_nursery() as nursery:
        platform = Platform(fake, lent, account(fake, **changes))
        nursery.start_soon(platform.keep)
        with trio.fail_after(15):
            while not await lent.load() and not platform.failures:
                await trio.sleep(0.01)
        yield platform
        nursery.cancel_scope.cancel()


def arrive(fake: FakeImap, text: str, **more: Any) -> None:
    fake.do(fake.say, PERSON, text, **more)


async def test_mails_are_handed_over_as_they_arrive_and_marked() -> None:
    with running(made()) as fake:
        arrive(fake, "was there before")
        async with reading(fake) as platform:
            arrive(fake, "one", answers=OURS)
            await platform.until("one")
            arrive(fake, "two")
            arrive(fake, "three")
            await platform.until("one", "two", "three")
            with trio.fail_after(10):
                while fake.seen != {2, 3, 4}:
                    await trio.sleep(0.01)
    assert platform.parsed[0].messages[0].reply_to == OURS
    assert platform.failures == []


async def test_what_came_while_nobody_listened_is_handed_over_later_and_nothing_twice() -> None:
    with running(made()) as fake:
        async with reading(fake) as platform:
            arrive(fake, "one")
            await platform.until("one")
            fake.do(fake.hang_up)
            arrive(fake, "two")
            await platform.until("one", "two")
            fake.do(fake.hang_up)
            arrive(fake, "three")
            await platform.until("one", "two", "three")
    assert len(platform.failures) >= 2


async def test_a_mail_that_could_not_be_stored_comes_again() -> None:
    with running(made()) as fake:
        async with reading(fake) as platform:
            platform.refuse = 2
            arrive(fake, "one")
            arrive(fake, "two")
            await platform.until("one", "two")


async def test_a_mailbox_that_was_made_anew_is_read_again_and_ids_tell_what_is_known() -> None:
    with running(made()) as fake:
        async with reading(fake) as platform:
            arrive(fake, "one")
            await platform.until("one")
            fake.do(fake.renumber)
            fake.do(fake.hang_up)
            with trio.fail_after(15):
                while len(platform.parsed) < 2:
                    await trio.sleep(0.01)
            arrive(fake, "two")
            await platform.until("one", "two")
    ids = [message.id for parsed in platform.parsed for message in parsed.messages]
    assert ids[0] == ids[1] != ids[-1]


async def test_a_server_without_idle_is_asked_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "POLL_S", 0.05)
    with running(made(capabilities="IMAP4rev1")) as fake:
        async with reading(fake) as platform:
            arrive(fake, "one")
            await platform.until("one")
    assert fake.idles == 0


async def test_an_idle_is_begun_anew_before_anybody_forgets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "IDLE_S", 0.05)
    with running(made()) as fake:
        async with reading(fake) as platform:
            with trio.fail_after(10):
                while fake.idles < 4:
                    await trio.sleep(0.01)
            arrive(fake, "one")
            await platform.until("one")
    assert platform.failures == []


async def test_a_mail_that_is_too_large_or_odd_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "MAX_MAIL", 20_000)
    with running(made()) as fake:
        async with reading(fake, mark_read=False) as platform:
            arrive(fake, "x" * 30_000)
            fake.do(fake.arrive, b"\xff\xfe not a mail")
            fake.do(fake.arrive, b"")
            arrive(fake, "last")
            with trio.fail_after(15):
                while "last" not in platform.texts:
                    await trio.sleep(0.01)
    large = platform.parsed[0].messages[0]
    assert isinstance(large.content, Unsupported)
    assert large.sender.value == PERSON
    assert len(platform.texts) == 4
    assert fake.seen == set()


async def test_a_bounce_in_the_mailbox_is_a_status() -> None:
    with running(made()) as fake:
        async with reading(fake) as platform:
            fake.do(fake.arrive, bounce())
            with trio.fail_after(10):
                while not platform.parsed:
                    await trio.sleep(0.01)
    assert platform.parsed[0].statuses[0].state == "undelivered"


async def test_a_wrong_password_and_a_missing_mailbox_are_told() -> None:
    with running(made()) as fake:
        async with tools() as lent:

            async def nobody(parsed: Parsed) -> None:
                raise AssertionError("nothing came")

            for changes in ({"imap_password": "wrong"}, {"mailbox": "Elsewhere"}, {"imap_tls": "starttls"}):
                with pytest.raises(Misconfigured):
                    await fake.channel.listen(account(fake, **changes), lent, nobody)
                with pytest.raises(Misconfigured):
                    await fake.channel.check(account(fake, **changes), lent)
            with pytest.raises(NotSent):
                await fake.channel.listen(account(fake, imap_port=1), lent, nobody)
            assert "can be read" in await fake.channel.check(account(fake), lent)


async def test_it_sends_by_submission() -> None:
    with running(made()) as fake:
        async with tools() as lent:
            await fake.channel.send(account(fake), hello(), lent)
    assert fake.sent[0].text == "Hello, wörld"


def test_the_standard_librarys_client_understands_the_fake() -> None:
    with running(made()) as fake:
        raw = fakes.written(fake, PERSON, "Hello")
        fake.do(fake.arrive, raw)
        with imaplib.IMAP4("127.0.0.1", fake.imap_port, timeout=10) as mail:
            mail.login("answers", fake.imap_password)
            mail.select('"INBOX"')
            assert mail.uid("SEARCH", "ALL") == ("OK", [b"1"])
            kind, found = mail.uid("FETCH", "1", "(UID BODY.PEEK[])")
            assert (kind, found[0][1]) == ("OK", raw)


STREAM = (
    b"* OK [CAPABILITY IMAP4rev1 IDLE] hi\r\n"
    b'* 2 FETCH (UID 5 FLAGS (\\Seen) ENVELOPE ("a \\"b\\"" NIL (("x" NIL "y" "z"))) BODY[HEADER.FIELDS (FROM TO)] {7}\r\n'
    b"a)b\r\n{9"
    b" X {0}\r\n)\r\n"
    b"* SEARCH\r\n* SEARCH 1 2 3\r\n"
    b"+ go on\r\n"
    b"a1 OK [READ-WRITE] done (really)\r\n"
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_answers_do_not_depend_on_where_they_are_cut(cuts: list[int]) -> None:
    lines = Lines(max_literal=100)
    found = []
    ends = [*sorted(cuts), len(STREAM)]
    for start, end in zip([0, *ends], ends, strict=False):
        found += lines.feed(STREAM[start:end])
    assert [line.tag for line in found] == ["*", "*", "*", "*", "+", "a1"]
    told = pairs(found[1].values[2])
    assert told["UID"] == b"5"
    assert told["BODY[HEADER.FIELDS (FROM TO)]"] == b"a)b\r\n{9"
    assert told["X"] == b""
    assert told["ENVELOPE"] == [b'a "b"', None, [[b"x", None, b"y", b"z"]]]
    assert found[3].values == (b"SEARCH", b"1", b"2", b"3")
    assert found[0].code == "CAPABILITY IMAP4rev1 IDLE"
    assert (found[5].word, found[5].code) == ("OK", "READ-WRITE")


@given(st.binary(max_size=300))
def test_any_bytes_are_answers_or_no_imap(data: bytes) -> None:
    try:
        Lines(max_literal=1000).feed(b"* 1 FETCH (" + data + b"\r\n)\r\n")
    except Broken:
        pass


def test_no_answer_can_be_without_an_end() -> None:
    for bad in (b"x" * (protocol.MAX_LINE + 2), b"* {999999999999}\r\n", b"* " + b"(" * 100 + b"\r\n"):
        with pytest.raises(Broken):
            Lines(max_literal=1000).feed(bad)


def test_names_are_written_as_imap_wants_them() -> None:
    assert mailbox("INBOX") == '"INBOX"'
    assert mailbox("Entwürfe & mehr") == '"Entw&APw-rfe &- mehr"'
    assert mailbox("台北") == '"&U,BTFw-"'
    assert quoted('a"b\\c') == '"a\\"b\\\\c"'
    with pytest.raises(Broken):
        quoted("a\r\nb")
