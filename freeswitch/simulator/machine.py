"""Puts a simulated switch together: the core, its dialplan, its commands. Still no sockets and no real time.

The program (`server`) drives one with trio's clock; tests drive one with a clock of their own.
"""

import random
from collections.abc import Callable

from freeswitch.simulator import api, executing, modules
from freeswitch.simulator.dialplan import Dialplan
from freeswitch.simulator.settings import SimulatorSettings
from freeswitch.simulator.switch import Switch
from freeswitch.simulator.wire import to_bytes


def assemble(
    settings: SimulatorSettings,
    monotonic: Callable[[], float],
    on_earlier: Callable[[], None] = lambda: None,
    *,
    core_uuid: str = "",
    rng: random.Random | None = None,
    now_us: int | None = None,
) -> Switch:
    """Return a switch that runs when its ``threads`` are run; ``on_earlier`` is called when that is sooner.

    ``now_us`` is its wall clock's start in microseconds; None reads the machine's. With the same seed and the
    same start two switches to which the same happens send the same bytes.
    """
    modules.load()
    switch = Switch(settings, monotonic, on_earlier, core_uuid=core_uuid, rng=rng, now_us=now_us)
    switch.route = Dialplan(settings.contexts).route
    switch.run_application = lambda channel, name, data: switch.threads.spawn(
        executing.execute(channel, name, data)
    )
    switch.run_api = lambda line: api.run_line(switch, line)

    def log(level: int, text: str, file: str, function: str, line: int, user: str) -> None:
        data = to_bytes(text)
        head = (
            f"Content-Type: log/data\nContent-Length: {len(data)}\nLog-Level: {level}\nText-Channel: 0\n"
            f"Log-File: {file}\nLog-Func: {function}\nLog-Line: {line}\nUser-Data: {user}\n\n"
        ).encode()
        for listener in list(switch.listeners.values()):
            listener.log_line(level, head, data)

    switch.on_log = log
    return switch
