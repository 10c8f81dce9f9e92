"""The SparkPost channel: mail out through its transmissions, mail in through its relay webhooks, events through others."""

from typing import ClassVar

from irisx_channels.email import overhttp
from irisx_channels.email.sparkpost import codec
from irisx_sdk import Capabilities


class SparkPost(overhttp.OverHttp):
    """SparkPost."""

    name: ClassVar[str] = "email.sparkpost"
    title: ClassVar[str] = codec.TITLE
    wire: ClassVar[overhttp.Codec] = codec
    Settings: ClassVar[type[codec.Settings]] = codec.Settings
    capabilities: ClassVar[Capabilities] = overhttp.capabilities(codec.MOST_BYTES)
