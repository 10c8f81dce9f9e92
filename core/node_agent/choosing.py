"""What is to be done with a file in the folder of recordings. Pure: the file, what the ledger says of it, the time.

A file is whole when the switch has said that it stopped, or when its call is over and it has not grown for a while. Nothing
else makes it whole: a quiet file of a living call may be a paused one, and a name or a header tell nothing of a writer.
"""

from typing import Literal

from msgspec import Struct

from core.storage.recording_work import Known

SETTLE_US = 1_000_000
"""After its end was told a file rests so long before it is read: the writer goes back to its header."""
QUIET_US = 30_000_000
"""A file whose call is over and whose end nobody told is whole after so long without growing."""
OPEN_US = 300_000_000
"""A file that still grows so long after its end, or its call's, never closes: that is reported."""
LONG_US = 86_400_000_000
"""A recording without any end for so long is reported, too."""
UNKNOWN_US = 600_000_000
"""A file of which the ledger knows nothing for so long is reported. The log may be read late; it is never deleted."""

Act = Literal["bring", "wait", "compare", "remove", "open", "unknown"]


class Seen(Struct, frozen=True, kw_only=True):
    """A file as it lies there. Times are microseconds."""

    path: str
    """Its path as the switch says it."""
    size: int
    changed_us: int
    """When it was written to last, by the file system's clock."""


def choose(file: Seen, known: Known | None, now_us: int) -> Act:
    """``bring``: into the object store; ``compare``: it is stored already, is it this one?; ``remove``: it was erased.

    ``wait``, and with a report ``open`` (never closes) and ``unknown``: leave it alone.
    """
    quiet_us = now_us - file.changed_us
    if known is None:
        return "unknown" if quiet_us > UNKNOWN_US else "wait"
    if known.state == "erased":
        return "remove"
    if known.state == "stored":
        return "compare" if quiet_us > SETTLE_US else "wait"
    if known.state == "expected":
        return "wait"
    if known.stopped_us and quiet_us > SETTLE_US:
        return "bring"
    if known.call_ended_us and quiet_us > QUIET_US:
        return "bring"
    ended_us = known.stopped_us or known.call_ended_us
    if ended_us:
        return "open" if now_us - ended_us > OPEN_US else "wait"
    return "open" if now_us - (known.started_us or known.expected_us) > LONG_US else "wait"
