"""The Vonage channel: text messages through Vonage's Messages interface or its older SMS interface."""

from typing import ClassVar

from irisx_channels.sms import overhttp
from irisx_channels.sms.vonage import codec
from irisx_sdk import Capabilities


class Vonage(overhttp.OverHttp):
    """Vonage, formerly Nexmo."""

    name: ClassVar[str] = "sms.vonage"
    title: ClassVar[str] = codec.TITLE
    wire: ClassVar[overhttp.Codec] = codec
    Settings: ClassVar[type[codec.Settings]] = codec.Settings
    capabilities: ClassVar[Capabilities] = Capabilities(
        sends=frozenset(["text", "media"]),
        max_text=codec.MAX_TEXT,
        max_files=codec.MAX_FILES,
        max_file_bytes=500_000,
        max_total_bytes=500_000,
        receipts="delivered",
        segments="sms",
    )
