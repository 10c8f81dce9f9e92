"""All providers of mail that speak HTTP, each with its fake."""

from typing import Any

from irisx_channels.email.mailgun.fake import FakeMailgun
from irisx_channels.email.postmark.fake import FakePostmark
from irisx_channels.email.sendgrid.fake import FakeSendGrid
from irisx_channels.email.ses.fake import FakeSes
from irisx_channels.email.sparkpost.fake import FakeSparkPost
from irisx_sdk import Address, NeedsKey, Outbound, Parsed, Request, Text
from irisx_sdk.fake import Fake
from irisx_sdk.testing import account
from tests.channels.email.mails import HOOK, NOW_S

PERSON = "kim@customer.example"

FAKES: dict[str, type[Fake]] = {
    "mailgun": FakeMailgun,
    "sendgrid": FakeSendGrid,
    "postmark": FakePostmark,
    "ses": FakeSes,
    "sparkpost": FakeSparkPost,
}


def made(name: str) -> Any:
    """A fake that nobody runs, at a fixed time."""
    return FAKES[name](webhook_url=HOOK, clock=lambda: NOW_S)


def hello(text: str = "Hello, wörld", **more: Any) -> Outbound:
    return Outbound("msg_1", Address("email", PERSON, "Kim"), Text(text), **more)


def parse(fake: Fake, request: Request) -> Parsed:
    keys: dict[str, bytes] = {}
    for _ in range(3):
        given = account(fake)
        try:
            return fake.channel.parse_webhook(type(given)(given.id, given.settings, keys), request)
        except NeedsKey as wish:
            keys[wish.url] = fake.keys[wish.url]
    raise AssertionError("asks for key after key")


def read(fake: Any, *deliveries: Any) -> Parsed:
    """What is in these webhooks."""
    every = [parse(fake, fake.request(one)) for one in deliveries]
    return Parsed(
        tuple(message for one in every for message in one.messages),
        tuple(status for one in every for status in one.statuses),
        tuple(wish for one in every for wish in one.preferences),
    )
