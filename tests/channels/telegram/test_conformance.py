"""Telegram on a bad day."""

from irisx_channels.telegram.fake import FakeTelegram
from irisx_sdk import conformance


def test_telegram_conforms() -> None:
    assert conformance.check(FakeTelegram).failed == ()
