"""What there is to hear: voices, tones, music, sound files, keys as tones; and mixing. Pure but for reading files.

Everything comes in frames of 20 ms at 8 kHz (`media`). A voice is a tone of its owner's own pitch, so that who hears whom
can be told from a spectrum.
"""

import array
import functools
import math
import re
import sys
import wave
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from freeswitch.simulator.media import FRAME_BYTES, FRAME_S, RATE, SAMPLES, SILENCE

Sound = Iterator[bytes]
"""Frames, until it ends."""

LOWEST_PITCH, HIGHEST_PITCH, PITCH_STEP = 300, 900, 10
VOICE_LEVEL = 6000
TONE_LEVEL = 6000
MUSIC_LEVEL = 2000
RINGING = "tone_stream://%(1000,4000,425);loops=-1"
"""What a called network plays before somebody picks up (ITU-T E.180; Germany's)."""
_CHORD = (262, 330, 392)
_TONE = re.compile(r"%\(([\d.]+)\s*,\s*([\d.]+)((?:\s*,\s*[\d.]+)*)\)")
_VOLUME = re.compile(r"(?:^|;)v=(-?[\d.]+)")
_LOOPS = re.compile(r"loops=(-?\d+)")
_ROWS, _COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
_KEYPAD = "123A456B789C*0#D"
"""ITU-T Q.23: a row's and a column's tone for each key."""
_SWAP = sys.byteorder == "big"


def pitch_of(uuid: str) -> int:
    """The pitch in Hz that somebody without a chosen one speaks at: always the same for one uuid."""
    steps = (HIGHEST_PITCH - LOWEST_PITCH) // PITCH_STEP + 1
    return LOWEST_PITCH + zlib.crc32(uuid.encode()) % steps * PITCH_STEP


@functools.lru_cache(maxsize=256)
def second(pitches: tuple[int, ...], level: int) -> bytes:
    """One second of some pitches together; seconds can be strung together, since whole periods fit."""
    samples = array.array("h")
    for n in range(RATE):
        samples.append(round(sum(level * math.sin(2 * math.pi * pitch * n / RATE) for pitch in pitches)))
    return samples.tobytes()


def steady(pitches: tuple[int, ...], level: int, number: int) -> bytes:
    """Frame ``number`` of an endless tone."""
    begin = number % round(1 / FRAME_S) * FRAME_BYTES
    return second(pitches, level)[begin : begin + FRAME_BYTES]


def voice(pitch: int, number: int) -> bytes:
    """Frame ``number`` of somebody who speaks at ``pitch``."""
    return steady((pitch,), VOICE_LEVEL, number)


def mixed(*frames: bytes) -> bytes:
    """Several frames heard together."""
    loud = [frame for frame in frames if frame is not SILENCE]
    if not loud:
        return SILENCE
    if len(loud) == 1:
        return loud[0]
    parts = [_samples(frame) for frame in loud]
    return _bytes([max(-32768, min(32767, sum(together))) for together in zip(*parts, strict=True)])


def side_by_side(left: bytes, right: bytes) -> bytes:
    """Two frames as the channels of one."""
    both = bytearray(2 * FRAME_BYTES)
    both[0::4], both[1::4] = left[0::2], left[1::2]
    both[2::4], both[3::4] = right[0::2], right[1::2]
    return bytes(both)


def key_tones(key: str, milliseconds: int) -> list[bytes]:
    """A key as frames to be heard, and a little silence."""
    place = _KEYPAD.index(key.upper())
    pitches = (_ROWS[place // 4], _COLUMNS[place % 4])
    lasts = max(2, round(milliseconds / 1000 / FRAME_S))
    return [steady(pitches, TONE_LEVEL // 2, n) for n in range(lasts)] + [SILENCE] * 3


def open_sound(path: str, sounds_dir: str = "") -> Sound:
    """What a path of FreeSWITCH sounds like. What cannot be read, or is not simulated, is silence of no length."""
    if path.startswith("%("):
        return _tones(f"{path};loops=-1")  # (as ``ringback`` has it)
    kind, slashes, rest = path.partition("://")
    if not slashes:
        return _file(find(path, sounds_dir))
    if kind == "tone_stream":
        return _tones(rest)
    if kind == "local_stream":
        return _endless(_CHORD, MUSIC_LEVEL)
    if kind == "file_string":
        return (frame for part in rest.split("!") for frame in open_sound(part, sounds_dir))
    return iter(())


def find(path: str, sounds_dir: str) -> Path:
    """Where a sound file is; relative ones are in ``sounds_dir``."""
    file = Path(path)
    return file if file.is_absolute() or not sounds_dir else Path(sounds_dir) / file


def _endless(pitches: tuple[int, ...], level: int) -> Sound:
    number = 0
    while True:
        yield steady(pitches, level, number)
        number += 1


def _tones(text: str) -> Sound:
    """``%(on_ms,off_ms,hz[,hz...])`` one after the other, ``loops=n`` times, -1 for ever; ``v=`` is the level in dB."""
    volume = _VOLUME.search(text)
    level = round(32767 * 10 ** (min(0.0, float(volume[1])) / 20)) if volume else TONE_LEVEL
    steps = []
    for on, off, pitches in _TONE.findall(text):
        hertz = tuple(round(float(one)) for one in pitches.split(",") if one.strip())
        steps.append((round(float(on) / 1000 / FRAME_S), round(float(off) / 1000 / FRAME_S), hertz))
    found = _LOOPS.search(text)
    rounds = int(found[1]) if found else 1
    # (what takes no time would never end)
    while rounds and any(on + off for on, off, _ in steps):
        rounds -= 1
        for on, off, hertz in steps:
            for n in range(on):
                yield steady(hertz, level // max(1, len(hertz)), n)
            for _ in range(off):
                yield SILENCE


def _file(path: Path) -> Sound:
    """A WAV file of 16 bit samples at any rate: brought to ours by averaging, which is enough for a telephone."""
    try:
        with closing(wave.open(str(path), "rb")) as sound:
            if sound.getsampwidth() != 2:
                return
            rate, channels, number = sound.getframerate(), sound.getnchannels(), 0
            while True:
                wanted = round((number + 1) * rate * FRAME_S) - round(number * rate * FRAME_S)
                number += 1
                samples = _samples(sound.readframes(wanted))
                if not samples:
                    return
                samples.extend([0] * (wanted * channels - len(samples)))
                yield _resampled(samples, channels)
    except (wave.Error, OSError, EOFError):
        return


def _resampled(samples: "array.array[int]", channels: int) -> bytes:
    count = len(samples) // channels
    if channels == 1 and count == SAMPLES:
        return _bytes(samples)
    made = []
    for n in range(SAMPLES):
        begin, end = n * count // SAMPLES, max((n + 1) * count // SAMPLES, n * count // SAMPLES + 1)
        part = samples[begin * channels : end * channels]
        made.append(sum(part) // len(part) if part else 0)
    return _bytes(made)


def _samples(data: bytes) -> "array.array[int]":
    found = array.array("h")
    found.frombytes(data)
    if _SWAP:
        found.byteswap()
    return found


def _bytes(samples: "list[int] | array.array[int]") -> bytes:
    made = array.array("h", samples)
    if _SWAP:
        made.byteswap()
    return made.tobytes()
