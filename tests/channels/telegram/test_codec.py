"""Telegram's updates, read: who, what, in which chat; the secret token; odd updates."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx_channels.telegram import Telegram, codec
from irisx_channels.telegram.api import TelegramSettings, bot_of
from irisx_channels.telegram.place import FORGOTTEN_US, Place
from irisx_sdk import (
    Account,
    Address,
    BadSignature,
    ChannelError,
    Choice,
    Deletion,
    Edit,
    Inbound,
    Location,
    Malformed,
    Media,
    Parsed,
    Preference,
    Reaction,
    Request,
    Text,
    Unsupported,
)

SETTINGS = TelegramSettings(token="77:AAsecret", secret_token="hook-1")
CHANNEL = Telegram()
KIM: dict[str, Any] = {"id": 5, "is_bot": False, "first_name": "Kim", "last_name": "Lee", "username": "kim"}
PRIVATE: dict[str, Any] = {"id": 5, "type": "private", "first_name": "Kim"}
GROUP: dict[str, Any] = {"id": -100_123, "type": "supergroup", "title": "Team"}


def posted(body: bytes, secret: str = "hook-1", settings: TelegramSettings = SETTINGS) -> Parsed:
    headers = {"x-telegram-bot-api-secret-token": secret}
    return CHANNEL.parse_webhook(
        Account("acc", settings), Request("POST", "https://irisx.example/in", headers, body, 0)
    )


def update(kind: str, value: Any, number: int = 900) -> Parsed:
    return posted(json.dumps({"update_id": number, kind: value}).encode())


def message(**fields: Any) -> Inbound:
    whole = {"message_id": 3, "date": 1_700_000_000, "from": KIM, "chat": PRIVATE} | fields
    (found,) = update("message", whole).messages
    return found


def test_a_message_is_named_by_its_chat_and_number() -> None:
    assert message(text="Hi") == Inbound(
        id="5:3",
        sender=Address("user", "5", "Kim Lee"),
        content=Text("Hi"),
        recipient=Address("user", "77"),
        sent_us=1_700_000_000_000_000,
        thread="5",
        context={"chat_id": "5"},
    )


@pytest.mark.parametrize("secret", ["", "hook-2", "HOOK-1", "hook-1 ", "é"])
def test_a_webhook_without_the_secret_is_refused(secret: str) -> None:
    with pytest.raises(BadSignature):
        posted(b'{"update_id":1}', secret)


def test_an_account_without_a_secret_takes_no_webhooks() -> None:
    with pytest.raises(BadSignature):
        posted(b'{"update_id":1}', "", TelegramSettings(token="77:AA"))


def test_a_group_and_its_topics_are_threads() -> None:
    assert message(text="x", chat=GROUP).thread == "-100123"
    opened = {"message_id": 9, "chat": GROUP}
    found = message(text="x", chat=GROUP, message_thread_id=9, is_topic_message=True, reply_to_message=opened)
    assert (found.thread, found.reply_to, found.context["message_thread_id"]) == ("-100123/9", "", "9")
    answered = {"message_id": 12, "chat": GROUP}
    found = message(
        text="x", chat=GROUP, message_thread_id=9, is_topic_message=True, reply_to_message=answered
    )
    assert found.reply_to == "-100123:12"


def test_ids_beyond_32_bits_stay_whole() -> None:
    assert message(text="x", chat=GROUP | {"id": -1_002_345_678_901_234}).thread == "-1002345678901234"


def test_who_writes_as_a_chat_is_that_chat() -> None:
    anonymous = {"id": 1087968824, "is_bot": True, "first_name": "Group"}
    found = message(text="x", chat=GROUP, sender_chat=GROUP, **{"from": anonymous})
    assert found.sender == Address("user", "-100123", "Team")
    post = {"message_id": 1, "date": 1, "chat": {"id": -1, "type": "channel", "title": "News"}, "text": "x"}
    assert update("channel_post", post).messages[0].sender == Address("user", "-1", "News")


def test_a_bot_is_a_machine() -> None:
    assert message(text="x", **{"from": KIM | {"is_bot": True}}).automatic
    assert not message(text="x").automatic


def test_the_largest_size_of_a_picture_is_taken_and_no_address_kept() -> None:
    sizes = [
        {"file_id": "big", "width": 800, "height": 600, "file_size": 9},
        {"file_id": "small", "width": 90, "height": 67},
    ]
    content = message(photo=sizes, caption="us").content
    assert isinstance(content, Media)
    assert (content.file.id, content.file.url, content.kind, content.caption) == ("big", "", "image", "us")


@pytest.mark.parametrize(
    ("field", "kind", "media_type"),
    [
        ("voice", "voice", "audio/ogg"),
        ("audio", "audio", "audio/mpeg"),
        ("video", "video", "video/mp4"),
        ("video_note", "video", "video/mp4"),
        ("document", "document", "application/octet-stream"),
        ("sticker", "sticker", "image/webp"),
    ],
)
def test_every_kind_of_file_is_told_apart(field: str, kind: str, media_type: str) -> None:
    content = message(**{field: {"file_id": "f", "file_size": 7}}).content
    assert isinstance(content, Media)
    assert (content.kind, content.file.media_type, content.file.size) == (kind, media_type, 7)


def test_a_moving_picture_is_a_film_although_it_is_a_document_too() -> None:
    both = {"file_id": "f", "mime_type": "video/mp4"}
    content = message(document=both, animation=both).content
    assert isinstance(content, Media) and content.kind == "video"


@pytest.mark.parametrize(
    ("fields", "content"),
    [
        ({"location": {"latitude": 1.5, "longitude": 2}}, Location(1.5, 2.0)),
        (
            {
                "venue": {"location": {"latitude": 1, "longitude": 2}, "title": "Bar", "address": "Road 1"},
                "location": {"latitude": 1, "longitude": 2},
            },
            Location(1.0, 2.0, "Bar", "Road 1"),
        ),
        ({"contact": {"phone_number": "+49", "first_name": "Ann"}}, Text("Ann\n+49")),
        ({"dice": {"emoji": "🎲", "value": 4}}, Text("🎲 4")),
        (
            {"poll": {"question": "Tea?", "options": [{"text": "Yes"}, {"text": "No"}]}},
            Text("Tea?\n- Yes\n- No"),
        ),
        ({"new_chat_members": [KIM]}, Unsupported("new_chat_members")),
        ({"something_of_2027": {}}, Unsupported("something_of_2027")),
        ({}, Unsupported("empty")),
    ],
)
def test_everything_that_a_person_can_send_has_a_form(fields: dict[str, Any], content: object) -> None:
    assert message(**fields).content == content


def test_an_edit_names_the_message_and_has_a_name_of_its_own() -> None:
    whole = {
        "message_id": 3,
        "date": 1,
        "edit_date": 1_700_000_009,
        "from": KIM,
        "chat": PRIVATE,
        "text": "new",
    }
    (found,) = update("edited_message", whole).messages
    assert (found.id, found.content, found.sent_us) == (
        "update:900",
        Edit("5:3", "new"),
        1_700_000_009_000_000,
    )
    (again,) = update("edited_message", whole, 901).messages
    assert again.id == "update:901"


def test_a_reaction_is_its_newest_sign_or_none() -> None:
    value = {"chat": GROUP, "message_id": 8, "user": KIM, "date": 5, "old_reaction": [], "new_reaction": []}
    sign = [{"type": "emoji", "emoji": "👍"}]
    assert update("message_reaction", value | {"new_reaction": sign}).messages[0].content == Reaction(
        "-100123:8", "👍"
    )
    assert update("message_reaction", value | {"old_reaction": sign}).messages[0].content == Reaction(
        "-100123:8", ""
    )


def test_a_pressed_button_is_a_choice_and_acknowledged_at_once() -> None:
    markup = {
        "inline_keyboard": [[{"text": "Yes", "callback_data": "y"}], [{"text": "No", "callback_data": "n"}]]
    }
    below = {"message_id": 8, "chat": PRIVATE, "reply_markup": markup}
    found = update("callback_query", {"id": "42", "from": KIM, "message": below, "data": "n"})
    (pressed,) = found.messages
    assert (pressed.id, pressed.content, pressed.reply_to) == ("callback:42", Choice("n", "No"), "5:8")
    assert json.loads(found.reply.body) == {"method": "answerCallbackQuery", "callback_query_id": "42"}
    assert found.reply.media_type == "application/json"


def membership(status: str, chat: dict[str, Any]) -> tuple[Preference, ...]:
    value = {"chat": chat, "from": KIM, "date": 7, "new_chat_member": {"status": status}}
    return update("my_chat_member", value).preferences


def test_blocking_the_bot_is_a_wish_and_unblocking_too() -> None:
    (blocked,) = membership("kicked", PRIVATE)
    (back,) = membership("member", PRIVATE)
    assert (blocked.allowed, back.allowed, blocked.sender) == (False, True, Address("user", "5", "Kim"))
    assert not membership("kicked", GROUP)


def test_a_group_that_moves_says_where_answers_belong() -> None:
    assert message(chat=GROUP, migrate_to_chat_id=-100_999).context["chat_id"] == "-100999"


def test_what_the_business_writes_itself_is_no_customers_message() -> None:
    fields = {"message_id": 1, "date": 1, "chat": PRIVATE, "text": "x", "business_connection_id": "b"}
    assert (
        update("business_message", fields | {"from": KIM}).messages[0].context["business_connection_id"]
        == "b"
    )
    assert not update("business_message", fields | {"from": KIM | {"id": 6}}).messages


def test_messages_deleted_in_a_business_chat_are_each_taken_back() -> None:
    value = {"business_connection_id": "b", "chat": PRIVATE, "message_ids": [1, 2]}
    found = update("deleted_business_messages", value).messages
    assert [one.content for one in found] == [Deletion("5:1"), Deletion("5:2")]
    assert len({one.id for one in found}) == 2


def test_updates_of_other_kinds_are_taken_and_left() -> None:
    assert update("inline_query", {"id": "1"}) == Parsed()
    assert posted(b'{"update_id":7}') == Parsed()


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b'{"update_id":1,"message":{"text":"x"}}'])
def test_what_is_no_update_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        posted(body)


def test_only_the_number_of_a_token_is_public() -> None:
    assert (bot_of(SETTINGS), bot_of(TelegramSettings(token="secret"))) == ("77", "")


def test_a_place_goes_on_behind_what_is_stored_and_belongs_to_one_bot() -> None:
    place = Place("77").after(5, 1000)
    assert Place.read(place.written(), "77").next(2000) == 6
    assert Place.read(place.written(), "78").next(2000) == 0
    assert Place.read(b"", "77").next(0) == Place.read(b"junk\xff", "77").next(0) == 0


def test_an_old_place_is_dropped_because_the_numbers_may_have_begun_anew() -> None:
    place = Place("77").after(5, 1000)
    assert (place.next(1000 + FORGOTTEN_US - 1), place.next(1000 + FORGOTTEN_US)) == (6, 0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["message_id", "id", "from", "chat", "date", "text", "photo", "document", "venue", "location", "contact", "dice",
     "poll", "sticker", "reply_markup", "inline_keyboard", "data", "message", "new_reaction", "user", "type",
     "new_chat_member", "message_ids", "reply_to_message", "latitude", "longitude"]
)  # fmt: skip
ODD = st.recursive(JSON, lambda inner: st.dictionaries(NAMES, inner, max_size=6), max_leaves=10)


@given(st.sampled_from([*codec.UPDATES, "guest_message"]), st.dictionaries(NAMES, ODD, max_size=8))
def test_whatever_stands_in_an_update_only_our_errors_come_out(kind: str, value: dict[str, Any]) -> None:
    try:
        found = update(kind, value)
    except ChannelError:
        return
    msgspec.json.encode(found)


@given(st.binary(max_size=200))
def test_whatever_the_bytes_only_our_errors_come_out(body: bytes) -> None:
    with pytest.raises(ChannelError):
        posted(body)
