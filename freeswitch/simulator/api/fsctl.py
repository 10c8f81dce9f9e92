"""``fsctl``: limits, pausing and stopping the switch (ctl_function of mod_commands)."""

import re
from collections.abc import Callable

from freeswitch.simulator import origins as at
from freeswitch.simulator import recovery
from freeswitch.simulator.api import Call, command, run_line, split_words
from freeswitch.simulator.channel import is_true
from freeswitch.simulator.switch import Switch

_SYNTAX = (
    "[api_expansion [on|off]|recover|send_sighup|hupall|pause [inbound|outbound]|resume [inbound|outbound]|"
    "shutdown [cancel|elegant|asap|now|restart]|sps|sps_peak_reset|sync_clock|sync_clock_when_idle|reclaim_mem|"
    "max_sessions|min_dtmf_duration [num]|max_dtmf_duration [num]|default_dtmf_duration [num]|min_idle_cpu|"
    "loglevel [level]|debug_level [level]|mdns_resolve [enable|disable]]\n"
)
_LEVELS = ("CONSOLE", "ALERT", "CRIT", "ERR", "WARNING", "NOTICE", "INFO", "DEBUG")


@command("fsctl")
def fsctl(call: Call) -> str:
    words = split_words(call.argument)
    if not words:
        return f"-USAGE: {_SYNTAX}"
    act = _VERBS.get(words[0].lower())
    if act is None:
        return f"-ERR Invalid command\nUSAGE: fsctl {_SYNTAX}"
    return act(call.switch, [word.lower() for word in words[1:]])


def _number(rest: list[str]) -> int:
    """Return the first argument as atoi reads it: 0 without digits."""
    found = re.match(r"\s*-?\d+", rest[0]) if rest else None
    return int(found[0]) if found else 0


def _fixed(text: str) -> Callable[[Switch, list[str]], str]:
    return lambda switch, rest: text


def _pausing(on: bool) -> Callable[[Switch, list[str]], str]:
    def act(switch: Switch, rest: list[str]) -> str:
        side = rest[0] if rest else ""
        if side != "outbound":
            switch.paused_inbound = on
        if side != "inbound":
            switch.paused_outbound = on
        return "+OK\n"

    return act


def _yes(value: bool) -> str:
    return "true" if value else "false"


def _pause_check(switch: Switch, rest: list[str]) -> str:
    sides = {"inbound": switch.paused_inbound, "outbound": switch.paused_outbound}
    return _yes(sides.get(rest[0] if rest else "", switch.paused_inbound and switch.paused_outbound))


def _max_sessions(switch: Switch, rest: list[str]) -> str:
    if (number := _number(rest)) > 0:
        switch.max_sessions = number
    return f"+OK max sessions: {switch.max_sessions}\n"


def _sps(switch: Switch, rest: list[str]) -> str:
    if (number := _number(rest)) > 0:
        switch.sps = number
    return f"+OK sessions per second: {switch.sps}\n"


def _sps_peak_reset(switch: Switch, rest: list[str]) -> str:
    switch.sps_peak = switch.sps_peak_five = 0
    return "+OK max sessions per second counter reset\n"


def _min_idle_cpu(switch: Switch, rest: list[str]) -> str:
    if rest:
        found = re.match(r"\s*-?\d+(\.\d*)?", rest[0])
        switch.min_idle_cpu = float(found[0]) if found else 0.0
    if not switch.min_idle_cpu:
        return "+OK min idle cpu: DISABLED\n"
    # The format string ends in a lone percent sign, which swallows the line end.
    return f"+OK min idle cpu: {switch.min_idle_cpu:.2f}"


def _verbose_events(switch: Switch, rest: list[str]) -> str:
    if rest:
        switch.desk.verbose = is_true(rest[0])
    return f"+OK verbose_events is {'on' if switch.desk.verbose else 'off'} \n"


def _loglevel(switch: Switch, rest: list[str]) -> str:
    if not rest:
        return "+OK log level: DISABLE [-1]\n"
    if rest[0][0].isdigit():
        level = _number(rest)
    elif rest[0].upper() in _LEVELS:
        level = _LEVELS.index(rest[0].upper())
    else:
        return "-ERR syntax error, log level not set!\n"
    return f"+OK log level: {_LEVELS[min(level, 7)]} [{level}]\n"


def _recover(switch: Switch, rest: list[str]) -> str:
    return f"+OK {recovery.recover(switch, '')} session(s) recovered in total\n"


def _hupall(switch: Switch, rest: list[str]) -> str:
    run_line(switch, " ".join(["hupall", *rest]))
    return "+OK\n"


def _shutdown(switch: Switch, rest: list[str]) -> str:
    how = ""
    for word in rest[:4]:
        if word == "cancel":
            switch.shutting_down = ""
            return "+OK\n"
        if word in ("elegant", "asap", "now"):
            how = word
    then = "restart" if "restart" in rest else how or "now"
    if how in ("elegant", "asap"):
        switch.shutting_down = how
        switch.desk.fire(
            at.origin("SHUTDOWN_REQUESTED", "switch_core.c", "switch_core_session_ctl", 2787),
            before=(("Event-Info", "elegant" if how == "elegant" else "ASAP"),),
        )
        switch.stop_as = then
        if not switch.channels:
            switch.threads.after(0.02, switch.on_stop, then)
    else:
        switch.threads.after(0.02, switch.on_stop, then)
    return "+OK\n"


_VERBS: dict[str, Callable[[Switch, list[str]], str]] = {
    "hupall": _hupall,
    "recover": _recover,
    "pause": _pausing(True),
    "resume": _pausing(False),
    "pause_check": _pause_check,
    "ready_check": lambda switch, rest: _yes(switch.ready),
    "shutdown_check": lambda switch, rest: _yes(bool(switch.shutting_down)),
    "shutdown": _shutdown,
    "max_sessions": _max_sessions,
    "sps": _sps,
    "last_sps": lambda switch, rest: f"+OK last sessions per second: {switch.sps_last}\n",
    "sps_peak_reset": _sps_peak_reset,
    "min_idle_cpu": _min_idle_cpu,
    "verbose_events": _verbose_events,
    "loglevel": _loglevel,
    "debug_level": lambda switch, rest: f"+OK DEBUG level: {_number(rest)}\n",
    "min_dtmf_duration": lambda switch, rest: f"+OK min dtmf duration: {_number(rest) or 400}\n",
    "max_dtmf_duration": lambda switch, rest: f"+OK max dtmf duration: {_number(rest) or 192000}\n",
    "default_dtmf_duration": lambda switch, rest: f"+OK default dtmf duration: {_number(rest) or 2000}\n",
    "api_expansion": lambda switch, rest: f"+OK api_expansion is {'on' if rest and is_true(rest[0]) else 'off'} \n",
    "threaded_system_exec": lambda switch, rest: f"+OK threaded_system_exec is {_yes(bool(rest) and is_true(rest[0]))} \n",
    "sync_clock": _fixed("+OK clock synchronized\n"),
    "sync_clock_when_idle": _fixed("+OK clock will synchronize when there are no more calls\n"),
    "reclaim_mem": _fixed("+OK\n"),
    "send_sighup": _fixed("+OK\n"),
    "calibrate_clock": _fixed("+OK\n"),
    "save_history": _fixed("+OK\n"),
    "flush_db_handles": _fixed("+OK\n"),
}  # fmt: skip
