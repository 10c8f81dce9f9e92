"""One tenant at this controller: its sessions, and its log handed to those of them that an entry is about."""

from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar

import msgspec
import trio
from msgspec import Struct

from core.aio import Inbox
from core.bus import Bus
from core.logs import get_logger
from core.model.entries import LogEntry
from core.model.records import Call
from core.model.signaling import AgentSeen, Reserved
from core.model.signaling_session import Session
from core.model.signaling_spine import Now, Output
from core.signaling.follower import BEGUN, GAP, WAITING, Follow
from core.storage.database import Database

LOG = get_logger("signaling")

AGENT_ENTRIES = frozenset({"agent.online", "agent.offline", "agent.state_changed", "agent.updated"})
_AN_AGENT = b'"agent":"agt_'


class _AgentBody(Struct, frozen=True):
    data: AgentSeen


class _ReservationBody(Struct, frozen=True):
    data: Reserved


class _CallData(Struct, frozen=True):
    call: Call
    recording: str = ""


class _CallBody(Struct, frozen=True):
    data: _CallData


_agent = msgspec.json.Decoder(_AgentBody).decode
_reservation = msgspec.json.Decoder(_ReservationBody).decode
_call = msgspec.json.Decoder(_CallBody).decode


class HasSession(Protocol):
    session: Session


H = TypeVar("H", bound=HasSession)


class Room(Generic[H]):
    """See the module's text. ``wanted`` is called on the asyncio side; it only looks into dictionaries."""

    def __init__(self, tenant_id: str, bus: Bus, db: Database) -> None:
        self.tenant_id = tenant_id
        self.agents: dict[str, H] = {}
        self.awaited: dict[str, list[LogEntry]] = {}
        """Agents whose sessions are about to begin, and what the log said since: the store may have been read before."""
        self.entering = 0
        self._calls: dict[str, set[str]] = {}
        """Call -> the agents here that are in it."""
        self.begun = trio.Event()
        self.scope = trio.CancelScope()
        self.inbox: Inbox[LogEntry] = Inbox(WAITING)
        self.follow = Follow(bus, db, tenant_id, self.inbox, self.wanted)

    def wanted(self, entry: LogEntry) -> bool:
        """Whether an entry may be about somebody here."""
        kind = entry.type
        if kind.startswith("call."):
            return entry.resource in self._calls or _AN_AGENT in entry.body
        if kind.startswith("agent."):
            return entry.resource in self.agents or entry.resource in self.awaited
        return kind.startswith("reservation.")

    def calls_of(self, held: H) -> set[str]:
        return set(held.session.calls.by_id)

    def note_calls(self, held: H, before: set[str], after: set[str]) -> None:
        """Remember which calls this session's agent is in."""
        agent_id = held.session.agent.id
        for call_id in before - after:
            crowd = self._calls.get(call_id)
            if crowd is not None:
                crowd.discard(agent_id)
                if not crowd:
                    del self._calls[call_id]
        for call_id in after:
            self._calls.setdefault(call_id, set()).add(agent_id)

    def entry(self, entry: LogEntry, now: Now, *, only: H | None = None) -> Iterator[tuple[H, list[Output]]]:
        """What the sessions (or ``only`` one of them) make of one entry."""
        if entry is BEGUN:
            self.begun.set()
        elif entry is GAP:
            for held in list(self.agents.values()):
                yield held, held.session.disowned(now)
        else:
            if only is None:
                for waiting in self.awaited.values():
                    waiting.append(entry)
            try:
                yield from self._about(entry, now, only)
            except msgspec.MsgspecError as exc:
                # (entries of these kinds that are about something else, or that another version wrote)
                LOG.debug("an entry was passed by", seq=entry.seq, kind=entry.type, error=type(exc).__name__)

    def _about(self, entry: LogEntry, now: Now, only: H | None) -> Iterator[tuple[H, list[Output]]]:
        kind = entry.type
        if kind.startswith("reservation."):
            reserved = _reservation(entry.body).data
            word = kind.removeprefix("reservation.")
            for held in self._meant([reserved.agent_id], only):
                yield held, held.session.reservation_entry(word, reserved, now)
            for held in list(self.agents.values()) if only is None else ():
                if held.session.dials.rings and reserved.id in held.session.dials.watched():
                    yield held, held.session.reservation_entry(word, reserved, now)
        elif kind in AGENT_ENTRIES:
            agent = _agent(entry.body).data
            for held in self._meant([agent.id], only):
                yield held, held.session.agent_entry(kind, agent, now)
        elif kind.startswith("call."):
            data = _call(entry.body).data
            names = {leg.agent for leg in data.call.legs if leg.agent}
            names |= self._calls.get(data.call.id, set())
            told = {"recording": data.recording}
            for held in self._meant(names, only):
                yield held, held.session.call_entry(kind, data.call, told, now)

    def _meant(self, names: Iterable[str], only: H | None) -> list[H]:
        found = [held for name in names if (held := self.agents.get(name)) is not None]
        return found if only is None else [held for held in found if held is only]
