"""Applications that listen for keys, and send them."""

import re
from collections.abc import Generator

from freeswitch.simulator import executing, keys
from freeswitch.simulator import origins as at
from freeswitch.simulator.apps_media import play
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.executing import app
from freeswitch.simulator.timing import Thread


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
        heard: list[str] = []
        if prompt not in ("", "silence", "''"):
            yield from play(channel, prompt, terminators="0123456789*#", keys=heard)
        digits, ended = yield from _collect(channel, heard, high, terminators, timeout, gap)
        if not channel.ready:
            return
        if ended:
            channel.set("read_terminator_used", ended)
        enough = len(digits) >= low and (not pattern or _fits(pattern, digits))
        channel.set("read_result", "success" if enough else "failure")
        if enough:
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
    heard: list[str] = []
    if words[2] not in ("", "silence"):
        yield from play(channel, words[2], terminators="0123456789*#", keys=heard)
    timeout = _number(words[4], 1000) / 1000
    gap = _number(words[6], 1000) / 1000 if len(words) > 6 else timeout
    digits, ended = yield from _collect(channel, heard, _number(words[1], 128), words[5], timeout, gap)
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


@app("send_dtmf", media=True)
def send_dtmf(channel: Channel, data: str) -> None:
    """Send keys to the far end."""
    keys.send(channel, data)


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
