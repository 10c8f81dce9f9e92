"""``sim``: the command a real switch does not have, by which tests and people drive the simulator.

``sim help`` lists its verbs. Values are ``name=value`` words; a value with spaces is quoted.
"""

import json
import shlex
from typing import TYPE_CHECKING, Any

import msgspec

from freeswitch.simulator import answering, faults, holding, keys, recovery, registrations, traffic
from freeswitch.simulator.api import Call, command
from freeswitch.simulator.scripts import Caller, Digits, Person, Rule, Span
from freeswitch.simulator.sound import pitch_of
from freeswitch.simulator.switch import Refused

if TYPE_CHECKING:
    from freeswitch.simulator.server import Simulator

_HELP = """sim call to=NUMBER [number= name= profile= context= ip= port= subject= trace= uuid= count= every=
         patience= talk= pitch=HZ digits=SECONDS:KEYS] [X-Header=value]   let callers call; answers their uuids
sim rate PER_SECOND                     change the rate of the callers who come by themselves
sim callee PATTERN [ring= answer= refuse=CAUSE early= talk= pitch= digits=]   who answers when PATTERN is called
sim press UUID KEYS                     the far end presses keys
sim pitch UUID                          the pitch of the far end's voice in Hz
sim cut UUID on|off                     the browser's network is gone, or back
sim bye UUID                            the far end hangs up
sim reinvite UUID                       the far end puts us on hold (hold=on|off)
sim register USER@HOST [ip= port= profile= expires=]   sim unregister USER@HOST
sim fault NAME [...]                    stall drip rst halfopen lose segment garbage truncate freeze deaf ...
sim heartbeat SECONDS                   sim clock STEP_MS
sim restart [quiet|notice] [recoverable]   come back with a new Core-UUID, without calls
sim recoverable                         write live legs down as a dying switch would, and lose them silently
sim stats                               counters as json
"""


@command("sim")
def sim(call: Call) -> str:
    try:
        words = shlex.split(call.argument)
    except ValueError:
        return "-ERR quotes\n"
    if not words or words[0] == "help":
        return _HELP
    known = _VERBS.get(words[0])
    if known is None:
        return f"-ERR no verb {words[0]}\n"
    try:
        return known(call, words[1:])
    except (ValueError, KeyError, IndexError) as error:
        return f"-ERR {error}\n"


def _values(words: list[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words if "=" in word)


def _span(text: str) -> Span:
    """Return the span that ``3``, ``3-9`` or ``3-9~5`` (exponential around 5) means."""
    span, _, mean = text.partition("~")
    low, dash, high = span.partition("-")
    return Span(float(low), float(high) if dash else float(low), float(mean) if mean else 0.0)


def _digits(text: str) -> tuple[Digits, ...]:
    return tuple(
        Digits(float(after), keys)
        for after, _, keys in (one.partition(":") for one in text.split(",") if one)
    )


def _person(values: dict[str, str], **more: Any) -> Person:
    fields: dict[str, Any] = dict(more)
    for name, field in (
        ("patience", "patience"),
        ("talk", "talk"),
        ("ring", "ring_after"),
        ("answer", "answer_after"),
    ):
        if name in values:
            fields[field] = _span(values[name])
    if "refuse" in values:
        fields["refuse"] = values["refuse"]
    if "digits" in values:
        fields["digits"] = _digits(values["digits"])
    if "pitch" in values:
        fields["pitch"] = int(values["pitch"])
    if values.get("early") in ("1", "true", "on"):
        fields["early_media"] = True
    return Person(**fields)


def _call(call: Call, words: list[str]) -> str:
    values = _values(words)
    fields: dict[str, Any] = {
        name: values[name]
        for name in ("number", "name", "profile", "context", "ip", "subject", "trace")
        if name in values
    }
    if "port" in values:
        fields["port"] = int(values["port"])
    headers = {name: value for name, value in values.items() if name.startswith("X-")}
    caller = Caller(destination=values["to"], headers=headers, **fields)
    person = _person(values)
    count, every = int(values.get("count", "1")), float(values.get("every", "0"))
    switch = call.switch
    if count == 1:
        try:
            return f"+OK {traffic.call_in(switch, caller, person, uuid=values.get('uuid', '')).uuid}\n"
        except Refused:
            return "-ERR 503\n"
    for n in range(count):
        switch.threads.after(n * every, _one_call, call, caller, person)
    return f"+OK {count} calls\n"


def _one_call(call: Call, caller: Caller, person: Person) -> None:
    try:
        traffic.call_in(call.switch, caller, person)
    except Refused:
        call.switch.refused_calls += 1


def _rate(call: Call, words: list[str]) -> str:
    stream = _simulator(call).stream
    stream.rate(float(words[0]))
    return f"+OK {stream.per_second:g} a second\n"


def _simulator(call: Call) -> "Simulator":
    control: Simulator | None = call.switch.control
    if control is None:
        raise ValueError("no program around this switch")
    return control


def _callee(call: Call, words: list[str]) -> str:
    values = _values(words[1:])
    rule = Rule(words[0], _person(values))
    traffic_now = call.switch.traffic
    call.switch.traffic = msgspec.structs.replace(traffic_now, rules=(rule, *traffic_now.rules))
    return "+OK\n"


def _press(call: Call, words: list[str]) -> str:
    channel = call.switch.channels[words[0]]
    for key in words[1]:
        keys.press(channel, key)
    return "+OK\n"


def _pitch(call: Call, words: list[str]) -> str:
    channel = call.switch.channels[words[0]]
    return f"+OK {channel.pitch or pitch_of(channel.uuid)}\n"


def _cut(call: Call, words: list[str]) -> str:
    leg = call.switch.channels[words[0]].leg
    if leg is None:
        return "-ERR no browser\n"
    leg.port.cut = words[1] == "on"
    return "+OK\n"


def _bye(call: Call, words: list[str]) -> str:
    answering.far_end_hangs_up(call.switch.channels[words[0]])
    return "+OK\n"


def _reinvite(call: Call, words: list[str]) -> str:
    channel = call.switch.channels[words[0]]
    if _values(words).get("hold", "on") == "on":
        holding.hold(channel)
    else:
        holding.unhold(channel)
    return "+OK\n"


def _register(call: Call, words: list[str]) -> str:
    user, _, host = words[0].partition("@")
    values = _values(words[1:])
    registrations.register(
        call.switch,
        user,
        host or call.switch.settings.ipv4,
        profile=values.get("profile", "internal"),
        ip=values.get("ip", "127.0.0.1"),
        port=int(values.get("port", "5062")),
        expires_s=int(values.get("expires", "60")),
    )
    return "+OK\n"


def _unregister(call: Call, words: list[str]) -> str:
    return "+OK\n" if registrations.unregister(call.switch, words[0]) else "-ERR not registered\n"


def _fault(call: Call, words: list[str]) -> str:
    asking = call.listener.number if call.listener is not None else 0
    return faults.apply(_simulator(call), words[0], words[1:], asking)


def _heartbeat(call: Call, words: list[str]) -> str:
    call.switch.heartbeat.every(max(0.05, float(words[0])))
    return "+OK\n"


def _clock(call: Call, words: list[str]) -> str:
    call.switch.clock.step(round(float(words[0]) * 1000))
    return "+OK\n"


def _restart(call: Call, words: list[str]) -> str:
    simulator = _simulator(call)
    rows = recovery.remember(call.switch) if "recoverable" in words else []
    notice = "The system is being shut down.\n" if "notice" in words else ""

    def restart() -> None:
        simulator.restart(notice)
        simulator.switch.recoverable = rows

    call.switch.threads.after(0.01, restart)
    return "+OK restarting\n"


def _recoverable(call: Call, words: list[str]) -> str:
    """Write the live legs down and drop them without an event, as if another switch had died with them."""
    switch = call.switch
    rows = recovery.remember(switch)
    browsers = [channel.uuid for channel in switch.channels.values() if channel.leg is not None]
    for uuid in (*(row.uuid for row in rows), *browsers):
        channel = switch.channels.pop(uuid)
        channel.stopping = True
        if channel.leg is not None:
            channel.leg.lose()
        channel.state = 12
        for recording in channel.recordings.values():
            recording.close()
    switch.recoverable = [*switch.recoverable, *rows]
    return f"+OK {len(rows)} legs\n"


def _stats(call: Call, words: list[str]) -> str:
    switch, simulator = call.switch, _simulator(call)
    stats = {
        "core_uuid": switch.core_uuid,
        "channels": len(switch.channels),
        "sessions_since_startup": switch.sessions_since_startup,
        "listeners": {
            str(number): {
                "queued": len(listener.queue),
                "lost": listener.lost,
                "commands": listener.commands,
                "sent": simulator.wires[number].sent if number in simulator.wires else 0,
                "kept": simulator.wires[number].waiting if number in simulator.wires else 0,
            }
            for number, listener in switch.listeners.items()
        },
        "events_fired": switch.desk.fired,
        "events_rendered": switch.desk.rendered,
        "events_lost": switch.desk.lost,
        "timers": len(switch.threads),
        "arrived": simulator.stream.arrived,
        "refused": simulator.stream.refused + switch.refused_calls,
        "skipped": simulator.stream.skipped,
        "restarts": simulator.restarts,
        "conferences": len(switch.conferences),
    }
    return json.dumps(stats) + "\n"


_VERBS = {
    "call": _call,
    "rate": _rate,
    "callee": _callee,
    "press": _press,
    "pitch": _pitch,
    "cut": _cut,
    "bye": _bye,
    "reinvite": _reinvite,
    "register": _register,
    "unregister": _unregister,
    "fault": _fault,
    "heartbeat": _heartbeat,
    "clock": _clock,
    "restart": _restart,
    "recoverable": _recoverable,
    "stats": _stats,
}
