"""What is a browser's offer, and what is a bomb."""

import pytest

from core.signaling.sdp import fault_of
from tests.signaling.place import SDP

GOOD = SDP


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def test_an_offer_of_a_browser_passes() -> None:
    assert fault_of(GOOD) == ""
    assert fault_of(GOOD.replace("127.0.0.1 40000", "2001:db8::1 40000")) == ""
    assert fault_of(GOOD.replace("\r\n", "\n")) == ""


@pytest.mark.parametrize(
    ("sdp", "word"),
    [
        (GOOD + "a=x:" + "y" * (16 << 10), "larger"),
        (GOOD + "a=x\r\n" * 500, "lines"),
        (GOOD + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", "one section"),
        (changed("m=audio", "m=video"), "audio"),
        (changed("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "audio over"),
        (changed("111 0 8 110", " ".join(["1"] * 50)), "formats"),
        (changed("a=fingerprint:sha-256", "a=fingerprint:sha-1"), "fingerprint"),
        (changed("AB:AB", "AB"), "fingerprint"),
        (changed("a=ice-ufrag:abcd", "a=ice-ufrag:ab"), "ICE"),
        (changed("p" * 24, "p" * 10), "ICE"),
        (changed("a=setup:actpass", "a=setup:holdconn"), "setup"),
        (changed("127.0.0.1 40000", "0a1b.local 40000"), "candidate"),
        (changed("1 udp", "1 tcp"), "candidate"),
        (changed("127.0.0.1 40000", "127.0.0.1 99999"), "candidate"),
        (GOOD + "a=candidate:1 1 udp 1 127.0.0.1 4 typ host\r\n" * 65, "candidates"),
        (changed("s=-", "s=\x01"), "no SDP"),
        (changed("s=-", "s=\u00e4"), "no SDP"),
        ("", "no SDP"),
        ("hello", "no SDP"),
    ],
)
def test_anything_else_is_refused_and_not_repeated(sdp: str, word: str) -> None:
    fault = fault_of(sdp)
    assert word in fault
    assert "AB:" not in fault and "ufrag" not in fault and "pppp" not in fault
