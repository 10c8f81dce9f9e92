"""The live calls of one switch and where each leg is: making, joining, merging and closing calls.

`core.model.switchboard` decides what a fact means; this is the part that keeps the books. Every method that
changes something adds `Change`s to the list of the fact at hand. Nothing here raises on what a switch says.

Which call a leg belongs to is settled when the leg is met: the call of a leg that it names (other leg, call uuid,
bond, loopback half), the call of a leg that named *it* before it was met, or the call it was made for
(``irisx_call``); else it begins a call of its own. Later proof that two calls are one (a bridge, a conference, a
new other leg) merges them: the older one lives on. A call never crosses tenants.
"""

from collections import Counter
from collections.abc import Iterable
from sys import intern

from msgspec.structs import replace

from core.ids import derived_id
from core.model import legs as rules
from core.model import recordings
from core.model.conferences import Conference
from core.model.facts import Channel, LegFact
from core.model.machine import ANSWERED, EARLY, ENDED, NEW, RINGING, call_state
from core.model.records import Call, Change, Leg

GONE_KEPT = 20_000
"""Ended legs that are remembered, so that late and repeated events of theirs begin no new call: 40 s at 500 legs a
second, about 2 MB."""
REFS_KEPT = 10_000
"""Legs that were named before they were met. Nearly all are met within milliseconds."""
EARLY_LEGS = 4_096
EARLY_FACTS = 8
"""Facts that wait for the first event with variables: CHANNEL_OUTGOING and a call state or two for each leg."""

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
        self._gone: dict[str, None] = {}
        self._refs: dict[str, str] = {}
        self._early: dict[str, list[LegFact]] = {}
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

    # -- legs come

    def _attach(self, fact: LegFact) -> Call:
        """Give a leg that was never met its place: in a call it belongs to, or in a new one."""
        channel = fact.channel
        leg = rules.met(channel, fact.at_us)
        call, backwards = self._place_for(channel)
        if call is None:
            call = self._begin(leg, channel)
            call = self._tell("call.created", call, leg.created_us, leg=leg.uuid)
        else:
            call = self._join(call, leg, became_first=backwards)
            call = self._tell("call.leg_added", call, leg.created_us, leg=leg.uuid)
        leg = self._bridged_before_it_was_met(call, leg)
        for name in (channel.other_leg, channel.call_uuid, channel.bond, channel.loopback):
            self._link(leg.uuid, name, fact.at_us)
        named_by = self._refs.pop(leg.uuid, None)
        if named_by is not None:
            self._link(leg.uuid, named_by, fact.at_us)
        shown = rules.advanced(leg, rules.state_shown(channel))
        if shown is not leg:
            self._changed(leg, shown, fact.at_us)
        return self.calls[self._home[leg.uuid]]

    def _place_for(self, channel: Channel) -> tuple[Call | None, bool]:
        """The call that a new leg belongs to, and whether it is so only because a leg in it named this one."""
        for name in (channel.other_leg, channel.call_uuid, channel.bond, channel.loopback):
            if name and name != channel.uuid:
                call = self.call_of(name) or self._call_of_early(name)
                if call is not None and self._same_tenant(call, channel):
                    return call, False
        named_by = self._refs.get(channel.uuid)
        if named_by is not None:
            call = self.call_of(named_by)
            if call is not None and self._same_tenant(call, channel):
                return call, True
        if channel.join:
            call = self.calls.get(channel.join)
            if call is not None and self._same_tenant(call, channel):
                return call, False
        return None, False

    def _call_of_early(self, uuid: str) -> Call | None:
        """The call of a leg that is still waiting for its details: a loopback's far half is created first, and names
        the near half, whose first events name the caller's leg."""
        for fact in self._early.get(uuid, ()):
            call = self.call_of(fact.channel.other_leg)
            if call is not None:
                return call
        return None

    def _same_tenant(self, call: Call, channel: Channel) -> bool:
        if not channel.tenant or channel.tenant == call.tenant_id:
            return True
        self._surprise("cross_tenant", call)
        return False

    def _begin(self, leg: Leg, channel: Channel) -> Call:
        call = Call(
            id=derived_id("call", at_us=leg.created_us, source=f"{self.node}/{leg.uuid}"),
            tenant_id=intern(channel.tenant) if channel.tenant else self.default_tenant,
            node=self.node,
            direction=leg.direction,
            caller=leg.caller,
            caller_name=leg.caller_name,
            destination=leg.destination,
            created_us=leg.created_us,
            legs=(leg,),
            request_id=channel.request_id,
        )
        known = self.calls.get(call.id)
        if known is not None:
            return self._join(known, leg, became_first=False)
        self.calls[call.id] = call
        self._home[leg.uuid] = call.id
        return call

    def _join(self, call: Call, leg: Leg, *, became_first: bool) -> Call:
        """Put a new leg into a call that lives."""
        first = call.legs[0]
        self._home[leg.uuid] = call.id
        if (
            became_first
            and leg.direction == "inbound"
            and first.direction == "outbound"
            and (leg.recovered or leg.created_us <= first.created_us)
        ):
            # We met the called leg before the caller's: the call is still the caller's.
            legs = (leg, *call.legs)
            call = replace(
                call,
                direction=leg.direction,
                caller=leg.caller,
                caller_name=leg.caller_name,
                destination=leg.destination,
            )
        else:
            legs = (*call.legs, leg)
        call = self.calls[call.id] = replace(call, legs=legs, state=call_state(legs))
        return call

    def _bridged_before_it_was_met(self, call: Call, leg: Leg) -> Leg:
        partner = next((one for one in call.legs if one.bridged_to == leg.uuid), None)
        if partner is None or partner.state == ENDED:
            return leg
        leg = replace(leg, bridged_to=partner.uuid, bridged_us=leg.bridged_us or partner.bridged_us)
        self._keep(call, leg)
        return leg

    def _wait_for_details(self, fact: LegFact) -> None:
        """Keep a fact of a leg whose tenant we cannot know yet; see `Channel.detailed`."""
        uuid = fact.channel.uuid
        waiting = self._early.get(uuid)
        if waiting is None:
            if len(self._early) >= EARLY_LEGS:
                del self._early[next(iter(self._early))]
                self.surprises["early_dropped"] += 1
            waiting = self._early[uuid] = []
        if len(waiting) < EARLY_FACTS:
            waiting.append(fact)

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
            self._remember_gone(leg.uuid)

    def _remember_gone(self, uuid: str) -> None:
        if len(self._gone) >= GONE_KEPT:
            oldest = next(iter(self._gone))
            del self._gone[oldest]
        self._gone[uuid] = None
        if self._names:
            for old in [old for old, new in self._names.items() if new == uuid]:
                del self._names[old]
                self._gone[old] = None

    # -- calls become one

    def _link(self, uuid: str, other: str, at_us: int) -> None:
        """``uuid`` named ``other``: they are one call. Remembers the name when it was never met."""
        if not other or other == uuid:
            return
        theirs = self.call_of(other)
        if theirs is not None:
            ours = self.call_of(uuid)
            if ours is not None and ours is not theirs:
                self._merge(ours, theirs, at_us)
        elif other not in self._gone:
            if len(self._refs) >= REFS_KEPT:
                del self._refs[next(iter(self._refs))]
            self._refs[other] = uuid

    def _merge(self, one: Call, two: Call, at_us: int) -> Call | None:
        """Make two live calls one; None (and nothing done) across tenants."""
        if one.tenant_id != two.tenant_id:
            self._surprise("cross_tenant", one)
            return None
        elder, younger = sorted((one, two), key=lambda call: (call.created_us, call.id))
        # The younger one is told first, already empty: at no moment is a leg in two calls.
        self._tell(
            "call.merged",
            replace(younger, state=ENDED, legs=(), ended_us=at_us, merged_into=elder.id, in_doubt=False),
            at_us,
            into=elder.id,
        )
        del self.calls[younger.id]
        legs = (*elder.legs, *younger.legs)
        for leg in younger.legs:
            self._home[leg.uuid] = elder.id
        elder = self.calls[elder.id] = replace(
            elder,
            legs=legs,
            state=call_state(legs),
            ringing_us=_earlier(elder.ringing_us, younger.ringing_us),
            answered_us=_earlier(elder.answered_us, younger.answered_us),
            conference=elder.conference or younger.conference,
            request_id=elder.request_id or younger.request_id,
            surprises=elder.surprises + younger.surprises,
        )
        for leg in younger.legs:
            elder = self._tell("call.leg_added", elder, at_us, leg=leg.uuid, from_call=younger.id)
        return elder

    def _living(self, uuid: str) -> Leg:
        """The leg of a live call that is known to be there."""
        leg = find_leg(self.calls[self._home[uuid]], uuid)
        if leg is None:
            raise AssertionError(f"the index places {uuid} in a call that does not have it")
        return leg

    def _adopt(self, calls: Iterable[Call]) -> None:
        for call in calls:
            if not call.live:
                for leg in call.legs:
                    self._remember_gone(leg.uuid)
                continue
            self.calls[call.id] = call
            for leg in call.legs:
                self._home[leg.uuid] = call.id


def find_leg(call: Call, uuid: str) -> Leg | None:
    """The leg of ``call`` with this id."""
    for leg in call.legs:
        if leg.uuid == uuid:
            return leg
    return None


def _earlier(one: int, two: int) -> int:
    """The earlier of two moments, of which 0 means never."""
    return min(one, two) if one and two else one or two
