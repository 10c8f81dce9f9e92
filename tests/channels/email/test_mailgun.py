"""Mailgun's own: its signature, its ids, its repetitions, its stored files."""

import httpx
import pytest

from irisx_channels.email.mailgun import codec
from irisx_sdk import BadSignature, File, Malformed, Misconfigured, OutcomeUnknown, Refused, Text
from irisx_sdk.testing import account, running, tools
from tests.channels.email.providers import PERSON, hello, made, parse, read


def test_the_known_signature() -> None:
    told = codec.signature(
        "mg_signing_key_test", "1700000000", "0123456789abcdef0123456789abcdef0123456789abcdef01"
    )
    assert told == "1746ee6e2f4312515f8780fe243e9bae066d98c8acebcda025f064dbae6edfe9"


def test_a_repetition_after_hours_is_believed_and_one_after_a_day_is_not() -> None:
    fake = made("mailgun")
    (delivery,) = fake.say(PERSON, "Hello")
    assert parse(fake, fake.request(delivery, age_s=8 * 3600)).messages
    with pytest.raises(BadSignature):
        parse(fake, fake.request(delivery, age_s=24 * 3600))


def test_a_mail_forwarded_whole_is_read_too() -> None:
    fake = made("mailgun")
    (message,) = read(
        fake, *fake.say(PERSON, "Grüße", raw=True, files=[("a.bin", "application/x-a", b"\xff\0\xfe")])
    ).messages
    assert message.content == Text("Grüße")
    assert message.files[0].content == b"\xff\0\xfe"


@pytest.mark.parametrize("event", ["opened", "clicked", "stored", "something_new"])
def test_events_about_reading_change_no_state(event: str) -> None:
    fake = made("mailgun")
    data = {"event": event, "recipient": PERSON, "message": {"headers": {"message-id": "m@x"}}}
    found = read(fake, fake.event(data))
    assert (found.statuses, found.preferences) == ((), ())


def test_unsubscribing_and_complaining_are_told() -> None:
    fake = made("mailgun")
    data = {"recipient": PERSON, "id": "ev1", "message": {"headers": {"message-id": "m@x"}}, "timestamp": 1.5}
    (wish,) = read(fake, fake.event(data | {"event": "unsubscribed"})).preferences
    assert (wish.sender.value, wish.allowed, wish.at_us) == (PERSON, False, 1_500_000)
    (status,) = read(fake, fake.event(data | {"event": "complained"})).statuses
    assert status.complaint
    failed = {"event": "failed", "severity": "permanent", "reason": "suppress-unsubscribe"}
    found = read(fake, fake.event(data | failed))
    assert (found.statuses[0].state, found.preferences[0].allowed) == ("failed", False)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b"Mailgun Magnificent API", Misconfigured),
        (200, b"<html>", OutcomeUnknown),
        (400, b'{"message":"to parameter is not a valid address"}', Refused),
        (500, b"", OutcomeUnknown),
    ],
)
async def test_odd_answers_are_told_as_what_they_are(
    status: int, body: bytes, error: type[Exception]
) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=body))
    async with tools(transport=transport) as lent:
        with pytest.raises(error):
            await made("mailgun").channel.send(account(made("mailgun")), hello(), lent)


async def test_a_stored_file_is_fetched_with_the_key_and_from_mailgun_only() -> None:
    with running(made("mailgun")) as fake:
        async with tools() as lent:
            good = File(url=f"{fake.base}/v3/domains/shop.example/messages/abc/attachments/0")
            assert (
                b"".join([piece async for piece in fake.channel.fetch(account(fake), good, lent)])
                == b"stored"
            )
            with pytest.raises(Misconfigured):
                async for _ in fake.channel.fetch(account(fake), File(url="https://evil.example/x"), lent):
                    pass


def test_a_signed_body_that_is_neither_event_nor_mail_is_kept_for_people() -> None:
    fake = made("mailgun")
    with pytest.raises(Malformed):
        read(fake, fake.event({}))
