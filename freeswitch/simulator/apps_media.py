"""Applications that play sounds."""

import re
import wave
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from freeswitch.simulator import executing
from freeswitch.simulator import origins as at
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.executing import app
from freeswitch.simulator.sound import find, open_sound
from freeswitch.simulator.timing import Thread
from freeswitch.simulator.wire import Pair

_TONE = re.compile(r"%\(([\d.]+)\s*,\s*([\d.]+)")
_LOOPS = re.compile(r"loops=(-?\d+)")
_STREAMS = ("tone_stream", "silence_stream", "local_stream", "file_string", "say", "phrase")


def length_s(path: str, sounds_dir: str = "") -> float | None:
    """Return how long a sound lasts, infinite for an endless one, None for a file that is not there."""
    kind, _, rest = path.partition("://")
    if kind == "tone_stream":
        loops = _LOOPS.search(rest)
        rounds = int(loops[1]) if loops else 1
        if rounds < 0:
            return float("inf")
        return rounds * sum(float(on) + float(off) for on, off in _TONE.findall(rest)) / 1000
    if kind == "silence_stream":
        number = re.match(r"-?\d+", rest)
        milliseconds = int(number[0]) if number else 0
        return float("inf") if milliseconds < 0 else milliseconds / 1000
    if kind == "file_string":
        parts = [length_s(part, sounds_dir) or 0.0 for part in rest.split("!")]
        return sum(parts)
    if kind in _STREAMS and rest:
        return float("inf") if kind == "local_stream" else 2.0
    file = find(path, sounds_dir)
    if not file.is_absolute() or not file.is_file():
        return None
    try:
        with wave.open(str(file), "rb") as sound:
            return sound.getnframes() / sound.getframerate()
    except (wave.Error, OSError, EOFError):
        # A .wav that is none cannot be opened, as really; other formats are not read here and last a second.
        return None if file.suffix == ".wav" else 1.0


@contextmanager
def heard_as(channel: Channel, path: str) -> Iterator[None]:
    """Let the far end hear a sound meanwhile, where sound is simulated, and afterwards what it heard before."""
    before = channel.playing
    if channel.switch.hearing is not None:
        channel.playing = open_sound(path, channel.switch.settings.sounds_dir)
    try:
        yield
    finally:
        channel.playing = before


def play(
    channel: Channel,
    path: str,
    *,
    terminators: str = "",
    keys: list[str] | None = None,
    limit_s: float | None = None,
) -> Generator[float | None, bool, str]:
    """Play a sound with its two events; returns FILE PLAYED, FILE NOT FOUND or PLAYBACK ERROR.

    A key among ``terminators`` ends it; keys are collected in ``keys`` when given.
    """
    path = path.strip()
    length = length_s(path, channel.switch.settings.sounds_dir)
    if length is None:
        return "FILE NOT FOUND"
    kind = path.partition("://")[0] if "://" in path else ""
    where: list[Pair] = [("Playback-File-Type", kind)] if kind else []
    where.append(("Playback-File-Path", path))
    channel.fire(at.PLAYBACK_START, after=where)
    began = channel.switch.monotonic()
    channel.broken = False

    def heard(key: str) -> bool:
        if keys is not None:
            keys.append(key)
        ended = key in terminators
        if ended:
            channel.set("playback_terminator_used", key)
        return ended

    seconds = None if length == float("inf") else length
    if limit_s is not None:
        seconds = limit_s if seconds is None else min(seconds, limit_s)
    with heard_as(channel, path):
        done = yield from executing.pause(channel, seconds, on_digit=heard)
    channel.broken = False
    frames = int((channel.switch.monotonic() - began) * 50 + 0.5)
    samples = round(length * 8000) if done and length != float("inf") else frames * 160
    channel.set("playback_last_offset_pos", str(samples))
    channel.set("playback_seconds", str(samples // 8000))
    channel.set("playback_ms", str(samples // 8))
    channel.set("playback_samples", str(samples))
    channel.fire(at.PLAYBACK_STOP, after=[*where, ("Playback-Status", "done" if done else "break")])
    return "FILE PLAYED"


@app("playback", media=True)
def playback(channel: Channel, data: str) -> Thread:
    terminators = channel.get("playback_terminators") or "*"
    response = yield from play(channel, data, terminators="" if terminators == "none" else terminators)
    channel.set("current_application_response", response)


@app("endless_playback", media=True)
def endless_playback(channel: Channel, data: str) -> Thread:
    while channel.ready:
        response = yield from play(channel, data)
        channel.set("current_application_response", response)
        if response != "FILE PLAYED":
            return


@app("loop_playback", media=True)
def loop_playback(channel: Channel, data: str) -> Thread:
    first, _, rest = data.partition(" ")
    rounds, path = (int(first[1:]), rest) if first[:1] == "+" and first[1:].isdigit() else (-1, data)
    while channel.ready and rounds != 0:
        response = yield from play(channel, path, terminators="*")
        if response != "FILE PLAYED":
            return
        rounds -= 1


@app("gentones", media=True)
def gentones(channel: Channel, data: str) -> Thread:
    tones, _, loops = data.partition("|")
    path = f"tone_stream://{tones}" + (f";loops={loops}" if loops else "")
    length = length_s(path) or 0.0
    with heard_as(channel, path):
        yield from executing.pause(channel, None if length == float("inf") else length)
