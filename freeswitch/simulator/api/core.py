"""Commands about the switch itself: status, version, limits, globals, small helpers."""

import re
import time

from freeswitch.simulator import origins as at
from freeswitch.simulator.api import Call, command, run_line, split_words
from freeswitch.simulator.channel import is_true
from freeswitch.simulator.settings import VERSION, VERSION_FULL, VERSION_HUMAN
from freeswitch.simulator.switch import Switch
from freeswitch.simulator.timing import Thread


@command("status")
def status(call: Call) -> str:
    return status_text(call.switch)


def status_text(sw: Switch) -> str:
    """Return what ``status`` answers."""
    ready = "not ready" if sw.paused_inbound or sw.paused_outbound or sw.shutting_down else "ready"
    return (
        f"UP {sw.uptime_text()}\n"
        f"FreeSWITCH (Version {VERSION} {VERSION_HUMAN}) is {ready}\n"
        f"{sw.sessions_since_startup} session(s) since startup\n"
        f"{len(sw.channels)} session(s) - peak {sw.sessions_peak}, last 5min {sw.sessions_peak_five} \n"
        f"{sw.current_sps()} session(s) per Sec out of max {sw.sps}, peak {sw.sps_peak}, last 5min {sw.sps_peak_five} \n"
        f"{sw.max_sessions} session(s) max\n"
        f"min idle cpu {sw.min_idle_cpu:.2f}/{sw.idle_cpu():.2f}\n"
        "Current Stack Size/Max 240K/8192K\n"
    )


@command("version")
def version(call: Call) -> str:
    if call.argument == "short":
        return VERSION.partition("-")[0]
    return f"FreeSWITCH Version {VERSION_FULL} ({VERSION_HUMAN})\n"


@command("uptime")
def uptime(call: Call) -> str:
    us = call.switch.uptime_us()
    unit = {"us": 1, "ms": 1000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
    return f"{us // unit.get(call.argument or 's', 1_000_000)}\n"


@command("hostname")
def hostname(call: Call) -> str:
    return call.switch.settings.hostname


@command("switchname")
def switchname(call: Call) -> str:
    return call.switch.settings.switchname


@command("echo")
def echo(call: Call) -> str:
    return call.argument


@command("msleep")
def msleep(call: Call) -> Thread:
    if call.argument.isdigit():
        deadline = call.switch.monotonic() + int(call.argument) / 1000
        while (left := deadline - call.switch.monotonic()) > 0:
            yield left
    return ""


@command("create_uuid")
def create_uuid(call: Call) -> str:
    return call.switch.new_uuid()


@command("global_getvar")
def global_getvar(call: Call) -> str:
    sw = call.switch
    if call.argument:
        return sw.globals.get(call.argument, "")
    return "".join(f"{name}={value}\n" for name, value in sw.globals.items())


@command("global_setvar")
def global_setvar(call: Call) -> str:
    """``NAME=VALUE``, or ``NAME=VALUE=OLD`` which only acts while OLD is what stands there."""
    name, equals, value = call.argument.partition("=")
    if not equals:
        return "-USAGE: <var>=<value> [=<value2>]\n" if not name else _unset(call, name)
    value, third, old = value.partition("=")
    held = call.switch.globals
    if third and held.get(name, "") != old:
        return "-ERR\n"
    if value:
        held[name] = value
    else:
        held.pop(name, None)
    return "+OK"


def _unset(call: Call, name: str) -> str:
    call.switch.globals.pop(name, None)
    return "+OK"


@command("strftime")
def strftime(call: Call) -> str:
    at_s = call.switch.clock.now_us() // 1_000_000
    form = call.argument
    if "|" in form:
        first, _, form = form.partition("|")
        at_s = int(first) if first.isdigit() else at_s
    return time.strftime(form or "%Y-%m-%d %T", time.localtime(at_s))


@command("strepoch")
def strepoch(call: Call) -> str:
    return str(call.switch.clock.now_us() // 1_000_000)


@command("eval", "expand")
def evaluate(call: Call) -> str:
    """``eval [uuid:<uuid> ]<text>``: replace ``${name}``; ``expand`` runs the result as a command."""
    text = call.argument
    channel = None
    if text.startswith("uuid:"):
        uuid, _, text = text[5:].partition(" ")
        channel = call.switch.channels.get(uuid)

    def value(found: re.Match[str]) -> str:
        got = channel.get(found[1]) if channel is not None else None
        return got if got is not None else call.switch.globals.get(found[1], "")

    text = re.sub(r"\$\$?\{([^}{]*)\}", value, text)
    if call.name.lower() == "eval":
        return text
    holder: list[str] = []
    name, _, argument = text.partition(" ")
    from freeswitch.simulator.api import run

    run(Call(call.switch, name, argument, listener=call.listener), holder.append)
    return holder[0] if holder else ""


@command("reloadxml")
def reloadxml(call: Call) -> str:
    call.switch.desk.fire(at.RELOADXML)
    return "+OK [Success]\n"


@command("reloadacl")
def reloadacl(call: Call) -> str:
    return "+OK acl reloaded\n"


@command("hupall")
def hupall(call: Call) -> str:
    """``hupall [cause] [variable value]``: hang up everybody, or those whose variable has the value."""
    from freeswitch.simulator import lifecycle

    words = call.words(3)
    cause = lifecycle.cause_of(words[0]) if words else "MANAGER_REQUEST"
    for channel in list(call.switch.channels.values()):
        if len(words) < 3 or channel.get(words[1]) == words[2]:
            channel.hang_up(cause)
    if len(words) >= 3:
        return f"+OK hangup all channels matching [{words[1]}]=[{words[2]}] with cause: {cause}\n"
    return f"+OK hangup all channels with cause {cause}\n"


_USAGE_FSCTL = (
    "-USAGE: [recover|send_sighup|hupall|pause [inbound|outbound]|resume [inbound|outbound]|shutdown [cancel|"
    "elegant|asap|now|restart]|sps|sps_peak_reset|sync_clock|sync_clock_when_idle|reclaim_mem|max_sessions|"
    "min_dtmf_duration [num]|max_dtmf_duration [num]|default_dtmf_duration [num]|min_idle_cpu|loglevel [level]|"
    "debug_level [level]]\n"
)


@command("fsctl")
def fsctl(call: Call) -> str:
    sw = call.switch
    words = split_words(call.argument)
    if not words:
        return _USAGE_FSCTL
    verb, rest = words[0].lower(), [word.lower() for word in words[1:]]
    if verb in ("pause", "resume"):
        on = verb == "pause"
        if not rest or rest[0] == "inbound":
            sw.paused_inbound = on
        if not rest or rest[0] == "outbound":
            sw.paused_outbound = on
        return "+OK\n"
    if verb == "pause_check":
        side = rest[0] if rest else ""
        paused = {"inbound": sw.paused_inbound, "outbound": sw.paused_outbound}.get(
            side, sw.paused_inbound and sw.paused_outbound
        )
        return "true" if paused else "false"
    if verb == "ready_check":
        return "false" if sw.paused_inbound and sw.paused_outbound else "true"
    if verb == "shutdown_check":
        return "true" if sw.shutting_down else "false"
    if verb == "max_sessions":
        if rest and rest[0].isdigit():
            sw.max_sessions = int(rest[0])
        return f"+OK max sessions: {sw.max_sessions}\n"
    if verb == "sps":
        if rest and rest[0].isdigit():
            sw.sps = int(rest[0])
        return f"+OK sessions per second: {sw.sps}\n"
    if verb == "last_sps":
        return f"+OK last sessions per second: {sw.sps_last}\n"
    if verb == "min_idle_cpu":
        if rest:
            try:
                sw.min_idle_cpu = float(rest[0])
            except ValueError:
                sw.min_idle_cpu = 0.0
        return f"+OK min idle cpu: {sw.min_idle_cpu:.2f}%\n"
    if verb == "verbose_events":
        sw.desk.verbose = not rest or is_true(rest[0])
        return f"+OK verbose_events is {'on' if sw.desk.verbose else 'off'} \n"
    if verb == "shutdown":
        return _shutdown(call, rest)
    if verb == "recover":
        from freeswitch.simulator import recovery

        return f"+OK {recovery.recover(sw, '')} session(s) recovered in total\n"
    if verb == "hupall":
        run_line(sw, "hupall " + " ".join(words[1:]))
        return "+OK\n"
    if verb in ("sync_clock", "sync_clock_when_idle", "reclaim_mem", "sps_peak_reset", "send_sighup"):
        if verb == "sps_peak_reset":
            sw.sps_peak = sw.sps_peak_five = 0
        return "+OK clock synchronized\n" if verb == "sync_clock" else "+OK\n"
    if verb == "loglevel":
        return f"+OK log level: {rest[0].upper() if rest else 'INFO'} [6]\n"
    return "-ERR: Invalid command\n"


def _shutdown(call: Call, rest: list[str]) -> str:
    sw = call.switch
    how = rest[0] if rest else "now"
    if how == "cancel":
        sw.shutting_down = ""
        return "+OK\n"
    if how not in ("elegant", "asap", "now", "restart"):
        how = "now"
    if how in ("elegant", "asap"):
        sw.shutting_down = how
        sw.desk.fire(
            at.origin("SHUTDOWN_REQUESTED", "switch_core.c", "switch_core_session_ctl", 2787),
            before=(("Event-Info", "elegant" if how == "elegant" else "ASAP"),),
        )
        if not sw.channels:
            sw.threads.after(0.02, sw.on_stop, how)
    else:
        sw.threads.after(0.02, sw.on_stop, how)
    return "+OK\n"


@command("json")
def json_status(call: Call) -> str:
    """``json {"command":"status"}``: the one request of mod_commands' JSON interface that monitors use."""
    import json

    sw = call.switch
    try:
        asked = json.loads(call.argument)
    except ValueError:
        return '{"status":"error","message":"bad json"}'
    if not isinstance(asked, dict) or asked.get("command") != "status":
        return json.dumps({"command": asked.get("command") if isinstance(asked, dict) else None, "status": "error", "message": "Invalid request or non-existant command"})  # fmt: skip
    answer = {
        "command": "status",
        "data": "",
        "status": "success",
        "response": {
            "systemStatus": "ready",
            "uptime": {"microseconds": sw.uptime_us()},
            "version": f"{VERSION} {VERSION_HUMAN}",
            "sessions": {
                "count": {
                    "total": sw.sessions_since_startup,
                    "active": len(sw.channels),
                    "peak": sw.sessions_peak,
                    "peak5Min": sw.sessions_peak_five,
                    "limit": sw.max_sessions,
                },
                "rate": {
                    "current": sw.current_sps(),
                    "max": sw.sps,
                    "peak": sw.sps_peak,
                    "peak5Min": sw.sps_peak_five,
                },
            },
            "idleCPU": {"used": sw.min_idle_cpu, "allowed": round(sw.idle_cpu(), 6)},
            "stackSizeKB": {"current": 240, "max": 8192},
        },
    }
    return json.dumps(answer, separators=(",", ":"))
