"""What all commands share: how they fail, how they print, the options that are everywhere.

A failure is one line on standard error and an exit code: 1 when it could not be done, 2 when it was asked for wrongly.
Results go to standard output, as words for people or, with ``--json``, as JSON for programs.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text


class Failure(Exception):
    """It could not be done; the message is the one line that says why."""

    def __init__(self, text: str, *, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code


Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of words for people.")]

STATE_STYLE = {
    "new": "dim",
    "ringing": "yellow",
    "answered": "green",
    "bridged": "bold green",
    "held": "magenta",
    "ended": "dim",
    "active": "green",
    "draining": "yellow",
    "drained": "magenta",
}

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(value: object) -> str:
    """``value`` without control characters: a caller's name must not be able to move our cursor."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(value))


def console() -> Console:
    """The terminal, or whatever standard output is now. NO_COLOR and pipes are respected."""
    return Console(highlight=False)


def show_json(value: object) -> None:
    """One JSON document and a newline."""
    raw = value if isinstance(value, bytes) else msgspec.json.format(msgspec.json.encode(value), indent=2)
    sys.stdout.write(raw.decode() + "\n")


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table without lines; ``empty`` when it has no rows."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*[cell if isinstance(cell, Text) else Text(plain(cell)) for cell in row])
    if not table.row_count:
        say(empty)
    elif sys.stdout.isatty():
        console().print(table)
    else:
        # Into a pipe nothing is cut off: as wide as it needs to be.
        Console(highlight=False, width=1000).print(table)


def say(text: str) -> None:
    """A line for people."""
    console().print(Text(plain(text)), soft_wrap=True)


def remark(text: str) -> None:
    """A line beside the result: on standard error, so that a pipe stays clean."""
    Console(stderr=True, highlight=False).print(Text(plain(text), style="dim"), soft_wrap=True)


def state_text(state: str) -> Text:
    return Text(plain(state), style=STATE_STYLE.get(state, ""))


def moment(us: int) -> str:
    """Local time of day of a moment in microseconds; the date too when it is not today."""
    if not us:
        return "-"
    at = datetime.fromtimestamp(us / 1e6, UTC).astimezone()
    return at.strftime("%H:%M:%S" if at.date() == datetime.now().astimezone().date() else "%Y-%m-%d %H:%M:%S")


def span(seconds: float) -> str:
    """``1:05``, ``1:00:05``: minutes and seconds, with hours when there are any."""
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def number(value: Any, *, digits: int = 0) -> str:
    """A figure, or a dash where there is none."""
    return f"{value:.{digits}f}" if isinstance(value, int | float) and not isinstance(value, bool) else "-"
