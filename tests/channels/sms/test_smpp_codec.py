"""SMPP's units: the vectors, any chunking, any bytes; and the texts in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx_channels.sms.smpp import codec, coding, words
from irisx_channels.sms.smpp.codec import BadStream, BadUnit, Bind, Decoder, Pdu, Short
from irisx_sdk import segments

BIND = "0000002500000009000000000000000165736d653031007365637265743821000034000000"
BOUND = "0000001c800000090000000000000001534d53433031000210000134"
SUBMIT = (
    "0000003500000004000000000000000200050041434d45000101313530303535353030303600000000000001000000"
    "0548656c6c6f"
)
ACCEPTED = "0000001780000004000000000000000261316232633300"
THROTTLED = "00000010800000040000005800000002"
ENQUIRE = "00000010000000150000000000000003"
ALIVE = "00000010800000150000000000000003"
RECEIPT = (
    "000000a700000005000000000000004d000101313530303535353030303600050041434d45000400000000000000006769643a6131623263332073"
    "75623a30303120646c7672643a303031207375626d697420646174653a3234303130323033303420646f6e6520646174653a3234303130323033"
    "303520737461743a44454c49565244206572723a30303020746578743a48656c6c6f001e0007613162326333000427000102"
)
EVERY = (BIND, BOUND, SUBMIT, ACCEPTED, THROTTLED, ENQUIRE, ALIVE, RECEIPT)
HELLO = Short(
    source="ACME", source_ton=5, dest="15005550006", dest_ton=1, dest_npi=1, registered=1, message=b"Hello"
)
REPORT = (
    b"id:a1b2c3 sub:001 dlvrd:001 submit date:2401020304 done date:2401020305 stat:DELIVRD err:000 text:Hello"
)


def unit(hexadecimal: str) -> Pdu:
    (found,) = Decoder().feed(bytes.fromhex(hexadecimal))
    assert codec.encode(found).hex() == hexadecimal
    return found


def test_the_bind_vector() -> None:
    body = codec.bind_body(Bind("esme01", "secret8!"))
    assert codec.encode(Pdu(words.BIND_TRANSCEIVER, 0, 1, body)).hex() == BIND
    assert codec.read_bind(unit(BIND).body) == Bind("esme01", "secret8!")


def test_the_bound_vector() -> None:
    assert codec.read_bound(unit(BOUND).body) == ("SMSC01", 0x34)
    assert codec.encode(Pdu(0x80000009, 0, 1, codec.bound_body("SMSC01"))).hex() == BOUND
    assert codec.read_bound(b"") == ("", 0) == codec.read_bound(b"no end")
    assert codec.read_bound(codec.bound_body("x", None)) == ("x", 0)


def test_the_submit_vector() -> None:
    assert codec.encode(Pdu(words.SUBMIT_SM, 0, 2, codec.short_body(HELLO))).hex() == SUBMIT
    assert codec.read_short(unit(SUBMIT).body) == HELLO


def test_the_vectors_of_answers_and_of_asking() -> None:
    assert codec.read_id(unit(ACCEPTED).body) == "a1b2c3"
    assert codec.encode(Pdu(0x80000004, 0, 2, codec.id_body("a1b2c3"))).hex() == ACCEPTED
    assert (unit(THROTTLED).status, unit(THROTTLED).is_response) == (words.THROTTLED, True)
    assert codec.read_id(unit(THROTTLED).body) == ""
    assert unit(ENQUIRE) == Pdu(words.ENQUIRE_LINK, 0, 3)
    assert unit(ALIVE) == Pdu(words.ENQUIRE_LINK | words.RESPONSE, 0, 3)


def test_the_receipt_vector() -> None:
    short = codec.read_short(unit(RECEIPT).body)
    assert (short.source, short.dest, short.esm_class, short.message) == ("15005550006", "ACME", 4, REPORT)
    assert len(short.message) == 103
    assert short.tlvs == ((words.RECEIPTED_ID, b"a1b2c3\0"), (words.MESSAGE_STATE, b"\x02"))
    assert codec.short_body(short) == unit(RECEIPT).body


@given(st.lists(st.integers(1, 40), max_size=60))
def test_units_do_not_depend_on_how_the_bytes_arrive(sizes: list[int]) -> None:
    stream = bytes.fromhex("".join(EVERY))
    whole = Decoder().feed(stream)
    decoder, found, place = Decoder(), [], 0
    for size in [*sizes, len(stream)]:
        found += decoder.feed(stream[place : place + size])
        place += size
    assert found == whole and len(whole) == len(EVERY)


@pytest.mark.parametrize("length", [0, 15, codec.MAX_LENGTH + 1, 0xFFFFFFFF])
def test_a_length_that_cannot_be_ends_the_stream(length: int) -> None:
    with pytest.raises(BadStream):
        Decoder().feed(length.to_bytes(4, "big") + bytes(12))


octets = st.integers(0, 255)
SHORTS = st.builds(
    Short,
    service_type=st.text("ABC", max_size=5),
    source_ton=octets,
    source_npi=octets,
    source=st.text("0123456789ABC ", max_size=20),
    dest_ton=octets,
    dest_npi=octets,
    dest=st.text("0123456789", max_size=20),
    esm_class=octets,
    priority=octets,
    validity=st.sampled_from(["", "000000000100000R"]),
    registered=octets,
    data_coding=octets,
    message=st.binary(max_size=254),
    tlvs=st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=30)), max_size=4).map(tuple),
)


@given(SHORTS)
def test_a_message_comes_back_as_it_went(short: Short) -> None:
    assert codec.read_short(codec.short_body(short)) == short


@given(st.binary(max_size=300))
def test_any_body_is_read_or_called_bad(body: bytes) -> None:
    for read in (codec.read_short, codec.read_data, codec.read_bind):
        try:
            read(body)
        except BadUnit as bad:
            assert bad.status == words.BAD_LENGTH
    codec.read_bound(body)
    codec.read_id(body)


def test_zeros_behind_the_body_are_no_fields() -> None:
    assert codec.read_short(codec.short_body(HELLO) + b"\0\0\0") == HELLO


@pytest.mark.parametrize(
    "wrong", [Short(source="1" * 21), Short(message=b"x" * 255), Short(dest="ü"), Short(source="a\0b")]
)
def test_what_fits_in_no_field_is_not_written(wrong: Short) -> None:
    with pytest.raises(ValueError):
        codec.short_body(wrong)


# Texts ---------------------------------------------------------------------------------------------------------------


def back(part: coding.Part) -> coding.Came:
    short = Short(
        message=part.message, data_coding=part.data_coding, esm_class=part.esm_class, tlvs=part.tlvs
    )
    return coding.read(codec.read_short(codec.short_body(short)), "gsm7")


@pytest.mark.parametrize("way", ["udh", "sar", "payload"])
@given(text=st.text(alphabet="aé€я😀{", min_size=1, max_size=700))
def test_a_text_comes_back_in_whatever_way_it_is_sent(way: coding.Way, text: str) -> None:
    parts = [back(part) for part in coding.parts(text, 0x1FE, way=way, alphabet="gsm7")]
    assert "".join(part.text for part in parts) == text
    if way != "payload":
        assert len(parts) == segments.count(text).segments
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert {part.total for part in parts} == {len(parts)}
    if len(parts) > 1:
        assert {part.reference for part in parts} == {0xFE if way == "udh" else 0x1FE}


def test_a_header_is_six_octets_in_front_of_153_or_of_67_units() -> None:
    first, second = coding.parts("a" * 161, 7, way="udh", alphabet="gsm7")
    assert (first.message[:6].hex(), len(first.message), first.esm_class) == ("050003070201", 159, words.UDHI)
    assert (second.message[:6].hex(), len(second.message)) == ("050003070202", 14)
    wide = coding.parts("я" * 71, 7, way="udh", alphabet="gsm7")
    assert [len(part.message) for part in wide] == [6 + 134, 6 + 8]
    assert {part.data_coding for part in wide} == {8}
    (alone,) = coding.parts("a" * 160, 7, way="udh", alphabet="gsm7")
    assert (len(alone.message), alone.esm_class, alone.data_coding) == (160, 0, 0)


def test_a_centre_whose_default_is_latin_gets_latin() -> None:
    (part,) = coding.parts("Grüße ç", 1, way="udh", alphabet="latin1")
    assert part.data_coding == 8  # (ç is not in the network's alphabet, so it would cost as much anyway)
    (part,) = coding.parts("Grüße", 1, way="udh", alphabet="latin1")
    assert (part.message, part.data_coding) == ("Grüße".encode("latin-1"), 0)
    (part,) = coding.parts("5 €", 1, way="udh", alphabet="latin1")
    assert (part.message, part.data_coding) == ("5 €".encode("utf-16-be"), 8)
    assert [len(part.message) for part in coding.parts("€" * 80, 1, way="udh", alphabet="latin1")] == [
        140,
        32,
    ]


@pytest.mark.parametrize(
    ("data_coding", "message", "text", "binary"),
    [
        (0, b"\x00\x1b\x65", "@€", False), (1, b"Hello", "Hello", False), (3, b"Gr\xfc\xdfe", "Grüße", False),
        (8, "я😀".encode("utf-16-be"), "я😀", False), (8, b"\x04\x4f\x00", "я", False), (2, b"\x01", "", True),
        (4, b"\x01", "", True), (6, "Привет".encode("iso8859_5"), "Привет", False),
        (7, "שלום".encode("iso8859_8"), "שלום", False), (0xF0, b"Hi", "Hi", False), (0xF5, b"\x01", "", True),
        (0x18, "я".encode("utf-16-be"), "я", False), (0xE0, "я".encode("utf-16-be"), "я", False),
        (0x10, b"Hi", "Hi", False), (200, b"Hi", "Hi", False), (8, b"\xd8\x3d", "\ufffd", False),
        (5, "こ".encode("shift_jis"), "こ", False), (14, "한".encode("euc_kr"), "한", False), (99, b"Hi", "Hi", False),
    ],
)  # fmt: skip
def test_every_alphabet_is_read(data_coding: int, message: bytes, text: str, binary: bool) -> None:
    came = coding.read(Short(message=message, data_coding=data_coding), "gsm7")
    assert (came.text, came.binary) == (text, binary)
    assert coding.read(Short(message=b"\xfc"), "latin1").text == "ü"


def test_a_header_may_have_a_wide_reference_and_other_elements() -> None:
    header = bytes.fromhex("0b 0003 070201".replace(" ", ""))  # a length that runs beyond the message
    assert coding.read(Short(message=header, esm_class=0x40), "gsm7").text == ""
    wide = bytes.fromhex("0804 1234 0302".replace(" ", ""))
    came = coding.read(Short(message=bytes((6,)) + wide + b"Hi", esm_class=0x40), "gsm7")
    assert (came.reference, came.total, came.number, came.text) == (0x1234, 3, 2, "Hi")
    ports = bytes.fromhex("0504 23f40000 0003 010201".replace(" ", ""))
    came = coding.read(Short(message=bytes((len(ports),)) + ports + b"x", esm_class=0x40), "gsm7")
    assert came.binary and came.total == 2
    for wrong in ("0003010200", "0003010203", "0003010001", "00030102", "00"):
        value = bytes.fromhex(wrong)
        came = coding.read(Short(message=bytes((len(value),)) + value + b"Hi", esm_class=0x40), "gsm7")
        assert (came.total, came.text) == (1, "Hi")


@given(SHORTS, st.sampled_from(["gsm7", "latin1"]))
def test_any_delivery_can_be_read(short: Short, alphabet: coding.Alphabet) -> None:
    came = coding.read(short, alphabet)
    assert 1 <= came.number <= came.total <= 255
    came.text.encode()
