"""SparkPost's own: its classes of bounces, its quota, its pings."""

from typing import Any

import msgspec
import pytest

from irisx_channels.email.sparkpost import codec
from irisx_sdk import BadSignature, Malformed, Parsed, Text, Throttled
from irisx_sdk.testing import account, running, tools
from tests.channels.email.providers import PERSON, hello, made, parse, read


def event(**fields: Any) -> Parsed:
    fake = made("sparkpost")
    known = {
        "transmission_id": "t-1",
        "raw_rcpt_to": PERSON,
        "rcpt_meta": {codec.REFERENCE: "msg_9"},
        "timestamp": "5",
    }
    return read(fake, fake.events([known | fields]))


@pytest.mark.parametrize(
    ("fields", "state", "permanent"),
    [
        ({"type": "injection"}, "queued", None),
        ({"type": "delay", "bounce_class": "22"}, "sent", None),
        ({"type": "delivery"}, "delivered", None),
        ({"type": "bounce", "bounce_class": "10"}, "undelivered", True),
        ({"type": "bounce", "bounce_class": "22"}, "undelivered", False),
        ({"type": "bounce", "bounce_class": "51"}, "undelivered", None),
        ({"type": "out_of_band", "bounce_class": "30"}, "undelivered", True),
        ({"type": "bounce", "bounce_class": "1"}, "undelivered", None),
        ({"type": "policy_rejection"}, "failed", None),
        ({"type": "generation_failure"}, "failed", None),
        ({"type": "generation_rejection"}, "failed", None),
        ({"type": "spam_complaint"}, "delivered", None),
    ],
)
def test_every_event_means_one_state(fields: dict[str, str], state: str, permanent: bool | None) -> None:
    (status,) = event(**fields).statuses
    assert (status.id, status.state, status.permanent) == ("t-1", state, permanent)
    assert (status.reference, status.at_us) == ("msg_9", 5_000_000)
    assert status.complaint is (fields["type"] == "spam_complaint")


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "open"},
        {"type": "click"},
        {"type": "amp_open"},
        {"type": "new"},
        {"type": "bounce", "bounce_class": "60"},
    ],
)
def test_reading_and_answers_of_machines_change_no_state(fields: dict[str, str]) -> None:
    assert event(**fields) == Parsed()


@pytest.mark.parametrize(
    "fields",
    [{"type": "list_unsubscribe"}, {"type": "link_unsubscribe"}, {"type": "bounce", "bounce_class": "90"}],
)
def test_wishes_are_told(fields: dict[str, str]) -> None:
    (wish,) = event(**fields).preferences
    assert (wish.sender.value, wish.allowed) == (PERSON, False)


def test_a_ping_is_nothing_and_what_is_no_batch_is_kept_for_people() -> None:
    fake = made("sparkpost")
    assert read(fake, fake.signed(b'[{"msys":{}}]')) == Parsed()
    for body in (b"{}", b"[]", b"[{}]", b"\xff", b"null"):
        with pytest.raises(Malformed):
            parse(fake, fake.request(fake.signed(body)))


def test_a_mail_without_its_source_is_read_from_its_parts() -> None:
    fake = made("sparkpost")
    content = {"text": "Hello", "headers": [{"From": "Kim <kim@customer.example>"}, {"Message-ID": "<m@x>"}]}
    relay = {"content": content, "msg_from": PERSON, "rcpt_to": "answers@in.shop.example"}
    (message,) = read(fake, fake.signed(msgspec.json.encode([{"msys": {"relay_message": relay}}]))).messages
    assert (message.id, message.content) == ("m@x", Text("Hello"))


async def test_a_quota_that_is_used_up_is_a_matter_of_time() -> None:
    with running(made("sparkpost")) as fake:
        fake.quota = 0
        async with tools() as lent:
            with pytest.raises(Throttled):
                await fake.channel.send(account(fake), hello(), lent)
    assert fake.sent == []


def test_a_wrong_token_is_refused() -> None:
    fake = made("sparkpost")
    request = fake.request(fake.say(PERSON, "x")[0])
    for headers in ({}, {"x-messagesystems-webhook-token": "wrong"}, {"authorization": "Basic eDp4"}):
        with pytest.raises(BadSignature):
            parse(fake, msgspec.structs.replace(request, headers=headers))
