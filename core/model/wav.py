"""WAV files as far as recordings and prompts need them: what the header says, and the shape of the sound. Pure.

A file whose writer died has a header that says too little (0 bytes, or the length at the last update), so the length is
taken from what is there. FreeSWITCH and the simulated switch write 16 bit PCM; whatever else is found is described, and
has no shape.
"""

import struct
from collections.abc import Callable

from msgspec import Struct

PCM = 1
EXTENSIBLE = 0xFFFE
HEAD = 4096
"""Bytes in which the sound must begin: FreeSWITCH's are 44, with a LIST chunk of titles some hundred."""
MOST_SAMPLES = 400_000
"""Of each channel that are looked at for a shape: of a longer file some of each piece, evenly."""
_RUN = 64
"""Samples side by side that are looked at where not all are."""


class NoWav(ValueError):
    """These bytes begin no WAV file that can be read."""


class Wav(Struct, frozen=True, kw_only=True):
    """What the head of a file says."""

    format: int
    """1: PCM; 6 and 7: A-law and u-law."""
    channels: int
    rate: int
    """Samples a second."""
    bits: int
    start: int
    """Where the sound begins."""
    size: int
    """Bytes of sound that there really are."""

    @property
    def frame(self) -> int:
        """Bytes of one moment on all channels."""
        return max(self.channels * self.bits // 8, 1)

    @property
    def samples(self) -> int:
        """Of each channel."""
        return self.size // self.frame

    @property
    def duration_ms(self) -> int:
        return self.samples * 1000 // self.rate


def read_head(head: bytes, file_size: int) -> Wav:
    """Read the first `HEAD` bytes (or fewer) of a file of ``file_size``. Raises `NoWav`."""
    if head[:4] not in (b"RIFF", b"RF64") or head[8:12] != b"WAVE":
        raise NoWav("no WAV file")
    at, found = 12, None
    while at + 8 <= len(head):
        name, size = head[at : at + 4], struct.unpack_from("<I", head, at + 4)[0]
        if name == b"fmt ":
            if at + 24 > len(head) or size < 16:
                raise NoWav("a WAV file without its format")
            kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", head, at + 8)
            if kind == EXTENSIBLE and size >= 26 and at + 34 <= len(head):
                kind = struct.unpack_from("<H", head, at + 32)[0]
            if not (1 <= channels <= 8 and 1000 <= rate <= 384_000 and bits in (8, 16, 24, 32)):
                raise NoWav("a WAV file of no known format")
            found = kind, channels, rate, bits
        elif name == b"data":
            if found is None:
                raise NoWav("a WAV file without its format")
            kind, channels, rate, bits = found
            there = max(file_size - at - 8, 0)
            # 0 and 0xFFFFFFFF: the writer has not come back to write the length.
            sound = there if size in (0, 0xFFFFFFFF) else min(size, there)
            return Wav(format=kind, channels=channels, rate=rate, bits=bits, start=at + 8, size=sound)
        at += 8 + size + (size & 1)
    raise NoWav("a WAV file without sound")


def peaks(wav: Wav, read: Callable[[int, int], bytes], points: int) -> list[bytes]:
    """For each channel ``points`` loudest moments, 0 to 255, evenly over the time; none for what is not 16 bit PCM.

    ``read(offset, length)`` gives bytes of the file. Of a piece that is too long to be looked at whole, `_RUN` samples
    side by side are looked at again and again. Loudness is the upper byte of a sample: seven bits are enough to draw.
    """
    if (wav.format, wav.bits) != (PCM, 16) or not wav.samples or points < 1:
        return []
    points = min(points, wav.samples)
    shapes = [bytearray(points) for _ in range(wav.channels)]
    short = wav.samples <= MOST_SAMPLES
    whole = _loudness(wav, read(wav.start, wav.samples * wav.frame)) if short else []
    for point in range(points):
        first, stop = (wav.samples * n // points for n in (point, point + 1))
        lanes = whole if short else _loudness(wav, _picked(wav, read, first, stop - first, points))
        for channel, lane in enumerate(lanes):
            shapes[channel][point] = max(lane[first:stop] if short else lane, default=0)
    return [bytes(shape) for shape in shapes]


def _loudness(wav: Wav, raw: bytes) -> list[bytes]:
    """The loudness of each sample, for each channel: in C, where a loop over numbers would take a hundred times as long."""
    return [raw[2 * channel + 1 :: wav.frame].translate(_LOUD) for channel in range(wav.channels)]


def _picked(wav: Wav, read: Callable[[int, int], bytes], first: int, count: int, points: int) -> bytes:
    """Some of the samples of a piece, evenly."""
    runs = max(MOST_SAMPLES // points // _RUN, 1)
    if count <= runs * _RUN:
        return read(wav.start + first * wav.frame, count * wav.frame)
    places = (wav.start + (first + count * n // runs) * wav.frame for n in range(runs))
    return b"".join([read(place, _RUN * wav.frame) for place in places])


_LOUD = bytes(
    min(2 * (high if high < 128 else 255 - high) + (high in (127, 128)), 255) for high in range(256)
)
"""From the upper byte of a sample to its loudness."""
