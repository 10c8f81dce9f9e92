"""Slack's wire: signatures, what events say, what is left out, and the writing of texts."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx_channels.slack import codec, events, text
from irisx_sdk.channel import Request
from irisx_sdk.errors import BadSignature, ChannelError, Malformed
from irisx_sdk.messages import Choice, Deletion, Edit, Inbound, Media, Reaction, Text, Unsupported

VECTORS: list[dict[str, str]] = msgspec.json.decode(
    (Path(__file__).parents[2] / "data/channels/slack_signatures.json").read_bytes()
)
BOT = {"user_id": "U0BOT", "is_bot": True}


def request(
    vector: dict[str, str], changes: dict[str, str] | None = None, *, later_s: float = 0, body: str = ""
) -> Request:
    headers = {
        "content-type": vector["content_type"],
        "x-slack-request-timestamp": vector["timestamp"],
        "x-slack-signature": vector["signature"],
    }
    at = int((int(vector["timestamp"]) + later_s) * 1e6)
    content = (body or vector["body"]).encode()
    return Request("POST", "https://irisx.example/in", headers | (changes or {}), content, at)


def event(**event: Any) -> Inbound | None:
    payload = {"type": "event_callback", "event_id": "Ev1", "event": event, "authorizations": [BOT]}
    found = events.read(payload).messages
    return found[0] if found else None


def heard(**more: Any) -> Inbound:
    found = event(
        **{"type": "message", "channel": "C1", "user": "U1", "text": "hi", "ts": "17.000100"} | more
    )
    assert found is not None
    return found


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_what_slack_signed_is_believed(vector: dict[str, str]) -> None:
    assert codec.sign(vector["secret"], vector["timestamp"], vector["body"].encode()) == vector["signature"]
    here = request(vector)
    codec.verify(vector["secret"], here.headers, here.body, here.received_us)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_another_secret_another_body_or_another_time_is_not_believed(vector: dict[str, str]) -> None:
    wrong = [
        ("other", request(vector)),
        ("", request(vector)),
        (vector["secret"], request(vector, body=vector["body"] + " ")),
        (vector["secret"], request(vector, {"x-slack-request-timestamp": "1700000001"})),
        (vector["secret"], request(vector, {"x-slack-request-timestamp": ""})),
        (vector["secret"], request(vector, {"x-slack-request-timestamp": "²"})),
        (vector["secret"], request(vector, {"x-slack-signature": ""})),
        (vector["secret"], request(vector, {"x-slack-signature": "v0=é"})),
        (vector["secret"], request(vector, later_s=301)),
        (vector["secret"], request(vector, later_s=-301)),
    ]
    for secret, here in wrong:
        with pytest.raises(BadSignature):
            codec.parse(secret, "", here)


def test_a_signature_may_be_five_minutes_old() -> None:
    vector = VECTORS[0]
    assert codec.parse(vector["secret"], "", request(vector, later_s=300)).messages
    assert codec.parse(vector["secret"], "", request(vector, later_s=-300)).messages


def test_the_signed_event_is_a_message() -> None:
    (found,) = codec.parse(VECTORS[0]["secret"], "", request(VECTORS[0])).messages
    assert found.id == "C1:1700000000.000100"
    assert found.sender.value == "U1"
    assert found.content == Text("hi")
    assert found.sent_us == 1_700_000_000_000_100
    assert found.thread == "C1:1700000000.000100"


def test_a_command_is_a_message_to_the_app_itself_and_can_be_answered_at_once() -> None:
    vector = VECTORS[2]
    parsed = codec.parse(vector["secret"], "We are on it.", request(vector))
    (found,) = parsed.messages
    assert found.content == Text("/webhook-collect")
    assert (found.sender.value, found.sender.name) == ("U2CERLKJA", "roadrunner")
    assert found.thread == ""
    assert msgspec.json.decode(parsed.reply.body) == {"response_type": "ephemeral", "text": "We are on it."}
    assert codec.parse(vector["secret"], "", request(vector)).reply.body == b""


def test_the_challenge_is_answered_and_brings_nothing() -> None:
    parsed = events.read({"type": "url_verification", "token": "x", "challenge": "3eZbrw1aB"})
    assert (parsed.reply.status, parsed.reply.body, parsed.messages) == (200, b"3eZbrw1aB", ())
    assert parsed.reply.media_type.startswith("text/plain")


def test_a_post_and_the_mention_in_it_have_one_id() -> None:
    assert heard().id == heard(type="app_mention").id == "C1:17.000100"


def test_a_mention_of_the_app_at_the_start_is_no_part_of_the_words() -> None:
    assert heard(text="<@U0BOT> help <@U0BOT>").content == Text("help @U0BOT")


def test_answers_go_beside_a_direct_message_and_below_a_channel_s_post() -> None:
    assert heard(channel="D1", channel_type="im").thread == "D1"
    assert heard(channel="G1", channel_type="mpim").thread == "G1"
    assert heard().thread == "C1:17.000100"
    inside = heard(ts="18.000001", thread_ts="17.000100")
    assert (inside.thread, inside.reply_to) == ("C1:17.000100", "C1:17.000100")
    assert heard(thread_ts="17.000100").reply_to == ""


def test_what_bots_and_slack_itself_write_is_left_out() -> None:
    base = {"type": "message", "channel": "C1", "user": "U1", "text": "hi", "ts": "1.1"}
    assert event(**base, bot_id="B1") is None
    assert event(**base | {"user": "U0BOT"}) is None
    for subtype in ("bot_message", "channel_join", "pinned_item"):
        assert event(**base, subtype=subtype) is None
    assert event(type="team_join", user={"id": "U2"}) is None


def test_a_kind_of_message_that_is_new_to_us_is_said() -> None:
    assert heard(subtype="hologram").content == Unsupported("hologram")
    assert heard(text="", blocks=[{}]).content == Unsupported("blocks")
    assert heard(text=None).content == Unsupported("empty")


def test_files_come_with_their_words() -> None:
    files = [
        {
            "id": "F1",
            "name": "a.png",
            "mimetype": "image/png",
            "size": 9,
            "url_private_download": "https://x/a",
        },
        {"id": "F2", "name": "b.pdf", "mimetype": "application/pdf", "size": 7},
        {"id": "F3", "mode": "tombstone"},
    ]
    found = heard(subtype="file_share", files=files, text="look")
    assert isinstance(found.content, Media)
    assert (found.content.kind, found.content.caption, found.content.file.url) == (
        "image",
        "look",
        "https://x/a",
    )
    assert [file.id for file in found.files] == ["F2"]


def test_edits_deletions_and_signs_name_their_message() -> None:
    before = {"type": "message", "user": "U1", "text": "hi", "ts": "17.1", "thread_ts": "16.1"}
    changed = {"type": "message", "subtype": "message_changed", "channel": "C1", "ts": "18.1", "user": "U9"}
    edit = event(**changed, message=before | {"text": "hello &amp; bye"}, previous_message=before)
    assert edit is not None
    assert (edit.id, edit.content, edit.sender.value) == ("Ev1", Edit("C1:17.1", "hello & bye"), "U1")
    assert edit.thread == "C1:16.1"
    gone = event(**changed | {"subtype": "message_deleted"}, deleted_ts="17.1", previous_message=before)
    assert gone is not None
    assert gone.content == Deletion("C1:17.1")
    tomb = event(
        **changed,
        message={"subtype": "tombstone", "user": "USLACKBOT", "ts": "17.1"},
        previous_message=before,
    )
    assert tomb is not None
    assert (tomb.content, tomb.sender.value) == (Deletion("C1:17.1"), "U1")
    item = {"type": "message", "channel": "C1", "ts": "17.1"}
    sign = event(type="reaction_added", user="U1", reaction="thumbsup", item=item, event_ts="18.1")
    assert sign is not None
    assert sign.content == Reaction("C1:17.1", "👍")
    away = event(type="reaction_removed", user="U1", reaction="thumbsup", item=item, event_ts="18.1")
    assert away is not None
    assert away.content == Reaction("C1:17.1", "")


def test_an_edit_that_changes_no_word_is_none_and_neither_is_one_of_our_own() -> None:
    before = {"user": "U1", "text": "hi", "ts": "17.1"}
    changed = {"type": "message", "subtype": "message_changed", "channel": "C1", "ts": "18.1"}
    assert event(**changed, message=before | {"attachments": [{}]}, previous_message=before) is None
    ours = before | {"bot_id": "B1"}
    assert event(**changed, message=ours | {"text": "new"}, previous_message=ours) is None
    assert (
        event(**changed | {"subtype": "message_deleted"}, previous_message=before | {"user": "U0BOT"}) is None
    )


def test_a_pressed_button_is_a_choice_with_its_words() -> None:
    payload = {
        "type": "block_actions",
        "user": {"id": "U1", "name": "ann"},
        "trigger_id": "13.1",
        "container": {"type": "message", "message_ts": "17.1", "channel_id": "C1", "thread_ts": "16.1"},
        "actions": [
            {
                "action_id": "irisx:0",
                "value": "yes",
                "text": {"text": "Yes &amp; no"},
                "action_ts": "18.000002",
            },
            {
                "action_id": "irisx",
                "selected_option": {"value": "b", "text": {"text": "B"}},
                "action_ts": "18.000002",
            },
        ],
    }
    first, second = events.read(payload).messages
    assert first.content == Choice("yes", "Yes & no")
    assert second.content == Choice("b", "B")
    assert first.id != second.id
    assert (first.reply_to, first.thread, first.sent_us) == ("C1:17.1", "C1:16.1", 18_000_002)
    other = events.read({"type": "shortcut", "user": {"id": "U1"}, "trigger_id": "13.2"}).messages[0]
    assert other.content == Unsupported("shortcut")


def test_what_is_not_slack_s_is_malformed() -> None:
    for payload in (
        {},
        {"type": "x"},
        {"type": "event_callback"},
        {"command": "/x"},
        {"type": "event_callback", "event": 3},
    ):
        with pytest.raises(Malformed):
            events.read(payload)
    with pytest.raises(Malformed):
        heard(user=None)


def test_an_envelope_is_acknowledged_with_its_answer_only_where_slack_wants_one() -> None:
    frame = b'{"envelope_id":"e1","type":"slash_commands","accepts_response_payload":true,"payload":{"a":1}}'
    found = codec.envelope(frame)
    assert (found.kind, found.id, found.payload) == ("slash_commands", "e1", {"a": 1})
    reply = events.read({"command": "/x", "user_id": "U1", "trigger_id": "1"}, "hello").reply
    assert msgspec.json.decode(codec.acknowledge(found, reply))["payload"]["text"] == "hello"
    quiet = msgspec.structs.replace(found, wants_payload=False)
    assert msgspec.json.decode(codec.acknowledge(quiet, reply)) == {"envelope_id": "e1"}


@pytest.mark.parametrize(
    ("slack", "people"),
    [
        ("a &lt;b&gt; &amp;amp; c", "a <b> &amp; c"),
        ("<@U1>, <@U2|ann> in <#C1|general>", "@U1, @ann in #general"),
        ("<!here> <!subteam^S1|@support> <!date^1^{date}|18 Feb>", "@here @support 18 Feb"),
        ("<https://x.example/?a=1&amp;b=2>", "https://x.example/?a=1&b=2"),
        (
            "<https://x.example|the page> <http://x.example|x.example>",
            "the page (https://x.example) http://x.example",
        ),
        ("<mailto:a@b.example|a@b.example> <tel:+49301|+49301>", "a@b.example +49301"),
    ],
)
def test_slack_s_marks_become_words(slack: str, people: str) -> None:
    assert text.plain(slack) == people


@given(st.text())
def test_any_text_arrives_as_it_was_written(words: str) -> None:
    assert text.plain(text.escape(words)) == words


@pytest.mark.parametrize("sign", ["👍", "❤️", "🎉", ":party_parrot:"])
def test_signs_have_names_and_names_have_signs(sign: str) -> None:
    assert text.emoji_sign(text.emoji_name(sign)) == sign


def test_what_is_no_sign_has_no_name() -> None:
    assert text.emoji_name("🦑") == text.emoji_name("Hello there") == ""


@given(st.integers(0, 10**11 - 1), st.integers(0, 999_999))
def test_time_stamps_are_exact(seconds: int, micro: int) -> None:
    assert text.microseconds(f"{seconds}.{micro:06d}") == seconds * 1_000_000 + micro


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from([
    "type", "event", "event_id", "user", "channel", "text", "ts", "subtype", "message", "previous_message", "files",
    "item", "reaction", "actions", "trigger_id", "command", "user_id", "authorizations", "container",
])  # fmt: skip
WORDS = st.sampled_from(
    ["event_callback", "message", "block_actions", "message_changed", "reaction_added", "U1", "1.1"]
)
PAYLOADS = st.dictionaries(KEYS, WORDS | JSON | st.dictionaries(KEYS, WORDS | JSON, max_size=8), max_size=8)


@given(PAYLOADS)
def test_whatever_comes_is_read_or_refused_in_our_words(payload: dict[str, Any]) -> None:
    try:
        events.read(payload, "ok", 5)
    except Malformed:
        return


@given(
    st.binary(max_size=200), st.sampled_from(["application/json", "application/x-www-form-urlencoded", ""])
)
def test_signed_bytes_of_any_kind_raise_our_errors_only(body: bytes, kind: str) -> None:
    headers = {
        "content-type": kind,
        "x-slack-request-timestamp": "100",
        "x-slack-signature": codec.sign("s", "100", body),
    }
    try:
        codec.parse("s", "", Request("POST", "https://x", headers, body, 100_000_000))
    except ChannelError:
        return


@given(st.binary(max_size=100) | st.text(max_size=100))
def test_frames_of_any_kind_raise_our_errors_only(frame: bytes | str) -> None:
    try:
        codec.envelope(frame)
    except Malformed:
        return
