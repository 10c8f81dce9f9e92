"""The uuid_* family: commands about one channel."""

from freeswitch.simulator import answering, holding, keys, private
from freeswitch.simulator import origins as at
from freeswitch.simulator import transfer as transfer_module
from freeswitch.simulator.api import Call, command
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.desk import Fired
from freeswitch.simulator.wire import json_text, plain_lines, xml_text

NO_CHANNEL = "-ERR No such channel!\n"


def _channel(call: Call, uuid: str) -> Channel | None:
    return call.switch.locate(uuid)


@command("uuid_kill")
def kill(call: Call) -> str:
    uuid, _, cause = call.argument.partition(" ")
    if not uuid:
        return "-USAGE: <uuid> [cause]\n"
    channel = _channel(call, uuid)
    if channel is None:
        return NO_CHANNEL
    channel.hang_up(private.cause_of(cause))
    return "+OK\n"


@command("uuid_exists")
def exists(call: Call) -> str:
    return "true" if call.argument.strip() in call.switch.channels else "false"


@command("uuid_answer")
def answer(call: Call) -> str:
    channel = _channel(call, call.argument.strip())
    if channel is None:
        return "-ERROR\n"
    answering.answer(channel)
    return "+OK\n"


@command("uuid_pre_answer")
def pre_answer(call: Call) -> str:
    channel = _channel(call, call.argument.strip())
    if channel is None:
        return "-ERROR\n"
    answering.pre_answer(channel)
    return "+OK\n"


@command("uuid_ring_ready")
def ring_ready(call: Call) -> str:
    if not call.argument:
        return "-USAGE: <uuid> [queued]\n"
    channel = _channel(call, call.argument.partition(" ")[0])
    if channel is None:
        return "-ERROR\n"
    answering.ring_ready(channel)
    return "+OK\n"


@command("uuid_park")
def park(call: Call) -> str:
    channel = _channel(call, call.argument.strip())
    if channel is None:
        return NO_CHANNEL
    transfer_module.park(channel)
    return "+OK\n"


@command("uuid_setvar")
def setvar(call: Call) -> str:
    words = call.words(3)
    if len(words) not in (2, 3):
        return "-USAGE: <uuid> <var> [value]\n"
    channel = _channel(call, words[0])
    if channel is None:
        return NO_CHANNEL
    channel.set(words[1], words[2] if len(words) == 3 else None)
    return "+OK\n"


@command("uuid_setvar_multi")
def setvar_multi(call: Call) -> str:
    usage = "-USAGE: <uuid> <var>=<value>;<var>=<value>...\n"
    uuid, space, text = call.argument.partition(" ")
    if not space:
        return "" if uuid else usage
    channel = _channel(call, uuid)
    if channel is None:
        return NO_CHANNEL + usage
    done, said = 0, ""
    for part in text.split(";"):
        name, _, value = part.partition("=")
        if name:
            channel.set(name, value)
            done += 1
        else:
            said += "-ERR No variable specified\n"
    return said + ("+OK\n" if done else usage)


@command("uuid_getvar")
def getvar(call: Call) -> str:
    words = call.words(3)
    if len(words) < 2:
        return "-USAGE: <uuid> <var>\n"
    channel = _channel(call, words[0])
    if channel is None:
        return NO_CHANNEL
    return channel.look_up(words[1]) or "_undef_"


@command("uuid_dump")
def dump(call: Call) -> str:
    words = call.words()
    channel = _channel(call, words[0]) if words else None
    if not words:
        return "-USAGE: <uuid> [format]\n"
    if channel is None:
        return NO_CHANNEL
    form = words[1] if len(words) > 1 else "txt"
    desk = call.switch.desk
    seq, dates = desk.stamp()
    if form == "txt":
        head = desk.heading(at.CHANNEL_DATA_DUMP) + dates + at.CHANNEL_DATA_DUMP.lines
        return f"{head}Event-Sequence: {seq}\n{channel.basic_text()}{channel.variables_text()}\n"
    pairs = Fired(desk, at.CHANNEL_DATA_DUMP, channel, (seq, dates), (), (), (), None).pairs()
    if form.upper() == "XML":
        return xml_text(pairs, None)
    if form.upper() == "JSON":
        return json_text(pairs, None)
    return plain_lines(pairs) + "\n"


@command("uuid_transfer")
def transfer(call: Call) -> str:
    words = call.words(6)
    if len(words) < 2:
        return "-USAGE: <uuid> [-bleg|-both] <dest-exten> [<dialplan>] [<context>]\n"
    channel = _channel(call, words[0])
    if channel is None:
        return NO_CHANNEL
    which = words.pop(1).lower() if words[1].lower() in ("-bleg", "-both") else ""
    words += [""] * 4
    where = (words[1], words[2], words[3])
    other = channel.partner
    if other is not None and which == "-both":
        transfer_module.go(other, *where)
    elif other is not None and which:
        channel = other
    return "+OK\n" if transfer_module.go(channel, *where) else "-ERR\n"


@command("uuid_dual_transfer")
def dual_transfer(call: Call) -> str:
    words = call.words()
    if len(words) != 3:
        return "-USAGE: <uuid> <A-dest-exten>[/<A-dialplan>][/<A-context>] <B-dest-exten>[/<B-dialplan>][/<B-context>]\n"
    channel = _channel(call, words[0])
    if channel is None:
        return NO_CHANNEL
    first, second = ([*text.split("/", 2), "", ""][:3] for text in words[1:])
    if channel.partner is not None:
        transfer_module.go(channel.partner, *second)
    transfer_module.go(channel, *first)
    return "+OK\n"


@command("uuid_broadcast")
def broadcast(call: Call) -> str:
    words = call.words(3)
    if len(words) < 2:
        return "-USAGE: <uuid> <path> [aleg|bleg|holdb|both]\n"
    channel = _channel(call, words[0])
    if channel is None:
        return "-ERR invalid uuid\n"
    which = words[2].lower() if len(words) > 2 else ""
    name, twice, data = words[1].partition("::")
    if not twice:
        name, data = "playback", words[1]
    name, bang, cause = name.partition("!")
    both = "both" in which
    more: tuple[tuple[str, str], ...] = private.LEAD_FRAMES
    if channel.partner is not None and (both or ("bleg" in which and "holdb" not in which)):
        private.order(channel.partner, name, data, at.COMMAND_BLEG, more)
    if not which:
        more = (*more, ("hold-bleg", "true"))
    if both or not which or "aleg" in which:
        private.order(channel, name, data, at.COMMAND_ALEG, more)
    if bang:
        private.order(channel, "hangup", cause or "normal_clearing", at.COMMAND_HANGUP)
    return "+OK Message sent\n"


@command("uuid_break", "break")
def break_(call: Call) -> str:
    """``<uuid> [all|both]``: leave the current playback; ``all`` forgets the queued messages too."""
    uuid, _, flags = call.argument.partition(" ")
    if not uuid:
        return "-USAGE: <uuid> [all]\n"
    channel = _channel(call, uuid)
    if channel is None:
        return NO_CHANNEL
    for one in (channel, channel.partner if "both" in flags else None):
        if one is None:
            continue
        if "all" in flags:
            one.inbox.clear()
        if "broadcast" in one.flags:
            one.flags.add("stop_broadcast")
        one.broken = True
        one.wake()
    return "+OK\n"


@command("uuid_send_dtmf")
def send_dtmf(call: Call) -> str:
    words = call.words(2)
    if len(words) < 2:
        return "-USAGE: <uuid> <dtmf_data>\n"
    channel = _channel(call, words[0])
    if channel is None:
        return "-ERR Cannot locate session!\n"
    if not keys.send(channel, words[1]):
        return "-ERR Operation failed\n"
    return f"+OK {words[0]} sent DTMF {words[1]}.\n"


@command("uuid_recv_dtmf")
def recv_dtmf(call: Call) -> str:
    words = call.words(2)
    if len(words) < 2:
        return "-USAGE: <uuid> <dtmf_data>\n"
    channel = _channel(call, words[0])
    if channel is None:
        return "-ERR Cannot locate session!\n"
    keys.receive(channel, words[1])
    return f"+OK {words[0]} received DTMF {words[1]}.\n"


@command("uuid_hold")
def hold(call: Call) -> str:
    """``[off|toggle] <uuid>``: says Success whatever happened."""
    words = call.words()
    if not words:
        return "-USAGE: [off|toggle] <uuid> [<display>]\n-ERR Operation failed\n"
    verb = words[0].lower() if words[0].lower() in ("off", "toggle") else ""
    uuid = words[1] if verb and len(words) > 1 else words[0]
    channel = _channel(call, uuid)
    if channel is not None:
        off = verb == "off" or (verb == "toggle" and channel.held)
        if off:
            holding.unhold(channel)
        else:
            holding.hold(channel)
    return "+OK Success\n"
