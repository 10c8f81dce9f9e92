"""Rate limits: learned from what Discord says, kept by us before it says no."""

from hypothesis import given
from hypothesis import strategies as st

from irisx_channels.discord.limits import GLOBAL_PER_S, MOST, MOST_INVALID, Invalid, Limits

POST, EDIT = "POST /channels/{}/messages", "PATCH /channels/{}/messages/{}"


def told(bucket: str, remaining: int, after: float) -> dict[str, str]:
    return {
        "x-ratelimit-bucket": bucket,
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset-after": f"{after:.3f}",
    }


def test_what_is_left_is_used_and_then_waited_for() -> None:
    limits = Limits()
    limits.learn(POST, "1", 200, told("b", 2, 5), None, 100)
    assert [limits.wait_s(POST, "1", 100.5) for _ in range(4)] == [0, 0, 4.5, 4.5]
    assert limits.wait_s(POST, "1", 105) == 0


def test_each_channel_counts_alone_and_routes_share_what_discord_calls_one_bucket() -> None:
    limits = Limits()
    limits.learn(POST, "1", 200, told("b", 0, 5), None, 0)
    assert limits.wait_s(POST, "2", 1) == 0
    assert limits.wait_s(EDIT, "1", 1) == 0
    limits.learn(EDIT, "2", 200, told("b", 3, 5), None, 1)
    assert limits.wait_s(EDIT, "1", 1) == 4


def test_a_429_closes_its_bucket_or_everything() -> None:
    limits = Limits()
    limits.learn(POST, "1", 429, {"x-ratelimit-scope": "shared"}, 2.5, 0)
    assert (limits.wait_s(POST, "1", 1), limits.wait_s(POST, "2", 1)) == (1.5, 0)
    limits.learn(POST, "2", 429, {"x-ratelimit-global": "true"}, 3, 1)
    assert limits.wait_s(EDIT, "9", 2) == 2
    assert limits.wait_s("POST /interactions/{}/{}/callback", "9", 2, counted=False) == 0
    assert limits.wait_s(EDIT, "9", 4) == 0


def test_fifty_a_second_is_the_most_for_all_together() -> None:
    limits = Limits()
    assert [limits.wait_s(POST, str(n), 10.0) for n in range(GLOBAL_PER_S)] == [0] * GLOBAL_PER_S
    assert limits.wait_s(POST, "x", 10.25) == 0.75
    assert limits.wait_s(POST, "x", 11.0) == 0


def test_answers_that_overtake_each_other_do_not_give_more_than_there_is() -> None:
    limits = Limits()
    limits.learn(POST, "1", 200, told("b", 1, 5), None, 0)
    limits.learn(POST, "1", 200, told("b", 2, 5), None, 0.1)
    assert [limits.wait_s(POST, "1", 0.2) > 0 for _ in range(2)] == [False, True]


def test_nonsense_is_not_believed() -> None:
    limits = Limits()
    for remaining, after in (("x", "1"), ("1", "nan"), ("-1", "1"), ("1", "inf"), ("", "")):
        headers = {
            "x-ratelimit-bucket": "b",
            "x-ratelimit-remaining": remaining,
            "x-ratelimit-reset-after": after,
        }
        limits.learn(POST, "1", 200, headers, None, 0)
        assert limits.wait_s(POST, "1", 0) == 0


def test_memory_is_bounded() -> None:
    limits = Limits()
    for n in range(MOST + 100):
        limits.learn(f"GET /{n}", str(n), 200, told(f"b{n}", 0, 1000), None, 0)
    assert limits.wait_s("GET /0", "0", 1) == 0
    assert limits.wait_s(f"GET /{MOST + 99}", str(MOST + 99), 1) > 0


def test_a_machine_that_is_told_no_too_often_stops_asking() -> None:
    invalid = Invalid()
    for n in range(MOST_INVALID):
        assert invalid.wait_s(1) == 0
        invalid.note(403 if n % 2 else 401, {}, 0)
        invalid.note(429, {"x-ratelimit-scope": "shared"}, 0)
        invalid.note(404, {}, 0)
    assert invalid.wait_s(100) == 500
    assert invalid.wait_s(600) == 0


@given(st.lists(st.tuples(st.sampled_from(["1", "2"]), st.floats(0, 0.3)), max_size=120), st.integers(1, 6))
def test_who_follows_it_is_never_told_to_slow_down(asked: list[tuple[str, float]], limit: int) -> None:
    """Discord's side: ``limit`` requests a channel in each second. Ours: one request after the other."""
    limits, now = Limits(), 0.0
    windows: dict[str, tuple[float, int]] = {}
    for top, pause in asked:
        now += pause
        if limits.wait_s(POST, top, now) > 0:
            continue
        began, used = windows.get(top, (now, 0))
        if now >= began + 1:
            began, used = now, 0
        assert used < limit
        windows[top] = (began, used + 1)
        limits.learn(POST, top, 200, told("b", limit - used - 1, began + 1 - now), None, now)
