"""Frames come out of bytes the same way whatever the chunks, and nothing malformed passes for a frame."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freeswitch.errors import ProtocolError
from freeswitch.esl import Decoder, Frame

EVENT = b"Event-Name: HEARTBEAT\nCore-UUID: abc\n\n"


def envelope(body: bytes, kind: bytes = b"text/event-plain") -> bytes:
    return b"Content-Length: %d\nContent-Type: %s\n\n%s" % (len(body), kind, body)


def shape(frames: list[Frame]) -> list[tuple[str, bytes, bytes]]:
    return [(frame.content_type, frame.head, frame.body) for frame in frames]


# --- what a switch says --------------------------------------------------------------------------------------


def test_the_invitation_to_authenticate_is_a_frame_without_a_body() -> None:
    (frame,) = Decoder().feed(b"Content-Type: auth/request\n\n")
    assert (frame.content_type, frame.body, frame.event()) == ("auth/request", b"", None)


def test_a_reply_has_its_text() -> None:
    (frame,) = Decoder().feed(b"Content-Type: command/reply\nReply-Text: +OK Job-UUID: 7\nJob-UUID: 7\n\n")
    assert frame.reply_text == "+OK Job-UUID: 7"
    assert frame.header("Job-UUID") == "7"
    assert frame.header("job-uuid") == "7"
    assert frame.header("Job") is None


def test_the_order_of_envelope_lines_does_not_matter() -> None:
    data = b"Content-Type: api/response\nContent-Length: 3\n\n+OKContent-Type: auth/request\n\n"
    assert [frame.body for frame in Decoder().feed(data)] == [b"+OK", b""]


def test_a_length_counts_bytes_and_not_characters() -> None:
    body = "Zoë ☎".encode()
    (frame,) = Decoder().feed(envelope(body, b"api/response"))
    assert frame.body == body


def test_a_length_of_zero_means_no_body() -> None:
    data = b"Content-Type: text/disconnect-notice\nContent-Disposition: linger\nContent-Length: 0\n\n"
    frames = Decoder().feed(data + b"Content-Type: auth/request\n\n")
    assert [frame.content_type for frame in frames] == ["text/disconnect-notice", "auth/request"]


def test_a_kind_that_we_do_not_know_is_skipped_by_its_length() -> None:
    frames = Decoder().feed(envelope(b"a\n\nContent-Type: x\n\n", b"text/new-thing") + envelope(EVENT))
    assert [frame.content_type for frame in frames] == ["text/new-thing", "text/event-plain"]
    assert frames[0].event() is None


def test_a_log_line_is_a_frame_like_any_other() -> None:
    data = (
        b"Content-Type: log/data\nContent-Length: 6\nLog-Level: 2\nText-Channel: 0\nLog-File: a.c\n"
        b"Log-Func: f\nLog-Line: 1\nUser-Data: \n\nLost!\n"
    )
    (frame,) = Decoder().feed(data)
    assert (frame.content_type, frame.header("Log-Level"), frame.header("User-Data")) == ("log/data", "2", "")


def test_a_rude_rejection_and_the_notice_behind_it_are_two_frames() -> None:
    data = b"Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n" + envelope(
        b"Disconnected, goodbye.\n", b"text/disconnect-notice"
    )
    kinds = [frame.content_type for frame in Decoder().feed(data)]
    assert kinds == ["text/rude-rejection", "text/disconnect-notice"]


def test_the_answer_to_connect_is_an_event_in_place_of_an_envelope() -> None:
    data = (
        b"Event-Name: CHANNEL_DATA\nUnique-ID: u-1\nCaller-Caller-ID-Name: Zo%C3%AB%0AControl%3A%20x\n"
        b"Content-Type: command/reply\nReply-Text: %2BOK%0A\nSocket-Mode: async\nControl: full\n\n"
    )
    (frame,) = Decoder().feed(data)
    event = frame.event()
    assert frame.is_connect_reply and frame.reply_text == "+OK"
    assert event is not None
    assert (event.name, event.uuid, event.get("Caller-Caller-ID-Name")) == (
        "CHANNEL_DATA",
        "u-1",
        "Zoë\nControl: x",
    )
    assert frame.header("Control") == "full"


def test_envelope_values_are_not_percent_decoded() -> None:
    (frame,) = Decoder().feed(b"Content-Type: command/reply\nReply-Text: 100%25\n\n")
    assert frame.reply_text == "100%25"


def test_line_feeds_between_frames_are_no_frame() -> None:
    frames = Decoder().feed(b"\n\n" + envelope(EVENT) + b"\n" + envelope(EVENT))
    assert len(frames) == 2


# --- what a switch would never say ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"Content-Length: -5\nContent-Type: text/event-plain\n\n",
        b"Content-Length: +5\nContent-Type: text/event-plain\n\n",
        b"Content-Length: 1_0\nContent-Type: text/event-plain\n\n",
        b"Content-Length: 0x10\nContent-Type: text/event-plain\n\n",
        b"Content-Length: \nContent-Type: text/event-plain\n\n",
        b"Content-Length: 99999999999999999999\nContent-Type: text/event-plain\n\n",
        b"Content-Length: 67108865\nContent-Type: text/event-plain\n\n",
        b"Content-Type: api/response\nContent-Length: 67108865\n\n",
        b"Content-Type: api/response\nContent-Length: \xd9\xa3\n\n",
        b"HTTP/1.1 400 Bad Request\nContent-Length: 0\n\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\n\n",
        b"garbage without any colon\n\n",
    ],
)
def test_what_is_no_event_socket_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(data)
    slowly = Decoder()
    with pytest.raises(ProtocolError):
        for byte in data:
            slowly.feed(bytes([byte]))


def test_a_header_block_without_an_end_is_refused_at_its_limit() -> None:
    decoder = Decoder(max_header=1000)
    with pytest.raises(ProtocolError):
        for _ in range(300):
            decoder.feed(b"X: y\n")


def test_a_header_block_that_is_too_long_is_refused_even_when_it_comes_at_once() -> None:
    data = b"Content-Type: a/b\nX: " + b"y" * 200 + b"\n\n"
    assert len(Decoder().feed(data)) == 1
    with pytest.raises(ProtocolError, match="header block of"):
        Decoder(max_header=100).feed(data)


def test_a_body_beyond_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(ProtocolError):
        Decoder(max_body=10).feed(b"Content-Length: 11\nContent-Type: text/event-plain\n\n")


def test_what_came_before_the_damage_is_delivered_and_nothing_after() -> None:
    decoder = Decoder()
    frames = decoder.feed(envelope(EVENT) + b"Content-Length: x\n\n" + envelope(EVENT))
    assert len(frames) == 1
    assert decoder.broken is not None
    with pytest.raises(ProtocolError):
        decoder.feed(envelope(EVENT))


def test_a_body_that_never_ends_stays_pending() -> None:
    decoder = Decoder()
    assert decoder.feed(envelope(EVENT)[:-1]) == []
    assert decoder.buffered == len(envelope(EVENT)) - 1
    assert len(decoder.feed(EVENT[-1:])) == 1
    assert decoder.buffered == 0


# --- any chunking --------------------------------------------------------------------------------------------

BODIES = st.binary(max_size=300)
KINDS = st.sampled_from([b"text/event-plain", b"text/event-json", b"api/response", b"log/data", b"x/y"])


@settings(deadline=None)
@given(st.lists(st.tuples(KINDS, BODIES), max_size=8), st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_frames_do_not_depend_on_chunking(sent: list[tuple[bytes, bytes]], steps: list[int]) -> None:
    data = b"".join(envelope(body, kind) for kind, body in sent)
    decoder = Decoder()
    frames: list[Frame] = []
    at = turn = 0
    while at < len(data):
        step = steps[turn % len(steps)]
        frames += decoder.feed(data[at : at + step])
        at += step
        turn += 1
    assert [(frame.content_type.encode(), frame.body) for frame in frames] == sent
    assert shape(frames) == shape(Decoder().feed(data))


@settings(deadline=None)
@given(st.binary(max_size=400), st.integers(1, 50))
def test_garbage_gives_the_same_frames_or_the_same_refusal_in_any_chunking(data: bytes, step: int) -> None:
    def read(size: int) -> tuple[list[tuple[str, bytes, bytes]], bool]:
        decoder = Decoder()
        frames: list[Frame] = []
        try:
            for at in range(0, len(data), size):
                frames += decoder.feed(data[at : at + size])
        except ProtocolError:
            pass
        return shape(frames), decoder.broken is not None

    assert read(step) == read(max(1, len(data)))


def test_a_large_body_in_small_pieces_takes_time_in_proportion() -> None:
    """One byte at a time, twice the size may take about twice the time; quadratic work would take four times."""

    def seconds(size: int) -> float:
        data = envelope(b"x" * size) + b"Content-Type: a/b\nX: " + b"y" * size + b"\n\n"
        decoder = Decoder()
        frames = 0
        began = time.process_time()
        for at in range(0, len(data), 16):
            frames += len(decoder.feed(data[at : at + 16]))
        assert frames == 2
        return time.process_time() - began

    small = min(seconds(200_000) for _ in range(3))
    large = min(seconds(800_000) for _ in range(3))
    assert large < small * 8 + 0.05
