"""Reading a recording of a switch again: the same decoder, translation and call model, no database.

Two kinds of file: raw captures of one Event Socket connection (``.rx``, ``.rx.gz``) and journals of the flight
recorder (``.irj.zst``), in which marks tell of reconnects and of what the controller concluded from listings.

The recordings in the result are those of legs. What a conference records belongs to no leg; it is in the calls'
records and not in this list.
"""

import gzip
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from core import journal
from core.errors import RequestError
from core.journal import Chunk, DamagedJournal, Mark
from core.model.records import Call, Change, Leg
from core.model.switchboard import Switchboard
from core.telephony.translate import channel_of_row, translate
from freeswitch.errors import ProtocolError
from freeswitch.esl import Decoder
from freeswitch.event import Event

_CHUNK = 1 << 18
_TENANT = "tnt_main"
_EVENT_TYPES = frozenset({"text/event-plain", "text/event-json", "text/event-xml"})


class Unreadable(RequestError):
    """The file is not a recording that we know, or is damaged."""

    code = "unreadable"


def replay(path: Path | str) -> dict[str, Any]:
    """What a recording holds: counts, and every call as it ended up. Times are microseconds, 0 for never.

    Texts that the switch never gave (a caller without a name) are None. Raises `Unreadable`, OSError.
    """
    path = Path(path)
    reading = Reading(*_origin(path))
    for record in _records(path):
        if isinstance(record, Mark):
            reading.mark(record)
        else:
            try:
                reading.feed(record.data)
            except ProtocolError as exc:
                raise Unreadable(f"{path.name}: {exc}") from exc
    reading.finish()
    return {"file": str(path), **reading.result()}


class Reading:
    """A recording on its way through decoder, translation and call model."""

    def __init__(self, node: str, tenant: str) -> None:
        self.board = Switchboard(node, tenant)
        self.calls: dict[str, Call] = {}
        """Every call by its id, as last told. A call that became part of another one is not here."""
        self.frames = 0
        self.content_types: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.unreadable = 0
        """Events that claimed to be json or xml and were not."""
        self._decoder = Decoder()
        self._last_us = 0
        self._core = ""

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the connection. Raises `ProtocolError` when they are no Event Socket."""
        for frame in self._decoder.feed(data):
            self.frames += 1
            self.content_types[frame.content_type] += 1
            try:
                event = frame.event()
            except ProtocolError:
                self.unreadable += 1
                continue
            if event is None:
                continue
            if frame.content_type in _EVENT_TYPES:
                self.events[_label(event)] += 1
            self._take(event)
        if self._decoder.broken is not None:
            raise ProtocolError(self._decoder.broken)

    def mark(self, mark: Mark) -> None:
        """Take what the controller noted about the link; ``at_us`` is the moment it concluded with, if it differs."""
        noted_us = mark.values.get("at_us")
        at_us = noted_us if isinstance(noted_us, int) else mark.at_us
        match mark.mark:
            case "connected" | "gap":
                self._decoder = Decoder()
            case "lost":
                self._tell(self.board.node_lost(at_us))
            case "restarted":
                recovering = bool(mark.values.get("recovering"))
                self._tell(self.board.node_restarted(at_us, recovering=recovering))
            case "listing":
                rows = mark.values.get("rows")
                channels = [
                    channel_of_row({str(key): str(value) for key, value in row.items()})
                    for row in (rows if isinstance(rows, list) else [])
                    if isinstance(row, Mapping)
                ]
                asked_us = mark.values.get("since_us")
                since_us = asked_us if isinstance(asked_us, int) else at_us
                # A controller concludes with the moment it asked, unless it noted another.
                at_us = at_us if noted_us else min(at_us, since_us)
                self._tell(self.board.reconcile(channels, at_us=at_us, since_us=since_us))

    def finish(self) -> None:
        """No more will come."""
        self._tell(self.board.settle(self._last_us))
        self.calls.update(self.board.calls)

    def result(self) -> dict[str, Any]:
        """The document, without the file's name."""
        return {
            "frames": self.frames,
            "content_types": dict(self.content_types),
            "events": dict(self.events),
            "surprises": sum(self.board.surprises.values()) + self.unreadable,
            "calls": [_call(call) for call in self.calls.values()],
        }

    def _take(self, event: Event) -> None:
        fact = translate(event, self.board)
        if fact is None:
            return
        self._last_us = max(self._last_us, fact.at_us)
        core = event.exact("Core-UUID")
        if core is not None and core != self._core:
            if self._core:
                # Another process answers: the old one's channels are gone, unless it is a standby that recovers them.
                self._tell(self.board.node_restarted(fact.at_us, recovering=True))
            self._core = core
        self._tell(self.board.advance(fact))

    def _tell(self, changes: list[Change]) -> None:
        for change in changes:
            if change.call.merged_into:
                self.calls.pop(change.call.id, None)
            else:
                self.calls[change.call.id] = change.call


def _label(event: Event) -> str:
    name = event.name
    if name == "COMMAND" or name.startswith("ARRAY::"):
        # What `uuid_broadcast` queues for a channel is fired a second time, as PRIVATE_COMMAND, and then carries both
        # names; the switch itself goes by the second.
        name = _last_name(event)
    return f"CUSTOM:{event.subclass}" if name == "CUSTOM" else name


def _last_name(event: Event) -> str:
    name = event.name
    for header, value in event.items():
        if header == "Event-Name":
            name = value[-1] if isinstance(value, list) else value
    return name


def _call(call: Call) -> dict[str, Any]:
    return {
        "id": call.id,
        "state": call.state,
        "legs": [_leg(leg) for leg in call.legs],
        "recordings": [
            {
                "leg": recording.leg,
                "path": recording.path,
                "started_us": recording.started_us,
                "stopped_us": recording.stopped_us,
            }
            for leg in call.legs
            for recording in leg.recordings
            if not recording.conference
        ],
    }


def _leg(leg: Leg) -> dict[str, Any]:
    return {
        "uuid": leg.uuid,
        "direction": leg.direction,
        "caller": leg.caller or None,
        "caller_name": leg.caller_name or None,
        "destination": leg.destination or None,
        "created_us": leg.created_us,
        "answered_us": leg.answered_us,
        "hangup_us": leg.hangup_us,
        "hangup_cause": leg.hangup_cause or None,
        "billsec": leg.billsec,
        "other_leg": leg.other_leg or None,
    }


def _origin(path: Path) -> tuple[str, str]:
    """The name of the switch and its default tenant, as far as the file tells."""
    if path.name.endswith(journal.SUFFIX):
        try:
            header = journal.read_header(path)
        except DamagedJournal as exc:
            raise Unreadable(f"{path.name}: {exc}") from exc
        return header.node, header.tenant or _TENANT
    return path.name.split(".", 1)[0], _TENANT


def _records(path: Path) -> Iterator[Chunk | Mark]:
    """The records of a journal, or a capture's bytes as records."""
    if path.name.endswith(journal.SUFFIX):
        try:
            yield from journal.read(path)
        except DamagedJournal as exc:
            raise Unreadable(f"{path.name}: {exc}") from exc
        return
    opener = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "rb") as file:
        try:
            while data := file.read(_CHUNK):
                yield Chunk(at_us=0, data=data)
        except EOFError:
            return  # a packed capture that was cut off: what could be unpacked was used
        except (gzip.BadGzipFile, OSError) as exc:
            raise Unreadable(f"{path.name}: {exc}") from exc
