"""What `irisx top` knows, as a pure reduction of the stream: no clock, no terminal, no network.

Calls come from a list and from entries of the log, in any order and doubled: the call's own ``version`` decides which
one is newer. Ended calls are remembered until the list that might still show them as live has been read.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any, Literal

StreamState = Literal["live", "catching up", "offline"]
RATE_S = 60.0


class Live:
    """The calls and switches as they are now."""

    def __init__(self) -> None:
        self.calls: dict[str, dict[str, Any]] = {}
        self.nodes: list[dict[str, Any]] = []
        self.stream: StreamState = "offline"
        self.why = "connecting"
        self.seq = 0
        self.head = 0
        self._ended: dict[str, None] = {}
        self._begun: deque[float] = deque()
        self._answered: deque[float] = deque()
        self._over: deque[float] = deque()
        self._entries: deque[float] = deque()

    def hello(self, head_seq: int) -> None:
        """Connected. Whatever happened meanwhile follows: we are behind until its number is reached."""
        self.head = max(self.head, head_seq)
        if not self.seq:
            self.seq = head_seq
        self._judge()

    def beat(self, head_seq: int) -> None:
        self.head = max(self.head, head_seq)
        # Everything up to the heartbeat's number was sent before it.
        self.seq = max(self.seq, head_seq)
        self._judge()

    def lost(self, reason: str) -> None:
        self.stream, self.why = "offline", reason

    def gap(self, resume_at: int) -> None:
        """What we hold may be old: the caller lists again."""
        self.seq = self.head = resume_at
        self.stream, self.why = "catching up", "some entries were missed; listing again"

    def entry(self, event: Mapping[str, Any], now: float) -> None:
        """One entry of the log; ``now`` in seconds, for the rates."""
        self.seq = max(self.seq, int(event["seq"]))
        self.head = max(self.head, self.seq)
        self._judge()
        self._entries.append(now)
        kind = event["type"]
        for name, times in (
            ("call.created", self._begun),
            ("call.answered", self._answered),
            ("call.ended", self._over),
        ):
            if kind == name:
                times.append(now)
        call = event.get("data", {}).get("call")
        if isinstance(call, dict):
            self.take(call)

    def take(self, call: dict[str, Any]) -> None:
        """A call as somebody saw it; older views than ours are passed over."""
        call_id = call["id"]
        known = self.calls.get(call_id)
        if call_id in self._ended or (known and known.get("version", 0) >= call.get("version", 0)):
            return
        if call.get("state") == "ended":
            self.calls.pop(call_id, None)
            self._ended[call_id] = None
            while len(self._ended) > 10_000:
                del self._ended[next(iter(self._ended))]
        else:
            self.calls[call_id] = call

    def listed(self, calls: Iterable[dict[str, Any]], *, began_at: int) -> None:
        """All live calls, read after the number ``began_at`` was known: what is not among them is over."""
        found = {call["id"]: call for call in calls}
        if self.seq <= began_at:
            for call_id in self.calls.keys() - found.keys():
                del self.calls[call_id]
        for call in found.values():
            self.take(call)
        self._judge()

    def _judge(self) -> None:
        behind = self.head - self.seq
        self.stream = "catching up" if behind > 0 else "live"
        self.why = f"{behind} entries behind" if behind > 0 else ""

    def by_state(self) -> Counter[str]:
        return Counter(call.get("state", "new") for call in self.calls.values())

    def newest(self, count: int, skip: int = 0) -> list[dict[str, Any]]:
        """Live calls, newest first."""
        ordered = sorted(
            self.calls.values(), key=lambda call: (call.get("created_us", 0), call["id"]), reverse=True
        )
        return ordered[skip : skip + count]

    def rates(self, now: float) -> dict[str, int]:
        """How many in the last minute."""
        shown = {
            "begun": self._begun,
            "answered": self._answered,
            "ended": self._over,
            "entries": self._entries,
        }
        for times in shown.values():
            while times and times[0] <= now - RATE_S:
                times.popleft()
        return {name: len(times) for name, times in shown.items()}
