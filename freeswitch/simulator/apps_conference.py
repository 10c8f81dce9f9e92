"""The application ``conference``: coming into a room, being there, leaving it."""

import re

from freeswitch.simulator import codec, executing
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.conference import Conference, Member
from freeswitch.simulator.executing import app
from freeswitch.simulator.timing import Thread

_DATA = re.compile(r"(?P<name>[^@+]+)(?:@(?P<profile>[^+]+))?(?P<rest>\+.*)?$")


@app("conference", media=True)
def conference(channel: Channel, data: str) -> Thread:
    """Join ``name[@profile][+pin][+flags{mute|deaf|moderator}]`` until kicked or hung up."""
    found = _DATA.match(data.removeprefix("bridge:"))
    if found is None:
        return
    switch = channel.switch
    name, profile = found["name"], found["profile"] or "default"
    room = switch.conferences.get(name)
    if room is not None and room.locked:
        channel.hang_up("CALL_REJECTED")
        return
    channel.set("conference_name", name)
    if room is None:
        room = Conference(switch, name, profile)
    switch.next_member += 1
    # A leg that comes from another room keeps its number.
    kept = channel.get("conference_member_id") if "conference-transfer" in channel.flags else None
    channel.flags.discard("conference-transfer")
    member = Member(room, channel, int(kept) if kept else switch.next_member)
    flags = found["rest"] or ""
    member.speak = "mute" not in flags
    member.hear = "deaf" not in flags
    member.moderator = "moderator" in flags
    channel.set("app_session_uuid", room.uuid)
    codec.read_as(channel, "L16")
    channel.set("conference_member_id", str(member.number))
    channel.set("conference_moderator", "true" if member.moderator else "false")
    channel.set("conference_ghost", "false")
    channel.set("conference_uuid", room.uuid)
    number = channel.profile.caller_id_number if channel.profile else ""
    channel.set("conference_call_key", f"conference_{name}_{room.domain}_{number}")
    room.members[member.number] = member
    channel.conference = member
    room.fire("add-member", member)
    room.presence()
    yield from _stay(channel, member)
    _leave(channel, member)


def _stay(channel: Channel, member: Member) -> Thread:
    def heard(key: str) -> bool:
        member.room.fire("dtmf", member, [("DTMF-Key", key), ("Data", key)])
        return False

    while channel.ready and not member.leaving:
        channel.broken = False
        yield from executing.pause(channel, None, on_digit=heard)
        if member.leaving:
            return


def _leave(channel: Channel, member: Member) -> None:
    room = member.room
    if room.floor is member:
        room.give_floor(None)
    del room.members[member.number]
    channel.conference = None
    channel.set("conference_call_key", None)
    room.presence()
    room.fire("del-member", member)
    if "conference-transfer" not in channel.flags:
        codec.read_as_agreed(channel)
    if room.members:
        room.switch.threads.after(0.02, room.choose_floor)
    else:
        room.switch.threads.after(0.02, _close_if_empty, room)


def _close_if_empty(room: Conference) -> None:
    if not room.members:
        room.end()
