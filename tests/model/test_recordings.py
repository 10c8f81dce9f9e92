"""Recordings: several at a time, one path twice, moved by a transfer; each stopped once."""

from core.model import facts
from core.model.records import Recording
from tests.model.scenes import SECOND, Scene, talking, types


def recordings(scene: Scene, uuid: str) -> list[Recording]:
    return list(scene.leg(uuid).recordings)


def test_a_recording_has_a_start_a_stop_and_what_the_switch_says_of_the_file() -> None:
    scene = talking()
    started = scene.tell(facts.RecordingStarted, "a", path="/rec/1.wav")
    started_us = scene.at
    stopped = scene.tell(
        facts.RecordingStopped, "a", path="/rec/1.wav", samples=8_000, size=16_044, cause="success-maxtime"
    )
    assert types(started + stopped) == ["call.recording_started", "call.recording_stopped"]
    assert recordings(scene, "a") == [
        Recording(
            leg="a",
            path="/rec/1.wav",
            started_us=started_us,
            stopped_us=started_us + SECOND,
            samples=8_000,
            size=16_044,
            cause="success-maxtime",
        )
    ]


def test_two_files_at_a_time_are_two_recordings() -> None:
    scene = talking()
    scene.tell(facts.RecordingStarted, "a", path="/rec/1.wav")
    scene.tell(facts.RecordingStarted, "a", path="/rec/2.wav")
    scene.tell(facts.RecordingStopped, "a", path="/rec/1.wav")
    one, two = recordings(scene, "a")
    assert one.stopped_us
    assert not two.stopped_us


def test_one_path_used_again_is_two_recordings() -> None:
    scene = talking()
    for _ in range(2):
        scene.tell(facts.RecordingStarted, "a", path="/rec/1.wav")
        scene.tell(facts.RecordingStopped, "a", path="/rec/1.wav")
    assert len(recordings(scene, "a")) == 2
    for fact in list(scene.facts):
        assert scene.give(fact) == []
    assert len(recordings(scene, "a")) == 2


def test_a_second_start_of_what_is_running_is_nothing() -> None:
    scene = talking()
    scene.tell(facts.RecordingStarted, "a", path="/rec/1.wav")
    assert scene.tell(facts.RecordingStarted, "a", path="/rec/1.wav") == []


def test_a_recording_that_a_transfer_moved_is_stopped_where_it_began() -> None:
    scene = talking()
    scene.tell(facts.RecordingStarted, "a", path="/rec/1.wav")
    scene.hangs_up("a")
    assert not scene.leg("a").recordings[0].stopped_us, "it may have moved to the other leg"
    changes = scene.tell(facts.RecordingStopped, "b", path="/rec/1.wav")
    assert types(changes) == ["call.recording_stopped"]
    assert changes[0].data["leg"] == "a"
    assert scene.leg("b").recordings == ()


def test_a_stop_that_comes_after_its_legs_end_counts_while_the_call_lives() -> None:
    scene = talking()
    scene.tell(facts.RecordingStarted, "a", path="/rec/1.wav")
    scene.hangs_up("a")
    assert types(scene.tell(facts.RecordingStopped, "a", path="/rec/1.wav")) == ["call.recording_stopped"]


def test_the_end_of_the_call_stops_what_still_runs() -> None:
    scene = talking()
    scene.tell(facts.RecordingStarted, "a", path="/rec/1.wav")
    scene.hangs_up("b")
    changes = scene.hangs_up("a")
    assert types(changes) == ["call.recording_stopped", "call.ended"]
    (recording,) = changes[-1].call.legs[0].recordings
    assert recording.stopped_us == changes[-1].call.ended_us


def test_a_stop_whose_start_was_never_seen_is_told() -> None:
    scene = talking()
    assert types(scene.tell(facts.RecordingStopped, "a", path="/rec/1.wav")) == ["call.recording_stopped"]
    (recording,) = recordings(scene, "a")
    assert (recording.started_us, recording.stopped_us) == (0, scene.at)


def test_a_start_that_comes_after_its_stop_fills_in_the_time_and_is_a_surprise() -> None:
    scene = talking()
    start = scene.make(facts.RecordingStarted, "a", path="/rec/1.wav")
    scene.tell(facts.RecordingStopped, "a", path="/rec/1.wav")
    assert scene.give(start) == []
    (recording,) = recordings(scene, "a")
    assert (recording.started_us, recording.stopped_us) == (start.at_us, scene.at)
    assert scene.board.surprises["recording_stopped_before_it_started"] == 1
