"""Discord. See README.md beside this file."""

from irisx_channels.discord.client import Discord
from irisx_sdk.channel import Channel

CHANNELS: tuple[Channel, ...] = (Discord(),)
