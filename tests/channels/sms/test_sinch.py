"""Sinch: its callbacks and their proofs, tokens, and the fake against the client."""

import base64
from typing import Any

import msgspec
import pytest

from irisx_channels.sms.sinch import codec
from irisx_channels.sms.sinch.fake import FakeSinch
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
    Unsupported,
)
from irisx_sdk.testing import account, running, tools
from tests.channels.sms.providers import HOOK, NOW_S, PERSON, account_of, hello, made, parse

BODY = (
    b'{"type":"mo_text","id":"01ABC","from":"15005550006","to":"15005550001","body":"Hi",'
    b'"received_at":"2024-01-02T03:04:05.000Z"}'
)
MARK = "78k+b7y3ZH1lfDXTHNAGxkIKK74HEbt+CJ4ZB1ov+/w="
SETTINGS = codec.Settings(plan_id="p", api_token="t", webhook_secret="sinch_webhook_secret")


def request(body: bytes = BODY, at_s: int = 1_700_000_000, **changes: str) -> Request:
    signed = {"": MARK, "-nonce": "01NONCE", "-timestamp": "1700000000", "-algorithm": "HmacSHA256"}
    signed |= {f"-{name}": value for name, value in changes.items() if name != "mark"}
    signed[""] = changes.get("mark", MARK)
    headers = {f"x-sinch-webhook-signature{name}": value for name, value in signed.items()}
    return Request("POST", HOOK, headers, body, at_s * 1_000_000)


def test_the_vector() -> None:
    assert codec.signature("sinch_webhook_secret", BODY, "01NONCE", "1700000000") == MARK
    (message,) = codec.parse(account_of(SETTINGS), request()).messages
    assert (message.id, message.content, message.sender.value) == ("01ABC", Text("Hi"), "+15005550006")
    assert message.sent_us == 1_704_164_645_000_000


@pytest.mark.parametrize(
    "wrong",
    [
        request(body=BODY + b" "),
        request(nonce="02"),
        request(timestamp="1700000001"),
        request(mark=""),
        request(mark="\u00e4"),
        request(algorithm="HmacSHA1"),
        request(at_s=1_700_000_301),
        request(at_s=1_699_999_699),
    ],
)
def test_whatever_is_changed_breaks_the_signature(wrong: Request) -> None:
    with pytest.raises(BadSignature):
        codec.verify(SETTINGS, wrong)


def test_a_password_counts_where_one_was_agreed_and_nowhere_else() -> None:
    pair = "Basic " + base64.b64encode(b"u:p").decode()
    bare = Request("POST", HOOK, {"authorization": pair}, BODY, 0)
    agreed = codec.Settings(plan_id="p", api_token="t", callback_user="u", callback_password="p")
    assert codec.parse(account_of(agreed), bare).messages
    for settings, tried in [
        (SETTINGS, bare),
        (agreed, request()),
        (msgspec.structs.replace(agreed, callback_password="q"), bare),
        (
            codec.Settings(plan_id="p", api_token="t"),
            msgspec.structs.replace(bare, headers={"authorization": "Basic Og=="}),
        ),
    ]:
        with pytest.raises(BadSignature):
            codec.verify(settings, tried)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("Queued", "queued"), ("Dispatched", "sent"), ("Delivered", "delivered"), ("Aborted", "failed"),
        ("Rejected", "failed"), ("Cancelled", "failed"), ("Deleted", "undelivered"), ("Failed", "undelivered"),
        ("Expired", "undelivered"), ("Unknown", "sent"), ("DELIVERED", "delivered"),
    ],
)  # fmt: skip
def test_every_state_has_a_meaning(theirs: str, ours: str) -> None:
    fake = made("sinch")
    body = {
        "type": "recipient_delivery_report_sms", "batch_id": "b1", "recipient": "15005550001", "code": 0,
        "status": theirs, "at": "2024-01-02T03:04:05Z", "client_reference": "msg_7",
    }  # fmt: skip
    (status,) = parse(fake, fake.request(fake.signed(msgspec.json.encode(body)))).statuses
    assert (status.id, status.state, status.reference, status.code) == ("b1", ours, "msg_7", "")
    assert status.at_us == 1_704_164_645_000_000


@pytest.mark.parametrize(
    ("code", "permanent"), [(402, True), (403, False), (404, False), (408, True), (999, None)]
)
def test_a_report_of_a_batch_says_whether_trying_again_is_pointless(
    code: int, permanent: bool | None
) -> None:
    fake = made("sinch")
    told = [{"code": code, "status": "Failed", "count": 1, "recipients": ["15005550001"]}]
    body = {"type": "delivery_report_sms", "batch_id": "b1", "statuses": told, "total_message_count": 1}
    (status,) = parse(fake, fake.request(fake.signed(msgspec.json.encode(body)))).statuses
    assert (status.id, status.state, status.permanent) == ("b1", "undelivered", permanent)


def test_what_nobody_knows_is_kept_for_people() -> None:
    fake = made("sinch")
    poison: list[dict[str, Any]] = [
        {"type": "dancing", "batch_id": "b"},
        {"type": "recipient_delivery_report_sms", "batch_id": "b", "status": "Dancing"},
        {"type": "recipient_delivery_report_sms", "batch_id": "b"},
        {"type": "delivery_report_sms"},
        {"type": "mo_text", "from": "1"},
    ]
    for body in poison:
        with pytest.raises(Malformed):
            parse(fake, fake.request(fake.signed(msgspec.json.encode(body))))


def test_pictures_and_strange_things_arrive() -> None:
    fake = made("sinch")
    (delivery,) = fake.say(PERSON, "", media=("https://media.example.test/1", "https://media.example.test/2"))
    (message,) = parse(fake, fake.request(delivery)).messages
    assert isinstance(message.content, Media) and len(message.files) == 1
    (delivery,) = fake.say(PERSON, "AAAA", type="mo_binary", udh="0500")
    (message,) = parse(fake, fake.request(delivery)).messages
    assert message.content == Unsupported("binary")
    lost = {"message": "hi", "media": [{"url": "https://x", "status": "Failed", "code": 1}]}
    (delivery,) = fake.say(PERSON, "", type="mo_media", body=lost)
    (message,) = parse(fake, fake.request(delivery)).messages
    assert (message.content, message.files) == (Text("hi"), ())


async def test_a_project_uses_tokens_and_a_plan_its_own() -> None:
    picture = File(url="https://files.example.test/a.png")
    with running(FakeSinch(webhook_url=HOOK, clock=lambda: NOW_S, oauth=True)) as fake:
        channel = type(fake.channel)()
        async with tools() as lent:
            await channel.send(account(fake), hello(files=(picture,), status_url=HOOK), lent)
            await channel.send(account(fake, sender=""), hello(), lent)
            with pytest.raises(Misconfigured):
                await channel.send(account(fake, api_token="wrong"), hello(), lent)
    assert len(fake.tokens) == 1
    assert fake.sent[0].raw == {
        "to": ["15005550001"], "from": "15005550006", "delivery_report": "per_recipient", "client_reference": "msg_1",
        "type": "mt_media", "body": {"url": picture.url, "message": "Hello, wörld"}, "callback_url": HOOK,
    }  # fmt: skip
    assert "from" not in fake.sent[1].raw


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"code":"syntax_invalid_json","text":"+1"}', Refused),
        (401, b"", Misconfigured),
        (403, b'{"code":"unprovisioned"}', Misconfigured),
        (429, b"", Throttled),
        (500, b"", OutcomeUnknown),
        (503, b"", NotSent),
        (201, b"{}", OutcomeUnknown),
        (201, b"<html>", OutcomeUnknown),
    ],
)
def test_an_answer_becomes_the_error_that_it_means(
    status: int, body: bytes, kind: type[ChannelError]
) -> None:
    with pytest.raises(kind) as raised:
        codec.sent(hello(), status, body)
    assert type(raised.value) is kind and "+1" not in str(raised.value)
