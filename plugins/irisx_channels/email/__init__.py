"""Mail: by SMTP, through six providers, and in through webhooks, IMAP and a server of our own."""

from irisx_channels.email.imap.client import Imap
from irisx_channels.email.listener.client import Listener
from irisx_channels.email.mailgun.client import Mailgun
from irisx_channels.email.postmark.client import Postmark
from irisx_channels.email.sendgrid.client import SendGrid
from irisx_channels.email.ses.client import Ses
from irisx_channels.email.smtp.client import Smtp
from irisx_channels.email.sparkpost.client import SparkPost
from irisx_sdk import Channel

CHANNELS: tuple[Channel, ...] = (
    Smtp(),
    SendGrid(),
    Mailgun(),
    Postmark(),
    Ses(),
    SparkPost(),
    Imap(),
    Listener(),
)
