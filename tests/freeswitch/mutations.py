"""Real frames, damaged: what a decoder must survive. Used by the test and by ``bench/fuzz_decoder.py``."""

import gzip
import random
import time
from dataclasses import dataclass
from pathlib import Path

from freeswitch.errors import ProtocolError
from freeswitch.esl import Decoder, Frame

CAPTURES = Path(__file__).parents[1] / "data" / "captures"
MAX_SEED = 6000
HOSTILE = (
    b"\n\n",
    b"\n",
    b"\r\n",
    b": ",
    b"\x00",
    b"\xff\xfe",
    b"%",
    b"%0A",
    b"%00",
    b"Content-Length: ",
    b"Content-Length: 0\n",
    b"Content-Length: -1\n",
    b"Content-Length: 4294967296\n",
    b"Content-Length: 7\nContent-Length: 9\n",
    b"Content-Type: ",
    b"Content-Type: text/event-json\n",
    b"Content-Type: text/event-xml\n",
    b"Content-Type: text/disconnect-notice\n\n",
    b"Event-Name: ",
    b"\nUnique-ID: forged\n",
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
    b"</headers>",
    b"<body>",
    b"</body>",
    b"&#x0;",
    b'{"a":',
    b'"_body":["',
    b"\\ud800",
    b"ARRAY::|:",
    b"Socket-Mode: async\n",
)


def seeds() -> list[bytes]:
    """One frame of each shape that the captures hold, envelopes included."""
    found: dict[tuple[str, str, int], bytes] = {}
    for path in sorted(CAPTURES.glob("*.rx.gz")):
        if path.name.startswith(("load", "recovery")):
            continue
        for frame in Decoder().feed(gzip.decompress(path.read_bytes())):
            event = frame.event()
            key = (
                frame.content_type,
                event.name if event else frame.reply_text[:12],
                len(frame.body) // 1000,
            )
            data = frame.head + b"\n" + frame.body
            if len(data) <= MAX_SEED:
                found.setdefault(key, data)
    return list(found.values())


def damage(frame: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """The frame with one to four injuries."""
    data = bytearray(frame)
    for _ in range(chance.randint(1, 4)):
        kind = chance.randrange(8)
        # Half of the injuries hit the envelope, where they matter most.
        at = chance.randrange(min(len(data), 80) if chance.random() < 0.5 else len(data)) if data else 0
        if kind == 0 and data:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at:at] = chance.choice(HOSTILE)
        elif kind == 2:
            del data[at : at + chance.randint(1, 40)]
        elif kind == 3:
            data[at:at] = data[at : at + chance.randint(1, 200)]
        elif kind == 4:
            del data[at:]
        elif kind == 5:
            other = chance.choice(others)
            start = chance.randrange(len(other))
            data[at:at] = other[start : start + chance.randint(1, 200)]
        elif kind == 6:
            data[at : at + 4] = chance.randbytes(4)
        else:
            hostile = chance.choice(HOSTILE)
            data[at : at + len(hostile)] = hostile
    return bytes(data)


@dataclass
class Outcome:
    """What became of the damaged frames."""

    damaged: int = 0
    frames: int = 0
    refused_streams: int = 0
    refused_events: int = 0
    slowest_s: float = 0.0


def use(frame: Frame, outcome: Outcome, *, thoroughly: bool) -> None:
    """Read a frame as its consumers do; only `ProtocolError` may come of it."""
    outcome.frames += 1
    assert isinstance(frame.reply_text, str)
    try:
        event = frame.event()
    except ProtocolError:
        outcome.refused_events += 1
        return
    if event is None:
        return
    texts = [event.name, event.subclass, event.uuid, event.get("Hangup-Cause", "")]
    assert isinstance(event.body, bytes)
    if thoroughly:
        for name, value in event.items():
            texts += [name, *([value] if isinstance(value, str) else value)]
            event.values(name)
    for text in texts:
        assert text is not None and "\x00" not in text
        text.encode()  # every store and every browser will want to


def damage_inside(frame: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """The frame with an injured body and an envelope that fits it, so that the damage reaches the event's reader."""
    head, _, body = frame.partition(b"\n\n")
    if not body:
        return damage(frame, chance, others)
    body = damage(body, chance, others)
    lines = [line for line in head.split(b"\n") if not line.startswith(b"Content-Length")]
    return b"\n".join([b"Content-Length: %d" % len(body), *lines]) + b"\n\n" + body


def run(count: int, seed: int) -> Outcome:
    """Send ``count`` damaged frames through decoders in random chunks."""
    chance = random.Random(seed)
    frames = seeds()
    outcome = Outcome()
    while outcome.damaged < count:
        decoder = Decoder()
        step = chance.choice((1 << 30, 1 << 30, 1460, 600, 97))
        for _ in range(8):
            injure = damage_inside if chance.random() < 0.6 else damage
            data = injure(chance.choice(frames), chance, frames)
            outcome.damaged += 1
            thoroughly = outcome.damaged % 8 == 0
            began = time.process_time()
            try:
                for at in range(0, len(data), step):
                    for frame in decoder.feed(data[at : at + step]):
                        use(frame, outcome, thoroughly=thoroughly)
            except ProtocolError:
                pass
            if decoder.broken is not None:
                outcome.refused_streams += 1
                decoder = Decoder()
            outcome.slowest_s = max(outcome.slowest_s, time.process_time() - began)
    return outcome
