"""WhatsApp, by Meta's Cloud API. See README.md."""

from irisx_channels.whatsapp.client import WhatsApp

CHANNELS = (WhatsApp(),)

__all__ = ["CHANNELS", "WhatsApp"]
