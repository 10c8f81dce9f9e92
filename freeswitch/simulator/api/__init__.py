"""The api commands: a registry, and how one is run.

A command is a function that gives back its output, or a generator (a thread of the simulator) when it takes
time; ``api`` then blocks its connection until the generator ends. Every run is followed by an API event that
was created, and so numbered, before the command ran.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from freeswitch.simulator import origins as at
from freeswitch.simulator.switch import Switch
from freeswitch.simulator.timing import Thread
from freeswitch.simulator.wire import Pair

if TYPE_CHECKING:
    from freeswitch.simulator.listener import Listener


class Call:
    """One invocation of an api command."""

    __slots__ = ("argument", "background", "listener", "name", "switch")

    def __init__(
        self,
        switch: Switch,
        name: str,
        argument: str = "",
        *,
        listener: "Listener | None" = None,
        background: bool = False,
    ) -> None:
        self.switch = switch
        self.name = name
        self.argument = argument
        self.listener = listener
        self.background = background

    def words(self, limit: int = -1) -> list[str]:
        """Return the arguments, quoted words as one, at most ``limit`` of them (the last takes the rest)."""
        return split_words(self.argument, limit)


Handler = Callable[[Call], "str | Thread"]
COMMANDS: dict[str, Handler] = {}


def command(*names: str) -> Callable[[Handler], Handler]:
    """Register an api command under its names (FreeSWITCH looks them up in any case)."""

    def register(handler: Handler) -> Handler:
        for name in names:
            COMMANDS[name] = handler
        return handler

    return register


ESCAPED = ("'", '"', "\\")
"""What a backslash protects, and then leaves (cleanup_separated_string in switch_utils.c); before others it stays."""


def split_words(text: str, limit: int = -1) -> list[str]:
    """Split at spaces outside single quotes, as switch_separate_string does; quotes go away."""
    words: list[str] = []
    current: list[str] = []
    begun = quoted = False
    n = 0
    while n < len(text):
        letter = text[n]
        if letter == "\\" and text[n + 1 : n + 2] in ESCAPED:
            n += 1
            current.append(text[n])
            begun = True
        elif letter == "'" and (quoted or not current):
            quoted = not quoted
            begun = True
        elif letter == " " and not quoted:
            if begun:
                words.append("".join(current))
                current, begun = [], False
                if limit > 0 and len(words) == limit - 1:
                    rest = text[n + 1 :].strip(" ")
                    if rest:
                        words.append(rest[1:-1] if len(rest) > 1 and rest[0] == rest[-1] == "'" else rest)
                    return words
        else:
            current.append(letter)
            begun = True
        n += 1
    if begun:
        words.append("".join(current))
    return words


def run(call: Call, finish: Callable[[str], Any]) -> bool:
    """Run a command and give its output to ``finish``, now or when it is done. False: there is none such."""
    switch = call.switch
    stamp = switch.desk.stamp()
    handler = COMMANDS.get(call.name.lower())
    headers: list[Pair] = [("API-Command", call.name)]
    if call.argument:
        headers.append(("API-Command-Argument", call.argument))

    def done(text: str) -> None:
        switch.desk.fire(at.API, before=headers, stamp=stamp)
        finish(text)

    if handler is None:
        done(f"-ERR {call.name} Command not found!\n")
        return False
    output = handler(call)
    if isinstance(output, str):
        done(output)
        return True

    def wait() -> Thread:
        done((yield from output))

    switch.threads.spawn(wait())
    return True


def run_line(switch: Switch, line: str) -> None:
    """Run a line whose output nobody reads."""
    name, _, argument = line.strip().partition(" ")
    if name:
        run(Call(switch, name, argument), lambda text: None)
