"""Real histories for property tests: the facts of every capture, in the order in which they came."""

import gzip
from functools import cache
from pathlib import Path

from core.model.facts import Fact
from core.telephony.translate import translate
from freeswitch.esl import Decoder

DATA = Path(__file__).parent.parent / "data"
FOLDERS = (DATA / "captures", DATA / "captures-own")


def captures() -> dict[str, Path]:
    """Every capture by its name."""
    return {path.name.split(".")[0]: path for folder in FOLDERS for path in sorted(folder.glob("*.rx.gz"))}


@cache
def history(name: str) -> tuple[Fact, ...]:
    """The facts of one capture."""
    frames = Decoder().feed(gzip.decompress(captures()[name].read_bytes()))
    events = [event for frame in frames if (event := frame.event()) is not None]
    return tuple(fact for event in events if (fact := translate(event)) is not None)


SMALL = [name for name in captures() if 0 < len(history(name)) < 250]
"""Histories that are short enough to be tried in thousands of variations."""
