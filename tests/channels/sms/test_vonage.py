"""Vonage: its two interfaces, the proofs of both, and the fake against the client."""

import base64
import hashlib
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from irisx_channels.sms import jws, reading
from irisx_channels.sms.vonage import classic, codec, proofs
from irisx_channels.sms.vonage.fake import FakeVonage
from irisx_sdk import (
    BadSignature,
    ChannelError,
    File,
    Malformed,
    Media,
    Misconfigured,
    NotSent,
    OutcomeUnknown,
    Piece,
    Refused,
    Request,
    Text,
    Throttled,
    Unsupported,
)
from irisx_sdk.testing import account, running, tools
from tests.channels.sms.providers import HOOK, NOW_S, PERSON, hello, made, parse

SECRET = "vonage_sig_secret_01"
BODY = b'{"message_uuid":"aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab","status":"delivered"}'
TOKEN = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpYXQiOjE3MDAwMDAwMDAsImp0aSI6ImM1YmE4ZjI0LTAwMDAtNDAwMC04MDAwLTAwMDAwMDAwM"
    "DAwMSIsImlzcyI6IlZvbmFnZSIsInBheWxvYWRfaGFzaCI6ImQ1ZWNiYzdhYjc3YjM3NmIyY2Y2MzVhNjg2OWQ0ZGJiMTUzMjIxNzVmOTViNWMxOTI2"
    "MGEyN2Y2MjE3ZTRlZmYiLCJhcGlfa2V5IjoiYTFiMmMzZDQiLCJhcHBsaWNhdGlvbl9pZCI6IjAwMDAwMDAwLTAwMDAtNDAwMC04MDAwLTAwMDAwMDA"
    "wMDBhYSJ9.rAp6pCiopI9OUojfL_IVV6aTuvvfzOFdBuD5dlqlReU"
)
FIELDS = {
    "keyword": "A=B",
    "message-timestamp": "2024-01-02 03:04:05",
    "messageId": "0B0000012345ABCD",
    "msisdn": "447700900001",
    "nonce": "f3a9",
    "text": "a=b & c",
    "timestamp": "1704164645",
    "to": "447700900000",
    "type": "text",
}
SIGNATURES = {
    "md5hash": "0835c226761e1aae5b3acff8e82b24aa",
    "md5": "0968afc41ff244756759225a31a5d865",
    "sha1": "662ee47fac28661b1c02536f6b4b8a7d10d54a60",
    "sha256": "8afc32d326adfc8c4a5e8fbdcc57820b23fde43d03b70bfffceb79397d7663db",
}


def request(body: bytes = BODY, token: str = TOKEN, at_s: int = 1_700_000_000) -> Request:
    return Request("POST", HOOK, {"authorization": f"Bearer {token}"}, body, at_s * 1_000_000)


def old() -> FakeVonage:
    return FakeVonage(webhook_url=HOOK, clock=lambda: NOW_S, interface="sms")


def test_the_vector_of_the_messages_interface() -> None:
    assert (
        hashlib.sha256(BODY).hexdigest() == "d5ecbc7ab77b376b2cf635a6869d4dbb15322175f95b5c19260a27f6217e4eff"
    )
    proofs.verify_token(SECRET, request())
    assert jws.claims(TOKEN, SECRET)["api_key"] == "a1b2c3d4"


@pytest.mark.parametrize("method", SIGNATURES)
def test_the_vectors_of_the_sms_interface(method: proofs.Method) -> None:
    mark = SIGNATURES[method]
    assert proofs.signature(method, SECRET, FIELDS) == mark
    signed = FIELDS | {"sig": mark.upper()}
    proofs.verify_fields(method, SECRET, signed, 1_704_164_645_000_000)
    for wrong in (signed | {"text": "a=b & d"}, signed | {"more": "x"}, FIELDS, signed | {"sig": ""}):
        with pytest.raises(BadSignature):
            proofs.verify_fields(method, SECRET, wrong, 1_704_164_645_000_000)
    with pytest.raises(BadSignature):
        proofs.verify_fields(method, "", signed, 1_704_164_645_000_000)
    (message,) = classic.parse(signed).messages
    assert (message.content, message.sender.value, message.sent_us) == (
        Text("a=b & c"),
        "+447700900001",
        1_704_164_645_000_000,
    )


def test_sha512_is_an_hmac_like_the_others() -> None:
    """No vector is published: the length and its difference from the others are what is known."""
    assert len(proofs.signature("sha512", SECRET, FIELDS)) == 128


@pytest.mark.parametrize("late_s", [-301, 301])
def test_both_proofs_are_good_for_five_minutes(late_s: int) -> None:
    with pytest.raises(BadSignature):
        proofs.verify_token(SECRET, request(at_s=1_700_000_000 + late_s))
    signed = FIELDS | {"sig": SIGNATURES["sha1"]}
    proofs.verify_fields("sha1", SECRET, signed, (1_704_164_645 + late_s // 2) * 1_000_000)
    with pytest.raises(BadSignature):
        proofs.verify_fields("sha1", SECRET, signed, (1_704_164_645 + late_s) * 1_000_000)


def _forged(head: bytes, said: dict[str, object], mark: bytes = b"") -> str:
    parts = (head, msgspec.json.encode(said), mark)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


GOOD = {"iss": "Vonage", "iat": 1_700_000_000, "payload_hash": hashlib.sha256(BODY).hexdigest()}


@pytest.mark.parametrize(
    "wrong",
    [
        request(body=BODY + b" "),
        request(token=TOKEN[:-2] + "AA"),
        request(token=""),
        request(token="a.b.c"),
        request(token="a.b"),
        request(token="\u00e4"),
        request(token=_forged(b'{"alg":"none"}', GOOD)),
        request(token=_forged(b'{"alg":"RS256"}', GOOD, b"x")),
        request(token=_forged(b'{"alg":[]}', GOOD)),
        request(token=_forged(b"[]", GOOD)),
        request(token=jws.make(GOOD | {"iss": "Someone"}, SECRET)),
        request(token=jws.make(GOOD | {"iat": "now"}, SECRET)),
        request(token=jws.make(GOOD | {"iat": True}, SECRET)),
        request(token=jws.make(GOOD | {"payload_hash": None}, SECRET)),
        request(token=jws.make(GOOD | {"payload_hash": 7}, SECRET)),
        request(token=jws.make(GOOD, "another")),
    ],
)
def test_whatever_is_changed_breaks_the_token(wrong: Request) -> None:
    proofs.verify_token(SECRET, request(token=jws.make(GOOD, SECRET)))
    with pytest.raises(BadSignature):
        proofs.verify_token(SECRET, wrong)


def test_a_secret_that_is_not_set_lets_nothing_in() -> None:
    with pytest.raises(BadSignature):
        proofs.verify_token("", request(token=jws.make(GOOD, "")))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("submitted", "sent"), ("delivered", "delivered"), ("read", "read"), ("rejected", "failed"),
        ("undeliverable", "undelivered"),
    ],
)  # fmt: skip
def test_every_state_of_the_messages_interface_has_a_meaning(theirs: str, ours: str) -> None:
    fake = made("vonage")
    body = {
        "message_uuid": "u1",
        "status": theirs,
        "client_ref": "msg_7",
        "timestamp": "2024-01-02T03:04:05Z",
    }
    (status,) = parse(fake, fake.request(fake.signed(msgspec.json.encode(body)))).statuses
    assert (status.id, status.state, status.reference) == ("u1", ours, "msg_7")
    assert status.at_us == 1_704_164_645_000_000


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("accepted", "sent"), ("buffered", "sent"), ("delivered", "delivered"), ("expired", "undelivered"),
        ("failed", "undelivered"), ("rejected", "failed"), ("unknown", "sent"),
    ],
)  # fmt: skip
def test_every_state_of_the_sms_interface_has_a_meaning(theirs: str, ours: str) -> None:
    fake = old()
    fields = {"messageId": "m1", "status": theirs, "err-code": "2", "client-ref": "msg_7", "price": "0.03"}
    (status,) = parse(fake, fake.request(fake.hook(fields))).statuses
    assert (status.id, status.state, status.reference, status.price) == ("m1", ours, "msg_7", "0.03")
    assert status.code == "2"


def test_a_state_that_nobody_knows_is_kept_for_people() -> None:
    for fake in (made("vonage"), old()):
        body = msgspec.json.encode({"message_uuid": "u1", "status": "dancing"})
        delivery = (
            fake.hook({"messageId": "m", "status": "dancing"})
            if fake.interface == "sms"
            else fake.signed(body)
        )
        with pytest.raises(Malformed):
            parse(fake, fake.request(delivery))


def test_a_problem_has_its_number_in_one_of_two_places() -> None:
    for error, code, permanent in [
        ({"type": "https://x/messages#1050", "title": "Number barred"}, "1050", True),
        ({"type": "https://x/messages", "title": 1030}, "1030", False),
        ({"type": "https://x", "title": "no number"}, "", None),
    ]:
        fake = made("vonage")
        body = {"message_uuid": "u1", "status": "rejected", "error": error}
        (status,) = parse(fake, fake.request(fake.signed(msgspec.json.encode(body)))).statuses
        assert (status.code, status.permanent) == (code, permanent)


def test_a_long_text_of_the_sms_interface_arrives_as_pieces() -> None:
    fake = old()
    text = "stop " * 50
    messages = [parse(fake, fake.request(one)).messages[0] for one in fake.say(PERSON, text, parts=2)]
    assert "".join(message.content.text for message in messages) == text
    group = messages[0].piece.group
    assert group and [message.piece for message in messages] == [Piece(group, number, 2) for number in (1, 2)]
    assert messages[0].id != messages[1].id
    first, _ = fake.say(PERSON, "stopstop", parts=2)
    assert parse(fake, fake.request(first)).preferences == ()
    wrong: dict[str, Any] = {"concat": "true", "concat-part": "3", "concat-total": "2"}
    (odd,) = fake.say(PERSON, "odd", **wrong)
    assert parse(fake, fake.request(odd)).messages[0].piece is None
    (binary,) = fake.say(PERSON, "", type="binary")
    assert parse(fake, fake.request(binary)).messages[0].content == Unsupported("binary")


@pytest.mark.parametrize("kind", ["form", "json"])
def test_the_sms_interface_may_post_too(kind: str) -> None:
    fake = old()
    (delivery,) = fake.say(PERSON, "Grüße & mehr")
    query = delivery.path[1:]
    if kind == "form":
        posted = msgspec.structs.replace(delivery, method="POST", path="", body=query.encode())
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
    else:
        fields = reading.fields(fake.request(delivery))
        posted = msgspec.structs.replace(delivery, method="POST", path="", body=msgspec.json.encode(fields))
        headers = {"Content-Type": "application/json"}
    posted = msgspec.structs.replace(posted, headers=headers)
    assert parse(fake, fake.request(posted)).messages[0].content == Text("Grüße & mehr")


def test_a_picture_and_the_older_form_of_addresses() -> None:
    fake = made("vonage")
    (delivery,) = fake.say(PERSON, "look", image="https://media.example.test/1")
    (message,) = parse(fake, fake.request(delivery)).messages
    assert message.content == Text("look") and message.files[0].media_type == "image/*"
    (delivery,) = fake.say(PERSON, "", image="https://media.example.test/1")
    assert isinstance(parse(fake, fake.request(delivery)).messages[0].content, Media)
    more = {"from": {"type": "sms", "number": "15005550001"}, "to": {"type": "sms", "number": "447700900000"}}
    (delivery,) = fake.say(PERSON, "hi", **more)
    (message,) = parse(fake, fake.request(delivery)).messages
    assert (message.sender.value, message.recipient.value) == (PERSON, "+447700900000")


async def test_a_long_text_is_sent_through_the_sms_interface_as_parts_with_ids() -> None:
    with running(old()) as fake:
        async with tools() as lent:
            sent = await fake.channel.send(account(fake), hello("я" * 100, status_url=HOOK), lent)
            fake.barred.add(PERSON[1:])
            with pytest.raises(Refused):
                await fake.channel.send(account(fake), hello(), lent)
            with pytest.raises(Misconfigured):
                await fake.channel.send(account(fake, api_secret="wrong"), hello(), lent)
            assert "10.28" in await fake.channel.check(account(fake), lent)
    assert len(sent.ids) == sent.segments == 2
    assert fake.sent[0].raw["type"] == "unicode" and fake.sent[0].raw["callback"] == HOOK
    (delivery,) = fake.receipt(fake.sent[0], "delivered")
    (status,) = parse(fake, fake.request(delivery)).statuses
    assert (status.id, status.reference) == (sent.ids[0], "msg_1")
    assert fake.receipt(fake.sent[0], "read") == []


async def test_an_application_signs_its_requests() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    with running(FakeVonage(public_key=key.public_key(), clock=lambda: NOW_S)) as fake:
        async with tools() as lent:
            mine = account(fake, application_id="app", private_key=pem, api_secret="unused")
            picture = File(url="https://files.example.test/a.vcf", media_type="text/vcard")
            await fake.channel.send(mine, hello(files=(picture,)), lent)
            with pytest.raises(Misconfigured):
                await fake.channel.send(account(fake, application_id="app", private_key="x"), hello(), lent)
    assert fake.sent[0].raw["message_type"] == "vcard" and fake.sent[0].media == (picture.url,)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (422, b'{"type":"x#1050","title":"barred +1"}', Refused),
        (422, b'{"type":"x#1120"}', Misconfigured),
        (401, b'{"title":"Unauthorized"}', Misconfigured),
        (429, b'{"title":"Rate Limit Hit"}', Throttled),
        (500, b'{"type":"x#1030"}', OutcomeUnknown),
        (503, b'{"type":"x#1030"}', NotSent),
        (202, b"{}", OutcomeUnknown),
        (200, b'{"messages":[{"status":"1"}]}', Throttled),
        (200, b'{"messages":[{"status":"9"}]}', Misconfigured),
        (200, b'{"messages":[{"status":"12"}]}', Refused),
        (200, b'{"messages":[{"status":"5"}]}', NotSent),
        (200, b'{"messages":[{"status":"77"}]}', OutcomeUnknown),
        (200, b'{"messages":[{"status":"0","message-id":"a"},{"status":"1"}]}', OutcomeUnknown),
        (200, b'{"messages":[{"status":"0"}]}', OutcomeUnknown),
        (200, b'{"messages":[]}', OutcomeUnknown),
        (200, b'{"messages":7}', OutcomeUnknown),
        (200, b"<html>", OutcomeUnknown),
    ],
)
def test_an_answer_becomes_the_error_that_it_means(
    status: int, body: bytes, kind: type[ChannelError]
) -> None:
    with pytest.raises(kind) as raised:
        codec.sent(hello(), status, body)
    assert type(raised.value) is kind and "+1" not in str(raised.value)
