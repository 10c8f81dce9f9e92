"""Every live call of one switch: takes facts, keeps legs grouped into calls, tells what changed.

    board = Switchboard("pbx-1", default_tenant="tnt_main")
    for fact in facts:
        for change in board.advance(fact):
            ...

Pure: no clock, no task, no I/O. Facts may come twice, in any order, from the middle of a call or after its end, and
may be missing: the board never raises on them, counts what it did not expect (`surprises`), and ends up with the
same calls. That holds across a takeover too: what makes a fact old news is kept in the records themselves, so an
heir that restored the records and reads the last seconds of facts again changes nothing that was known.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from core.model import legs as rules
from core.model import recordings
from core.model.facts import (
    ConferenceEnded,
    ConferenceJoined,
    ConferenceLeft,
    ConferenceMuted,
    ConferenceRecordingStarted,
    ConferenceRecordingStopped,
    DigitPressed,
    Fact,
    LegAnswered,
    LegBridged,
    LegCreated,
    LegDescribed,
    LegDestroyed,
    LegEnded,
    LegFact,
    LegHeld,
    LegHungUp,
    LegParked,
    LegProgressed,
    LegRenamed,
    LegReplaced,
    LegResumed,
    LegSeen,
    LegUnbridged,
    LegUnparked,
    PlaybackStarted,
    PlaybackStopped,
    RecordingStarted,
    RecordingStopped,
)
from core.model.machine import (
    ANSWER,
    ENDED,
    MARK_BRIDGE,
    MARK_DIGIT,
    MARK_HOLD,
    MARK_PARK,
    MARK_PLAYBACK,
    MEDIA,
    RANG,
)
from core.model.records import Call, Change, Leg, Recording
from core.model.resync import Resync

_AFTER_THE_END = frozenset(
    {
        LegSeen,
        LegDescribed,
        LegEnded,
        LegDestroyed,
        LegUnbridged,
        LegUnparked,
        LegHungUp,
        PlaybackStopped,
        ConferenceLeft,
    }
)
"""What a switch is known to tell of a leg that has ended."""


class Switchboard(Resync):
    """See the module's text."""

    def __init__(self, node: str, default_tenant: str) -> None:
        super().__init__(node, default_tenant)
        self._handlers: dict[type[Fact], Callable[[Any], None]] = {
            LegDescribed: self._described,
            LegProgressed: self._progressed,
            LegAnswered: self._answered,
            LegBridged: self._bridged,
            LegUnbridged: self._unbridged,
            LegHeld: self._held,
            LegResumed: self._resumed,
            LegParked: self._parked,
            LegUnparked: self._unparked,
            LegHungUp: self._hung_up,
            LegEnded: self._ended,
            LegDestroyed: self._ended,
            LegReplaced: self._replaced,
            RecordingStarted: self._recording_started,
            RecordingStopped: self._recording_stopped,
            DigitPressed: self._digit,
            PlaybackStarted: self._playback,
            PlaybackStopped: self._playback,
            ConferenceJoined: self._conference_joined,
            ConferenceLeft: self._conference_left,
            ConferenceMuted: self._conference_muted,
            ConferenceEnded: self._conference_ended,
            ConferenceRecordingStarted: self._conference_recording_started,
            ConferenceRecordingStopped: self._conference_recording_stopped,
        }

    def advance(self, fact: Fact) -> list[Change]:
        """Take one fact; what it changed, in order. Never raises on what a switch says."""
        out = self._out = []
        self._take(fact)
        return out

    def _take(self, fact: Fact) -> None:
        if isinstance(fact, LegFact) and not self._look(fact):
            return
        handler = self._handlers.get(type(fact))
        if handler is not None:
            handler(fact)

    # -- one look at a leg

    def _look(self, fact: LegFact) -> bool:
        """Meet the leg or correct what we know of it; False when the fact has nothing more to say."""
        channel = fact.channel
        uuid = channel.uuid
        if self._names:
            uuid = self._names.get(uuid, uuid)
        if type(fact) is LegRenamed:
            self._renamed(fact)
        home = self._home.get(uuid)
        if home is None:
            return self._meet(fact)
        call = self.calls[home]
        for leg in call.legs:
            if leg.uuid == uuid:
                break
        if leg.state == ENDED:
            if type(fact) is RecordingStopped:
                return True
            if fact.at_us > leg.hangup_us and type(fact) not in _AFTER_THE_END:
                self._surprise(f"{type(fact).__name__}_after_the_end", call)
            return False
        again = type(fact) is LegCreated and fact.at_us > leg.recovered_us
        if channel.recovered and (again or not leg.recovered_us):
            self._recovered(call, leg, fact)
            leg = self._living(uuid)
        shown = rules.seen(leg, channel)
        if shown is not leg:
            self._changed(leg, shown, fact.at_us)
            if shown.other_leg != leg.other_leg:
                self._link(uuid, shown.other_leg, fact.at_us)
        if channel.transfer > leg.transfer:
            self._transferred(fact, uuid)
        return True

    def _meet(self, fact: LegFact) -> bool:
        channel = fact.channel
        if not channel.uuid:
            return False
        ended_us = self._gone.get(channel.uuid)
        if ended_us is not None:
            if type(fact) is not LegCreated or channel.created_us <= ended_us:
                return False
            # Whoever chooses ids (``origination_uuid``, a SIP Call-ID) may choose one again.
            del self._gone[channel.uuid]
        if isinstance(fact, LegDestroyed) and not channel.created_us:
            # A channel that was refused before it began: nothing but its destruction is ever told.
            self._early.pop(channel.uuid, None)
            return False
        if not channel.detailed:
            self._wait_for_details(fact)
            return False
        self._attach(fact)
        for earlier in self._early.pop(channel.uuid, ()):
            self._take(earlier)
        return True

    def _recovered(self, call: Call, leg: Leg, fact: LegFact) -> None:
        call = self._keep(call, rules.recovered(leg, fact.channel, fact.at_us))
        call = replace(call, in_doubt=False)
        self._fallen.discard(leg.uuid)
        self._tell("call.recovered", call, fact.at_us, leg=leg.uuid, by="standby")

    def _transferred(self, fact: LegFact, uuid: str) -> None:
        channel = fact.channel
        leg = self._living(uuid)
        call = self._keep(self.calls[self._home[uuid]], replace(leg, transfer=channel.transfer))
        self._tell(
            "call.transferred",
            call,
            fact.at_us,
            leg=uuid,
            mode=channel.transfer_mode,
            to=channel.transfer_to,
        )

    # -- the life of a leg

    def _progressed(self, fact: LegProgressed) -> None:
        self._signal(fact, MEDIA if fact.media else RANG)

    def _answered(self, fact: LegAnswered) -> None:
        self._signal(fact, ANSWER)

    def _signal(self, fact: LegFact, signal: str) -> None:
        leg = self._subject(fact)
        if rules.surprising(leg, signal):
            # Ringing that comes late is only late; ringing that happened after the answer is strange.
            if fact.at_us <= leg.answered_us:
                return
            self._surprise(f"{signal}_while_{leg.state}", self.call_of(leg.uuid))
            return
        after = rules.advanced(leg, signal)
        if after is not leg:
            self._changed(leg, after, fact.at_us)

    def _hung_up(self, fact: LegHungUp) -> None:
        leg = self._subject(fact)
        if leg.hangup_us and leg.hangup_cause:
            return
        self._keep(self.calls[self._home[leg.uuid]], rules.hung_up(leg, fact.channel, fact.at_us))

    def _ended(self, fact: LegEnded) -> None:
        leg = self._subject(fact)
        if leg.state == ENDED:
            return
        if isinstance(fact, LegDestroyed):
            self._surprise("destroyed_before_its_summary", self.call_of(leg.uuid))
        self._leave_all(self.calls[self._home[leg.uuid]], leg.uuid, fact.at_us)
        leg = self._living(leg.uuid)
        self._leg_over(leg, rules.ended(leg, fact), fact.at_us)

    # -- what comes and goes

    def _bridged(self, fact: LegBridged) -> None:
        a = self._names.get(fact.a, fact.a) or fact.channel.uuid
        b = self._names.get(fact.b, fact.b) or fact.channel.other_leg
        if not b or a == b:
            self._surprise("bridge_without_pair", self.call_of(a))
            return
        self._link(a, b, fact.at_us)
        told: list[str] = []
        for uuid, other in ((a, b), (b, a)):
            leg = self.leg_of(uuid)
            if leg is None or leg.state == ENDED:
                continue
            if not rules.is_news(leg, MARK_BRIDGE, at_us=fact.at_us, seq=fact.seq):
                continue
            before = leg.bridged_to
            if before and before != other:
                self._part(leg, before, fact.at_us)
                leg = self._living(uuid)
            fields = rules.marked(leg, MARK_BRIDGE, fact.seq)
            leg = replace(
                leg, bridged_to=other, other_leg=other, bridged_us=fact.at_us, parked=False, **fields
            )
            leg = replace(leg, **rules.marked(leg, MARK_PARK, fact.seq))
            call = self._keep(self.calls[self._home[uuid]], leg)
            if before != other and call.id not in told:
                told.append(call.id)
        for call_id in told:
            self._tell("call.bridged", self.calls[call_id], fact.at_us, leg=a, other_leg=b)

    def _unbridged(self, fact: LegUnbridged) -> None:
        leg = self._subject(fact)
        a = self._names.get(fact.a, fact.a) or leg.uuid
        b = self._names.get(fact.b, fact.b) or leg.bridged_to
        for uuid, other in ((a, b), (b, a)):
            one = self.leg_of(uuid)
            if one is None or one.state == ENDED or one.bridged_to != other or not other:
                continue
            if rules.is_news(one, MARK_BRIDGE, at_us=fact.at_us, seq=fact.seq):
                self._part(one, other, fact.at_us, seq=fact.seq)

    def _part(self, leg: Leg, other: str, at_us: int, seq: int = 0) -> None:
        """``leg`` and ``other`` hear each other no more; told unless one of them is on its way out."""
        call = self._keep(
            self.calls[self._home[leg.uuid]],
            replace(leg, bridged_to="", **rules.marked(leg, MARK_BRIDGE, seq)),
        )
        partner = self.leg_of(other)
        leaving = bool(leg.hangup_us)
        if partner is not None:
            leaving = leaving or bool(partner.hangup_us)
            if partner.state != ENDED and partner.bridged_to == leg.uuid:
                fields = rules.marked(partner, MARK_BRIDGE, seq)
                self._keep(self.calls[self._home[other]], replace(partner, bridged_to="", **fields))
        if not leaving:
            call = self.calls[call.id]
            self._tell("call.unbridged", call, at_us, leg=leg.uuid, other_leg=other)

    def _held(self, fact: LegHeld) -> None:
        leg = self._news(fact, MARK_HOLD)
        if leg is not None:
            self._hold(leg, True, fact.at_us)

    def _resumed(self, fact: LegResumed) -> None:
        leg = self._news(fact, MARK_HOLD)
        if leg is not None:
            self._hold(leg, False, fact.at_us)

    def _parked(self, fact: LegParked) -> None:
        leg = self._news(fact, MARK_PARK)
        if leg is not None and not leg.parked and not leg.hangup_us:
            call = self._keep(self.calls[self._home[leg.uuid]], replace(leg, parked=True))
            self._tell("call.parked", call, fact.at_us, leg=leg.uuid)

    def _unparked(self, fact: LegUnparked) -> None:
        leg = self._news(fact, MARK_PARK)
        if leg is not None and leg.parked:
            self._keep(self.calls[self._home[leg.uuid]], replace(leg, parked=False))

    def _digit(self, fact: DigitPressed) -> None:
        leg = self._news(fact, MARK_DIGIT)
        if leg is not None:
            call = self._keep(self.calls[self._home[leg.uuid]], replace(leg, digits=leg.digits + 1))
            self._tell("call.dtmf", call, fact.at_us, leg=leg.uuid, digits=leg.digits + 1)

    def _playback(self, fact: PlaybackStarted | PlaybackStopped) -> None:
        leg = self._news(fact, MARK_PLAYBACK)
        if leg is not None:
            begun = isinstance(fact, PlaybackStarted)
            self._tell(
                "call.playback_started" if begun else "call.playback_stopped",
                self.calls[self._home[leg.uuid]],
                fact.at_us,
                leg=leg.uuid,
                path=fact.path,
            )

    # -- recordings

    def _recording_started(self, fact: RecordingStarted) -> None:
        leg = self._subject(fact)
        call = self.calls[self._home[leg.uuid]]
        recording = Recording(leg=leg.uuid, path=fact.path, started_us=fact.at_us)
        grown = recordings.started(leg, recording)
        if grown is None:
            return
        call = self._keep(call, grown)
        if len(grown.recordings) > len(leg.recordings):
            self._tell("call.recording_started", call, fact.at_us, leg=leg.uuid, path=fact.path)
        else:
            self._surprise("recording_stopped_before_it_started", call)

    def _recording_stopped(self, fact: RecordingStopped) -> None:
        leg = self._subject(fact)
        call = self.calls[self._home[leg.uuid]]
        if recordings.knows_stop(call, fact.path, fact.at_us):
            return
        found = recordings.find_open(call, leg.uuid, fact.path, at_us=fact.at_us)
        if found is None:
            if leg.state == ENDED:
                return
            # We came late: its start was never seen.
            grown = recordings.started(leg, Recording(leg=leg.uuid, path=fact.path))
            if grown is None:
                return
            found = grown, len(grown.recordings) - 1
        holder, at = found
        holder = recordings.stopped(
            holder, at, stopped_us=fact.at_us, samples=fact.samples, size=fact.size, cause=fact.cause
        )
        call = self._keep(call, holder)
        self._tell("call.recording_stopped", call, fact.at_us, leg=holder.uuid, path=fact.path)

    # -- helpers

    def _subject(self, fact: LegFact) -> Leg:
        return self._living(self._names.get(fact.channel.uuid, fact.channel.uuid))

    def _news(self, fact: LegFact, place: int) -> Leg | None:
        """The fact's leg, already marked with it; None when the fact is old news."""
        leg = self._subject(fact)
        if not rules.is_news(leg, place, at_us=fact.at_us, seq=fact.seq):
            return None
        leg = replace(leg, **rules.marked(leg, place, fact.seq))
        self._keep(self.calls[self._home[leg.uuid]], leg)
        return leg
