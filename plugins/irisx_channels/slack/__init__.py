"""Slack. See README.md beside this file."""

from irisx_channels.slack.client import Slack
from irisx_sdk.channel import Channel

CHANNELS: tuple[Channel, ...] = (Slack(),)
