"""Twilio: its signatures, its words for things, and the fake against the client."""

from urllib.parse import urlencode

import msgspec
import pytest

from irisx_channels.sms.twilio import codec
from irisx_channels.sms.twilio.fake import FakeTwilio
from irisx_sdk import (
    Address,
    BadSignature,
    ChannelError,
    File,
    Malformed,
    Media,
    Misconfigured,
    NotSent,
    OutcomeUnknown,
    Refused,
    Request,
    Text,
    Throttled,
)
from irisx_sdk.testing import account, running, tools
from tests.channels.sms.providers import HOOK, PERSON, account_of, hello, made, parse

TOKEN = "test_auth_token_0123456789abcdef"
SETTINGS = codec.Settings(account_sid="AC00000000000000000000000000000001", auth_token=TOKEN)
FORM_URL = "https://hooks.example.test/twilio/sms?tenant=7"
FIELDS = {
    "AccountSid": "AC00000000000000000000000000000001",
    "Body": "Hello, wörld & co",
    "From": "+15005550006",
    "MessageSid": "SM00000000000000000000000000000001",
    "NumMedia": "0",
    "NumSegments": "1",
    "To": "+15005550001",
}
FORM_MARK = "gEWERQaDSMV9tL4JAwavO/J5Ysc="
JSON_URL = (
    "https://hooks.example.test/twilio/json"
    "?bodySHA256=ecf9e98ec0641e23113ff3ce8bdc78d0ddd249886517fd4a7f68cc83d4e65667"
)
JSON_MARK = "BZfmg63NgV8oyNDPTOe+/eZEjEc="
JSON_BODY = b'{"a":1,"b":"x"}'


def request(url: str, body: bytes, mark: str, kind: str = "application/x-www-form-urlencoded") -> Request:
    return Request("POST", url, {"content-type": kind, "x-twilio-signature": mark}, body, 0)


def test_the_form_vector() -> None:
    assert codec.signature(TOKEN, FORM_URL, FIELDS.items()) == FORM_MARK
    found = codec.parse(account_of(SETTINGS), request(FORM_URL, urlencode(FIELDS).encode(), FORM_MARK))
    (message,) = found.messages
    assert (message.id, message.content) == (FIELDS["MessageSid"], Text("Hello, wörld & co"))
    assert (found.reply.body, found.reply.media_type) == (b"<Response/>", "text/xml; charset=utf-8")


def test_the_json_vector() -> None:
    assert codec.signature(TOKEN, JSON_URL) == JSON_MARK
    good = request(JSON_URL, JSON_BODY, JSON_MARK, "application/json")
    codec.verify(SETTINGS, good, ())
    with pytest.raises(BadSignature):
        codec.verify(SETTINGS, msgspec.structs.replace(good, body=b'{"a":2,"b":"x"}'), ())
    with pytest.raises(Malformed):  # signed, but no message
        codec.parse(account_of(SETTINGS), good)


def test_the_vendors_own_vector() -> None:
    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+12349013030",
        "Digits": "1234",
        "From": "+12349013030",
        "To": "+18005551212",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert codec.signature("12345", url, fields.items()) == "0/KCTR6DLpKmkAf8muzZqo1nDgQ="


@pytest.mark.parametrize("change", ["url", "field", "body", "more"])
def test_whatever_is_changed_breaks_the_signature(change: str) -> None:
    fields, url = dict(FIELDS), FORM_URL
    if change == "url":
        url = FORM_URL.replace("7", "8")
    elif change == "more":
        fields["New"] = "x"
    else:
        fields["Body"] += "!"
    with pytest.raises(BadSignature):
        codec.parse(account_of(SETTINGS), request(url, urlencode(fields).encode(), FORM_MARK))


def test_the_schemes_own_port_may_be_signed_or_not() -> None:
    body = urlencode(FIELDS).encode()
    with_port = FORM_URL.replace(".test/", ".test:443/")
    signed_with = codec.signature(TOKEN, with_port, FIELDS.items())
    for url, mark in [(with_port, FORM_MARK), (FORM_URL, signed_with), (FORM_URL + "#rc=3", FORM_MARK)]:
        assert codec.parse(account_of(SETTINGS), request(url, body, mark)).messages


def test_a_repeated_value_counts_once_and_names_are_in_the_order_of_bytes() -> None:
    twice = [("b", "1"), ("a", "2"), ("b", "1"), ("B", "3"), ("b", "0")]
    assert codec.signature("t", "https://h", twice) == codec.signature("t", "https://hB3a2b0b1")


def test_a_body_that_is_neither_form_nor_covered_by_a_digest_is_not_believed() -> None:
    url = "https://hooks.example.test/x"
    with pytest.raises(BadSignature):
        codec.parse(account_of(SETTINGS), request(url, JSON_BODY, codec.signature(TOKEN, url), "text/plain"))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("accepted", "queued"), ("scheduled", "queued"), ("queued", "queued"), ("sending", "queued"), ("sent", "sent"),
        ("delivered", "delivered"), ("partially_delivered", "delivered"), ("read", "read"),
        ("undelivered", "undelivered"), ("failed", "failed"), ("canceled", "failed"),
    ],
)  # fmt: skip
def test_every_state_has_a_meaning(theirs: str, ours: str) -> None:
    fake = made("twilio")
    fields = {"MessageSid": "SM1", "MessageStatus": theirs, "To": PERSON, "From": "+15005550006"}
    (status,) = parse(fake, fake.request(fake.hook(fields, "?irisx-message=msg_7"))).statuses
    assert (status.id, status.state, status.reference) == ("SM1", ours, "msg_7")


def test_a_state_that_nobody_knows_is_kept_for_people() -> None:
    fake = made("twilio")
    with pytest.raises(Malformed):
        parse(fake, fake.request(fake.hook({"MessageSid": "SM1", "MessageStatus": "dancing"})))


@pytest.mark.parametrize(
    ("code", "permanent"), [("30003", False), ("30005", True), ("30007", True), ("1", None)]
)
def test_a_receipt_says_whether_trying_again_is_pointless(code: str, permanent: bool | None) -> None:
    fake = made("twilio")
    fields = {"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": code, "To": PERSON}
    (status,) = parse(fake, fake.request(fake.hook(fields))).statuses
    assert (status.code, status.permanent) == (code, permanent)


def test_an_opt_out_that_only_a_receipt_tells_is_kept() -> None:
    fake = made("twilio")
    fields = {
        "MessageSid": "SM1",
        "MessageStatus": "failed",
        "ErrorCode": "21610",
        "To": PERSON,
        "From": "12345",
    }
    (preference,) = parse(fake, fake.request(fake.hook(fields))).preferences
    assert (preference.sender, preference.allowed) == (Address("phone", PERSON), False)
    assert preference.recipient == Address("phone", "12345")


def test_advanced_opt_out_is_twilios_reading() -> None:
    fake = made("twilio")
    for kind, text, allowed in [("STOP", "arrêt", [False]), ("START", "oui", [True]), ("HELP", "aide", [])]:
        (delivery,) = fake.say(PERSON, text, OptOutType=kind)
        found = parse(fake, fake.request(delivery))
        assert [one.allowed for one in found.preferences] == allowed
    (delivery,) = fake.say(PERSON, "revoke")
    assert not parse(fake, fake.request(delivery)).preferences[0].allowed


async def test_pictures_come_from_the_storage_which_never_sees_the_password() -> None:
    with running(made("twilio")) as fake:
        (delivery,) = fake.say(PERSON, "", media=2)
        (message,) = parse(fake, fake.request(delivery)).messages
        assert isinstance(message.content, Media)
        assert (message.content.kind, len(message.files)) == ("image", 1)
        async with tools() as lent:
            file = message.content.file
            whole = b"".join([piece async for piece in fake.channel.fetch(account(fake), file, lent)])
            wrong = account(fake, auth_token="wrong")
            with pytest.raises(Misconfigured):
                [piece async for piece in fake.channel.fetch(wrong, file, lent)]
    assert whole.startswith(b"\x89PNG")
    assert fake.leaked == 0
    (delivery,) = fake.say(PERSON, "see", media=1)
    (message,) = parse(fake, fake.request(delivery)).messages
    assert message.content == Text("see") and len(message.files) == 1


async def test_files_of_ours_are_sent_by_their_address() -> None:
    picture = File(url="https://files.example.test/a.png", media_type="image/png")
    with running(made("twilio")) as fake:
        async with tools() as lent:
            message = msgspec.structs.replace(
                hello(), content=Media(picture, "image", "look"), files=(picture,)
            )
            sent = await fake.channel.send(account(fake), message, lent)
    assert (fake.sent[0].media, fake.sent[0].text) == ((picture.url, picture.url), "look")
    assert sent.ids[0].startswith("MM")


async def test_a_messaging_service_chooses_the_sender_and_segments_are_counted_by_us() -> None:
    with running(made("twilio")) as fake:
        async with tools() as lent:
            mine = account(fake, sender="", messaging_service_sid="MG1")
            sent = await fake.channel.send(mine, hello("я" * 71), lent)
            named = hello(sender=Address("phone", "+15005550009"))
            await fake.channel.send(mine, named, lent)
            with pytest.raises(Misconfigured):
                await fake.channel.send(account(fake, sender=""), hello(), lent)
    assert [one.sender for one in fake.sent] == ["MG1", "+15005550009"]
    assert sent.segments == 2


async def test_somebody_who_said_stop_is_refused_as_such() -> None:
    with running(made("twilio")) as fake:
        fake.opted_out.add(PERSON)
        async with tools() as lent:
            with pytest.raises(Refused) as refused:
                await fake.channel.send(account(fake), hello(), lent)
    assert refused.value.opted_out and refused.value.code == "21610"
    assert PERSON not in str(refused.value)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"code":21211,"message":"to +1","status":400}', Refused),
        (400, b'{"code":99999,"message":"new","status":400}', Refused),
        (400, b'{"code":21606,"status":400}', Misconfigured),
        (401, b'{"code":20003,"status":401}', Misconfigured),
        (429, b'{"code":20429,"status":429}', Throttled),
        (429, b"<html>", Throttled),
        (400, b'{"code":21611}', Throttled),
        (503, b"", NotSent),
        (500, b'{"code":20500}', OutcomeUnknown),
        (500, b'{"code":20429}', OutcomeUnknown),
        (502, b"<html>", OutcomeUnknown),
        (301, b"", Misconfigured),
        (201, b"", OutcomeUnknown),
        (201, b'{"sid":null}', OutcomeUnknown),
        (201, b"[1]", OutcomeUnknown),
        (201, b'{"sid":"SM1","status":"failed","error_code":30034}', Misconfigured),
        (400, b'{"type":"about:blank","title":"no","status":400,"code":21610}', Refused),
    ],
)
def test_an_answer_becomes_the_error_that_it_means(
    status: int, body: bytes, kind: type[ChannelError]
) -> None:
    with pytest.raises(kind) as raised:
        codec.sent(hello(), status, body)
    assert type(raised.value) is kind
    assert "+1" not in str(raised.value)


async def test_an_api_key_sends_while_the_token_still_verifies() -> None:
    settings = msgspec.structs.replace(SETTINGS, api_key="SK1", api_secret="s")
    assert codec.credentials(settings) == ("SK1", "s")
    assert codec.credentials(SETTINGS) == (SETTINGS.account_sid, TOKEN)
    assert codec.address(SETTINGS, "/Messages").endswith(f"/{SETTINGS.account_sid}/Messages.json")
    assert isinstance(made("twilio"), FakeTwilio)
    assert codec.form(SETTINGS, hello(sender=Address("phone", "12345"), status_url=HOOK))[
        "StatusCallback"
    ] == (f"{HOOK}?irisx-message=msg_1")
