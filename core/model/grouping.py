"""Which legs are one call: meeting them, joining, merging and renaming them.

Which call a leg belongs to is settled when the leg is met: the call of a leg that it names (other leg, call uuid,
bond, loopback half), the call of a leg that named *it* before it was met, or the call it was made for
(``irisx_call``); else it begins a call of its own. Later proof that two calls are one (a bridge, a conference, a
new other leg) merges them: the older one lives on. A call never crosses tenants, and never splits: legs of one call
that part have still been one conversation.
"""

from collections.abc import Iterable
from sys import intern

from msgspec.structs import replace

from core.ids import derived_id
from core.model import conferences
from core.model import legs as rules
from core.model.book import Book
from core.model.facts import Channel, LegFact, LegRenamed, LegReplaced
from core.model.machine import ENDED, call_state
from core.model.records import Call, Leg

REFS_KEPT = 10_000
"""Legs that were named before they were met. Nearly all are met within milliseconds."""
EARLY_LEGS = 4_096
EARLY_FACTS = 8
"""Facts that wait for the first event with variables: CHANNEL_OUTGOING and a call state or two for each leg."""


class Grouping(Book):
    """The part of a switchboard that puts legs into calls."""

    def __init__(self, node: str, default_tenant: str) -> None:
        super().__init__(node, default_tenant)
        self._refs: dict[str, str] = {}
        """Legs that were named and not met yet, with the leg that named them."""
        self._early: dict[str, list[LegFact]] = {}
        """Facts of legs whose tenant we cannot know yet."""

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
        """The call that a new leg belongs to, and whether a leg in it named this one before it was met."""
        named_by = self._refs.get(channel.uuid, "")
        for name in (channel.other_leg, channel.call_uuid, channel.bond, channel.loopback, named_by):
            if name and name != channel.uuid:
                call = self.call_of(name) or self._call_of_early(name)
                if call is not None and self._same_tenant(call, channel):
                    # The halves of a loopback name each other, and that says nothing about who called.
                    return call, self.call_of(named_by) is call and named_by != channel.loopback
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
            # An agent who dials calls the switch first, but it is somebody outside who is called.
            direction="outbound" if channel.dialled else leg.direction,
            caller=leg.caller,
            caller_name=leg.caller_name,
            destination=channel.dialled or leg.destination,
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

    # -- legs change their names

    def _renamed(self, fact: LegRenamed) -> None:
        """The switch gave a channel another id: its record goes on under the new one."""
        old, new = fact.old, fact.channel.uuid
        home = self._home.get(old)
        if home is None or old == new or not new:
            return
        if new in self._home:
            # Facts under the new id came first and were taken for another leg.
            self._absorb(old, new, fact.at_us)
            home = self._home[old]
        call = self.calls[home]
        legs = tuple(_with_names_changed(leg, old, new) for leg in call.legs)
        self.calls[home] = replace(call, legs=legs)
        del self._home[old]
        self._home[new] = home
        self._names.pop(new, None)
        self._names[old] = new
        for conference in list(self.conferences.values()):
            if conference.member(old):
                self.conferences[conference.instance] = conferences.renamed(conference, old, new)

    def _absorb(self, old: str, new: str, at_us: int) -> None:
        """Join the record of ``new``, which was begun too early, to that of ``old``, which is the same leg."""
        self._surprise("renamed_late")
        ours, theirs = self.calls[self._home[old]], self.calls[self._home[new]]
        if ours is not theirs and self._merge(ours, theirs, at_us) is None:
            return
        call = self.calls[self._home[old]]
        double = self._living(new)
        leg = self._living(old)
        leg = replace(
            leg,
            digits=leg.digits + double.digits,
            recordings=(*leg.recordings, *double.recordings),
            bridged_to=leg.bridged_to or double.bridged_to,
            conference=leg.conference or double.conference,
            conference_id=leg.conference_id or double.conference_id,
            conference_member=leg.conference_member or double.conference_member,
        )
        legs = tuple(one for one in call.legs if one.uuid != new)
        self.calls[call.id] = replace(call, legs=legs)
        del self._home[new]
        self._keep(self.calls[call.id], leg)

    def _replaced(self, fact: LegReplaced) -> None:
        """A loopback pair steps aside: who stays belongs to the call of who leaves."""
        for leaving in (fact.leaves, fact.peer):
            if self.call_of(leaving) is not None:
                self._link(self._names.get(leaving, leaving), fact.stays, fact.at_us)

    def _adopt(self, calls: Iterable[Call]) -> None:
        for call in calls:
            if not call.live:
                for leg in call.legs:
                    self._remember_gone(leg)
                continue
            # A leg is in one call, whatever the store says: two would never agree on its end.
            legs = tuple(leg for leg in call.legs if leg.uuid not in self._home)
            if any(leg.state != ENDED for leg in legs):
                self.calls[call.id] = call if len(legs) == len(call.legs) else replace(call, legs=legs)
                for leg in legs:
                    self._home[leg.uuid] = call.id
        for call in list(self.calls.values()):
            for leg in call.legs:
                for name in (leg.other_leg, leg.bridged_to):
                    if name and name not in self._home and name not in self._gone:
                        self._refs[name] = leg.uuid


def _earlier(one: int, two: int) -> int:
    """The earlier of two moments, of which 0 means never."""
    return min(one, two) if one and two else one or two


def _with_names_changed(leg: Leg, old: str, new: str) -> Leg:
    """The leg with every mention of ``old`` turned into ``new``."""
    fields: dict[str, object] = {}
    if leg.uuid == old:
        fields["uuid"] = new
        fields["recordings"] = tuple(
            replace(one, leg=new) if one.leg == old else one for one in leg.recordings
        )
    if leg.bridged_to == old:
        fields["bridged_to"] = new
    if leg.other_leg == old:
        fields["other_leg"] = new
    return replace(leg, **fields) if fields else leg
