"""The Discord channel against the fake: what it sends, what it fetches, and what errors mean."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from irisx_channels.discord import bodies
from irisx_channels.discord.client import Discord
from irisx_channels.discord.fake import FakeDiscord
from irisx_channels.discord.limits import MOST_INVALID
from irisx_sdk.channel import Parsed
from irisx_sdk.errors import Misconfigured, NotSent, OutcomeUnknown, Refused, Throttled
from irisx_sdk.fake import Delivery, Faults
from irisx_sdk.messages import (
    Address,
    Choice,
    Content,
    Deletion,
    Edit,
    File,
    Interactive,
    Location,
    Media,
    Option,
    Outbound,
    Reaction,
    Sent,
    Text,
    Typing,
)
from irisx_sdk.testing import account, running, tools

BOTH_LOOPS = pytest.mark.parametrize(
    "loop", [pytest.param("trio"), pytest.param("asyncio", marks=pytest.mark.asyncio_loop)]
)
ANN = FakeDiscord.person


@pytest.fixture
def channel() -> Discord:
    return Discord()


@pytest.fixture
def fake() -> Iterator[FakeDiscord]:
    with running(FakeDiscord(seed=1)) as it:
        yield it


def to(content: Content, id: str = "01J0000000000000000000000A", **more: Any) -> Outbound:
    return Outbound(id, Address("user", more.pop("who", ANN)), content, **more)


class Sender:
    """Sends through one channel, as one process does: what it learned of limits stays."""

    def __init__(self, channel: Discord, fake: FakeDiscord) -> None:
        self.channel = channel
        self.fake = fake

    async def __call__(self, message: Outbound, **settings: Any) -> Sent:
        async with tools({"f1": b"PNG" * 1000, "large": bytes(bodies.MAX_FILE_BYTES + 1)}) as lent:
            return await self.channel.send(account(self.fake, **settings), message, lent)


@pytest.fixture
def send(channel: Discord, fake: FakeDiscord) -> Sender:
    return Sender(channel, fake)


def heard(fake: FakeDiscord, deliveries: list[Delivery]) -> Parsed:
    (delivery,) = deliveries
    return fake.channel.parse_webhook(account(fake), fake.request(delivery))


def theirs(fake: FakeDiscord, text: str = "hi", **more: Any) -> str:
    """Somebody wrote; the name of it."""
    fake.do(fake.say, ANN, text, **more)
    return list(fake.messages)[-1]


@BOTH_LOOPS
async def test_a_person_is_written_to_directly_and_nobody_is_rung_up(
    fake: FakeDiscord, send: Sender, loop: str
) -> None:
    sent = await send(to(Text("Hello @everyone <@5> & you")))
    (got,) = fake.sent
    assert (got.id, got.to, got.text) == (sent.ids[0], ANN, "Hello @everyone <@5> & you")
    assert got.raw["allowed_mentions"] == {"parse": []}
    assert sent.ids[0].startswith(sent.context["channel"] + ":")
    await send(to(Text("again"), "other", context=sent.context))
    assert fake.sent[1].id.startswith(sent.context["channel"] + ":")


async def test_an_answer_in_a_server_says_what_it_answers(fake: FakeDiscord, send: Sender) -> None:
    asked = theirs(fake, channel=fake.GENERAL)
    sent = await send(to(Text("yes"), thread=fake.GENERAL, reply_to=asked))
    assert fake.messages[sent.ids[0]]["message_reference"]["message_id"] == asked.partition(":")[2]
    gone = await send(to(Text("well"), "other", thread=fake.GENERAL, reply_to=f"{fake.GENERAL}:12345"))
    assert "message_reference" not in fake.messages[gone.ids[0]]


@BOTH_LOOPS
async def test_a_try_whose_answer_was_lost_can_be_repeated_and_is_one_message(
    fake: FakeDiscord, send: Sender, loop: str
) -> None:
    await send(to(Text("first"), "one", thread=fake.GENERAL))
    fake.faults = Faults(drop_after=1)
    with pytest.raises(OutcomeUnknown):
        await send(to(Text("x"), "two", thread=fake.GENERAL))
    fake.faults = Faults()
    assert len(fake.sent) == 2
    again = await send(to(Text("x"), "two", thread=fake.GENERAL))
    assert len(fake.sent) == 2
    assert again.ids == (fake.sent[1].id,)
    assert await send(to(Text("x"), "three", thread=fake.GENERAL)) != again


def test_the_mark_of_a_message_fits_and_is_the_same_for_every_try() -> None:
    marks = {bodies.nonce(id) for id in ("a", "b", "0192f5c8-5d5e-7cc3-98c4-dc0c0c07398f", "x" * 200)}
    assert len(marks) == 4
    assert all(len(mark) <= 25 for mark in marks)
    assert bodies.nonce("a") == bodies.nonce("a")


@BOTH_LOOPS
async def test_files_go_up_with_the_message_and_come_down_without_a_token(
    fake: FakeDiscord, send: Sender, loop: str
) -> None:
    media = Media(File('a "1".png', "image/png", id="f1"), "image", caption="look")
    await send(to(media, files=(File("b.txt", "text/plain", content=b"bee"),), thread=fake.GENERAL))
    (got,) = fake.sent
    assert (got.text, got.media) == ("look", ("a 1.png", "b.txt"))
    assert list(fake.contents.values()) == [b"PNG" * 1000, b"bee"]
    kept = fake.keep_file("c.png", "image/png", b"see" * 100_000)
    async with tools() as lent:
        file = File("c.png", "image/png", url=kept["url"])
        pieces = [piece async for piece in send.channel.fetch(account(fake), file, lent)]
        assert b"".join(pieces) == b"see" * 100_000
        for url in (kept["url"].partition("?")[0], "", "nonsense"):
            with pytest.raises(Refused):
                [
                    p
                    async for p in send.channel.fetch(
                        account(fake), msgspec.structs.replace(file, url=url), lent
                    )
                ]


@pytest.mark.parametrize("label", ["", "Pick one"])
async def test_a_question_is_asked_and_the_choice_comes_back(
    fake: FakeDiscord, send: Sender, label: str
) -> None:
    options = tuple(Option(str(n), f"Number {n}", "It" if label else "") for n in range(12))
    asked = await send(to(Interactive("Which?", options, label=label, header="Shop", footer="Until 5")))
    assert fake.sent[0].text == "Shop\nWhich?\nUntil 5"
    parsed = heard(fake, fake.press(ANN, asked.ids[0], "7"))
    (found,) = parsed.messages
    assert found.content == Choice("7", "Number 7")
    assert (found.reply_to, found.sender.value) == (asked.ids[0], ANN)
    assert msgspec.json.decode(parsed.reply.body) == {"type": 6}


async def test_a_command_is_answered_where_it_was_used(fake: FakeDiscord, send: Sender) -> None:
    parsed = heard(fake, fake.command(ANN, "help", text="my laptop"))
    (found,) = parsed.messages
    assert found.content == Text("/help my laptop")
    assert msgspec.json.decode(parsed.reply.body)["data"]["flags"] == 64
    await send(to(Text("coming"), thread=found.thread))
    assert fake.sent[0].to == fake.GENERAL
    assert msgspec.json.decode(heard(fake, [fake.ping()]).reply.body) == {"type": 1}


async def test_our_messages_are_changed_and_taken_back_and_doing_it_twice_is_no_error(
    fake: FakeDiscord, send: Sender
) -> None:
    sent = await send(to(Text("one")))
    await send(to(Edit(sent.ids[0], "two")))
    assert fake.messages[sent.ids[0]]["content"] == "two"
    await send(to(Deletion(sent.ids[0])))
    assert sent.ids[0] not in fake.messages
    await send(to(Deletion(sent.ids[0])))
    other = theirs(fake)
    for content in (
        Edit(sent.ids[0], "x"),
        Edit(other, "x"),
        Deletion(other),
        Edit("nonsense", "x"),
        Deletion("1:../2"),
    ):
        with pytest.raises(Refused):
            await send(to(content))


async def test_signs_are_put_and_taken_away(fake: FakeDiscord, send: Sender) -> None:
    other = theirs(fake)
    await send(to(Reaction(other, "👍")))
    await send(to(Reaction(other, "👍")))
    await send(to(Reaction(other, "iris:5")))
    assert fake.messages[other]["signs"] == {"👍": [fake.bot_id], "iris:5": [fake.bot_id]}
    await send(to(Reaction(other)))
    assert fake.messages[other]["signs"] == {"👍": [], "iris:5": []}
    for emoji in ("thumbsup", "x/../y"):
        with pytest.raises(Refused):
            await send(to(Reaction(other, emoji)))


async def test_writing_is_shown(fake: FakeDiscord, send: Sender) -> None:
    await send(to(Typing(), thread=fake.GENERAL))
    await send(to(Typing(on=False), thread=fake.GENERAL))
    assert fake.typed == [fake.GENERAL]


async def test_where_nothing_can_be_written_the_reason_is_said_and_the_account_is_not_blamed(
    fake: FakeDiscord, send: Sender
) -> None:
    shut = next(iter(fake.shut))
    wrong = [
        (to(Text("x"), who=shut), "50007"),
        (to(Text("x"), thread=fake.CLOSED), "50001"),
        (to(Text("x"), thread="12345"), "10003"),
        (to(Text("x"), thread="../../oauth2"), "10003"),
        (to(Text("x"), who="ann"), "50033"),
        (to(Text("x"), who=fake.bot_id), "50033"),
    ]
    for message, code in wrong:
        with pytest.raises(Refused) as refused:
            await send(message)
        assert refused.value.code == code
    assert fake.sent == []


@pytest.mark.parametrize(
    "message",
    [
        to(Text("")),
        to(Text("x" * 2001)),
        to(Location(1, 2)),
        to(Edit("1:2", "")),
        to(Interactive("x", ())),
        to(Interactive("x", tuple(Option(str(n), "t") for n in range(26)))),
        to(Interactive("x", (Option("a", "t"), Option("a", "t")))),
        to(Interactive("x", (Option("a", "t" * 81),))),
        to(Interactive("x", (Option("a" * 101, "t"),))),
        to(Text("x"), files=tuple(File(content=b"x") for _ in range(11))),
        to(Text("x"), files=(File(id="large"),)),
        to(Text("x"), files=tuple(File(content=bytes(6 * 2**20)) for _ in range(5))),
    ],
)
async def test_what_discord_would_not_take_is_refused_before_anything_is_sent(
    fake: FakeDiscord, send: Sender, message: Outbound
) -> None:
    with pytest.raises(Refused):
        await send(message)
    assert fake.requests == 0


async def test_wrong_tokens_are_the_account_s_fault_and_say_nothing_secret(
    fake: FakeDiscord, send: Sender
) -> None:
    for token in ("MTk4.wrong", "MTk4.\n"):
        with pytest.raises(Misconfigured) as wrong:
            await send(to(Text("x")), bot_token=token)
        assert "MTk4" not in str(wrong.value)
    async with tools() as lent:
        with pytest.raises(Misconfigured):
            await send.channel.check(account(fake, bot_token="x"), lent)
        assert await send.channel.check(account(fake), lent) == "connected as irisx"


async def test_limits_are_kept_before_discord_says_no(fake: FakeDiscord, send: Sender) -> None:
    fake.limit, fake.window_s = 3, 30.0
    held = 0
    for n in range(8):
        try:
            await send(to(Text(str(n)), f"m{n}", thread=fake.GENERAL))
        except Throttled as throttled:
            held += 1
            assert throttled.retry_after_s is not None
            assert 0 < throttled.retry_after_s <= 30
    assert (held, len(fake.sent), fake.refused_for_speed) == (5, 3, 0)


async def test_a_new_process_learns_from_the_first_no(fake: FakeDiscord, channel: Discord) -> None:
    fake.limit, fake.window_s = 1, 30.0
    for n in range(3):
        with pytest.raises(Throttled) if n else Never():
            await Sender(Discord() if n == 1 else channel, fake)(to(Text("x"), f"m{n}", thread=fake.GENERAL))
    assert fake.refused_for_speed == 1


class Never:
    """Expects nothing."""

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...


async def test_too_fast_is_told_with_the_time_to_wait(fake: FakeDiscord, send: Sender) -> None:
    fake.faults = Faults(throttle_every=1)
    for _ in range(2):
        with pytest.raises(Throttled) as throttled:
            await send(to(Text("x"), thread=fake.GENERAL))
        assert throttled.value.retry_after_s is not None
        assert 0 < throttled.value.retry_after_s <= 0.5
    assert fake.requests == 1  # the second time nobody had to ask


async def test_a_machine_that_was_told_no_too_often_stops_asking(fake: FakeDiscord, send: Sender) -> None:
    async with tools() as lent:
        for _ in range(MOST_INVALID):
            send.channel._api._invalid.note(403, {}, lent.now_us() / 1e6)
    with pytest.raises(Throttled):
        await send(to(Text("x"), thread=fake.GENERAL))
    assert fake.requests == 0


async def test_what_cannot_have_arrived_is_not_sent(fake: FakeDiscord, send: Sender) -> None:
    fake.faults = Faults(error_every=1)
    with pytest.raises(NotSent):
        await send(to(Text("x"), thread=fake.GENERAL))
    fake.faults = Faults(drop_after=1)
    with pytest.raises(NotSent):  # opening the direct messages: nobody has seen a word
        await send(to(Text("x")))
    assert fake.sent == []
    with pytest.raises(NotSent):
        await send(to(Text("x")), base_url="http://127.0.0.1:1")
