"""Two browsers' packets, back to back: what one port is to hear is what the other one's far end has said."""

import array

import pytest

from freeswitch.simulator import rtp, sound
from freeswitch.simulator.media import SILENCE, Port
from freeswitch.simulator.media_stream import Stream
from freeswitch.simulator.webrtc_sdp import Codec, read_offer
from tests.simulator.browser import loudness
from tests.simulator.inside import OFFER


def _ends(offer: str = OFFER) -> tuple[Stream, Port, Stream, Port]:
    read, here, there = read_offer(offer), Port(), Port()
    sender = Stream(read, here, rtp.Sequencer(7, sequence=65_500, timestamp=2**32 - 9600), "a")
    return sender, here, Stream(read, there, rtp.Sequencer(8, sequence=0, timestamp=0), "b"), there


def _heard(port: Port) -> bytes:
    return b"".join(iter(lambda: port.pull() or b"", b""))


@pytest.mark.parametrize("offer", [OFFER, OFFER.replace("SAVPF 111 110", "SAVPF 8")])
def test_a_voice_comes_through_coded(offer: str) -> None:
    sender, here, receiver, there = _ends(offer)
    said = b""
    for n in range(100):
        for packet in sender.packets(sound.voice(500, n)):
            receiver.received(packet, n * 0.02)
        if n > 5:
            said += there.pull() or b""
    heard = array.array("h", said)
    assert len(heard) > 90 * 160
    assert loudness(heard[4000:12_000], 500) > 5000
    assert (here.packets_out, there.packets_in) == (100, 100)
    assert here.bytes_out == there.bytes_in


def test_keys_go_in_place_of_sound_with_a_pause_between_and_arrive_once_each() -> None:
    sender, here, receiver, there = _ends()
    assert here.takes_keys
    here.keys.extend([("4", 100), ("#", 60)])
    kinds = ""
    for n in range(20):
        packets = sender.packets(SILENCE)
        kinds += {110: "k", 111: "s"}[packets[0][1] & 0x7F]
        for packet in packets:
            receiver.received(packet, n * 0.02)
    assert kinds == "kkkkksssskkkssssssss".replace("ssss", "sss", 1) + "s"
    assert there.pressed() == [("4", 100), ("#", 60)]


def test_a_packet_that_is_late_is_left_out_and_one_that_is_lost_is_reported() -> None:
    sender, _, receiver, there = _ends()
    _, _, other, elsewhere = _ends()
    packets = [sender.packets(sound.voice(500, n))[0] for n in range(10)]
    for packet in (*packets[:4], *packets[5:]):
        receiver.received(packet, 1.0)
        other.received(packet, 1.0)
    receiver.received(packets[4], 1.0)
    assert _heard(there) == _heard(elsewhere) != b""
    report = receiver.report(10.0, 1000.0)
    assert report is not None
    lost = int.from_bytes(report[33:36], "big")
    assert lost == 1
    assert receiver.report(10.1, 1000.1) is None, "not so soon again"


def test_noise_and_other_payloads_are_no_sound() -> None:
    _, _, receiver, there = _ends()
    receiver.received(b"\x80", 0)
    receiver.received(rtp.write(rtp.Packet(13, 1, 1, 1, b"\x1e")), 0)
    receiver.received(rtp.write(rtp.Packet(111, 2, 1, 1, b"\xff" * 3)), 0)
    assert there.pull() is None and there.packets_in == 2
    receiver.told(b"\x80\xc9\x00\x01\x00\x00\x00\x01", 0)
    assert there.packets_in == 3, "it is alive"


def test_a_codec_is_what_was_agreed() -> None:
    assert read_offer(OFFER.replace("SAVPF 111 110", "SAVPF 8")).codec == Codec("PCMA", 8, 8000)
