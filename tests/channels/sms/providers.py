"""All providers of text messages that speak HTTP, each with its fake."""

from typing import Any

from irisx_channels.sms.bandwidth.fake import FakeBandwidth
from irisx_channels.sms.messagebird.fake import FakeMessageBird
from irisx_channels.sms.plivo.fake import FakePlivo
from irisx_channels.sms.sinch.fake import FakeSinch
from irisx_channels.sms.telnyx.fake import FakeTelnyx
from irisx_channels.sms.twilio.fake import FakeTwilio
from irisx_channels.sms.vonage.fake import FakeVonage
from irisx_sdk import Account, Address, Outbound, Request, Text
from irisx_sdk.fake import Fake
from irisx_sdk.testing import account

HOOK = "https://hooks.example.test/v1/channels/chn_1/inbound"
NOW_S = 1_700_000_000.0
PERSON = "+15005550001"

FAKES: dict[str, type[Fake]] = {
    "bandwidth": FakeBandwidth,
    "messagebird": FakeMessageBird,
    "plivo": FakePlivo,
    "sinch": FakeSinch,
    "telnyx": FakeTelnyx,
    "twilio": FakeTwilio,
    "vonage": FakeVonage,
}


def made(name: str) -> Any:
    """A fake that nobody runs, at a fixed time."""
    return FAKES[name](webhook_url=HOOK, clock=lambda: NOW_S)


def hello(text: str = "Hello, wörld", **more: Any) -> Outbound:
    return Outbound("msg_1", Address("phone", PERSON), Text(text), **more)


def parse(fake: Fake, request: Request) -> Any:
    return fake.channel.parse_webhook(account(fake), request)


def account_of(settings: Any) -> Account:
    return Account("acc_test", settings)
