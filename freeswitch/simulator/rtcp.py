"""Reports about packets (RFC 3550, 6): what a browser needs to know of delay and loss on the way to us. Pure."""

import struct

from freeswitch.simulator.rtp import Packet

INTERVAL_S = 2.0
_SENDER = struct.Struct("!BBHIIIIII")
_BLOCK = struct.Struct("!IIIIII")
_NTP_OFFSET_S = 2_208_988_800
"""From 1900 to 1970."""
_SENDER_REPORT, _DESCRIPTION, _CNAME = 200, 202, 1


class Reception:
    """What came of one source: losses and jitter as RFC 3550 counts them (6.4.1, A.8)."""

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._begin(0, 0)

    def _begin(self, ssrc: int, sequence: int) -> None:
        self.ssrc = ssrc
        self._first = sequence
        self._highest = sequence
        """With the turns of the sequence number above its 16 bits."""
        self.received = 0
        self._jitter = 0.0
        self._transit: float | None = None
        self._before = (0, 0)
        self._heard = (0, 0.0)
        """The middle of the source's last NTP stamp, and when it came."""

    def add(self, packet: Packet, now: float) -> None:
        """A packet of sound has come at ``now`` (seconds). One of another source begins anew."""
        if packet.ssrc != self.ssrc or not self.received:
            self._begin(packet.ssrc, packet.sequence)
        self.received += 1
        step = (packet.sequence - self._highest) & 0xFFFF
        if step < 0x8000:
            self._highest += step
        transit = now * self._clock_rate - packet.timestamp
        if self._transit is not None:
            # (the stamp goes round after a day)
            difference = abs(transit - self._transit) % (1 << 32)
            if difference < 60 * self._clock_rate:
                self._jitter += (difference - self._jitter) / 16
        self._transit = transit

    def said(self, data: bytes, now: float) -> None:
        """Its own report has come."""
        if len(data) >= 20 and data[1] == _SENDER_REPORT:
            self._heard = (int.from_bytes(data[10:14], "big"), now)

    @property
    def lost(self) -> int:
        """Packets that never came."""
        return max(0, self._highest - self._first + 1 - self.received) if self.received else 0

    def block(self, now: float) -> bytes:
        """The report about it; what was lost since the last one is in it."""
        expected = self._highest - self._first + 1
        gone = max(0, (expected - self._before[0]) - (self.received - self._before[1]))
        share = gone * 256 // max(1, expected - self._before[0])
        self._before = expected, self.received
        stamp, came = self._heard
        delay = round((now - came) * 65536) if stamp else 0
        lost = min(255, share) << 24 | min(0x7FFFFF, self.lost)
        return _BLOCK.pack(self.ssrc, lost, self._highest & 0xFFFFFFFF, int(self._jitter), stamp, delay)


def report(
    *, ssrc: int, name: str, unix_s: float, timestamp: int, packets: int, octets: int, about: bytes
) -> bytes:
    """Our report: what we sent so far, and what we have ``about`` the other source; then our name."""
    whole = int(unix_s)
    head = _SENDER.pack(
        0x80 | (1 if about else 0),
        _SENDER_REPORT,
        (_SENDER.size + len(about)) // 4 - 1,
        ssrc,
        (whole + _NTP_OFFSET_S) & 0xFFFFFFFF,
        int((unix_s - whole) * (1 << 32)),
        timestamp,
        packets & 0xFFFFFFFF,
        octets & 0xFFFFFFFF,
    )
    item = bytes((_CNAME, len(name))) + name.encode()
    chunk = ssrc.to_bytes(4, "big") + item + bytes(4 - len(item) % 4)
    return head + about + bytes((0x81, _DESCRIPTION)) + (len(chunk) // 4).to_bytes(2, "big") + chunk
