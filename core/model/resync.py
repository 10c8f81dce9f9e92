"""What a switchboard does about time it did not see: takeover, lost links, restarted switches, listings.

Nothing is concluded from silence. A lost link puts calls in doubt; only a listing of the switch's channels that was
asked for afterwards (`Resync.reconcile`), or a restart without recovery, ends a leg that nobody saw ending, and such
an end is marked ``inferred``.
"""

from abc import abstractmethod
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from core.model import legs as rules
from core.model.facts import (
    Channel,
    ConferenceJoined,
    Fact,
    LegBridged,
    LegDescribed,
    LegParked,
    LegSeen,
    LegUnbridged,
)
from core.model.machine import CAUSE_MISSED, CAUSE_NODE_DEATH, ENDED, MARK_CONFERENCE, MARK_HOLD
from core.model.meetings import Meetings
from core.model.records import Call, Change, Leg

SETTLED_US = 1_000_000
"""FreeSWITCH tells of a bridge a moment before the legs show it, so a leg that is not bridged is believed only so
long after its last bridge."""


class Resync(Meetings):
    """The part of a switchboard that closes gaps."""

    def __init__(self, node: str, default_tenant: str) -> None:
        super().__init__(node, default_tenant)
        self._fallen: set[str] = set()
        """Legs that lived when their switch went down, and were not seen on its successor."""

    def restore(self, calls: Iterable[Call]) -> None:
        """Take over what a predecessor stored. Calls that have ended are remembered as gone: give the last half
        minute of them too, and facts that are read again begin none of them anew."""
        self._adopt(calls)
        self._adopt_members()

    def reconcile(self, channels: Sequence[Channel], *, at_us: int, since_us: int) -> list[Change]:
        """Make the calls agree with a listing of every channel of the switch.

        ``since_us`` is when the listing was asked for: a leg that was created after that is left alone, it may have
        come too late for the list. ``at_us`` is the moment that ends are concluded at.
        """
        out = self._out = []
        listed: dict[str, Channel] = {}
        for channel in channels:
            uuid = self._names.get(channel.uuid, channel.uuid)
            if uuid and uuid not in self._gone:
                listed[uuid] = channel
        for uuid, channel in sorted(listed.items(), key=lambda item: item[1].created_us):
            self._listed(uuid, channel, at_us)
        for call_id in list(self.calls):
            call = self.calls.get(call_id)
            for leg in call.legs if call else ():
                if leg.state != ENDED and leg.uuid not in listed and leg.created_us < since_us:
                    cause = CAUSE_NODE_DEATH if leg.uuid in self._fallen else CAUSE_MISSED
                    self._conclude(leg, cause, at_us)
        for call in [one for one in self.calls.values() if one.in_doubt]:
            if any(leg.uuid in listed for leg in call.legs):
                self._tell("call.recovered", replace(call, in_doubt=False), at_us, by="listing")
        self._fallen.difference_update(listed)
        for uuid in [uuid for uuid in self._early if uuid not in listed]:
            if self._early[uuid][0].at_us < since_us:
                del self._early[uuid]
        return out

    def node_lost(self, at_us: int) -> list[Change]:
        """The switch is out of reach: what we know of its calls may be old from now on."""
        out = self._out = []
        for call in [one for one in self.calls.values() if not one.in_doubt]:
            self._tell("call.in_doubt", replace(call, in_doubt=True), at_us)
        return out

    def node_restarted(self, at_us: int, *, recovering: bool = False) -> list[Change]:
        """The switch lost its channels (it shows another Core-UUID).

        With ``recovering`` a standby may bring them back: the calls are only in doubt, legs that come back continue
        theirs, and the next `reconcile` ends the others. Without it everything ends here.
        """
        if recovering:
            self._fallen.update(
                leg.uuid for call in self.calls.values() for leg in call.legs if leg.state != ENDED
            )
            return self.node_lost(at_us)
        out = self._out = []
        self._early.clear()
        for call_id in list(self.calls):
            call = self.calls.get(call_id)
            for leg in call.legs if call else ():
                if leg.state != ENDED:
                    self._conclude(leg, CAUSE_NODE_DEATH, at_us)
        self.conferences.clear()
        return out

    def mark(
        self, leg_uuid: str, *, at_us: int, muted: bool | None = None, held: bool | None = None
    ) -> list[Change]:
        """Note what we did ourselves and the switch sends no event for: ``uuid_audio`` mutes a leg silently, and our
        hold is a park. Nothing when there is no such living leg or it is so already."""
        out = self._out = []
        leg = self.leg_of(leg_uuid)
        if leg is None or leg.state == ENDED:
            return out
        if muted is not None and muted != leg.muted:
            leg = replace(leg, muted=muted)
            call = self._keep(self.calls[self._home[leg.uuid]], leg)
            self._tell("call.muted" if muted else "call.unmuted", call, at_us, leg=leg.uuid)
        if held is not None:
            self._hold(leg, held, at_us)
        return out

    def settle(self, at_us: int) -> list[Change]:
        """No more will come (the end of a recording that is read, an outbound socket that closed): meet every leg
        that still waits for an event with its variables, and end every leg whose hangup was seen, with the numbers
        that the switch would have given."""
        out = self._out = []
        for uuid in list(self._early):
            waiting = self._early.get(uuid)
            if waiting:
                self._listed(uuid, waiting[-1].channel, at_us)
        for call_id in list(self.calls):
            call = self.calls.get(call_id)
            for leg in call.legs if call else ():
                if leg.state != ENDED and leg.hangup_us:
                    self._conclude(leg, leg.hangup_cause, at_us)
        return out

    # -- helpers

    @abstractmethod
    def _take(self, fact: Fact) -> None:
        """Take one fact; `core.model.switchboard.Switchboard` does."""

    def _described(self, fact: LegDescribed) -> None:
        """Catch up with what became of a leg while nobody listened.

        The look counts as the event that it is numbered as: a leg that an event changed since is left alone.
        """
        leg = self._living(self._names.get(fact.channel.uuid, fact.channel.uuid))
        if leg.hangup_us:
            return
        at = (fact.at_us, fact.seq, fact.channel)
        if fact.bridged_to:
            if self._names.get(fact.bridged_to, fact.bridged_to) != leg.bridged_to:
                self._take(LegBridged(*at, leg.uuid, fact.bridged_to))
        elif fact.conference:
            if leg.conference != fact.conference:
                self._take(ConferenceJoined(*at, fact.conference, fact.instance, fact.member))
        elif fact.parked and not leg.marks:
            # (the last application stays in view after its time: of a leg that we follow, events know better)
            self._take(LegParked(*at))
        if leg.bridged_to and not fact.bridged_to and fact.at_us - leg.bridged_us > SETTLED_US:
            self._take(LegUnbridged(*at, leg.uuid, leg.bridged_to))
        elsewhere = leg.conference and not fact.conference
        if elsewhere and rules.is_news(leg, MARK_CONFERENCE, at_us=fact.at_us, seq=fact.seq):
            self._leave_all(self.calls[self._home[leg.uuid]], leg.uuid, fact.at_us)
        if fact.held is not None and rules.is_news(leg, MARK_HOLD, at_us=fact.at_us, seq=fact.seq):
            self._hold(self._living(leg.uuid), fact.held, fact.at_us)

    def _listed(self, uuid: str, channel: Channel, at_us: int) -> None:
        """A channel that lives, as a listing shows it."""
        if uuid not in self._home:
            waiting = self._early.pop(uuid, ())
            self._attach(LegSeen(at_us=at_us, seq=0, channel=replace(channel, detailed=True)))
            for fact in waiting:
                self._take(fact)
        leg = self._living(uuid)
        shown = rules.seen(leg, channel)
        if shown is not leg:
            self._changed(leg, shown, at_us)
            self._link(uuid, channel.other_leg, at_us)
        if channel.state in ("held", "unheld"):
            self._hold(self._living(uuid), channel.state == "held", at_us)

    def _conclude(self, leg: Leg, cause: str, at_us: int) -> None:
        call = self.calls[self._home[leg.uuid]]
        self._leave_all(call, leg.uuid, at_us)
        # Read again: a leg that was concluded before it may have been this one's partner.
        leg = self._living(leg.uuid)
        self._leg_over(leg, rules.concluded(leg, at_us=at_us, cause=cause), at_us)
        self._fallen.discard(leg.uuid)

    def _hold(self, leg: Leg, on: bool, at_us: int) -> None:
        after = rules.held(leg, at_us) if on else rules.resumed(leg, at_us)
        if after is not leg and leg.state != ENDED:
            call = self._keep(self.calls[self._home[leg.uuid]], after)
            self._tell("call.held" if on else "call.resumed", call, at_us, leg=leg.uuid)
