"""What comes after a try to send: nothing is said twice that the provider would not recognise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.sending import MAX_ATTEMPTS, MAX_PAUSE_S, Next, after, pause_of
from irisx_sdk import Misconfigured, NotSent, OutcomeUnknown, Refused, Throttled

LONG = 86_400.0
CERTAIN = [NotSent("no connection"), Throttled("slow down"), Misconfigured("bad token")]
UNCERTAIN = [OutcomeUnknown("cut"), TimeoutError(), RuntimeError("a bug"), KeyError("x")]


def step(error: BaseException, *, attempts: int = 1, idempotent: bool = False, left_s: float = LONG) -> Next:
    return after(error, attempts=attempts, idempotent=idempotent, left_s=left_s, jitter=1.0)


@given(st.sampled_from(UNCERTAIN), st.integers(1, 100), st.floats(0, LONG))
def test_what_may_have_been_sent_is_never_sent_again(
    error: BaseException, attempts: int, left_s: float
) -> None:
    assert step(error, attempts=attempts, left_s=left_s).step == "unknown"


@given(st.sampled_from(UNCERTAIN), st.integers(1, 100))
def test_except_to_a_provider_that_recognises_it(error: BaseException, attempts: int) -> None:
    wanted = "again" if attempts < MAX_ATTEMPTS else "unknown"
    assert step(error, attempts=attempts, idempotent=True).step == wanted


@given(st.sampled_from(CERTAIN), st.integers(1, MAX_ATTEMPTS - 1))
def test_what_was_certainly_not_sent_is_tried_again(error: BaseException, attempts: int) -> None:
    found = step(error, attempts=attempts)
    assert found.step == "again" and 0 < found.pause_s <= MAX_PAUSE_S


def test_a_refusal_is_the_end_and_may_be_an_opt_out() -> None:
    found = step(Refused("they said STOP", code="21610", opted_out=True))
    assert (found.step, found.code, found.opted_out) == ("over", "21610", True)


def test_a_provider_that_names_a_time_gets_it_and_being_slowed_is_no_failure() -> None:
    assert step(Throttled("", retry_after_s=7.5), attempts=99).pause_s == 7.5
    assert step(Throttled("", retry_after_s=0)).pause_s > 0


@pytest.mark.parametrize("error", CERTAIN)
def test_nothing_is_tried_for_longer_than_anybody_wants_it(error: BaseException) -> None:
    found = step(error, left_s=0.01)
    assert (found.step, found.outcome) == ("over", "expired")


def test_an_account_that_its_provider_does_not_know_is_blamed() -> None:
    assert step(Misconfigured("bad token")).blames_account
    assert not step(NotSent("")).blames_account


def test_what_never_goes_through_is_given_up() -> None:
    assert step(NotSent(""), attempts=MAX_ATTEMPTS).step == "over"


@given(st.integers(1, 200), st.floats(0.8, 1.2))
def test_pauses_double_up_to_a_limit(attempts: int, jitter: float) -> None:
    assert 0.8 <= pause_of(attempts, jitter) <= MAX_PAUSE_S * 1.2
    assert pause_of(attempts + 1, jitter) >= pause_of(attempts, jitter)


def test_a_bug_of_a_channel_says_nothing_of_its_own_in_the_reason() -> None:
    found = step(RuntimeError("token=hush"))
    assert "hush" not in found.reason and found.code == "RuntimeError"
