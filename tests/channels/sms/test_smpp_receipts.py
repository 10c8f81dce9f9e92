"""SMPP's receipts in all their spellings, ids in two bases, and messages that come in parts or twice."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx_channels.sms.smpp import arriving, receipts, words
from irisx_channels.sms.smpp.arriving import Arrivals, Arrived
from irisx_channels.sms.smpp.codec import Short
from irisx_channels.sms.smpp.coding import Came
from irisx_channels.sms.smpp.receipts import Ids, Receipt

USUAL = (
    "id:a1b2c3 sub:001 dlvrd:001 submit date:2401020304 done date:2401020305 stat:DELIVRD err:000 text:Hello"
)


def read(text: str, esm_class: int = 4, *tlvs: tuple[int, bytes]) -> Receipt | None:
    return receipts.read(Short(esm_class=esm_class, tlvs=tlvs), text)


@pytest.mark.parametrize(
    ("text", "esm_class"),
    [
        (USUAL, 4),
        (USUAL, 0),
        (USUAL, 0x20),
        (USUAL.replace("text:", "Text:"), 4),
        ("id:a1b2c3 done date:20240102030405 stat:DELIVRD err:000", 0),
        ("id:a1b2c3 submit date:240102030405 done date:240102030405 stat:DELIVRD err:000 text:", 4),
        ("id:a1b2c3 stat:DELIVRD", 0),
        ("id:a1b2c3 sub:1 dlvrd:1 submit_date:2401020304 done_date:2401020305 stat:DELIVRD err:0 text:x", 4),
        ("ID:a1b2c3 STAT:delivrd ERR:000", 4),
        ("id:a1b2c3 stat:DELIVERED", 4),
        ("  id: a1b2c3  stat: DELIVRD ", 0),
        ("id:a1b2c3 stat:DELIVRD err:000 text:id:zzz stat:UNDELIV err:999", 4),
        ("sub:001 stat:DELIVRD id:a1b2c3", 4),
    ],
)
def test_a_receipt_is_read_however_it_is_written(text: str, esm_class: int) -> None:
    assert read(text, esm_class) in (Receipt("a1b2c3", "DELIVRD", "000"), Receipt("a1b2c3", "DELIVRD", "0"),
                                     Receipt("a1b2c3", "DELIVRD"))  # fmt: skip


def test_fields_go_before_the_text() -> None:
    tlvs = (
        (words.RECEIPTED_ID, b"77\0"),
        (words.MESSAGE_STATE, b"\x05"),
        (words.NETWORK_ERROR, b"\x03\x00\x1b"),
    )
    assert read(USUAL, 4, *tlvs) == Receipt("77", "UNDELIV", "000")
    assert read("", 0, *tlvs) == Receipt("77", "UNDELIV", "27")
    assert read(USUAL, 4, (words.MESSAGE_STATE, b"\x63")) == Receipt("a1b2c3", "DELIVRD", "000")


@pytest.mark.parametrize(
    ("text", "esm_class"),
    [
        ("Hello", 0), ("id: my new number is 5", 0), ("the stat:DELIVRD of id:5", 0), ("", 0), ("", 4),
        ("id:5", 4), ("stat:DELIVRD", 4), ("id:5 stat:DANCING", 4), ("id: stat:DELIVRD", 4),
    ],
)  # fmt: skip
def test_what_is_no_receipt_is_a_message(text: str, esm_class: int) -> None:
    assert read(text, esm_class) is None


@pytest.mark.parametrize(
    ("number", "word", "state", "code"),
    [
        (1, "ENROUTE", "sent", ""), (2, "DELIVRD", "delivered", ""), (3, "EXPIRED", "undelivered", "EXPIRED"),
        (4, "DELETED", "undelivered", "DELETED"), (5, "UNDELIV", "undelivered", "UNDELIV"), (6, "ACCEPTD", "sent", ""),
        (7, "UNKNOWN", "sent", ""), (8, "REJECTD", "failed", "REJECTD"),
    ],
)  # fmt: skip
def test_every_state_has_a_number_a_word_and_a_meaning(number: int, word: str, state: str, code: str) -> None:
    by_number = read("id:5", 4, (words.MESSAGE_STATE, bytes((number,))))
    assert by_number == read(f"id:5 stat:{word}") == Receipt("5", word)
    status = receipts.status(by_number, "5")
    assert (status.id, status.state, status.code, bool(status.reason)) == ("5", state, code, bool(code))


def test_the_networks_own_error_is_passed_on() -> None:
    found = read("id:5 stat:UNDELIV err:01B")
    assert found is not None and receipts.status(found, "5").code == "01B"


@given(st.text(max_size=200), st.integers(0, 255))
def test_any_text_is_a_receipt_or_none(text: str, esm_class: int) -> None:
    found = read(text, esm_class)
    assert found is None or found.state in words.STATES


def test_ids_are_the_same_in_small_letters_without_zeros() -> None:
    ids = Ids()
    assert ids.given("00A1B2") == "a1b2" == ids.meant("a1b2") == ids.meant("000A1b2")
    assert receipts.plain("000") == "0" and receipts.plain("") == ""
    uuid = "C5BA8F24-0000-4000-8000-000000000001"
    assert ids.given(uuid) == uuid.lower() == ids.meant(uuid)


@pytest.mark.parametrize(
    ("bases", "answered", "reported"), [("hex-decimal", "ff10", "65296"), ("decimal-hex", "65296", "FF10")]
)
def test_ids_in_two_bases_meet(bases: receipts.Bases, answered: str, reported: str) -> None:
    told = Ids(bases)
    name = told.given(answered)
    assert told.meant(reported) == name == Ids(bases).meant(reported)
    finding = Ids("auto")
    assert finding.given(answered) == finding.meant(reported) == name
    for number in range(70_000, 70_010):
        pair = (f"{number:x}", str(number)) if bases == "hex-decimal" else (str(number), f"{number:x}")
        assert finding.given(pair[0]) == finding.meant(pair[1])
    # What was learned counts for ids that are not remembered, too.
    assert finding.learned == bases
    assert Ids("auto", learned=bases).meant(reported) == name
    unsure = Ids("same")
    unsure.given(answered)
    assert unsure.meant(reported) == receipts.plain(reported)


@given(st.integers(0, 5000), st.sampled_from(["same", "hex-decimal", "decimal-hex"]))
def test_counters_are_told_apart_by_what_fits_always(start: int, bases: receipts.Bases) -> None:
    ids = Ids()
    wrong = 0
    for number in range(start, start + 60):
        answered, reported = {
            "same": (str(number), str(number)),
            "hex-decimal": (f"{number:x}", str(number)),
            "decimal-hex": (str(number), f"{number:x}"),
        }[bases]
        name = ids.given(answered)
        wrong += ids.meant(reported) != name
    # (the first ones of a counter fit by chance)
    assert wrong <= 20


# Inbound -------------------------------------------------------------------------------------------------------------


def take(
    box: Arrivals, text: str, number: int = 1, total: int = 1, reference: int = 7, at_us: int = 1
) -> list[Arrived]:
    short = Short(source="+15005550001", dest="+15005550006")
    body = f"{text}{number}{total}{reference}".encode()
    return box.take(body, short, Came(text, False, reference, number, total), at_us)[1]


def test_parts_are_joined_in_any_order_whatever_lies_between() -> None:
    box = Arrivals(b"", 1)
    assert take(box, "three", 3, 3) == take(box, "one ", 1, 3) == []
    assert [one.text for one in take(box, "alone")] == ["alone"]
    assert take(box, "other ", 1, 2, reference=8) == []
    assert [one.text for one in take(box, "two ", 2, 3)] == ["one two three"]
    assert [one.text for one in take(box, "message", 2, 2, reference=8)] == ["other message"]


def test_a_part_twice_is_one_part_and_the_same_number_again_is_another_message() -> None:
    box = Arrivals(b"", 1)
    assert take(box, "a", 1, 2) == take(box, "a", 1, 2) == []
    assert [one.text for one in take(box, "c", 1, 2)] == ["a" + arriving.GAP]
    assert [one.text for one in take(box, "d", 2, 2)] == ["cd"]


def test_a_part_that_never_comes_does_not_take_the_others_with_it() -> None:
    box = Arrivals(b"", 1)
    take(box, "one ", 1, 3, at_us=5)
    take(box, "three", 3, 3, at_us=6)
    late_us = 5 + arriving.JOIN_S * 1_000_000
    assert box.overdue(late_us - 1) == []
    (shown,) = box.overdue(late_us)
    assert shown.text == f"one {arriving.GAP}three"
    assert box.overdue(late_us) == []
    assert Arrivals(box.dump(), late_us).pending() == [shown]
    box.settle([shown.id])
    assert Arrivals(box.dump(), late_us).pending() == []


def test_parts_survive_a_restart() -> None:
    box = Arrivals(b"", 1)
    take(box, "one ", 1, 2)
    again = Arrivals(box.dump(), 2)
    assert [one.text for one in take(again, "two", 2, 2)] == ["one two"]


def test_what_comes_again_after_a_restart_has_the_same_name_until_it_is_settled() -> None:
    box = Arrivals(b"", 1)
    names, (first,) = box.take(b"body", Short(source="+1"), Came("hi"), 1)
    again = Arrivals(box.dump(), 2)
    _, (same,) = again.take(b"body", Short(source="+1"), Came("hi"), 2)
    _, (other,) = again.take(b"body", Short(source="+1"), Came("hi"), 2)
    assert first.id == same.id != other.id
    box.settle(names)
    _, (fresh,) = Arrivals(box.dump(), 3).take(b"body", Short(source="+1"), Came("hi"), 3)
    assert fresh.id != first.id
    old = Arrivals(again.dump(), 2 + arriving.REPEATED_S * 1_000_000)
    _, (much_later,) = old.take(b"body", Short(source="+1"), Came("hi"), 4)
    assert much_later.id not in (first.id, other.id)


def test_a_long_message_that_was_not_stored_is_there_after_a_restart() -> None:
    box = Arrivals(b"", 1)
    take(box, "one ", 1, 2)
    (whole,) = take(box, "two", 2, 2)
    again = Arrivals(box.dump(), 2)
    assert again.pending() == [whole]
    assert take(again, "two", 2, 2) == [whole]  # the part that was not answered comes again
    assert take(again, "one ", 1, 2) == [whole]
    again.settle([whole.id])
    assert again.pending() == []


def test_a_flood_of_first_parts_is_shown_as_it_is() -> None:
    box = Arrivals(b"", 1)
    shown: list[Arrived] = []
    for reference in range(arriving.MAX_GROUPS + 3):
        shown += take(box, f"{reference} ", 1, 2, reference=reference)
    assert [one.text for one in shown] == [f"{number} {arriving.GAP}" for number in range(3)]


def test_a_state_that_cannot_be_read_begins_anew() -> None:
    assert take(Arrivals(b"{broken", 1), "hi")[0].text == "hi"


@pytest.mark.parametrize("text", ["id:" + " " * 65_000, "id:1 " * 13_000, "id:1 stat:" + "DELIVRD " * 8_000])
def test_a_hostile_payload_is_read_at_once(text: str) -> None:
    begun = time.thread_time()
    read(text)
    assert time.thread_time() - begun < 0.05
