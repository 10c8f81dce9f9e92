"""What the kit found."""

from msgspec import Struct


class Check(Struct, frozen=True):
    """One promise of a channel."""

    name: str
    held: bool | None
    """None: it does not apply to this channel, see ``why``."""
    why: str = ""
    """What was seen: always when it did not hold."""


class Report(Struct, frozen=True):
    """All of them, in the order in which they were made."""

    channel: str
    title: str
    seed: int
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """Those that did not hold: an empty one is what you want."""
        return tuple(check for check in self.checks if check.held is False)
