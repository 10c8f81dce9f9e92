"""Commands that turn text into text: globals, expanding, time, strings, small questions about the machine."""

import hashlib
import re
import shlex
import time
from urllib.parse import quote, unquote

from freeswitch.simulator.api import Call, command, run
from freeswitch.simulator.channel import Channel

_CODED = "/*'()$!,~-_."


@command("global_getvar")
def global_getvar(call: Call) -> str:
    sw = call.switch
    if call.argument:
        return sw.globals.get(call.argument, "")
    return "".join(f"{name}={value}\n" for name, value in sw.globals.items())


@command("global_setvar")
def global_setvar(call: Call) -> str:
    """``NAME=VALUE``, or ``NAME=VALUE=OLD`` which acts only while OLD stands there; both say ``+OK``."""
    name, _, value = call.argument.partition("=")
    if not name:
        return "-USAGE: <var>=<value> [=<value2>]\n"
    value, _, old = value.partition("=")
    held = call.switch.globals
    if old and held.get(name) != old:
        return "+OK"
    if value:
        held[name] = value
    else:
        held.pop(name, None)
    return "+OK"


@command("echo")
def echo(call: Call) -> str:
    return call.argument.lstrip(" ")


def _expanded(call: Call, text: str, channel: Channel | None) -> str:
    def value(found: re.Match[str]) -> str:
        if channel is not None:
            return channel.look_up(found[1]) or ""
        return call.switch.globals.get(found[1], "")

    return re.sub(r"\$\$?\{([^}{]*)\}", value, text)


def _of_channel(call: Call) -> tuple[Channel | None, str]:
    """Split ``uuid:<uuid> text`` into the channel and the text."""
    if not call.argument.startswith("uuid:"):
        return None, call.argument
    uuid, _, text = call.argument[5:].partition(" ")
    return call.switch.locate(uuid), text


@command("eval")
def evaluate(call: Call) -> str:
    channel, text = _of_channel(call)
    return _expanded(call, text, channel)


@command("expand")
def expand(call: Call) -> str:
    """Replace variables in the arguments of a command and run it; commands that take time answer nothing."""
    channel, text = _of_channel(call)
    if not text:
        return "-ERR No input\n"
    name, _, argument = text.partition(" ")
    answers: list[str] = []
    inner = Call(call.switch, name, _expanded(call, argument, channel), listener=call.listener)
    if not run(inner, answers.append):
        return "INVALID COMMAND!\n-ERR Cannot execute command\n"
    return answers[0] if answers else ""


@command("strftime")
def strftime(call: Call) -> str:
    at_s = call.switch.clock.now_us() // 1_000_000
    form = call.argument
    if "|" in form:
        first, _, form = form.partition("|")
        form = form[1:]  # FreeSWITCH steps over one letter too many
        found = re.match(r"\s*\d+", first)
        at_s = int(found[0]) if found else 0
    return time.strftime(form or "%Y-%m-%d %T", time.localtime(at_s))


@command("strepoch")
def strepoch(call: Call) -> str:
    return str(call.switch.clock.now_us() // 1_000_000)


@command("md5")
def md5(call: Call) -> str:
    return hashlib.md5(call.argument.encode(), usedforsecurity=False).hexdigest()


@command("url_encode")
def url_encode(call: Call) -> str:
    return quote(call.argument, safe=_CODED)


@command("url_decode")
def url_decode(call: Call) -> str:
    return unquote(call.argument)


@command("toupper")
def toupper(call: Call) -> str:
    return call.argument.upper()


@command("tolower")
def tolower(call: Call) -> str:
    return call.argument.lower()


@command("escape")
def escape(call: Call) -> str:
    return call.argument


@command("quote_shell_arg")
def quote_shell_arg(call: Call) -> str:
    return shlex.quote(call.argument) if shlex.quote(call.argument) != call.argument else f"'{call.argument}'"


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
    groups = found.groups()
    return re.sub(r"\$(\d)", lambda m: found[int(m[1])] or "" if int(m[1]) <= len(groups) else "", parts[2])


@command("replace")
def replace(call: Call) -> str:
    """``data|search|substitute``."""
    parts = call.argument.split("|")
    return parts[0].replace(parts[1], parts[2]) if len(parts) == 3 and parts[1] else "-ERR"
