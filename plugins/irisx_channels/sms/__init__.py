"""Text messages: seven providers over HTTP and, for those with a centre of their own, SMPP 3.4."""

from irisx_channels.sms.twilio.client import Twilio
from irisx_sdk import Channel

CHANNELS: tuple[Channel, ...] = (Twilio(),)
