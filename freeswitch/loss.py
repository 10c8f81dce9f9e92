"""Did the switch lose events on the way to us? Pure: events and times in, reasons for doubt out.

FreeSWITCH drops events for a listener that is slow and tells it nothing: the counter that would end the
connection is reset by every event that fits again. Three signs remain, each weak alone:

- HEARTBEAT counts sessions. What it says minus what we saw (CHANNEL_CREATE, CHANNEL_DESTROY) stays constant but
  for calls in flight. A difference that stays shifted over two heartbeats is events that never came.
- Event-Sequence is stamped on objects that are never sent too, out of order, and most types are not subscribed.
  So a gap proves nothing; but the share of numbers that reach us is steady, and one that falls far below what it
  was is a reason to compare. A hint, given at most once a minute.
- The switch writes a CRIT log line with the number of events lost; `lost_in_log` reads it.

A doubt that was wrong costs one listing of channels.
"""

import re

import msgspec

from freeswitch.event import Event

_CREATE = b"Event-Name: CHANNEL_CREATE\n"
_DESTROY = b"Event-Name: CHANNEL_DESTROY\n"
_HEARTBEAT = b"Event-Name: HEARTBEAT\n"
_WORTH_A_LOOK = frozenset((b"CHANNEL_C", b"CHANNEL_D", b"HEARTBEAT"))
_NO_ROOM = b"Event enqueue ERROR"
_LOST_LINE = re.compile(rb"Lost \[(\d{1,9})\] events|too many lost events\. Lost \[(\d{1,9})\]")

SEQUENCE_SPAN = 20_000
"""Numbers per measurement: at 4,000 events a second five seconds, long enough for bursts of unsubscribed types."""
SEQUENCE_FALL = 0.2
"""A share that is a fifth of the best seen. Mixes of calls change it by a factor of two or three at most."""
HINT_EVERY_S = 60.0
_FLIGHT_S = 0.5
"""Sessions are counted when they are made and destroyed, their events come up to 200 ms later (facts, simulator
checklist 20); doubled for a busy machine."""
_LEAST_SHIFT = 3


class Heartbeat(msgspec.Struct, frozen=True):
    """What the switch says of itself every 20 s (or as configured)."""

    sessions: int
    max_sessions: int
    sessions_per_second: int
    max_sessions_per_second: int
    sessions_since_startup: int
    peak_sessions: int
    idle_cpu: float
    uptime_ms: int
    version: str
    info: str
    at_us: int
    """The switch's clock, microseconds since the epoch."""

    @classmethod
    def read(cls, event: Event) -> "Heartbeat":
        """From a HEARTBEAT event; what is missing or no number reads as 0."""
        return cls(
            sessions=_int(event, "Session-Count"),
            max_sessions=_int(event, "Max-Sessions"),
            sessions_per_second=_int(event, "Session-Per-Sec-Last"),
            max_sessions_per_second=_int(event, "Session-Per-Sec"),
            sessions_since_startup=_int(event, "Session-Since-Startup"),
            peak_sessions=_int(event, "Session-Peak-Max"),
            idle_cpu=_float(event, "Idle-CPU"),
            uptime_ms=_int(event, "Uptime-msec"),
            version=event.get("FreeSWITCH-Version") or "",
            info=event.get("Event-Info") or "",
            at_us=_int(event, "Event-Date-Timestamp"),
        )


class LossWatch:
    """Follows one connection's events from its subscription on."""

    def __init__(self, *, counts_calls: bool) -> None:
        self._counts_calls = counts_calls
        """False when CHANNEL_CREATE or CHANNEL_DESTROY are not subscribed or filters may hide them."""
        self.heartbeat: Heartbeat | None = None
        self.interval_s = 0.0
        """How far apart the last heartbeats were by the switch's clock; 0 until two have come."""
        self.hints = 0
        self._created = 0
        self._destroyed = 0
        self._created_before = 0
        self._made = _Shift()
        self._open = _Shift()
        self._first_number = -1
        self._last_number = -1
        self._seen = 0
        self._best_share = 0.0
        self._hinted_at = -HINT_EVERY_S

    def see(self, events: list[Event], now_s: float) -> list[str]:
        """Take a batch; return reasons to doubt that nothing was lost, usually none."""
        doubts: list[str] = []
        for event in events:
            raw = event.raw
            if raw[12:21] not in _WORTH_A_LOOK:
                continue
            if raw.startswith(_HEARTBEAT):
                doubts += self._beat(event)
            elif raw.startswith(_CREATE):
                self._created += 1
            elif raw.startswith(_DESTROY):
                self._destroyed += 1
        self._count_numbers(events, now_s, doubts)
        return doubts

    def _beat(self, event: Event) -> list[str]:
        beat, before = Heartbeat.read(event), self.heartbeat
        self.heartbeat = beat
        seconds = 0.0
        if before is not None and beat.at_us > before.at_us:
            seconds = self.interval_s = (beat.at_us - before.at_us) / 1e6
        if not self._counts_calls:
            return []
        rate = (self._created - self._created_before) / seconds if seconds else 0.0
        self._created_before = self._created
        allowed = max(_LEAST_SHIFT, int(rate * _FLIGHT_S))
        doubts = []
        if shift := self._made.add(beat.sessions_since_startup - self._created, allowed):
            doubts.append(f"{shift} calls began that we did not see")
        if shift := self._open.add(beat.sessions - (self._created - self._destroyed), allowed):
            doubts.append(f"the number of live calls is {shift} off from what we saw")
        return doubts

    def _count_numbers(self, events: list[Event], now_s: float, doubts: list[str]) -> None:
        # Two headers a batch, not one an event: this runs beside the hot path.
        self._seen += len(events)
        first, last = _int(events[0], "Event-Sequence"), _int(events[-1], "Event-Sequence")
        if self._first_number < 0:
            self._first_number = first
        self._last_number = max(self._last_number, first, last)
        span = self._last_number - self._first_number
        if span < SEQUENCE_SPAN:
            return
        share = self._seen / span
        self._first_number, self._seen = self._last_number, 0
        if share < self._best_share * SEQUENCE_FALL and now_s - self._hinted_at >= HINT_EVERY_S:
            self.hints += 1
            self._hinted_at = now_s
            doubts.append("far fewer of the switch's events arrive than before")
        # The best share fades, so that a change of habits is not held against the switch for ever.
        self._best_share = max(share, self._best_share * 0.9)


class _Shift:
    """Tells when a difference has moved for good: by more than allowed, the same way, at two readings in a row."""

    def __init__(self) -> None:
        self._base: int | None = None
        self._before = 0

    def add(self, difference: int, allowed: int) -> int:
        """The size of the move, 0 when there is none. After a move the new difference is the normal one."""
        if self._base is None:
            self._base = self._before = difference
            return 0
        now, before = difference - self._base, self._before - self._base
        self._before = difference
        if (now > allowed and before > allowed) or (now < -allowed and before < -allowed):
            moved = min(abs(now), abs(before))
            self._base = difference
            return moved
        return 0


def lost_in_log(line: bytes) -> int | None:
    """How many events the switch says it lost; None for lines that do not speak of it (mod_event_socket.c).

    0 for the line about each single event that did not fit: the sum of them is told in a line of its own, when one
    fits again or the listener is ended.
    """
    match = _LOST_LINE.search(line)
    if match:
        return int(match[1] or match[2])
    return 0 if _NO_ROOM in line else None


def _int(event: Event, name: str) -> int:
    text = event.exact(name) or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _float(event: Event, name: str) -> float:
    try:
        return float(event.exact(name) or 0)
    except ValueError:
        return 0.0
