"""The sizes and times that one switch's connections are kept by, and the counters that they leave."""

import msgspec

from freeswitch.inbox import MAX_BYTES, MAX_EVENTS
from freeswitch.link import Link


class SwitchSettings(msgspec.Struct, frozen=True):
    """Sizes and times; the defaults suit a switch on the same network."""

    max_events: int = MAX_EVENTS
    max_bytes: int = MAX_BYTES
    bgapi_links: int = 2
    """About 900 jobs a second each."""
    first_retry_s: float = 0.25
    most_retry_s: float = 10.0
    connect_s: float = 10.0
    link_wait_s: float = 1.0
    """How long a command waits for a link that is being made again."""
    quiet_s: float = 5.0
    """After so long without a byte on the event link we ask whether the switch is there."""
    answer_s: float = 5.0
    """How long it may take to answer that."""
    stall_s: float = 60.0
    """A command unanswered for so long means that its connection hangs. Longer work is `bgapi`'s."""
    heartbeats_missed: float = 2.5
    """Intervals without a HEARTBEAT after which the switch's event dispatch is taken for stuck."""
    watch_log: bool = True


class SwitchStatistics(msgspec.Struct, frozen=True):
    """Counters since the beginning, and the state of the queue now."""

    events: int
    bytes: int
    malformed: int
    dropped: int
    overflows: int
    queued_events: int
    queued_bytes: int
    reconnects: int
    restarts: int
    """How many times another Core-UUID answered."""
    doubts: int
    lost_by_switch: int
    """Events that the switch's log said it lost."""
    sequence_hints: int
    commands: int
    unanswered: int
    jobs: int
    lag_ms: float
    """From the switch's stamp on the newest event to its arrival; needs clocks that agree."""


class Totals:
    """Sums over links, those that ended included."""

    def __init__(self) -> None:
        self.events = self.bytes = self.malformed = self.commands = self.unanswered = 0

    def add(self, other: "Totals") -> None:
        self.events += other.events
        self.bytes += other.bytes
        self.malformed += other.malformed
        self.commands += other.commands
        self.unanswered += other.unanswered

    def add_link(self, link: Link, *, counts_events: bool) -> None:
        seen = link.statistics()
        if counts_events:
            self.events += seen.events
            self.malformed += seen.malformed
        self.bytes += seen.bytes_received
        self.commands += seen.commands
        self.unanswered += seen.pending
