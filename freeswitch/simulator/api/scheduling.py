"""sched_* and unsched_api."""

from freeswitch.simulator import private, schedule, transfer
from freeswitch.simulator.api import COMMANDS, Call, command, run_line

_API_USAGE = "-ERR Invalid syntax. USAGE: [+@]<time> <group_name> <command_string>[&]\n"


@command("sched_api")
def sched_api(call: Call) -> str:
    words = call.argument.split(" ", 2)
    if len(words) < 3 or not words[2]:
        return _API_USAGE
    switch, line = call.switch, words[2].removesuffix("&").rstrip()
    job = switch.scheduler.add(
        words[0], "sched_api_function", words[1], lambda: run_line(switch, line), repeat=True
    )
    return f"+OK Added: {job.number}\n"


@command("unsched_api")
def unsched_api(call: Call) -> str:
    name = call.argument.strip()
    if not name:
        return ""
    if name.isdigit():
        return "+OK\n" if call.switch.scheduler.remove(name) else "-ERR No such id\n"
    call.switch.scheduler.remove(name)
    return ""


@command("sched_del")
def sched_del(call: Call) -> str:
    return f"+OK Deleted: {call.switch.scheduler.remove(call.argument.strip())}\n"


@command("sched_hangup")
def sched_hangup(call: Call) -> str:
    words = call.words(3)
    if not words:
        return "-USAGE: [+]<time> <uuid> [<cause>]\n"
    switch = call.switch
    channel = switch.locate(words[1]) if len(words) > 1 else None
    if channel is None:
        return "-ERR No such channel!\n"
    cause = private.cause_of(words[2]) if len(words) > 2 else "ALLOTTED_TIMEOUT"
    schedule.end_call(switch, words[0], channel.uuid, cause)
    return "+OK\n"


@command("sched_transfer")
def sched_transfer(call: Call) -> str:
    words = call.words(6)
    if len(words) < 3:
        return "-USAGE: [+]<time> <uuid> <extension> [<dialplan>] [<context>]\n"
    switch = call.switch
    if switch.locate(words[1]) is None:
        return "-ERR No such channel!\n"

    def move() -> None:
        found = switch.locate(words[1])
        if found is not None:
            transfer.go(
                found, words[2], words[3] if len(words) > 3 else "", words[4] if len(words) > 4 else ""
            )

    switch.scheduler.add(words[0], "switch_ivr_schedule_transfer", words[1], move)
    return "+OK\n"


@command("sched_broadcast")
def sched_broadcast(call: Call) -> str:
    words = call.words(4)
    if len(words) < 3:
        return "-USAGE: [+]<time> <uuid> <path> [aleg|bleg|both]\n"
    switch, rest = call.switch, " ".join([*words[1:], *([] if len(words) > 3 else ["aleg"])])

    def play() -> None:
        COMMANDS["uuid_broadcast"](Call(switch, "uuid_broadcast", rest))

    if words[1] in switch.channels:
        switch.scheduler.add(words[0], "switch_ivr_schedule_broadcast", words[1], play)
    return "+OK Message scheduled\n"
