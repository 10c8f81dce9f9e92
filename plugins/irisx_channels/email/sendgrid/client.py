"""The SendGrid channel: mail out through its v3 interface, mail in through Inbound Parse, events through its webhook."""

from typing import ClassVar

from irisx_channels.email import overhttp
from irisx_channels.email.sendgrid import codec
from irisx_sdk import Capabilities


class SendGrid(overhttp.OverHttp):
    """SendGrid."""

    name: ClassVar[str] = "email.sendgrid"
    title: ClassVar[str] = codec.TITLE
    wire: ClassVar[overhttp.Codec] = codec
    Settings: ClassVar[type[codec.Settings]] = codec.Settings
    capabilities: ClassVar[Capabilities] = overhttp.capabilities(codec.MOST_BYTES)
