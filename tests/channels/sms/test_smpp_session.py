"""One SMPP session without a socket or a clock: binding, window, silence, throttling, and what is known at the end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx_channels.sms.smpp import codec, words
from irisx_channels.sms.smpp.codec import Bind, Decoder, Pdu, Short
from irisx_channels.sms.smpp.session import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    Answered,
    Bound,
    Delivered,
    Event,
    Lost,
    NotBound,
    Session,
)

HELLO = Short(source="ACME", dest="15005550006", message=b"Hello")


class Scene:
    """A session, and the centre's side of it by hand."""

    def __init__(self, *, bound: bool = True, window: int = 4) -> None:
        self.now = 1000.0
        self.session = Session(
            Bind("esme01", "secret8!"), now=self.now, window=window, enquire_s=30, response_s=10
        )
        self.decoder = Decoder()
        (self.bind,) = self.written()
        if bound:
            self.say(
                words.BIND_TRANSCEIVER | words.RESPONSE, self.bind.sequence, body=codec.bound_body("SMSC")
            )

    def written(self) -> list[Pdu]:
        return self.decoder.feed(self.session.take())

    def say(self, command: int, sequence: int, status: int = 0, body: bytes = b"") -> list[Event]:
        return self.session.receive(codec.encode(Pdu(command, status, sequence, body)), self.now)

    def accept(self, sequence: int, name: str = "id1") -> list[Event]:
        return self.say(words.SUBMIT_SM | words.RESPONSE, sequence, body=codec.id_body(name))

    def refuse(self, sequence: int, status: int) -> list[Event]:
        return self.say(words.SUBMIT_SM | words.RESPONSE, sequence, status)

    def later(self, seconds: float) -> list[Event]:
        self.now += seconds
        return self.session.tick(self.now)

    def submit(self) -> int:
        return self.session.submit(HELLO, self.now)


def test_it_binds_as_a_transceiver_and_takes_messages_only_then() -> None:
    scene = Scene(bound=False)
    assert scene.bind.command == words.BIND_TRANSCEIVER
    with pytest.raises(NotBound):
        scene.submit()
    bound = scene.say(0x80000009, scene.bind.sequence, body=codec.bound_body("SMSC01"))
    assert bound == [Bound("SMSC01", 0x34)]
    assert scene.submit() == 2


@pytest.mark.parametrize(
    "status", [words.BAD_PASSWORD, words.BAD_SYSTEM_ID, words.ALREADY_BOUND, words.BIND_FAILED]
)
def test_a_bind_that_is_turned_down_ends_it(status: int) -> None:
    scene = Scene(bound=False)
    assert scene.say(0x80000009, scene.bind.sequence, status) == [
        Lost("the centre does not let us in", status)
    ]
    with pytest.raises(NotBound):
        scene.submit()


def test_a_bind_without_an_answer_ends_it() -> None:
    scene = Scene(bound=False)
    assert scene.later(9.9) == []
    assert scene.session.next_tick() == 1010
    assert scene.later(0.1) == [Lost("the centre does not answer to the bind")]


def test_answers_find_their_messages_in_any_order() -> None:
    scene = Scene()
    first, second = scene.submit(), scene.submit()
    assert [pdu.sequence for pdu in scene.written()] == [first, second]
    assert scene.accept(second, "b") == [Answered(second, 0, "b")]
    assert scene.accept(first, "a") == [Answered(first, 0, "a")]
    assert scene.accept(first, "again") == []
    assert scene.session.surprises == 1


def test_the_window_is_kept() -> None:
    scene = Scene(window=2)
    first, _ = scene.submit(), scene.submit()
    assert scene.session.wait_s(scene.now) is None
    with pytest.raises(NotBound):
        scene.submit()
    scene.accept(first)
    assert scene.session.wait_s(scene.now) == 0
    scene.submit()


@pytest.mark.parametrize("status", [words.THROTTLED, words.QUEUE_FULL])
def test_too_fast_halves_the_window_and_pauses_longer_each_time(status: int) -> None:
    scene = Scene(window=8)
    pause = FIRST_PAUSE_S
    for limit in (4, 2, 1, 1, 1, 1):
        (answered,) = scene.refuse(scene.submit(), status)
        assert isinstance(answered, Answered) and answered.status == status
        assert (scene.session.limit, scene.session.wait_s(scene.now)) == (limit, pause)
        with pytest.raises(NotBound):
            scene.submit()
        scene.now += pause
        pause = min(pause * 2, LONGEST_PAUSE_S)
    for _ in range(1 + 2 + 3 + 4 + 5 + 6 + 7):
        scene.accept(scene.submit())
    assert (scene.session.limit, scene.session.throttled) == (8, 6)
    for _ in range(20):
        scene.accept(scene.submit())
    assert scene.session.limit == 8


def test_silence_is_asked_about_and_ends_it_in_the_end() -> None:
    scene = Scene()
    assert scene.later(29.9) == [] and scene.written() == []
    scene.later(0.1)
    (asking,) = scene.written()
    assert asking.command == words.ENQUIRE_LINK
    scene.say(words.ENQUIRE_LINK | words.RESPONSE, asking.sequence)
    assert scene.later(29.9) == [] and scene.written() == []
    scene.later(0.1)
    assert len(scene.written()) == 1
    assert scene.later(9.9) == []
    assert scene.later(0.2) == [Lost("the centre is silent")]
    assert scene.later(100) == []


def test_the_centres_own_question_is_answered() -> None:
    scene = Scene()
    scene.say(words.ENQUIRE_LINK, 77)
    assert scene.written() == [Pdu(words.ENQUIRE_LINK | words.RESPONSE, 0, 77)]


def test_a_message_without_an_answer_in_time_has_an_unknown_outcome() -> None:
    scene = Scene()
    written, kept = scene.submit(), 0
    scene.session.take()
    kept = scene.submit()
    assert scene.later(10.1) == [Answered(written, None, gone=True), Answered(kept, None, gone=False)]
    assert scene.session.outstanding == 0


def test_at_the_end_it_is_known_what_had_left() -> None:
    scene = Scene()
    gone = scene.submit()
    scene.session.take()
    kept = scene.submit()
    lost = Lost("the centre hung up")
    assert scene.session.receive(b"", scene.now) == [
        Answered(gone, None, gone=True), Answered(kept, None, gone=False), lost,
    ]  # fmt: skip
    assert scene.session.lost == lost
    assert scene.session.broken("again") == scene.session.receive(b"x", scene.now) == []


def test_deliveries_are_handed_out_and_answered() -> None:
    scene = Scene()
    body = codec.short_body(HELLO)
    (delivered,) = scene.say(words.DELIVER_SM, 5, body=body)
    assert delivered == Delivered(5, words.DELIVER_SM, HELLO, body)
    assert scene.written() == []
    scene.session.answer(delivered)
    assert scene.written() == [Pdu(words.DELIVER_SM | words.RESPONSE, 0, 5, b"\0")]
    scene.session.answer(delivered, words.TRY_AGAIN)
    assert scene.written() == [Pdu(words.DELIVER_SM | words.RESPONSE, words.TRY_AGAIN, 5)]


def test_a_data_sm_is_a_delivery_too() -> None:
    scene = Scene()
    body = b"\0\1\x0115005550001\0\1\x01" + b"15005550006\0" + bytes((0, 0, 0)) + b"\x04\x24\0\2Hi"
    (delivered,) = scene.say(words.DATA_SM, 6, body=body)
    assert isinstance(delivered, Delivered) and delivered.short.tlv(words.PAYLOAD) == b"Hi"
    scene.session.answer(delivered)
    assert scene.written() == [Pdu(words.DATA_SM | words.RESPONSE, 0, 6, b"\0")]


def test_what_cannot_be_read_is_answered_so_and_harms_nothing() -> None:
    scene = Scene()
    assert scene.say(words.DELIVER_SM, 5, body=b"\0\0") == []
    assert scene.say(0x22, 6) == scene.say(words.ALERT_NOTIFICATION, 7) == scene.say(words.OUTBIND, 8) == []
    assert scene.say(words.GENERIC_NACK, 99, 3) == scene.say(0x80000022, 98) == []
    assert scene.written() == [
        Pdu(words.DELIVER_SM | words.RESPONSE, words.BAD_LENGTH, 5), Pdu(words.GENERIC_NACK, words.BAD_COMMAND, 6),
    ]  # fmt: skip
    assert scene.session.surprises == 4 and scene.session.bound


def test_a_delivery_before_the_bind_is_refused() -> None:
    scene = Scene(bound=False)
    assert scene.say(words.DELIVER_SM, 5, body=codec.short_body(HELLO)) == []
    assert scene.written() == [Pdu(words.DELIVER_SM | words.RESPONSE, words.BAD_STATE, 5)]


def test_a_nack_refuses_the_message_that_it_names() -> None:
    scene = Scene()
    first, second = scene.submit(), scene.submit()
    assert scene.say(words.GENERIC_NACK, first, 0x02) == [Answered(first, 2)]
    assert scene.say(words.GENERIC_NACK, second, 0) == [Answered(second, words.BAD_COMMAND)]


def test_leaving_waits_for_the_answers_that_are_on_their_way() -> None:
    scene = Scene()
    last = scene.submit()
    scene.session.leave(scene.now)
    scene.session.leave(scene.now)
    *_, unbind = scene.written()
    assert unbind.command == words.UNBIND
    with pytest.raises(NotBound):
        scene.submit()
    assert scene.accept(last) == [Answered(last, 0, "id1")]
    assert scene.say(words.UNBIND | words.RESPONSE, unbind.sequence) == [Lost("we ended the session")]


def test_the_centre_may_end_it() -> None:
    scene = Scene()
    assert scene.say(words.UNBIND, 9) == [Lost("the centre ended the session")]
    assert scene.written() == [Pdu(words.UNBIND | words.RESPONSE, 0, 9)]


def test_numbers_begin_again_after_the_last_one() -> None:
    scene = Scene()
    held = scene.submit()
    scene.session._sequence = 0x7FFFFFFE
    assert [scene.submit(), scene.submit()] == [0x7FFFFFFF, 1]
    scene.session._sequence = held - 1
    assert scene.submit() == held + 1


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_no_bytes_make_it_raise(pieces: list[bytes]) -> None:
    scene = Scene()
    scene.submit()
    for piece in pieces:
        scene.session.receive(piece, scene.now)
    scene.later(60)
    assert scene.session.lost is not None or scene.session.bound
