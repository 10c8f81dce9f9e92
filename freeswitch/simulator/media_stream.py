"""The packets of one browser's sound and keys, both ways: between its `media.Port` and whatever carries them. No I/O."""

from freeswitch.simulator import rtcp, rtp
from freeswitch.simulator.media import FRAME_S, Port
from freeswitch.simulator.media_codec import Decoder, Encoder
from freeswitch.simulator.webrtc_sdp import Codec, Offer

KEY_GAP_S = 0.06
"""Silence between two keys."""


class Stream:
    """One RTCPeerConnection's packets. Times are seconds of any steady clock."""

    def __init__(self, offer: Offer, port: Port, source: rtp.Sequencer, name: str) -> None:
        self._codec = offer.codec
        self._keys = offer.keys
        self._port = port
        self._source = source
        self._name = name
        self._encoder = Encoder(offer.codec)
        self._decoder = Decoder(offer.codec)
        self._reader = rtp.KeyReader(offer.keys.clock_rate) if offer.keys else None
        self._reception = rtcp.Reception(offer.codec.clock_rate)
        self._reported = 0.0
        self._ticks = round(offer.codec.clock_rate * FRAME_S)
        self._sending: _Key | None = None
        self._rest = 0
        self._last: rtp.Packet | None = None
        port.takes_keys = offer.keys is not None

    def received(self, data: bytes, now: float) -> None:
        """A packet of the browser."""
        packet = rtp.read(data)
        if packet is None or self._port.cut:
            return
        self._port.packets_in += 1
        self._port.bytes_in += len(data)
        if self._keys is not None and packet.payload_type == self._keys.payload_type:
            if self._reader is not None and (pressed := self._reader.feed(packet)) is not None:
                self._port.press(*pressed)
        elif packet.payload_type == self._codec.payload_type and packet.payload:
            last = self._last
            if last is not None and last.ssrc == packet.ssrc and _before(packet.sequence, last.sequence):
                return  # what comes after its successor is left out
            self._last = packet
            self._reception.add(packet, now)
            for frame in self._decoder.decode(packet.payload):
                self._port.say(frame)

    def told(self, data: bytes, now: float) -> None:
        """A report of the browser."""
        if not self._port.cut:
            self._port.packets_in += 1
            self._reception.said(data, now)

    def packets(self, frame: bytes) -> list[bytes]:
        """What carries the next frame to the browser: its sound, or a key in its place."""
        made = self._key_packets()
        if not made:
            self._source.advance(self._ticks)
            self._rest = max(0, self._rest - 1)
            payload = self._encoder.encode(frame)
            made = [self._source.packet(self._codec.payload_type, payload)] if payload else []
        self._port.packets_out += len(made)
        self._port.bytes_out += sum(map(len, made))
        return [] if self._port.cut else made

    def _key_packets(self) -> list[bytes]:
        keys, source = self._keys, self._source
        if keys is None or (self._sending is None and (self._rest or not self._port.keys)):
            return []
        source.advance(self._ticks)
        if self._sending is None:
            self._sending = _Key(*self._port.keys.popleft(), codec=keys, begun=source.timestamp)
        sending = self._sending
        made = [
            source.packet(keys.payload_type, payload, marker=first, timestamp=sending.begun)
            for payload, first in sending.reports()
        ]
        if sending.done:
            self._sending, self._rest = None, round(KEY_GAP_S / FRAME_S)
        return made

    def report(self, now: float, unix_s: float) -> bytes | None:
        """What the browser is told now and then about the packets both ways; None while it is not time."""
        if now - self._reported < rtcp.INTERVAL_S:
            return None
        self._reported = now
        return rtcp.report(
            ssrc=self._source.ssrc,
            name=self._name,
            unix_s=unix_s,
            timestamp=self._source.timestamp,
            packets=self._port.packets_out,
            octets=self._port.bytes_out,
            about=self._reception.block(now) if self._reception.received else b"",
        )


def _before(sequence: int, other: int) -> bool:
    return 0 < (other - sequence) & 0xFFFF < 0x8000


class _Key:
    """A key that is being sent, with each frame another report of how long it is held."""

    def __init__(self, key: str, milliseconds: int, *, codec: Codec, begun: int) -> None:
        self._key = key
        self._frames = max(2, round(milliseconds / 1000 / FRAME_S))
        self._ticks = round(codec.clock_rate * FRAME_S)
        self._sent = 0
        self.begun = begun
        self.done = False

    def reports(self) -> list[tuple[bytes, bool]]:
        """The next frame's reports, and whether each is the key's first. The end is said three times (RFC 4733, 2.5.1.4)."""
        self._sent += 1
        self.done = self._sent >= self._frames
        payload = rtp.key_payload(self._key, self._sent * self._ticks, end=self.done)
        return [(payload, self._sent == 1)] * (3 if self.done else 1)
