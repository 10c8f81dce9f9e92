"""Our own channels: an ordinary plugin, which uses nothing that others lack."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec

from irisx_sdk import Channel, hook

FAMILIES = ("sms", "email", "whatsapp", "telegram", "discord", "slack", "teams")


@hook
def irisx_channels() -> Sequence[Channel]:
    """One instance of each channel, family by family; a family that an installation left out is none."""
    return tuple(_each())


def _each() -> Iterator[Channel]:
    for family in FAMILIES:
        found = find_spec(f"{__name__}.{family}")
        if found is not None and found.origin is not None:
            yield from import_module(found.name).CHANNELS
