"""The live calls of one switch, and where each leg is: the part of a switchboard that keeps the books.

`core.model.switchboard` decides what a fact means, `core.model.grouping` which legs are one call. Every method that
changes something adds `Change`s to the list of the fact at hand. Nothing here raises on what a switch says.
"""

from collections import Counter
from sys import intern

from msgspec.structs import replace

from core.model import recordings
from core.model.conferences import Conference
from core.model.machine import ANSWERED, EARLY, ENDED, NEW, RINGING, call_state
from core.model.records import Call, Change, Leg

GONE_KEPT = 20_000
"""Ended legs that are remembered, so that late and repeated events of theirs begin no new call: 40 s at 500 legs a
second, about 2 MB."""

Value = str | int | bool


class Book:
    """Every live call of one switch. See the module's text; use `core.model.switchboard.Switchboard`."""

    def __init__(self, node: str, default_tenant: str) -> None:
        self.node = intern(node)
        self.default_tenant = intern(default_tenant)
        self.calls: dict[str, Call] = {}
        """The live ones by id. An ended call leaves right after its change was made."""
        self.conferences: dict[str, Conference] = {}
        """By the switch's id of the meeting."""
        self.surprises: Counter[str] = Counter()
        """What the switch was not expected to say, by kind."""
        self._home: dict[str, str] = {}
        self._gone: dict[str, int] = {}
        """Ended legs, and when they ended."""
        self._names: dict[str, str] = {}
        self._out: list[Change] = []

    # -- reading

    def call_of(self, leg_uuid: str) -> Call | None:
        """The live call with this leg (which may have ended itself), None when there is none."""
        home = self._home.get(self._names.get(leg_uuid, leg_uuid))
        return None if home is None else self.calls[home]

    def leg_of(self, leg_uuid: str) -> Leg | None:
        """A leg of a live call."""
        call = self.call_of(leg_uuid)
        return None if call is None else find_leg(call, self._names.get(leg_uuid, leg_uuid))

    def is_live(self, leg_uuid: str) -> bool:
        """Whether this leg is in a live call."""
        return leg_uuid in self._home

    def is_gone(self, leg_uuid: str) -> bool:
        """Whether this leg was in a call that has ended (not too long ago, see `GONE_KEPT`)."""
        return leg_uuid in self._gone

    # -- the one way in which calls change

    def _keep(self, call: Call, leg: Leg) -> Call:
        """Put a changed leg into its call, silently; the call's state follows."""
        legs = tuple(leg if one.uuid == leg.uuid else one for one in call.legs)
        call = self.calls[call.id] = replace(call, legs=legs, state=call_state(legs))
        return call

    def _tell(self, kind: str, call: Call, at_us: int, **data: Value) -> Call:
        """Make the call's next version and tell it."""
        call = self.calls[call.id] = replace(call, version=call.version + 1)
        self._out.append(Change(type=kind, call=call, occurred_us=at_us, data=data))
        return call

    def _surprise(self, kind: str, call: Call | None = None) -> None:
        self.surprises[kind] += 1
        if call is not None and call.id in self.calls:
            call = self.calls[call.id]
            self.calls[call.id] = replace(call, surprises=call.surprises + 1)

    # -- legs change

    def _changed(self, before: Leg, leg: Leg, at_us: int) -> Call:
        """Keep a leg that a look at its channel corrected; tell it when it rings or is answered now."""
        call = self._keep(self.calls[self._home[leg.uuid]], leg)
        if leg.state == before.state:
            return call
        if leg.state == ANSWERED:
            moment = leg.answered_us or at_us
            if not call.answered_us:
                call = replace(call, answered_us=moment)
            return self._tell("call.answered", call, moment, leg=leg.uuid)
        if before.state == NEW and leg.state in (RINGING, EARLY):
            moment = leg.progress_us or leg.progress_media_us or at_us
            if not call.ringing_us:
                call = replace(call, ringing_us=moment)
            return self._tell("call.ringing", call, moment, leg=leg.uuid)
        return call

    def _leg_over(self, before: Leg, leg: Leg, at_us: int) -> None:
        """Keep a leg that has ended, and close its call with the last one."""
        self._keep(self.calls[self._home[leg.uuid]], leg)
        partner = self.leg_of(before.bridged_to)
        if partner is not None and partner.bridged_to == leg.uuid:
            self._keep(self.calls[self._home[partner.uuid]], replace(partner, bridged_to=""))
        call = self.calls[self._home[leg.uuid]]
        if call.state == ENDED:
            self._close(call)
        else:
            self._tell("call.leg_ended", call, leg.hangup_us or at_us, leg=leg.uuid, cause=leg.hangup_cause)

    def _close(self, call: Call) -> None:
        """Every leg has ended: stop what is still open, tell the end, forget the call."""
        # The cause of a call is that of the leg that ended last; of several at once, of the first of them.
        last = max(call.legs, key=lambda leg: leg.hangup_us)
        for leg in call.legs:
            for at, recording in enumerate(leg.recordings):
                if recording.stopped_us:
                    continue
                leg = recordings.stopped(leg, at, stopped_us=last.hangup_us, samples=0, size=0, cause="")
                call = self._keep(call, leg)
                whose = {"conference": recording.conference} if recording.conference else {"leg": leg.uuid}
                call = self._tell(
                    "call.recording_stopped", call, last.hangup_us, path=recording.path, **whose
                )
        call = replace(
            call,
            ended_us=last.hangup_us,
            hangup_cause=last.hangup_cause,
            inferred=last.inferred,
            in_doubt=False,
        )
        self._tell("call.ended", call, last.hangup_us, leg=last.uuid, cause=last.hangup_cause)
        self._forget(call)

    def _forget(self, call: Call) -> None:
        del self.calls[call.id]
        for leg in call.legs:
            del self._home[leg.uuid]
            self._remember_gone(leg)

    def _remember_gone(self, leg: Leg) -> None:
        if len(self._gone) >= GONE_KEPT:
            oldest = next(iter(self._gone))
            del self._gone[oldest]
        self._gone[leg.uuid] = leg.hangup_us
        if self._names:
            for old in [old for old, new in self._names.items() if new == leg.uuid]:
                del self._names[old]
                self._gone[old] = leg.hangup_us

    def _living(self, uuid: str) -> Leg:
        """The leg of a live call that is known to be there."""
        leg = find_leg(self.calls[self._home[uuid]], uuid)
        if leg is None:
            raise AssertionError(f"the index places {uuid} in a call that does not have it")
        return leg


def find_leg(call: Call, uuid: str) -> Leg | None:
    """The leg of ``call`` with this id."""
    for leg in call.legs:
        if leg.uuid == uuid:
            return leg
    return None
