"""Discord's wire: signatures of interactions, what events say, what is left out, what errors mean."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from irisx_channels.discord import answers, codec, events, text
from irisx_sdk.channel import Request
from irisx_sdk.errors import (
    BadSignature,
    ChannelError,
    Malformed,
    Misconfigured,
    NotSent,
    OutcomeUnknown,
    Refused,
    Throttled,
)
from irisx_sdk.messages import Choice, Deletion, Edit, Inbound, Media, Reaction, Text, Unsupported

VECTOR: dict[str, str] = msgspec.json.decode(
    (Path(__file__).parents[2] / "data/channels/discord_interaction.json").read_bytes()
)
BOT = "900"
ANN = {"id": "7", "username": "ann", "global_name": "Ann"}


def request(changes: dict[str, str] | None = None, *, later_s: float = 0, body: str = "") -> Request:
    headers = {"x-signature-timestamp": VECTOR["timestamp"], "x-signature-ed25519": VECTOR["signature"]}
    at = int((int(VECTOR["timestamp"]) + later_s) * 1e6)
    content = (body or VECTOR["body"]).encode()
    return Request("POST", "https://irisx.example/in", headers | (changes or {}), content, at)


def heard(**more: Any) -> tuple[Inbound, ...]:
    d = {"id": "100", "channel_id": "50", "author": ANN, "content": "hi", "type": 0} | more
    return events.read("MESSAGE_CREATE", d, place="s:1", us=BOT)


def one(kind: str, d: dict[str, Any]) -> Inbound:
    (found,) = events.read(kind, d, place="s:9", us=BOT)
    return found


def test_the_known_signature_is_made_and_believed() -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(VECTOR["seed"]))
    assert key.public_key().public_bytes_raw().hex() == VECTOR["public_key"]
    assert key.sign((VECTOR["timestamp"] + VECTOR["body"]).encode()).hex() == VECTOR["signature"]
    parsed = codec.parse(VECTOR["public_key"], "", request())
    assert (parsed.messages, parsed.reply.body) == ((), b'{"type":1}')
    assert parsed.reply.media_type == "application/json"


def test_another_key_another_body_or_another_time_is_not_believed() -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw().hex()
    good = VECTOR["public_key"]
    wrong = [
        (other, request()),
        ("", request()),
        (good, request(body='{"type":1} ')),
        (good, request({"x-signature-timestamp": "1700000001"})),
        (good, request({"x-signature-timestamp": ""})),
        (good, request({"x-signature-ed25519": ""})),
        (good, request({"x-signature-ed25519": "zz"})),
        (good, request({"x-signature-ed25519": "é"})),
        (good, request(later_s=301)),
        (good, request(later_s=-301)),
    ]
    for key, here in wrong:
        with pytest.raises(BadSignature):
            codec.parse(key, "", here)
    codec.parse(good, "", request(later_s=300))


def test_a_key_that_is_none_is_the_account_s_fault() -> None:
    for key in ("abc", "00", "xyz" * 22):
        with pytest.raises(Misconfigured):
            codec.parse(key, "", request())


def test_a_message_says_who_where_and_when() -> None:
    d = {
        "id": "175928847299117063",
        "mentions": [{"id": "8", "username": "ben"}],
        "content": "<@900> ask <@8>",
    }
    (found,) = heard(**d, message_reference={"type": 0, "message_id": "99"})
    assert found.id == "50:175928847299117063"
    assert (found.sender.value, found.sender.name, found.thread) == ("7", "Ann", "50")
    assert found.content == Text("ask @ben")
    assert found.reply_to == "50:99"
    assert found.sent_us == 1_462_015_105_796_000  # the example of Discord's own page


def test_what_bots_webhooks_and_discord_itself_write_is_left_out() -> None:
    assert heard(author=ANN | {"bot": True}) == ()
    assert heard(author=ANN | {"id": BOT}) == ()
    assert heard(webhook_id="5") == ()
    assert heard(type=7) == ()
    assert events.read("TYPING_START", {"user_id": "7"}, us=BOT) == ()


def test_what_has_no_words_says_what_it_is() -> None:
    for name, kind in (
        ("sticker_items", "sticker"),
        ("poll", "poll"),
        ("embeds", "embed"),
        ("nothing", "empty"),
    ):
        assert heard(content="", **{name: [{"x": 1}]})[0].content == Unsupported(kind)


def test_files_come_with_their_words_and_a_forward_shows_what_it_forwards() -> None:
    files = [
        {
            "id": "1",
            "filename": "a.png",
            "content_type": "image/png; x=1",
            "size": 5,
            "url": "https://cdn/x?hm=1",
        },
        {"id": "2", "filename": "b"},
    ]
    (found,) = heard(attachments=files, content="look")
    assert isinstance(found.content, Media)
    assert (found.content.kind, found.content.caption, found.content.file.media_type) == (
        "image",
        "look",
        "image/png",
    )
    assert [file.id for file in found.files] == ["2"]
    (forward,) = heard(
        content="",
        message_reference={"type": 1, "message_id": "9"},
        message_snapshots=[{"message": {"content": "old"}}],
    )
    assert (forward.content, forward.reply_to) == (Text("old"), "")


def test_edits_are_called_by_their_time_and_previews_are_no_edits() -> None:
    d = {
        "id": "100",
        "channel_id": "50",
        "author": ANN,
        "content": "new",
        "edited_timestamp": "2026-01-01T00:00:00Z",
    }
    found = one("MESSAGE_UPDATE", d)
    assert (found.id, found.content) == ("50:100:2026-01-01T00:00:00Z", Edit("50:100", "new"))
    assert events.read("MESSAGE_UPDATE", d | {"edited_timestamp": None}, us=BOT) == ()
    assert events.read("MESSAGE_UPDATE", d | {"author": ANN | {"bot": True}}, us=BOT) == ()


def test_a_deletion_has_its_author_where_somebody_remembers() -> None:
    known = {"50:1": "7", "50:2": BOT}
    bulk = {"ids": ["1", "2", "3"], "channel_id": "50"}
    found = events.read("MESSAGE_DELETE_BULK", bulk, us=BOT, authors=known)
    assert [(f.sender.value, f.content) for f in found] == [("7", Deletion("50:1")), ("", Deletion("50:3"))]
    assert one("MESSAGE_DELETE", {"id": "3", "channel_id": "50"}).id == "50:3:deleted"


def test_signs_are_called_by_their_place_in_the_session() -> None:
    d = {"user_id": "7", "channel_id": "50", "message_id": "100", "emoji": {"id": None, "name": "👍"}}
    found = one("MESSAGE_REACTION_ADD", d)
    assert (found.id, found.content) == ("s:9", Reaction("50:100", "👍"))
    own = one("MESSAGE_REACTION_ADD", d | {"emoji": {"id": "5", "name": "iris"}})
    assert own.content == Reaction("50:100", "iris:5")
    assert one("MESSAGE_REACTION_REMOVE", d).content == Reaction("50:100", "")
    assert events.read("MESSAGE_REACTION_ADD", d | {"user_id": BOT}, place="s:9", us=BOT) == ()


def interaction(**more: Any) -> Inbound:
    d = {
        "id": "175928847299117063",
        "type": 2,
        "channel_id": "50",
        "guild_id": "1",
        "member": {"user": ANN, "nick": "A."},
    }
    (found,) = events.interaction(d | more)
    return found


def test_a_command_is_its_name_and_what_was_filled_in() -> None:
    single = {"name": "help", "options": [{"name": "with", "type": 3, "value": "my laptop"}]}
    found = interaction(data=single)
    assert found.content == Text("/help my laptop")
    assert (found.id, found.sender.name, found.thread) == ("interaction:175928847299117063", "A.", "50")
    several = {
        "name": "a",
        "options": [{"name": "b", "options": [{"name": "x", "value": 1}, {"name": "y", "value": "z"}]}],
    }
    assert interaction(data=several).content == Text("/a b x: 1 y: z")
    files = {"name": "send", "resolved": {"attachments": {"5": {"id": "5", "filename": "f"}}}}
    assert interaction(data=files).files[0].name == "f"


def test_where_the_bot_is_not_the_answer_goes_to_the_person() -> None:
    data = {"name": "help"}
    assert interaction(data=data, context=2).thread == ""
    assert interaction(data=data, authorizing_integration_owners={"1": "7"}).thread == ""
    assert interaction(data=data, authorizing_integration_owners={"0": "1"}).thread == "50"


def test_a_pressed_button_is_a_choice_and_a_form_its_fields() -> None:
    message = {
        "id": "9",
        "components": [{"type": 1, "components": [{"type": 2, "custom_id": "y", "label": "Yes"}]}],
    }
    found = interaction(type=3, data={"custom_id": "y"}, message=message)
    assert (found.content, found.reply_to) == (Choice("y", "Yes"), "50:9")
    menu = {
        "id": "9",
        "components": [{"components": [{"custom_id": "irisx", "options": [{"value": "b", "label": "B"}]}]}],
    }
    assert interaction(type=3, data={"custom_id": "irisx", "values": ["b"]}, message=menu).content == Choice(
        "b", "B"
    )
    rows = [{"components": [{"value": "one"}]}, {"type": 18, "component": {"value": "two"}}]
    assert interaction(type=5, data={"components": rows}).content == Text("one\ntwo")


def test_every_interaction_is_answered_at_once() -> None:
    assert codec.answer({"type": 3}, "x") == {"type": 6}
    assert codec.answer({"type": 4}, "x") == {"type": 8, "data": {"choices": []}}
    assert codec.answer({"type": 2}, "Thanks") == {"type": 4, "data": {"content": "Thanks", "flags": 64}}
    assert codec.answer({"type": 5}, "")["data"]["content"]
    assert events.interaction({"id": "1", "type": 4, "user": ANN}) == ()


def test_what_is_not_discord_s_is_malformed() -> None:
    calls: list[Callable[[], object]] = [
        lambda: heard(author={}),
        lambda: heard(channel_id=None),
        lambda: events.read("MESSAGE_DELETE", {}, us=BOT),
        lambda: events.read("MESSAGE_REACTION_ADD", {"user_id": "7"}, place="s:1"),
        lambda: events.interaction({"type": 2}),
        lambda: events.interaction({"id": "1", "type": 99, "user": ANN}),
    ]
    for call in calls:
        with pytest.raises(Malformed):
            call()


@pytest.mark.parametrize(
    ("discord", "people"),
    [
        ("<@7> <@!7> <@8>", "@Ann @Ann @8"),
        ("<@&1> in <#2>", "@role in #2"),
        ("<:iris:123> <a:dance:4> </help now:5>", ":iris: :dance: /help now"),
        ("a < b <@x> <t:1700000000:R>", "a < b <@x> <t:1700000000:R>"),
    ],
)
def test_discord_s_marks_become_words(discord: str, people: str) -> None:
    assert text.plain(discord, {"7": "Ann"}) == people


def test_signs_have_a_place_in_addresses() -> None:
    assert text.emoji_path("👍") == "👍"
    assert text.emoji_path("iris:123") == text.emoji_path("<:iris:123>") == "iris:123"
    assert text.emoji_path("thumbsup") == text.emoji_path("") == text.emoji_path("../x") == ""


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        *[(400, {"code": code}, Refused) for code in answers.REFUSED],
        *[(403, {"code": code}, Misconfigured) for code in answers.MISCONFIGURED],
        *[(429, {"code": code, "retry_after": 2.5}, Throttled) for code in answers.THROTTLED],
        *[(400, {"code": code, "retry_after": 2.5}, Throttled) for code in answers.THROTTLED],
        (429, {"message": "You are being rate limited.", "retry_after": 2.5, "global": True}, Throttled),
        (401, {"code": 0}, Misconfigured),
        (400, {"code": 99999}, Refused),
        (404, "<html>", Refused),
        (403, "error code: 1010", NotSent),
        (500, {"code": 0}, OutcomeUnknown),
        (502, "<html>", OutcomeUnknown),
        (503, {"code": 0}, NotSent),
        (302, "", OutcomeUnknown),
        (200, "<html>", OutcomeUnknown),
    ],
)
def test_each_answer_has_its_meaning(status: int, body: Any, meaning: type[ChannelError]) -> None:
    with pytest.raises(ChannelError) as raised:
        answers.read_answer(status, body.encode() if isinstance(body, str) else json.dumps(body).encode(), 9)
    assert type(raised.value) is meaning
    if isinstance(raised.value, Throttled):
        assert raised.value.retry_after_s == 2.5


def test_nothing_is_a_good_answer_too() -> None:
    assert answers.read_answer(204, b"", None) == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from([
    "id", "type", "channel_id", "author", "content", "user", "member", "user_id", "message_id", "emoji", "name", "ids",
    "data", "options", "components", "message", "mentions", "attachments", "message_reference", "edited_timestamp",
    "message_snapshots", "values", "resolved", "custom_id", "session_id", "heartbeat_interval",
])  # fmt: skip
WORDS = st.sampled_from(["1", "175928847299117063", "x", 2, 3, 4, 5])
OBJECTS = st.dictionaries(KEYS, WORDS | JSON | st.dictionaries(KEYS, WORDS | JSON, max_size=8), max_size=10)
KINDS = st.sampled_from([
    "MESSAGE_CREATE", "MESSAGE_UPDATE", "MESSAGE_DELETE", "MESSAGE_DELETE_BULK", "MESSAGE_REACTION_ADD",
    "INTERACTION_CREATE", "READY", "",
])  # fmt: skip


@given(KINDS, OBJECTS)
def test_whatever_is_dispatched_is_read_or_refused_in_our_words(kind: str, d: dict[str, Any]) -> None:
    try:
        events.read(kind, d, place="s:1", us=BOT)
    except Malformed:
        return
