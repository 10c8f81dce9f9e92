"""Coding and decoding of a leg's sound: 20 ms at 8 kHz on this side, what was agreed with the browser on the other."""

from fractions import Fraction
from typing import Literal

from av import AudioFrame, AudioResampler, CodecContext
from av.audio.codeccontext import AudioCodecContext
from av.error import FFmpegError
from av.packet import Packet

from freeswitch.simulator.media import FRAME_BYTES, RATE, SAMPLES
from freeswitch.simulator.webrtc_sdp import Codec

_NAMES = {"opus": "libopus", "pcmu": "pcm_mulaw", "pcma": "pcm_alaw"}
_TICK = Fraction(1, RATE)


def _context(codec: Codec, mode: Literal["r", "w"]) -> AudioCodecContext:
    made = CodecContext.create(_NAMES[codec.name.lower()], mode)
    assert isinstance(made, AudioCodecContext)  # noqa: S101 - these are codecs of sound
    made.format = "s16"
    made.layout = "mono"
    made.sample_rate = RATE
    return made


class Encoder:
    """Codes frames for one browser."""

    def __init__(self, codec: Codec) -> None:
        self._context = _context(codec, "w")
        self._context.time_base = _TICK
        if codec.name.lower() == "opus":
            # Narrowband without look-ahead: a quarter of the computing that the default wants.
            self._context.bit_rate = 32_000
            self._context.options = {
                "application": "lowdelay",
                "frame_duration": "20",
                "compression_level": "3",
            }
        self._pts = 0

    def encode(self, frame: bytes) -> bytes:
        """Code a frame; empty while the coder has nothing to give yet."""
        sound = AudioFrame(format="s16", layout="mono", samples=SAMPLES)
        sound.planes[0].update(frame)
        sound.sample_rate = RATE
        sound.time_base = _TICK
        sound.pts = self._pts
        self._pts += SAMPLES
        return b"".join(bytes(packet) for packet in self._context.encode(sound))


class Decoder:
    """Decodes what one browser sends, into whole frames."""

    def __init__(self, codec: Codec) -> None:
        self._context = _context(codec, "r")
        self._resampler = AudioResampler(format="s16", layout="mono", rate=RATE, frame_size=SAMPLES)
        self.failed = 0

    def decode(self, payload: bytes) -> list[bytes]:
        """The frames that are complete now; what cannot be decoded is counted and left out."""
        found: list[bytes] = []
        try:
            for sound in self._context.decode(Packet(payload)):
                sound.pts = None
                for frame in self._resampler.resample(sound):
                    found.append(bytes(frame.planes[0])[:FRAME_BYTES])
        except FFmpegError:
            self.failed += 1
        return found
