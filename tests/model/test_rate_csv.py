"""Rate decks as files: what can be used is used, the rest is kept with its reason, whatever the file holds."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.rate_csv import BadFile, read
from core.model.sending import recognises, throttle_of
from irisx_sdk import Capabilities


def test_columns_come_in_any_order_with_any_separator() -> None:
    for text in (
        "prefix,price,increment\n+49 (30),0.05,6\n*,1,\n",
        "Increment;Price;Code\n6;0,05;4930\n;1;*\n",
        "\ufeffDestination\tRate\tincrement\n4930\t0,05\t6\n\n*\t1\t\n",
    ):
        deck = read(text)
        found = [(row.prefix, row.price, row.increment) for row in deck.rows]
        assert found == [("4930", Decimal("0.05"), 6), ("", Decimal(1), 1)] and not deck.rejected


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("x,1", "prefix"), (",1", "prefix"), ("1234567890123456,1", "prefix"), ("49,", "price"), ("49,nan", "price"),
        ("49,-1", "price"), ("49,9999", "price"), ("49,1,0", "minimum"), ("49,1,,soon", "valid_from"),
        ("49,1,,2026-02-01,2026-01-01", "valid_to"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_used_says_why_and_spoils_no_other(row: str, reason: str) -> None:
    deck = read(f"prefix,price,minimum,valid_from,valid_to\n{row}\n50,1\n")
    assert [one.prefix for one in deck.rows] == ["50"]
    (rejected,) = deck.rejected
    assert rejected.line == 2 and rejected.reason.startswith(reason)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "prefix,prefix,price\n1,2,3\n", "price\n1\n"])
def test_a_file_that_is_no_deck_is_refused_as_a_whole(text: str) -> None:
    with pytest.raises(BadFile):
        read(text)


@given(st.text(max_size=200))
def test_no_file_breaks_the_reader(text: str) -> None:
    try:
        deck = read("prefix,price\n" + text)
    except BadFile:
        return
    assert all(row.price >= 0 and row.valid_to_us > row.valid_from_us for row in deck.rows)
    assert all(one.reason for one in deck.rejected)


def test_a_provider_recognises_a_repetition_only_as_long_as_it_says() -> None:
    for_a_minute = Capabilities(sends=frozenset(), idempotent=True, idempotent_s=60)
    assert recognises(for_a_minute, 0, 59_999_999) and not recognises(for_a_minute, 0, 60_000_000)
    assert recognises(Capabilities(sends=frozenset(), idempotent=True), 0, 2**60)
    assert not recognises(Capabilities(sends=frozenset()), 0, 0)


def test_an_account_that_is_told_to_slow_down_waits_longer_each_time() -> None:
    pauses = [throttle_of(times, None, 1.0) for times in range(1, 14)]
    assert pauses == sorted(pauses) and pauses[0] == 0.1 and pauses[-1] == 60.0
    assert throttle_of(1, 7.0, 1.0) == 7.0 and throttle_of(1, 3600.0, 1.0) == 60.0
