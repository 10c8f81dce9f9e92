"""WAV files: what their heads say, also of writers that died, and the shape of their sound."""

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.wav import NoWav, Wav, peaks, read_head


def made(samples: Sequence[tuple[int, ...]], *, told: int | None = None, extra: bytes = b"") -> bytes:
    channels = len(samples[0]) if samples else 1
    data = b"".join(struct.pack(f"<{channels}h", *one) for one in samples)
    size = len(data) if told is None else told
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, 8000, 16000 * channels, 2 * channels, 16)
    return b"RIFF\0\0\0\0WAVE" + fmt + extra + struct.pack("<4sI", b"data", size) + data


def head_of(file: bytes) -> Wav:
    return read_head(file[:4096], len(file))


def shape(file: bytes, points: int) -> list[bytes]:
    return peaks(head_of(file), lambda offset, length: file[offset : offset + length], points)


def test_a_head_says_channels_rate_and_length() -> None:
    found = head_of(made([(1, 2)] * 8000))
    assert (found.channels, found.rate, found.samples, found.duration_ms) == (2, 8000, 8000, 1000)


@pytest.mark.parametrize("told", [0, 0xFFFFFFFF, 10**6])
def test_a_writer_that_died_has_written_what_is_there(told: int) -> None:
    assert head_of(made([(5,)] * 400, told=told)).samples == 400


def test_titles_before_the_sound_are_passed_by() -> None:
    titles = struct.pack("<4sI", b"LIST", 5) + b"title\0"
    assert head_of(made([(5,)] * 400, extra=titles)).samples == 400


@pytest.mark.parametrize("file", [b"", b"RIFF", b"RIFF\0\0\0\0AVI ", b"ID3" + bytes(60), made([(1,)])[:30]])
def test_what_is_no_wav_file_is_refused(file: bytes) -> None:
    with pytest.raises(NoWav):
        read_head(file, len(file))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for file in (data, b"RIFF\0\0\0\0WAVE" + data, made([(1,)])[:36] + data):
        try:
            found = read_head(file, len(file))
        except NoWav:
            continue
        assert found.size <= len(file) and found.samples >= 0


def test_the_shape_is_the_loudest_of_each_piece_for_each_channel() -> None:
    quiet, loud = (0, 100), (-32768, 0)
    left, right = shape(made([quiet] * 500 + [loud] * 10 + [quiet] * 490), 4)
    assert left == bytes([0, 0, 255, 0]) and right == bytes([0, 0, 0, 0])


def test_a_long_file_is_looked_at_in_places_and_a_short_one_whole() -> None:
    samples = [(20000,)] * 100
    assert shape(made(samples), 800) == [bytes([156]) * 100]
    found = Wav(format=1, channels=1, rate=8000, bits=16, start=44, size=8000 * 2 * 3600 * 2)
    asked = 0

    def read(_offset: int, length: int) -> bytes:
        nonlocal asked
        asked += length
        return bytes(length)

    assert peaks(found, read, 800) == [bytes(800)]
    assert asked < 5_000_000


def test_what_is_not_16_bit_sound_has_no_shape() -> None:
    assert peaks(Wav(format=7, channels=1, rate=8000, bits=8, start=44, size=800), lambda *_: b"", 10) == []
