"""Conferences of a switch: who is in which meeting. Plain values and the functions that change them.

A conference exists for us while it has members. FreeSWITCH gives every meeting its own id, so two meetings under
one name, one after the other, are two conferences; an event without that id falls back to the name.
"""

from msgspec import Struct
from msgspec.structs import replace


class Member(Struct, frozen=True):
    """One leg in a conference. ``id`` is the number the switch gave it there."""

    leg: str
    id: str
    joined_us: int
    """0 when an heir knows the member from its record only."""
    muted: bool = False


class Conference(Struct, frozen=True):
    """One meeting. ``name`` is what commands address, ``instance`` the switch's id of this meeting."""

    name: str
    instance: str
    created_us: int
    members: tuple[Member, ...] = ()

    def member(self, leg_uuid: str) -> Member | None:
        """The membership of a leg, None when it is not in."""
        return next((one for one in self.members if one.leg == leg_uuid), None)


def joined(conference: Conference, member: Member) -> Conference:
    """The conference with ``member`` in it; one leg is a member once, under its newest number."""
    others = tuple(one for one in conference.members if one.leg != member.leg)
    return replace(conference, members=(*others, member))


def left(conference: Conference, leg_uuid: str) -> Conference:
    """The conference without this leg."""
    return replace(conference, members=tuple(one for one in conference.members if one.leg != leg_uuid))


def muted(conference: Conference, leg_uuid: str, is_muted: bool) -> Conference:
    """The conference with one member muted or not."""
    return replace(
        conference,
        members=tuple(
            replace(one, muted=is_muted) if one.leg == leg_uuid else one for one in conference.members
        ),
    )


def renamed(conference: Conference, old: str, new: str) -> Conference:
    """The conference after the switch gave a member's channel another id."""
    return replace(
        conference,
        members=tuple(replace(one, leg=new) if one.leg == old else one for one in conference.members),
    )
