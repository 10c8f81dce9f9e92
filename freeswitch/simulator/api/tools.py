"""Small commands that clients use to look around: modules, hash, limits, access lists, users."""

import ipaddress
from pathlib import Path

from freeswitch.simulator.api import COMMANDS, Call, command
from freeswitch.simulator.executing import APPS

_MODULES = [
    "mod_commands",
    "mod_dptools",
    "mod_sofia",
    "mod_loopback",
    "mod_conference",
    "mod_event_socket",
    "mod_hash",
    "mod_tone_stream",
    "mod_sndfile",
    "mod_native_file",
    "mod_dialplan_xml",
    "mod_console",
    "mod_logfile",
    "mod_opus",
    "CORE_PCM_MODULE",
]


@command("module_exists")
def module_exists(call: Call) -> str:
    return "true" if call.argument.strip() in _MODULES else "false"


@command("load", "reload")
def load(call: Call) -> str:
    name = call.argument.strip()
    if not name:
        return "-USAGE: <mod_name>\n"
    if name not in _MODULES:
        return "+OK Reloading XML\n-ERR [module load file routine returned an error]\n"
    if call.name.lower() == "reload":
        return "+OK Reloading XML\n+OK module unloaded\n+OK module loaded\n"
    return "+OK Reloading XML\n-ERR [Module already loaded]\n"


@command("unload")
def unload(call: Call) -> str:
    return (
        "-ERR [No such module!]\n"
        if call.argument.strip() not in _MODULES
        else "-ERR [Module is not unloadable]\n"
    )


@command("hash")
def hash_command(call: Call) -> str:
    parts = call.argument.split("/", 3)
    usage = "-ERR Usage: hash insert|insert_ifempty|select|delete|delete_ifmatch/realm/key[/value]\n"
    if len(parts) < 3:
        return usage
    verb, key = parts[0], (parts[1], parts[2])
    table = call.switch.hash
    if verb == "insert" and len(parts) == 4:
        table[key] = parts[3]
        return "+OK\n"
    if verb == "insert_ifempty" and len(parts) == 4:
        if key in table:
            return "-ERR key already exists\n"
        table[key] = parts[3]
        return "+OK\n"
    if verb == "delete":
        return "+OK\n" if table.pop(key, None) is not None else "-ERR Not found\n"
    if verb == "select":
        return table.get(key, "")
    return usage


@command("limit_usage")
def limit_usage(call: Call) -> str:
    return "0" if len(call.words()) >= 3 else "USAGE: limit_usage <backend> <realm> <id> [rate]\n"


@command("limit_hash_usage")
def limit_hash_usage(call: Call) -> str:
    return "0"


@command("limit_status")
def limit_status(call: Call) -> str:
    return "-ERR not supported yet (locking problems)."


def _known_user(call: Call, text: str) -> bool:
    user, _, domain = text.partition("@")
    return f"{user}@{domain or call.switch.settings.ipv4}" in call.switch.settings.directory


@command("user_exists")
def user_exists(call: Call) -> str:
    words = call.words()
    return "true" if len(words) > 2 and _known_user(call, f"{words[1]}@{words[2]}") else "false"


@command("domain_exists", "in_group")
def exists(call: Call) -> str:
    return "false"


@command("file_exists")
def file_exists(call: Call) -> str:
    return "true" if Path(call.argument.strip()).exists() else "false"


@command("user_data", "find_user_xml", "sofia_username_of", "sofia_presence_data", "system")
def nothing(call: Call) -> str:
    """Answer what these say when they find nothing (`system` runs nothing here)."""
    return "-ERR bad args\n" if call.name.lower() == "find_user_xml" else ""


@command("group_call")
def group_call(call: Call) -> str:
    return "error/NO_ROUTE_DESTINATION"


@command("getenv")
def getenv(call: Call) -> str:
    """Answer that there is no such variable: the environment of the simulator is nobody's business."""
    return "_undef_"


@command("host_lookup")
def host_lookup(call: Call) -> str:
    return (
        "127.0.0.1" if call.argument == "localhost" else "!err!" if call.argument else "parameter missing\n"
    )


@command("nat_map")
def nat_map(call: Call) -> str:
    return "false"


@command("acl")
def acl(call: Call) -> str:
    address, _, name = call.argument.partition(" ")
    try:
        loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        return "false"
    return "true" if loopback and name in ("loopback.auto", "irisx_controllers") else "false"


@command("is_lan_addr")
def is_lan_addr(call: Call) -> str:
    try:
        return "true" if ipaddress.ip_address(call.argument.strip()).is_private else "false"
    except ValueError:
        return "false"


@command("help")
def help_command(call: Call) -> str:
    """List what is simulated; a real switch lists some two hundred."""
    lines = [f"{name},,,mod_commands" for name in sorted(COMMANDS) if name != "sim"]
    return "\nValid Commands:\n\n" + "\n".join(lines) + f"\n\n{len(APPS)} applications\n"


@command("bg_system", "bgsystem")
def bg_system(call: Call) -> str:
    return "+OK\n"


_USAGES = {
    "alias": "-USAGE: [add|stickyadd] <alias> <command> | del [<alias>|*]\n",
    "complete": "-USAGE: add <word>|del [<word>|*]\n",
    "time_test": "parameter missing\n",
    "interface_ip": "USAGE: interface_ip [auto|ipv4|ipv6] <ifname>\n",
    "event_sink": "This is a web application!\n",
    "stun": "-STUN Failed! NO STUN SERVER\n",
    "pool_stats": "Unable to get core pool statictics. Please rebuild FreeSWITCH with --enable-pool-debug",
    "say_string": "-ERR Usage: <module_name>[.<ext>] <lang>[.<ext>] <say_type> <say_method> [<say_gender>] <text>\n",
}


@command(*_USAGES)
def usage(call: Call) -> str:
    """Explain a command that the simulator does not have beyond its usage."""
    return _USAGES[call.name.lower()]
