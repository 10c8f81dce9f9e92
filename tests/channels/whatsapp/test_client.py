"""The WhatsApp channel against its fake: what is sent, what is refused and how, files both ways."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from irisx_channels.whatsapp import WhatsApp, outgoing
from irisx_channels.whatsapp.failures import MEANINGS, failure
from irisx_channels.whatsapp.fake import FILE_LIVES_S, NUMBER, FakeWhatsApp, error
from irisx_sdk import (
    Account,
    Address,
    ChannelError,
    Choice,
    Content,
    Deletion,
    File,
    Interactive,
    Location,
    Media,
    Misconfigured,
    NotSent,
    Option,
    Outbound,
    OutcomeUnknown,
    Reaction,
    Refused,
    Sent,
    Template,
    Text,
    Throttled,
    Tools,
    Typing,
)
from irisx_sdk.fake import Answer, Call, Faults
from irisx_sdk.testing import account, running, tools

CHANNEL = WhatsApp()
ANN = "+15005550006"


@pytest.fixture
def fake() -> Iterator[FakeWhatsApp]:
    with running(FakeWhatsApp()) as made:
        made.do(made.say, ANN, "hello")
        yield made


def outbound(content: Content, **more: Any) -> Outbound:
    fields: dict[str, Any] = {"to": Address("phone", ANN), "last_inbound_us": time.time_ns() // 1000} | more
    return Outbound("msg_1", content=content, **fields)


async def send(
    fake: FakeWhatsApp, content: Content, held: dict[str, bytes] | None = None, **more: Any
) -> Sent:
    async with tools(held) as lent:
        return await CHANNEL.send(account(fake), outbound(content, **more), lent)


def body(fake: FakeWhatsApp) -> dict[str, Any]:
    found: dict[str, Any] = fake.sent[-1].raw
    return found


async def test_a_text_is_accepted_and_queued(fake: FakeWhatsApp) -> None:
    sent = await send(fake, Text("Guten Tag ☀"), reply_to="wamid.0")
    assert sent == Sent(ids=(fake.sent[0].id,), state="queued")
    assert (fake.sent[0].to, fake.sent[0].text, fake.sent[0].reference) == (ANN, "Guten Tag ☀", "msg_1")
    assert body(fake)["context"] == {"message_id": "wamid.0"}


@pytest.mark.asyncio_loop
async def test_the_channel_works_on_asyncio_too(fake: FakeWhatsApp) -> None:
    await send(fake, Media(File("a.png", "image/png", id="fil_1")), {"fil_1": b"png"})
    assert fake.sent[0].media


async def test_a_person_without_a_number_is_written_to_by_user_id(fake: FakeWhatsApp) -> None:
    fake.do(fake.say, "US.13", "hello")
    await send(fake, Text("x"), to=Address("user", "US.13"))
    assert body(fake)["recipient"] == "US.13"
    assert "to" not in body(fake)


async def test_a_group_is_answered_in_the_group(fake: FakeWhatsApp) -> None:
    fake.always_open = True
    await send(fake, Text("x"), thread="g1")
    assert (body(fake)["recipient_type"], body(fake)["to"]) == ("group", "g1")


async def test_the_number_that_was_written_to_answers(fake: FakeWhatsApp) -> None:
    with pytest.raises(Misconfigured) as refused:
        await send(fake, Text("x"), context={"phone_number_id": "200000000000099"})
    assert refused.value.code == "33"  # the fake has no such number: it was asked for it
    await send(fake, Text("x"), context={"phone_number_id": NUMBER})


# The window --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last_us", [0, time.time_ns() // 1000 - 86_400_000_000], ids=["never", "a day ago"])
async def test_outside_the_window_free_text_is_refused_before_anybody_is_asked(
    fake: FakeWhatsApp, last_us: int
) -> None:
    before = fake.requests
    for content in (Text("x"), Location(1, 2), Reaction("wamid.0", "👍")):
        with pytest.raises(Refused) as refused:
            await send(fake, content, last_inbound_us=last_us)
        assert refused.value.code == "131047"
    assert fake.requests == before


async def test_outside_the_window_a_template_goes(fake: FakeWhatsApp) -> None:
    await send(fake, Template("hello_world"), last_inbound_us=0, to=Address("phone", "+1999"))
    assert body(fake)["template"] == {"name": "hello_world", "language": {"code": "en"}}


async def test_a_window_that_only_meta_knows_to_be_closed_has_the_same_code(fake: FakeWhatsApp) -> None:
    with pytest.raises(Refused) as refused:
        await send(fake, Text("x"), to=Address("phone", "+1999"))
    assert refused.value.code == "131047"


async def test_a_refusal_may_come_later_as_a_status(fake: FakeWhatsApp) -> None:
    fake.late_refusals = True
    await send(fake, Text("x"), to=Address("phone", "+1999"))
    (told,) = fake.receipt(fake.sent[0], "delivered")
    (found,) = CHANNEL.parse_webhook(account(fake), fake.request(told)).statuses
    assert (found.state, found.code, found.reference) == ("failed", "131047", "msg_1")


# Kinds of messages -------------------------------------------------------------------------------------------------


async def test_a_template_is_filled(fake: FakeWhatsApp) -> None:
    header = Media(File("bill.pdf", "application/pdf", id="fil_1"))
    filled = Template("order_ready", "en_US", ("Ann", "42"), header, ("YES", "", "url:orders/42"))
    await send(fake, filled, {"fil_1": b"%PDF"})
    file = fake.sent[0].raw["template"]["components"][0]["parameters"][0]["document"]["id"]
    assert fake.files[file] == (b"%PDF", "application/pdf")
    assert body(fake)["template"]["components"] == [
        {
            "type": "header",
            "parameters": [{"type": "document", "document": {"id": file, "filename": "bill.pdf"}}],
        },
        {"type": "body", "parameters": [{"type": "text", "text": "Ann"}, {"type": "text", "text": "42"}]},
        {
            "type": "button",
            "index": "0",
            "sub_type": "quick_reply",
            "parameters": [{"type": "payload", "payload": "YES"}],
        },
        {
            "type": "button",
            "index": "2",
            "sub_type": "url",
            "parameters": [{"type": "text", "text": "orders/42"}],
        },
    ]


@pytest.mark.parametrize(
    ("template", "code"),
    [(Template("nobody"), "132001"), (Template("order_ready", "en_US", ("1",)), "132000")],
)
async def test_a_wrong_template_is_refused(fake: FakeWhatsApp, template: Template, code: str) -> None:
    with pytest.raises(Refused) as refused:
        await send(fake, template)
    assert refused.value.code == code


OPTIONS = (Option("1", "Yes"), Option("2", "No", "not today"))


async def test_a_few_answers_are_buttons(fake: FakeWhatsApp) -> None:
    await send(fake, Interactive("Come?", OPTIONS, header="Party", footer="IRISX"))
    assert body(fake)["interactive"] == {
        "type": "button",
        "body": {"text": "Come?"},
        "header": {"type": "text", "text": "Party"},
        "footer": {"text": "IRISX"},
        "action": {
            "buttons": [
                {"type": "reply", "reply": {"id": "1", "title": "Yes"}},
                {"type": "reply", "reply": {"id": "2", "title": "No"}},
            ]
        },
    }


async def test_answers_with_a_label_are_a_list(fake: FakeWhatsApp) -> None:
    await send(fake, Interactive("Come?", OPTIONS, label="Choose"))
    rows = [{"id": "1", "title": "Yes"}, {"id": "2", "title": "No", "description": "not today"}]
    assert body(fake)["interactive"]["action"] == {
        "button": "Choose",
        "sections": [{"title": "Choose", "rows": rows}],
    }


async def test_a_place_a_sign_and_a_link_go_as_they_are(fake: FakeWhatsApp) -> None:
    await send(fake, Location(52.5, 13.4, name="Office"))
    assert body(fake)["location"] == {"latitude": 52.5, "longitude": 13.4, "name": "Office"}
    await send(fake, Reaction("wamid.0", ""))
    assert body(fake)["reaction"] == {"message_id": "wamid.0", "emoji": ""}
    await send(fake, Media(File("", "image/png", url="https://cdn.example/a.png"), "image"))
    assert body(fake)["image"] == {"link": "https://cdn.example/a.png"}


async def test_typing_marks_the_last_message_read_and_shows_itself(fake: FakeWhatsApp) -> None:
    context = {"message_id": "wamid.7"}
    assert await send(fake, Typing(), context=context) == Sent(ids=())
    await send(fake, Typing(on=False), context=context)
    assert await send(fake, Typing()) == Sent(ids=())  # nothing to mark: nobody is asked
    mark = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.7"}
    assert fake.read == [mark | {"typing_indicator": {"type": "text"}}, mark]
    assert not fake.sent


async def test_a_text_with_a_file_is_one_message(fake: FakeWhatsApp) -> None:
    file = File("plan.pdf", "application/pdf", id="fil_1")
    await send(fake, Text("the plan"), {"fil_1": b"%PDF"}, files=(file,))
    document = body(fake)["document"]
    assert (document["caption"], document["filename"]) == ("the plan", "plan.pdf")
    assert fake.files[document["id"]] == (b"%PDF", "application/pdf")


def test_a_picture_that_is_too_big_for_one_goes_as_a_document() -> None:
    assert outgoing.kind_of(File(media_type="image/png", size=5 << 20)) == "image"
    assert outgoing.kind_of(File(media_type="image/png", size=(5 << 20) + 1)) == "document"
    assert outgoing.kind_of(File(media_type="audio/ogg; codecs=opus")) == "audio"


async def test_a_spoken_message_is_marked_as_one(fake: FakeWhatsApp) -> None:
    await send(fake, Media(File("v.ogg", "audio/ogg", content=b"OggS"), "voice"))
    assert body(fake)["audio"]["voice"] is True


PICTURE = Media(File("a.png", "image/png", id="fil_1"), "image")
MANY = tuple(Option(str(number), "x") for number in range(11))


@pytest.mark.parametrize(
    "message",
    [
        outbound(Text("  ")),
        outbound(Text("x" * 4097)),
        outbound(Media(File(id="1"), "sticker", caption="x")),
        outbound(Media(File(id="1", size=6 << 20), "image")),
        outbound(Media(File(id="1"), caption="x" * 1025)),
        outbound(PICTURE, files=(File(id="2"),)),
        outbound(Text("x"), files=(File(id="1"), File(id="2"))),
        outbound(Location(1, 2), files=(File(id="1"),)),
        outbound(Interactive("?", MANY[:4])),
        outbound(Interactive("?", MANY, label="Choose")),
        outbound(Interactive("?", ())),
        outbound(Interactive("?", (Option("1", "x"), Option("1", "y")))),
        outbound(Interactive("?", (Option("1", "x" * 21),))),
        outbound(Location(91, 0)),
        outbound(Deletion("wamid.0")),
        outbound(Choice("1")),
    ],
)
def test_what_whatsapp_cannot_do_is_refused_with_a_code(message: Outbound) -> None:
    with pytest.raises(Refused) as refused:
        outgoing.check(message, time.time_ns() // 1000)
    assert refused.value.code


async def test_a_file_that_is_too_big_is_refused_when_its_size_was_not_told(fake: FakeWhatsApp) -> None:
    with pytest.raises(Refused):
        await send(fake, PICTURE, {"fil_1": b"x" * (5 << 20) + b"x"})
    assert not fake.files


# Failures ----------------------------------------------------------------------------------------------------------


async def test_a_wrong_token_is_the_accounts_fault(fake: FakeWhatsApp) -> None:
    async with tools() as lent:
        with pytest.raises(Misconfigured) as refused:
            await CHANNEL.send(account(fake, access_token="other"), outbound(Text("x")), lent)
    assert (refused.value.code, fake.unauthorized) == ("190", 1)
    assert "other" not in str(refused.value)


async def test_too_fast_to_one_person_waits(fake: FakeWhatsApp) -> None:
    fake.pair_limit = True
    await send(fake, Text("1"))
    with pytest.raises(Throttled) as refused:
        await send(fake, Text("2"))
    assert (refused.value.code, refused.value.retry_after_s) == ("131056", 6.0)


async def test_an_unreachable_person_is_refused(fake: FakeWhatsApp) -> None:
    fake.gone.add(ANN)
    with pytest.raises(Refused) as refused:
        await send(fake, Text("1"))
    assert (refused.value.code, refused.value.opted_out) == ("131026", False)


async def test_a_connection_cut_after_sending_leaves_the_outcome_open(fake: FakeWhatsApp) -> None:
    fake.faults = Faults(drop_after=1)
    with pytest.raises(OutcomeUnknown):
        await send(fake, Text("1"))
    assert len(fake.sent) == 1


async def test_a_connection_cut_while_uploading_means_not_sent(fake: FakeWhatsApp) -> None:
    fake.faults = Faults(drop_after=1)
    with pytest.raises(NotSent):
        await send(fake, PICTURE, {"fil_1": b"png"})
    assert not fake.sent


@pytest.mark.parametrize(
    ("faults", "kind"), [(Faults(throttle_every=1), Throttled), (Faults(error_every=1), NotSent)]
)
async def test_throttles_and_failures_of_theirs_are_told_apart(
    fake: FakeWhatsApp, faults: Faults, kind: type[ChannelError]
) -> None:
    fake.faults = faults
    with pytest.raises(kind):
        await send(fake, Text("1"))


async def test_nobody_there_means_not_sent(fake: FakeWhatsApp) -> None:
    async with tools() as lent:
        with pytest.raises(NotSent):
            await CHANNEL.send(account(fake, base_url="http://127.0.0.1:1"), outbound(Text("x")), lent)


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (200, b"", OutcomeUnknown),
        (302, b"", Misconfigured),
        (401, b"", Misconfigured),
        (404, b"<html>", Misconfigured),
        (429, b"", Throttled),
        (500, b"", OutcomeUnknown),
        (502, b"<html>", OutcomeUnknown),
        (503, b"", NotSent),
        (400, b'{"error":{"code":999,"message":"new"}}', Refused),
        (500, b'{"error":{"code":999,"message":"new"}}', OutcomeUnknown),
        (500, b'{"error":{"code":1,"message":"unknown"}}', OutcomeUnknown),
        (400, b'{"error":{"code":1,"message":"unknown"}}', NotSent),
        (403, b'{"error":{"code":230,"message":"permission"}}', Misconfigured),
        (400, b'{"error":{"code":0,"message":"auth"}}', Misconfigured),
    ],
)
def test_an_answer_means_what_it_says(status: int, text: bytes, kind: type[ChannelError]) -> None:
    assert type(failure(status, text, None)) is kind


@pytest.mark.parametrize("code", MEANINGS)
def test_every_code_has_words_for_people(code: int) -> None:
    answer = error(code, "their words").raw()[0]
    found = failure(400, answer, None)
    assert str(found) == MEANINGS[code].text
    assert found.code == str(code)


# Files that came ---------------------------------------------------------------------------------------------------


async def fetched(channel: WhatsApp, given: Account, name: str, lent: Tools) -> bytes:
    return b"".join([piece async for piece in channel.fetch(given, File(id=name), lent)])


async def test_a_picture_that_came_is_fetched_in_two_steps(fake: FakeWhatsApp) -> None:
    (told,) = fake.do(fake.say, ANN, "look", media=1)
    (found,) = CHANNEL.parse_webhook(account(fake), fake.request(told)).messages
    assert isinstance(found.content, Media)
    async with tools() as lent:
        content = await fetched(CHANNEL, account(fake), found.content.file.id, lent)
    assert content == fake.files[found.content.file.id][0]


async def test_a_file_whose_address_has_expired_is_gone(fake: FakeWhatsApp) -> None:
    name = fake.do(fake.keep, b"x", "image/png")
    fake.clock = iter_clock(time.time(), time.time() + FILE_LIVES_S + 1)
    async with tools() as lent:
        with pytest.raises(Refused):
            await fetched(CHANNEL, account(fake), name, lent)


def iter_clock(*times: float) -> Any:
    left = list(times)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


async def test_an_unknown_file_is_refused(fake: FakeWhatsApp) -> None:
    async with tools() as lent:
        with pytest.raises(Refused):
            await fetched(CHANNEL, account(fake), "123", lent)


async def test_a_file_that_changed_on_the_way_is_not_believed(fake: FakeWhatsApp) -> None:
    name = fake.do(fake.keep, b"whole", "image/png")

    async def changed(call: Call) -> Answer:
        return Answer(200, b"other")

    fake._patterns.insert(0, ("GET", fake._patterns[0][1], changed, True))
    async with tools() as lent:
        with pytest.raises(NotSent):
            await fetched(CHANNEL, account(fake), name, lent)


async def test_the_token_goes_to_metas_hosts_only() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.url.host == "graph.facebook.com":
            return httpx.Response(200, json={"url": targets.pop(), "id": "1"})
        if request.url.path == "/moved":
            return httpx.Response(302, headers={"location": "https://evil.example/x"})
        return httpx.Response(200, content=b"file")

    given = Account(
        "acc", msgspec.structs.replace(FakeWhatsApp().settings, base_url="https://graph.facebook.com")
    )
    targets = ["https://lookaside.fbsbx.com/moved", "http://lookaside.fbsbx.com/x", "https://evil.example/x",
               "https://fbsbx.com.evil.example/x", "https://[", ""]  # fmt: skip
    async with tools(transport=httpx.MockTransport(answer)) as lent:
        while targets:
            with pytest.raises(Refused):
                await fetched(CHANNEL, given, "1", lent)
        targets.append("https://lookaside.fbsbx.com/good")
        assert await fetched(CHANNEL, given, "1", lent) == b"file"
    assert {request.url.host for request in asked} == {"graph.facebook.com", "lookaside.fbsbx.com"}
    assert all("authorization" in request.headers for request in asked)


async def test_a_working_account_says_its_number(fake: FakeWhatsApp) -> None:
    async with tools() as lent:
        assert await CHANNEL.check(account(fake), lent) == "+1 555-000-1111 · Fake · quality green"
        with pytest.raises(Misconfigured):
            await CHANNEL.check(account(fake, access_token="x"), lent)


def test_the_whole_exchange_of_webhooks_is_believed(fake: FakeWhatsApp) -> None:
    given = account(fake)
    assert CHANNEL.parse_webhook(given, fake.request(fake.handshake())).reply.body == b"1158201444"
    (told,) = fake.do(fake.say, ANN, "Grüße ☀", user_id="US.7", name="Ann")
    assert b"\\u00fc" in told.body
    (found,) = CHANNEL.parse_webhook(given, fake.request(told)).messages
    assert (found.content, found.sender) == (Text("Grüße ☀"), Address("phone", ANN, "Ann"))
    assert found.aliases == (Address("user", "US.7", "Ann"),)
