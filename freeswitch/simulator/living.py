"""The scenario of `irisx up`: a healthy carrier's day, as data.

Most calls are answered, some are short, some long; a few people are busy, do not pick up, hold, are recorded or meet in
a room. One call in ten waits for an operator, parked as the shipped dialplan does it: whoever opens the page can
answer it, and who is not answered gives up in time. So nothing fails by itself, and what does fail is news.

Who is called decides what happens: see `PEOPLE`. All numbers are of the range that the Bundesnetzagentur keeps free
for films and books, 030 23125 000 to 999.
"""

from freeswitch.simulator.scripts import (
    NEVER,
    RULES,
    Digits,
    Extension,
    Hold,
    Person,
    Rule,
    Span,
    Traffic,
    Visit,
)

_CARRIER = "sofia/carrier/${destination_number}@198.51.100.20:5060"
_RINGS = Span(0.4, 2.0)
"""Until the far end's network says that it rings."""


def _numbers(hundred: int) -> tuple[str, ...]:
    return tuple(f"+4930231252{hundred}{last}" for last in range(10))


USUAL, SHORT, LONG, BUSY, SILENT, RECORDED = (_numbers(hundred) for hundred in range(6))
OPERATOR = ("+493023125300", "+493023125301", "+493023125302")

PEOPLE = (
    Rule(r"^\+49302312521", Person(ring_after=_RINGS, answer_after=Span(1, 6), talk=Span(4, 20, 9))),
    Rule(r"^\+49302312522", Person(ring_after=_RINGS, answer_after=Span(2, 8), talk=Span(400, 1500, 700))),
    Rule(r"^\+49302312523", Person(ring_after=_RINGS, answer_after=Span(0.2, 1.0), refuse="USER_BUSY")),
    Rule(r"^\+49302312524", Person(ring_after=_RINGS, answer_after=NEVER)),
)
"""What those do who are called, by their number; everybody else is `LIVING`'s ``callee``."""

EXTENSIONS = (
    Extension("^(30\\d\\d)$", (("answer", None), ("conference", "$1@default"))),
    Extension(
        "^\\+49302312525",
        (
            ("answer", None),
            ("set", "RECORD_STEREO=true"),
            ("record_session", "${recordings_dir}/${uuid}.wav"),
            ("set", "hangup_after_bridge=true"),
            ("bridge", _CARRIER),
        ),
    ),
    Extension(
        "^\\+49",
        (("set", "hangup_after_bridge=true"), ("set", "call_timeout=25"), ("bridge", _CARRIER)),
    ),
)

_WAITS = Span(18, 50)
"""How long callers let it ring: some longer than the switch does."""


_TALKS = Span(15, 600, 150)


def _visit(destinations: tuple[str, ...], weight: float, person: Person | None = None) -> Visit:
    script = person or Person(patience=_WAITS, talk=_TALKS)
    return Visit(destinations=destinations, weight=weight, person=script, context="living")


LIVING = Traffic(
    per_second=0.12,
    limit=40,
    visits=(
        _visit(USUAL, 40),
        _visit(USUAL, 6, Person(patience=_WAITS, talk=_TALKS, digits=(Digits(3, "1"), Digits(8, "42#")))),
        _visit(USUAL, 6, Person(patience=_WAITS, talk=Span(45, 400, 120), holds=(Hold(12, 20),))),
        _visit(SHORT, 12),
        _visit(LONG, 5, Person(patience=_WAITS)),
        _visit(BUSY, 7),
        _visit(SILENT, 7),
        _visit(RECORDED, 5),
        _visit(("3001",), 2, Person(talk=Span(60, 400, 150))),
        # Given up before the dialplan sends them away (`dialplan.UNCLAIMED_S`).
        Visit(destinations=OPERATOR, weight=10, person=Person(patience=Span(10, 19), talk=Span(20, 300, 90))),
    ),
    callee=Person(ring_after=_RINGS, answer_after=Span(1.5, 14.0), talk=Span(20, 900, 260)),
    rules=PEOPLE + RULES,
)
