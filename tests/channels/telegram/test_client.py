"""The Telegram channel against its fake: sending, polling, files, and a token that nobody sees."""

import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import msgspec
import pytest
import trio

from irisx_channels.telegram import Telegram, client, outgoing
from irisx_channels.telegram.failures import failure
from irisx_channels.telegram.fake import FakeTelegram
from irisx_channels.telegram.place import Place
from irisx_sdk import (
    Address,
    ChannelError,
    Choice,
    Content,
    Deletion,
    Edit,
    File,
    Interactive,
    Location,
    Media,
    Misconfigured,
    NotSent,
    Option,
    Outbound,
    OutcomeUnknown,
    Parsed,
    Reaction,
    Refused,
    Sent,
    Template,
    Text,
    Throttled,
    Tools,
    Typing,
)
from irisx_sdk.fake import Faults
from irisx_sdk.testing import account, running, tools

CHANNEL = Telegram()
KIM = "1001"
GROUP = {"id": -100_123, "type": "group", "title": "Team"}


@pytest.fixture
def fake() -> Iterator[FakeTelegram]:
    with running(FakeTelegram()) as made:
        made.started_by.add(KIM)
        yield made


def outbound(content: Content, **more: Any) -> Outbound:
    return Outbound("msg_1", content=content, **({"to": Address("user", KIM)} | more))


async def send(
    fake: FakeTelegram, content: Content, held: dict[str, bytes] | None = None, **more: Any
) -> Sent:
    async with tools(held) as lent:
        return await CHANNEL.send(account(fake), outbound(content, **more), lent)


def raw(fake: FakeTelegram) -> dict[str, Any]:
    found: dict[str, Any] = fake.sent[-1].raw
    return found


async def test_a_text_goes_to_the_person(fake: FakeTelegram) -> None:
    assert await send(fake, Text("Guten Tag ☀")) == Sent(ids=(fake.sent[0].id,))
    assert (fake.sent[0].to, fake.sent[0].text) == (KIM, "Guten Tag ☀")


@pytest.mark.asyncio_loop
async def test_the_channel_works_on_asyncio_too(fake: FakeTelegram) -> None:
    await send(fake, Media(File("a.png", "image/png", id="fil_1"), "image"), {"fil_1": b"png"})
    assert fake.files[fake.sent[0].media[0]] == b"png"


async def test_an_answer_goes_to_its_thread_and_names_what_it_answers(fake: FakeTelegram) -> None:
    fake.started_by.add("-100123")
    await send(fake, Text("x"), thread="-100123/9", reply_to="-100123:12")
    assert (raw(fake)["chat_id"], raw(fake)["message_thread_id"]) == ("-100123", 9)
    assert raw(fake)["reply_parameters"] == {"message_id": 12, "allow_sending_without_reply": True}


async def test_a_group_that_moved_gets_the_message_in_its_new_chat(fake: FakeTelegram) -> None:
    fake.moved["-100123"] = "-100999"
    fake.started_by |= {"-100123", "-100999"}
    sent = await send(fake, Text("x"), thread="-100123")
    assert sent == Sent(ids=(fake.sent[0].id,), context={"chat_id": "-100999"})
    assert [one.to for one in fake.sent] == ["-100999"]
    await send(fake, Text("y"), thread="-100123", context=sent.context)
    assert fake.sent[1].to == "-100999"


async def test_answers_to_choose_from_are_buttons(fake: FakeTelegram) -> None:
    options = (Option("y", "Yes"), Option("n", "No", "not today"))
    await send(fake, Interactive("Come?", options, header="Party"))
    assert raw(fake)["text"] == "Party\n\nCome?"
    assert raw(fake)["reply_markup"]["inline_keyboard"] == [
        [{"text": "Yes", "callback_data": "y"}],
        [{"text": "No: not today", "callback_data": "n"}],
    ]
    fake.webhook_url = "https://irisx.example/in"
    (told,) = fake.do(fake.press, KIM, "n", fake.sent[0])
    (found,) = CHANNEL.parse_webhook(account(fake), fake.request(told)).messages
    assert (found.content, found.reply_to) == (Choice("n", "No: not today"), fake.sent[0].id)


async def test_places_are_sent_with_and_without_a_name(fake: FakeTelegram) -> None:
    await send(fake, Location(52.5, 13.4))
    assert "title" not in raw(fake)
    await send(fake, Location(52.5, 13.4, "Office"))
    assert (raw(fake)["title"], raw(fake)["address"]) == ("Office", "Office")


async def test_what_was_sent_can_be_changed_taken_back_and_answered_with_a_sign(fake: FakeTelegram) -> None:
    (name,) = (await send(fake, Text("old"))).ids
    number = int(name.rpartition(":")[2])
    await send(fake, Edit(name, "new"))
    await send(fake, Edit(name, "old"))  # the fake still has it so: nothing to do is no failure
    await send(fake, Reaction(name, "👍"))
    await send(fake, Reaction(name, ""))
    await send(fake, Typing())
    await send(fake, Typing(on=False))
    await send(fake, Deletion(name))
    await send(fake, Deletion(f"{KIM}:999"))  # already gone
    assert fake.changes == [
        ("editMessageText", {"chat_id": KIM, "message_id": number, "text": "new"}),
        (
            "setMessageReaction",
            {"chat_id": KIM, "message_id": number, "reaction": [{"type": "emoji", "emoji": "👍"}]},
        ),
        ("setMessageReaction", {"chat_id": KIM, "message_id": number, "reaction": []}),
        ("sendChatAction", {"chat_id": KIM, "action": "typing"}),
        ("deleteMessage", {"chat_id": KIM, "message_id": number}),
    ]


async def test_the_words_below_a_picture_can_be_changed(fake: FakeTelegram) -> None:
    picture = Media(File("a.png", "image/png", content=b"png"), "image", "old")
    (name,) = (await send(fake, picture)).ids
    await send(fake, Edit(name, "new"))
    assert fake.changes[-1][0] == "editMessageCaption"


async def test_a_text_with_files_is_one_group(fake: FakeTelegram) -> None:
    files = (File("a.png", "image/png", id="1"), File("", "image/jpeg", url="https://cdn.example/b.jpg"))
    sent = await send(fake, Text("look"), {"1": b"png"}, files=files)
    assert sent.ids == tuple(one.id for one in fake.sent)
    assert [one.text for one in fake.sent] == ["look", ""]
    assert fake.files[fake.sent[0].media[0]] == b"png"
    assert fake.sent[1].media == ("https://cdn.example/b.jpg",)


async def test_files_that_cannot_be_grouped_go_as_documents(fake: FakeTelegram) -> None:
    files = (File("a.png", "image/png", content=b"1"), File("b.pdf", "application/pdf", content=b"2"))
    await send(fake, Text("look"), files=files)
    assert [item["type"] for item in raw(fake)["media"]] == ["document", "document"]
    assert [one.text for one in fake.sent] == ["", "look"]


@pytest.mark.parametrize(
    "message",
    [
        outbound(Text(" ")),
        outbound(Text("x" * 4097)),
        outbound(Edit("1:1", "x" * 4097)),
        outbound(Edit("nonsense", "x")),
        outbound(Media(File(content=b"x"), caption="x" * 1025)),
        outbound(Media(File(content=b"x"), "sticker", caption="x")),
        outbound(Media(File(size=51 << 20, id="1"))),
        outbound(Text("x"), files=tuple(File(id=str(number)) for number in range(11))),
        outbound(Interactive("?", ())),
        outbound(Interactive("?", (Option("ä" * 33, "x"),))),
        outbound(Location(91, 0)),
        outbound(Template("hello")),
    ],
)
def test_what_telegram_cannot_do_is_refused(message: Outbound) -> None:
    with pytest.raises(Refused) as refused:
        outgoing.ask(message)
    assert refused.value.code or isinstance(message.content, Template)


def test_an_answers_id_may_have_64_bytes() -> None:
    assert outgoing.ask(outbound(Interactive("?", (Option("ä" * 32, "x"),)))) is not None


# Failures ----------------------------------------------------------------------------------------------------------


async def test_somebody_who_blocked_the_bot_wants_nothing_more(fake: FakeTelegram) -> None:
    fake.blocked.add(KIM)
    with pytest.raises(Refused) as refused:
        await send(fake, Text("x"))
    assert (refused.value.code, refused.value.opted_out) == ("blocked", True)


async def test_somebody_who_never_wrote_cannot_be_written_to(fake: FakeTelegram) -> None:
    with pytest.raises(Refused) as refused:
        await send(fake, Text("x"), to=Address("user", "5"))
    assert (refused.value.code, refused.value.opted_out) == ("no_chat", False)


async def test_a_throttle_says_how_long(fake: FakeTelegram) -> None:
    fake.faults = Faults(throttle_every=1)
    with pytest.raises(Throttled) as refused:
        await send(fake, Text("x"))
    assert refused.value.retry_after_s == 1.0


async def test_a_connection_cut_after_sending_leaves_the_outcome_open(fake: FakeTelegram) -> None:
    fake.faults = Faults(drop_after=1)
    with pytest.raises(OutcomeUnknown):
        await send(fake, Text("x"))
    assert len(fake.sent) == 1


@pytest.mark.parametrize(
    ("status", "sentence", "kind", "code"),
    [
        (400, "Bad Request: chat not found", Refused, "no_chat"),
        (400, "Bad Request: message text is empty", Refused, "empty"),
        (400, "Bad Request: message is too long", Refused, "too_long"),
        (400, "Bad Request: can't parse entities: unexpected end", Refused, "400"),
        (400, "Bad Request: query is too old and response timeout expired", Refused, "too_old"),
        (401, "Unauthorized", Misconfigured, "401"),
        (403, "Forbidden: user is deactivated", Refused, "deactivated"),
        (403, "Forbidden: bot was kicked from the supergroup chat", Refused, "kicked"),
        (403, "Forbidden: bot is not a member of the channel chat", Refused, "not_member"),
        (403, "Forbidden: bot can't initiate conversation with a user", Refused, "not_started"),
        (403, "Forbidden: bot can't send messages to bots", Refused, "is_bot"),
        (404, "Not Found", Misconfigured, "404"),
        (409, "Conflict: terminated by other getUpdates request; make sure…", NotSent, "409"),
        (413, "Request Entity Too Large", Refused, "413"),
        (429, "Too Many Requests: retry after 7", Throttled, "429"),
        (500, "Internal Server Error: restart", OutcomeUnknown, "500"),
    ],
)
def test_a_refusal_means_what_its_sentence_says(
    status: int, sentence: str, kind: type[ChannelError], code: str
) -> None:
    body = msgspec.json.encode({"ok": False, "error_code": status, "description": sentence})
    found = failure(status, body, 3.0)
    assert (type(found), found.code) == (kind, code)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, Misconfigured),
        (413, Refused),
        (429, Throttled),
        (502, OutcomeUnknown),
        (503, NotSent),
        (504, OutcomeUnknown),
    ],
)
def test_an_answer_of_a_proxy_on_the_way_is_read_by_its_status(status: int, kind: type[ChannelError]) -> None:
    assert type(failure(status, b"<html>")) is kind


# The token ---------------------------------------------------------------------------------------------------------


async def test_the_token_is_in_no_log_and_no_error(
    fake: FakeTelegram, caplog: pytest.LogCaptureFixture
) -> None:
    for library in (
        "",
        "httpx",
        "httpcore",
    ):  # (a test before may have quieted them, as processes of ours do)
        caplog.set_level(logging.DEBUG, logger=library or None)
    name = fake.do(fake.keep, b"x")
    await send(fake, Text("x"))
    async with tools() as lent:
        assert b"".join([piece async for piece in CHANNEL.fetch(account(fake), File(id=name), lent)]) == b"x"
        gone = account(fake, base_url="http://127.0.0.1:1")
        with pytest.raises(NotSent) as unsent:
            await CHANNEL.send(gone, outbound(Text("x")), lent)
        odd = account(fake, token=fake.token + "\n")
        with pytest.raises(ChannelError) as refused:
            await CHANNEL.send(odd, outbound(Text("x")), lent)
    # (The fake's own server logs here too.)
    logged = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("http"))
    assert "/bot…" in logged
    secret = fake.token.partition(":")[2]
    for text in (logged, str(unsent.value), str(refused.value), repr(unsent.value.__context__)):
        assert secret not in text


async def test_a_download_that_breaks_says_nothing_of_its_address(fake: FakeTelegram) -> None:
    def cut(request: httpx.Request) -> httpx.Response:
        if "/file/" in request.url.path:
            raise httpx.ReadError(f"broke at {request.url}")
        return httpx.Response(200, json={"ok": True, "result": {"file_path": "a/b.png"}})

    async with tools(transport=httpx.MockTransport(cut)) as lent:
        with pytest.raises(NotSent) as failed:
            [piece async for piece in CHANNEL.fetch(account(fake), File(id="1"), lent)]
    assert "AA" not in str(failed.value)


@pytest.mark.parametrize(
    ("path", "status", "size", "kind"),
    [
        ("a/b.png", 404, 0, Refused),
        ("a/b.png", 500, 0, NotSent),
        ("a/b.png", 200, 99, NotSent),
        ("../../getMe", 200, 0, Refused),
        ("", 200, 0, Refused),
    ],
)
async def test_a_file_that_is_not_there_or_not_whole_is_not_believed(
    fake: FakeTelegram, path: str, status: int, size: int, kind: type[ChannelError]
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "/file/" in request.url.path:
            return httpx.Response(status, content=b"file")
        return httpx.Response(200, json={"ok": True, "result": {"file_path": path, "file_size": size}})

    async with tools(transport=httpx.MockTransport(answer)) as lent:
        with pytest.raises(kind):
            [piece async for piece in CHANNEL.fetch(account(fake), File(id="1"), lent)]


async def test_a_picture_that_came_can_be_fetched(fake: FakeTelegram) -> None:
    fake.webhook_url = "https://irisx.example/in"
    (told,) = fake.do(fake.say, KIM, "look", media=1)
    (found,) = CHANNEL.parse_webhook(account(fake), fake.request(told)).messages
    assert isinstance(found.content, Media)
    async with tools() as lent:
        content = b"".join([piece async for piece in CHANNEL.fetch(account(fake), found.content.file, lent)])
    assert content == fake.files[found.content.file.id]


# Polling -----------------------------------------------------------------------------------------------------------


class Platform:
    """What is stored, and a place that is kept."""

    def __init__(self, lent: Tools, fail: int = 0) -> None:
        self.stored: list[str] = []
        self.fail = fail
        self.kept = b""
        self.saves: list[int] = []
        self.tools = msgspec.structs.replace(lent, load=self.load, save=self.save)
        self.news = trio.Event()

    async def load(self) -> bytes:
        return self.kept

    async def save(self, place: bytes) -> None:
        self.saves.append(len(self.stored))
        self.kept = place

    async def deliver(self, parsed: Parsed) -> None:
        if self.fail:
            self.fail -= 1
            raise RuntimeError("the database is away")
        self.stored += [
            message.content.text for message in parsed.messages if isinstance(message.content, Text)
        ]
        self.news.set()

    async def until(self, count: int) -> None:
        while len(self.stored) < count:
            self.news = trio.Event()
            await self.news.wait()


@contextlib.asynccontextmanager
async def listening(fake: FakeTelegram, platform: Platform) -> AsyncIterator[None]:
    """The channel holds its connection for as long as the block lasts."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(CHANNEL.listen, account(fake), platform.tools, platform.deliver)
        yield
        nursery.cancel_scope.cancel()


async def said(fake: FakeTelegram, *texts: str) -> None:
    for text in texts:
        await trio.to_thread.run_sync(fake.do, fake.say, KIM, text)


async def test_what_is_said_arrives_and_is_confirmed_only_when_it_is_stored(fake: FakeTelegram) -> None:
    async with tools() as lent:
        platform = Platform(lent)
        await said(fake, "one", "two")
        async with listening(fake, platform):
            await platform.until(2)
            await said(fake, "three")
            await platform.until(3)
            while len(platform.saves) < 2:
                await trio.sleep(0.01)
    assert platform.stored == ["one", "two", "three"]
    assert platform.saves == [2, 3]
    assert [poll.get("offset") for poll in fake.polls[:2]] == [None, 1003]
    assert fake.polls[0]["timeout"] == client.POLL_S
    assert "message_reaction" in fake.polls[0]["allowed_updates"]


async def test_nothing_is_confirmed_when_storing_failed(fake: FakeTelegram) -> None:
    async with tools() as lent:
        platform = Platform(lent, fail=1)
        await said(fake, "one")
        with pytest.raises(RuntimeError):
            await CHANNEL.listen(account(fake), platform.tools, platform.deliver)
        assert (platform.kept, len(fake.held)) == (b"", 1)
        async with listening(fake, platform):
            await platform.until(1)
    assert platform.stored == ["one"]


async def test_a_new_start_goes_on_where_the_last_one_stored(fake: FakeTelegram) -> None:
    async with tools() as lent:
        platform = Platform(lent)
        await said(fake, "stored before", "new")
        platform.kept = Place("7000000001").after(1001, lent.now_us()).written()
        async with listening(fake, platform):
            await platform.until(1)
    assert platform.stored == ["new"]


async def test_a_pressed_button_is_acknowledged_when_polling(fake: FakeTelegram) -> None:
    await send(fake, Interactive("?", (Option("y", "Yes"),)))
    async with tools() as lent:
        platform = Platform(lent)
        await trio.to_thread.run_sync(fake.do, fake.press, KIM, "y", fake.sent[0])
        async with listening(fake, platform):
            while not fake.changes:
                await trio.sleep(0.01)
    assert fake.changes[0][0] == "answerCallbackQuery"


async def test_an_update_that_cannot_be_read_does_not_hold_up_the_others(fake: FakeTelegram) -> None:
    async with tools() as lent:
        platform = Platform(lent)
        await trio.to_thread.run_sync(fake.do, fake.update, "callback_query", {"data": "from nobody"})
        await said(fake, "after it")
        async with listening(fake, platform):
            await platform.until(1)
    assert platform.stored == ["after it"]


async def test_a_webhook_that_is_set_only_makes_polling_wait(
    fake: FakeTelegram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "WEBHOOK_LOOK_S", 0.05)
    fake.webhook_url = "http://127.0.0.1:1"
    async with tools() as lent:
        platform = Platform(lent)
        async with listening(fake, platform):
            while not fake.requests:
                await trio.sleep(0.01)
            fake.webhook_url = ""
            await said(fake, "now by polling")
            await platform.until(1)
    assert platform.stored == ["now by polling"]


async def test_setting_a_webhook_ends_polling_and_removing_it_begins_it(fake: FakeTelegram) -> None:
    async with tools() as lent:
        for method, status in (("setWebhook", 409), ("deleteWebhook", 200)):
            url = {"url": "http://127.0.0.1:1/in", "secret_token": "new"} if method == "setWebhook" else {}
            await lent.http.post(f"{fake.base}/bot{fake.token}/{method}", json=url)
            assert (
                await lent.http.post(f"{fake.base}/bot{fake.token}/getUpdates", json={})
            ).status_code == status
    assert fake.settings.secret_token == "new"


async def test_a_throttled_poll_waits_as_long_as_it_was_told(
    autojump_clock: trio.testing.MockClock,
) -> None:
    asked: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(trio.current_time())
        body = {"ok": False, "error_code": 429, "description": "slow", "parameters": {"retry_after": 7}}
        return httpx.Response(429, json=body) if len(asked) < 3 else httpx.Response(401, json={"ok": False})

    async with tools(transport=httpx.MockTransport(answer)) as lent:
        with pytest.raises(Misconfigured):
            await CHANNEL.listen(account(FakeTelegram()), lent, Platform(lent).deliver)
    assert [round(after - before) for before, after in itertools.pairwise(asked)] == [7, 7]


async def test_two_pollers_are_told_apart(fake: FakeTelegram) -> None:
    async with tools() as lent, trio.open_nursery() as nursery:
        failed: list[ChannelError] = []

        async def first() -> None:
            try:
                await CHANNEL.listen(account(fake), lent, Platform(lent).deliver)
            except NotSent as error:
                failed.append(error)
                nursery.cancel_scope.cancel()

        nursery.start_soon(first)
        while not fake.polls:
            await trio.sleep(0.01)
        nursery.start_soon(CHANNEL.listen, account(fake), lent, Platform(lent).deliver)
    assert "another program" in str(failed[0])


async def test_polling_can_be_switched_off(autojump_clock: trio.testing.MockClock) -> None:
    async with tools(transport=httpx.MockTransport(lambda request: httpx.Response(500))) as lent:
        with trio.move_on_after(3600) as scope:
            await CHANNEL.listen(account(FakeTelegram(), poll=False), lent, Platform(lent).deliver)
    assert scope.cancelled_caught


async def test_a_working_account_says_how_messages_come(fake: FakeTelegram) -> None:
    async with tools() as lent:
        assert await CHANNEL.check(account(fake), lent) == "@irisx_fake_bot · polling"
        assert "no messages come" in await CHANNEL.check(account(fake, poll=False), lent)
        fake.webhook_url = "https://irisx.example/in"
        assert await CHANNEL.check(account(fake), lent) == "@irisx_fake_bot · webhook set, 0 waiting"
        assert "refused" in await CHANNEL.check(account(fake, secret_token=""), lent)
