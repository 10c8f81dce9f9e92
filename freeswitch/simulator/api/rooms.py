"""``conference``: listings and orders for a room and its members."""

from collections.abc import Callable

from freeswitch.simulator import apps_media, conference, originate, transfer
from freeswitch.simulator import origins as at
from freeswitch.simulator.api import Call, command
from freeswitch.simulator.conference import Conference, Member
from freeswitch.simulator.people import codec_write_headers
from freeswitch.simulator.timing import Thread

Json = str | int | bool | dict[str, "Json"] | list["Json"]


@command("conference")
def conference_command(call: Call) -> "str | Thread":
    words = call.words()
    rooms = call.switch.conferences
    if not words:
        return "".join(f"<conf name> {verb} \n" for verb in _VERBS)
    if words[0] in ("list", "json_list", "xml_list", "help"):
        return _all_rooms(call, words[0])
    name, verb, rest = words[0], words[1].lower() if len(words) > 1 else "", words[2:]
    room = rooms.get(name)
    if verb in ("dial", "bgdial"):
        return _dial(call, name, rest, background=verb == "bgdial")
    if room is None:
        return f"-ERR Conference {name} not found\n"
    known = _VERBS.get(verb)
    if known is None:
        return f"Conference command '{verb}' not found.\n"
    return known(room, rest)


def _all_rooms(call: Call, verb: str) -> str:
    rooms = call.switch.conferences.values()
    if verb == "help":
        return "".join(f"\t\t{name}\n" for name in _VERBS)
    if verb == "json_list":
        return _cjson([_room_json(room) for room in rooms]) if rooms else "[]"
    if verb == "xml_list":
        return '<?xml version="1.0"?>\n<conferences>' + "".join(map(_xml, rooms)) + "</conferences>\n"
    if not rooms:
        return "+OK No active conferences.\n"
    return "".join(
        f"+OK Conference {room.name} ({len(room.members)} member{'' if len(room.members) == 1 else 's'} rate: 8000)\n"
        + _list(room, [])
        for room in rooms
    )


def _flags(member: Member) -> str:
    words = [word for word, on in (("hear", member.hear), ("speak", member.speak)) if on]
    if member.hold:
        words.append("hold")
    if member is member.room.floor:
        words.append("floor")
    if member.moderator:
        words.append("moderator")
    return "|".join(words)


def _newest_first(room: Conference) -> list[Member]:
    return [room.members[number] for number in sorted(room.members, reverse=True)]


def _list(room: Conference, rest: list[str]) -> str:
    if rest and rest[0] == "count":
        return str(len(room.members))
    delimiter = rest[1] if len(rest) > 1 and rest[0] == "delim" else ";"
    lines = ""
    for member in _newest_first(room):
        profile = member.channel.profile
        cells = (
            str(member.number),
            member.channel.name,
            member.channel.uuid,
            profile.caller_id_name if profile else "",
            profile.caller_id_number if profile else "",
            _flags(member),
            str(member.volume_in),
            str(member.volume_out),
            str(member.energy),
        )
        lines += delimiter.join(cells) + "\n"
    return lines


def _room_json(room: Conference) -> Json:
    run = int(room.switch.monotonic() - room.began)
    members: list[Json] = [_member_json(member) for member in _newest_first(room)]
    return {
        "conference_name": room.name, "member_count": len(room.members), "ghost_count": 0, "rate": 8000,
        "run_time": run, "conference_uuid": room.uuid, "canvas_count": 0, "max_bw_in": 0, "force_bw_in": 0,
        "video_floor_packets": 0, "locked": room.locked, "destruct": False, "wait_mod": False,
        "audio_always": False, "running": True, "answered": True, "enforce_min": True, "bridge_to": False,
        "dynamic": True, "exit_sound": True, "enter_sound": True, "recording": bool(room.recordings),
        "video_bridge": False, "video_floor_only": False, "video_rfc4579": False, "variables": {},
        "members": members,
    }  # fmt: skip


def _member_json(member: Member) -> Json:
    profile = member.channel.profile
    return {
        "type": "caller",
        "id": member.number,
        "flags": {
            "can_hear": member.hear, "can_see": True, "can_speak": member.speak, "hold": member.hold,
            "mute_detect": False, "talking": member.talking, "has_video": False, "video_bridge": False,
            "has_floor": member is member.room.floor, "is_moderator": member.moderator, "end_conference": False,
            "mandatory_member_end_conference": False, "pass_digits": False,
        },
        "uuid": member.channel.uuid,
        "caller_id_name": profile.caller_id_name if profile else "",
        "caller_id_number": profile.caller_id_number if profile else "",
        "join_time": int(member.channel.switch.monotonic() - member.joined),
        "last_talking": 0,
        "energy": member.energy,
        "volume_in": member.volume_in,
        "volume_out": member.volume_out,
        "output-volume": member.volume_out,
        "input-volume": member.volume_in,
    }  # fmt: skip


def _cjson(value: Json, depth: int = 0) -> str:
    """Return ``value`` as cJSON prints it: tabs after colons, one member a line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ", ".join(_cjson(one, depth + 1) for one in value) + "]"
    inner = "\t" * (depth + 1)
    lines = [f'{inner}"{name}":\t{_cjson(one, depth + 1)}' for name, one in value.items()]
    return "{\n" + (",\n".join(lines) + "\n" if lines else "") + "\t" * depth + "}"


def _xml(room: Conference) -> str:
    members = "".join(
        f'    <member type="caller"><id>{member.number}</id><uuid>{member.channel.uuid}</uuid></member>\n'
        for member in _newest_first(room)
    )
    return (
        f'\n <conference name="{room.name}" member-count="{len(room.members)}" uuid="{room.uuid}">\n'
        f"  <members>\n{members}  </members>\n </conference>\n"
    )


# -- members -----------------------------------------------------------------------------------------


def _each(act: Callable[[Member], str]) -> Callable[[Conference, list[str]], str]:
    """Return a verb that acts on the members named: a number, ``all``, ``last``, ``non_moderator``."""

    def verb(room: Conference, rest: list[str]) -> str:
        if not rest:
            return "-ERR Bad Args\n"
        who = rest[0].lower()
        members = _newest_first(room)
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
        return "-ERR Bad Args\n"
    value = int(rest[1])

    def act(member: Member) -> str:
        setattr(member, attribute, value)
        header = "Energy-Level" if attribute == "energy" else "Volume-Level"
        member.room.fire(action, member, [(header, str(value))])
        return f"{words} {member.number} = {value}\n"

    return _each(act)(room, rest[:1])


def _dtmf(room: Conference, rest: list[str]) -> str:
    if len(rest) < 2:
        return "-ERR Bad Args\n"

    def act(member: Member) -> str:
        member.room.fire("dtmf-member", member, [("Digits", rest[1])])
        return f"+OK sent {rest[1]} to {member.number}\n"

    return _each(act)(room, rest[:1])


# -- the room ----------------------------------------------------------------------------------------


def _record(room: Conference, rest: list[str]) -> str:
    if not rest:
        return "-ERR Bad Args\n"
    room.switch.threads.after(0.02, room.start_recording, rest[0])
    return f"+OK Record file {rest[0]}\n"


def _norecord(room: Conference, rest: list[str]) -> str:
    if not rest:
        return "-ERR Bad Args\n"
    wanted = (
        list(room.recordings) if rest[0] == "all" else [path for path in room.recordings if path == rest[0]]
    )
    text = "".join(f"Stopped recording file {path}\n" for path in wanted)
    for path in wanted:
        room.switch.threads.after(0.0, room.stop_recording, path)
    # FreeSWITCH says 0 files here however many there were.
    return f"{text}+OK Stopped recording 0 files\n"


def _recording(room: Conference, rest: list[str]) -> str:
    if rest[:1] == ["check"]:
        return (
            "".join(f"+OK Record file {path}\n" for path in room.recordings)
            or "-ERR Conference is not recording\n"
        )
    if rest[:1] == ["start"] and len(rest) > 1:
        return _record(room, rest[1:])
    if rest[:1] == ["stop"] and len(rest) > 1:
        return _norecord(room, rest[1:])
    return "-ERR Bad Args\n"


def _lock(room: Conference, rest: list[str]) -> str:
    room.locked = True
    room.fire("lock")
    return f"+OK {room.name} locked\n"


def _unlock(room: Conference, rest: list[str]) -> str:
    room.locked = False
    room.fire("unlock")
    return f"+OK {room.name} unlocked\n"


def _play(room: Conference, rest: list[str]) -> str:
    if not rest:
        return "-ERR Bad Args\n"
    length = apps_media.length_s(rest[0])
    if length is None:
        return f"(play) File: {rest[0]} not found.\n"
    room.fire("play-file", more=[("File", rest[0]), ("Async", "false")])
    if length != float("inf"):
        done = [
            ("seconds", str(int(length))),
            ("milliseconds", str(round(length * 1000))),
            ("samples", str(round(length * 8000))),
        ]
        room.switch.threads.after(length, _played, room, rest[0], done)
    return f"+OK (play) Playing file {rest[0]}\n"


def _played(room: Conference, path: str, done: list[tuple[str, str]]) -> None:
    if room.members:
        room.fire_plain("play-file-done", [*done, ("Action", "play-file-done"), ("File", path)])


def _stop(room: Conference, rest: list[str]) -> str:
    return "+OK Stopped 0 files.\n"


def _floor(room: Conference, rest: list[str]) -> str:
    def act(member: Member) -> str:
        if room.floor is member:
            room.give_floor(None)
            room.switch.threads.after(0.02, room.choose_floor)
            return "+OK floor none\n"
        room.give_floor(member)
        return f"+OK floor {member.number}\n"

    return _each(act)(room, rest)


def _get(room: Conference, rest: list[str]) -> str:
    values = {
        "run_time": str(int(room.switch.monotonic() - room.began)),
        "count": str(len(room.members)),
        "max_members": str(room.max_members),
        "rate": "8000",
        "profile_name": room.profile,
        "sound_prefix": "",
        "caller_id_name": "SIP",
        "uuid": room.uuid,
    }
    return values.get(rest[0] if rest else "", "-ERR unknown parameter\n")


def _set(room: Conference, rest: list[str]) -> str:
    if len(rest) < 2:
        return "-ERR Bad Args\n"
    if rest[0] != "max_members" or not rest[1].isdigit():
        return "-ERR unknown parameter\n"
    before, room.max_members = room.max_members, int(rest[1])
    return str(before)


def _relate(room: Conference, rest: list[str]) -> str:
    if len(rest) < 3:
        return "-ERR Bad Args\n"
    return f"+OK {rest[0]}->{rest[1]} {rest[2]} {'cleared' if rest[2] == 'clear' else 'set'}\n"


def _transfer(room: Conference, rest: list[str]) -> str:
    if len(rest) < 2:
        return "-ERR Bad Args\n"
    text = ""
    for word in rest[1:]:
        member = room.members.get(int(word)) if word.isdigit() else None
        if member is None:
            return f"{text}No Member {word} in conference {room.name}.\n"
        channel = member.channel
        channel.fire(at.CODEC_WRITE, after=codec_write_headers(channel.codec or "PCMU"))
        channel.flags.add("conference-transfer")
        if room.floor is member:
            room.give_floor(None)
        transfer.go(channel, f"conference:{rest[0]}@{room.profile}", "inline")
        member.leaving = True
        room.fire("transfer", member, [("Old-Conference-Name", room.name), ("New-Conference-Name", rest[0])])
        conference.wake(member)
        text += f"+OK Member '{word}' sent to conference {rest[0]}.\n"
    return text


def _dial(call: Call, name: str, rest: list[str], *, background: bool) -> "str | Thread":
    if not rest:
        return "-ERR Bad Args\n"
    if background:
        job = call.switch.new_uuid()
        call.switch.threads.spawn(_dial_in(call, name, rest), delay=0.02)
        return f"+OK Job-UUID: {job}\n"
    return _dial_in(call, name, rest)


def _dial_in(call: Call, name: str, rest: list[str]) -> Thread:
    number = rest[1] if len(rest) > 1 else ""
    caller = rest[2] if len(rest) > 2 else ""
    leg, cause = yield from originate.call(call.switch, rest[0], name=caller, number=number)
    if leg is None:
        return f"Call Requested: result: [{cause}]\n"
    originate.send_to(leg, f"&conference({name})", "", "")
    return "Call Requested: result: [SUCCESS]\n"


_VERBS: dict[str, Callable[[Conference, list[str]], str]] = {
    "list": _list,
    "count": lambda room, rest: str(len(room.members)),
    "json_list": lambda room, rest: _cjson([_room_json(room)]),
    "xml_list": lambda room, rest: f'<?xml version="1.0"?>\n<conferences>{_xml(room)}</conferences>\n',
    "mute": _each(_mute),
    "unmute": _each(_unmute),
    "tmute": _each(_tmute),
    "deaf": _each(_deaf),
    "undeaf": _each(_undeaf),
    "hold": _each(_hold),
    "unhold": _each(_unhold),
    "kick": _each(_kick),
    "hup": _each(_hup),
    "volume_in": lambda room, rest: _level(room, rest, "volume_in", "volume-in-member", "+OK Volume IN"),
    "volume_out": lambda room, rest: _level(room, rest, "volume_out", "volume-out-member", "+OK Volume OUT"),
    "energy": lambda room, rest: _level(room, rest, "energy", "energy-level-member", "Energy"),
    "dtmf": _dtmf,
    "record": _record,
    "norecord": _norecord,
    "recording": _recording,
    "lock": _lock,
    "unlock": _unlock,
    "play": _play,
    "stop": _stop,
    "floor": _floor,
    "get": _get,
    "set": _set,
    "relate": _relate,
    "transfer": _transfer,
}
