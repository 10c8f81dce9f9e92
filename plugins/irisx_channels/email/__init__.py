"""Mail: by SMTP, through six providers, and in through webhooks, IMAP and a server of our own."""

from irisx_channels.email.mailgun.client import Mailgun
from irisx_sdk import Channel

CHANNELS: tuple[Channel, ...] = (Mailgun(),)
