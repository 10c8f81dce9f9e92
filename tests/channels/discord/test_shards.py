"""The gateway against the fake: nothing is lost or doubled, whatever happens to connections, sessions and us."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio

from irisx_channels.discord.client import Discord
from irisx_channels.discord.fake import FakeDiscord
from irisx_channels.discord.shards import Kept
from irisx_sdk.channel import Parsed, Tools
from irisx_sdk.errors import Misconfigured, NotSent, Throttled
from irisx_sdk.fake import Faults
from irisx_sdk.messages import Address, Choice, Deletion, Edit, Inbound, Outbound, Reaction, Text
from irisx_sdk.testing import account, running, tools

ANN = FakeDiscord.person


@pytest.fixture
def fake() -> Iterator[FakeDiscord]:
    made = FakeDiscord(seed=1)
    made.concurrency_s = 0.05
    made.interval_s = 5.0
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
    with trio.fail_after(15):
        while not true():
            await trio.sleep(0.01)


def a_channel() -> Discord:
    made = Discord()
    made.identify_every_s = 0.1
    return made


def ready(fake: FakeDiscord) -> bool:
    """Every shard has a session and a connection."""
    return len(fake.sessions) == fake.shards and all(one.link is not None for one in fake.sessions.values())


@asynccontextmanager
async def listening(
    fake: FakeDiscord, platform: Platform, lent: Tools, **settings: Any
) -> AsyncIterator[trio.Nursery]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a_channel().listen, account(fake, **settings), lent, platform.deliver)
        await until(lambda: ready(fake))
        yield nursery
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def ending(
    fake: FakeDiscord, platform: Platform, lent: Tools, error: type[Exception]
) -> AsyncIterator[None]:
    """The channel listens, and what happens in the block must end that with ``error``."""

    async def expect() -> None:
        with pytest.raises(error):
            await a_channel().listen(account(fake), lent, platform.deliver)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect)
        await until(lambda: ready(fake))
        yield


async def test_everything_that_people_do_arrives(fake: FakeDiscord) -> None:
    platform = Platform()
    async with tools() as lent, listening(fake, platform, lent):
        fake.do(fake.say, ANN, "one")
        fake.do(fake.say, ANN, "two", channel=fake.GENERAL)
        name = list(fake.messages)[-1]
        fake.do(fake.edit, name, "three")
        fake.do(fake.react, ANN, name, "🎉")
        fake.do(fake.erase, name)
        await until(lambda: len(platform.messages) == 5)
    contents = [one.content for one in platform.messages]
    assert contents == [Text("one"), Text("two"), Edit(name, "three"), Reaction(name, "🎉"), Deletion(name)]
    assert {one.sender.value for one in platform.messages} == {ANN}


async def test_what_we_send_comes_back_and_is_left_out(fake: FakeDiscord) -> None:
    platform = Platform()
    async with tools() as lent, listening(fake, platform, lent):
        sent = await Discord().send(account(fake), Outbound("1", Address("user", ANN), Text("ours")), lent)
        await Discord().send(account(fake), Outbound("2", Address("user", ANN), Deletion(sent.ids[0])), lent)
        fake.do(fake.say, ANN, "theirs")
        await until(lambda: platform.messages)
    assert [one.content for one in platform.messages] == [Text("theirs")]


async def test_while_nobody_listens_nothing_is_lost(fake: FakeDiscord) -> None:
    platform = Platform()
    async with tools() as lent:
        async with listening(fake, platform, lent):
            fake.do(fake.say, ANN, "one")
            await until(lambda: platform.messages)
            with trio.fail_after(5):  # (READY, the server, the message)
                while msgspec.json.decode(await lent.load(), type=Kept).sessions[0].seq < 3:
                    await trio.sleep(0.01)
        await until(lambda: not fake.links)
        fake.do(fake.say, ANN, "two")
        async with listening(fake, platform, lent):
            await until(lambda: len(platform.messages) == 2)
    assert platform.texts() == ["one", "two"]
    assert (fake.identified, fake.resumed) == (1, 1)
    assert set(fake.closes) == {4000}  # 1000 or 1001 would have ended the session


async def test_what_could_not_be_stored_is_replayed(fake: FakeDiscord) -> None:
    platform = Platform()
    async with tools() as lent:
        platform.broken = True
        async with ending(fake, platform, lent, RuntimeError):
            fake.do(fake.say, ANN, "one")
        platform.broken = False
        async with listening(fake, platform, lent):
            await until(lambda: platform.messages)
    assert platform.texts() == ["one"]
    assert fake.identified == 1


async def test_cut_connections_lose_and_double_nothing(fake: FakeDiscord) -> None:
    platform = Platform()
    fake.faults = Faults(duplicate=0.3)
    said = [f"{n}" for n in range(60)]
    async with tools() as lent, listening(fake, platform, lent):
        for n, text in enumerate(said):
            fake.do(fake.say, ANN, text)
            if n % 20 == 10:
                await until(lambda: ready(fake))
                fake.do(fake.links[0].socket.cut)
            await trio.sleep(0.001)
        await until(lambda: len(platform.messages) >= 60)
    assert platform.texts() == said
    assert fake.identified == 1
    assert fake.resumed >= 3


async def test_what_was_in_our_hands_when_the_connection_broke_is_replayed(fake: FakeDiscord) -> None:
    platform = Platform()
    platform.gate = trio.Event()
    async with tools() as lent, listening(fake, platform, lent):
        fake.do(fake.say, ANN, "one")
        await until(lambda: platform.times == 1)
        fake.do(fake.say, ANN, "two")
        await trio.sleep(0.1)
        fake.do(fake.links[0].socket.cut)  # "one" is being stored, "two" waits in our queue
        await until(lambda: fake.resumed == 1)
        platform.gate.set()
        await until(lambda: len(platform.messages) == 2)
    assert platform.texts() == ["one", "two"]
    assert fake.identified == 1


async def test_a_connection_that_breaks_while_its_session_is_being_kept_is_resumed(fake: FakeDiscord) -> None:
    platform, gate, saves = Platform(), trio.Event(), 0

    async with tools() as lent:

        async def slow(value: bytes) -> None:
            nonlocal saves
            saves += 1
            await gate.wait()
            await lent.save(value)

        async with listening(fake, platform, msgspec.structs.replace(lent, save=slow)):
            await until(lambda: saves)
            fake.do(fake.say, ANN, "one")
            fake.do(fake.links[0].socket.cut)
            await until(lambda: fake.resumed)
            gate.set()
            await until(lambda: platform.messages)
    assert fake.identified == 1


async def test_discord_asks_to_reconnect_and_to_resume(fake: FakeDiscord) -> None:
    platform = Platform()
    async with tools() as lent, listening(fake, platform, lent):
        fake.do(fake.ask_to_reconnect)
        await until(lambda: fake.resumed == 1 and ready(fake))
        fake.do(fake.say, ANN, "one")
        await until(lambda: platform.messages)
    assert fake.identified == 1


async def test_a_session_that_is_gone_is_begun_anew(
    fake: FakeDiscord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("irisx_channels.discord.gateway.INVALID_PAUSE_S", (0.0, 0.1))
    platform = Platform()
    async with tools() as lent:
        async with listening(fake, platform, lent):
            fake.do(lambda: fake.spawn(fake.invalidate(resumable=False)))
            await until(lambda: fake.identified == 2 and ready(fake))
            fake.do(fake.say, ANN, "one")
            await until(lambda: platform.messages)
        fake.sessions.clear()  # Discord forgot it while we were away
        async with listening(fake, platform, lent):
            fake.do(fake.say, ANN, "two")
            await until(lambda: len(platform.messages) == 2)
    assert fake.identified == 3


async def test_a_connection_that_only_looks_alive_is_left(fake: FakeDiscord) -> None:
    fake.interval_s = 0.2
    platform = Platform()
    async with tools() as lent, listening(fake, platform, lent):
        first = fake.links[0]
        await until(lambda: first.beats >= 2)
        fake.deaf = True
        await until(lambda: first not in fake.links)
        fake.deaf = False
        await until(lambda: fake.resumed >= 1 and ready(fake))
        fake.do(fake.say, ANN, "one")
        await until(lambda: platform.messages)
    assert fake.identified == 1
    assert 4009 not in fake.closes


@pytest.mark.parametrize(("code", "error"), [(4004, Misconfigured), (4014, Misconfigured)])
async def test_close_codes_that_need_a_person_say_what_to_do(
    fake: FakeDiscord, code: int, error: type[Exception]
) -> None:
    async with tools() as lent, ending(fake, Platform(), lent, error):
        fake.do(fake.close_with, code)


async def test_intents_that_are_not_switched_on_are_named(fake: FakeDiscord) -> None:
    fake.content_allowed = False
    async with tools() as lent:
        with pytest.raises(Misconfigured, match="Message Content"):
            await a_channel().listen(account(fake), lent, Platform().deliver)
        platform = Platform()
        async with listening(fake, platform, lent, intents=13825):
            fake.do(fake.say, ANN, "in private")
            await until(lambda: platform.messages)
    assert platform.texts() == ["in private"]


async def test_a_gateway_that_ends_every_connection_is_not_asked_for_ever(fake: FakeDiscord) -> None:
    fake.refuse_with = 4000
    async with tools() as lent:
        with pytest.raises(NotSent):
            await a_channel().listen(account(fake), lent, Platform().deliver)


async def test_wrong_tokens_are_the_account_s_fault(fake: FakeDiscord) -> None:
    async with tools() as lent:
        with pytest.raises(Misconfigured):
            await a_channel().listen(account(fake, bot_token="x"), lent, Platform().deliver)


async def test_no_session_is_started_beyond_the_day_s_number(fake: FakeDiscord) -> None:
    fake.remaining_starts = 0
    async with tools() as lent:
        with pytest.raises(Throttled) as throttled:
            await a_channel().listen(account(fake), lent, Platform().deliver)
    assert throttled.value.retry_after_s == 14_400
    assert fake.identified == 0


async def test_shards_take_turns_to_start_and_each_server_is_heard_once(fake: FakeDiscord) -> None:
    fake.shards, fake.max_concurrency, fake.concurrency_s = 4, 2, 0.09
    platform = Platform()
    async with tools() as lent:
        async with listening(fake, platform, lent):
            fake.do(fake.say, ANN, "one")
            fake.do(fake.say, ANN, "two", channel=fake.GENERAL)
            await until(lambda: len(platform.messages) == 2)
        assert platform.times == 2
        assert (fake.identified, fake.hasty) == (4, 0)
        await until(lambda: not fake.links)
        kept = msgspec.json.decode(await lent.load(), type=Kept)
        assert (kept.shards, sorted(kept.sessions)) == (4, [0, 1, 2, 3])
        fake.do(fake.say, ANN, "three", channel=fake.GENERAL)
        async with listening(fake, platform, lent):
            await until(lambda: len(platform.messages) == 3)
        assert (fake.identified, fake.resumed) == (4, 4)
        fake.sessions.clear()
        fake.shards = 2  # sessions of another number of shards are worth nothing
        async with listening(fake, platform, lent):
            pass
    assert fake.identified == 6


async def test_what_was_kept_may_be_nonsense(fake: FakeDiscord, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("irisx_channels.discord.gateway.INVALID_PAUSE_S", (0.0, 0.1))
    async with tools() as lent:
        for kept in (b"{", b"[]", b'{"shards":"x"}', b'{"shards":1,"sessions":{"0":{"id":"gone","seq":7}}}'):
            fake.sessions.clear()
            await lent.save(kept)
            async with listening(fake, Platform(), lent):
                pass
            await until(lambda: not fake.links)


async def test_a_host_for_resuming_that_is_gone_does_not_lose_the_session(fake: FakeDiscord) -> None:
    platform = Platform()
    async with tools() as lent:
        async with listening(fake, platform, lent):
            fake.do(fake.say, ANN, "one")
            await until(lambda: platform.messages)
        kept = msgspec.json.decode(await lent.load(), type=Kept)
        moved = msgspec.structs.replace(kept.sessions[0], url="ws://127.0.0.1:1/resume")
        await lent.save(msgspec.json.encode(Kept(1, {0: moved})))
        await until(lambda: not fake.links)
        async with listening(fake, platform, lent):
            await until(lambda: fake.resumed)
    assert fake.identified == 1


async def test_buttons_are_answered_over_rest_after_they_are_stored(fake: FakeDiscord) -> None:
    platform = Platform()
    platform.gate = trio.Event()
    async with tools() as lent, listening(fake, platform, lent):
        assert fake.do(fake.command, ANN, "help", text="me") == []
        await until(lambda: platform.times)
        await trio.sleep(0.05)
        assert fake.responses == []
        platform.gate.set()
        await until(lambda: fake.responses)
    assert platform.texts() == ["/help me"]
    assert fake.responses[0]["type"] == 4
    assert not any(isinstance(one.content, Choice) for one in platform.messages)


async def test_what_cannot_be_read_stops_nothing(fake: FakeDiscord) -> None:
    platform = Platform()
    async with tools() as lent, listening(fake, platform, lent):
        fake.do(fake.tell, "MESSAGE_CREATE", {"nonsense": 1})
        fake.do(fake.links[0].socket.send, "not json")
        fake.do(fake.links[0].send, 31, {"what": "ever"})
        fake.do(fake.say, ANN, "one")
        await until(lambda: platform.messages)
    assert platform.texts() == ["one"]
