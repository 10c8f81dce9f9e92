"""``sofia`` and its relatives."""

from freeswitch.simulator import origins as at
from freeswitch.simulator import recovery, registrations
from freeswitch.simulator.api import Call, command, sofia_status
from freeswitch.simulator.switch import Switch

_USAGE = (
    "USAGE:\n" + "-" * 80 + "\nsofia global siptrace <on|off>\n"
    "sofia <status|xmlstatus> profile <name> [reg]\nsofia <status|xmlstatus> gateway <name>\n"
    "sofia profile <name> [start | stop | restart | rescan | recover]\nsofia recover [flush]\n"
    + "-" * 80
    + "\n"
)


@command("sofia")
def sofia(call: Call) -> str:
    words = call.words()
    if not words:
        return _USAGE
    verb, rest = words[0].lower(), words[1:]
    if verb == "status":
        return sofia_status.status(call.switch, rest)
    if verb == "xmlstatus":
        return sofia_status.xmlstatus(call.switch, rest) or _USAGE
    if verb == "jsonstatus":
        return sofia_status.jsonstatus(call.switch)
    if verb == "profile":
        return _profile(call.switch, rest)
    if verb == "recover":
        return _recover(call.switch, rest)
    if verb == "global":
        return _global(call.switch, rest)
    if verb == "loglevel":
        name, level = [*rest, "all", "0"][:2]
        return f"Sofia log level for component [{name}] has been set to [{level}]"
    return _USAGE


def _profile(switch: Switch, rest: list[str]) -> str:
    if len(rest) < 2:
        return "Invalid Args!\n"
    name, verb, more = rest[0], rest[1].lower(), rest[2:]
    # The profile a standby takes over may be one that only the other half ran.
    strange = verb == "start" or (verb == "recover" and bool(recovery.waiting(switch, name)))
    if name not in switch.profiles and not strange:
        return f"Invalid Profile [{name}]"
    if verb == "flush_inbound_reg":
        wanted = more[0] if more else ""
        for one in list(switch.registrations.values()):
            if one.profile == name and wanted in ("", one.call_id, one.address):
                switch.threads.after(0.1, registrations.expire, switch, one)
        return f"+OK flushing all registrations{' matching specified call_id' if wanted else ''}\n"
    if verb == "rescan":
        switch.desk.fire(at.RELOADXML)
        return "Reload XML [Success]\n+OK scan complete\n"
    if verb in ("start", "restart", "stop"):
        switch.desk.fire(at.RELOADXML)
        if verb == "stop":
            switch.profiles.discard(name)
            return f"Reload XML [Success]\nstopping: {name}"
        switch.profiles.add(name)
        word = "started successfully" if verb == "start" else "restarted"
        return f"Reload XML [Success]\n{name} {word}\n" if verb == "start" else f"Reload XML [Success]\nrestarting: {name}"  # fmt: skip
    if verb == "recover":
        if more and more[0].lower() == "flush":
            recovery.flush(switch, name)
            return "Flushing recovery database.\n"
        count = recovery.recover(switch, name)
        return f"Recovered {count} session(s)\n" if count else "No sessions to recover.\n"
    if verb == "killgw":
        if not more:
            return "-ERR missing gw name\n"
        if switch.gateways.pop(more[0], None) is None:
            return "-ERR no such gateway.\n"
        return "+OK gateway marked for deletion.\n"
    if verb == "siptrace":
        on = bool(more) and more[0].lower() == "on"
        return f"{'Enabled' if on else 'Disabled'} sip debugging on {name}"
    return "-ERR Unknown command!\n"


def _recover(switch: Switch, rest: list[str]) -> str:
    if rest and rest[0].lower() == "flush":
        recovery.flush(switch, "")
        return "Flushing recovery database.\n"
    count = recovery.recover(switch, "")
    return f"Recovered {count} call(s)\n" if count else "No calls to recover.\n"


def _global(switch: Switch, rest: list[str]) -> str:
    if len(rest) > 1 and rest[0].lower() == "standby":
        switch.standby = rest[1].lower() == "on"
        return f"+OK Global standby {'on' if switch.standby else 'off'}"
    if rest and rest[0].lower() == "debug":
        return "+OK Debugging summary: presence: off sla: off\n"
    return "-ERR Usage: siptrace <on|off>|capture <on|off>|watchdog <on|off>|debug <sla|presence|none"


@command("sofia_contact")
def sofia_contact(call: Call) -> str:
    address = call.argument.rpartition("/")[2]
    if "@" not in address:
        address = f"{address}@{call.switch.settings.ipv4}"
    one = call.switch.registrations.get(address)
    if one is None:
        return "error/user_not_registered"
    return f"sofia/{one.profile}/sip:{one.user}@{one.network_ip}:{one.network_port}"


@command("sofia_count_reg")
def sofia_count_reg(call: Call) -> str:
    return "1" if call.argument in call.switch.registrations else "-1"


@command("verto_contact")
def verto_contact(call: Call) -> str:
    return "error/user_not_registered"


@command("list_users")
def list_users(call: Call) -> str:
    head = (
        "userid|context|domain|group|contact|callgroup|effective_caller_id_name|effective_caller_id_number\n"
    )
    lines = ""
    for address in call.switch.settings.directory:
        user, _, domain = address.partition("@")
        lines += f"{user}||{domain}||{sofia_contact(Call(call.switch, 'sofia_contact', address))}|||\n"
    return f"{head}{lines}\n+OK\n"
