"""Socket Mode against the fake: nothing is acknowledged before it is stored, nothing is missed when connections change."""

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from irisx_channels.slack.client import Slack
from irisx_channels.slack.fake import FakeSlack
from irisx_channels.websocket import Lost, connected
from irisx_sdk.channel import Parsed
from irisx_sdk.errors import ChannelError, Misconfigured, NotSent
from irisx_sdk.fake import Faults
from irisx_sdk.messages import Inbound, Text
from irisx_sdk.testing import account, running, tools

CHANNEL = Slack()
ANN = "U0ANN"


@pytest.fixture
def fake() -> Iterator[FakeSlack]:
    made = FakeSlack(seed=1)
    made.ack_s = 0.3
    with running(made) as it:
        yield it


class Platform:
    """Stores what it is given, once; stops at will."""

    def __init__(self) -> None:
        self.messages: list[Inbound] = []
        self.seen: set[str] = set()
        self.times = 0
        self.gate = trio.Event()
        self.gate.set()
        self.broken = False

    async def deliver(self, parsed: Parsed) -> None:
        self.times += 1
        await self.gate.wait()
        if self.broken:
            raise RuntimeError("the store is away")
        new = [one for one in parsed.messages if one.id not in self.seen]
        self.seen |= {one.id for one in new}
        self.messages += new

    def texts(self) -> list[str]:
        return [one.content.text for one in self.messages if isinstance(one.content, Text)]


async def until(true: Callable[[], object]) -> None:
    with trio.fail_after(10):
        while not true():
            await trio.sleep(0.01)


async def listen(fake: FakeSlack, platform: Platform, **settings: Any) -> None:
    async with tools() as lent:
        await CHANNEL.listen(account(fake, **settings), lent, platform.deliver)


@asynccontextmanager
async def listening(fake: FakeSlack, platform: Platform) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(functools.partial(listen, fake, platform, command_reply="We are on it."))
        await until(lambda: fake.links)
        yield
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def ending(fake: FakeSlack, platform: Platform, error: type[Exception]) -> AsyncIterator[None]:
    """The channel listens, and what happens in the block must end that with ``error``."""

    async def expect() -> None:
        with pytest.raises(error):
            await listen(fake, platform)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect)
        await until(lambda: fake.links)
        yield


async def test_what_people_write_arrives_and_is_acknowledged(fake: FakeSlack) -> None:
    platform = Platform()
    async with listening(fake, platform):
        assert fake.do(fake.say, ANN, "one") == []
        fake.do(fake.say, ANN, "two", channel=fake.GENERAL, mention=True)
        await until(lambda: len(fake.acknowledged) == 3)
    assert sorted(platform.texts()) == ["one", "two"]
    assert fake.lost == []


async def test_nothing_is_acknowledged_before_it_is_stored(fake: FakeSlack) -> None:
    platform = Platform()
    platform.gate = trio.Event()
    async with listening(fake, platform):
        fake.do(fake.say, ANN, "one")
        await until(lambda: platform.times)
        await trio.sleep(0.1)
        assert fake.acknowledged == []
        platform.gate.set()
        await until(lambda: fake.acknowledged)


async def test_what_could_not_be_stored_comes_again(fake: FakeSlack) -> None:
    platform = Platform()
    platform.broken = True
    async with ending(fake, platform, RuntimeError):
        fake.do(fake.say, ANN, "one")
    assert fake.acknowledged == []
    platform.broken = False
    async with listening(fake, platform):
        await until(lambda: fake.acknowledged)
    assert platform.texts() == ["one"]


async def test_a_connection_is_renewed_without_a_gap(fake: FakeSlack) -> None:
    platform = Platform()
    async with listening(fake, platform):
        old = fake.links[0]
        for n in range(30):
            fake.do(fake.say, ANN, f"{n}")
            if n == 10:
                fake.do(fake.renew)
        await until(lambda: fake.opened == 2 and len(fake.links) == 1 and fake.links[0] is not old)
        fake.do(fake.say, ANN, "last")
        await until(lambda: len(fake.acknowledged) == 31)
    assert sorted(platform.texts()) == sorted([*map(str, range(30)), "last"])


async def test_the_old_connection_stays_until_the_new_one_counts(fake: FakeSlack) -> None:
    platform = Platform()
    most = 0
    async with listening(fake, platform):
        fake.do(fake.renew, "refresh_requested")
        fake.do(fake.renew, "warning")  # said twice, opened once
        with trio.fail_after(10):
            while fake.opened < 2 or len(fake.links) > 1:
                most = max(most, len(fake.links))
                await trio.sleep(0)
        await trio.sleep(0.1)
        assert fake.opened == 2
    assert most == 2


async def test_a_connection_renewed_while_something_is_being_stored_finishes_that_first(
    fake: FakeSlack,
) -> None:
    platform = Platform()
    fake.ack_s = 5
    async with listening(fake, platform):
        platform.gate = trio.Event()
        fake.do(fake.say, ANN, "one")
        await until(lambda: platform.times)
        fake.do(fake.renew)
        await trio.sleep(0.2)
        assert fake.opened == 1  # (the notice waits behind the message)
        platform.gate.set()
        await until(lambda: fake.opened == 2 and len(fake.links) == 1)
        assert len(fake.acknowledged) == 1
    assert platform.times == 1


async def test_a_broken_connection_ends_the_listening_and_what_was_lost_comes_again(fake: FakeSlack) -> None:
    platform = Platform()
    platform.gate = trio.Event()
    async with ending(fake, platform, NotSent):
        fake.do(fake.say, ANN, "one")
        await until(lambda: platform.times)
        fake.do(fake.links[0].socket.cut)
        platform.gate.set()
    async with listening(fake, platform):
        await until(lambda: fake.acknowledged)
    assert platform.texts() == ["one"]


async def test_commands_and_buttons_are_answered_in_the_acknowledgement(fake: FakeSlack) -> None:
    platform = Platform()
    async with listening(fake, platform):
        fake.do(fake.command, ANN, "/help", "me")
        await until(lambda: fake.acknowledged)
    assert platform.texts() == ["/help me"]
    assert fake.answers == [{"response_type": "ephemeral", "text": "We are on it."}]


async def test_what_cannot_be_read_is_not_acknowledged_and_stops_nothing(fake: FakeSlack) -> None:
    platform = Platform()
    async with listening(fake, platform):
        fake.do(fake.emit, {"type": "event_callback"}, "events_api")
        fake.do(fake.links[0].socket.send, "not json")
        fake.do(fake.say, ANN, "one")
        await until(lambda: fake.acknowledged and fake.lost)
    assert platform.texts() == ["one"]
    assert platform.times == 1


async def test_twice_is_stored_once(fake: FakeSlack) -> None:
    platform = Platform()
    fake.faults = Faults(duplicate=1)
    async with listening(fake, platform):
        fake.do(fake.say, ANN, "one")
        await until(lambda: len(fake.acknowledged) == 2)
    assert platform.texts() == ["one"]


async def test_socket_mode_switched_off_is_the_account_s_fault(fake: FakeSlack) -> None:
    async with ending(fake, Platform(), Misconfigured):
        fake.do(fake.renew, "link_disabled")
    for token in ("", fake.bot_token, "xapp-1-wrong"):
        with pytest.raises(Misconfigured):
            await listen(fake, Platform(), app_token=token)


async def test_an_address_can_be_used_once_and_must_be_a_safe_one(fake: FakeSlack) -> None:
    url = fake.do(fake.new_link)
    async with connected(url, plain=True) as socket:
        assert b"hello" in str(await socket.receive(5)).encode()
    async with connected(url, plain=True) as socket:
        with pytest.raises(Lost) as lost:
            await socket.receive(5)
        assert lost.value.close_code == 1008
    for unsafe in (url, "https://x.example", "", "wss://[", "wss://"):
        with pytest.raises(ChannelError):
            async with connected(unsafe):
                raise AssertionError("opened")
