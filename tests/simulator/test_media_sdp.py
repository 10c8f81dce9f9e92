"""Offers of browsers are read whole or refused, and answered line for line as a captured switch did."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeswitch.simulator.webrtc_sdp import Codec, Local, OfferError, read_offer, write_answer
from tests.freeswitch.test_sip import captured

OFFERS = [wire.partition(b"\r\n\r\n")[2].decode() for _, wire in captured() if wire.startswith(b"INVITE")]
ANSWER = (
    next(wire for who, wire in captured() if wire.startswith(b"SIP/2.0 200"))
    .partition(b"\r\n\r\n")[2]
    .decode()
)
ALL = Local(
    host="127.0.0.4", port=20540, session=1795360155, version=1, ufrag="0xIPLQaAm6FOLjFL",
    password="xaizTnG6GJ0gNBUXGQqpcoHY",
    fingerprint="7B:3B:17:09:F2:38:53:E9:C6:73:C6:16:57:13:C9:D0:4A:63:C5:4D:CD:1B:36:9D:FF:87:1D:7A:72:74:AC:6B",
    candidates=("7742649557 1 udp 2130706431 127.0.0.4 20540 typ host generation 0",), ssrc=2004735519,
    name="6HISTBHcSjcS96Uo", stream="rMeEppSHpOvI5fjHRyrh2zajZkfSgjWz",
)  # fmt: skip


def test_chromiums_offer_is_understood() -> None:
    offer = read_offer(OFFERS[0])
    assert (offer.mid, offer.ufrag, offer.setup, offer.direction) == ("0", "rHUf", "actpass", "sendrecv")
    assert offer.codec == Codec("opus", 111, 48000)
    assert offer.keys == Codec("telephone-event", 110, 48000), "the one that ticks as the sound does"
    assert len(offer.candidates) == 8 and offer.comfort_noise
    assert read_offer(OFFERS[1]).fingerprints == offer.fingerprints != ()


def test_the_answer_is_the_captured_one_and_what_newer_browsers_want() -> None:
    lines = write_answer(read_offer(OFFERS[0]), ALL).splitlines()
    more = ["a=group:BUNDLE 0", "a=mid:0"]
    assert [line for line in lines if line not in more] == [
        line.replace("IN IP4 192.0.2.2", "IN IP4 127.0.0.4") for line in ANSWER.splitlines()
    ]
    assert set(more) < set(lines)


def test_a_telephones_codec_is_taken_where_there_is_no_better_one() -> None:
    offer = read_offer(OFFERS[0].replace("SAVPF 111 63 9 0", "SAVPF 63 9 0"))
    assert offer.codec == Codec("PCMU", 0, 8000)
    assert offer.keys == Codec("telephone-event", 126, 8000)
    assert "a=rtpmap:0 PCMU/8000\r\na=rtpmap:126 telephone-event/8000" in write_answer(offer, ALL)


def test_one_who_only_listens_is_only_spoken_to() -> None:
    answer = write_answer(read_offer(OFFERS[0].replace("a=sendrecv", "a=recvonly")), ALL)
    assert "a=sendonly" in answer
    assert "a=setup:passive" in write_answer(read_offer(OFFERS[0].replace("actpass", "active")), ALL)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text.replace("m=audio", "m=video"),
        lambda text: text + text[text.index("m=audio") :],
        lambda text: text.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"),
        lambda text: text.replace("a=ice-ufrag:rHUf\r\n", ""),
        lambda text: text.replace("a=fingerprint", "a=nothing"),
        lambda text: text.replace("a=rtcp-mux\r\n", ""),
        lambda text: text.replace("111 63 9 0 8 13 110 126", "63 9 13"),
        lambda text: text.replace("m=audio 40402", "m=audio 0"),
    ],
)
def test_what_cannot_be_answered_is_refused(spoil: "object") -> None:
    assert callable(spoil)
    with pytest.raises(OfferError):
        read_offer(spoil(OFFERS[0]))


@given(
    st.lists(
        st.sampled_from([*OFFERS[0].splitlines(), "m=audio x", "a=rtpmap:9999 a/b", "a=", "=", "ä"]),
        max_size=40,
    )
)
def test_nothing_that_is_offered_makes_it_fail(lines: list[str]) -> None:
    try:
        read_offer("v=0\r\n" + "\r\n".join(lines))
    except OfferError:
        return
