"""What conferences do to calls: members of one meeting (and one tenant) are one call.

Told per tenant: `conference.created` when its first member joins, `joined`, `muted`, `unmuted`, `left`, and
`conference.ended` when its last member has left. Each carries the member's call, and in ``data`` the conference's
name (what commands address), the switch's id of the meeting, the leg and its member number.
"""

from msgspec.structs import replace

from core.model import conferences, recordings
from core.model import legs as rules
from core.model.book import find_leg
from core.model.conferences import Conference, Member
from core.model.facts import (
    ConferenceEnded,
    ConferenceFact,
    ConferenceJoined,
    ConferenceLeft,
    ConferenceMuted,
    ConferenceRecordingStarted,
    ConferenceRecordingStopped,
)
from core.model.grouping import Grouping
from core.model.machine import ENDED, MARK_CONFERENCE
from core.model.records import Call, Leg, Recording

_OUTSIDE = {"conference": "", "conference_id": "", "conference_member": ""}


class Meetings(Grouping):
    """The part of a switchboard that knows conferences."""

    def _conference_joined(self, fact: ConferenceJoined) -> None:
        leg = self._member(fact)
        if leg is None:
            return
        self._learn_instance(fact)
        conference = self.conferences.get(fact.instance) or Conference(
            name=fact.conference, instance=fact.instance, created_us=fact.at_us
        )
        call = self.calls[self._home[leg.uuid]]
        fellow = self._fellow(conference, call.tenant_id, leg.uuid)
        if fellow is not None and fellow.id != call.id:
            self._merge(fellow, call, fact.at_us)
        member = Member(leg=leg.uuid, id=fact.member, joined_us=fact.at_us)
        self.conferences[fact.instance] = conferences.joined(conference, member)
        leg = replace(
            leg, conference=fact.conference, conference_id=fact.instance, conference_member=fact.member
        )
        call = self._keep(self.calls[self._home[leg.uuid]], self._noted(leg, fact))
        if call.conference != fact.conference:
            call = replace(call, conference=fact.conference)
        names = {"conference": fact.conference, "instance": fact.instance}
        if fellow is None:
            call = self._tell("conference.created", call, fact.at_us, **names)
        self._tell("conference.joined", call, fact.at_us, leg=leg.uuid, member=fact.member, **names)

    def _conference_left(self, fact: ConferenceLeft) -> None:
        leg = self._member(fact)
        if leg is None:
            return
        call = self._keep(self.calls[self._home[leg.uuid]], self._noted(leg, fact))
        self._leave(call, leg.uuid, fact.instance, fact.at_us)

    def _conference_muted(self, fact: ConferenceMuted) -> None:
        leg = self._member(fact)
        if leg is None:
            return
        conference = self.conferences.get(fact.instance)
        if conference is not None:
            self.conferences[fact.instance] = conferences.muted(conference, leg.uuid, fact.muted)
        told = leg.muted != fact.muted
        leg = self._noted(replace(leg, muted=fact.muted), fact)
        call = self._keep(self.calls[self._home[leg.uuid]], leg)
        if told:
            self._tell(
                "conference.muted" if fact.muted else "conference.unmuted",
                call,
                fact.at_us,
                leg=leg.uuid,
                member=fact.member,
                conference=fact.conference,
                instance=fact.instance,
            )

    def _conference_ended(self, fact: ConferenceEnded) -> None:
        """The switch closed the meeting: whoever we still believe in it has left."""
        conference = self.conferences.get(fact.instance)
        if conference is None:
            return
        for member in conference.members:
            call = self.call_of(member.leg)
            if call is not None:
                self._leave(call, member.leg, fact.instance, fact.at_us)
        self.conferences.pop(fact.instance, None)

    def _conference_recording_started(self, fact: ConferenceRecordingStarted) -> None:
        leg = self._keeper(fact.instance)
        if leg is None:
            self._surprise("conference_recording_without_members")
            return
        call = self.calls[self._home[leg.uuid]]
        if recordings.knows_start(call, fact.path, fact.at_us, fact.conference) or recordings.find_open(
            call, leg.uuid, fact.path, at_us=fact.at_us, conference=fact.conference
        ):
            return
        recording = Recording(leg="", path=fact.path, started_us=fact.at_us, conference=fact.conference)
        grown = recordings.started(leg, recording)
        if grown is None:
            return
        call = self._keep(call, grown)
        if len(grown.recordings) > len(leg.recordings):
            self._tell("call.recording_started", call, fact.at_us, path=fact.path, conference=fact.conference)

    def _conference_recording_stopped(self, fact: ConferenceRecordingStopped) -> None:
        for call in list(self.calls.values()) if fact.conference else ():
            if call.conference != fact.conference:
                continue
            if recordings.knows_stop(call, fact.path, fact.at_us, fact.conference):
                return
            found = recordings.find_open(call, "", fact.path, at_us=fact.at_us, conference=fact.conference)
            if found is None:
                continue
            leg, at = found
            leg = recordings.stopped(
                leg, at, stopped_us=fact.at_us, samples=fact.samples, size=fact.size, cause=""
            )
            call = self._keep(call, leg)
            self._tell("call.recording_stopped", call, fact.at_us, path=fact.path, conference=fact.conference)
            return

    # -- helpers

    def _adopt_members(self) -> None:
        """Know the meetings again from the records of their members."""
        for call in self.calls.values():
            for leg in call.legs:
                if leg.conference_id and leg.state != ENDED:
                    conference = self.conferences.get(leg.conference_id) or Conference(
                        name=leg.conference, instance=leg.conference_id, created_us=0
                    )
                    member = Member(leg=leg.uuid, id=leg.conference_member, joined_us=0, muted=leg.muted)
                    self.conferences[leg.conference_id] = conferences.joined(conference, member)

    def _member(self, fact: ConferenceFact) -> Leg | None:
        """The living leg that a conference fact is about, None when the fact is old news."""
        leg = self.leg_of(fact.channel.uuid)
        if leg is None or leg.state == ENDED:
            return None
        return leg if rules.is_news(leg, MARK_CONFERENCE, at_us=fact.at_us, seq=fact.seq) else None

    def _noted(self, leg: Leg, fact: ConferenceFact) -> Leg:
        return replace(leg, **rules.marked(leg, MARK_CONFERENCE, fact.seq))

    def _learn_instance(self, fact: ConferenceFact) -> None:
        """A meeting whose members were described to us is known by its name only, until an event tells its id."""
        named = self.conferences.get(fact.conference)
        if named is None or fact.instance == fact.conference or fact.instance in self.conferences:
            return
        del self.conferences[fact.conference]
        self.conferences[fact.instance] = replace(named, instance=fact.instance)
        for member in named.members:
            leg = self.leg_of(member.leg)
            if leg is not None and leg.state != ENDED:
                self._keep(self.calls[self._home[leg.uuid]], replace(leg, conference_id=fact.instance))

    def _fellow(self, conference: Conference, tenant_id: str, but: str) -> Call | None:
        """The call of the members of this tenant, None when there are none but the named leg."""
        for member in conference.members:
            call = self.call_of(member.leg) if member.leg != but else None
            if call is not None and call.tenant_id == tenant_id:
                return call
        return None

    def _keeper(self, instance: str) -> Leg | None:
        """The member that keeps the record of a conference's recordings: the first that is still there."""
        conference = self.conferences.get(instance)
        for member in conference.members if conference else ():
            leg = self.leg_of(member.leg)
            if leg is not None and leg.state != ENDED:
                return leg
        return None

    def _leave(self, call: Call, leg_uuid: str, instance: str, at_us: int) -> Call:
        """Take a leg out of a meeting and tell it; nothing when it is not in."""
        leg = find_leg(call, leg_uuid)
        conference = self.conferences.get(instance)
        member = conference.member(leg_uuid) if conference else None
        if member is None and leg is not None and leg.conference_id in self.conferences:
            # A leg that was described to us (`LegDescribed`) named its conference only.
            instance = leg.conference_id
            conference = self.conferences[instance]
            member = conference.member(leg_uuid)
        if conference is None or member is None:
            if leg is not None and leg.conference and leg.state != ENDED:
                # We came late and never saw it join.
                call = self._keep(call, replace(leg, **_OUTSIDE))
            return call
        conference = conferences.left(conference, leg_uuid)
        if conference.members:
            self.conferences[instance] = conference
        else:
            del self.conferences[instance]
        if leg is not None and leg.state != ENDED:
            call = self._keep(call, replace(leg, **_OUTSIDE))
        names = {"conference": conference.name, "instance": instance}
        call = self._tell("conference.left", call, at_us, leg=leg_uuid, member=member.id, **names)
        if self._fellow(conference, call.tenant_id, leg_uuid) is None:
            call = self._tell("conference.ended", call, at_us, **names)
        return call

    def _leave_all(self, call: Call, leg_uuid: str, at_us: int) -> Call:
        """A leg ended without leaving first."""
        for conference in [one for one in self.conferences.values() if one.member(leg_uuid)]:
            call = self._leave(call, leg_uuid, conference.instance, at_us)
        return call
