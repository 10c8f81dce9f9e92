"""Slack on a bad day."""

from irisx_channels.slack.fake import FakeSlack
from irisx_sdk import conformance


def test_the_channel_conforms() -> None:
    assert conformance.check(FakeSlack).failed == ()
