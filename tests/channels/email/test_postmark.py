"""Postmark's own: codes in answers, its words for bounces, the password of its webhooks."""

import base64
from typing import Any

import httpx
import msgspec
import pytest

from irisx_channels.email.postmark import codec
from irisx_sdk import BadSignature, Malformed, Misconfigured, NotSent, OutcomeUnknown, Refused, Text
from irisx_sdk.testing import account, running, tools
from tests.channels.email.providers import PERSON, hello, made, parse, read


def event(**fields: Any) -> Any:
    fake = made("postmark")
    known = {"MessageID": "u-1", "Email": PERSON, "Metadata": {codec.REFERENCE: "msg_9"}}
    return read(fake, fake.signed(msgspec.json.encode(known | fields)))


@pytest.mark.parametrize(
    ("kind", "state", "permanent"),
    [
        ("HardBounce", "undelivered", True),
        ("BadEmailAddress", "undelivered", True),
        ("Blocked", "undelivered", None),
        ("DMARCPolicy", "undelivered", None),
        ("SoftBounce", "undelivered", False),
        ("VirusNotification", "undelivered", None),
        ("ManuallyDeactivated", "undelivered", True),
        ("Transient", "sent", False),
        ("DnsError", "sent", False),
        ("SMTPApiError", "failed", None),
        ("TemplateRenderingFailed", "failed", True),
    ],
)
def test_every_kind_of_bounce_means_one_state(kind: str, state: str, permanent: bool | None) -> None:
    (status,) = event(RecordType="Bounce", Type=kind, BouncedAt="2023-11-14T22:13:20Z").statuses
    assert (status.state, status.permanent, status.reference) == (state, permanent, "msg_9")
    assert status.reason and status.at_us == 1_700_000_000_000_000


@pytest.mark.parametrize(
    "kind", ["AutoResponder", "AddressChange", "ChallengeVerification", "Subscribe", "New"]
)
def test_answers_of_machines_are_no_bounces(kind: str) -> None:
    assert event(RecordType="Bounce", Type=kind).statuses == ()


def test_complaints_are_told_however_they_come() -> None:
    for fields in ({"RecordType": "SpamComplaint"}, {"RecordType": "Bounce", "Type": "SpamNotification"}):
        assert event(**fields).statuses[0].complaint
    for kind in ("Open", "Click", "New"):
        assert event(RecordType=kind).statuses == ()


def test_wishes_are_told_both_ways_and_a_bounce_is_none() -> None:
    def change(**fields: Any) -> Any:
        return event(
            RecordType="SubscriptionChange", Recipient=PERSON, ChangedAt="2023-11-14T22:13:20Z", **fields
        )

    stop = change(SuppressSending=True, SuppressionReason="ManualSuppression").preferences
    start = change(SuppressSending=False).preferences
    assert [wish.allowed for wish in (*stop, *start)] == [False, True]
    assert change(SuppressSending=True, SuppressionReason="HardBounce").preferences == ()


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, {"ErrorCode": 10}, Misconfigured),
        (422, {"ErrorCode": 300}, Refused),
        (422, {"ErrorCode": 406}, Refused),
        (406, {"ErrorCode": 406}, Refused),
        (200, {"ErrorCode": 300}, Refused),
        (422, {"ErrorCode": 400}, Misconfigured),
        (413, {}, Refused),
        (503, {}, NotSent),
        (500, {}, OutcomeUnknown),
        (200, {}, OutcomeUnknown),
    ],
)
async def test_the_code_in_an_answer_decides(
    status: int, body: dict[str, int], error: type[Exception]
) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json=body))
    async with tools(transport=transport) as lent:
        with pytest.raises(error):
            await made("postmark").channel.send(account(made("postmark")), hello(), lent)


async def test_a_receiver_that_is_written_to_no_more_is_refused() -> None:
    with running(made("postmark")) as fake:
        fake.inactive.add(PERSON)
        async with tools() as lent:
            with pytest.raises(Refused) as raised:
                await fake.channel.send(account(fake), hello(), lent)
    assert (raised.value.code, raised.value.opted_out) == ("406", False)


def test_only_the_right_user_and_password_are_believed() -> None:
    fake = made("postmark")
    request = fake.request(fake.say(PERSON, "Hello")[0])
    for said in ("", "Basic", "Bearer x", "Basic " + base64.b64encode(b"irisx:wrong").decode(), "Basic ÿ"):
        with pytest.raises(BadSignature):
            parse(fake, msgspec.structs.replace(request, headers={"authorization": said}))


def test_a_mail_that_came_whole_is_read_from_its_source() -> None:
    fake = made("postmark")
    raw = "From: kim@customer.example\r\nMessage-ID: <m@customer.example>\r\n\r\nHello"
    body = {"MessageID": "u", "Headers": [], "RawEmail": raw, "TextBody": "other"}
    (message,) = read(fake, fake.signed(msgspec.json.encode(body))).messages
    assert (message.content, message.id) == (Text("Hello"), "m@customer.example")


def test_what_is_neither_event_nor_mail_is_kept_for_people() -> None:
    fake = made("postmark")
    for body in (b"{}", b"[]", b"\xff", b'{"MessageID":"x"}'):
        with pytest.raises(Malformed):
            parse(fake, fake.request(fake.signed(body)))
