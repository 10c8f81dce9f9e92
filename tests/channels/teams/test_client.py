"""The Teams channel against its fake: tokens, conversations, threads, files, and what failures mean."""

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from irisx_channels.teams import Teams, outgoing
from irisx_channels.teams.failures import failure, token_failure
from irisx_channels.teams.fake import BOT, TOKEN_S, FakeTeams
from irisx_channels.teams.settings import TeamsSettings
from irisx_channels.teams.tokens import EARLY_S
from irisx_sdk import (
    Account,
    Address,
    ChannelError,
    Content,
    Deletion,
    Edit,
    File,
    Inbound,
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
    Typing,
)
from irisx_sdk.fake import Faults
from irisx_sdk.testing import account, running, tools

KIM = "29:kim"
PNG = b"\x89PNG"
THREAD = "19:abc@thread.tacv2;messageid=1700"


@pytest.fixture
def fake() -> Iterator[FakeTeams]:
    with running(FakeTeams()) as made:
        made.channel = Teams()  # one that knows no tokens yet
        yield made


def read(fake: FakeTeams, text: str = "hello", **more: Any) -> Inbound:
    """What somebody wrote."""
    keys = {
        fake.settings.metadata_url: msgspec.json.encode({"jwks_uri": f"{fake.base}/v1/.well-known/keys"}),
        f"{fake.base}/v1/.well-known/keys": msgspec.json.encode(fake.keyring()),
    }
    (told,) = fake.do(fake.say, KIM, text, **more)
    given = msgspec.structs.replace(account(fake), keys=keys)
    return fake.channel.parse_webhook(given, fake.request(told)).messages[0]


def answer(to: Inbound, content: Content, **more: Any) -> Outbound:
    return Outbound("msg_1", to.sender, content, **({"thread": to.thread, "context": to.context} | more))


async def send(
    fake: FakeTeams, message: Outbound, held: dict[str, bytes] | None = None, **changes: Any
) -> Sent:
    async with tools(held) as lent:
        return await fake.channel.send(account(fake, **changes), message, lent)


def raw(fake: FakeTeams) -> dict[str, Any]:
    found: dict[str, Any] = fake.sent[-1].raw
    return found


async def test_an_answer_goes_into_the_conversation(fake: FakeTeams) -> None:
    met = read(fake)
    assert await send(fake, answer(met, Text("Guten Tag ☀"))) == Sent(ids=(fake.sent[0].id,))
    assert (raw(fake)["text"], raw(fake)["textFormat"]) == ("Guten Tag ☀", "plain")
    assert (raw(fake)["from"], raw(fake)["recipient"]) == ({"id": BOT}, {"id": KIM})


@pytest.mark.asyncio_loop
async def test_the_channel_works_on_asyncio_too(fake: FakeTeams) -> None:
    await send(fake, answer(read(fake), Text("x")))
    assert len(fake.sent) == 1


async def test_a_thread_of_a_channel_is_answered_in_the_thread(fake: FakeTeams) -> None:
    met = read(fake, place=THREAD)
    sent = await send(fake, answer(met, Text("x"), reply_to=met.id))
    activity = met.id.rpartition("|")[2]
    assert raw(fake)["path"] == f"/v3/conversations/{THREAD}/activities/{activity}"
    assert raw(fake)["replyToId"] == activity
    assert sent.ids[0].startswith("19:abc@thread.tacv2|")


async def test_a_reference_to_another_conversation_is_left_out(fake: FakeTeams) -> None:
    await send(fake, answer(read(fake), Text("x"), reply_to="a:other|17"))
    assert "replyToId" not in raw(fake)


async def test_a_person_who_never_wrote_gets_a_conversation_first(fake: FakeTeams) -> None:
    sent = await send(fake, Outbound("msg_1", Address("user", KIM), Text("x")))
    assert sent.context == {"conversation_id": f"a:{KIM}", "service_url": fake.base}
    assert sent.ids == (fake.sent[0].id,)
    again = await send(fake, Outbound("msg_2", Address("user", KIM), Text("y"), context=sent.context))
    assert again.context == {}


async def test_a_conversation_that_could_not_be_opened_means_not_sent(fake: FakeTeams) -> None:
    message = Outbound("msg_1", Address("user", KIM), Text("x"))
    async with tools() as lent:
        await fake.channel.tokens.get(fake.settings, lent)
        fake.faults = Faults(drop_after=1)
        with pytest.raises(NotSent):
            await fake.channel.send(account(fake), message, lent)
    assert not fake.sent


# Tokens ------------------------------------------------------------------------------------------------------------


async def test_a_token_is_asked_for_once(fake: FakeTeams) -> None:
    met = read(fake)
    for _ in range(3):
        await send(fake, answer(met, Text("x")))
    assert fake.tokens_given == 1


async def test_a_token_is_renewed_before_it_ends(fake: FakeTeams) -> None:
    async with tools() as lent:
        now = lent.now_us()
        for after_s, given in ((0, 1), (TOKEN_S - EARLY_S - 1, 1), (TOKEN_S - EARLY_S, 2)):
            later = msgspec.structs.replace(lent, now_us=lambda after_s=after_s: now + after_s * 1_000_000)
            await fake.channel.tokens.get(fake.settings, later)
            assert fake.tokens_given == given


async def test_a_token_that_was_withdrawn_is_renewed_and_the_message_sent_once(fake: FakeTeams) -> None:
    met = read(fake)
    await send(fake, answer(met, Text("1")))
    fake.tokens.clear()
    await send(fake, answer(met, Text("2")))
    assert ([one.text for one in fake.sent], fake.tokens_given) == (["1", "2"], 2)


async def test_two_accounts_never_share_a_token(fake: FakeTeams) -> None:
    met = read(fake)
    await send(fake, answer(met, Text("x")))
    with pytest.raises(Misconfigured) as refused:
        await send(fake, answer(met, Text("y")), app_secret="other")
    assert refused.value.code == "invalid_client"
    assert "other" not in str(refused.value)
    assert len(fake.sent) == 1


async def test_sign_in_that_breaks_off_means_not_sent(fake: FakeTeams) -> None:
    fake.faults = Faults(drop_after=1)
    with pytest.raises(NotSent):
        await send(fake, answer(read(fake), Text("x")))


async def test_an_account_without_a_bot_cannot_send(fake: FakeTeams) -> None:
    with pytest.raises(Misconfigured):
        await send(fake, answer(read(fake), Text("x")), app_id="")


async def test_the_token_goes_to_teams_only(fake: FakeTeams) -> None:
    asked: list[httpx.Request] = []

    def reply(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.url.host == "login.microsoftonline.com":
            return httpx.Response(200, json={"access_token": "tok", "expires_in": 3600})
        return httpx.Response(200, json={"id": "1"})

    given = Account("acc", TeamsSettings(app_id="a", app_secret="s"))
    met = read(fake)
    async with tools(transport=httpx.MockTransport(reply)) as lent:
        for url in (
            "https://evil.example/",
            "http://smba.trafficmanager.net/",
            "https://smba.trafficmanager.net/amer/",
        ):
            context = met.context | {"service_url": url}
            await Teams().send(given, answer(met, Text("x"), context=context), lent)
        files = [
            File(url="https://sharepoint.example/f?sig=1"),
            File(url="https://smba.trafficmanager.net/v3/a"),
        ]
        for file in files:
            [piece async for piece in Teams().fetch(given, file, lent)]
        for url in ("http://smba.trafficmanager.net/v3/a", "http://127.0.0.1/x", "ftp://[", ""):
            with pytest.raises((Refused, NotSent)):
                [piece async for piece in Teams().fetch(given, File(url=url), lent)]
    with_token = {str(one.url) for one in asked if one.headers.get("authorization") == "Bearer tok"}
    assert all(url.startswith("https://smba.trafficmanager.net/") for url in with_token)
    assert {one.url.host for one in asked} == {
        "login.microsoftonline.com", "smba.trafficmanager.net", "sharepoint.example",
    }  # fmt: skip


# Kinds of messages -------------------------------------------------------------------------------------------------


async def test_a_picture_travels_inside_the_message(fake: FakeTeams) -> None:
    picture = Media(File("a.png", "image/png", id="fil_1"), "image", "look")
    linked = File("b.pdf", "application/pdf", url="https://cdn.example/b.pdf")
    await send(fake, answer(read(fake), picture, files=(linked,)), {"fil_1": PNG})
    inside, link = raw(fake)["attachments"]
    assert inside["contentUrl"] == "data:image/png;base64," + base64.b64encode(PNG).decode()
    assert link["contentUrl"] == "https://cdn.example/b.pdf"
    assert raw(fake)["text"] == "look"


async def test_a_few_answers_are_buttons_and_many_a_list(fake: FakeTeams) -> None:
    met = read(fake)
    options = tuple(Option(str(number), f"No. {number}") for number in range(7))
    await send(fake, answer(met, Interactive("Which?", options[:2], header="Tea", footer="IRISX")))
    card = raw(fake)["attachments"][0]["content"]
    assert [action["data"] for action in card["actions"]] == [
        {"irisx_choice": "0", "title": "No. 0"},
        {"irisx_choice": "1", "title": "No. 1"},
    ]
    await send(fake, answer(met, Interactive("Which?", options)))
    card = raw(fake)["attachments"][0]["content"]
    assert [choice["value"] for choice in card["body"][1]["choices"]] == [option.id for option in options]


async def test_what_was_sent_can_be_changed_and_taken_back(fake: FakeTeams) -> None:
    met = read(fake)
    (name,) = (await send(fake, answer(met, Text("old")))).ids
    await send(fake, answer(met, Edit(name, "new")))
    await send(fake, answer(met, Deletion(name)))
    await send(fake, answer(met, Typing()))
    await send(fake, answer(met, Typing(on=False)))
    assert [(kind, body.get("text", "")) for kind, body in fake.changes] == [
        ("PUT", "new"),
        ("DELETE", ""),
        ("typing", ""),
    ]
    # Without the thread the name says where it is.
    await send(fake, Outbound("msg_2", Address("user", KIM), Edit(name, "newer")))
    assert fake.changes[-1][1]["text"] == "newer"


TO = Address("user", KIM)


@pytest.mark.parametrize(
    "message",
    [
        Outbound("m", TO, Text(" ")),
        Outbound("m", TO, Text("x" * 20_001)),
        Outbound("m", TO, Edit("a|1", "x" * 20_001)),
        Outbound("m", TO, Text("x"), context={"one_way": "1"}),
        Outbound("m", TO, Media(File("a.pdf", "application/pdf", id="1"))),
        Outbound("m", TO, Media(File("a.png", "image/png", id="1", size=(150 << 10) + 1))),
        Outbound("m", TO, Text("x"), files=tuple(File(url="https://x.example/") for _ in range(11))),
        Outbound("m", TO, Interactive("?", ())),
        Outbound("m", TO, Template("hello")),
        Outbound("m", TO, Location(1, 2)),
        Outbound("m", TO, Reaction("a|1", "👍")),
    ],
)
def test_what_teams_cannot_do_is_refused(message: Outbound) -> None:
    with pytest.raises(Refused) as refused:
        outgoing.check(message)
    assert refused.value.code


async def test_pictures_that_are_too_big_together_are_refused_before_anything_is_asked(
    fake: FakeTeams,
) -> None:
    files = (File("a.png", "image/png", id="1"), File("b.png", "image/png", id="2"))
    before = fake.requests
    with pytest.raises(Refused):
        await send(
            fake, answer(read(fake), Text("x"), files=files), {"1": b"x" * 100_000, "2": b"y" * 100_000}
        )
    assert fake.requests == before


# Failures ----------------------------------------------------------------------------------------------------------


async def test_somebody_who_removed_the_bot_wants_nothing_more(fake: FakeTeams) -> None:
    fake.removed.add(KIM)
    with pytest.raises(Refused) as refused:
        await send(fake, answer(read(fake), Text("x")))
    assert (refused.value.code, refused.value.opted_out) == ("MessageWritesBlocked", True)


async def test_a_conversation_that_is_gone_is_refused(fake: FakeTeams) -> None:
    with pytest.raises(Refused) as refused:
        await send(fake, answer(read(fake), Text("x"), thread="gone"))
    assert (refused.value.code, refused.value.opted_out) == ("ConversationNotFound", False)


async def test_a_throttle_says_how_long(fake: FakeTeams) -> None:
    met = read(fake)
    await send(fake, answer(met, Text("1")))
    fake.faults = Faults(throttle_every=1)
    with pytest.raises(Throttled) as refused:
        await send(fake, answer(met, Text("2")))
    assert (refused.value.code, refused.value.retry_after_s) == ("ActivityThrottled", 2.0)


async def test_a_connection_cut_after_sending_leaves_the_outcome_open(fake: FakeTeams) -> None:
    met = read(fake)
    await send(fake, answer(met, Text("1")))
    fake.faults = Faults(drop_after=1)
    with pytest.raises(OutcomeUnknown):
        await send(fake, answer(met, Text("2")))
    assert len(fake.sent) == 2


@pytest.mark.parametrize(
    ("status", "word", "kind"),
    [
        (400, "BadSyntax", Refused),
        (401, "AuthorizationError", Misconfigured),
        (403, "BotNotInConversationRoster", Refused),
        (403, "ForbiddenOperationException", Refused),
        (404, "ConversationNotFound", Refused),
        (412, "PreconditionFailed", NotSent),
        (413, "MessageSizeTooBig", Refused),
        (429, "Throttled", Throttled),
        (500, "ServiceError", OutcomeUnknown),
        (502, "BadGateway", NotSent),
        (503, "ServiceUnavailable", NotSent),
        (504, "GatewayTimeout", OutcomeUnknown),
    ],
)
def test_what_may_be_tried_again_is_what_was_certainly_not_done(
    status: int, word: str, kind: type[ChannelError]
) -> None:
    body = msgspec.json.encode({"error": {"code": word, "message": "their words"}})
    found = failure(status, body, None)
    assert (type(found), found.code) == (kind, word)
    assert type(failure(status, b"<html>", None)) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Misconfigured), (401, Misconfigured), (429, Throttled), (500, NotSent), (503, NotSent)],
)
def test_without_a_token_nothing_was_sent(status: int, kind: type[ChannelError]) -> None:
    assert type(token_failure(status, b'{"error":"x"}', 1.0)) is kind


# Files that came ---------------------------------------------------------------------------------------------------


async def fetched(fake: FakeTeams, file: File) -> bytes:
    async with tools() as lent:
        return b"".join([piece async for piece in fake.channel.fetch(account(fake), file, lent)])


async def test_pictures_and_shared_files_can_be_fetched(fake: FakeTeams) -> None:
    picture, plan = read(fake, "look", media=1, shared=1).files
    assert (await fetched(fake, picture)).startswith(PNG)
    assert await fetched(fake, plan) == b"%PDF fake"


async def test_an_address_that_is_not_valid_any_more_is_refused(fake: FakeTeams) -> None:
    with pytest.raises(Refused):
        await fetched(fake, File(url=f"{fake.base}/shared/plan"))


async def test_a_file_that_is_moved_about_ends_in_our_errors(fake: FakeTeams) -> None:
    targets = [
        "https://a.example/2",
        "https://[",
        "http://a.example/",
        "/again",
        "/again",
        "/again",
        "/again",
    ]

    def moved(request: httpx.Request) -> httpx.Response:
        return httpx.Response(302, headers={"location": targets.pop(0)})

    async with tools(transport=httpx.MockTransport(moved)) as lent:
        for _ in range(3):
            with pytest.raises((NotSent, Refused)):
                [
                    piece
                    async for piece in fake.channel.fetch(
                        account(fake), File(url="https://a.example/1"), lent
                    )
                ]
    assert len(targets) < 3


async def test_a_working_account_says_so(fake: FakeTeams) -> None:
    async with tools() as lent:
        assert "gives it tokens" in await fake.channel.check(account(fake), lent)
        with pytest.raises(Misconfigured):
            await fake.channel.check(account(fake, app_secret="other"), lent)
        only = Account("acc", TeamsSettings(outgoing_token="eA=="))
        assert "at once only" in await fake.channel.check(only, lent)
