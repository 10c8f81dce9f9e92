"""The MessageBird channel: text messages through the REST interface of MessageBird, now Bird."""

from typing import ClassVar

from irisx_channels.sms import overhttp
from irisx_channels.sms.messagebird import codec
from irisx_sdk import Capabilities


class MessageBird(overhttp.OverHttp):
    """MessageBird, now Bird."""

    name: ClassVar[str] = "sms.messagebird"
    title: ClassVar[str] = codec.TITLE
    wire: ClassVar[overhttp.Codec] = codec
    Settings: ClassVar[type[codec.Settings]] = codec.Settings
    capabilities: ClassVar[Capabilities] = Capabilities(
        sends=frozenset(["text"]),
        max_text=codec.MAX_TEXT,
        receipts="delivered",
        segments="sms",
    )
