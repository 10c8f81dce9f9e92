"""Faults on purpose: what networks and busy switches do to a client, switched on and off by name.

``api sim fault NAME ...`` leads here; the lasting ones can also be set from the start (`FaultSettings`).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from freeswitch.simulator.desk import Fired
from freeswitch.simulator.switch import Switch
from freeswitch.simulator.transport import Wire

if TYPE_CHECKING:
    from freeswitch.simulator.listener import Listener
    from freeswitch.simulator.server import Simulator

_GARBAGE = {
    "length": b"Content-Length: 99x9\nContent-Type: text/event-plain\n\nEvent-Name: HEARTBEAT\n\n",
    "type": b"Content-Type: text/x-unknown\nContent-Length: 7\n\nnothing",
    "noise": bytes(range(1, 32)) + b"\n\n",
    "header": b"this line has no colon\nContent-Type: text/event-plain\n\n",
    "huge": b"Content-Length: 99999999999\nContent-Type: text/event-plain\n\n",
}
_DUPLICATE = (
    b'{"Event-Name":"CUSTOM","Event-Subclass":"sim::duplicate","Event-Name":"CUSTOM",'
    b'"Content-Length":"3","X":"1","X":"2","_body":"abc","_body":"abc"}'
)
_BAD_UTF8 = b'{"Event-Name":"CUSTOM","Event-Subclass":"sim::bad-utf8","Caller-Caller-ID-Name":"Zo\xff\xfe"}'


def on(switch: Switch, name: str) -> bool:
    """Say whether a lasting fault is switched on."""
    return name in switch.faults_on


def _targets(simulator: "Simulator", word: str, asking: int) -> list[Wire]:
    """Return the connections meant: ``all``, ``others`` (not the one that asks), ``self``, or a number."""
    wires = simulator.wires
    if word in ("", "others"):
        return [wire for number, wire in wires.items() if number != asking]
    if word == "all":
        return list(wires.values())
    if word == "self":
        return [wires[asking]] if asking in wires else []
    return [wires[int(word)]] if word.isdigit() and int(word) in wires else []


def apply(simulator: "Simulator", name: str, words: list[str], asking: int) -> str:
    """Switch a fault on or off; returns what was done, or ``-ERR``."""
    known = _FAULTS.get(name)
    if known is None:
        return f"-ERR no fault {name}; there are: {' '.join(_FAULTS)}\n"
    return known(simulator, words, asking)


def _stall(simulator: "Simulator", words: list[str], asking: int) -> str:
    """``stall on|off [all|others|self|N]``: the listener threads neither read nor write."""
    off = words[:1] == ["off"]
    wires = _targets(simulator, words[1] if len(words) > 1 else "others", asking)
    for wire in wires:
        if off:
            wire.resume()
        else:
            wire.stalled = True
    return f"+OK {len(wires)} {'resumed' if off else 'stalled'}\n"


def _drip(simulator: "Simulator", words: list[str], asking: int) -> str:
    """``drip BYTES_A_SECOND [who]``; 0 ends it."""
    rate = int(words[0]) if words and words[0].isdigit() else 0
    wires = _targets(simulator, words[1] if len(words) > 1 else "others", asking)
    for wire in wires:
        wire.drip_bytes_s = rate
    return f"+OK {len(wires)} at {rate} bytes a second\n"


def _reset(simulator: "Simulator", words: list[str], asking: int) -> str:
    """``rst [who]``: tear connections down with a RST."""
    wires = _targets(simulator, words[0] if words else "others", asking)
    for wire in wires:
        wire.reset()
    return f"+OK {len(wires)} reset\n"


def _half_open(simulator: "Simulator", words: list[str], asking: int) -> str:
    """``halfopen [who]``: the switch forgets connections without a word; the peer's stay open."""
    wires = _targets(simulator, words[0] if words else "others", asking)
    for wire in wires:
        wire.stalled = True
        for listener in list(simulator.switch.listeners.values()):
            if listener.pipe is wire:
                simulator.switch.listeners.pop(listener.number, None)
                listener.closed = True
    simulator.switch.desk.changed()
    return f"+OK {len(wires)} forgotten\n"


def _lose(simulator: "Simulator", words: list[str], asking: int) -> str:
    """``lose N``: silently lose every Nth event; 0 ends it."""
    simulator.switch.desk.lose_every = int(words[0]) if words and words[0].isdigit() else 0
    return f"+OK losing every {simulator.switch.desk.lose_every}\n"


def _segment(simulator: "Simulator", words: list[str], asking: int) -> str:
    """``segment on|off``: cut everything that is sent at random places."""
    cut = words[:1] != ["off"]
    simulator.switch.faults_on.discard("segment")
    if cut:
        simulator.switch.faults_on.add("segment")
    for wire in simulator.wires.values():
        wire.segment = cut
    return f"+OK segmenting {'on' if cut else 'off'}\n"


def _garbage(simulator: "Simulator", words: list[str], asking: int) -> str:
    """``garbage KIND [who]``: send bytes that are no frame (length type noise header huge)."""
    kind = words[0] if words else "noise"
    if kind not in _GARBAGE:
        return f"-ERR kinds: {' '.join(_GARBAGE)}\n"
    wires = _targets(simulator, words[1] if len(words) > 1 else "others", asking)
    for wire in wires:
        wire.send(_GARBAGE[kind])
    return f"+OK {len(wires)}\n"


def _truncate(simulator: "Simulator", words: list[str], asking: int) -> str:
    """``truncate BYTES [who]``: reset connections after so many more bytes, in the middle of a frame."""
    count = int(words[0]) if words and words[0].isdigit() else 100
    wires = _targets(simulator, words[1] if len(words) > 1 else "others", asking)
    for wire in wires:
        wire.cut_after = count
    return f"+OK {len(wires)}\n"


def _raw_json(body: bytes) -> Callable[["Simulator", list[str], int], str]:
    def send(simulator: "Simulator", words: list[str], asking: int) -> str:
        wires = _targets(simulator, words[0] if words else "others", asking)
        for wire in wires:
            wire.send(b"Content-Length: %d\nContent-Type: text/event-json\n\n" % len(body))
            wire.send(body)
        return f"+OK {len(wires)}\n"

    return send


def _names(simulator: "Simulator", words: list[str], asking: int) -> str:
    """``utf8 on|off``: new callers' names carry a byte that is not UTF-8."""
    simulator.switch.invalid_utf8 = words[:1] != ["off"]
    return f"+OK {'on' if simulator.switch.invalid_utf8 else 'off'}\n"


def _deaf(simulator: "Simulator", words: list[str], asking: int) -> str:
    """``deaf on|off``: nobody accepts connections."""
    simulator.accepting = words[:1] == ["off"]
    return f"+OK {'accepting' if simulator.accepting else 'deaf'}\n"


def _freeze(simulator: "Simulator", words: list[str], asking: int) -> str:
    """``freeze SECONDS``: every connection stands still, as when one client is stuck (facts 0.1)."""
    seconds = float(words[0]) if words else 1.0
    freeze(simulator, seconds)
    return f"+OK frozen for {seconds:g} s\n"


def freeze(simulator: "Simulator", seconds: float | None) -> None:
    """Stop event dispatch and all listeners for ``seconds``, or until `thaw` when None."""
    switch = simulator.switch
    if switch.frozen:
        return
    switch.frozen = True
    waiting: list[tuple[Fired, list[object]]] = []

    def keep(event: Fired, takers: list[object]) -> None:
        # Render now: the channel will have changed by the time dispatch goes on.
        for form in ("plain", "json", "xml"):
            if any(getattr(getattr(taker, "interest", None), "form", "") == form for taker in takers):
                event.frame(form)
        event.pairs()
        waiting.append((event, takers))

    switch.desk.dispatch = keep  # type: ignore[assignment]
    switch.frozen_events = waiting
    if seconds is not None:
        switch.threads.after(seconds, thaw, simulator)


STUCK_LIMIT_S = 600.0
"""After so long the write gives up, and with it the frozen state."""
_LOOK_S = 0.05


def stuck(simulator: "Simulator", listener: "Listener") -> None:
    """Freeze everything until the peer of ``listener`` reads, goes away, or `STUCK_LIMIT_S` are over."""
    freeze(simulator, None)
    _wait_for(simulator, listener, simulator.switch.monotonic() + STUCK_LIMIT_S)


def _wait_for(simulator: "Simulator", listener: "Listener", until: float) -> None:
    switch = simulator.switch
    if not listener.closed and listener.pipe.congested and switch.monotonic() < until:
        switch.threads.after(_LOOK_S, _wait_for, simulator, listener, until)
        return
    listener.stalled = False
    listener.disconnect("killed listener because of lost events\n")
    thaw(simulator)


def thaw(simulator: "Simulator") -> None:
    """Let everything go on: what was fired meanwhile is delivered at once."""
    switch = simulator.switch
    if not switch.frozen:
        return
    switch.frozen = False
    switch.desk.dispatch = None
    for event, takers in switch.frozen_events:
        for taker in takers:
            taker.offer(event)
    switch.frozen_events = []
    for listener in list(switch.listeners.values()):
        listener.pump()


_FAULTS: dict[str, Callable[["Simulator", list[str], int], str]] = {
    "stall": _stall,
    "drip": _drip,
    "rst": _reset,
    "halfopen": _half_open,
    "lose": _lose,
    "segment": _segment,
    "garbage": _garbage,
    "truncate": _truncate,
    "duplicate-keys": _raw_json(_DUPLICATE),
    "bad-utf8-json": _raw_json(_BAD_UTF8),
    "utf8": _names,
    "deaf": _deaf,
    "freeze": _freeze,
}
