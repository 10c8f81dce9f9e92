"""Telnyx: its signature, its words for things, and the fake against the client."""

import base64

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from irisx_channels.sms.telnyx import codec
from irisx_sdk import (
    Address,
    BadSignature,
    ChannelError,
    Malformed,
    Media,
    Misconfigured,
    NotSent,
    OutcomeUnknown,
    Refused,
    Request,
    Throttled,
)
from irisx_sdk.testing import account, running, tools
from tests.channels.sms.providers import HOOK, NOW_S, PERSON, hello, made, parse

SETTINGS = codec.Settings(api_key="KEY", public_key="A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=")
BODY = b'{"data":{"event_type":"message.received","id":"evt-1"}}'
MARK = "hSgS0IWELpQLZchpQCEdnbqKQRhmDfRSIE/mcuvdt8JVJn9v1TsFlKAkMUa0ciwdBlcLa+G5tK7UvluH2EUVBQ=="


def request(
    body: bytes = BODY, mark: str = MARK, stamp: str = "1700000000", at_s: int = 1_700_000_000
) -> Request:
    headers = {"telnyx-signature-ed25519": mark, "telnyx-timestamp": stamp}
    return Request("POST", HOOK, headers, body, at_s * 1_000_000)


def test_the_vector() -> None:
    signer = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    assert base64.b64encode(signer.sign(b"1700000000|" + BODY)).decode() == MARK
    codec.verify(SETTINGS, request())


@pytest.mark.parametrize("late_s", [-300, 300])
def test_a_signature_is_good_for_five_minutes(late_s: int) -> None:
    codec.verify(SETTINGS, request(at_s=1_700_000_000 + late_s))
    with pytest.raises(BadSignature):
        codec.verify(SETTINGS, request(at_s=1_700_000_000 + late_s + (1 if late_s > 0 else -1)))


@pytest.mark.parametrize(
    "wrong",
    [
        request(body=BODY + b" "),
        request(stamp="1700000001"),
        request(mark=MARK[:-4] + "AAA="),
        request(mark="x"),
        request(mark=""),
        request(stamp=""),
        request(stamp="now"),
    ],
)
def test_whatever_is_changed_breaks_the_signature(wrong: Request) -> None:
    with pytest.raises(BadSignature):
        codec.verify(SETTINGS, wrong)


def test_a_public_key_that_is_none_lets_nothing_in() -> None:
    for key in ("", "AAAA", "not base64!"):
        with pytest.raises(BadSignature):
            codec.verify(msgspec.structs.replace(SETTINGS, public_key=key), request())


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("queued", "queued"), ("sending", "queued"), ("sent", "sent"), ("delivered", "delivered"),
        ("sending_failed", "failed"), ("expired", "failed"), ("delivery_failed", "undelivered"),
        ("delivery_unconfirmed", "sent"),
    ],
)  # fmt: skip
def test_every_state_has_a_meaning(theirs: str, ours: str) -> None:
    fake = made("telnyx")
    payload = {"id": "m1", "to": [{"phone_number": PERSON, "status": theirs}], "cost": {"amount": "0.004"}}
    request = fake.request(fake.event("message.finalized", payload, "?irisx-message=msg_7"))
    (status,) = parse(fake, request).statuses
    assert (status.id, status.state, status.reference, status.price) == ("m1", ours, "msg_7", "0.004")
    assert status.at_us == int(NOW_S * 1e6)


def test_a_state_that_nobody_knows_is_kept_for_people_and_other_events_are_none_of_ours() -> None:
    fake = made("telnyx")
    with pytest.raises(Malformed):
        parse(fake, fake.request(fake.event("message.finalized", {"id": "m", "to": [{"status": "dancing"}]})))
    assert parse(fake, fake.request(fake.event("10dlc.campaign.update", {"id": "c"}))).statuses == ()


def test_a_receipt_that_says_stop_is_a_preference() -> None:
    fake = made("telnyx")
    payload = {
        "id": "m1", "from": {"phone_number": "12345"}, "errors": [{"code": "40300"}],
        "to": [{"phone_number": PERSON, "status": "delivery_failed"}],
    }  # fmt: skip
    found = parse(fake, fake.request(fake.event("message.finalized", payload)))
    assert found.statuses[0].permanent
    assert [(one.sender.value, one.allowed) for one in found.preferences] == [(PERSON, False)]


def test_a_picture_and_a_group_arrive_whole() -> None:
    fake = made("telnyx")
    more = {"to": [{"phone_number": "+15005550006"}, {"phone_number": "+15005550007"}], "subject": "Trip"}
    (delivery,) = fake.say(
        PERSON, "", media=("https://media.example.test/1", "https://media.example.test/2"), **more
    )
    (message,) = parse(fake, fake.request(delivery)).messages
    assert isinstance(message.content, Media) and message.content.file.size == 17
    assert (len(message.files), message.subject) == (1, "Trip")
    assert message.also_to == (Address("phone", "+15005550007"),)


def test_stop_all_with_a_space_is_a_stop_here() -> None:
    fake = made("telnyx")
    (delivery,) = fake.say(PERSON, "Stop all")
    assert not parse(fake, fake.request(delivery)).preferences[0].allowed


async def test_without_a_sender_the_profile_chooses_a_number() -> None:
    with running(made("telnyx")) as fake:
        async with tools() as lent:
            await fake.channel.send(account(fake, sender="", messaging_profile_id="p1"), hello(), lent)
            with pytest.raises(Misconfigured):
                await fake.channel.send(account(fake, sender=""), hello(), lent)
            with pytest.raises(Misconfigured) as raised:
                await fake.channel.send(account(fake, sender="ACME"), hello(), lent)
            assert raised.value.code == "40013"
            fake.opted_out.add(PERSON)
            with pytest.raises(Refused) as refused:
                await fake.channel.send(account(fake), hello(), lent)
    assert refused.value.opted_out
    assert fake.sent[0].raw == {"to": PERSON, "messaging_profile_id": "p1", "text": "Hello, wörld"}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"errors":[{"code":"10002"}]}', Refused),
        (422, b'{"errors":[{"code":"40013"}]}', Misconfigured),
        (400, b'{"errors":[{"code":40011}]}', Throttled),
        (400, b'{"errors":[{"code":"40002"}]}', NotSent),
        (429, b"", Throttled),
        (401, b"{}", Misconfigured),
        (503, b"", NotSent),
        (500, b"", OutcomeUnknown),
        (200, b"{}", OutcomeUnknown),
        (200, b'{"data":{"id":"m","to":[{"status":"sending_failed"}],"errors":[{"code":"40003"}]}}', Refused),
    ],
)
def test_an_answer_becomes_the_error_that_it_means(
    status: int, body: bytes, kind: type[ChannelError]
) -> None:
    with pytest.raises(kind) as raised:
        codec.sent(hello(), status, body)
    assert type(raised.value) is kind
