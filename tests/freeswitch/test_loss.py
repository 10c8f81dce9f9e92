"""Events that the switch lost on the way are noticed, and what only looks like loss is not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freeswitch.event import Event
from freeswitch.loss import SEQUENCE_SPAN, Heartbeat, LossWatch, lost_in_log


def event(name: str, sequence: int = 0, **headers: object) -> Event:
    lines = [f"Event-Name: {name}", f"Event-Sequence: {sequence}"]
    lines += [f"{key.replace('_', '-')}: {value}" for key, value in headers.items()]
    return Event(("\n".join(lines) + "\n\n").encode())


class Story:
    """A switch that makes calls and beats every 20 s; some events may never be sent."""

    def __init__(self, *, counts_calls: bool = True) -> None:
        self.watch = LossWatch(counts_calls=counts_calls)
        self.made = self.open = 0
        self.now = 0.0
        self.doubts: list[str] = []

    def see(self, *events: Event) -> None:
        self.doubts += self.watch.see(list(events), self.now)

    def begin(self, calls: int = 1, *, lost: int = 0) -> None:
        self.made += calls
        self.open += calls
        if calls > lost:
            self.see(*[event("CHANNEL_CREATE")] * (calls - lost))

    def end(self, calls: int = 1, *, lost: int = 0) -> None:
        self.open -= calls
        if calls > lost:
            self.see(*[event("CHANNEL_DESTROY")] * (calls - lost))

    def beat(self, *, flying: int = 0) -> None:
        """``flying`` calls are counted already and their CHANNEL_CREATE comes right after."""
        self.now += 20
        self.see(
            event(
                "HEARTBEAT",
                Event_Date_Timestamp=int(self.now * 1e6),
                Session_Count=self.open + flying,
                Session_Since_Startup=self.made + flying,
            )
        )
        self.begin(flying)


def test_a_switch_that_loses_nothing_raises_no_doubt() -> None:
    story = Story()
    story.made, story.open = 1000, 40  # before we came
    for _ in range(20):
        story.beat()
        story.begin(30)
        story.end(25)
    assert story.doubts == []


def test_calls_that_began_unseen_are_noticed_after_two_heartbeats() -> None:
    story = Story()
    story.beat()
    story.begin(50, lost=10)
    story.beat()
    assert story.doubts == []
    story.end(50, lost=10)
    story.beat()
    assert any("10 calls began" in doubt for doubt in story.doubts)


def test_ends_that_were_not_told_are_noticed() -> None:
    story = Story()
    story.beat()
    story.begin(50)
    story.beat()
    story.end(50, lost=20)
    story.beat()
    story.beat()
    assert story.doubts == ["the number of live calls is 20 off from what we saw"]


def test_a_loss_is_told_once_and_the_next_one_again() -> None:
    story = Story()
    story.beat()
    for _ in range(2):
        story.begin(20, lost=20)
        story.end(20, lost=20)
        for _ in range(5):
            story.beat()
    assert len([doubt for doubt in story.doubts if "began" in doubt]) == 2


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 20), min_size=3, max_size=10))
def test_calls_in_flight_at_a_heartbeat_are_no_loss(flying: list[int]) -> None:
    """At 100 calls a second up to 20 have been counted and their events are still on the way."""
    story = Story()
    story.begin(2_000)
    story.beat(flying=flying[0])
    for each in flying:
        story.begin(2_000)
        story.end(2_000)
        story.beat(flying=each)
    assert story.doubts == []


def test_without_both_kinds_of_events_nothing_is_compared() -> None:
    story = Story(counts_calls=False)
    for _ in range(5):
        story.begin(50, lost=50)
        story.beat()
    assert story.doubts == []
    assert story.watch.heartbeat is not None


def test_the_interval_of_heartbeats_is_learned_from_the_switchs_clock() -> None:
    story = Story()
    assert story.watch.interval_s == 0
    story.beat()
    story.beat()
    assert story.watch.interval_s == pytest.approx(20)


def test_a_heartbeat_is_read_whole_and_forgives_what_is_missing() -> None:
    beat = Heartbeat.read(
        event(
            "HEARTBEAT",
            Session_Count=10,
            Max_Sessions=5000,
            Session_Per_Sec=500,
            Session_Per_Sec_Last=7,
            Session_Since_Startup=231,
            Idle_CPU="34.000000",
            Uptime_msec=160172,
            FreeSWITCH_Version="1.10.12-release%2Bgit",
            Event_Info="System%20Ready",
        )
    )
    assert (beat.sessions, beat.max_sessions, beat.sessions_since_startup, beat.uptime_ms) == (
        10,
        5000,
        231,
        160172,
    )
    assert (beat.idle_cpu, beat.version, beat.info) == (34.0, "1.10.12-release+git", "System Ready")
    empty = Heartbeat.read(event("HEARTBEAT", Session_Count="many", Idle_CPU="hot"))
    assert (empty.sessions, empty.idle_cpu) == (0, 0.0)


def numbers(watch: LossWatch, start: int, every: int, now: float) -> tuple[int, list[str]]:
    """One measurement's worth of batches in which each ``every``-th number reaches us."""
    doubts: list[str] = []
    at = start
    while at < start + SEQUENCE_SPAN + 500:
        doubts += watch.see([event("X", at + place * every) for place in range(100)], now)
        at += 100 * every
    return at, doubts


def test_gaps_and_disorder_in_the_numbers_are_normal() -> None:
    watch = LossWatch(counts_calls=False)
    at, doubts = numbers(watch, 0, 3, 0.0)
    for _ in range(4):
        at, more = numbers(watch, at, 3, 0.0)
        doubts += more
    assert watch.see([event("X", at - 50), event("X", at - 70)], 0.0) == []
    assert doubts == []


def test_a_share_of_numbers_that_falls_far_is_a_hint_once_a_minute() -> None:
    watch = LossWatch(counts_calls=False)
    at, doubts = numbers(watch, 0, 2, 100.0)
    at, more = numbers(watch, at, 40, 105.0)
    assert (doubts, len(more)) == ([], 1)
    at, more = numbers(watch, at, 40, 110.0)
    assert more == []
    assert watch.hints == 1


def test_the_switchs_own_words_about_lost_events_are_understood() -> None:
    assert lost_in_log(b"Lost [73] events! Event Queue size: [99999/100000]\n") == 73
    assert (
        lost_in_log(
            b"Killing listener because of too many lost events. Lost [501] Queue size[100000/100000]\n"
        )
        == 501
    )
    no_room = (
        b"Event enqueue ERROR [11] | [Resource temporarily unavailable] | Queue size: [100000/100000] Max\n"
    )
    assert lost_in_log(no_room) == 0
    assert lost_in_log(b"Lost [12] log lines! Log Queue size: [1/100000]\n") is None
    assert (
        lost_in_log(b"Killing listener because of too many lost log lines. Lost [501] Queue size [1/1]!\n")
        is None
    )
    assert lost_in_log(b"Over Session Limit! 1000\n") is None
