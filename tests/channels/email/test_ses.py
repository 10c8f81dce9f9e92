"""Amazon's own: the signatures of SNS, confirmations, mails in S3, what boto3 says."""

import hashlib
from typing import Any

import msgspec
import pytest

from irisx_channels.email.ses import codec, sns
from irisx_channels.email.ses.fake import FakeSes
from irisx_sdk import Account, BadSignature, NeedsKey, Parsed, Refused, Request, Text, Unsupported
from irisx_sdk.testing import account, running, tools
from tests.channels.email.mails import HOOK, NOW_S, OURS, bounce
from tests.channels.email.providers import PERSON, hello, made, parse, read

TOPIC = "arn:aws:sns:us-east-1:000000000000:ses-events"
KNOWN: list[tuple[dict[str, str], str, str]] = [
    (
        {"Type": "Notification", "MessageId": "00000000-0000-4000-8000-000000000001", "Message": '{"eventType":"Delivery"}'},
        "sha1", "019b7e4ef717285a18cff7ced83dedf86e47ae19",
    ),
    (
        {"Type": "Notification", "MessageId": "00000000-0000-4000-8000-000000000001", "Message": '{"eventType":"Delivery"}'},
        "sha256", "1f44addb7f15d5ffc6492aad534d695c9e0a3ec780fb50b721e069a55e653738",
    ),
    (
        {
            "Type": "Notification", "MessageId": "00000000-0000-4000-8000-000000000001",
            "Message": '{"eventType":"Delivery"}', "Subject": "Amazon SES Email Event Notification",
        },
        "sha256", "9917ec5b7da22455c90750c84377713355bcc97a6b764c561d891068078d5bf2",
    ),
    (
        {
            "Type": "SubscriptionConfirmation", "MessageId": "00000000-0000-4000-8000-000000000002", "Token": "tok123",
            "Message": "confirm",
            "SubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=tok123",
        },
        "sha256", "5766133fe67bbfa29ccce8b152d534b9ca884df0c73ab20396a746970ebc44a0",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("said", "algorithm", "known"), KNOWN)
def test_the_known_texts_that_are_signed(said: dict[str, str], algorithm: str, known: str) -> None:
    envelope = said | {"TopicArn": TOPIC, "Timestamp": "2024-01-02T03:04:05.000Z", "SignatureVersion": "1"}
    assert hashlib.new(algorithm, sns.canonical(envelope)).hexdigest() == known


@pytest.mark.parametrize("version", ["1", "2"])
def test_both_versions_of_signatures_are_checked(version: str) -> None:
    fake = FakeSes(webhook_url=HOOK, clock=lambda: NOW_S, version=version)
    (delivery,) = fake.say(PERSON, "Hello")
    assert parse(fake, fake.request(delivery)).messages
    other = msgspec.json.decode(delivery.body) | {"SignatureVersion": "2" if version == "1" else "1"}
    changed = msgspec.structs.replace(delivery, body=msgspec.json.encode(other))
    with pytest.raises(BadSignature):
        parse(fake, fake.request(changed))


def test_a_subject_is_signed_too() -> None:
    fake = made("ses")
    delivery = fake.notice({"eventType": "Open", "mail": {}}, subject="Amazon SES Email Event Notification")
    assert parse(fake, fake.request(delivery)) == Parsed()
    body = delivery.body.replace(b"Amazon SES Email", b"Amazon SES Other")
    with pytest.raises(BadSignature):
        parse(fake, fake.request(msgspec.structs.replace(delivery, body=body)))


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x.pem",
        "http://sns.eu-west-1.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/x.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/x.pem",
        "https://sns.eu-west-1.amazonaws.com:444/x.pem",
        "https://sns.eu-west-1.amazonaws.com/x.txt",
        "https://s3.eu-west-1.amazonaws.com/sns.eu-west-1.amazonaws.com/x.pem",
        "https://[sns/x.pem",
        "",
    ],
)
def test_a_certificate_is_got_from_sns_only(url: str) -> None:
    fake = made("ses")
    delivery = fake.envelope("Notification", {"Message": "{}"}, SigningCertURL=url)
    with pytest.raises(BadSignature):
        parse(fake, fake.request(delivery))


def test_another_topic_an_old_message_and_an_old_certificate_are_refused() -> None:
    fake = made("ses")
    with pytest.raises(BadSignature):
        parse(fake, fake.request(fake.envelope("Notification", {"Message": "{}"}, TopicArn=TOPIC)))
    delivery = fake.envelope("Notification", {"Message": "{}"})
    assert parse(fake, fake.request(delivery, age_s=3600)) == Parsed()
    with pytest.raises(BadSignature):
        parse(fake, fake.request(delivery, age_s=3 * 3600))
    late = FakeSes(webhook_url=HOOK, clock=lambda: 4_200_000_000.0)
    with pytest.raises(BadSignature):
        parse(late, late.request(late.envelope("Notification", {"Message": "{}"})))


def test_the_certificate_is_asked_for_before_anything_is_believed() -> None:
    fake = made("ses")
    request = fake.request(fake.say(PERSON, "x")[0])
    with pytest.raises(NeedsKey) as wish:
        fake.channel.parse_webhook(account(fake), request)
    assert wish.value.url.endswith(".pem")


def test_a_subscription_is_confirmed_by_getting_its_address() -> None:
    with running(made("ses")) as fake:
        request = fake.request(fake.subscription())
        keys: dict[str, bytes] = {}
        wanted = []
        for _ in range(3):
            try:
                assert fake.channel.parse_webhook(Account("acc", fake.settings, keys), request) == Parsed()
                break
            except NeedsKey as wish:
                wanted.append(wish.url)
                keys[wish.url] = fake.keys[wish.url]
    assert "Action=ConfirmSubscription" in wanted[1]


def test_an_address_to_confirm_at_that_is_not_at_sns_is_not_got() -> None:
    fake = made("ses")
    more = {"Message": "confirm", "Token": "t", "SubscribeURL": "https://evil.example/"}
    request: Request = fake.request(fake.envelope("SubscriptionConfirmation", more))
    with pytest.raises(Exception, match="not at Amazon SNS"):
        parse(fake, request)


def test_sentences_of_sns_are_nothing() -> None:
    fake = made("ses")
    said = {"Message": "Successfully validated SNS topic for Amazon SES event publishing."}
    assert read(fake, fake.envelope("Notification", said)) == Parsed()
    assert read(fake, fake.envelope("UnsubscribeConfirmation", {"Message": "x"})) == Parsed()


def event(name: str, *, key: str = "eventType", **more: Any) -> Parsed:
    fake = made("ses")
    tags = {codec.REFERENCE: ["irisx-msg_9"]}
    mail = {"messageId": "0102-x", "timestamp": "2023-11-14T22:13:20.000Z", "tags": tags}
    return read(fake, fake.notice({key: name, "mail": mail, **more}))


@pytest.mark.parametrize(
    ("name", "more", "state", "permanent"),
    [
        ("Send", {}, "sent", None),
        ("Delivery", {}, "delivered", None),
        ("Bounce", {"bounce": {"bounceType": "Permanent"}}, "undelivered", True),
        (
            "Bounce",
            {"bounce": {"bounceType": "Transient", "bounceSubType": "MailboxFull"}},
            "undelivered",
            False,
        ),
        ("Bounce", {"bounce": {"bounceType": "Undetermined"}}, "undelivered", None),
        ("Complaint", {"complaint": {"complaintFeedbackType": "abuse"}}, "delivered", None),
        ("Reject", {"reject": {"reason": "Bad content"}}, "failed", None),
        ("Rendering Failure", {"failure": {"templateName": "x"}}, "failed", None),
        ("DeliveryDelay", {"deliveryDelay": {"delayType": "MailboxFull"}}, "sent", None),
    ],
)
@pytest.mark.parametrize("key", ["eventType", "notificationType"])
def test_every_event_means_one_state(
    name: str, more: dict[str, Any], state: str, permanent: bool | None, key: str
) -> None:
    (status,) = event(name, key=key, **more).statuses
    assert (status.state, status.permanent, status.reference) == (state, permanent, "msg_9")
    assert (status.id, status.at_us) == ("0102-x@eu-west-1.amazonses.com", 1_700_000_000_000_000)
    assert status.complaint is (name == "Complaint")


def test_reading_changes_no_state() -> None:
    assert [event(name) for name in ("Open", "Click", "Subscription", "New")] == [Parsed()] * 4


def test_an_answer_to_the_id_that_ses_wrote_names_what_the_sending_gave() -> None:
    fake = made("ses")
    known = codec.wire_id(fake.settings, "0102-x")
    (message,) = read(fake, *fake.say(PERSON, "Yes", answers=known)).messages
    assert message.reply_to == known
    us = msgspec.structs.replace(fake.settings, region="us-east-1")
    assert codec.wire_id(us, "0100-x") == "0100-x@email.amazonses.com"


async def test_a_large_mail_is_told_by_its_headers_and_got_from_s3() -> None:
    from irisx_channels.email import fakes

    with running(made("ses")) as fake:
        raw = fakes.written(fake, PERSON, "Large", answers=OURS)
        (message,) = read(fake, fake.in_s3(raw, PERSON, "answers@in.shop.example")).messages
        assert isinstance(message.content, Unsupported)
        assert message.reply_to == OURS
        assert message.sender.value == PERSON
        async with tools() as lent:
            got = [piece async for piece in fake.channel.fetch(account(fake), message.files[0], lent)]
            assert b"".join(got) == raw
            with pytest.raises(Refused):
                async for _ in fake.channel.fetch(
                    account(fake), msgspec.structs.replace(message.files[0], id="x"), lent
                ):
                    pass


def test_what_has_a_virus_is_said_and_not_kept() -> None:
    fake = made("ses")
    (message,) = read(
        fake, *fake.forward(bounce(message_id="x@y"), "", "answers@in.shop.example", virus="FAIL")
    ).messages
    assert isinstance(message.content, Unsupported)
    assert message.files == ()


async def test_the_mail_that_is_sent_is_whole() -> None:
    with running(made("ses")) as fake:
        async with tools() as lent:
            sent = await fake.channel.send(account(fake), hello("Grüße", subject="Tea"), lent)
    (message,) = fake.sent
    assert sent.ids == (f"{message.id}@eu-west-1.amazonses.com",)
    assert message.raw["mail"]["Subject"] == "Tea"
    assert message.text == Text("Grüße").text
