"""Every place where a plugin can take part. Write a function with the same name and arguments you need, mark it `hook`.

A hook that raises or takes longer than a second is counted, named in the log and left out; the message goes on.
None of these can skip what the platform decides below them: opt-outs, consent, quiet hours and limits come last.
"""

from collections.abc import Sequence

import pluggy

from irisx_sdk.channel import Channel
from irisx_sdk.messages import Inbound, Outbound, Status

PROJECT = "irisx"
"""The name of the entry point group, too: ``[project.entry-points.irisx]``."""

spec = pluggy.HookspecMarker(PROJECT)
hook = pluggy.HookimplMarker(PROJECT)


class Hooks:
    """The specifications."""

    @spec
    def irisx_channels(self) -> Sequence[Channel]:  # type: ignore[empty-body]
        """The channels that this plugin brings. Asked once, when a process starts."""

    @spec
    def irisx_enrich(self, channel: str, message: Inbound) -> dict[str, str] | None:
        """Attributes for the contact of somebody who wrote: what a directory or a shop knows of them."""

    @spec(firstresult=True)
    def irisx_route(self, channel: str, message: Inbound) -> str | None:
        """The queue that a new conversation should wait in; the first answer counts."""

    @spec
    def irisx_before_send(self, channel: str, message: Outbound) -> Outbound | None:
        """Another message in place of this one (same id, same receiver), or None to leave it."""

    @spec
    def irisx_after_delivery(self, channel: str, message_id: str, status: Status) -> None:
        """A message of ours came to a new state."""


def manager() -> pluggy.PluginManager:
    """A plugin manager that knows the hooks and no plugin yet."""
    made = pluggy.PluginManager(PROJECT)
    made.add_hookspecs(Hooks)
    return made
