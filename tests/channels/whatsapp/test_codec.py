"""WhatsApp's deliveries, read: the known answer of the signature, every kind of message, statuses, odd bytes."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx_channels.whatsapp import WhatsApp, codec
from irisx_channels.whatsapp.client import WhatsAppSettings
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
    Reaction,
    Request,
    Text,
    Unsupported,
)

SIGNED = (Path(__file__).parents[2] / "data/channels/whatsapp_signed.json").read_bytes()
SECRET = "wa_app_secret_test_0123456789abcd"
MARK = "sha256=8c1c6acce67bcbd341bfd9956a8566a8257a7cd3dfddb1448096d7bd1d27a567"
SETTINGS = WhatsAppSettings(
    phone_number_id="200000000000002", access_token="t", app_secret=SECRET, verify_token="our word"
)
ACCOUNT = Account("acc", SETTINGS)
CHANNEL = WhatsApp()


def posted(body: bytes, mark: str) -> Parsed:
    request = Request("POST", "https://irisx.example/in", {"x-hub-signature-256": mark}, body, 0)
    return CHANNEL.parse_webhook(ACCOUNT, request)


def delivery(field: str = "messages", **value: Any) -> bytes:
    metadata = {"display_phone_number": "1 555-000-1111", "phone_number_id": "200000000000002"}
    change = {"field": field, "value": {"messaging_product": "whatsapp", "metadata": metadata, **value}}
    return json.dumps(
        {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}
    ).encode()


def message(**fields: Any) -> Inbound:
    whole = {"from": "15005550006", "id": "wamid.1", "timestamp": "1700000000"} | fields
    (found,) = codec.parse(delivery(messages=[whole])).messages
    return found


def test_the_published_signature_is_right() -> None:
    assert codec.signature(SECRET, SIGNED) == MARK


def test_a_body_written_again_has_another_signature() -> None:
    again = json.dumps(json.loads(SIGNED), ensure_ascii=False, separators=(",", ":")).encode()
    assert codec.signature(SECRET, again) == (
        "sha256=f336d5c0d7ed410a8744d41df12d194c58b45926d21b92111355be21969750b8"
    )
    with pytest.raises(BadSignature):
        posted(again, MARK)


def test_a_signed_message_is_read() -> None:
    (found,) = posted(SIGNED, MARK).messages
    assert found == Inbound(
        id="wamid.TEST1",
        sender=Address("phone", "+15005550006", "Zoë"),
        content=Text("Hi"),
        recipient=Address("phone", "+15550001111"),
        sent_us=1_700_000_000_000_000,
        context={"message_id": "wamid.TEST1", "phone_number_id": "200000000000002"},
    )


@pytest.mark.parametrize(
    "mark", ["", "sha256=", MARK[:-1] + "8", MARK.upper(), "é", MARK.removeprefix("sha256=")]
)
def test_a_wrong_signature_is_refused(mark: str) -> None:
    with pytest.raises(BadSignature):
        posted(SIGNED, mark)


def asked(query: str) -> Parsed:
    return CHANNEL.parse_webhook(ACCOUNT, Request("GET", "https://irisx.example/in?" + query, {}, b"", 0))


def test_the_address_is_confirmed_with_the_challenge_as_plain_text() -> None:
    reply = asked("hub.mode=subscribe&hub.verify_token=our%20word&hub.challenge=1158201444").reply
    assert (reply.status, reply.body, reply.media_type) == (200, b"1158201444", "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "hub.mode=subscribe&hub.verify_token=other&hub.challenge=1",
        "hub.verify_token=our%20word&hub.challenge=1",
    ],
)
def test_a_stranger_who_asks_for_the_address_learns_nothing(query: str) -> None:
    with pytest.raises(BadSignature):
        asked(query)


def test_an_account_without_a_word_confirms_nothing() -> None:
    with pytest.raises(BadSignature):
        codec.handshake("", "https://irisx.example/in?hub.mode=subscribe&hub.verify_token=&hub.challenge=1")


def test_a_picture_has_its_id_and_no_address() -> None:
    file = {
        "id": "77",
        "mime_type": "image/jpeg",
        "sha256": "x=",
        "url": "https://lookaside.example/s",
        "caption": "us",
    }
    content = message(type="image", image=file).content
    assert isinstance(content, Media)
    assert (content.kind, content.caption, content.file.id, content.file.url) == ("image", "us", "77", "")


def test_a_voice_message_is_told_from_a_sound() -> None:
    spoken = message(
        type="audio", audio={"id": "1", "mime_type": "audio/ogg; codecs=opus", "voice": True}
    ).content
    sound = message(type="audio", audio={"id": "1", "mime_type": "audio/mpeg"}).content
    assert isinstance(spoken, Media) and isinstance(sound, Media)
    assert (spoken.kind, sound.kind) == ("voice", "audio")


@pytest.mark.parametrize(
    ("fields", "content"),
    [
        ({"type": "location", "location": {"latitude": 52.5, "longitude": 13}}, Location(52.5, 13.0)),
        (
            {"type": "reaction", "reaction": {"message_id": "wamid.0", "emoji": "👍"}},
            Reaction("wamid.0", "👍"),
        ),
        ({"type": "reaction", "reaction": {"message_id": "wamid.0"}}, Reaction("wamid.0", "")),
        ({"type": "button", "button": {"payload": "YES", "text": "Yes!"}}, Choice("YES", "Yes!")),
        (
            {
                "type": "interactive",
                "interactive": {"type": "button_reply", "button_reply": {"id": "1", "title": "A"}},
            },
            Choice("1", "A"),
        ),
        (
            {
                "type": "interactive",
                "interactive": {"type": "list_reply", "list_reply": {"id": "2", "title": "B"}},
            },
            Choice("2", "B"),
        ),
        (
            {
                "type": "interactive",
                "interactive": {
                    "type": "nfm_reply",
                    "nfm_reply": {
                        "name": "flow",
                        "body": "Sent",
                        "response_json": '{"day":"Mo","flow_token":"secret"}',
                    },
                },
            },
            Text("day: Mo"),
        ),
        (
            {
                "type": "edit",
                "edit": {"original_message_id": "w.0", "message": {"type": "text", "text": {"body": "n"}}},
            },
            Edit("w.0", "n"),
        ),
        (
            {
                "type": "edit",
                "edit": {
                    "original_message_id": "w.0",
                    "message": {"type": "image", "image": {"id": "1", "caption": "c"}},
                },
            },
            Edit("w.0", "c"),
        ),
        ({"type": "revoke", "revoke": {"original_message_id": "w.0"}}, Deletion("w.0")),
        ({"type": "unsupported", "errors": [{"code": 131051}]}, Unsupported("unsupported")),
        ({"type": "something_new", "something_new": {"x": 1}}, Unsupported("something_new")),
        ({"type": "image", "image": {"caption": "no id"}}, Unsupported("image")),
        (
            {
                "type": "contacts",
                "contacts": [
                    {
                        "name": {"formatted_name": "Ann Lee"},
                        "phones": [{"phone": "+1 650"}],
                        "emails": [{"email": "a@x.example"}],
                        "org": {"company": "X"},
                    }
                ],
            },
            Text("Ann Lee\nX\n+1 650\na@x.example"),
        ),
        (
            {
                "type": "order",
                "order": {
                    "text": "soon please",
                    "product_items": [
                        {"product_retailer_id": "tea", "quantity": 2, "item_price": 3.5, "currency": "EUR"}
                    ],
                },
            },
            Text("2 × tea: 3.5 EUR\nsoon please"),
        ),
    ],
)
def test_everything_that_a_person_can_send_has_a_form(fields: dict[str, Any], content: object) -> None:
    assert message(**fields).content == content


def test_an_answer_names_what_it_answers() -> None:
    assert (
        message(type="text", text={"body": "x"}, context={"from": "1", "id": "wamid.0"}).reply_to == "wamid.0"
    )
    assert message(type="text", text={"body": "x"}, context={"forwarded": True}).reply_to == ""


def sent_by(contact: dict[str, Any], **fields: Any) -> Inbound:
    whole = {"id": "w", "timestamp": "1", "type": "text", "text": {"body": "x"}} | fields
    return codec.parse(delivery(contacts=[contact], messages=[whole])).messages[0]


def test_a_number_is_the_sender_and_the_user_ids_are_aliases() -> None:
    contact = {
        "profile": {"name": "Ann"},
        "wa_id": "15005550006",
        "user_id": "US.13",
        "parent_user_id": "US.ENT.1",
    }
    found = sent_by(contact, **{"from": "15005550006", "from_user_id": "US.13"})
    assert found.sender == Address("phone", "+15005550006", "Ann")
    assert found.aliases == (Address("user", "US.13", "Ann"), Address("user", "US.ENT.1", "Ann"))


def test_a_person_who_hides_the_number_is_known_by_the_user_id() -> None:
    found = sent_by({"profile": {"username": "ann"}, "user_id": "US.13"}, from_user_id="US.13")
    assert (found.sender, found.aliases) == (Address("user", "US.13", "ann"), ())


def test_a_message_without_any_sender_belongs_to_the_only_contact_beside_it() -> None:
    assert sent_by({"user_id": "US.13"}).sender == Address("user", "US.13")


def test_a_contact_without_any_id_is_nobody() -> None:
    with pytest.raises(Malformed):
        codec.parse(delivery(contacts=[{"profile": {"name": "Ann"}}], messages=[{"id": "w", "type": "text"}]))


def test_two_contacts_in_a_delivery_are_not_mixed_up() -> None:
    people = [
        {"wa_id": "1", "user_id": "US.1", "profile": {"name": "One"}},
        {"wa_id": "2", "profile": {"name": "Two"}},
    ]
    text = {"type": "text", "text": {"body": "x"}}
    both = [{"id": "a", "from": "2", **text}, {"id": "b", "from": "1", **text}]
    first, second = codec.parse(delivery(contacts=people, messages=both)).messages
    assert (first.sender.name, first.aliases) == ("Two", ())
    assert (second.sender.name, second.aliases) == ("One", (Address("user", "US.1", "One"),))


def test_somebody_with_a_new_number_stays_the_same_person() -> None:
    changed = {"type": "user_changed_number", "wa_id": "972912345678", "body": "…"}
    found = message(**{"type": "system", "from": "972987654321", "system": changed})
    assert found.sender.value == "+972987654321"
    assert [one.value for one in found.aliases] == ["+972912345678"]
    assert found.content == Unsupported("user_changed_number")
    assert found.automatic


def test_somebody_with_a_new_user_id_stays_the_same_person() -> None:
    moved = {"type": "user_changed_user_id", "user_id": "MX.2", "previous_user_id": "CO.1"}
    (found,) = codec.parse(delivery(messages=[{"id": "w", "type": "system", "system": moved}])).messages
    assert (found.sender.value, found.aliases) == ("CO.1", (Address("user", "MX.2"),))


@pytest.mark.parametrize(
    ("kept", "dialled"),
    [
        ("5215512345678", "+525512345678"),
        ("551187654321", "+5511987654321"),
        ("551132654321", ""),
        ("4930123", ""),
    ],
)
def test_old_forms_of_a_number_are_aliases_of_what_people_dial(kept: str, dialled: str) -> None:
    found = message(**{"from": kept, "type": "text", "text": {"body": "x"}})
    assert [one.value for one in found.aliases] == ([dialled] if dialled else [])


def test_a_group_is_a_thread() -> None:
    assert message(type="text", text={"body": "x"}, group_id="g1").thread == "g1"


def status(**fields: Any) -> Any:
    whole = {"id": "wamid.1", "status": "sent", "timestamp": "1698266945", "recipient_id": "972"} | fields
    return codec.parse(delivery(statuses=[whole])).statuses[0]


@pytest.mark.parametrize(
    ("word", "state"), [("sent", "sent"), ("delivered", "delivered"), ("read", "read"), ("played", "read")]
)
def test_a_status_has_its_state_and_its_price_category(word: str, state: str) -> None:
    pricing = {"billable": True, "pricing_model": "PMP", "category": "marketing", "type": "regular"}
    found = status(status=word, pricing=pricing, biz_opaque_callback_data="msg_7")
    assert (found.state, found.category, found.reference) == (state, "marketing", "msg_7")
    assert found.at_us == 1_698_266_945_000_000


@pytest.mark.parametrize(
    ("code", "state", "permanent"),
    [
        (131026, "undelivered", True),
        (131049, "undelivered", False),
        (130472, "undelivered", True),
        (131047, "failed", True),
        (131056, "failed", False),
        (999999, "failed", None),
    ],
)
def test_a_failed_status_says_whether_it_could_ever_arrive(
    code: int, state: str, permanent: bool | None
) -> None:
    found = status(status="failed", errors=[{"code": code, "title": "their words"}])
    assert (found.state, found.code, found.permanent) == (state, str(code), permanent)
    assert found.reason


def test_stopping_marketing_stops_marketing_only() -> None:
    wish = {
        "wa_id": "16505551234",
        "category": "marketing_messages",
        "value": "stop",
        "timestamp": 1731705721,
    }
    (found,) = codec.parse(delivery("user_preferences", user_preferences=[wish])).preferences
    assert (found.sender, found.allowed, found.purpose) == (
        Address("phone", "+16505551234"),
        False,
        "marketing",
    )
    assert found.id == "16505551234:marketing_messages:1731705721"
    (again,) = codec.parse(
        delivery("user_preferences", user_preferences=[wish | {"value": "resume", "timestamp": 1731705999}])
    ).preferences
    assert again.allowed and again.id != found.id


def test_one_delivery_may_hold_many_things() -> None:
    one = json.loads(delivery(messages=[{"id": "a", "from": "1", "type": "text", "text": {"body": "x"}}]))
    one["entry"].append(json.loads(delivery(statuses=[{"id": "s", "status": "read"}]))["entry"][0])
    one["entry"].append({"id": "1", "changes": [{"field": "account_update", "value": {"event": "X"}}]})
    found = codec.parse(json.dumps(one).encode())
    assert ([m.id for m in found.messages], [s.id for s in found.statuses]) == (["a"], ["s"])


def test_what_cannot_be_read_does_not_take_the_rest_with_it() -> None:
    good = {"id": "a", "from": "1", "type": "text", "text": {"body": "x"}}
    assert [m.id for m in codec.parse(delivery(messages=[{"type": "text"}, 7, good])).messages] == ["a"]
    with pytest.raises(Malformed):
        codec.parse(delivery(messages=[{"type": "text"}]))


def test_half_an_emoji_is_no_reason_to_lose_a_message() -> None:
    body = delivery(messages=[{"id": "a", "from": "1", "type": "text", "text": {"body": "CUT"}}])
    (found,) = codec.parse(body.replace(b"CUT", rb"so \ud83d")).messages
    assert found.content == Text("so ?")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"object":"page","entry":[]}']
)
def test_a_signed_body_that_is_no_delivery_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        posted(body, codec.signature(SECRET, body))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["id", "from", "from_user_id", "type", "text", "image", "system", "context", "timestamp", "interactive", "order",
     "contacts", "errors", "status", "pricing", "reaction", "edit", "location", "wa_id", "product_items", "voice"]
)  # fmt: skip
VALUES = JSON | st.sampled_from(["text", "image", "interactive", "order", "contacts", "edit", "nfm_reply"])


@given(st.dictionaries(NAMES, VALUES | st.dictionaries(NAMES, VALUES, max_size=3), max_size=8), JSON)
def test_whatever_stands_in_a_message_only_our_errors_come_out(odd: dict[str, Any], other: Any) -> None:
    for value in (
        {"messages": [odd], "contacts": [odd, other]},
        {"statuses": [odd]},
        {"user_preferences": [odd]},
    ):
        try:
            codec.parse(delivery(**value))
        except ChannelError:
            pass


@given(st.binary(max_size=200))
def test_whatever_the_bytes_only_our_errors_come_out(body: bytes) -> None:
    with pytest.raises(ChannelError):
        posted(body, codec.signature(SECRET, body))
