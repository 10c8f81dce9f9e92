"""Applications that play, listen and record."""

import re
import wave
from collections.abc import Generator
from pathlib import Path

from freeswitch.simulator import executing, recording
from freeswitch.simulator import origins as at
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.executing import app
from freeswitch.simulator.timing import Thread
from freeswitch.simulator.wire import Pair

_TONE = re.compile(r"%\(([\d.]+)\s*,\s*([\d.]+)")
_LOOPS = re.compile(r"loops=(-?\d+)")
_STREAMS = ("tone_stream", "silence_stream", "local_stream", "file_string", "say", "phrase")


def length_s(path: str) -> float | None:
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
        parts = [length_s(part) or 0.0 for part in rest.split("!")]
        return sum(parts)
    if kind in _STREAMS and rest:
        return float("inf") if kind == "local_stream" else 2.0
    file = Path(path)
    if not file.is_absolute() or not file.is_file():
        return None
    try:
        with wave.open(str(file), "rb") as sound:
            return sound.getnframes() / sound.getframerate()
    except (wave.Error, OSError, EOFError):
        return 1.0


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
    length = length_s(path)
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
    length = length_s(f"tone_stream://{tones}" + (f";loops={loops}" if loops else "")) or 0.0
    yield from executing.pause(channel, None if length == float("inf") else length)


@app("play_and_get_digits", media=True)
def play_and_get_digits(channel: Channel, data: str) -> Thread:
    """``min max tries timeout terminators file invalid_file [variable [regexp [digit_timeout ...]]]``."""
    words = data.split(" ")
    if len(words) < 7:
        return
    low, high = _number(words[0], 1), _number(words[1], 128)
    tries, timeout = max(1, _number(words[2], 1)), _number(words[3], 5000) / 1000
    terminators, prompt, wrong = words[4], words[5], words[6]
    name = words[7] if len(words) > 7 else ""
    pattern = words[8] if len(words) > 8 else ""
    gap = _number(words[9], round(timeout * 1000)) / 1000 if len(words) > 9 else timeout
    if name:
        channel.set(name, None)
    for _ in range(tries):
        keys: list[str] = []
        if prompt not in ("", "silence", "''"):
            yield from play(channel, prompt, terminators="0123456789*#", keys=keys)
        digits, ended = yield from _collect(channel, keys, high, terminators, timeout, gap)
        if not channel.ready:
            return
        if ended:
            channel.set("read_terminator_used", ended)
        if len(digits) >= low and (not pattern or _fits(pattern, digits)):
            if name:
                channel.set(name, digits)
            return
        if name:
            channel.set(f"{name}_invalid", digits or None)
        if wrong not in ("", "silence", "''") and channel.ready:
            yield from play(channel, wrong)


@app("read", media=True)
def read(channel: Channel, data: str) -> Thread:
    """``min max file variable timeout terminators [digit_timeout]``."""
    words = data.split(" ")
    if len(words) < 6:
        return
    keys: list[str] = []
    if words[2] not in ("", "silence"):
        yield from play(channel, words[2], terminators="0123456789*#", keys=keys)
    timeout = _number(words[4], 1000) / 1000
    gap = _number(words[6], 1000) / 1000 if len(words) > 6 else timeout
    digits, ended = yield from _collect(channel, keys, _number(words[1], 128), words[5], timeout, gap)
    result = "success" if len(digits) >= _number(words[0], 0) else "timeout"
    if ended:
        channel.set("read_terminator_used", ended)
    channel.set("read_result", result if channel.ready else "failure")
    channel.set(words[3], digits or None)


def _collect(
    channel: Channel, keys: list[str], high: int, terminators: str, timeout: float, gap: float
) -> Generator[float | None, bool, tuple[str, str]]:
    """Wait for keys until there are ``high``, a terminator comes, or nobody presses one in time."""
    digits = ""
    while True:
        while keys:
            key = keys.pop(0)
            if key in terminators:
                return digits, key
            digits += key
            if len(digits) >= high:
                return digits, ""
        pressed: list[str] = []

        def heard(key: str, into: list[str] = pressed) -> bool:
            into.append(key)
            return True

        waited = yield from executing.pause(channel, gap if digits else timeout, on_digit=heard)
        if waited or not pressed:
            return digits, ""
        keys += pressed


def _fits(pattern: str, digits: str) -> bool:
    try:
        return re.search(pattern, digits) is not None
    except re.error:
        return False


def _number(text: str, default: int) -> int:
    return int(text) if text.lstrip("-").isdigit() else default


@app("record_session")
def record_session(channel: Channel, data: str) -> None:
    path, _, limit = data.partition("+")
    recording.start(channel, path.strip(), limit_s=float(_number(limit.strip(), 0)))


@app("stop_record_session")
def stop_record_session(channel: Channel, data: str) -> None:
    if data == "all":
        recording.stop_all(channel)
    elif (running := channel.recordings.get(data)) is not None:
        running.stop(channel)


@app("record_session_mask")
def record_session_mask(channel: Channel, data: str) -> None:
    if (running := channel.recordings.get(data)) is not None:
        running.set(masked=True)


@app("record_session_unmask")
def record_session_unmask(channel: Channel, data: str) -> None:
    if (running := channel.recordings.get(data)) is not None:
        running.set(masked=False)


@app("record_session_pause")
def record_session_pause(channel: Channel, data: str) -> None:
    if (running := channel.recordings.get(data)) is not None:
        running.set(paused=True)


@app("record_session_resume")
def record_session_resume(channel: Channel, data: str) -> None:
    if (running := channel.recordings.get(data)) is not None:
        running.set(paused=False)


@app("record", media=True)
def record(channel: Channel, data: str) -> Thread:
    """``path [limit_s]``: record the caller until a key is pressed."""
    path, _, limit = data.partition(" ")
    if not recording.start(channel, path, limit_s=float(_number(limit.split(" ")[0], 0))):
        return
    seconds = float(_number(limit.split(" ")[0], 0)) or None
    yield from executing.pause(channel, seconds, on_digit=lambda key: True)
    if (running := channel.recordings.get(path)) is not None:
        running.stop(channel)


@app("send_dtmf", media=True)
def send_dtmf(channel: Channel, data: str) -> None:
    """Send keys to the far end, where nobody listens for them."""


@app("start_dtmf", media=True)
def start_dtmf(channel: Channel, data: str) -> None:
    """Listen for keys in the audio."""
    channel.bugs["inband_dtmf"] = channel.uuid
    channel.fire(
        at.MEDIA_BUG_START, before=(("Media-Bug-Function", "inband_dtmf"), ("Media-Bug-Target", channel.uuid))
    )


@app("flush_dtmf")
def flush_dtmf(channel: Channel, data: str) -> None:
    channel.dtmf.clear()


@app("hold")
def hold(channel: Channel, data: str) -> None:
    from freeswitch.simulator import holding

    holding.hold(channel)


@app("unhold")
def unhold(channel: Channel, data: str) -> None:
    from freeswitch.simulator import holding

    holding.unhold(channel)
