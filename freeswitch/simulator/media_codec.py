"""Coding and decoding of a leg's sound: 20 ms at 8 kHz on this side, what was agreed with the browser on the other."""

from contextlib import suppress
from fractions import Fraction
from typing import Literal

from av import AudioFrame, CodecContext
from av.audio.codeccontext import AudioCodecContext
from av.error import FFmpegError
from av.filter import Graph
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


def _resampler(sound: AudioFrame) -> Graph:
    """Brings frames like this one to ours. PyAV's own resampler would keep a thread for each core."""
    graph = Graph()
    graph.threads = 1
    source = graph.add(
        "abuffer",
        sample_rate=str(sound.sample_rate),
        sample_fmt=sound.format.name,
        channel_layout=sound.layout.name,
        time_base=f"1/{sound.sample_rate}",
    )
    shape = graph.add("aformat", sample_rates=str(RATE), sample_fmts="s16", channel_layouts="mono")
    sink = graph.add("abuffersink")
    source.link_to(shape)
    shape.link_to(sink)
    graph.configure()
    graph.set_audio_frame_size(SAMPLES)
    return graph


class Decoder:
    """Decodes what one browser sends, into whole frames."""

    def __init__(self, codec: Codec) -> None:
        self._context = _context(codec, "r")
        self._resampler: Graph | None = None
        self.failed = 0

    def decode(self, payload: bytes) -> list[bytes]:
        """The frames that are complete now; what cannot be decoded is counted and left out."""
        found: list[bytes] = []
        try:
            for sound in self._context.decode(Packet(payload)):
                sound.pts = None
                if self._resampler is None:
                    self._resampler = _resampler(sound)
                self._resampler.push(sound)
                with suppress(BlockingIOError):
                    while True:
                        frame = self._resampler.pull()
                        found.append(bytes(frame.planes[0])[:FRAME_BYTES])
        except FFmpegError:
            self.failed += 1
        return found
