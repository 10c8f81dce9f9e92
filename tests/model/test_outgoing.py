"""Everything that leaves, in words."""

import pytest

from core.model import outgoing
from core.storage.outgoing_facts import OutgoingFacts


def facts(**given: float) -> OutgoingFacts:
    whole: dict[str, float] = dict.fromkeys(OutgoingFacts.__struct_fields__, 0)
    return OutgoingFacts(**{**whole, **given})  # type: ignore[arg-type]


def test_nothing_that_waits_is_good_news() -> None:
    assert outgoing.messages(facts(accounts=2)) == outgoing.Said(
        "good", "2 accounts, nothing waits to be sent."
    )
    assert not outgoing.needs_host(facts())
    assert outgoing.needs_host(facts(endpoints=1))


@pytest.mark.parametrize(("waited", "level"), [(59, "good"), (61, "attention")])
def test_a_message_that_waits_for_a_minute_wants_attention(waited: float, level: str) -> None:
    said = outgoing.messages(facts(accounts=1, messages_waiting=3, oldest_message_s=waited))
    assert said.level == level
    assert "1 account, 3 messages due" in said.text


@pytest.mark.parametrize(("failed", "level"), [(899, "good"), (901, "attention")])
def test_an_endpoint_that_fails_for_a_quarter_of_an_hour_wants_attention(failed: float, level: str) -> None:
    said = outgoing.endpoints(facts(endpoints=1, failing=1, failing_s=failed))
    assert (said.level, said.text) == (
        level,
        f"1 endpoint, 1 failing, the longest for {int(failed // 60)} min.",
    )


def test_one_that_was_switched_off_wants_attention_until_somebody_looks() -> None:
    assert outgoing.endpoints(facts(switched_off=1)).level == "attention"


def test_spans_are_short() -> None:
    assert [outgoing.span(s) for s in (0, 119, 120, 7_199, 7_200, 172_800)] == [
        "0 s", "119 s", "2 min", "119 min", "2 h", "2 days",
    ]  # fmt: skip
