"""What ``conference`` lists: rooms and members as text, json and xml."""

from freeswitch.simulator.conference import Conference, Member

Json = str | int | bool | dict[str, "Json"] | list["Json"]


def _flags(member: Member) -> str:
    words = [word for word, on in (("hear", member.hear), ("speak", member.speak)) if on]
    if member.hold:
        words.append("hold")
    if member is member.room.floor:
        words.append("floor")
    if member.moderator:
        words.append("moderator")
    return "|".join(words)


def newest_first(room: Conference) -> list[Member]:
    """Return the members as FreeSWITCH lists them."""
    return [room.members[number] for number in sorted(room.members, reverse=True)]


def as_text(room: Conference, rest: list[str]) -> str:
    """Return ``list [count|delim X]`` of one room."""
    if rest and rest[0] == "count":
        return str(len(room.members))
    delimiter = rest[1] if len(rest) > 1 and rest[0] == "delim" else ";"
    lines = ""
    for member in newest_first(room):
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


def room_json(room: Conference) -> Json:
    """Return a room and its members as ``json_list`` shows them."""
    run = int(room.switch.monotonic() - room.began)
    members: list[Json] = [_member_json(member) for member in newest_first(room)]
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


def cjson(value: Json, depth: int = 0) -> str:
    """Return ``value`` as cJSON prints it: tabs after colons, one member a line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ", ".join(cjson(one, depth + 1) for one in value) + "]"
    inner = "\t" * (depth + 1)
    lines = [f'{inner}"{name}":\t{cjson(one, depth + 1)}' for name, one in value.items()]
    return "{\n" + (",\n".join(lines) + "\n" if lines else "") + "\t" * depth + "}"


def as_xml(room: Conference) -> str:
    """Return a room and its members as ``xml_list`` shows them."""
    members = "".join(
        f'    <member type="caller"><id>{member.number}</id><uuid>{member.channel.uuid}</uuid></member>\n'
        for member in newest_first(room)
    )
    return (
        f'\n <conference name="{room.name}" member-count="{len(room.members)}" uuid="{room.uuid}">\n'
        f"  <members>\n{members}  </members>\n </conference>\n"
    )
