"""Recordings: real WAV files with tones in them, masked and paused as asked, and the events around them.

A file is 8 kHz, 16 bit, on two channels when RECORD_STEREO is set and mixed otherwise. Where sound is simulated
(`hearing`) it has what was said and heard; elsewhere the caller's side is a 440 Hz tone, the other side 660 Hz. Masked time is silence, paused time is missing. What has been said
so far is appended whenever something changes, so a file is always playable.
"""

import array
import contextlib
import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from freeswitch.simulator import origins as at
from freeswitch.simulator import sound
from freeswitch.simulator.channel import Channel, is_true
from freeswitch.simulator.media import RATE, SAMPLES, SILENCE
from freeswitch.simulator.timing import Timer
from freeswitch.simulator.wire import Pair

_AMPLITUDE = 6000
_CHUNK_S = 1


def _tone(*frequencies: int) -> bytes:
    """Return one second of the frequencies, interleaved; whole periods fit, so seconds can be strung together."""
    samples = array.array("h")
    for n in range(RATE):
        for frequency in frequencies:
            samples.append(round(_AMPLITUDE * math.sin(2 * math.pi * frequency * n / RATE)))
    return samples.tobytes()


def _mixed() -> bytes:
    one, two = array.array("h"), array.array("h")
    one.frombytes(_tone(440))
    two.frombytes(_tone(660))
    return array.array("h", [(a + b) // 2 for a, b in zip(one, two, strict=True)]).tobytes()


_SECOND: dict[int, bytes] = {}


def second_of_talk(channels: int) -> bytes:
    """Return one second of sound for a file with one or two channels."""
    if channels not in _SECOND:
        _SECOND[channels] = _tone(440, 660) if channels == 2 else _mixed()
    return _SECOND[channels]


class WavFile:
    """A WAV file that grows; its header is right after every `append`."""

    def __init__(self, path: str, channels: int) -> None:
        """Create the file and its folders. Raises `OSError`."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = open(path, "wb")  # noqa: SIM115 - closed by `close`
        self.channels = channels
        self.samples = 0
        self._header()

    def _header(self) -> None:
        size = self.samples * 2 * self.channels
        self._file.seek(0)
        self._file.write(
            struct.pack(
                "<4sI4s4sIHHIIHH4sI",
                b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, self.channels, RATE,
                RATE * 2 * self.channels, 2 * self.channels, 16, b"data", size,
            )
        )  # fmt: skip

    def write(self, sound: bytes) -> None:
        """Add a sound, interleaved when there are two channels."""
        self._file.seek(0, os.SEEK_END)
        self._file.write(sound)
        self.samples += len(sound) // (2 * self.channels)
        self._header()

    def append(self, samples: int, *, silent: bool) -> None:
        """Add ``samples`` of tone or silence."""
        frame = 2 * self.channels
        second = bytes(RATE * frame) if silent else second_of_talk(self.channels)
        self._file.seek(0, os.SEEK_END)
        left, offset = samples, self.samples % RATE
        while left > 0:
            n = min(left, RATE - offset)
            self._file.write(second[offset * frame : (offset + n) * frame])
            left, offset = left - n, 0
        self.samples += samples
        self._header()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Recording:
    """One recording of one channel."""

    def __init__(
        self, channel: Channel, path: str, *, limit_s: float = 0.0, variables: Mapping[str, str] | None = None
    ) -> None:
        """Start recording. Raises `OSError` when the file cannot be made."""
        self.path = path
        self.variables = dict(variables or {})
        stereo = self._flag(channel, "RECORD_STEREO")
        self.channels = 2 if stereo else 1
        self.samples = 0
        self.masked = False
        self.paused = False
        self._live = False
        """What is said is heard (`hear`), instead of time passing."""
        self._heard = bytearray()
        self._switch = channel.switch
        self._since = self._switch.monotonic()
        self._file = WavFile(path, self.channels) if self._writes(path) else None
        longest = self._switch.settings.max_recording_s
        limit = min(limit_s, longest) if limit_s > 0 else longest
        self._limit: Timer = self._switch.threads.after(limit, self.stop, channel)

    def _flag(self, channel: Channel, name: str) -> bool:
        return is_true(self.variables.get(name)) or channel.true(name)

    def _writes(self, path: str) -> bool:
        """Say whether this path may be written: inside the configured folder, or anywhere it was told to be."""
        folder = self._switch.settings.recordings_dir
        if not os.path.isabs(path) or os.path.dirname(os.path.normpath(path)) == "/":
            # (the root: what ``${recordings_dir}/name`` comes to when no folder is configured)
            return False
        if folder and Path(path).is_relative_to(folder):
            return True
        if path.startswith(("/proc/", "/sys/")):
            raise OSError("read-only")
        return self._switch.settings.write_anywhere

    def _own_headers(self) -> list[Pair]:
        found: list[Pair] = [("Record-File-Path", self.path)]
        found += [(f"Recording-Variable-{name}", value) for name, value in self.variables.items()]
        return found

    def announce(self, channel: Channel) -> None:
        """Say that the first frame has been written (RECORD_START, MEDIA_BUG_START)."""
        channel.fire(at.RECORD_START, after=self._own_headers())
        channel.fire(at.MEDIA_BUG_START, before=_bug(self.path))

    def listen(self, *, live: bool) -> None:
        """From now on, record what `hear` brings, or stand-in tones for the time that passes."""
        if live != self._live:
            self._catch_up()
            self._live = live
            self._since = self._switch.monotonic()

    def hear(self, says: bytes, hears: bytes) -> None:
        """20 ms of what the far end says and of what it hears."""
        if self.paused:
            return
        self.samples += SAMPLES
        if self.masked:
            self._heard += SILENCE * self.channels
        elif self.channels == 1:
            self._heard += sound.mixed(says, hears)
        else:
            self._heard += sound.side_by_side(says, hears)
        if len(self._heard) >= RATE * 2 * self.channels:
            self._write_heard()

    def _write_heard(self) -> None:
        if self._file is not None and self._heard:
            with contextlib.suppress(OSError):
                self._file.write(bytes(self._heard))
        self._heard.clear()

    def _catch_up(self) -> None:
        if self._live:
            self._write_heard()
            return
        now = self._switch.monotonic()
        # Whole 20 ms frames, as media comes.
        samples = int((now - self._since) * 50 + 0.0001) * 160
        self._since = now
        if self.paused or samples <= 0:
            return
        self.samples += samples
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.append(samples, silent=self.masked)

    def set(self, *, masked: bool | None = None, paused: bool | None = None) -> None:
        """Mask (write silence) or pause (write nothing) from now on."""
        self._catch_up()
        self.masked = self.masked if masked is None else masked
        self.paused = self.paused if paused is None else paused

    def close(self) -> None:
        """Close the file without saying anything."""
        self._limit.cancel()
        self._catch_up()
        if self._file is not None:
            self._file.close()

    def stop(self, channel: Channel) -> None:
        """End the recording and say so (RECORD_STOP, MEDIA_BUG_STOP)."""
        if channel.recordings.get(self.path) is not self:
            return
        del channel.recordings[self.path]
        self.close()
        cause = "success-maxtime"
        shortest = channel.get("RECORD_MIN_SEC")
        if shortest and shortest.isdigit() and self.samples < int(shortest) * RATE:
            cause = "input-too-short"
            channel.set("RECORD_DISCARDED", "true")
            if self._file is not None:
                Path(self.path).unlink(missing_ok=True)
        channel.set("record_file_size", str(44 + self.samples * 2 * self.channels))
        channel.set("record_samples", str(self.samples))
        channel.set("record_seconds", str(self.samples // RATE))
        channel.set("record_ms", str(self.samples * 1000 // RATE))
        channel.set("record_completion_cause", cause)
        channel.fire(at.RECORD_STOP, after=[*self._own_headers(), ("Record-Completion-Cause", cause)])
        channel.fire(at.MEDIA_BUG_STOP, before=_bug(self.path))


def _bug(path: str) -> list[Pair]:
    return [("Media-Bug-Function", "session_record"), ("Media-Bug-Target", path)]


def start(
    channel: Channel, path: str, *, limit_s: float = 0.0, variables: Mapping[str, str] | None = None
) -> bool:
    """Begin to record ``channel``. False when there is no media or the file cannot be made."""
    if channel.down or not (channel.answered or channel.early):
        return False
    if path in channel.recordings:
        if channel.true("RECORD_TOGGLE_ON_REPEAT"):
            channel.recordings[path].stop(channel)
        return True
    try:
        recording = Recording(channel, path, limit_s=limit_s, variables=variables)
    except OSError:
        channel.set("record_completion_cause", "uri-failure")
        return False
    channel.recordings[path] = recording
    recording.announce(channel)
    return True


def stop_all(channel: Channel) -> bool:
    """End every recording of ``channel``; False when there was none."""
    running = list(channel.recordings.values())
    for recording in running:
        recording.stop(channel)
    return bool(running)
