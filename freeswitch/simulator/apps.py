"""The small applications: answering, waiting, setting variables, ending."""

from freeswitch.simulator import answering, executing, private, schedule
from freeswitch.simulator import origins as at
from freeswitch.simulator import transfer as transfer_module
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.dialstring import assignments
from freeswitch.simulator.executing import app
from freeswitch.simulator.timing import Thread
from freeswitch.simulator.wire import Pair
from freeswitch.words import cause_of_sip


@app("answer")
def answer(channel: Channel, data: str) -> None:
    answering.answer(channel)


@app("pre_answer")
def pre_answer(channel: Channel, data: str) -> None:
    answering.pre_answer(channel)


@app("ring_ready")
def ring_ready(channel: Channel, data: str) -> None:
    answering.ring_ready(channel)


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
        for name, value in assignments(data).items():
            channel.set(name, value)
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
    channel.hang_up(private.cause_of(data))


@app("respond")
def respond(channel: Channel, data: str) -> None:
    """End an unanswered inbound leg with a SIP status of one's own choice."""
    status = int(data[:3]) if data[:3].isdigit() else 488
    if channel.answered or channel.down:
        return
    channel.hang_up(cause_of_sip(status))


@app("sleep")
def sleep(channel: Channel, data: str) -> Thread:
    yield from executing.pause(channel, int(data) / 1000 if data.strip().isdigit() else 0.0)


@app("echo", media=True)
@app("delay_echo", media=True)
def echo(channel: Channel, data: str) -> Thread:
    """Let the far end hear itself; ``delay_echo`` too, without the delay."""
    channel.flags.add("echo")
    yield from executing.pause(channel, None)
    channel.flags.discard("echo")


@app("park")
def park(channel: Channel, data: str) -> Thread:
    """Wait for orders."""
    yield from executing.stay_parked(channel)


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


@app("sched_hangup")
def sched_hangup(channel: Channel, data: str) -> None:
    """``[+]seconds [cause]``; without an argument nothing happens, with 0 the call ends now."""
    words = data.split(" ")
    if not words[0]:
        return
    cause = private.cause_of(words[1]) if len(words) > 1 else "ALLOTTED_TIMEOUT"
    if not words[0].lstrip("+").isdigit() or int(words[0].lstrip("+")) == 0:
        channel.hang_up(cause)
        return
    schedule.end_call(channel.switch, words[0], channel.uuid, cause)


@app("sched_cancel")
def sched_cancel(channel: Channel, data: str) -> None:
    channel.switch.scheduler.remove(data or channel.uuid)


@app("sched_transfer")
def sched_transfer(channel: Channel, data: str) -> None:
    words = [*data.split(" "), "", ""]
    if len(words) < 4:
        return
    switch, uuid = channel.switch, channel.uuid

    def move() -> None:
        if (found := switch.channels.get(uuid)) is not None:
            transfer_module.go(found, words[1], words[2], words[3])

    job = switch.scheduler.add(words[0], "switch_ivr_schedule_transfer", uuid, move)
    channel.set("last_sched_id", str(job.number))


@app("set_global")
def set_global(channel: Channel, data: str) -> None:
    name, _, value = data.partition("=")
    channel.switch.globals[name] = value


@app("wait_for_answer")
def wait_for_answer(channel: Channel, data: str) -> Thread:
    while channel.ready and not channel.answered:
        yield None


@app("event", zombie=True)
def event(channel: Channel, data: str) -> None:
    """``name=value,...``: fire an event of one's own, CHANNEL_APPLICATION unless ``Event-Name`` says otherwise."""
    pairs: list[Pair] = []
    kind, subclass = "CHANNEL_APPLICATION", ""
    for part in data.split(","):
        name, equals, value = part.strip(" ").partition("=")
        name, value = name.rstrip(" "), value.lstrip(" ")
        if not equals:
            continue
        if name.lower() == "event-name":
            kind = value.upper()
        elif name.lower() == "event-subclass":
            subclass = value
        pairs.append((name, value))
    where = at.origin(kind, "mod_dptools.c", "event_function", 1902, subclass if kind == "CUSTOM" else "")
    channel.fire(where, before=[pair for pair in pairs if pair[0] != "Event-Name"])


_QUIET = (
    "bind_meta_app", "unbind_meta_app", "bind_digit_action", "clear_digit_action", "digit_action_set_realm",
    "block_dtmf", "unblock_dtmf", "queue_dtmf", "verbose_events", "privacy", "presence", "set_user", "set_name",
    "set_profile_var", "check_acl", "mkdir", "rename", "limit", "limit_hash", "hash", "jitterbuffer",
    "send_display", "send_info", "recovery_refresh", "remove_bugs", "enable_heartbeat", "enable_keepalive",
    "sched_heartbeat", "transfer_vars", "strftime", "system", "bgsystem", "set_audio_level", "set_mute",
    "acknowledge_call", "video_refresh", "novideo", "cng_plc", "soft_hold", "lua", "detect_speech",
)  # fmt: skip


def quiet(channel: Channel, data: str) -> None:
    """Do nothing that another connection could notice."""


for _name in _QUIET:
    app(_name, zombie=True)(quiet)
