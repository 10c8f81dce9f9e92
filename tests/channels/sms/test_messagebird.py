"""MessageBird: both of its signatures, its reports, and the fake against the client."""

import hashlib

import msgspec
import pytest

from irisx_channels.sms import jws
from irisx_channels.sms.messagebird import codec
from irisx_channels.sms.messagebird.fake import FakeMessageBird
from irisx_sdk import (
    BadSignature,
    ChannelError,
    File,
    Malformed,
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

KEY = "mb_signing_key"
SETTINGS = codec.Settings(access_key="live", signing_key=KEY)
URL = "https://hooks.example.test/mb?id=abc&status=delivered"
TOKEN = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJNZXNzYWdlQmlyZCIsIm5iZiI6MTcwMDAwMDAwMCwiZXhwIjoxNzAwMDAwMDYwLCJqd"
    "GkiOiIwMDAwMDAwMC0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMDIiLCJ1cmxfaGFzaCI6ImQ1YWVhNGI2N2JjMjNkNWI3YzBlN2MzYzRlNTQ5ZTdh"
    "MmNhZWQ5YTkyMWU3OWJkOWU4N2MwMDZiZDYyMjE5YTQifQ.7GvAa3p0vOwuqOaTL7RnD-XqibdQlnVyMfI7bhrNxKs"
)
URL_HASH = "d5aea4b67bc23d5b7c0e7c3c4e549e7a2caed9a921e79bd9e87c006bd62219a4"
GOOD = {"iss": "MessageBird", "nbf": 1_700_000_000, "exp": 1_700_000_060, "jti": "x", "url_hash": URL_HASH}


def request(
    token: str = TOKEN, url: str = URL, body: bytes = b"", at_s: float = 1_700_000_030, method: str = "GET"
) -> Request:
    return Request(method, url, {"messagebird-signature-jwt": token}, body, int(at_s * 1e6))


def test_the_vector() -> None:
    assert hashlib.sha256(URL.encode()).hexdigest() == URL_HASH
    (status,) = codec.parse(account_of(SETTINGS), request()).statuses
    assert (status.id, status.state) == ("abc", "delivered")


@pytest.mark.parametrize("at_s", [1_699_999_999, 1_700_000_061])
def test_a_token_is_good_for_its_time_and_a_second_around(at_s: int) -> None:
    codec.verify(SETTINGS, request(at_s=at_s))
    with pytest.raises(BadSignature):
        codec.verify(SETTINGS, request(at_s=at_s - 1 if at_s < 1_700_000_000 else at_s + 1))


@pytest.mark.parametrize(
    "wrong",
    [
        request(url=URL.replace("delivered", "sent")),
        request(url="https://hooks.example.test/mb?status=delivered&id=abc"),
        request(body=b"x", method="POST"),
        request(token=TOKEN[:-2] + "AA"),
        request(token=jws.make(GOOD, "other")),
        request(token=jws.make(GOOD | {"iss": "Someone"}, KEY)),
        request(token=jws.make(GOOD | {"payload_hash": "x"}, KEY)),
        request(token=jws.make({**GOOD, "exp": None}, KEY)),
        request(token=""),
    ],
)
def test_whatever_is_changed_breaks_the_token(wrong: Request) -> None:
    codec.verify(SETTINGS, request(token=jws.make(GOOD, KEY)))
    with pytest.raises(BadSignature):
        codec.verify(SETTINGS, wrong)


def test_a_body_has_to_be_in_the_token() -> None:
    digest = hashlib.sha256(b"a=1").hexdigest()
    good = request(token=jws.make(GOOD | {"payload_hash": digest}, KEY), body=b"a=1", method="POST")
    codec.verify(SETTINGS, good)
    with pytest.raises(BadSignature):
        codec.verify(SETTINGS, msgspec.structs.replace(good, body=b"a=2"))


def test_the_older_signature_is_good_for_ten_seconds() -> None:
    now = [NOW_S]
    fake = FakeMessageBird(webhook_url=HOOK, clock=lambda: now[0], old_signature=True)
    (delivery,) = fake.say(PERSON, "Grüße")
    assert parse(fake, fake.request(delivery)).messages[0].content == Text("Grüße")
    assert parse(fake, fake.request(delivery, age_s=10)).messages
    report = fake.report_of({"status": "delivered", "id": "m1"})
    assert parse(fake, fake.request(report)).statuses[0].id == "m1"
    for wrong in (
        fake.request(delivery, age_s=11),
        fake.request(msgspec.structs.replace(delivery, body=delivery.body + b"&x=1")),
        fake.request(msgspec.structs.replace(report, path=report.path + "&x=1")),
    ):
        with pytest.raises(BadSignature):
            parse(fake, wrong)
    now[0] = 0.0


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("scheduled", "queued"), ("sent", "sent"), ("buffered", "sent"), ("delivered", "delivered"),
        ("expired", "undelivered"), ("delivery_failed", "undelivered"),
    ],
)  # fmt: skip
def test_every_state_has_a_meaning(theirs: str, ours: str) -> None:
    fake = made("messagebird")
    fields = {
        "id": "m1",
        "reference": "msg_7",
        "status": theirs,
        "statusDatetime": "2024-01-02T03:04:05+00:00",
    }
    (status,) = parse(fake, fake.request(fake.report_of(fields))).statuses
    assert (status.id, status.state, status.reference) == ("m1", ours, "msg_7")
    assert status.at_us == 1_704_164_645_000_000


@pytest.mark.parametrize("written", ["2024-01-02T03:04:05+00:00", "2024-01-02T05:04:05+02:00"])
def test_a_plus_that_nobody_escaped_is_still_a_time(written: str) -> None:
    fake = made("messagebird")
    path = f"?id=m1&status=sent&statusDatetime={written}"
    (status,) = parse(fake, fake.request(fake._hook("GET", path))).statuses
    assert status.at_us == 1_704_164_645_000_000


@pytest.mark.parametrize(
    ("why", "permanent", "preferences"),
    [
        ("absent subscriber", False, 0),
        ("Unknown Subscriber", True, 0),
        ("opted out", True, 1),
        ("new", None, 0),
    ],
)
def test_a_report_says_why(why: str, permanent: bool | None, preferences: int) -> None:
    fake = made("messagebird")
    fields = {"id": "m1", "status": "delivery_failed", "statusReason": why, "recipient": "15005550001"}
    found = parse(fake, fake.request(fake.report_of(fields | {"statusErrorCode": "27"})))
    assert (found.statuses[0].code, found.statuses[0].permanent) == ("27", permanent)
    assert [one.sender.value for one in found.preferences] == [PERSON] * preferences


def test_a_state_that_nobody_knows_is_kept_for_people() -> None:
    fake = made("messagebird")
    for fields in ({"id": "m1", "status": "dancing"}, {"status": "sent"}):
        with pytest.raises(Malformed):
            parse(fake, fake.request(fake.report_of(fields)))


async def test_it_sends_texts_and_no_files() -> None:
    with running(made("messagebird")) as fake:
        async with tools() as lent:
            with pytest.raises(Refused):
                await fake.channel.send(account(fake), hello(files=(File(url="https://x"),)), lent)
            with pytest.raises(Misconfigured):
                await fake.channel.send(account(fake, sender=""), hello(), lent)
            await fake.channel.send(account(fake, sender="ACME"), hello(status_url=HOOK), lent)
            assert "103.81 euros" in await fake.channel.check(account(fake), lent)
    assert fake.sent[0].raw == {
        "originator": "ACME", "recipients": ["15005550001"], "body": "Hello, wörld", "datacoding": "auto",
        "reference": "msg_1", "reportUrl": HOOK,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (422, b'{"errors":[{"code":10,"description":"+1"}]}', Refused),
        (422, b'{"errors":[{"code":25}]}', Misconfigured),
        (401, b'{"errors":[{"code":2}]}', Misconfigured),
        (404, b'{"errors":[{"code":20,"description":"message not found","parameter":null}]}', Refused),
        (429, b"", Throttled),
        (500, b'{"errors":[{"code":99}]}', OutcomeUnknown),
        (503, b'{"errors":[{"code":99}]}', NotSent),
        (201, b"{}", OutcomeUnknown),
        (201, b"[]", OutcomeUnknown),
    ],
)
def test_an_answer_becomes_the_error_that_it_means(
    status: int, body: bytes, kind: type[ChannelError]
) -> None:
    with pytest.raises(kind) as raised:
        codec.sent(hello(), status, body)
    assert type(raised.value) is kind and "+1" not in str(raised.value)
