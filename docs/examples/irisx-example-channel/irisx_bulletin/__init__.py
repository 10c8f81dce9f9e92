"""Bulletin as a channel of IRISX."""

from irisx_bulletin.channel import Bulletin
from irisx_sdk import Channel, hook


@hook
def irisx_channels() -> list[Channel]:
    return [Bulletin()]
