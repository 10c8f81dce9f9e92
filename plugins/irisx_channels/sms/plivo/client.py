"""The Plivo channel: text messages with pictures through Plivo's Message interface."""

from typing import ClassVar

from irisx_channels.sms import overhttp
from irisx_channels.sms.plivo import codec
from irisx_sdk import Capabilities


class Plivo(overhttp.OverHttp):
    """Plivo."""

    name: ClassVar[str] = "sms.plivo"
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
