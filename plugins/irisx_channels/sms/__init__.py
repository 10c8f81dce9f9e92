"""Text messages: seven providers over HTTP and, for those with a centre of their own, SMPP 3.4."""

from irisx_channels.sms.bandwidth.client import Bandwidth
from irisx_channels.sms.messagebird.client import MessageBird
from irisx_channels.sms.plivo.client import Plivo
from irisx_channels.sms.sinch.client import Sinch
from irisx_channels.sms.smpp.client import Smpp
from irisx_channels.sms.telnyx.client import Telnyx
from irisx_channels.sms.twilio.client import Twilio
from irisx_channels.sms.vonage.client import Vonage
from irisx_sdk import Channel

CHANNELS: tuple[Channel, ...] = (
    Twilio(),
    Telnyx(),
    Plivo(),
    Vonage(),
    Bandwidth(),
    Sinch(),
    MessageBird(),
    Smpp(),
)
