"""Small commands that clients use to look around: module_exists, hash, regex, limits, text helpers."""

import hashlib
import ipaddress
import re
from urllib.parse import quote, unquote

from freeswitch.simulator.api import COMMANDS, Call, command
from freeswitch.simulator.lifecycle import APPS

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


@command("md5")
def md5(call: Call) -> str:
    return hashlib.md5(call.argument.encode(), usedforsecurity=False).hexdigest()


@command("url_encode")
def url_encode(call: Call) -> str:
    return quote(call.argument, safe="/*'()$!,~-_.")


@command("url_decode")
def url_decode(call: Call) -> str:
    return unquote(call.argument)


@command("toupper")
def toupper(call: Call) -> str:
    return call.argument.upper()


@command("tolower")
def tolower(call: Call) -> str:
    return call.argument.lower()


@command("cond")
def cond(call: Call) -> str:
    found = re.fullmatch(r"\s*(.*?)\s*(==|!=|>=|<=|>|<)\s*(.*?)\s*\?\s*(.*?)\s*:\s*(.*?)\s*", call.argument)
    if found is None:
        return "-ERR"
    left, operator, right, yes, no = found.groups()
    try:
        order = (float(left) > float(right)) - (float(left) < float(right))
    except ValueError:
        order = (left > right) - (left < right)
    holds = {
        "==": order == 0,
        "!=": order != 0,
        ">": order > 0,
        "<": order < 0,
        ">=": order >= 0,
        "<=": order <= 0,
    }
    return yes if holds[operator] else no


@command("regex")
def regex(call: Call) -> str:
    parts = call.argument.split("|")
    if len(parts) < 2:
        return "-ERR"
    try:
        found = re.search(parts[1], parts[0])
    except re.error:
        return "-ERR"
    if len(parts) < 3:
        return "true" if found else "false"
    if found is None:
        return parts[0]
    return re.sub(
        r"\$(\d)", lambda m: found[int(m[1])] or "" if int(m[1]) <= len(found.groups()) else "", parts[2]
    )


@command("user_exists", "domain_exists", "in_group", "file_exists")
def exists(call: Call) -> str:
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
