"""The event desk: gives every event its sequence number and hands it to the connections that asked.

An event is rendered when it is fired (its channel changes the next moment), once for each format that
somebody wants and not at all when nobody does; connections share the rendered bytes. The number is drawn
when FreeSWITCH would create the event object, which is why numbers of events nobody receives leave gaps,
and why an API event, created before its command runs and fired after it, comes late.
"""

import random
from collections.abc import Callable, Sequence
from typing import Protocol

from freeswitch.simulator.origins import Origin
from freeswitch.simulator.timing import Clock
from freeswitch.simulator.wire import Pair, json_text, plain_lines, plain_tail, to_bytes, xml_text

Frame = tuple[bytes, bytes]
"""Envelope and body: FreeSWITCH sends them with two writes."""


class Source(Protocol):
    """What an event is about: the part of a channel that the desk needs."""

    uuid: str

    def basic_text(self) -> str: ...
    def basic_pairs(self) -> list[Pair]: ...
    def variables_text(self) -> str: ...
    def variables_pairs(self) -> list[Pair]: ...


class Taker(Protocol):
    """A connection that may take events."""

    def offer(self, event: "Fired") -> None: ...
    def take(self, event: "Fired") -> None: ...


class Fired:
    """One event at the moment it is fired. Valid only during that call, except for what it rendered."""

    __slots__ = (
        "_after",
        "_before",
        "_desk",
        "_frames",
        "_front",
        "_lines",
        "_pairs",
        "_seq",
        "body",
        "origin",
        "source",
    )

    def __init__(
        self,
        desk: "Desk",
        origin: Origin,
        source: Source | None,
        stamp: tuple[int, str],
        front: Sequence[Pair],
        before: Sequence[Pair],
        after: Sequence[Pair],
        body: str | None,
    ) -> None:
        self._desk = desk
        self.origin = origin
        self.source = source
        self._seq, self._lines = stamp
        self._front = front
        self._before = before
        self._after = after
        self.body = body
        self._pairs: list[Pair] | None = None
        self._frames: dict[str, Frame] = {}

    @property
    def uuid(self) -> str:
        """The channel's uuid, or what a sender put into Unique-ID, or nothing."""
        if self.source is not None:
            return self.source.uuid
        return self.header("unique-id") or "" if self._front else ""

    def pairs(self) -> list[Pair]:
        """Return every header with its raw value, in order."""
        if self._pairs is None:
            desk, origin = self._desk, self.origin
            found = list(self._front)
            if origin.subclass and not any(n == "Event-Subclass" for n, _ in found):
                found.append(("Event-Subclass", origin.subclass))
            found += desk.event_pairs(origin, (self._seq, self._lines))
            found += self._before
            if self.source is not None:
                found += self.source.basic_pairs()
                if origin.variables or desk.verbose:
                    found += self.source.variables_pairs()
            found += self._after
            self._pairs = found
        return self._pairs

    def header(self, name: str) -> str | None:
        """Return the first header called ``name`` (any case), as FreeSWITCH's filters look it up."""
        wanted = name.lower()
        for have, value in self.pairs():
            if have.lower() == wanted:
                return value if isinstance(value, str) else value[0]
        return None

    def frame(self, form: str) -> Frame:
        """Return the event as sent in ``form`` (plain, json or xml)."""
        frame = self._frames.get(form)
        if frame is None:
            if form == "plain":
                body = to_bytes(self.plain())
            elif form == "json":
                body = to_bytes(json_text(self.pairs(), self.body))
            else:
                body = to_bytes(xml_text(self.pairs(), self.body))
            frame = (
                b"Content-Length: %d\nContent-Type: text/event-%b\n\n" % (len(body), form.encode()),
                body,
            )
            self._frames[form] = frame
        return frame

    def plain(self) -> str:
        """Return event-plain, put together from the parts that channel and desk keep rendered."""
        origin, source = self.origin, self.source
        parts = [plain_lines(self._front)] if self._front else []
        parts += [
            self._desk.heading(origin, named=bool(self._front)),
            self._lines,
            origin.lines,
            f"Event-Sequence: {self._seq}\n",
        ]
        if self._before:
            parts.append(plain_lines(self._before))
        if source is not None:
            parts.append(source.basic_text())
            if origin.variables or self._desk.verbose:
                parts.append(source.variables_text())
        if self._after:
            parts.append(plain_lines(self._after))
        parts.append(plain_tail(self.body))
        return "".join(parts)


def _split(line: str) -> tuple[str, str]:
    name, _, value = line.partition(": ")
    return name, value.replace("%20", " ").replace("%3A", ":")


class Desk:
    """Numbers, renders and delivers. One of these is one running FreeSWITCH."""

    def __init__(
        self, clock: Clock, rng: random.Random, identity: Sequence[tuple[str, str]], first: int = 432
    ) -> None:
        self.identity = list(identity)
        """Core-UUID, hostname, switchname and the two addresses, on every event."""
        self._identity_text = plain_lines(identity)
        self._headings: dict[tuple[str, str, bool], str] = {}
        self._clock = clock
        self._rng = rng
        # Loading modules makes some hundred events before the first listener is there.
        self._seq = first
        self._takers: dict[str, list[Taker]] = {}
        self._choose: Callable[[str], list[Taker]] = lambda kind: []
        self.verbose = False
        """``fsctl verbose_events on``: every channel event carries variables."""
        self.fired = 0
        self.rendered = 0
        self.lose_every = 0
        self.lost = 0
        self._since_lost = 0
        self.dispatch: Callable[[Fired, Sequence[Taker]], None] | None = None
        """Set while event dispatch is stuck (`faults`): what would be delivered goes here."""

    def choose_with(self, choose: Callable[[str], list[Taker]]) -> None:
        """Ask ``choose`` which connections want an event of a kind; asked again after `changed`."""
        self._choose = choose
        self._takers.clear()

    def changed(self) -> None:
        """Forget who wants what: somebody came, left or changed a subscription."""
        self._takers.clear()

    def heading(self, origin: Origin, *, named: bool = False) -> str:
        """Return the first headers of an event, which differ only by its name and subclass."""
        key = (origin.event, origin.subclass, named)
        text = self._headings.get(key)
        if text is None:
            sub = (
                f"Event-Subclass: {origin.subclass.replace(':', '%3A')}\n"
                if origin.subclass and not named
                else ""
            )
            text = self._headings[key] = f"{sub}Event-Name: {origin.event}\n{self._identity_text}"
        return text

    def event_pairs(self, origin: Origin, stamp: tuple[int, str]) -> list[tuple[str, str]]:
        """Return the headers that every event has, raw."""
        seq, lines = stamp
        return [
            ("Event-Name", origin.event),
            *self.identity,
            *[_split(line) for line in (lines + origin.lines).splitlines()],
            ("Event-Sequence", str(seq)),
        ]

    def stamp(self) -> tuple[int, str]:
        """Create an event object: draw its number and note the time. Never firing it leaves a gap."""
        self._seq += 1
        return self._seq, self._clock.lines()

    def wanted(self, kind: str) -> bool:
        """Say whether any connection takes events of ``kind``."""
        return bool(self._takers_of(kind))

    def _takers_of(self, kind: str) -> list[Taker]:
        takers = self._takers.get(kind)
        if takers is None:
            takers = self._takers[kind] = self._choose(kind)
        return takers

    def fire(
        self,
        origin: Origin,
        source: Source | None = None,
        *,
        front: Sequence[Pair] = (),
        before: Sequence[Pair] = (),
        after: Sequence[Pair] = (),
        body: str | None = None,
        stamp: tuple[int, str] | None = None,
        only: Sequence[Taker] | None = None,
    ) -> None:
        """Fire an event: ``front`` stands before the standard headers, ``before`` and ``after`` around the
        channel's, ``stamp`` is what `stamp` gave if the event was created earlier than now; with ``only``
        nobody else gets it, and those whether or not they asked for it."""
        if stamp is None:
            self._seq += 1
            seq = self._seq
        self.fired += 1
        takers = (
            only if only is not None else self._takers_of(origin.kind if origin.subclass else origin.event)
        )
        if not takers:
            return
        if self.lose_every:
            self._since_lost += 1
            if self._since_lost >= self.lose_every:
                self._since_lost = 0
                self.lost += 1
                return
        self.rendered += 1
        event = Fired(self, origin, source, stamp or (seq, self._clock.lines()), front, before, after, body)
        if self.dispatch is not None:
            self.dispatch(event, takers)
            return
        if only is not None:
            for taker in only:
                taker.take(event)
            return
        for taker in takers:
            taker.offer(event)
