"""The small applications: answering, waiting, setting variables, ending."""

from freeswitch.simulator import channel as ch
from freeswitch.simulator import lifecycle
from freeswitch.simulator import origins as at
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.dialstring import assignments
from freeswitch.simulator.lifecycle import app
from freeswitch.simulator.timing import Thread


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
        6, data.partition(" ")[2] or data, file="mod_dptools.c", function="log_function", line=1880, user=channel.uuid
    )


@app("info", zombie=True)
def info(channel: Channel, data: str) -> None:
    channel.switch.log(
        6, "CHANNEL_DATA:", file="mod_dptools.c", function="info_function", line=2018, user=channel.uuid
    )


@app("hangup")
def hangup(channel: Channel, data: str) -> None:
    lifecycle.hang_up(channel, lifecycle.cause_of(data))


@app("respond")
def respond(channel: Channel, data: str) -> None:
    """End an unanswered inbound leg with a SIP status of one's own choice."""
    status = int(data[:3]) if data[:3].isdigit() else 488
    if channel.answered or channel.down:
        return
    from freeswitch.words import cause_of_sip

    channel.set("sip_hangup_disposition", "send_refuse")
    lifecycle.hang_up(channel, cause_of_sip(status))


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
    """Wait for orders, at most ``park_timeout`` seconds (``20:CAUSE``)."""
    if channel.parked:
        return
    limit: float | None = None
    cause = "NORMAL_CLEARING"
    if (text := channel.get("park_timeout")) is not None:
        seconds, colon, name = text.partition(":")
        limit = float(seconds) if seconds.isdigit() else 0.0
        cause = lifecycle.cause_of(name) if colon else cause
        channel.set("park_timeout", None)
        channel.set("park_after_bridge", None)
    channel.parked = True
    channel.fire(at.CHANNEL_PARK)
    yield from _wait_parked(channel, limit, cause)
    channel.parked = False
    channel.fire(at.CHANNEL_UNPARK)


def _wait_parked(channel: Channel, limit: float | None, cause: str) -> Thread:
    switch = channel.switch
    deadline = None if limit is None else switch.monotonic() + limit
    while channel.ready and channel.parked:
        if channel.inbox and not channel.locked:
            # Without media park takes messages by itself, and then no PRIVATE_COMMAND is fired.
            media = channel.answered or channel.early
            yield from lifecycle.run_message(channel, channel.inbox.popleft(), announce=media)
            continue
        if channel.dtmf:
            lifecycle.take_digit(channel)
            yield switch.settings.tick_s
            continue
        left = None if deadline is None else deadline - switch.monotonic()
        if left is not None and left <= 0:
            lifecycle.hang_up(channel, cause)
            return
        yield left


@app("transfer")
def transfer(channel: Channel, data: str) -> None:
    """Go to ``EXTENSION [DIALPLAN] [CONTEXT]``; ``-bleg`` and ``-both`` send the other leg (too)."""
    words = data.split(" ")
    which = words.pop(0) if words and words[0] in ("-bleg", "-both") else ""
    if not words:
        return
    where = (words[0], words[1] if len(words) > 1 else "", words[2] if len(words) > 2 else "")
    if which and channel.partner is not None:
        go(channel.partner, *where)
    if which != "-bleg":
        go(channel, *where)


def go(channel: Channel, extension: str, dialplan: str = "", context: str = "") -> None:
    """Transfer: a new profile, and the channel's thread goes back to CS_ROUTING (switch_ivr_session_transfer)."""
    old = channel.profile
    if channel.down or old is None:
        return
    switch = channel.switch
    now = switch.clock.now_us()
    profile = old.clone()
    dialplan = dialplan or old.dialplan or "XML"
    context = context or old.context or "default"
    source = f"{now // 1_000_000}:{switch.new_uuid()}:bl_xfer:{extension}/{context}/{dialplan}"
    profile.set(
        destination=extension,
        dialplan=dialplan,
        context=context,
        rdnis=old.destination,
        logical_direction="inbound",
        index=str(int(old.index or "1") + 1),
        transfer_source=source,
    )
    profile.stamp("profile_created", now)
    old.stamp("transferred", now)
    channel.profile = profile
    channel.set("max_forwards", str(max(0, int(channel.get("max_forwards") or "71") - 1)))
    history = channel.variables.get("transfer_history")
    if history is None:
        channel.set("transfer_history", source)
    else:
        before = history[0]
        channel.set("transfer_history", [*([before] if isinstance(before, str) else before), source])
    channel.set("transfer_source", source)
    channel.flags.add("dialplan")
    channel.extension.clear()
    channel.aim(ch.ROUTING)
    channel.transferred = True
    channel.touch()
    channel.wake()
