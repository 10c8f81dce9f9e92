"""What ``conference`` does to members: mute, deaf, hold, kick, levels."""

from collections.abc import Callable

from freeswitch.simulator import conference
from freeswitch.simulator.api.room_lists import newest_first
from freeswitch.simulator.conference import Conference, Member

Verb = Callable[[Conference, list[str]], str]
BAD_ARGS = "-ERR Bad Args\n"


def each(act: Callable[[Member], str]) -> Verb:
    """Return a verb that acts on the members named: a number, ``all``, ``last``, ``non_moderator``."""

    def verb(room: Conference, rest: list[str]) -> str:
        if not rest:
            return BAD_ARGS
        who = rest[0].lower()
        members = newest_first(room)
        if who == "last":
            members = members[:1]
        elif who == "non_moderator":
            members = [member for member in members if not member.moderator]
        elif who != "all":
            number = int(who.partition("=")[2] or who) if (who.partition("=")[2] or who).isdigit() else -1
            found = room.members.get(number)
            if found is None:
                return f"-ERR Non-Existant ID {max(number, 0)}\n"
            members = [found]
        return "".join(act(member) for member in members)

    return verb


def _mute(member: Member) -> str:
    member.speak = False
    member.room.fire("mute-member", member)
    return f"+OK mute {member.number}\n"


def _unmute(member: Member) -> str:
    member.speak = True
    member.room.fire("unmute-member", member)
    return f"+OK unmute {member.number}\n"


def _tmute(member: Member) -> str:
    return _mute(member) if member.speak else _unmute(member)


def _deaf(member: Member) -> str:
    member.hear = False
    member.room.fire("deaf-member", member)
    return f"+OK deaf {member.number}\n"


def _undeaf(member: Member) -> str:
    member.hear = True
    member.room.fire("undeaf-member", member)
    return f"+OK undeaf {member.number}\n"


def _hold(member: Member) -> str:
    member.hold = True
    member.room.fire("hold-member", member)
    return f"+OK hold {member.number}\n"


def _unhold(member: Member) -> str:
    member.hold = False
    member.room.fire("unhold-member", member)
    return f"+OK unhold {member.number}\n"


def _kick(member: Member) -> str:
    member.room.fire("kick-member", member)
    member.leaving = member.kicked = True
    conference.wake(member)
    return f"+OK kicked {member.number}\n"


def _hup(member: Member) -> str:
    member.room.fire("hup-member", member)
    member.leaving = member.kicked = True
    conference.wake(member)
    return f"+OK hup {member.number}\n"


def _level(room: Conference, rest: list[str], attribute: str, action: str, words: str) -> str:
    if len(rest) < 2 or not rest[1].lstrip("-").isdigit():
        return BAD_ARGS
    value = int(rest[1])

    def act(member: Member) -> str:
        setattr(member, attribute, value)
        header = "Energy-Level" if attribute == "energy" else "Volume-Level"
        member.room.fire(action, member, [(header, str(value))])
        return f"{words} {member.number} = {value}\n"

    return each(act)(room, rest[:1])


def _dtmf(room: Conference, rest: list[str]) -> str:
    if len(rest) < 2:
        return BAD_ARGS

    def act(member: Member) -> str:
        member.room.fire("dtmf-member", member, [("Digits", rest[1])])
        return f"+OK sent {rest[1]} to {member.number}\n"

    return each(act)(room, rest[:1])


MEMBER_VERBS: dict[str, Verb] = {
    "mute": each(_mute),
    "unmute": each(_unmute),
    "tmute": each(_tmute),
    "deaf": each(_deaf),
    "undeaf": each(_undeaf),
    "hold": each(_hold),
    "unhold": each(_unhold),
    "kick": each(_kick),
    "hup": each(_hup),
    "volume_in": lambda room, rest: _level(room, rest, "volume_in", "volume-in-member", "+OK Volume IN"),
    "volume_out": lambda room, rest: _level(room, rest, "volume_out", "volume-out-member", "+OK Volume OUT"),
    "energy": lambda room, rest: _level(room, rest, "energy", "energy-level-member", "Energy"),
    "dtmf": _dtmf,
}
