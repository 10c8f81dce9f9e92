"""What `irisx top` knows: equal to the store, whatever order, doubling and loss the stream has."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from api.commands.client import Client
from api.commands.keys import read_keys
from api.commands.live import Live
from api.commands.profile import Profile
from api.commands.top import Top


def call(name: str, version: int, state: str = "answered") -> dict[str, Any]:
    return {"id": f"call_{name}", "version": version, "state": state, "created_us": version}


def entry(seq: int, about: dict[str, Any], kind: str = "call.answered") -> dict[str, Any]:
    return {"seq": seq, "type": kind, "data": {"call": about}}


def test_an_older_view_of_a_call_never_replaces_a_newer_one() -> None:
    live = Live()
    live.take(call("a", 5, "bridged"))
    live.take(call("a", 4, "ringing"))
    assert live.calls["call_a"]["state"] == "bridged"


def test_an_ended_call_does_not_come_back_from_a_list_that_was_read_before() -> None:
    live = Live()
    live.hello(10)
    live.entry(entry(11, call("a", 9, "ended"), "call.ended"), now=0.0)
    live.listed([call("a", 8)], began_at=10)
    assert live.calls == {}


def test_a_list_takes_away_calls_that_ended_unseen() -> None:
    live = Live()
    live.hello(10)
    live.take(call("gone", 1))
    live.listed([call("here", 1)], began_at=10)
    assert set(live.calls) == {"call_here"}


def test_a_call_that_began_after_the_list_was_asked_for_stays() -> None:
    live = Live()
    live.hello(10)
    live.entry(entry(11, call("new", 1), "call.created"), now=0.0)
    live.listed([], began_at=10)
    assert set(live.calls) == {"call_new"}


def test_after_a_reconnect_it_says_how_far_behind_it_is_until_it_is_not() -> None:
    live = Live()
    live.hello(10)
    assert live.stream == "live"
    live.lost("the connection broke")
    assert (live.stream, live.why) == ("offline", "the connection broke")
    live.hello(12)
    assert (live.stream, live.why) == ("catching up", "2 entries behind")
    live.entry(entry(11, call("a", 1)), now=0.0)
    live.entry(entry(12, call("a", 2)), now=0.0)
    assert live.stream == "live"


def test_a_heartbeat_closes_what_was_not_for_us() -> None:
    live = Live()
    live.hello(10)
    live.hello(15)
    live.beat(15)
    assert (live.seq, live.stream) == (15, "live")


def test_a_store_that_was_set_back_is_followed_back() -> None:
    live = Live()
    live.hello(100)
    live.gap(7)
    assert live.seq == 7
    live.listed([], began_at=7)
    assert live.stream == "live"


def test_rates_are_of_the_last_minute() -> None:
    live = Live()
    live.entry(entry(1, call("a", 1), "call.created"), now=0.0)
    live.entry(entry(2, call("b", 1), "call.created"), now=50.0)
    assert live.rates(55.0)["begun"] == 2
    assert live.rates(61.0)["begun"] == 1
    assert live.rates(200.0) == {"begun": 0, "answered": 0, "ended": 0, "entries": 0}


def test_the_newest_calls_come_first() -> None:
    live = Live()
    for name, version in (("a", 1), ("b", 3), ("c", 2)):
        live.take(call(name, version))
    assert [one["id"] for one in live.newest(2)] == ["call_b", "call_c"]
    assert [one["id"] for one in live.newest(2, skip=2)] == ["call_a"]


def test_keys_are_told_apart_even_when_they_come_together() -> None:
    assert read_keys(b"\x1b[B\r\x1b\x1b[5~jXq") == ["down", "open", "close", "page up", "down", "quit"]


def view_of(*names: str) -> Top:
    with Client(Profile()) as client:
        view = Top(client)
    for version, name in enumerate(reversed(names), 1):
        view.live.take(call(name, version))
    view.draw(40)
    return view


def test_the_chosen_call_stays_chosen_while_newer_ones_push_it_down() -> None:
    view = view_of("a", "b", "c")
    view.press("down", 10)
    assert view.chosen["id"] == "call_b"
    view.live.take(call("newer", 99))
    view.draw(40)
    assert (view.chosen["id"], view.selected) == ("call_b", 2)


def test_a_call_that_is_looked_at_stays_on_the_screen_after_its_end() -> None:
    view = view_of("a")
    view.press("open", 10)
    view.live.take(call("a", 9, "ended"))
    view.draw(40)
    assert view.open
    assert view.chosen["id"] == "call_a"
    view.press("close", 10)
    view.draw(40)
    assert view.press("open", 10)
    assert not view.press("quit", 10)


def test_moving_never_leaves_the_list() -> None:
    view = view_of("a", "b")
    for _ in range(5):
        view.press("page down", 10)
    assert view.chosen["id"] == "call_b"
    for _ in range(5):
        view.press("up", 10)
    assert view.chosen["id"] == "call_a"


history = st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=30)


@given(history, st.randoms(use_true_random=False))
def test_any_order_and_doubling_of_entries_ends_in_the_same_view(
    steps: list[tuple[str, bool]], random: Any
) -> None:
    versions: dict[str, int] = {}
    ended: set[str] = set()
    entries = []
    for seq, (name, ends) in enumerate(steps, 1):
        if name in ended:
            continue
        versions[name] = versions.get(name, 0) + 1
        entries.append(entry(seq, call(name, versions[name], "ended" if ends else "answered")))
        if ends:
            ended.add(name)
    shuffled = entries * 2
    random.shuffle(shuffled)
    live = Live()
    for one in shuffled:
        live.entry(one, now=0.0)
    assert {name: seen["version"] for name, seen in live.calls.items()} == {
        f"call_{name}": version for name, version in versions.items() if name not in ended
    }
