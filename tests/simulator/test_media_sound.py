"""Tones, files, keys and mixing; packets; and the port between the switch's thread and the media's."""

import array
import math
import wave
from itertools import islice
from pathlib import Path

from aiortc.rtp import RtcpPacket, RtcpSdesPacket, RtcpSrPacket
from hypothesis import given
from hypothesis import strategies as st

from freeswitch.simulator import rtcp, rtp, sound
from freeswitch.simulator.media import FRAME_BYTES, MOST_WAITING, PREFETCH, SILENCE, Port
from tests.simulator.browser import loudness, tone


def _heard(frames: "object", count: int = 50) -> "array.array[int]":
    return array.array("h", b"".join(islice(iter(frames), count)))  # type: ignore[call-overload]


def test_a_voice_is_its_pitch_and_everybody_has_one_of_their_own() -> None:
    frames = [sound.voice(740, n) for n in range(100)]
    assert loudness(_heard(frames, 100), 740) > 5900, "without a seam between the seconds"
    pitches = {sound.pitch_of(str(n)) for n in range(2000)}
    assert min(pitches) == 300 and max(pitches) == 900 and len(pitches) == 61


def test_a_tone_stream_sounds_as_it_is_written() -> None:
    frames = list(sound.open_sound("tone_stream://v=-24;%(40,20,500,600);%(20,0,700);loops=2"))
    assert len(frames) == 8
    assert [frame is SILENCE for frame in frames] == [False, False, True, False] * 2
    level = 32767 * 10 ** (-24 / 20)
    assert 0.9 * level < max(array.array("h", frames[0])) <= level
    long = _heard(sound.open_sound("tone_stream://%(1000,0,440);loops=-1"))
    assert loudness(long, 440) > 5900
    assert list(sound.open_sound("tone_stream://%(0,0,440);loops=-1")) == [], (
        "what takes no time does not go on"
    )


def test_files_of_any_rate_are_heard_and_what_is_no_file_is_nothing(tmp_path: Path) -> None:
    for rate, channels in ((8000, 1), (16_000, 1), (48_000, 2), (11_025, 1)):
        path = tmp_path / f"{rate}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(2)
            file.setframerate(rate)
            step = 2 * math.pi * 500 / rate
            samples = [round(8000 * math.sin(step * n)) for n in range(rate) for _ in range(channels)]
            file.writeframes(array.array("h", samples).tobytes())
        frames = list(sound.open_sound(path.name, str(tmp_path)))
        assert {len(frame) for frame in frames} == {FRAME_BYTES}
        assert 49 <= len(frames) <= 51
        assert loudness(_heard(frames), 500) > 6000
    both = f"file_string://{tmp_path}/8000.wav!{tmp_path}/16000.wav"
    assert len(list(sound.open_sound(both))) == 100
    (tmp_path / "no.wav").write_text("no")
    for nothing in ("no.wav", "absent.wav", "say://x"):
        assert list(sound.open_sound(nothing, str(tmp_path))) == []


def test_music_has_no_end_and_keys_are_two_tones() -> None:
    assert loudness(_heard(sound.open_sound("local_stream://moh")), 330) > 1000
    heard = _heard(sound.key_tones("5", 200), 10)
    assert loudness(heard, 770) > 1000 and loudness(heard, 1336) > 1000


def test_mixing_adds_and_does_not_wrap() -> None:
    loud = tone(440, 160, level=30_000).tobytes()
    assert sound.mixed() is sound.mixed(SILENCE, SILENCE) is SILENCE
    assert sound.mixed(SILENCE, loud) is loud
    assert max(array.array("h", sound.mixed(loud, loud))) == 32767
    both = array.array("h", sound.side_by_side(loud, SILENCE))
    assert both[0::2].tobytes() == loud and both[1::2].tobytes() == SILENCE


def test_a_port_evens_out_what_comes_unevenly_and_never_holds_much() -> None:
    port = Port()
    port.say(b"1")
    assert port.pull() is None, "not yet"
    for n in range(2, PREFETCH + 1):
        port.say(b"%d" % n)
    assert [port.pull() for _ in range(PREFETCH + 1)] == [b"%d" % n for n in range(1, PREFETCH + 1)] + [None]
    port.say(b"late")
    assert port.pull() is None, "it fills up again"
    for n in range(50):
        port.say(b"%d" % n)
        port.push(b"%d" % n)
    assert port.dropped == 2 * 50 - 2 * MOST_WAITING + 1
    assert port.pull() == port.hear() == b"40"


@given(
    st.builds(
        rtp.Packet, st.integers(0, 127), st.integers(0, 65535), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1),
        st.binary(max_size=200),
    )
)  # fmt: skip
def test_a_packet_is_read_as_it_was_written(packet: rtp.Packet) -> None:
    assert rtp.read(rtp.write(packet)) == packet
    extended = bytearray(rtp.write(packet))
    extended[0] |= 0x10 | 1
    extended[12:12] = b"csrc" + b"\xbe\xde\x00\x01" + b"\x10\xff\x00\x00"
    assert rtp.read(bytes(extended)) == packet


@given(st.binary(max_size=40))
def test_what_is_no_packet_is_none(data: bytes) -> None:
    rtp.read(data)
    rtp.KeyReader(8000).feed(rtp.Packet(101, 1, 2, 3, data))


def test_a_key_is_told_once_however_often_it_is_reported() -> None:
    reader = rtp.KeyReader(48_000)
    reports = [(n * 960, n >= 5) for n in range(1, 6)] + [(4800, True)] * 2
    told = [
        reader.feed(rtp.Packet(110, n, 777, 1, rtp.key_payload("#", lasts, end=end)))
        for n, (lasts, end) in enumerate(reports)
    ]
    assert [one for one in told if one] == [("#", 100)]
    assert reader.feed(rtp.Packet(110, 99, 999, 1, rtp.key_payload("#", 960, end=True))) == ("#", 20), "again"


def test_numbers_and_times_go_round() -> None:
    source = rtp.Sequencer(1, sequence=0xFFFF, timestamp=0xFFFFFFFF)
    source.advance(960)
    packet = rtp.read(source.packet(111, b"x", marker=True))
    assert packet is not None and (packet.sequence, packet.timestamp) == (0, 959)


def test_a_report_says_what_was_lost_and_how_uneven_it_came() -> None:
    heard = rtcp.Reception(8000)
    for n in range(100):
        if n % 4:
            heard.add(
                rtp.Packet(0, (65_500 + n) & 0xFFFF, n * 160, 7, b""), n * 0.02 + (0.01 if n % 2 else 0.0)
            )
    heard.said(b"\x80\xc8\x00\x06" + bytes(6) + b"\x12\x34\x56\x78" + bytes(14), 2.0)
    report = rtcp.report(
        ssrc=9, name="abc", unix_s=1000.5, timestamp=160, packets=5, octets=800, about=heard.block(3.0)
    )
    sender, described = RtcpPacket.parse(report)
    assert isinstance(sender, RtcpSrPacket) and isinstance(described, RtcpSdesPacket)
    assert sender.sender_info.ntp_timestamp == (1000 + 2_208_988_800) << 32 | 1 << 31
    (about,) = sender.reports
    assert (about.ssrc, about.packets_lost, about.highest_sequence) == (7, 24, 65_599)
    assert about.fraction_lost == 24 * 256 // 99
    assert 40 < about.jitter < 90, "10 ms are 80 ticks"
    assert (about.lsr, about.dlsr) == (0x12345678, 65536)
    assert described.chunks[0].items == [(1, b"abc")]
    assert heard.block(4.0)[4] == 0, "none since"
    heard.add(rtp.Packet(0, 5, 0, 8, b""), 5.0)
    assert (heard.received, heard.lost) == (1, 0), "another source"
