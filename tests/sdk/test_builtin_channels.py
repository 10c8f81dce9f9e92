"""Every channel of ours keeps its promises, by the same kit that strangers use."""

import pytest

from irisx_channels import irisx_channels
from irisx_sdk import Channel, conformance
from irisx_sdk.loading import fake_of

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("channel", irisx_channels(), ids=lambda channel: channel.name)
def test_a_channel_of_ours_conforms(channel: Channel) -> None:
    report = conformance.check(fake_of(channel))
    assert report.failed == ()
    assert report.channel == channel.name
