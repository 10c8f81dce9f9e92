"""An event's frame can be made again from the event, byte for byte: what the flight recorder relies on."""

import gzip
from pathlib import Path

import pytest

from freeswitch.esl import Decoder, frame_of

CAPTURES = Path(__file__).parents[1] / "data" / "captures"


@pytest.mark.parametrize("name", ["bridge", "inbound-echo-json", "inbound-echo-xml", "conference"])
def test_the_frame_of_an_event_is_the_switchs_own(name: str) -> None:
    raw = gzip.decompress((CAPTURES / f"{name}.rx.gz").read_bytes())
    seen = 0
    for frame in Decoder().feed(raw):
        event = frame.event()
        if event is not None:
            seen += 1
            assert frame_of(event) in raw
    assert seen > 10
