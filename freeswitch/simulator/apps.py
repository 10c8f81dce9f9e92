"""The small applications: answering, waiting, setting variables, ending."""

from freeswitch.simulator import lifecycle
from freeswitch.simulator import transfer as transfer_module
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.dialstring import assignments
from freeswitch.simulator.lifecycle import app
from freeswitch.simulator.timing import Thread
from freeswitch.words import cause_of_sip


@app("answer")
def answer(channel: Channel, data: str) -> None:
    lifecycle.answer(channel)


@app("pre_answer")
def pre_answer(channel: Channel, data: str) -> None:
    lifecycle.pre_answer(channel)


@app("ring_ready")
def ring_ready(channel: Channel, data: str) -> None:
    lifecycle.ring_ready(channel)


@app("set", zombie=True)
def set_variable(channel: Channel, data: str) -> None:
    name, equals, value = data.partition("=")
    if equals:
        channel.set(name, value)
    elif name:
        channel.set(name, None)


@app("unset", zombie=True)
def unset(channel: Channel, data: str) -> None:
    channel.set(data, None)


@app("multiset", zombie=True)
def multiset(channel: Channel, data: str) -> None:
    if data.startswith("^^") and len(data) > 2:
        channel.set_many(assignments(data))
        return
    for part in data.split(" "):
        set_variable(channel, part)


@app("export", zombie=True)
def export(channel: Channel, data: str) -> None:
    name, equals, value = data.partition("=")
    local = not name.startswith("nolocal:")
    name = name.removeprefix("nolocal:").removeprefix("_nolocal_")
    if local:
        channel.set(name, value if equals else None)
    else:
        channel.set(f"nolocal:{name}", value)
    before = channel.get("export_vars")
    listed = name if local else f"nolocal:{name}"
    channel.set("export_vars", f"{before},{listed}" if before else listed)


@app("log", zombie=True)
def log(channel: Channel, data: str) -> None:
    channel.switch.log(
        6,
        data.partition(" ")[2] or data,
        file="mod_dptools.c",
        function="log_function",
        line=1880,
        user=channel.uuid,
    )


@app("info", zombie=True)
def info(channel: Channel, data: str) -> None:
    channel.switch.log(
        6, "CHANNEL_DATA:", file="mod_dptools.c", function="info_function", line=2018, user=channel.uuid
    )


@app("hangup")
def hangup(channel: Channel, data: str) -> None:
    channel.hang_up(lifecycle.cause_of(data))


@app("respond")
def respond(channel: Channel, data: str) -> None:
    """End an unanswered inbound leg with a SIP status of one's own choice."""
    status = int(data[:3]) if data[:3].isdigit() else 488
    if channel.answered or channel.down:
        return
    channel.set("sip_hangup_disposition", "send_refuse")
    channel.hang_up(cause_of_sip(status))


@app("sleep")
def sleep(channel: Channel, data: str) -> Thread:
    yield from lifecycle.pause(channel, int(data) / 1000 if data.strip().isdigit() else 0.0)


@app("echo", media=True)
def echo(channel: Channel, data: str) -> Thread:
    yield from lifecycle.pause(channel, None)


@app("delay_echo", media=True)
def delay_echo(channel: Channel, data: str) -> Thread:
    yield from lifecycle.pause(channel, None)


@app("park")
def park(channel: Channel, data: str) -> Thread:
    """Wait for orders."""
    yield from lifecycle.stay_parked(channel)


@app("transfer")
def transfer(channel: Channel, data: str) -> None:
    """Go to ``EXTENSION [DIALPLAN] [CONTEXT]``; ``-bleg`` and ``-both`` send the other leg (too)."""
    words = data.split(" ")
    which = words.pop(0) if words and words[0] in ("-bleg", "-both") else ""
    if not words:
        return
    where = (words[0], words[1] if len(words) > 1 else "", words[2] if len(words) > 2 else "")
    if which and channel.partner is not None:
        transfer_module.go(channel.partner, *where)
    if which != "-bleg":
        transfer_module.go(channel, *where)
