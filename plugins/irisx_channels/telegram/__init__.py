"""Telegram, by the Bot API. See README.md."""

from irisx_channels.telegram.client import Telegram

CHANNELS = (Telegram(),)

__all__ = ["CHANNELS", "Telegram"]
