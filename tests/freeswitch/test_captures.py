"""Real bytes of a real FreeSWITCH read exactly, however they arrive."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from freeswitch.esl import Decoder, Frame

CAPTURES = Path(__file__).parents[1] / "data" / "captures"
NAMES = sorted(path.name.removesuffix(".rx.gz") for path in CAPTURES.glob("*.rx.gz"))


def received(name: str) -> bytes:
    return gzip.decompress((CAPTURES / f"{name}.rx.gz").read_bytes())


def expected(name: str) -> Any:
    return json.loads((CAPTURES / f"{name}.expected.json").read_text())


def decode(data: bytes, step: int) -> list[Frame]:
    decoder = Decoder()
    frames: list[Frame] = []
    for at in range(0, len(data), step):
        frames += decoder.feed(data[at : at + step])
    assert decoder.buffered == 0
    return frames


def event_key(frame: Frame) -> str | None:
    if frame.is_connect_reply:
        return None
    event = frame.event()
    if event is None:
        return None
    return f"CUSTOM:{event.subclass}" if event.name == "CUSTOM" else event.name


def test_there_are_captures_to_read() -> None:
    assert len(NAMES) >= 15


@pytest.mark.parametrize("name", NAMES)
def test_a_capture_reads_as_the_independent_reading_says(name: str) -> None:
    want = expected(name)
    frames = decode(received(name), 65536)
    assert len(frames) == want["frames"]
    assert Counter(frame.content_type for frame in frames) == want["content_types"]
    assert Counter(key for key in map(event_key, frames) if key) == want["events"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("step", [1, 7, 4096, 1 << 30])
def test_chunking_does_not_change_a_capture(name: str, step: int) -> None:
    data = received(name)[:120_000] if step < 100 else received(name)
    whole = Decoder().feed(data)
    decoder = Decoder()
    frames: list[Frame] = []
    for at in range(0, len(data), step):
        frames += decoder.feed(data[at : at + step])
    assert [(f.content_type, f.head, f.body) for f in frames] == [
        (f.content_type, f.head, f.body) for f in whole
    ]


@pytest.mark.parametrize("name", NAMES)
def test_each_legs_own_last_event_says_what_was_expected_of_it(name: str) -> None:
    ends = {}
    for frame in decode(received(name), 65536):
        event = frame.event()
        if event is not None and event.name == "CHANNEL_HANGUP_COMPLETE":
            ends[event.uuid] = event
    for leg in expected(name)["legs"]:
        end = ends[leg["uuid"]]
        assert end.get("Call-Direction") == leg["direction"]
        assert end.get("Caller-Caller-ID-Name") == leg["caller_name"]
        assert end.get("Caller-Destination-Number") == leg["destination"]
        assert end.get("Hangup-Cause") == leg["hangup_cause"]
        assert int(end.get("Caller-Channel-Created-Time") or 0) == leg["created_us"]
        assert int(end.get("Caller-Channel-Hangup-Time") or 0) == leg["hangup_us"]


def test_the_three_formats_tell_the_same_of_the_same_kind_of_call() -> None:
    def story(name: str) -> list[str]:
        keys = map(event_key, decode(received(name), 65536))
        return [key for key in keys if key and key.startswith("CHANNEL_")]

    assert story("inbound-echo") == story("inbound-echo-json") == story("inbound-echo-xml")


def test_every_header_is_found_one_by_one_as_in_the_whole_listing() -> None:
    for name in ("inbound-echo", "inbound-echo-json", "inbound-echo-xml", "conference"):
        for frame in decode(received(name), 65536):
            event = frame.event()
            if event is None:
                continue
            listed: dict[str, Any] = {}
            for key, value in event.items():
                listed.setdefault(key, value)
            for key, value in listed.items():
                assert event.values(key) == (value if isinstance(value, list) else [value]), key
