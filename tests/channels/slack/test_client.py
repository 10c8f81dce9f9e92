"""The Slack channel against the fake workspace: what it sends, what it fetches, and what errors mean."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from irisx_channels.slack import answers, bodies
from irisx_channels.slack.client import Slack
from irisx_channels.slack.fake import FakeSlack
from irisx_sdk.channel import Parsed, Tools
from irisx_sdk.errors import ChannelError, Misconfigured, NotSent, OutcomeUnknown, Refused, Throttled
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
)
from irisx_sdk.testing import account, running, tools

CHANNEL = Slack()
BOTH_LOOPS = pytest.mark.parametrize(
    "loop", [pytest.param("trio"), pytest.param("asyncio", marks=pytest.mark.asyncio_loop)]
)
ANN = "U0ANN"


@pytest.fixture
def fake() -> Iterator[FakeSlack]:
    with running(FakeSlack(seed=1)) as it:
        yield it


def to(content: Content, **more: Any) -> Outbound:
    return Outbound("01J0000000000000000000000A", Address("user", ANN), content, **more)


async def send(fake: FakeSlack, message: Outbound, lent: Tools | None = None) -> Sent:
    if lent is not None:
        return await CHANNEL.send(account(fake), message, lent)
    async with tools() as made:
        return await CHANNEL.send(account(fake), message, made)


def heard(fake: FakeSlack, deliveries: list[Delivery]) -> Parsed:
    (delivery,) = deliveries
    return CHANNEL.parse_webhook(account(fake), fake.request(delivery))


@BOTH_LOOPS
async def test_a_person_is_written_to_and_the_answer_is_in_the_same_place(fake: FakeSlack, loop: str) -> None:
    sent = await send(fake, to(Text("Hello <b> & *you*")))
    assert [(one.id, one.to, one.text) for one in fake.sent] == [(sent.ids[0], ANN, "Hello <b> & *you*")]
    found = heard(fake, fake.say(ANN, "Hi & <bye>")).messages[0]
    assert found.content == Text("Hi & <bye>")
    assert found.thread == sent.context["channel"] == sent.ids[0].partition(":")[0]
    again = await send(fake, to(Text("yes"), thread=found.thread, reply_to=found.id))
    assert fake.messages[again.ids[0]]["channel"] == found.thread
    assert "thread_ts" not in fake.messages[again.ids[0]]


async def test_an_answer_to_a_channel_s_post_goes_into_its_thread(fake: FakeSlack) -> None:
    post = heard(fake, fake.say(ANN, "help", channel=fake.GENERAL)).messages[0]
    sent = await send(fake, to(Text("coming"), thread=post.thread, reply_to=post.id))
    assert fake.messages[sent.ids[0]]["thread_ts"] == post.id.partition(":")[2]
    only_reply = await send(fake, to(Text("here"), reply_to=post.id))
    assert fake.messages[only_reply.ids[0]]["thread_ts"] == post.id.partition(":")[2]


async def test_a_mention_is_told_twice_and_is_one_message(fake: FakeSlack) -> None:
    twice = fake.say(ANN, "you there?", channel=fake.GENERAL, mention=True)
    assert len(twice) == 2
    assert len({heard(fake, [one]).messages[0].id for one in twice}) == 1


@pytest.mark.parametrize("label", ["", "Pick one"])
async def test_a_question_is_asked_and_the_choice_comes_back(fake: FakeSlack, label: str) -> None:
    options = (Option("a", "Apples & pears", "" if not label else "Fruit"), Option("b", "Bread"))
    asked = await send(fake, to(Interactive("What?", options, label=label, header="Shop", footer="Until 5")))
    parsed = heard(fake, fake.press(ANN, asked.ids[0], "a"))
    (found,) = parsed.messages
    assert found.content == Choice("a", "Apples & pears")
    assert (found.reply_to, found.sender.value) == (asked.ids[0], ANN)


async def test_a_command_is_answered_directly_even_from_where_the_app_is_not(fake: FakeSlack) -> None:
    found = heard(fake, fake.command(ANN, "/help", "my laptop <3")).messages[0]
    assert found.content == Text("/help my laptop <3")
    await send(fake, to(Text("we come"), thread=found.thread, reply_to=""))
    assert fake.sent[0].to == ANN


@BOTH_LOOPS
async def test_files_go_up_in_three_steps_and_come_down_with_the_token(fake: FakeSlack, loop: str) -> None:
    media = Media(File("a.png", "image/png", id="f1"), "image", caption="look & see")
    async with tools({"f1": b"PNG" * 1000}) as lent:
        sent = await send(fake, to(media, files=(File("b.txt", "text/plain", content=b"bee"),)), lent)
        assert fake.sent[0].media == ("a.png", "b.txt")
        assert (fake.sent[0].text, fake.sent[0].to, fake.sent[0].id) == ("look & see", ANN, sent.ids[0])
        assert [fake.contents[id] for id in sent.ids] == [b"PNG" * 1000, b"bee"]

        found = heard(fake, fake.say(ANN, "", files=[("c.png", "image/png", b"see" * 100_000)])).messages[0]
        assert isinstance(found.content, Media)
        file = found.content.file
        pieces = [piece async for piece in CHANNEL.fetch(account(fake), file, lent)]
        assert b"".join(pieces) == b"see" * 100_000
        by_id = msgspec.structs.replace(file, url="")
        assert b"".join([p async for p in CHANNEL.fetch(account(fake), by_id, lent)]) == b"see" * 100_000


async def test_a_page_to_sign_in_at_is_not_taken_for_the_file(fake: FakeSlack) -> None:
    kept = fake.keep_file("c.png", "image/png", b"see")
    file = File("c.png", "image/png", id=kept["id"], url=kept["url_private"])
    async with tools() as lent:
        with pytest.raises(Misconfigured):
            [piece async for piece in CHANNEL.fetch(account(fake, bot_token="xoxb-old"), file, lent)]
        with pytest.raises(Refused):
            [
                piece
                async for piece in CHANNEL.fetch(
                    account(fake), msgspec.structs.replace(file, url=fake.base + "/files/F0/x"), lent
                )
            ]


async def test_the_token_is_given_to_slack_only(fake: FakeSlack) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=b"x")

    async with tools(transport=httpx.MockTransport(answer)) as lent:
        for url in (
            "https://evil.example/f",
            "https://slack.com.evil.example/f",
            "http://files.slack.com/f",
            "https://[/",
        ):
            with pytest.raises(Refused):
                [piece async for piece in CHANNEL.fetch(account(fake), File(url=url), lent)]
        assert asked == []
        [piece async for piece in CHANNEL.fetch(account(fake), File(url="https://files.slack.com/f"), lent)]
        assert asked[0].headers["authorization"] == f"Bearer {fake.bot_token}"


async def test_our_messages_are_changed_and_taken_back_and_doing_it_twice_is_no_error(
    fake: FakeSlack,
) -> None:
    sent = await send(fake, to(Text("one")))
    await send(fake, to(Edit(sent.ids[0], "two & three")))
    assert fake.messages[sent.ids[0]]["text"] == "two &amp; three"
    await send(fake, to(Deletion(sent.ids[0])))
    assert sent.ids[0] not in fake.messages
    await send(fake, to(Deletion(sent.ids[0])))
    theirs = heard(fake, fake.say(ANN, "mine")).messages[0].id
    for content in (Edit(sent.ids[0], "x"), Edit(theirs, "x"), Deletion(theirs), Edit("nonsense", "x")):
        with pytest.raises(Refused):
            await send(fake, to(content))


async def test_people_change_and_take_back_theirs(fake: FakeSlack) -> None:
    first = heard(fake, fake.say(ANN, "one")).messages[0]
    edit = heard(fake, fake.edit(first.id, "two")).messages[0]
    assert edit.content == Edit(first.id, "two")
    gone = heard(fake, fake.erase(first.id)).messages[0]
    assert (gone.content, gone.sender.value) == (Deletion(first.id), ANN)
    assert len({first.id, edit.id, gone.id}) == 3


async def test_signs_are_put_and_taken_away(fake: FakeSlack) -> None:
    theirs = heard(fake, fake.say(ANN, "nice")).messages[0].id
    await send(fake, to(Reaction(theirs, "👍")))
    await send(fake, to(Reaction(theirs, "👍")))
    await send(fake, to(Reaction(theirs, ":irisx:")))
    assert fake.messages[theirs]["signs"] == {"+1": [fake.bot_user], "irisx": [fake.bot_user]}
    await send(fake, to(Reaction(theirs)))
    assert fake.messages[theirs]["signs"] == {"+1": [], "irisx": []}
    with pytest.raises(Refused):
        await send(fake, to(Reaction(theirs, "🦑")))
    sign = heard(fake, fake.react(ANN, theirs, "tada")).messages[0]
    assert sign.content == Reaction(theirs, "🎉")


async def test_our_own_messages_come_back_as_events_and_are_left_out(fake: FakeSlack) -> None:
    await send(fake, to(Text("one")))
    (ours,) = [message for message in fake.messages.values() if message["user"] == fake.bot_user]
    assert heard(fake, fake.event(ours)).messages == ()


@pytest.mark.parametrize(
    ("thread", "code"),
    [
        ("C0ELSEWHERE", "not_in_channel"),
        ("C0ARCHIVED", "is_archived"),
        ("U0GONE", "channel_not_found"),
        ("C7", "channel_not_found"),
    ],
)
async def test_where_nothing_can_be_written_the_reason_is_said(
    fake: FakeSlack, thread: str, code: str
) -> None:
    with pytest.raises(Refused) as refused:
        await send(fake, to(Text("x"), thread=thread))
    assert refused.value.code == code
    assert fake.sent == []


@pytest.mark.parametrize(
    "message",
    [
        to(Text("")),
        to(Text("x" * 4001)),
        to(Location(1, 2)),
        to(Interactive("x", ())),
        to(Interactive("x", tuple(Option(str(n), "t") for n in range(26)))),
        to(Interactive("x", (Option("a", "t"), Option("a", "t")))),
        to(Interactive("x", (Option("a", "t" * 76),))),
        to(Interactive("x", (Option("a", "t"),)), files=(File(content=b"x"),)),
        to(Text("x"), files=tuple(File(content=b"x") for _ in range(11))),
    ],
)
async def test_what_slack_would_not_take_is_refused_before_anything_is_sent(
    fake: FakeSlack, message: Outbound
) -> None:
    with pytest.raises(Refused):
        await send(fake, message)
    assert fake.requests == 0


async def test_a_text_is_counted_before_it_is_escaped(fake: FakeSlack) -> None:
    await send(fake, to(Text("&" * bodies.MAX_TEXT)))
    assert fake.sent[0].text == "&" * bodies.MAX_TEXT


async def test_wrong_tokens_are_the_account_s_fault_and_say_nothing_secret(fake: FakeSlack) -> None:
    async with tools() as lent:
        for settings in (
            {"bot_token": "xoxb-wrong"},
            {"bot_token": fake.app_token},
            {"bot_token": "xoxb-\n"},
        ):
            with pytest.raises(Misconfigured) as wrong:
                await CHANNEL.send(account(fake, **settings), to(Text("x")), lent)
            assert "xoxb-w" not in str(wrong.value)
            with pytest.raises(Misconfigured):
                await CHANNEL.check(account(fake, **settings), lent)
        assert await CHANNEL.check(account(fake), lent) == "connected as irisx in Fake Workspace"


async def test_too_fast_is_told_with_the_time_to_wait(fake: FakeSlack) -> None:
    fake.faults = Faults(throttle_every=1)
    with pytest.raises(Throttled) as throttled:
        await send(fake, to(Text("x")))
    assert throttled.value.retry_after_s == 1


async def test_a_post_that_may_have_arrived_is_unknown_and_one_that_cannot_have_is_not_sent(
    fake: FakeSlack,
) -> None:
    fake.faults = Faults(drop_after=1)
    with pytest.raises(OutcomeUnknown):
        await send(fake, to(Text("x")))
    assert len(fake.sent) == 1
    with pytest.raises(NotSent):  # the first of the three steps: nobody has seen a file
        await send(fake, to(Media(File("a", content=b"x"))))
    fake.faults = Faults(error_every=1)
    with pytest.raises(NotSent):
        await send(fake, to(Text("x")))
    assert len(fake.sent) == 1
    async with tools() as lent:
        nobody = account(fake, base_url="http://127.0.0.1:1/api")
        with pytest.raises(NotSent):
            await CHANNEL.send(nobody, to(Text("x")), lent)


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        *[(200, {"ok": False, "error": code}, Refused) for code in answers.REFUSED],
        *[(200, {"ok": False, "error": code}, Misconfigured) for code in answers.MISCONFIGURED],
        *[(200, {"ok": False, "error": code}, NotSent) for code in sorted(answers.NOT_SENT)],
        *[(200, {"ok": False, "error": code}, Throttled) for code in sorted(answers.THROTTLED)],
        *[(200, {"ok": False, "error": code}, OutcomeUnknown) for code in sorted(answers.MAYBE)],
        (200, {"ok": False, "error": "a_word_of_tomorrow"}, Refused),
        (200, {"ok": False}, OutcomeUnknown),
        (500, {"ok": False, "error": "internal_error"}, OutcomeUnknown),
        (502, "<html>", OutcomeUnknown),
        (503, "<html>", NotSent),
        (429, {"ok": False, "error": "ratelimited"}, Throttled),
        (401, "", Misconfigured),
    ],
)
def test_each_answer_has_its_meaning(status: int, body: Any, meaning: type[ChannelError]) -> None:
    with pytest.raises(ChannelError) as raised:
        answers.read_answer(status, {}, json.dumps(body).encode(), None)
    assert type(raised.value) is meaning


def test_a_missing_permission_is_named() -> None:
    body = b'{"ok":false,"error":"missing_scope","needed":"chat:write","provided":"channels:read"}'
    with pytest.raises(Misconfigured, match="chat:write"):
        answers.read_answer(200, {}, body, None)


def test_old_requests_are_refused_by_the_channel(fake: FakeSlack) -> None:
    (delivery,) = fake.say(ANN, "x")
    replayed = msgspec.structs.replace(fake.request(delivery), received_us=int((time.time() + 400) * 1e6))
    with pytest.raises(ChannelError):
        CHANNEL.parse_webhook(account(fake), replayed)


def test_the_challenge_is_answered(fake: FakeSlack) -> None:
    assert heard(fake, [fake.handshake("abc")]).reply.body == b"abc"
