"""What `irisx up` says on the terminal.

Written by a thread of its own from a bounded queue: a terminal that is held (Ctrl-S) or slow must never keep the
supervisor from bringing a dead controller back. Lines that do not fit are counted and the count is shown.
"""

import contextlib
import queue
import sys
import threading

import msgspec
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from api.up.logs import Line

WAITING = 2000
"""Lines that may wait for the terminal."""
FLUSH_S = 2.0
_COLOURS = ("cyan", "magenta", "green", "blue", "yellow", "bright_cyan", "bright_magenta")
_LEVEL_STYLE = {"warning": "yellow", "error": "red", "critical": "bold red", "debug": "dim"}


class Terminal:
    """Prints, in order, without ever making the caller wait."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._queue: queue.Queue[Text | Panel | None] = queue.Queue(WAITING)
        self._passed_over = 0
        self._colours: dict[str, str] = {}
        self._thread = threading.Thread(target=self._print, name="terminal", daemon=True)
        self._thread.start()

    def begin(self, number: int, total: int, name: str, about: str) -> None:
        self._put(Text.assemble((f"[{number}/{total}] ", "dim"), (f"{name:<14}", "bold"), (about, "dim")))

    def done(self, number: int, total: int, name: str, about: str, seconds: float) -> None:
        what = f"      ready after {seconds:.1f} s" if seconds >= 1 else "      ready"
        self._put(Text(what, style="green"))

    def note(self, name: str, text: str, *, bad: bool = False) -> None:
        self._put(Text.assemble((f"{name:<13} ", self._colour(name)), (text, "red" if bad else "")))

    def log(self, name: str, line: Line) -> None:
        """A line of a child's log under its name."""
        self._put(
            Text.assemble((f"{name:<13} ", self._colour(name)), (line.text, _LEVEL_STYLE.get(line.level, "")))
        )

    def box(self, title: str, lines: list[tuple[str, str]], foot: str) -> None:
        """What a person has to see: pairs of a label and a value."""
        width = max((len(label) for label, _ in lines), default=0)
        body = Text("\n").join(
            Text.assemble((f"{label:<{width}}  ", "dim"), (value, "bold")) for label, value in lines
        )
        if foot:
            body.append(f"\n\n{foot}", style="dim")
        self._put(Panel(body, title=title, expand=False, border_style="green", padding=(1, 2)))

    def say(self, text: str, style: str = "") -> None:
        self._put(Text(text, style=style))

    def close(self) -> None:
        """Print what waits, as far as the terminal takes it within `FLUSH_S`."""
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=FLUSH_S)
        self._thread.join(FLUSH_S)

    def _colour(self, name: str) -> str:
        return self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])

    def _put(self, what: Text | Panel) -> None:
        try:
            self._queue.put_nowait(what)
        except queue.Full:
            self._passed_over += 1

    def _print(self) -> None:
        while (what := self._queue.get()) is not None:
            # A terminal that went away is no reason to end: the parts go on, and SIGHUP says what to do.
            with contextlib.suppress(OSError):
                self._console.print(what, soft_wrap=isinstance(what, Text))
                if self._passed_over and self._queue.empty():
                    missed, self._passed_over = self._passed_over, 0
                    self._console.print(
                        f"({missed} lines were not shown: the terminal did not take them)", style="dim"
                    )


class JsonLines:
    """The same for programs: one JSON object a line. A reader that stops reading is its own business: we wait."""

    def begin(self, number: int, total: int, name: str, about: str) -> None:
        self._put(event="begin", number=number, total=total, name=name, about=about)

    def done(self, number: int, total: int, name: str, about: str, seconds: float) -> None:
        self._put(
            event="ready", number=number, total=total, name=name, about=about, seconds=round(seconds, 3)
        )

    def note(self, name: str, text: str, *, bad: bool = False) -> None:
        self._put(event="note", name=name, text=text, bad=bad)

    def log(self, name: str, line: Line) -> None:
        self._put(event="log", name=name, level=line.level, text=line.text)

    def box(self, title: str, lines: list[tuple[str, str]], foot: str) -> None:
        self._put(event="running", **dict(lines))

    def say(self, text: str, style: str = "") -> None:
        self._put(event="said", text=text)

    def close(self) -> None:
        pass

    def _put(self, **what: object) -> None:
        with contextlib.suppress(OSError):
            sys.stdout.write(msgspec.json.encode(what).decode() + "\n")
            sys.stdout.flush()
