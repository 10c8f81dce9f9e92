"""Activities of Teams, read; and who may bring them."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx_channels.teams import Teams, codec, proof
from irisx_channels.teams.fake import APP, BOT, FakeTeams
from irisx_channels.teams.settings import TeamsSettings, trusted
from irisx_sdk import (
    Account,
    Address,
    BadSignature,
    ChannelError,
    Choice,
    Deletion,
    Edit,
    Inbound,
    Malformed,
    Media,
    NeedsKey,
    Parsed,
    Preference,
    Reaction,
    Request,
    Status,
    Text,
    Typing,
    Unsupported,
)
from irisx_sdk.fake import Delivery

CHANNEL = Teams()
NOW = 1_800_000_000.0
THREAD = "19:abc@thread.tacv2;messageid=1700"


def make() -> FakeTeams:
    fake = FakeTeams(clock=lambda: NOW)
    fake.base = "https://smba.trafficmanager.net"
    return fake


FAKE = make()
SETTINGS = msgspec.structs.replace(
    FAKE.settings, metadata_url="https://login.botframework.com/v1/.well-known/openidconfiguration"
)
KEYS_URL = "https://login.botframework.com/v1/.well-known/keys"


def documents(jwks: str = KEYS_URL, keys: Any = None) -> dict[str, bytes]:
    ring = keys if keys is not None else FAKE.keyring()
    return {SETTINGS.metadata_url: json.dumps({"jwks_uri": jwks}).encode(), jwks: json.dumps(ring).encode()}


def posted(delivery: Delivery, keys: dict[str, bytes] | None = None, later_s: float = 0) -> Parsed:
    account = Account("acc", SETTINGS, documents() if keys is None else keys)
    return CHANNEL.parse_webhook(account, FAKE.request(delivery, age_s=later_s))


def one(delivery: Delivery) -> Inbound:
    (found,) = posted(delivery).messages
    return found


def said(text: str, **more: Any) -> Inbound:
    return one(FAKE.say("29:kim", text, **more)[0])


# Who sent it -------------------------------------------------------------------------------------------------------


def test_a_message_of_teams_is_believed() -> None:
    found = said("Hi")
    assert found.content == Text("Hi")
    assert (found.sender, found.recipient) == (Address("user", "29:kim", "Kim"), Address("user", BOT, "Fake"))
    assert found.aliases == (Address("user", "0000-29:kim", "Kim"),)
    assert found.sent_us == int(NOW) * 1_000_000


def test_the_keys_are_asked_for_one_document_after_the_other() -> None:
    (delivery,) = FAKE.say("29:kim", "x")
    with pytest.raises(NeedsKey) as first:
        posted(delivery, {})
    assert (first.value.url, first.value.keep_s) == (SETTINGS.metadata_url, 86_400)
    with pytest.raises(NeedsKey) as second:
        posted(delivery, {SETTINGS.metadata_url: documents()[SETTINGS.metadata_url]})
    assert (second.value.url, second.value.keep_s) == (KEYS_URL, 3600)


@pytest.mark.parametrize(
    "jwks",
    [
        "https://evil.example/keys",
        "http://login.botframework.com/keys",
        "",
        "https://botframework.com.evil.example/k",
    ],
)
def test_keys_of_somebody_else_are_never_asked_for(jwks: str) -> None:
    (delivery,) = FAKE.say("29:kim", "x")
    with pytest.raises(BadSignature):
        posted(delivery, {SETTINGS.metadata_url: json.dumps({"jwks_uri": jwks}).encode()})


def with_token(bearer: str, **fields: Any) -> Delivery:
    delivery = FAKE.activity("message", "29:kim", text="x", **fields)
    return msgspec.structs.replace(delivery, headers={"Authorization": bearer})


@pytest.mark.parametrize(
    "bearer",
    [
        lambda: "",
        lambda: "Bearer ",
        lambda: "Bearer a.b.c",
        lambda: "Basic eDp5",
        lambda: FAKE.bearer(kid="unknown"),
        lambda: FAKE.bearer(key=1),
        lambda: FAKE.bearer(aud="somebody else"),
        lambda: FAKE.bearer(aud=None),
        lambda: FAKE.bearer(iss="https://sts.windows.net/x/"),
        lambda: FAKE.bearer(iss=None),
        lambda: FAKE.bearer(exp=None),
        lambda: FAKE.bearer(exp="soon"),
        lambda: FAKE.bearer(exp=int(NOW) - 301),
        lambda: FAKE.bearer(nbf=int(NOW) + 301),
        lambda: FAKE.bearer(serviceurl="https://other.example/"),
        lambda: FAKE.bearer(serviceurl=None),
        lambda: FAKE.bearer() + "x",
    ],
)
def test_a_token_that_is_wrong_anywhere_is_refused(bearer: Callable[[], str]) -> None:
    with pytest.raises(BadSignature):
        posted(with_token(bearer()))


def test_clocks_may_differ_by_five_minutes() -> None:
    assert posted(with_token(FAKE.bearer(exp=int(NOW) - 299))).messages
    assert posted(with_token(FAKE.bearer(nbf=int(NOW) + 299))).messages


def test_an_unsigned_token_and_one_signed_with_the_public_key_as_a_secret_are_refused() -> None:
    import jwt

    claims = {"iss": SETTINGS.issuer, "aud": APP, "exp": int(NOW) + 60, "serviceurl": FAKE.base}
    kid = FAKE.keyring()["keys"][0]["kid"]
    unsigned = jwt.encode(claims, "", algorithm="none", headers={"kid": kid})
    shared = jwt.encode(claims, "x" * 32, algorithm="HS256", headers={"kid": kid})
    for token in (unsigned, shared):
        with pytest.raises(BadSignature):
            posted(with_token(f"Bearer {token}"))


def test_a_key_speaks_only_for_the_channels_it_is_endorsed_for() -> None:
    ring = FAKE.keyring()
    ring["keys"][0]["endorsements"] = ["webchat"]
    with pytest.raises(BadSignature):
        posted(FAKE.say("29:kim", "x")[0], documents(keys=ring))
    with pytest.raises(BadSignature):
        posted(with_token(FAKE.bearer(), channelId="webchat"))


def test_the_slash_behind_a_service_url_makes_no_difference() -> None:
    assert posted(with_token(FAKE.bearer(serviceurl=FAKE.base))).messages


@pytest.mark.parametrize("ring", [{}, {"keys": [1]}, [], {"keys": [{"kid": "fake-key-1"}]}])
def test_keys_that_cannot_be_read_prove_nothing(ring: Any) -> None:
    with pytest.raises(BadSignature):
        posted(FAKE.say("29:kim", "x")[0], documents(keys=ring))


TOKEN = "dGVhbXMgb3V0Z29pbmcgd2ViaG9vayBzaGFyZWQga2V5"
VECTOR = "HMAC 68M9nQf7KUuF37mcCx3D8Cs0HM7IRoeWQRCbjV9TlQM="


def test_the_published_signature_of_an_outgoing_webhook_is_right() -> None:
    assert proof.outgoing_signature(TOKEN, b'{"type":"message","text":"hi"}') == VECTOR


def hooked(body: bytes, given: str, settings: TeamsSettings) -> Parsed:
    return CHANNEL.parse_webhook(
        Account("a", settings), Request("POST", "https://x", {"authorization": given}, body, 0)
    )


def test_an_outgoing_webhook_is_answered_at_once() -> None:
    activity = {
        "type": "message",
        "id": "1",
        "text": "<at>Help</at> hi",
        "from": {"id": "29:kim"},
        "conversation": {"id": THREAD},
    }
    body = json.dumps(activity).encode()
    settings = TeamsSettings(outgoing_token=TOKEN, outgoing_answer="We will see.")
    found = hooked(body, proof.outgoing_signature(TOKEN, body), settings)
    assert json.loads(found.reply.body) == {"type": "message", "text": "We will see."}
    assert (found.messages[0].content, found.messages[0].context) == (Text("@Help hi"), {"one_way": "1"})


@pytest.mark.parametrize("given", [VECTOR[:-2] + "R=", "HMAC ", "HMAC é", VECTOR.lower()])
def test_a_wrong_signature_of_an_outgoing_webhook_is_refused(given: str) -> None:
    with pytest.raises(BadSignature):
        hooked(b'{"type":"message","text":"hi"}', given, TeamsSettings(outgoing_token=TOKEN))


@pytest.mark.parametrize("token", ["", "not base64!"])
def test_without_a_security_token_no_outgoing_webhook_is_believed(token: str) -> None:
    with pytest.raises(BadSignature):
        hooked(b"{}", VECTOR, TeamsSettings(outgoing_token=token))


@pytest.mark.parametrize(
    ("url", "is_trusted"),
    [
        ("https://smba.trafficmanager.net/amer/", True),
        ("https://smba.infra.gov.teams.microsoft.us/x", True),
        ("https://europe.botframework.com", True),
        ("http://smba.trafficmanager.net/amer/", False),
        ("https://evil.example/smba.trafficmanager.net", False),
        ("https://smba.trafficmanager.net.evil.example/", False),
        ("https://smba.trafficmanager.net@evil.example/", False),
        ("https://evil.trafficmanager.net/", False),
        ("", False),
        ("https://[", False),
    ],
)
def test_tokens_go_to_teams_only(url: str, is_trusted: bool) -> None:
    assert trusted(TeamsSettings(), url) is is_trusted


# What it says ------------------------------------------------------------------------------------------------------


def test_an_answer_is_told_everything_it_needs() -> None:
    found = said(
        "x", place=THREAD, channelData={"tenant": {"id": "T"}, "team": {"id": "TEAM"}, "channel": {"id": "C"}}
    )
    assert (found.thread, found.id.split("|")[0]) == (THREAD, "19:abc@thread.tacv2")
    assert found.context == {
        "service_url": f"{FAKE.base}/",
        "conversation_id": THREAD,
        "conversation_type": "channel",
        "activity_id": found.id.split("|")[1],
        "user_id": "29:kim",
        "bot_id": BOT,
        "bot_name": "Fake",
        "tenant_id": "T",
        "team_id": "TEAM",
        "channel_id": "C",
        "locale": "en-US",
    }


def mention(who: str, name: str) -> dict[str, Any]:
    return {"type": "mention", "text": f"<at>{name}</at>", "mentioned": {"id": who, "name": name}}


def test_the_bots_own_mention_is_taken_out_and_others_are_kept() -> None:
    entities = [mention(BOT, "Fake"), mention("29:ann", "Ann")]
    assert said("<at>Fake</at>&nbsp;ask <at>Ann</at> please", entities=entities).content == Text(
        "ask @Ann please"
    )


def test_the_formatted_form_is_kept_beside_the_text() -> None:
    html = [{"contentType": "text/html", "content": "<b>Hi</b>"}]
    found = said("Hi", attachments=html)
    assert (found.content, found.files) == (Text("Hi", "<b>Hi</b>"), ())


def test_a_picture_and_a_shared_file_come_along() -> None:
    found = said("look", media=1, shared=1)
    picture, plan = found.files
    assert (picture.media_type, picture.url) == ("image/png", f"{FAKE.base}/v3/attachments/p1/views/original")
    assert (plan.name, plan.media_type, plan.id) == ("plan.pdf", "application/pdf", "U1")


def test_files_without_words_are_the_message() -> None:
    found = said("", media=1, shared=1)
    assert isinstance(found.content, Media)
    assert (found.content.kind, [file.name for file in found.files]) == ("image", ["plan.pdf"])


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ({"irisx_choice": "y", "title": "Yes"}, Choice("y", "Yes")),
        ({"day": "Mo", "people": 2}, Text("day: Mo\npeople: 2")),
    ],
)
def test_a_cards_answer_is_read(value: dict[str, Any], content: object) -> None:
    assert said("", value=value).content == content
    pressed = posted(
        FAKE.activity("invoke", "29:kim", name="adaptiveCard/action", value={"action": {"data": value}})
    )
    assert pressed.messages[0].content == content
    assert json.loads(pressed.reply.body)["statusCode"] == 200


def test_a_card_of_another_bot_is_said_and_not_dropped() -> None:
    card = [{"contentType": "application/vnd.microsoft.card.adaptive", "content": {}}]
    assert said("", attachments=card).content == Unsupported("application/vnd.microsoft.card.adaptive")


def test_an_unknown_call_is_answered_that_nobody_does_it() -> None:
    found = posted(FAKE.activity("invoke", "29:kim", name="task/fetch"))
    assert (found.reply.status, found.messages) == (501, ())


def test_an_edit_and_a_deletion_name_the_message() -> None:
    first = said("old")
    name = first.id.split("|")[1]
    edited = one(
        FAKE.activity("messageUpdate", "29:kim", id=name, text="new", timestamp="2027-01-15T08:00:01Z")
    )
    again = one(
        FAKE.activity("messageUpdate", "29:kim", id=name, text="newer", timestamp="2027-01-15T08:00:02Z")
    )
    gone = one(FAKE.activity("messageDelete", "29:kim", id=name))
    assert (edited.content, gone.content) == (Edit(first.id, "new"), Deletion(first.id))
    assert len({first.id, edited.id, again.id, gone.id}) == 4


def test_a_sign_is_what_was_added_or_none() -> None:
    added = [{"type": "heart"}]
    changed = one(
        FAKE.activity(
            "messageReaction",
            "29:kim",
            replyToId="7",
            reactionsAdded=added,
            reactionsRemoved=[{"type": "like"}],
        )
    )
    removed = one(FAKE.activity("messageReaction", "29:kim", replyToId="7", reactionsRemoved=added))
    other = one(FAKE.activity("messageReaction", "29:kim", replyToId="7", reactionsAdded=[{"type": "🎉"}]))
    target = "a:29:kim|7"
    assert [each.content for each in (changed, removed, other)] == [
        Reaction(target, "❤️"),
        Reaction(target, ""),
        Reaction(target, "🎉"),
    ]


def test_somebody_is_writing() -> None:
    assert one(FAKE.activity("typing", "29:kim")).content == Typing()


def test_a_read_receipt_is_a_status_of_that_message() -> None:
    receipt = FAKE.activity("event", "29:kim", name=codec.READ, value={"lastReadMessageId": "17"})
    assert posted(receipt).statuses == (Status("a:29:kim|17", "read", at_us=int(NOW) * 1_000_000),)
    assert (
        posted(FAKE.activity("event", "29:kim", name="other", value={"lastReadMessageId": "17"})) == Parsed()
    )


def installed(action: str, **more: Any) -> tuple[Preference, ...]:
    return posted(FAKE.activity("installationUpdate", "29:kim", action=action, **more)).preferences


def test_removing_the_bot_from_ones_own_chats_is_a_wish() -> None:
    (removed,) = installed("remove")
    (added,) = installed("add")
    assert (removed.allowed, added.allowed, removed.sender.value) == (False, True, "29:kim")
    assert not installed("remove", place=THREAD)
    assert not installed("add-upgrade")


@pytest.mark.parametrize("kind", ["conversationUpdate", "endOfConversation", "something_of_2027"])
def test_activities_about_nothing_we_show_are_taken_and_left(kind: str) -> None:
    assert posted(FAKE.activity(kind, "29:kim")) == Parsed()


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2023-11-14T22:13:20Z", 1_700_000_000_000_000),
        ("2023-11-14T22:13:20.1234567Z", 1_700_000_000_123_456),
        ("2023-11-14T23:13:20.5+01:00", 1_700_000_000_500_000),
        ("2023-11-14T22:13:20", 1_700_000_000_000_000),
        ("yesterday", 0),
        ("", 0),
        ("0001-01-01T00:00:00", 0),
    ],
)
def test_times_are_read_as_teams_writes_them(text: str, instant: int) -> None:
    assert codec.instant_us(text) == instant


def test_what_has_no_sender_is_malformed() -> None:
    with pytest.raises(Malformed):
        codec.parse({"type": "message", "id": "1", "conversation": {"id": "c"}, "text": "x"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["id", "type", "text", "from", "conversation", "recipient", "attachments", "entities", "value", "action", "data",
     "replyToId", "reactionsAdded", "timestamp", "channelData", "content", "contentType", "mentioned", "name"]
)  # fmt: skip
ODD = st.recursive(
    JSON, lambda inner: st.dictionaries(NAMES, inner, max_size=6) | st.lists(inner, max_size=2), max_leaves=10
)
KINDS = st.sampled_from(
    ["message", "messageUpdate", "messageReaction", "invoke", "event", "installationUpdate"]
)


@given(KINDS, st.dictionaries(NAMES, ODD, max_size=8))
def test_whatever_stands_in_an_activity_only_our_errors_come_out(kind: str, value: dict[str, Any]) -> None:
    try:
        found = codec.parse(value | {"type": kind, "name": "adaptiveCard/action"})
    except ChannelError:
        return
    msgspec.json.encode(found)
