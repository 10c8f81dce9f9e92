"""Commands that make calls or join them: originate, uuid_bridge."""

from freeswitch.simulator import joining, originate
from freeswitch.simulator.api import Call, command
from freeswitch.simulator.timing import Thread

_USAGE = (
    "-USAGE: <call url> <exten>|&<application_name>(<app_args>) [<dialplan>] [<context>] [<cid_name>] [<cid_num>] "
    "[<timeout_sec>]\n"
)


@command("originate")
def originate_command(call: Call) -> "str | Thread":
    words = [word for word in call.words(10)]
    if not 2 <= len(words) <= 7:
        return _USAGE
    return _originate(call, words)


def _originate(call: Call, words: list[str]) -> Thread:
    filled = ["" if word.lower() == "undef" else word for word in words] + [""] * 7
    dial, destination, dialplan, context, name, number, timeout = filled[:7]
    leg, cause = yield from originate.call(
        call.switch,
        dial,
        name=name,
        number=number,
        timeout_s=float(timeout) if timeout.isdigit() and int(timeout) else originate.DEFAULT_TIMEOUT_S,
    )
    if leg is None:
        return f"-ERR {cause}\n"
    if not leg.down:
        originate.send_to(leg, destination, dialplan or "XML", context or "default")
    # The answer is given when the leg's thread has begun with what it was sent to.
    yield call.switch.settings.tick_s
    return f"+OK {leg.uuid}\n"


@command("uuid_bridge")
def uuid_bridge(call: Call) -> str:
    words = call.words()
    if len(words) != 2:
        return "-USAGE: <uuid> <other_uuid>\n"
    first, second = (call.switch.locate(word) for word in words)
    if first is None or second is None or first is second or not joining.join(first, second):
        return "-ERR Invalid uuid\n"
    return f"+OK {words[1]}\n"
