"""The Postmark channel: mail out and in through its HTTP interface, events through its webhooks."""

from typing import ClassVar

from irisx_channels.email import overhttp
from irisx_channels.email.postmark import codec
from irisx_sdk import Capabilities


class Postmark(overhttp.OverHttp):
    """Postmark."""

    name: ClassVar[str] = "email.postmark"
    title: ClassVar[str] = codec.TITLE
    wire: ClassVar[overhttp.Codec] = codec
    Settings: ClassVar[type[codec.Settings]] = codec.Settings
    capabilities: ClassVar[Capabilities] = overhttp.capabilities(codec.MOST_BYTES)
