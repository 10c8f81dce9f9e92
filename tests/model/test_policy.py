"""Who may be written to, through what, when: every rule alone, and their order."""

from datetime import UTC, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.policy import Consent, Question, QuietHours, Suppression, covers, decide, quiet_until

NOW = round(datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp() * 1e6)
HOUR = 3_600_000_000
NIGHT = QuietHours(time(21), time(8), "Europe/Berlin")


def ask(**facts: object) -> tuple[str, str]:
    answer = decide(Question(**{"channel": "sms.twilio", "now_us": NOW, **facts}))  # type: ignore[arg-type]
    return answer.verdict, answer.code


def test_without_any_rule_in_the_way_it_is_sent() -> None:
    assert ask() == ("send", "")


@pytest.mark.parametrize("scope", ["*", "sms", "sms.twilio"])
@pytest.mark.parametrize("purpose", ["service", "marketing", "transactional"])
def test_an_opt_out_stops_every_purpose(scope: str, purpose: str) -> None:
    stop = (Suppression(scope, "STOP", NOW),)
    consents = (Consent("marketing", True, NOW),)
    assert ask(suppressions=stop, purpose=purpose, consents=consents) == ("refuse", "opted_out")


def test_an_opt_out_of_one_channel_leaves_the_others_and_its_own_confirmation() -> None:
    stop = (Suppression("sms", "STOP", NOW),)
    assert ask(suppressions=stop, channel="whatsapp") == ("send", "")
    assert ask(suppressions=stop, confirms_opt_out=True) == ("send", "")


@given(st.text("abc.", min_size=1), st.text("abc.", min_size=1))
def test_a_scope_covers_a_type_its_family_or_everything(scope: str, channel: str) -> None:
    assert covers(scope, channel) == (scope in ("*", channel, channel.split(".")[0]))


def test_marketing_needs_the_newest_word_to_be_yes() -> None:
    yes, no = Consent("marketing", True, NOW - 2), Consent("marketing", False, NOW - 1)
    assert ask(purpose="marketing") == ("refuse", "no_consent")
    assert ask(purpose="marketing", consents=(yes,)) == ("send", "")
    assert ask(purpose="marketing", consents=(no, yes)) == ("refuse", "consent_withdrawn")
    assert ask(purpose="marketing", consents=(Consent("surveys", True, NOW),)) == ("refuse", "no_consent")


def test_outside_a_window_only_templates_pass() -> None:
    day = {"window_s": 86_400, "channel": "whatsapp"}
    assert ask(**day) == ("refuse", "window_closed")
    assert ask(**day, last_inbound_us=NOW - 23 * HOUR) == ("send", "")
    assert ask(**day, last_inbound_us=NOW - 24 * HOUR) == ("refuse", "window_closed")
    assert ask(**day, last_inbound_us=NOW - 24 * HOUR, template=True) == ("send", "")


def at(hour: int, minute: int = 0, day: int = 23, month: int = 11) -> int:
    """Berlin's winter time is an hour ahead of UTC."""
    return round(datetime(2026, month, day, hour, minute, tzinfo=UTC).timestamp() * 1e6)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        (at(19, 59), 0),
        (at(20), at(7, day=24)),
        (at(23, 30), at(7, day=24)),
        (at(6, 59), at(7)),
        (at(7), 0),
        # The night in which summer time begins is an hour shorter.
        (at(22, 0, 28, 3), at(6, 0, 29, 3)),
    ],
)
def test_quiet_hours_are_the_receivers_own_and_say_when_they_end(now: int, until: int) -> None:
    assert quiet_until(NIGHT, now) == until
    answer = decide(Question(channel="sms.twilio", now_us=now, quiet=NIGHT))
    assert (answer.verdict, answer.until_us) == (("wait", until) if until else ("send", 0))


def test_quiet_hours_within_a_day_and_none_at_all() -> None:
    assert quiet_until(QuietHours(time(12), time(14), "UTC"), NOW) == NOW + 2 * HOUR
    assert quiet_until(QuietHours(time(13), time(14), "UTC"), NOW) == 0
    assert quiet_until(QuietHours(time(9), time(9), "UTC"), NOW) == 0


def test_codes_and_alarms_come_at_night_too() -> None:
    assert ask(quiet=NIGHT, now_us=at(23), purpose="transactional") == ("send", "")


@given(st.integers(NOW, NOW + 400 * 24 * HOUR))
def test_quiet_hours_end_in_the_future_and_are_over_then(now: int) -> None:
    until = quiet_until(NIGHT, now)
    assert until == 0 or (until > now and quiet_until(NIGHT, until) == 0)


def test_a_stop_of_marketing_stops_marketing_and_nothing_else() -> None:
    stop = (Suppression("whatsapp/marketing", "provider", NOW),)
    consents = (Consent("marketing", True, NOW),)
    asked = {"channel": "whatsapp", "suppressions": stop, "consents": consents}
    assert ask(**asked, purpose="marketing") == ("refuse", "opted_out")
    for purpose in ("service", "transactional"):
        assert ask(**asked, purpose=purpose) == ("send", "")
    assert ask(**{**asked, "channel": "sms.twilio"}, purpose="marketing") == ("send", "")
