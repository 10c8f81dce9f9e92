"""`irisx top`: the live screen. Three threads: the stream, the list of switches, and this one, which draws.

Everything that comes goes through one bounded queue to the drawing thread, which alone changes the `Live` view. The
stream's thread waits when the queue is full; the API then tells us of a gap, and we list again.
"""

import queue
import sys
import threading
import time
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.live import Live as Screen
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from api.commands import nodes, stream
from api.commands.calls import call_table
from api.commands.client import Client, connect
from api.commands.common import (
    STATE_STYLE,
    Failure,
    Json,
    console,
    moment,
    plain,
    show_json,
    span,
    state_text,
)
from api.commands.keys import pressed, raw_keys
from api.commands.live import Live

DRAW_S = 0.25
NODES_S = 2.0
WAITING = 5000
ONCE_WIDTH = 120
"""Columns where nobody says how many there are."""
MOST_CALLS = 5000
"""More live calls than this are counted by the stream, but not all listed at the start."""
_STREAM_STYLE = {"live": ("●", "green"), "catching up": ("◐", "yellow"), "offline": ("○", "bold red")}


class NodesRead:
    """A fresh list of switches."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows


class Top:
    """The view, and where the person is in it."""

    def __init__(self, client: Client) -> None:
        self.live = Live()
        self.selected = 0
        self.chosen: dict[str, Any] = {}
        """The call that the person is at: it stays chosen while newer ones push it down."""
        self.open = False
        self._client = client
        self._news: queue.Queue[stream.Item | NodesRead | Failure] = queue.Queue(WAITING)
        self._stop = threading.Event()

    def start(self) -> None:
        for work in (self._follow, self._read_nodes):
            threading.Thread(target=work, daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def _follow(self) -> None:
        try:
            for item in stream.follow(self._client, after=None, stop=self._stop):
                self._news.put(item)
        except Failure as failure:
            self._news.put(failure)

    def _read_nodes(self) -> None:
        while not self._stop.is_set():
            try:
                rows = list(self._client.pages("/nodes", most=200))
            except Failure:
                pass  # the stream's state says that the API is away; two voices for one fact are one too many
            else:
                self._news.put(NodesRead(rows))
            self._stop.wait(NODES_S)

    def take_news(self, seconds: float) -> None:
        """Let what came in the next moments change the view. Raises `Failure` when the API refuses us."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                item = self._news.get(timeout=left)
            except queue.Empty:
                return
            self._take(item)

    def _take(self, item: stream.Item | NodesRead | Failure) -> None:
        match item:
            case Failure():
                raise item
            case NodesRead():
                self.live.nodes = item.rows
            case stream.Hello():
                first = not self.live.seq
                self.live.hello(item.head_seq)
                if first:
                    self._list()
            case stream.Entry():
                self.live.entry(item.event, time.monotonic())
            case stream.Beat():
                self.live.beat(item.head_seq)
            case stream.Gap():
                self.live.gap(item.resume_at)
                self._list()
            case stream.Lost():
                self.live.lost(item.reason)

    def _list(self) -> None:
        began_at = self.live.seq
        try:
            found = list(self._client.pages("/calls", {"live": True}, most=MOST_CALLS))
        except Failure as failure:
            self.live.lost(str(failure))
        else:
            self.live.listed(found, began_at=began_at)

    def press(self, key: str, page: int) -> bool:
        """Do what a key says; False to leave."""
        moves = {"up": -1, "down": 1, "page up": -page, "page down": page}
        if key in moves and not self.open:
            ordered = self._ordered()
            self.selected = min(max(0, len(ordered) - 1), max(0, self.selected + moves[key]))
            self.chosen = ordered[self.selected] if ordered else {}
        elif key == "open":
            self.open = bool(self.chosen)
        elif key == "close":
            self.open = False
        return key != "quit"

    def _ordered(self) -> list[dict[str, Any]]:
        """All live calls, newest first, and our place among them: at the same call as before, wherever it is now."""
        ordered = self.live.newest(len(self.live.calls))
        if self.selected or self.open:  # who has not moved stays at the newest
            places = [at for at, call in enumerate(ordered) if call["id"] == self.chosen.get("id")]
            self.selected = places[0] if places else min(self.selected, max(0, len(ordered) - 1))
        if not self.open and ordered:
            self.chosen = ordered[self.selected]
        return ordered

    def draw(self, height: int) -> RenderableType:
        """The whole screen."""
        rooms = min(8, len(self.live.nodes) + 1)
        space = max(3, height - rooms - 8)
        layout = Layout()
        layout.split_column(
            Layout(self._head(), size=3),
            Layout(self._nodes(), size=rooms + 2),
            Layout(self._calls(space)),
            Layout(_foot(), size=1),
        )
        return layout

    def _head(self) -> RenderableType:
        mark, style = _STREAM_STYLE[self.live.stream]
        line = Text.assemble(
            (f"{mark} {self.live.stream}", style),
            (f" {plain(self.live.why)}" if self.live.why else "", "dim"),
        )
        states = self.live.by_state()
        line.truncate(48, overflow="ellipsis")
        line.append(f"   {len(self.live.calls)} calls ", style="bold")
        for state in ("new", "ringing", "answered", "bridged", "held"):
            line.append(f"  {states[state]} {state}", style=STATE_STYLE[state] if states[state] else "dim")
        rates = self.live.rates(time.monotonic())
        words = "   ".join(f"{rates[name]} {name}" for name in ("begun", "answered", "ended"))
        return Group(
            line, Text(f"last minute: {words}   {rates['entries']} entries of the log", style="dim"), Text("")
        )

    def _nodes(self) -> RenderableType:
        table = Table(box=None, header_style="dim", pad_edge=False, expand=True)
        for column in ("Switch", "State", "Link", "Calls", "Sessions", "Idle CPU", "Owner"):
            table.add_column(column, no_wrap=True, min_width=6)
        for node in self.live.nodes:
            cells = nodes.row(node)
            chosen = [cells[at] for at in (0, 2, 3, 4, 5, 6, 8)]
            table.add_row(*[cell if isinstance(cell, Text) else Text(plain(cell)) for cell in chosen])
        return table

    def _calls(self, space: int) -> RenderableType:
        ordered = self._ordered()
        if self.open:
            # The last that was seen of it, if it has ended meanwhile.
            fresh = self.live.calls.get(self.chosen["id"])
            self.chosen = fresh or self.chosen
            gone = "" if fresh else ", it has ended"
            title = f"call{gone} (left arrow or Esc: back)"
            return Panel(call_table(self.chosen), title=title, border_style="dim")
        skip = max(0, self.selected - space + 2)
        rows = ordered[skip : skip + space]
        table = Table(box=None, header_style="dim", pad_edge=False, expand=True)
        for column, width in (
            ("Call", 12),
            ("State", 8),
            ("Since", 8),
            ("For", 5),
            ("From", 13),
            ("To", 13),
            ("Legs", 4),
        ):
            table.add_column(column, no_wrap=True, min_width=width)
        now = time.time()
        for at, call in enumerate(rows, skip):
            created = int(call.get("created_us", 0))
            cells = [
                call["id"],
                state_text(call.get("state", "new")),
                moment(created),
                span(now - created / 1e6),
            ]
            cells += [call.get("caller") or "-", call.get("destination") or "-", len(call.get("legs", ()))]
            style = "reverse" if at == self.selected else ""
            table.add_row(*[c if isinstance(c, Text) else Text(plain(c)) for c in cells], style=style)
        return table


def _foot() -> Text:
    return Text("arrows: choose   Enter: look at   q: leave", style="dim")


def top(
    once: Annotated[
        bool, typer.Option("--once", help="Print it one time, without keys and without a screen.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Watch calls and switches live. Arrows choose a call, Enter looks at it, q leaves."""
    with connect() as client:
        view = Top(client)
        view.start()
        try:
            if once or as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
                _print_once(view, as_json)
            else:
                _screen(view)
        finally:
            view.stop()


def _screen(view: Top) -> None:
    terminal = console()
    with raw_keys(), Screen(console=terminal, screen=True, auto_refresh=False) as screen:
        while True:
            page = max(3, terminal.size.height - 12)
            if not all(view.press(key, page) for key in pressed()):
                return
            screen.update(view.draw(terminal.size.height), refresh=True)
            view.take_news(DRAW_S)


def _print_once(view: Top, as_json: bool) -> None:
    deadline = time.monotonic() + stream.OPEN_S
    while time.monotonic() < deadline and (view.live.stream == "offline" or not view.live.nodes):
        view.take_news(DRAW_S)
    if view.live.stream == "offline":
        raise Failure(f"no live view: {view.live.why}")
    if as_json:
        states = dict(view.live.by_state())
        calls = view.live.newest(MOST_CALLS)
        show_json(
            {
                "stream": view.live.stream,
                "seq": view.live.seq,
                "states": states,
                "nodes": view.live.nodes,
                "calls": calls,
            }
        )
    else:
        terminal = console() if sys.stdout.isatty() else Console(highlight=False, width=ONCE_WIDTH)
        terminal.print(Group(view._head(), view._nodes(), Text(""), view._calls(40)))
