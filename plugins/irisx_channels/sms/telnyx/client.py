"""The Telnyx channel: text messages with pictures through Telnyx's API v2."""

from typing import ClassVar

from irisx_channels.sms import overhttp
from irisx_channels.sms.telnyx import codec
from irisx_sdk import Capabilities


class Telnyx(overhttp.OverHttp):
    """Telnyx."""

    name: ClassVar[str] = "sms.telnyx"
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
