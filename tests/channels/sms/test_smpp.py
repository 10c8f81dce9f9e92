"""The SMPP channel against a message centre on a socket: sending, receipts, long texts, faults, restarts."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
import trio

from irisx_channels.sms.smpp import coding, words
from irisx_channels.sms.smpp.client import Smpp
from irisx_channels.sms.smpp.codec import Short
from irisx_channels.sms.smpp.fake import FakeSmpp
from irisx_sdk import (
    Account,
    Address,
    ChannelError,
    Inbound,
    Misconfigured,
    NotSent,
    OutcomeUnknown,
    Parsed,
    Refused,
    Status,
    Text,
    Throttled,
    Tools,
    Unsupported,
)
from irisx_sdk.fake import Faults
from irisx_sdk.testing import account, running, tools
from tests.channels.sms.providers import PERSON, hello


class Held:
    """A platform in miniature that holds the session."""

    def __init__(self, fake: FakeSmpp, channel: Smpp, lent: Tools, mine: Account) -> None:
        self.fake, self.channel, self.lent, self.mine = fake, channel, lent, mine
        self.messages: list[Inbound] = []
        self.statuses: list[Status] = []
        self.batches = 0
        self.failing = 0
        self.ended: list[BaseException] = []
        self.gate = trio.Event()
        self.gate.set()

    async def deliver(self, parsed: Parsed) -> None:
        await self.gate.wait()
        if self.failing:
            self.failing -= 1
            raise RuntimeError("the database is away")
        self.batches += 1
        self.messages += parsed.messages
        self.statuses += parsed.statuses

    async def keep(self) -> None:
        while True:
            try:
                await self.channel.listen(self.mine, self.lent, self.deliver)
            except Exception as error:  # noqa: BLE001 - the platform starts it again whatever it was
                self.ended.append(error)
            await trio.sleep(0.05)

    async def until(self, true: Callable[[], Any]) -> None:
        with trio.fail_after(15):
            while not true():
                await trio.sleep(0.01)

    async def bound(self) -> None:
        await self.until(
            lambda: self.mine.id in self.channel._links and self.channel._links[self.mine.id].bound
        )

    async def say(self, text: str, **more: Any) -> None:
        await trio.to_thread.run_sync(lambda: self.fake.do(self.fake.say, PERSON, text, **more))

    async def send(self, text: str = "Hello, wörld", **more: Any) -> Any:
        return await self.channel.send(self.mine, hello(text, **more), self.lent)


@contextlib.asynccontextmanager
async def holding(made: FakeSmpp | None = None, **settings: Any) -> AsyncIterator[Held]:
    with running(made or FakeSmpp()) as fake:
        async with tools() as lent, trio.open_nursery() as nursery:
            held = Held(fake, Smpp(), lent, account(fake, **{"alone": False} | settings))
            nursery.start_soon(held.keep)
            await held.bound()
            try:
                yield held
            finally:
                nursery.cancel_scope.cancel()


async def test_a_text_goes_out_and_its_receipts_come_back() -> None:
    async with holding() as held:
        sent = await held.send()
        await held.until(lambda: len(held.statuses) == 2)
        assert (await held.channel.check(held.mine, held.lent)) == "a session with FAKESMSC is held"
    (message,) = held.fake.sent
    assert (message.to, message.text, message.sender) == (PERSON, "Hello, wörld", "+15005550006")
    assert [(status.id, status.state) for status in held.statuses] == [
        (sent.ids[0], "sent"),
        (sent.ids[0], "delivered"),
    ]
    raw = message.raw
    assert (raw.source_ton, raw.source_npi, raw.dest_ton, raw.dest_npi, raw.registered) == (1, 1, 1, 1, 1)


@pytest.mark.parametrize("way", ["udh", "sar", "payload"])
async def test_a_long_text_goes_out_whole_and_each_part_has_an_id(way: coding.Way) -> None:
    text = "я😀" * 60
    async with holding(long_texts=way) as held:
        sent = await held.send(text)
        await held.until(lambda: len(held.statuses) == 2 * len(sent.ids))
    assert held.fake.sent[0].text == text
    assert (len(sent.ids), sent.segments) == ((1, 3) if way == "payload" else (3, 3))
    assert {status.id for status in held.statuses if status.state == "delivered"} == set(sent.ids)


@pytest.mark.parametrize("way", ["udh", "sar", "payload"])
async def test_a_long_text_comes_in_whole(way: str) -> None:
    text = "Ein langer Text mit € und { } " * 20
    async with holding() as held:
        await held.say(text, parts=way)
        await held.say("STOP")
        await held.until(lambda: len(held.messages) == 2)
    assert [message.content for message in held.messages] == [Text(text), Text("STOP")]
    assert held.messages[0].sender == Address("phone", PERSON)
    assert held.messages[0].recipient == Address("phone", "+15005550006")
    assert set(held.fake.answers) == {0}
    assert not held.fake.waiting


async def test_names_and_short_codes_have_their_types() -> None:
    async with holding(sender="ACME") as held:
        await held.send()
        await held.send(sender=Address("phone", "12345"))
        await held.say("x", source="12345", source_ton=3)
        await held.say("x", source="ACME", source_ton=5)
        await held.say("\x00", data_coding=4)
        await held.until(lambda: len(held.messages) == 3)
    first, second = (one.raw for one in held.fake.sent)
    assert (first.source, first.source_ton, first.source_npi) == ("ACME", 5, 0)
    assert (second.source, second.source_ton, second.source_npi) == ("12345", 3, 0)
    assert [one.sender.value for one in held.messages] == ["12345", "ACME", PERSON]
    assert held.messages[2].content == Unsupported("binary")


@pytest.mark.parametrize("odd", [False, True])
async def test_ids_in_two_bases_and_odd_receipts_find_their_messages(odd: bool) -> None:
    fake = FakeSmpp()
    fake.hex_ids, fake.odd_receipts = True, odd
    async with holding(fake) as held:
        ids = [(await held.send()).ids[0] for _ in range(4)]
        await held.until(lambda: len(held.statuses) == 8)
    assert held.messages == []
    assert {status.id for status in held.statuses if status.state == "delivered"} == set(ids)


async def test_many_at_once_keep_to_the_window() -> None:
    async with holding(window=3) as held:
        held.fake.faults = Faults(delay_s=0.005)
        most = 0

        async def one() -> None:
            await held.send()

        async with trio.open_nursery() as nursery:
            for _ in range(30):
                nursery.start_soon(one)
            while len(held.fake.sent) < 30:
                most = max(most, held.channel._links[held.mine.id].session.outstanding)
                await trio.sleep(0.002)
    assert most == 3
    assert len({message.id for message in held.fake.sent}) == 30


async def test_too_fast_is_told_and_the_window_closes() -> None:
    async with holding() as held:
        held.fake.refuse_with = words.THROTTLED
        with pytest.raises(Throttled) as raised:
            await held.send()
        assert raised.value.code == "58"
        session = held.channel._links[held.mine.id].session
        assert (session.limit, session.throttled) == (5, 1)
        held.fake.refuse_with = 0
        before = trio.current_time()
        await held.send()
        assert trio.current_time() - before > 0.3


async def test_the_second_part_sits_out_what_passes() -> None:
    async with holding() as held:
        held.fake.faults = Faults(throttle_every=2)
        sent = await held.send("a" * 300)
    assert len(sent.ids) == 2 and len(held.fake.sent) == 1


async def test_half_a_message_is_never_called_unsent() -> None:
    async with holding() as held:
        link = held.channel._links[held.mine.id]
        first = link._submit

        async def then_refuse(short: Short) -> Any:
            answered = await first(short)
            held.fake.refuse_with = words.BAD_RECEIVER
            return answered

        link._submit = then_refuse  # type: ignore[method-assign]
        with pytest.raises(OutcomeUnknown) as raised:
            await held.send("a" * 300)
    assert "part 2 of 2" in str(raised.value) and raised.value.code == "0B"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (words.BAD_RECEIVER, Refused), (0x0A, Misconfigured), (words.SYSTEM_ERROR, NotSent), (words.QUEUE_FULL, Throttled),
        (0x64, NotSent), (0x65, Refused), (0x66, Refused), (0x45, Refused), (0xFF, NotSent), (0x0400, NotSent),
    ],
)  # fmt: skip
async def test_a_refusal_becomes_the_error_that_it_means(status: int, kind: type[ChannelError]) -> None:
    async with holding() as held:
        held.fake.refuse_with = status
        with pytest.raises(kind) as raised:
            await held.send()
    assert type(raised.value) is kind
    assert raised.value.code == words.code_of(status)


async def test_a_cut_after_the_message_left_leaves_the_outcome_unknown_and_it_binds_again() -> None:
    async with holding() as held:
        held.fake.faults = Faults(drop_after=1)
        with pytest.raises(OutcomeUnknown):
            await held.send()
        held.fake.faults = Faults()
        await held.until(lambda: held.ended)
        await held.bound()
        await held.send("again")
    assert [message.text for message in held.fake.sent] == ["Hello, wörld", "again"]
    assert isinstance(held.ended[0], NotSent)


async def test_without_a_session_nothing_is_sent() -> None:
    with running(FakeSmpp()) as fake:
        async with tools() as lent:
            with pytest.raises(NotSent):
                await Smpp().send(account(fake, alone=False), hello(), lent)
    assert fake.sent == []


@pytest.mark.asyncio_loop
async def test_a_session_for_one_message_where_the_account_allows_it() -> None:
    with running(FakeSmpp()) as fake:
        async with tools() as lent:
            sent = await Smpp().send(account(fake), hello("a" * 200), lent)
            assert await Smpp().check(account(fake), lent) == "FAKESMSC lets us in"
            with pytest.raises(Misconfigured):
                await Smpp().send(account(fake, password="wrong"), hello(), lent)
            with pytest.raises(Misconfigured):
                await Smpp().check(account(fake, system_id="wrong"), lent)
            with pytest.raises(NotSent):
                await Smpp().send(account(fake, port=1), hello(), lent)
    assert len(sent.ids) == 2 and len(fake.sent) == 1
    assert fake.unauthorized == 2


async def test_while_a_session_is_being_made_an_account_may_use_one_of_its_own() -> None:
    async with holding(alone=True) as held:
        held.channel._links[held.mine.id].session.bound = False
        await held.send()
        binds = [unit for unit in held.fake.units if unit.command == words.BIND_TRANSCEIVER]
    assert (len(held.fake.sent), len(binds)) == (1, 2)


async def test_another_loop_sends_through_the_session_that_trio_holds() -> None:
    import asyncio

    async with holding() as held:

        async def elsewhere() -> Any:
            async with tools() as lent:
                return await held.channel.send(held.mine, hello("from asyncio"), lent)

        sent = await trio.to_thread.run_sync(lambda: asyncio.run(elsewhere()))
    assert (held.fake.sent[0].text, sent.ids) == ("from asyncio", (held.fake.sent[0].id,))


async def test_a_message_is_answered_when_it_is_stored_and_not_before() -> None:
    async with holding() as held:
        held.gate = trio.Event()
        await held.say("wait")
        await trio.sleep(0.2)
        assert held.fake.answers == [] and len(held.fake.waiting) == 1
        await held.send("sending goes on")
        held.gate.set()
        await held.until(lambda: held.fake.answers)
    assert held.fake.answers[0] == 0


async def test_what_could_not_be_stored_comes_again_and_is_one_message() -> None:
    async with holding() as held:
        held.failing = 1
        await held.say("once")
        await held.until(lambda: held.messages)
    assert [str(error) for error in held.ended] == ["the database is away"]
    assert [message.content for message in held.messages] == [Text("once")]
    assert held.fake.answers[0] == words.TRY_AGAIN


async def test_a_repetition_after_a_lost_answer_has_the_same_id() -> None:
    async with holding() as held:
        original = held.deliver

        async def stored_and_cut(parsed: Parsed) -> None:
            await original(parsed)
            if len(held.messages) == 1:
                await trio.to_thread.run_sync(lambda: held.fake.do(held.fake.drop))
                await trio.sleep(0.1)

        held.deliver = stored_and_cut  # type: ignore[method-assign]
        await held.until(lambda: held.mine.id in held.channel._links)
        await trio.to_thread.run_sync(
            lambda: held.fake.do(held.fake.drop)
        )  # (listen again with the new deliver)
        await held.until(lambda: held.ended)
        await held.bound()
        await held.say("ok")
        await held.until(lambda: len(held.messages) == 2)
        await held.say("ok")
        await held.until(lambda: len(held.messages) == 3)
    ids = [message.id for message in held.messages]
    assert ids[0] == ids[1] != ids[2]


async def test_parts_are_joined_over_a_restart() -> None:
    async with holding() as held:
        first, second = coding.parts("a" * 200, 5, way="udh", alphabet="gsm7")
        common: dict[str, Any] = {
            "source": PERSON[1:],
            "source_ton": 1,
            "dest": "15005550006",
            "dest_ton": 1,
            "esm_class": 0x40,
        }
        await trio.to_thread.run_sync(
            lambda: held.fake.do(held.fake.push, Short(message=first.message, **common))
        )
        await held.until(lambda: held.fake.answers)
        await trio.to_thread.run_sync(lambda: held.fake.do(held.fake.drop))
        await held.until(lambda: held.ended)
        await held.bound()
        await trio.to_thread.run_sync(
            lambda: held.fake.do(held.fake.push, Short(message=second.message, **common))
        )
        await held.until(lambda: held.messages)
    assert held.messages[0].content == Text("a" * 200)


async def test_a_flood_is_turned_away_and_nothing_of_it_is_lost() -> None:
    async with holding() as held:
        held.gate = trio.Event()
        for number in range(260):
            await held.say(f"number {number}")
        await held.until(lambda: held.fake.answers)
        assert set(held.fake.answers) == {words.QUEUE_FULL}
        held.gate.set()
        await held.until(lambda: len(held.messages) >= 200)
        turned_away = held.channel._links[held.mine.id].turned_away
        await trio.to_thread.run_sync(lambda: held.fake.do(held.fake.drop))  # what was not taken comes again
        await held.until(lambda: len({message.id for message in held.messages}) == 260)
    texts = {
        message.id: message.content.text for message in held.messages if isinstance(message.content, Text)
    }
    assert sorted(texts.values()) == sorted(f"number {number}" for number in range(260))
    assert turned_away > 0 and held.batches < 100


async def test_a_silent_centre_is_left() -> None:
    async with holding(enquire_s=1, response_s=1) as held:
        held.fake.silent = True
        await held.until(lambda: held.ended)
        held.fake.silent = False
        await held.bound()
    assert "silent" in str(held.ended[0])


async def test_an_answer_that_never_comes_leaves_the_outcome_unknown() -> None:
    async with holding(response_s=1, enquire_s=20) as held:
        held.fake.silent = True
        with pytest.raises(OutcomeUnknown):
            await held.send()


async def test_it_says_goodbye() -> None:
    async with holding() as held:
        await held.send()
    commands = [unit.command for unit in held.fake.units]
    assert commands[0] == words.BIND_TRANSCEIVER and commands[-1] == words.UNBIND


async def test_what_the_centre_has_read_the_answer_of_is_forgotten() -> None:
    async with holding() as held:
        await held.say("hello")
        await held.until(lambda: held.messages)
        await held.until(lambda: not held.channel._links[held.mine.id]._unsettled)
        await held.say("again")
        await held.until(lambda: len(held.messages) == 2)
        kept = msgspec.json.decode(await held.lent.load())
    assert len(kept["seen"]) == 1


async def test_a_text_of_too_many_parts_is_refused_with_their_number() -> None:
    async with holding(max_parts=2) as held:
        with pytest.raises(Refused) as raised:
            await held.send("я" * 135)
    assert "3 parts" in str(raised.value)
    assert held.fake.sent == []


async def test_a_password_that_fits_in_no_bind_is_a_matter_of_the_account() -> None:
    with running(FakeSmpp()) as fake:
        async with tools() as lent:

            async def deliver(parsed: Parsed) -> None:
                raise AssertionError

            for wrong in ("too long a password", "größe"):
                with pytest.raises(Misconfigured):
                    await Smpp().listen(account(fake, password=wrong), lent, deliver)
            with pytest.raises(Misconfigured):
                await Smpp().listen(account(fake, password="wrong"), lent, deliver)
