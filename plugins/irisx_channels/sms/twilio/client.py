"""The Twilio channel: text messages with pictures through Twilio's Messages interface (2010-04-01)."""

from typing import ClassVar

from irisx_channels.sms import overhttp
from irisx_channels.sms.twilio import codec
from irisx_sdk import Capabilities


class Twilio(overhttp.OverHttp):
    """Twilio."""

    name: ClassVar[str] = "sms.twilio"
    title: ClassVar[str] = codec.TITLE
    wire: ClassVar[overhttp.Codec] = codec
    Settings: ClassVar[type[codec.Settings]] = codec.Settings
    capabilities: ClassVar[Capabilities] = Capabilities(
        sends=frozenset(["text", "media"]),
        max_text=codec.MAX_TEXT,
        max_files=codec.MAX_FILES,
        max_file_bytes=5_000_000,
        max_total_bytes=5_000_000,
        receipts="delivered",
        segments="sms",
    )
