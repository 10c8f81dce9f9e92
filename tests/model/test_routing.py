"""Which carrier first: the order by index is the cheapest there is, and what cannot do it is out, with a reason."""

import itertools
import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.outcomes import (
    HALVE_TRIES,
    HALVE_US,
    MAX_OPEN_S,
    OPEN_AFTER,
    PRIOR,
    PRIOR_WEIGHT,
    UNKNOWN,
    Breaker,
    Counts,
    Scores,
    added,
    faded,
    failed,
    gate,
    levels_of,
    probed,
    succeeded,
)
from core.model.rates import Currencies, Exchange, Rate, RateTable
from core.model.routing import (
    THEN,
    Board,
    Candidate,
    Carrier,
    Decision,
    Pays,
    Wanted,
    class_of_call,
    class_of_message,
    decide,
    index_of,
)

NOW = 1_795_000_000_000_000
SECOND = 1_000_000
V = 0.002


class Offer:
    """A carrier as the formula sees it."""

    def __init__(self, p: float, c: float, tau: float, pays: Pays) -> None:
        self.p, self.c, self.tau, self.pays = p, c, tau, pays

    def index(self) -> float:
        return index_of(self.p, self.c, self.tau, self.pays, V)


def expected_cost(order: tuple[Offer, ...]) -> float:
    """Money and delay of trying these one after the other until one succeeds, straight from the definition."""
    total, reached = 0.0, 1.0
    for one in order:
        paid = one.p * one.c if one.pays == "success" else one.c
        total += reached * (paid + (1 - one.p) * V * one.tau)
        reached *= 1 - one.p
    return total


offers = st.builds(
    Offer,
    st.floats(0.2, 0.95),
    st.floats(0.005, 0.05),
    st.floats(0.5, 12),
    st.sampled_from(["success", "submit"]),
)


@settings(max_examples=60)
@given(st.lists(offers, min_size=2, max_size=5))
def test_no_order_is_cheaper_than_the_one_by_index(found: list[Offer]) -> None:
    ours = expected_cost(tuple(sorted(found, key=Offer.index)))
    best = min(expected_cost(order) for order in itertools.permutations(found))
    assert ours <= best * (1 + 1e-9)


def test_four_hundred_sets_of_five_carriers_and_all_orders_of_each() -> None:
    """The check of product facts 5.1, with its ranges; it is sharper than what price or quality alone would give."""
    chance = random.Random(5)
    misses, worse = 0, {"price": 0.0, "quality": 0.0}
    for _ in range(400):
        five = [
            Offer(chance.uniform(0.2, 0.95), chance.uniform(0.005, 0.05), chance.uniform(0.5, 12), "success")
            for _ in range(5)
        ]
        best = min(expected_cost(order) for order in itertools.permutations(five))
        misses += expected_cost(tuple(sorted(five, key=Offer.index))) > best * (1 + 1e-9)
        for name, key in (("price", lambda o: o.c), ("quality", lambda o: -o.p)):
            worse[name] += expected_cost(tuple(sorted(five, key=key))) / best - 1
    assert misses == 0
    assert 0.04 < worse["price"] / 400 < 0.12 and 0.18 < worse["quality"] / 400 < 0.36


# Rates -------------------------------------------------------------------------------------------------


def rate(carrier: str, prefix: str, price: float = 1.0, **more: object) -> Rate:
    return Rate(carrier_id=carrier, prefix=prefix, price=price, **{"currency": "EUR", **more})  # type: ignore[arg-type]


digits = st.text("0123", min_size=0, max_size=5)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), digits, st.integers(0, 20), st.integers(1, 20)), max_size=20),
    st.lists(st.tuples(digits.map("4".join), st.integers(0, 40)), min_size=1, max_size=8),
)
def test_the_price_is_that_of_the_longest_prefix_that_is_valid(
    rows: list[tuple[str, str, int, int]], asked: list[tuple[str, int]]
) -> None:
    rates = [
        rate(carrier, prefix, float(number), valid_from_us=start, valid_to_us=start + lasts)
        for number, (carrier, prefix, start, lasts) in enumerate(rows, start=1)
    ]
    table = RateTable(rates, Currencies("EUR"))
    for number, now in sorted(asked, key=lambda one: one[1]):
        expected: dict[str, float] = {}
        for carrier in "abc":
            valid = [
                one
                for one in rates
                if one.carrier_id == carrier
                and number.startswith(one.prefix)
                and one.valid_from_us <= now < one.valid_to_us
            ]
            if valid:
                best = max(valid, key=lambda one: (len(one.prefix), one.valid_from_us, -one.price))
                expected[carrier] = best.price
        assert {name: charge.per_unit for name, charge in table.find(number, now).items()} == expected


def test_prices_follow_dates_and_currencies() -> None:
    exchanges = [Exchange("USD", 0, 0.5), Exchange("USD", NOW + SECOND, 0.25)]
    table = RateTable(
        [
            rate("a", "49", 2.0, currency="USD", connect_fee=1.0, valid_to_us=NOW + 2 * SECOND),
            rate("a", "49", 3.0, valid_from_us=NOW + 2 * SECOND),
            rate("b", "49", 1.0, currency="JPY"),
        ],
        Currencies("EUR", exchanges),
    )
    prices = [table.find("4930", NOW + n * SECOND)["a"].of_segments(2) for n in range(3)]
    assert prices == [2 * 1.0 + 0.5, 2 * 0.5 + 0.25, 6.0]
    assert "b" not in table.find("4930", NOW), "nobody has said what this currency is worth"


@settings(max_examples=20, deadline=None)
@given(st.floats(5, 400), st.sampled_from([(60, 60), (30, 6), (1, 1), (6, 6), (60, 1)]))
def test_the_expected_price_of_a_call_is_the_mean_of_what_calls_cost(
    mean_s: float, steps: tuple[int, int]
) -> None:
    minimum, increment = steps
    charge = RateTable(
        [rate("a", "", 0.6, minimum=minimum, increment=increment, connect_fee=0.01)],
        Currencies("EUR"),
        "second",
    ).find("4930", NOW)["a"]
    chance = random.Random(1)
    # Lengths by their shares instead of by chance: the mean of 20,000 of them is within a percent.
    lengths = [-mean_s * math.log((n + chance.random()) / 4_000 + 1e-12) for n in range(4_000)]
    billed = [
        max(minimum, minimum + increment * math.ceil((length - minimum) / increment)) for length in lengths
    ]
    assert charge.of_call(mean_s) == pytest.approx(0.01 + 0.01 * sum(billed) / len(billed), rel=0.03)


# Chances -----------------------------------------------------------------------------------------------


def test_a_new_prefix_believes_its_parent_and_learns() -> None:
    counts = {
        ("a", ""): Counts(180, 90, 900, 0, NOW),
        ("a", "493"): Counts(20, 20, 0, 0, NOW),
        ("a", "493012"): Counts(0, 0, 0, 0, NOW),
    }
    scores = Scores(counts, NOW)
    everywhere = (90 + PRIOR_WEIGHT * PRIOR) / 200
    assert scores.of("1415")["a"][0] == pytest.approx(everywhere)
    assert scores.of("49301234")["a"][0] == pytest.approx((20 + 20 * everywhere) / 40)
    assert "b" not in scores.of("4930") and UNKNOWN[0] == PRIOR
    assert levels_of("4930123") == ["", "493", "493012"] and levels_of("49") == ["", "49"]


@settings(max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5 * 60)), max_size=500))
def test_counts_fade_and_never_claim_more_than_they_have_seen(told: list[tuple[bool, int]]) -> None:
    counts, now = Counts(), NOW
    for won, later in told:
        now += later * SECOND
        counts = added(counts, 1, int(won), 0.0 if won else 2.0, now)
        assert 0 <= counts.wins <= counts.tries <= 2 * HALVE_TRIES
        assert 0 <= counts.failed_s <= 2.0 * counts.tries + 1e-9
    assert faded(counts, now + 61 * HALVE_US).tries < 1e-9


def test_a_success_is_taken_back_by_a_receipt() -> None:
    counts = added(added(Counts(), 10, 10, 0, NOW), 0, -1, 3.0, NOW)
    assert (counts.tries, counts.wins, counts.failed_s) == (10, 9, 3.0)


# Breakers ----------------------------------------------------------------------------------------------


def test_a_breaker_opens_lets_one_probe_through_and_closes() -> None:
    breaker = Breaker()
    for _ in range(OPEN_AFTER):
        assert gate(breaker, NOW) == "closed"
        breaker = failed(breaker, NOW, jitter=1.0)
    assert gate(breaker, NOW) == "open" and gate(breaker, breaker.open_until_us - 1) == "open"
    later = breaker.open_until_us
    assert gate(breaker, later) == "half_open"
    assert gate(probed(breaker, later), later) == "probing"
    again = failed(probed(breaker, later), later, jitter=1.0)
    assert gate(again, later) == "open" and again.open_s == 2 * breaker.open_s
    assert succeeded(again) == Breaker()


@given(st.lists(st.tuples(st.integers(0, 600), st.floats(0.8, 1.2)), min_size=1, max_size=40))
def test_a_breaker_never_stays_open_longer_than_its_limit(told: list[tuple[int, float]]) -> None:
    breaker, now = Breaker(), NOW
    for later, jitter in told:
        now += later * SECOND
        breaker = failed(breaker, now, jitter=jitter)
        assert breaker.open_until_us <= now + MAX_OPEN_S * 1.2 * SECOND


def test_who_says_retry_after_is_left_alone_so_long_at_once() -> None:
    breaker = failed(Breaker(), NOW, jitter=1.0, retry_after_s=7)
    assert breaker.open_until_us == NOW + 7 * SECOND


# Decisions ---------------------------------------------------------------------------------------------


def board(carriers: list[Carrier], prices: dict[str, float], **more: object) -> Board:
    table = RateTable([rate(name, "49", price) for name, price in prices.items()], Currencies("EUR"))
    return Board(**{
        "carriers": tuple(carriers), "rates": {"sms": table}, "scores": Scores({}, NOW), "explore": 0.0, **more,
    })  # type: ignore[arg-type]  # fmt: skip


def sms(name: str, **more: object) -> Carrier:
    return Carrier(**{"id": name, "kind": "sms", **more})  # type: ignore[arg-type]


def order(found: Decision) -> list[str]:
    return [one.carrier_id for one in found.order]


TO_BERLIN = Wanted(digits="4930123")
MEDIA = frozenset({"media"})


def test_the_cheapest_of_equals_goes_first_and_all_are_named() -> None:
    found = decide(board([sms("a"), sms("b"), sms("c")], {"a": 3, "b": 1, "c": 2}), TO_BERLIN, NOW, 0.5)
    assert order(found) == ["b", "c", "a"] and found.skipped == ()
    assert found.order[0].index == index_of(PRIOR, 1, 5.0, "submit", V)


@pytest.mark.parametrize(
    ("carrier", "wanted", "why"),
    [
        ({"on": False}, {}, "off"),
        ({"usable": False}, {}, "no_account"),
        ({}, {"tried": frozenset("x")}, "tried"),
        ({}, {"needs": frozenset({"media"})}, "cannot"),
        ({"abilities": MEDIA, "most_files": 1}, {"needs": MEDIA, "files": (5, 5)}, "cannot"),
        ({"abilities": MEDIA, "most_file_bytes": 9}, {"needs": MEDIA, "files": (5, 10)}, "cannot"),
        ({"abilities": MEDIA, "most_total_bytes": 14}, {"needs": MEDIA, "files": (5, 10)}, "cannot"),
        ({"only": ("1",)}, {}, "not_allowed_there"),
        ({"never": ("4930",)}, {}, "not_allowed_there"),
        ({}, {"digits": "33123"}, "no_rate"),
        ({}, {"busy": frozenset("x")}, "limit"),
        ({}, {"most": 0.5}, "margin"),
        ({"spend_left": 0.5}, {}, "spend_cap"),
    ],
)
def test_what_cannot_do_it_is_out_with_its_reason(
    carrier: dict[str, object], wanted: dict[str, object], why: str
) -> None:
    asked = Wanted(**{"digits": "4930123", **wanted})  # type: ignore[arg-type]
    found = decide(board([sms("x", **carrier)], {"x": 1.0}), asked, NOW, 0.5)
    assert found.order == () and [one.skipped for one in found.skipped] == [why]


def test_files_go_by_who_takes_all_of_them() -> None:
    narrow, wide = (
        sms("a", abilities=MEDIA, most_file_bytes=9),
        sms("b", abilities=MEDIA, most_files=2, most_total_bytes=15),
    )
    asked = Wanted(digits="4930123", needs=MEDIA, files=(5, 10))
    assert order(decide(board([narrow, wide], {"a": 1, "b": 2}), asked, NOW, 0.5)) == ["b"]


def test_an_open_breaker_is_out_and_a_half_open_one_is_probed_first_with_others_behind_it() -> None:
    tripped = Breaker(5, NOW + SECOND, 10)
    there = board([sms("a"), sms("b")], {"a": 1, "b": 2}, breakers={"a": tripped})
    assert order(decide(there, TO_BERLIN, NOW, 0.5)) == ["b"]
    later = decide(there, TO_BERLIN, NOW + SECOND, 0.5)
    assert order(later) == ["a", "b"] and later.order[0].probe
    code = Wanted(digits="4930123", urgent=True)
    assert order(decide(there, code, NOW + SECOND, 0.5)) == ["b", "a"]
    probing = board([sms("a"), sms("b")], {"a": 1, "b": 2}, breakers={"a": probed(tripped, NOW + SECOND)})
    assert order(decide(probing, TO_BERLIN, NOW + SECOND, 0.5)) == ["b"]


def test_now_and_then_the_second_best_goes_first_but_never_with_a_code() -> None:
    there = board([sms("a"), sms("b"), sms("c")], {"a": 1, "b": 2, "c": 3}, explore=0.015)
    found = decide(there, TO_BERLIN, NOW, 0.014)
    assert order(found) == ["b", "a", "c"] and found.explored
    assert order(decide(there, TO_BERLIN, NOW, 0.016)) == ["a", "b", "c"]
    assert order(decide(there, Wanted(digits="4930123", urgent=True), NOW, 0.0)) == ["a", "b", "c"]


def test_priority_stands_above_the_index() -> None:
    there = board([sms("a"), sms("b", priority=1)], {"a": 1, "b": 9})
    assert order(decide(there, TO_BERLIN, NOW, 0.5)) == ["b", "a"]


def test_experience_beats_price() -> None:
    scores = Scores({("a", ""): Counts(100, 5, 500, 0, NOW), ("b", ""): Counts(100, 99, 5, 0, NOW)}, NOW)
    there = board([sms("a"), sms("b")], {"a": 1.0, "b": 1.5}, scores=scores)
    found = decide(there, TO_BERLIN, NOW, 0.5)
    assert order(found) == ["b", "a"]
    assert isinstance(found.order[1], Candidate) and found.order[1].p < 0.25


# Failures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "then"),
    [
        ({"sip": 486}, "stop"), ({"sip": 603}, "stop"), ({"q850": 17}, "stop"), ({"q850": 21}, "stop"),
        ({"sip": 404}, "stop_and_mark"), ({"q850": 1}, "stop_and_mark"),
        ({"sip": 503}, "next"), ({"sip": 408}, "next"), ({"q850": 34}, "next"), ({"sip": 488}, "next"),
        ({"sip": 503, "rang": True}, "stop"), ({"sip": 408, "rang": True}, "stop"),
        ({"sip": 499}, "next_once"), ({}, "next_once"),
    ],
)  # fmt: skip
def test_whether_the_next_carrier_may_dial(cause: dict[str, Any], then: str) -> None:
    assert THEN[class_of_call(**cause)] == then


def test_whose_failure_a_message_s_is() -> None:
    classes = [
        class_of_message(one) for one in ("refused", "not_sent", "throttled", "misconfigured", "unknown")
    ]
    assert classes == ["callee", "carrier", "carrier", "carrier", "unknown"]
