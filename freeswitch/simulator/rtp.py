"""Packets of sound and of keys (RFC 3550, RFC 4733): read and written, numbered and timed. Pure."""

import struct

from msgspec import Struct

_HEAD = struct.Struct("!BBHII")
_KEY = struct.Struct("!BBH")
KEYS = "0123456789*#ABCD"
_END = 0x80
VOLUME = 10
"""How loud a key is, in -dBm0: what FreeSWITCH sends."""


class Packet(Struct, frozen=True):
    """One packet's content."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def read(data: bytes) -> Packet | None:
    """Read a packet; None for what is none."""
    if len(data) < _HEAD.size or data[0] >> 6 != 2:
        return None
    first, second, sequence, timestamp, ssrc = _HEAD.unpack_from(data)
    begin = _HEAD.size + 4 * (first & 0x0F)
    if first & 0x10:
        if len(data) < begin + 4:
            return None
        begin += 4 + 4 * int.from_bytes(data[begin + 2 : begin + 4], "big")
    end = len(data)
    if first & 0x20 and data:
        end -= data[-1]
    if not begin <= end:
        return None
    return Packet(second & 0x7F, sequence, timestamp, ssrc, data[begin:end])


def write(packet: Packet, *, marker: bool = False) -> bytes:
    """Write a packet."""
    second = packet.payload_type | (0x80 if marker else 0)
    return _HEAD.pack(0x80, second, packet.sequence, packet.timestamp, packet.ssrc) + packet.payload


def key_payload(key: str, duration: int, *, end: bool) -> bytes:
    """One report about a key that is held since ``duration`` ticks of the clock."""
    return _KEY.pack(KEYS.index(key.upper()), VOLUME | (_END if end else 0), min(duration, 0xFFFF))


class KeyReader:
    """Takes the reports about keys, of which each key has many, and gives every key once, when it is let go."""

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._done = -1

    def feed(self, packet: Packet) -> tuple[str, int] | None:
        """A key and how long it was held in milliseconds, or None."""
        if len(packet.payload) < _KEY.size:
            return None
        event, flags, duration = _KEY.unpack_from(packet.payload)
        if not flags & _END or packet.timestamp == self._done or event >= len(KEYS):
            return None
        self._done = packet.timestamp
        return KEYS[event], duration * 1000 // self._clock_rate


class Sequencer:
    """Numbers and times what one source sends; a frame takes ``ticks``."""

    def __init__(self, ssrc: int, *, sequence: int, timestamp: int) -> None:
        self.ssrc = ssrc
        self._sequence = sequence
        self.timestamp = timestamp

    def advance(self, ticks: int) -> None:
        """A frame's time has passed."""
        self.timestamp = (self.timestamp + ticks) & 0xFFFFFFFF

    def packet(
        self, payload_type: int, payload: bytes, *, marker: bool = False, timestamp: int = -1
    ) -> bytes:
        """The next packet; at ``timestamp`` when that is another one than now."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        at = self.timestamp if timestamp < 0 else timestamp
        return write(Packet(payload_type, self._sequence, at, self.ssrc, payload), marker=marker)
