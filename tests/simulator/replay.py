"""Plays a capture again on the test bench: the same callers, the same commands at the same times."""

import gzip
import heapq
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from freeswitch.simulator import SimulatorSettings, answering, keys, recovery, registrations
from freeswitch.simulator.scripts import (
    NEVER,
    UNREACHABLE,
    Caller,
    Extension,
    Person,
    Rule,
    Span,
    Traffic,
    fixed,
)
from tests.simulator.bench import Bench, Peer
from tests.simulator.frames import UUID, Frame, Pairs, frames, get, pairs

CAPTURES = Path(__file__).parents[1] / "data" / "captures"
TRACE = "lab%201; a=1"

CONTEXTS = {
    "default": (
        Extension("^9000$", (("set", "tenant_id=t-77"), ("park", None))),
        Extension(
            "^9197$",
            (
                ("answer", None),
                ("set", "RECORD_STEREO=true"),
                ("record_session", "/nowhere/${uuid}.wav"),
                ("playback", "tone_stream://%(4000,0,440)"),
                ("hangup", None),
            ),
        ),
        Extension("^3001$", (("answer", None), ("conference", "3001@default"))),
        Extension("^(80..)$", (("set", "hangup_after_bridge=true"), ("socket", "127.0.0.1:8084 async full"))),
        Extension("^(81..)$", (("socket", "127.0.0.1:8084 full"),)),
    )
}
"""What the dialplan of the switch in the captures had beside the extensions that the simulator has."""


class Seen(msgspec.Struct):
    """One event: when it came, its headers, and whose it is."""

    at: float
    pairs: Pairs
    uuid: str = ""
    old_uuid: str = ""

    def __post_init__(self) -> None:
        self.uuid = get(self.pairs, "Unique-ID")
        self.old_uuid = get(self.pairs, "Old-Unique-ID")

    def get(self, name: str) -> str:
        return get(self.pairs, name)

    @property
    def name(self) -> str:
        """Event name, with the action of a conference event or the subclass of another custom one."""
        if self.get("Event-Name") != "CUSTOM":
            # A private command made by the switch itself names two events; the last is what it is.
            return [value for name, value in self.pairs if name == "Event-Name"][-1]
        return f"CUSTOM {self.get('Action') or self.get('Event-Subclass')}"


class Recorded(msgspec.Struct):
    """What a client sent and received."""

    sent: list[tuple[float, str]]
    answers: list[Frame]
    events: list[Seen]
    others: list[Frame]
    """Log lines, notices."""
    _by_leg: dict[str, list[Seen]] = {}

    @property
    def legs(self) -> list[str]:
        """The channels' uuids in the order in which they appeared."""
        renamed = {one.old_uuid: one.uuid for one in self.events if one.old_uuid}
        found: dict[str, None] = {}
        for one in self.events:
            # Presence of a conference carries its name where others have a uuid.
            if one.uuid and one.get("Event-Name").startswith(("CHANNEL_", "CODEC")):
                found.setdefault(renamed.get(one.uuid, one.uuid))
        return list(found)

    def of(self, uuid: str) -> list[Seen]:
        """The events of one channel."""
        if not self._by_leg:
            for one in self.events:
                for name in {one.uuid, one.old_uuid} - {""}:
                    self._by_leg.setdefault(name, []).append(one)
        return self._by_leg.get(uuid, [])


def sort_frames(data: bytes, when: Callable[[int], float], sent: list[tuple[float, str]]) -> Recorded:
    """Put the frames of a stream in order."""
    found = Recorded(sent, [], [], [])
    for frame in frames(data):
        if frame.kind.startswith("text/event-"):
            found.events.append(Seen(when(frame.end), pairs(frame)))
        elif frame.kind in ("command/reply", "api/response"):
            found.answers.append(frame)
        else:
            found.others.append(frame)
    return found


def load(name: str) -> Recorded:
    """Read a capture."""
    data = gzip.decompress((CAPTURES / f"{name}.rx.gz").read_bytes())
    log = [
        json.loads(line)
        for line in gzip.decompress((CAPTURES / f"{name}.log.jsonl.gz").read_bytes()).splitlines()
    ]
    reads = [(one["offset"] + one["len"], one["t"]) for one in log if one.get("dir") == "rx"]
    sent = [(one["t"], one["text"]) for one in log if one.get("dir") == "tx"]

    def when(end: int) -> float:
        at: float = next(at for upto, at in reads if upto >= end)
        return at

    return sort_frames(data, when, sent)


# -- the people of a capture -------------------------------------------------------------------------


def _first(events: list[Seen], name: str) -> Seen | None:
    return next((one for one in events if one.name == name), None)


def caller_of(created: Seen) -> Caller:
    """The caller whose INVITE made the channel of this CHANNEL_CREATE."""
    name = created.get("Channel-Name")
    found = re.fullmatch(r"sofia/([^/]+)/([^@]*)@([^:]+):(\d+)", name)
    assert found is not None, name
    return Caller(
        destination=created.get("Caller-Destination-Number"),
        number=created.get("Caller-Caller-ID-Number"),
        name=created.get("Caller-Caller-ID-Name"),
        profile=found[1],
        context=created.get("Caller-Context"),
        ip=found[3],
        port=int(found[4]),
        subject=created.get("variable_sip_subject"),
        trace=created.get("variable_sip_h_X-Carrier-Trace").replace(" ", "%20"),
    )


def _spans(events: list[Seen]) -> tuple[float, Span]:
    """When a leg appeared, and how long its far end talked when it was the far end that hung up.

    The leg itself says so at its end, which also holds when nobody listened to what came before.
    """
    complete = _first(events, "CHANNEL_HANGUP_COMPLETE")
    if complete is None:
        return events[0].at, NEVER
    stamp = {
        name: int(complete.get(f"variable_{name}_uepoch") or 0) / 1e6 for name in ("start", "answer", "end")
    }
    began = min(events[0].at, complete.at - (stamp["end"] - stamp["start"]))
    if complete.get("variable_sip_hangup_disposition") != "recv_bye":
        return began, NEVER
    return began, fixed(stamp["end"] - stamp["answer"])


def _callee(events: list[Seen]) -> Person:
    made = events[0].at
    rang, answered = _first(events, "CHANNEL_PROGRESS"), _first(events, "CHANNEL_ANSWER")
    complete = _first(events, "CHANNEL_HANGUP_COMPLETE")
    if complete and complete.get("variable_sip_hangup_disposition") == "recv_refuse":
        return UNREACHABLE
    ring = fixed(max(0.002, rang.at - made) if rang else 0.0)
    answer = fixed(answered.at - (rang or events[0]).at) if answered else NEVER
    return Person(ring_after=ring, answer_after=answer, talk=_spans(events)[1])


class Replay:
    """One capture on the bench."""

    def __init__(self, name: str, **changes: Any) -> None:
        self.real = load(name)
        self._names: dict[str, str] = {}
        legs = self.real.legs
        rules = []
        self._due: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        for uuid in legs:
            events = self.real.of(uuid)
            if events[0].get("Call-Direction") == "outbound" and events[0].get("Channel-Name").startswith(
                "sofia/"
            ):
                target = events[0].get("Channel-Name").partition("/")[2].partition("/")[2]
                rules.append(Rule(f"^{re.escape(target)}$", _callee(events)))
        first = (self.real.events or [Seen(0.0, [])])[0]
        beats = [one.at for one in self.real.events if one.name == "HEARTBEAT"]
        if len(beats) > 1:
            changes["heartbeat_s"] = float(round(beats[1] - beats[0]))
        switch = {
            "hostname": first.get("FreeSWITCH-Hostname") or "vm",
            "switchname": first.get("FreeSWITCH-Switchname") or "fs1",
            "core_uuid": first.get("Core-UUID"),
            "ipv4": first.get("FreeSWITCH-IPv4") or "127.0.0.1",
            "ipv6": first.get("FreeSWITCH-IPv6") or "::1",
        }
        settings = {
            "port": 0, "seed": 7, "contexts": CONTEXTS, "profiles": ("internal",), "gateways": {}, "sql": False,
            "max_sessions": 1000, "sps": 200, "write_anywhere": False, "directory": ("1001@127.0.0.1",),
            "traffic": Traffic(rules=tuple(rules)), **switch, **changes,
        }  # fmt: skip
        self.bench = Bench(SimulatorSettings(**settings))
        self.peer: Peer | None = None

    def at(self, when: float, act: Callable[..., object], *args: Any) -> None:
        """Do something so many seconds after the client connected."""
        heapq.heappush(self._due, (when, len(self._due), act, args))

    def callers(self) -> None:
        """Let the same people call at the same times, with the same uuids."""
        # Keys that the client did not send itself came from elsewhere.
        own_keys = any("recv_dtmf" in text for _, text in self.real.sent)
        for uuid in self.real.legs:
            events = self.real.of(uuid)
            created = _first(events, "CHANNEL_CREATE") or events[0]
            began, talk = _spans(events)
            joined = _first(events, "CUSTOM add-member")
            if created.get("Call-Direction") != "inbound" or not created.get("Channel-Name").startswith(
                "sofia/"
            ):
                continue
            # Two who call at once are told apart by who came into the conference first.
            when = began + (joined.at / 1e6 if joined else 0.0)
            self.at(when, self.bench.call, caller_of(created), Person(talk=talk), uuid)
            for one in events:
                if one.name == "DTMF" and not own_keys:
                    self.at(one.at, self._press, uuid, one)

    def _press(self, uuid: str, one: Seen) -> None:
        channel = self.bench.switch.channels[uuid]
        keys.press(channel, one.get("DTMF-Digit"), one.get("DTMF-Source"), int(one.get("DTMF-Duration")))

    def phones(self) -> None:
        """Let the same phones register."""
        for one in self.real.events:
            if one.get("Event-Subclass") == "sofia::register":
                self.at(one.at, self._register, one)

    def _register(self, one: Seen) -> None:
        registrations.register(
            self.bench.switch,
            one.get("from-user"),
            one.get("from-host"),
            profile=one.get("profile-name"),
            ip=one.get("network-ip"),
            port=int(one.get("network-port")),
            expires_s=int(one.get("expires")),
        )

    def byes(self) -> None:
        """Let the far ends hang up when they did, for legs that nobody placed in this run."""
        for uuid in self.real.legs:
            hung = _first(self.real.of(uuid), "CHANNEL_HANGUP")
            complete = _first(self.real.of(uuid), "CHANNEL_HANGUP_COMPLETE")
            if hung and complete and complete.get("variable_sip_hangup_disposition") == "recv_bye":
                self.at(hung.at, self._bye, uuid)

    def _bye(self, uuid: str) -> None:
        answering.far_end_hangs_up(self.bench.switch.channels[uuid])

    def recoverable(self, rows: list[recovery.Row]) -> None:
        """Let these legs be in the database that the dead switch shared."""
        self.bench.switch.recoverable = rows

    def _translate(self, text: str) -> str:
        """Replace uuids of the capture by those of this run (legs whose uuid the switch chose)."""
        ours = sort_frames(bytes(self.peer.received), lambda end: 0.0, []).legs if self.peer else []
        for theirs, own in zip(self.real.legs, ours, strict=False):
            text = text.replace(theirs, own)
        return text

    def run(self, linger_s: float = 8.0) -> Recorded:
        """Play everything and return what the client got."""
        bench = self.bench
        beats = [one.at for one in self.real.events if one.name == "HEARTBEAT"]
        if beats:
            # The heartbeat's phase is part of what a client sees.
            bench.run(bench.settings.heartbeat_s - beats[0] % bench.settings.heartbeat_s)
        if self.real.sent[0][1].startswith("connect"):
            # The client is the one that was called: its time begins when the connection is there.
            while not bench.outbound:
                _, _, act, args = heapq.heappop(self._due)
                act(*args)
                bench.run(0.02)
            self.peer = bench.outbound[0]
        else:
            self.peer = bench._open(None)
        start = bench.now
        for when, text in self.real.sent:
            self.at(when, self._say, text)
        while self._due:
            when, _, act, args = heapq.heappop(self._due)
            bench.run_until(start + when)
            act(*args)
        last = max([one.at for one in self.real.events], default=0.0)
        bench.run_until(max(start + last, bench.now) + linger_s)
        peer = self.peer
        stamps = iter(peer.stamps)
        current = next(stamps, (0, start))

        def when_sent(end: int) -> float:
            nonlocal current
            while current[0] < end:
                current = next(stamps)
            return current[1] - start

        return sort_frames(bytes(peer.received), when_sent, self.real.sent)

    def _say(self, text: str) -> None:
        assert self.peer is not None
        self.peer.say(self._translate(text))


def blank(text: str, names: dict[str, str]) -> str:
    """Take out of a text what differs from run to run: uuids, times, counters."""
    for uuid, name in names.items():
        text = text.replace(uuid, name)
    text = UUID.sub("UUID", text)
    return re.sub(r"\d+(\.\d+)?", "N", text)
