"""Commands about a channel that change nothing a client could see, or little: their answers are what matters."""

from collections.abc import Callable

from freeswitch.simulator import private, sip
from freeswitch.simulator.api import Call, command
from freeswitch.simulator.channel import Channel

_FAILED = "-ERR Operation failed\n"
_DONE = "+OK Success\n"


def _nothing(channel: Channel, text: str) -> None:
    """Change nothing."""


def _flush_dtmf(channel: Channel, text: str) -> None:
    channel.dtmf.clear()


def _display(channel: Channel, text: str) -> None:
    name, _, number = text.partition("|")
    channel.set("last_sent_callee_id_name", name)
    channel.set("last_sent_callee_id_number", number or name)


def _deflect(channel: Channel, text: str) -> None:
    sip.said_bye(channel)
    channel.hang_up("BLIND_TRANSFER")


# name: what it says without enough words, how many words that is, without the channel, and otherwise.
_ANSWERS: dict[str, tuple[str, int, str, str, Callable[[Channel, str], None]]] = {
    "uuid_flush_dtmf": ("", 0, "-ERR No such session\n", "+OK\n", _flush_dtmf),
    "uuid_phone_event": (f"-USAGE: <uuid>\n{_FAILED}", 1, _FAILED, _DONE, _nothing),
    "uuid_display": ("-USAGE: <uuid> <display>\n", 2, _FAILED, _DONE, _display),
    "uuid_deflect": ("-USAGE: <uuid> <uri>\n", 2, "-ERR No such channel {}!\n", "+OK:Success\n", _deflect),
    "uuid_loglevel": ("-USAGE: <uuid> <level>\n", 2, "-ERR No such channel {}!\n", "+OK\n", _nothing),
    "uuid_chat": ("-USAGE: <uuid> <text>\n", 2, "-ERR No such channel {}!\n", "+OK\n", _nothing),
    "uuid_fileman": ("-USAGE: <uuid> <cmd>:<val>\n", 2, "-ERR No such channel!\n", "+OK\n", _nothing),
    "uuid_debug_media": (
        "-USAGE: <uuid> <read|write|both|vread|vwrite|vboth|all> <on|off>\n", 3, _FAILED, _DONE, _nothing,
    ),
    "uuid_simplify": (_FAILED, 1, _FAILED, _DONE, _nothing),
    "uuid_preprocess": ("-USAGE: <>\n", 2, "-ERR No such channel!\n", "+OK\n", _nothing),
    "uuid_early_ok": ("-ERROR\n", 1, "-ERROR\n", "+OK\n", _nothing),
    "uuid_jitterbuffer": (_FAILED, 1, _FAILED, _DONE, _nothing),
    "uuid_session_heartbeat": (
        "-USAGE: uuid_session_heartbeat <uuid> [sched] [0|<seconds>]\n", 2, "-ERR No such channel!\n", "+OK\n",
        _nothing,
    ),
    "uuid_xfer_zombie": ("-ERR Operation Failed\n", 1, "-ERR Operation Failed\n", _DONE, _nothing),
    "uuid_outgoing_answer": ("-ERR No such channel!\n", 1, "-ERR No such channel!\n", "+OK\n", _nothing),
    "uuid_limit": (
        "USAGE: uuid_limit <uuid> <backend> <realm> <resource> [<max>[/interval]] [number [dialplan [context]]]\n",
        4, "-ERR Cannot find session with uuid {}\n", "true", _nothing,
    ),
}  # fmt: skip


@command(*_ANSWERS)
def minor(call: Call) -> str:
    usage, least, missing, done, act = _ANSWERS[call.name.lower()]
    words = call.words()
    if len(words) < least:
        return usage
    channel = call.switch.locate(words[0]) if words else None
    if channel is None:
        return missing.format(words[0] if words else "")
    act(channel, call.argument.partition(" ")[2])
    return done


_DEFAULT_CAUSE = "MANAGER_REQUEST"


@command("hupall")
def hupall(call: Call) -> str:
    """``hupall [cause] [variable value]``: hang up everybody, or those whose variable has the value."""
    words = call.words(3)
    cause = private.cause_of(words[0]) if words else _DEFAULT_CAUSE
    for channel in list(call.switch.channels.values()):
        if len(words) < 3 or channel.get(words[1]) == words[2]:
            channel.hang_up(cause)
    if len(words) >= 3:
        return f"+OK hangup all channels matching [{words[1]}]=[{words[2]}] with cause: {cause}\n"
    return f"+OK hangup all channels with cause {cause}\n"
