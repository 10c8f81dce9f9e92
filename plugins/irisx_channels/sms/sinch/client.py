"""The Sinch channel: text messages with pictures through Sinch's SMS interface."""

from typing import ClassVar

from irisx_channels.sms import overhttp
from irisx_channels.sms.sinch import codec
from irisx_sdk import Capabilities


class Sinch(overhttp.OverHttp):
    """Sinch."""

    name: ClassVar[str] = "sms.sinch"
    title: ClassVar[str] = codec.TITLE
    wire: ClassVar[overhttp.Codec] = codec
    Settings: ClassVar[type[codec.Settings]] = codec.Settings
    capabilities: ClassVar[Capabilities] = Capabilities(
        sends=frozenset(["text", "media"]),
        max_text=codec.MAX_TEXT,
        max_files=codec.MAX_FILES,
        max_file_bytes=1_000_000,
        max_total_bytes=1_000_000,
        receipts="delivered",
        segments="sms",
    )
