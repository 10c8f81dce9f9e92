"""``conference``: listings and orders for a room and its members."""

from freeswitch.simulator import apps_media, codec, conference, originate, transfer
from freeswitch.simulator.api import Call, command
from freeswitch.simulator.api.members import BAD_ARGS, MEMBER_VERBS, Verb, each
from freeswitch.simulator.api.room_lists import as_text, as_xml, cjson, room_json
from freeswitch.simulator.conference import Conference, Member
from freeswitch.simulator.timing import Thread


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
        return cjson([room_json(room) for room in rooms]) if rooms else "[]"
    if verb == "xml_list":
        return '<?xml version="1.0"?>\n<conferences>' + "".join(map(as_xml, rooms)) + "</conferences>\n"
    if not rooms:
        return "+OK No active conferences.\n"
    return "".join(
        f"+OK Conference {room.name} ({len(room.members)} member{'' if len(room.members) == 1 else 's'} rate: 8000)\n"
        + as_text(room, [])
        for room in rooms
    )


def _record(room: Conference, rest: list[str]) -> str:
    if not rest:
        return BAD_ARGS
    room.switch.threads.after(0.02, room.start_recording, rest[0])
    return f"+OK Record file {rest[0]}\n"


def _norecord(room: Conference, rest: list[str]) -> str:
    if not rest:
        return BAD_ARGS
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
    return BAD_ARGS


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
        return BAD_ARGS
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

    return each(act)(room, rest)


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
        return BAD_ARGS
    if rest[0] != "max_members" or not rest[1].isdigit():
        return "-ERR unknown parameter\n"
    before, room.max_members = room.max_members, int(rest[1])
    return str(before)


def _relate(room: Conference, rest: list[str]) -> str:
    if len(rest) < 3:
        return BAD_ARGS
    return f"+OK {rest[0]}->{rest[1]} {rest[2]} {'cleared' if rest[2] == 'clear' else 'set'}\n"


def _transfer(room: Conference, rest: list[str]) -> str:
    if len(rest) < 2:
        return BAD_ARGS
    text = ""
    for word in rest[1:]:
        member = room.members.get(int(word)) if word.isdigit() else None
        if member is None:
            return f"{text}No Member {word} in conference {room.name}.\n"
        channel = member.channel
        codec.read_as_agreed(channel)
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
        # The usage of another verb comes with it: FreeSWITCH looks it up at the wrong place.
        return BAD_ARGS + "moh <file_path>|toggle|[on|off]"
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


_VERBS: dict[str, Verb] = {
    **MEMBER_VERBS,
    "list": as_text,
    "count": lambda room, rest: str(len(room.members)),
    "json_list": lambda room, rest: cjson([room_json(room)]),
    "xml_list": lambda room, rest: f'<?xml version="1.0"?>\n<conferences>{as_xml(room)}</conferences>\n',
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
