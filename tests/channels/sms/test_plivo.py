"""Plivo: both of its signatures, its words for things, and the fake against the client."""

import base64
from urllib.parse import urlencode

import msgspec
import pytest

from irisx_channels.sms.plivo import codec
from irisx_channels.sms.plivo.fake import FakePlivo
from irisx_sdk import (
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
from tests.channels.sms.providers import HOOK, NOW_S, PERSON, account_of, hello, made, parse

TOKEN = "plivo_test_auth_token"
URL = "https://hooks.example.test/plivo/sms"
NONCE = "05429567804466091622"
FIELDS = {"From": "15005550006", "Text": "Hello", "To": "15005550001"}
SETTINGS = codec.Settings(auth_id="MA1", auth_token=TOKEN)
V2 = "/cFVbTSDGeUyIKiQX41iI0Yb6xCDsVweV1hojE+JwWI="


def request(headers: dict[str, str], url: str = URL, fields: dict[str, str] = FIELDS) -> Request:
    kind = {"content-type": "application/x-www-form-urlencoded"}
    return Request("POST", url, kind | headers, urlencode(fields).encode(), 0)


def test_the_vector_of_version_two() -> None:
    assert codec.signature_v2(TOKEN, URL, NONCE) == V2
    assert codec.signature_v2(TOKEN, URL + "?a=1#b", NONCE) == V2
    codec.verify(SETTINGS, request({"x-plivo-signature-v2": V2, "x-plivo-signature-v2-nonce": NONCE}), ())


def test_the_vendors_own_vector() -> None:
    signed = codec.signature_v2("my_auth_token", "https://answer.url", "12345")
    assert signed == "ehV3IKhLysWBxC1sy8INm0qGoQYdYsHwuoKjsX7FsXc="


@pytest.mark.parametrize(
    ("url", "mark"),
    [
        (URL, "855N2AgBpfumFxxDUuwGdPKH0tk+mX+EELmcXF6pQvo="),
        (URL + "?b=2&a=1", "XYiFmnCfnsXjwSMg5rWjesuDBpMbW5WnVWxk9XcNdYA="),
    ],
)
def test_the_vectors_of_version_three(url: str, mark: str) -> None:
    assert codec.signature_v3(TOKEN, "POST", url, FIELDS.items(), NONCE) == mark
    headers = {"x-plivo-signature-v3": f"other,{mark}", "x-plivo-signature-v3-nonce": NONCE}
    codec.verify(SETTINGS, request(headers, url), list(FIELDS.items()))
    with pytest.raises(BadSignature):
        codec.verify(SETTINGS, request(headers, url), [*FIELDS.items(), ("More", "x")])


def test_a_get_of_version_three_signs_the_whole_query() -> None:
    """No vector is published for this one: the rule is written out by hand."""
    signed = codec.signature_v3(TOKEN, "GET", URL + "?b=2&a=1", [], "n")
    assert signed == codec._sign(TOKEN, URL + "?a=1&b=2.n")
    assert base64.b64decode(signed)


def test_a_main_accounts_signature_counts_for_its_subaccount() -> None:
    mark = codec.signature_v2("main", URL, NONCE)
    headers = {"x-plivo-signature-ma-v2": mark, "x-plivo-signature-v2-nonce": NONCE}
    codec.verify(msgspec.structs.replace(SETTINGS, main_token="main"), request(headers), ())
    with pytest.raises(BadSignature):
        codec.verify(SETTINGS, request(headers), ())


@pytest.mark.parametrize(
    "headers",
    [
        {"x-plivo-signature-v2": V2},
        {"x-plivo-signature-v2": codec.signature_v2(TOKEN, URL, "")},
        {"x-plivo-signature-v2": V2, "x-plivo-signature-v2-nonce": "1"},
        {"x-plivo-signature-v2": "", "x-plivo-signature-v2-nonce": NONCE},
        {"x-plivo-signature-v3": V2, "x-plivo-signature-v3-nonce": NONCE},
    ],
)
def test_whatever_is_changed_breaks_the_signature(headers: dict[str, str]) -> None:
    with pytest.raises(BadSignature):
        codec.parse(account_of(SETTINGS), request(headers))


def test_version_three_carries_messages_too() -> None:
    fake = FakePlivo(webhook_url=HOOK, version=3, clock=lambda: NOW_S)
    (delivery,) = fake.say(PERSON, "größer + & =")
    assert parse(fake, fake.request(delivery)).messages[0].content == Text("größer + & =")
    tampered = msgspec.structs.replace(delivery, body=delivery.body.replace(b"gr", b"kr"))
    with pytest.raises(BadSignature):
        parse(fake, fake.request(tampered))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("queued", "queued"), ("sent", "sent"), ("delivered", "delivered"), ("read", "read"),
        ("undelivered", "undelivered"), ("failed", "failed"), ("rejected", "failed"), ("Delivered", "delivered"),
    ],
)  # fmt: skip
def test_every_state_has_a_meaning(theirs: str, ours: str) -> None:
    fake = made("plivo")
    fields = {"MessageUUID": "u1", "Status": theirs, "ErrorCode": "000", "To": "15005550001"}
    (status,) = parse(fake, fake.request(fake.hook(fields, "?irisx-message=msg_7"))).statuses
    assert (status.id, status.state, status.reference, status.code) == ("u1", ours, "msg_7", "")


def test_a_state_that_nobody_knows_is_kept_for_people() -> None:
    fake = made("plivo")
    with pytest.raises(Malformed):
        parse(fake, fake.request(fake.hook({"MessageUUID": "u1", "Status": "dancing"})))


def test_an_opt_out_told_by_a_receipt_or_by_plivos_own_reading() -> None:
    fake = made("plivo")
    fields = {
        "MessageUUID": "u1",
        "Status": "failed",
        "ErrorCode": "200",
        "To": "15005550001",
        "From": "15005550006",
    }
    (preference,) = parse(fake, fake.request(fake.hook(fields))).preferences
    assert (preference.sender.value, preference.allowed) == (PERSON, False)
    for intent, allowed in [("optout", [False]), ("optin", [True]), ("help", [])]:
        (delivery,) = fake.say(PERSON, "something of its own", MessageIntent=intent)
        assert [one.allowed for one in parse(fake, fake.request(delivery)).preferences] == allowed


@pytest.mark.parametrize("first", [0, 1])
def test_pictures_are_counted_from_nought_or_one(first: int) -> None:
    fake = made("plivo")
    fields = {"MessageUUID": "u1", "From": "15005550001", "To": "15005550006", "Type": "mms", "Body": ""}
    fields |= {f"Media{first + i}": f"https://media.example.test/{i}" for i in range(2)}
    (message,) = parse(fake, fake.request(fake.hook(fields))).messages
    assert isinstance(message.content, Media) and message.content.file.url.endswith("/0")
    assert [file.url for file in message.files] == ["https://media.example.test/1"]


async def test_pictures_go_by_address_and_a_powerpack_chooses_the_sender() -> None:
    picture = File(url="https://files.example.test/a.png")
    with running(made("plivo")) as fake:
        async with tools() as lent:
            mine = account(fake, sender="", powerpack_uuid="p1")
            await fake.channel.send(mine, hello(files=(picture,)), lent)
            with pytest.raises(Misconfigured):
                await fake.channel.send(account(fake, sender=""), hello(), lent)
            with pytest.raises(Refused):
                await fake.channel.send(mine, hello("я" * 738), lent)
            with pytest.raises(Refused):  # to ourselves
                await fake.channel.send(account(fake, sender=PERSON), hello(), lent)
    assert fake.sent[0].raw == {
        "dst": "15005550001", "type": "mms", "powerpack_uuid": "p1", "text": "Hello, wörld", "media_urls": [picture.url],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"error":"dst +1 is wrong"}', Refused),
        (401, b"", Misconfigured),
        (403, b'{"error":"geo"}', Misconfigured),
        (422, b"{}", Refused),
        (429, b"{}", Throttled),
        (500, b"{}", OutcomeUnknown),
        (503, b"{}", NotSent),
        (202, b"{}", OutcomeUnknown),
        (202, b"<html>", OutcomeUnknown),
    ],
)
def test_an_answer_becomes_the_error_that_it_means(
    status: int, body: bytes, kind: type[ChannelError]
) -> None:
    with pytest.raises(kind) as raised:
        codec.sent(hello(), status, body)
    assert type(raised.value) is kind and "+1" not in str(raised.value)
