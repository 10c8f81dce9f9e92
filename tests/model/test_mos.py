"""MOS by the simplified E-model, against figures that others have computed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.mos import CODECS, VERSION, Codec, Heard, loss_percent, mos, quality, rating

CHECKED = [
    (0, 0, 93.2, 4.41),
    (20, 0, 92.7, 4.40),
    (150, 0, 89.6, 4.33),
    (150, 1, 86.0, 4.23),
    (250, 2, 72.2, 3.70),
    (400, 5, 43.3, 2.23),
]
"""One-way delay in ms, loss in per cent; R and MOS of G.711 with concealment."""


@pytest.mark.parametrize(("delay", "loss", "r", "score"), CHECKED)
def test_g711_is_as_published(delay: int, loss: int, r: float, score: float) -> None:
    found = rating(delay, loss)
    assert (round(found, 1), round(mos(found), 2)) == (r, score)


def test_g729_is_as_published() -> None:
    found = rating(150, 1, codec=CODECS["G729"])
    assert (round(found, 1), round(mos(found), 2)) == (74.4, 3.80)


@pytest.mark.parametrize(
    ("codec", "impairment"),
    [(CODECS["PCMU"], 7.0), (Codec(0, 4.3), 30.2), (CODECS["G729"], 19.0), (CODECS["G723"], 23.8)],
)
def test_two_per_cent_of_loss_cost_what_the_tables_say(codec: Codec, impairment: float) -> None:
    assert rating(0, 0) - rating(0, 2, codec=codec) == pytest.approx(impairment, abs=0.06)


@given(st.floats(0, 2000), st.floats(0, 100), st.sampled_from(sorted(CODECS)))
def test_it_stays_on_its_scale_and_never_gets_better_by_delay_or_loss(
    delay: float, loss: float, name: str
) -> None:
    codec = CODECS[name]
    score = mos(rating(delay, loss, codec=codec))
    assert 1.0 <= score <= 4.5
    assert mos(rating(delay + 50, loss, codec=codec)) <= score + 1e-9
    assert rating(delay, min(loss + 1, 100), codec=codec) <= rating(delay, loss, codec=codec) + 1e-9


def test_a_leg_s_figures_name_their_formula_and_say_when_they_are_estimates() -> None:
    heard = Heard(codec="PCMA", received=990, lost=10, rtt_ms=200, jitter_ms=10)
    assert loss_percent(heard) == 1.0
    found = quality(heard)
    # 100 ms of travel, 20 of jitter buffer, 20 of a packet
    assert (found.mos, found.version, found.estimate) == (round(mos(rating(140, 1)), 2), VERSION, False)
    assert quality(Heard(codec="opus", received=10)).estimate
    assert quality(Heard()).mos == round(mos(rating(20, 0)), 2)
