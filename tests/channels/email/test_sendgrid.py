"""SendGrid's own: its signature, what its events are called, mails in parts and whole."""

import base64

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from irisx_channels.email.sendgrid import codec
from irisx_sdk import BadSignature, Malformed, Text
from irisx_sdk.testing import account
from tests.channels.email.providers import PERSON, made, parse, read

KEY = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAERxw+dYxJBChbun5TEY7Q9SSt6wdX0lvS+Oew1236cUzdUg96yoqLkXrMN/Ud6PDJu+OthYOC5wLcJaEtCfeoWA=="
SIGNATURE = "MEUCIFpply2U8wbTLfCY45fhx5KZQByPhG13VFVdF3am/7QtAiEA2oxb2Mz6d6x1NgeU+1ucvIlF/J3hnIuSpNGTbQAys9M="
BODY = (
    b'[{"email":"a@example.test","timestamp":1700000000,"event":"delivered","sg_event_id":"evt1",'
    b'"sg_message_id":"m1.filter0001"}]\r\n'
)


def test_the_known_signature_and_no_other() -> None:
    codec.verify(KEY, SIGNATURE, "1700000000", BODY)
    for key, signature, timestamp, body in (
        (KEY, SIGNATURE, "1700000001", BODY),
        (KEY, SIGNATURE, "1700000000", BODY.strip()),  # (the line end is signed, too)
        (KEY, base64.b64encode(b"x" * 70).decode(), "1700000000", BODY),
        (KEY, "not base64", "1700000000", BODY),
        ("AAAA", SIGNATURE, "1700000000", BODY),
    ):
        with pytest.raises(BadSignature):
            codec.verify(key, signature, timestamp, body)


def test_the_key_of_the_vector_is_the_one_it_was_made_with() -> None:
    secret = ec.derive_private_key(int("1234567890abcdef" * 4, 16), ec.SECP256R1())
    fake = made("sendgrid")
    fake.private = secret
    assert fake.settings.public_key == KEY


def test_an_unsigned_mail_needs_the_password_in_the_address() -> None:
    fake = made("sendgrid")
    request = fake.request(fake.say(PERSON, "Hello")[0])
    bare = {"content-type": request.headers["content-type"]}
    settings = msgspec.structs.replace(fake.settings, webhook_password="long and random")
    given = account(fake)
    for url, good in (
        (request.url, False),
        (f"{request.url}?password=wrong", False),
        (f"{request.url}?password=long%20and%20random", True),
    ):
        call = msgspec.structs.replace(request, url=url, headers=bare)
        if good:
            assert fake.channel.parse_webhook(type(given)("acc", settings), call).messages
        else:
            with pytest.raises(BadSignature):
                fake.channel.parse_webhook(type(given)("acc", settings), call)


def test_a_mail_that_comes_whole_is_read_too() -> None:
    fake = made("sendgrid")
    (message,) = read(
        fake, *fake.say(PERSON, "Grüße", raw=True, files=[("a.bin", "application/x-a", b"\xff\0\xfe")])
    ).messages
    assert message.content == Text("Grüße")
    assert message.files[0].content == b"\xff\0\xfe"


@pytest.mark.parametrize(
    ("event", "state", "permanent"),
    [
        ({"event": "processed"}, "queued", None),
        ({"event": "deferred", "response": "451 4.7.1 slow"}, "sent", None),
        ({"event": "delivered"}, "delivered", None),
        ({"event": "bounce", "type": "bounce", "status": "5.1.1"}, "undelivered", True),
        ({"event": "bounce", "type": "blocked", "status": "5.7.1"}, "undelivered", None),
        ({"event": "dropped", "reason": "Bounced Address"}, "failed", True),
        ({"event": "spamreport"}, "delivered", None),
    ],
)
def test_every_event_means_one_state(event: dict[str, str], state: str, permanent: bool | None) -> None:
    fake = made("sendgrid")
    known = {
        "email": PERSON,
        "timestamp": 5,
        "sg_event_id": "e",
        codec.MESSAGE_ID: "m@x",
        codec.REFERENCE: "msg_9",
    }
    (status,) = read(fake, fake.events([known | event])).statuses
    assert (status.id, status.state, status.permanent, status.at_us) == ("m@x", state, permanent, 5_000_000)
    assert status.reference == "msg_9"
    assert status.complaint is (event["event"] == "spamreport")


def test_wishes_are_told_both_ways() -> None:
    fake = made("sendgrid")
    names = ("unsubscribe", "group_unsubscribe", "group_resubscribe", "open", "click")
    events = [{"email": PERSON, "timestamp": 5, "event": name, "sg_event_id": name} for name in names]
    found = read(fake, fake.events(events))
    assert [wish.allowed for wish in found.preferences] == [False, False, True]
    assert found.statuses == ()


def test_a_signed_body_that_is_no_list_is_kept_for_people() -> None:
    fake = made("sendgrid")
    for body in (b"{}", b"[]", b"[1]", b"null", b'[],"x":[]', b"\xff"):
        with pytest.raises(Malformed):
            parse(fake, fake.request(fake.signed(body)))
