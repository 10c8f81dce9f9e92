"""Segments: every count that is known from outside, and what must hold for any text."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx_sdk import segments

GSM = "".join(character for character in map(chr, range(0x2100)) if segments.encoding_of(character) == "gsm7")


@pytest.mark.parametrize(
    ("text", "encoding", "units", "parts"),
    [
        ("", "gsm7", 0, 1),
        ("a" * 160, "gsm7", 160, 1),
        ("a" * 161, "gsm7", 161, 2),
        ("a" * 306, "gsm7", 306, 2),
        ("a" * 307, "gsm7", 307, 3),
        ("a" * 159 + "€", "gsm7", 161, 2),
        ("a" * 158 + "€", "gsm7", 160, 1),
        ("a" * 152 + "€" + "a" * 152, "gsm7", 306, 3),
        ("€" * 80, "gsm7", 160, 1),
        ("€" * 81, "gsm7", 162, 2),
        ("€" * 153, "gsm7", 306, 3),
        ("я" * 70, "ucs2", 70, 1),
        ("я" * 71, "ucs2", 71, 2),
        ("я" * 134, "ucs2", 134, 2),
        ("я" * 135, "ucs2", 135, 3),
        ("😀" * 35, "ucs2", 70, 1),
        ("😀" * 36, "ucs2", 72, 2),
        ("😀" * 67, "ucs2", 134, 3),
        ("a" * 150 + "’", "ucs2", 151, 3),
        ("ç", "ucs2", 1, 1),
        ("Ç", "gsm7", 1, 1),
        ("`", "ucs2", 1, 1),
        ("§", "gsm7", 1, 1),
        ("^{}\\[~]|€\f", "gsm7", 20, 1),
    ],
)
def test_a_text_costs_what_networks_charge(text: str, encoding: str, units: int, parts: int) -> None:
    assert segments.count(text) == segments.Count(encoding, units, parts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "parts"), [("a" * 304, 2), ("a" * 305, 3), ("я" * 132, 2), ("я" * 133, 3), ("a" * 160, 1)]
)
def test_a_wide_reference_leaves_152_septets_or_66_units(text: str, parts: int) -> None:
    assert segments.count(text, wide_reference=True).segments == parts


@given(st.text(alphabet=GSM, max_size=700) | st.text(max_size=300) | st.text(alphabet="a😀€я", max_size=300))
def test_parts_are_the_text_and_each_fits(text: str) -> None:
    parts = segments.split(text)
    assert "".join(parts) == text
    one = len(parts) == 1
    for part in parts:
        if segments.encoding_of(text) == "gsm7":
            assert len(segments.to_gsm7(part)) <= (160 if one else 153)
        else:
            # (every character is whole, because a part is a piece of a Python text)
            assert len(part.encode("utf-16-be", "surrogatepass")) <= (140 if one else 134)


@given(st.text(alphabet="a€", min_size=161, max_size=500))
def test_no_part_could_have_taken_more(text: str) -> None:
    parts = segments.split(text)
    for part, following in itertools.pairwise(parts):
        assert len(segments.to_gsm7(part + following[0])) > 153


def test_the_extension_has_its_standard_codes() -> None:
    assert segments.to_gsm7("\f^{}\\[~]|€").hex() == "1b0a1b141b281b291b2f1b3c1b3d1b3e1b401b65"
    assert segments.to_gsm7("@Δ_ §à") == bytes([0x00, 0x10, 0x11, 0x20, 0x5F, 0x7F])


@given(st.text(alphabet=GSM))
def test_gsm7_comes_back_as_it_went(text: str) -> None:
    assert segments.from_gsm7(segments.to_gsm7(text)) == text


@given(st.binary())
def test_any_octets_can_be_read(octets: bytes) -> None:
    assert len(segments.from_gsm7(octets)) <= len(octets)


def test_an_unknown_escape_shows_the_basic_character() -> None:
    assert segments.from_gsm7(b"\x1b\x41\x1b\x1bb\x1b") == "A b"


def test_smart_replacement_is_made_only_when_it_saves_something() -> None:
    assert segments.smart("“Hi” – it’s…") == '"Hi" - it\'s...'
    assert segments.smart("“Привет”") == "“Привет”"
    assert segments.smart("plain") == "plain"
