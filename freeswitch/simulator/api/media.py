"""Commands about what a channel hears, says and records."""

from urllib.parse import unquote

from freeswitch.simulator import origins as at
from freeswitch.simulator import recording
from freeswitch.simulator.api import Call, command, split_words
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.dialstring import assignments
from freeswitch.simulator.sip_in import reoffer

_RECORD_USAGE = "-USAGE: <uuid> [start|stop|mask|unmask] <path> [<limit>] [<recording_vars>]\n"
_AUDIO_USAGE = "-USAGE: <uuid> [start [read|write] [mute|level <level>]|stop]\n"


@command("uuid_record")
def record(call: Call) -> str:
    words = split_words(call.argument, 5)
    if len(words) < 3:
        return _RECORD_USAGE
    channel = call.switch.locate(words[0])
    if channel is None:
        return "-ERR Cannot locate session!\n"
    verb, path = words[1].lower(), words[2]
    if verb == "start":
        limit = float(words[3]) if len(words) > 3 and words[3].isdigit() else 0.0
        variables = _variables(words[4]) if len(words) > 4 else {}
        return "+OK Success\n" if recording.start(channel, path, limit_s=limit, variables=variables) else "-ERR Cannot record session!\n"  # fmt: skip
    if verb == "stop" and path == "all":
        return "+OK Success\n" if recording.stop_all(channel) else "-ERR Cannot stop record session!\n"
    running = channel.recordings.get(path)
    failed = {
        "stop": "stop record session",
        "mask": "mask recording session",
        "unmask": "unmask recording session",
        "pause": "pause recording session",
        "resume": "resume recording session",
    }.get(verb)
    if failed is None:
        return _RECORD_USAGE
    if running is None:
        return f"-ERR Cannot {failed}!\n"
    if verb == "stop":
        running.stop(channel)
    elif verb in ("mask", "unmask"):
        running.set(masked=verb == "mask")
    else:
        running.set(paused=verb == "pause")
    return "+OK Success\n"


def _variables(text: str) -> dict[str, str]:
    inside = text.strip()
    if inside.startswith("{") and inside.endswith("}"):
        inside = inside[1:-1]
    return {name: unquote(value, errors="surrogateescape") for name, value in assignments(inside).items()}


@command("uuid_audio")
def audio(call: Call) -> str:
    words = call.words(5)
    if len(words) < 2:
        return _AUDIO_USAGE
    channel = call.switch.locate(words[0])
    if channel is None:
        return "-ERR No such channel!\n"
    if words[1].lower() == "stop":
        _bug(channel, "audio", False)
        channel.muted.clear()
        return "+OK\n"
    if words[1].lower() != "start" or len(words) < 5:
        return _AUDIO_USAGE
    side, what, level = words[2].lower(), words[3].lower(), words[4]
    if side not in ("read", "write") or what not in ("mute", "level"):
        return _AUDIO_USAGE
    if what == "mute":
        if level == "0":
            channel.muted.discard(side)
        else:
            channel.muted.add(side)
    _bug(channel, "audio", True)
    return "+OK\n"


def _bug(channel: Channel, name: str, on: bool, target: str = "") -> None:
    """Add or take away a media bug and say so; a channel has each kind once."""
    if on == (name in channel.bugs):
        return
    if on:
        channel.bugs[name] = target or channel.uuid
        channel.fire(at.MEDIA_BUG_START, before=_bug_headers(name, channel.bugs[name]))
    else:
        target = channel.bugs.pop(name)
        channel.fire(at.MEDIA_BUG_STOP, before=_bug_headers(name, target))


def _bug_headers(name: str, target: str) -> tuple[tuple[str, str], ...]:
    return (("Media-Bug-Function", name), ("Media-Bug-Target", target))


@command("uuid_displace")
def displace(call: Call) -> str:
    words = call.words(5)
    if len(words) < 3:
        return "-USAGE: <uuid> [start|stop] <path> [<limit>] [mux]\n"
    channel = call.switch.locate(words[0])
    if channel is None:
        return "-ERR Cannot locate session!\n"
    if words[1].lower() == "start":
        if not (channel.answered or channel.early):
            return "-ERR Cannot displace session!\n"
        _bug(channel, "displace", True, words[2])
        return "+OK Success\n"
    if words[1].lower() == "stop":
        if channel.bugs.get("displace") != words[2]:
            return "-ERR Cannot stop displace session!\n"
        _bug(channel, "displace", False)
        return "+OK Success\n"
    return "-USAGE: <uuid> [start|stop] <path> [<limit>] [mux]\n"


@command("uuid_buglist")
def buglist(call: Call) -> str:
    if not call.argument:
        return "-USAGE: <uuid>\n"
    channel = call.switch.locate(call.argument.strip())
    if channel is None:
        return ""
    bugs = [("session_record", path) for path in channel.recordings] + [*channel.bugs.items()]
    body = "".join(
        f" <media-bug>\n  <function>{name}</function>\n  <target>{target}</target>\n </media-bug>\n"
        for name, target in bugs
    )
    return f"<media-bugs>\n{body}</media-bugs>\n"


@command("uuid_media_reneg")
def media_reneg(call: Call) -> str:
    uuid, _, _ = call.argument.partition(" ")
    if not uuid:
        return "-USAGE: <uuid>[ <codec_string>]\n-ERR Operation Failed\n"
    channel = call.switch.locate(uuid)
    if channel is None or not channel.answered:
        return "-ERR Operation Failed\n"
    reoffer(channel)
    return "+OK Success\n"


@command("uuid_media")
def media(call: Call) -> str:
    words = call.words(2)
    if not words:
        return "-USAGE: [off] <uuid>\n-ERR Operation failed\n"
    uuid = words[1] if words[0].lower() == "off" and len(words) > 1 else words[0]
    return "+OK Success\n" if uuid in call.switch.channels else "-ERR Operation failed\n"
