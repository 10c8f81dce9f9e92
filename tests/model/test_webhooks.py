"""Webhooks out: signatures that any library of the specification accepts, and what each answer means."""

import base64

import pytest

from core.model import webhooks
from core.model.webhooks import SCHEDULE_S, Attempt, after, covers, headers, is_genuine, payload, sign

# The specification's libraries test themselves with this secret, id and time.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
BODY = b'{"test": 2432232314}'


def test_the_known_answer_of_the_specifications_libraries() -> None:
    assert sign(SECRET, ID, 1614265330, BODY) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_accepts_what_was_signed_and_nothing_else() -> None:
    signed = headers([SECRET], ID, 1000, BODY)
    assert is_genuine(SECRET, signed, BODY, now_s=1000 + 300)
    assert not is_genuine(SECRET, signed, BODY + b" ", now_s=1000)
    assert not is_genuine(SECRET, signed, BODY, now_s=1301)
    assert not is_genuine(SECRET, {**signed, "webhook-id": "msg_2"}, BODY, now_s=1000)
    assert not is_genuine(SECRET, {**signed, "webhook-timestamp": "1001"}, BODY, now_s=1000)
    assert not is_genuine(webhooks.fresh_secret(), signed, BODY, now_s=1000)


def test_during_a_rotation_either_secret_is_enough() -> None:
    old, new = webhooks.fresh_secret(), webhooks.fresh_secret()
    signed = headers([new, old], ID, 1000, BODY)
    assert signed["webhook-signature"].count("v1,") == 2
    assert is_genuine(old, signed, BODY, now_s=1000)
    assert is_genuine(new, signed, BODY, now_s=1000)


def test_a_secret_has_the_form_that_receivers_enter() -> None:
    secret = webhooks.fresh_secret()
    assert secret.startswith("whsec_")
    assert 24 <= len(base64.b64decode(secret[6:], validate=True)) <= 64
    assert secret != webhooks.fresh_secret()
    with pytest.raises(ValueError, match="whsec_"):
        sign("hush", ID, 1, b"")


def attempt(status: int = 0, error: str = "", wish: float | None = None) -> Attempt:
    return Attempt(at_us=0, status=status, error=error, retry_after_s=wish)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_every_2xx_is_a_delivery(status: int) -> None:
    assert after(attempt(status), tries=1, jitter=1.0).step == "delivered"


@pytest.mark.parametrize("status", [0, 408, 429, 500, 502, 503, 504])
def test_what_may_be_otherwise_later_is_tried_again(status: int) -> None:
    for tries, pause in enumerate(SCHEDULE_S, 1):
        then = after(attempt(status, "timeout"), tries=tries, jitter=1.2)
        assert (then.step, then.pause_s) == ("again", pause * 1.2)
        assert then.reason
    last = after(attempt(status, "timeout"), tries=len(SCHEDULE_S) + 1, jitter=1.0)
    assert last.step == "failed"
    assert "tried 8 times" in last.reason


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404, 413])
def test_what_stays_wrong_is_not_tried_again(status: int) -> None:
    then = after(attempt(status), tries=1, jitter=1.0)
    assert (then.step, then.off) == ("failed", False)
    assert str(status) in then.reason


def test_410_switches_the_endpoint_off() -> None:
    assert after(attempt(410), tries=1, jitter=1.0).off


def test_a_wish_to_wait_is_heeded_within_a_day() -> None:
    assert after(attempt(429, wish=90), tries=1, jitter=1.0).pause_s == 90
    assert after(attempt(429, wish=1), tries=2, jitter=1.0).pause_s == 60
    assert after(attempt(503, wish=1e9), tries=1, jitter=1.0).pause_s == 86400


def test_types_are_whole_groups_or_everything() -> None:
    assert covers(["call.*"], "call.ended") and covers(["call.ended"], "call.ended") and covers(["*"], "a.b")
    assert not covers(["call.*"], "callback.made")
    assert not covers(["call.ended"], "call.ended_late")
    assert not covers([], "call.ended")


def test_a_payload_has_the_timestamp_that_the_specification_recommends() -> None:
    entry = b'{"seq":1,"type":"a.b","occurred_at":"2026-01-01T00:00:00.000Z","data":{"x":"{"}}'
    assert payload(entry) == b'{"timestamp":"2026-01-01T00:00:00.000Z",' + entry[1:]
