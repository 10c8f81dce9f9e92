"""Conferences: members of one meeting and one tenant are one call."""

from typing import Any

from core.model import facts
from core.model.records import Change
from tests.model.scenes import Scene, types

ROOM = {"conference": "3001", "instance": "meeting-1"}


def joins(scene: Scene, uuid: str, member: str, **fields: Any) -> list[Change]:
    return scene.tell(facts.ConferenceJoined, uuid, member=member, **(ROOM | fields))


def leaves(scene: Scene, uuid: str, **fields: Any) -> list[Change]:
    return scene.tell(facts.ConferenceLeft, uuid, member="0", **(ROOM | fields))


def meeting(*uuids: str) -> Scene:
    scene = Scene()
    for number, uuid in enumerate(uuids, 1):
        scene.arrives(uuid)
        scene.answers(uuid)
        joins(scene, uuid, str(number))
    return scene


def test_the_first_member_begins_the_meeting_and_its_call_is_connected() -> None:
    scene = Scene()
    scene.arrives("a")
    changes = joins(scene, "a", "1")
    assert types(changes) == ["conference.created", "conference.joined"]
    assert changes[1].data == {"conference": "3001", "instance": "meeting-1", "leg": "a", "member": "1"}
    assert scene.call("a").state == "bridged"
    assert scene.call("a").conference == "3001"
    assert (scene.leg("a").conference, scene.leg("a").conference_member) == ("3001", "1")


def test_members_of_one_meeting_are_one_call() -> None:
    scene = meeting("a", "b", "c")
    (call,) = scene.board.calls.values()
    assert [leg.uuid for leg in call.legs] == ["a", "b", "c"]
    assert types(scene.changes).count("call.merged") == 2
    assert [member.leg for member in scene.board.conferences["meeting-1"].members] == ["a", "b", "c"]


def test_members_of_two_tenants_stay_two_calls() -> None:
    scene = Scene()
    scene.arrives("a", tenant="tnt_one")
    scene.arrives("b", tenant="tnt_two")
    joins(scene, "a", "1")
    changes = joins(scene, "b", "2")
    assert types(changes) == ["conference.created", "conference.joined"]
    assert scene.call("a") is not scene.call("b")
    assert types(leaves(scene, "a")) == ["conference.left", "conference.ended"]
    assert scene.board.conferences["meeting-1"].member("b")


def test_two_meetings_under_one_name_are_two_conferences() -> None:
    scene = meeting("a")
    leaves(scene, "a")
    scene.arrives("b")
    changes = joins(scene, "b", "1", instance="meeting-2")
    assert types(changes) == ["conference.created", "conference.joined"]
    assert scene.call("b") is not scene.call("a")


def test_muting_a_member_is_told_once() -> None:
    scene = meeting("a", "b")
    mute = {**ROOM, "member": "1"}
    assert types(scene.tell(facts.ConferenceMuted, "a", **mute)) == ["conference.muted"]
    assert scene.tell(facts.ConferenceMuted, "a", **mute) == []
    assert scene.leg("a").muted
    member = scene.board.conferences["meeting-1"].member("a")
    assert member is not None
    assert member.muted
    assert types(scene.tell(facts.ConferenceMuted, "a", muted=False, **mute)) == ["conference.unmuted"]


def test_the_last_member_ends_the_meeting() -> None:
    scene = meeting("a", "b")
    assert types(leaves(scene, "b")) == ["conference.left"]
    assert types(leaves(scene, "a")) == ["conference.left", "conference.ended"]
    assert scene.board.conferences == {}
    assert scene.call("a").state == "answered"


def test_a_member_who_hangs_up_has_left() -> None:
    scene = meeting("a", "b")
    assert types(scene.hangs_up("b")) == ["conference.left", "call.leg_ended"]
    assert types(scene.hangs_up("a")) == ["conference.left", "conference.ended", "call.ended"]
    assert scene.board.conferences == {}


def test_a_leaving_that_is_told_after_the_hangup_changes_nothing() -> None:
    scene = meeting("a", "b")
    scene.hangs_up("b")
    assert leaves(scene, "b") == []
    assert scene.board.surprises == {}


def test_the_end_of_a_meeting_takes_along_who_is_believed_in_it() -> None:
    scene = meeting("a", "b")
    changes = scene.tell(facts.ConferenceEnded, **ROOM)
    assert types(changes) == ["conference.left", "conference.left", "conference.ended"]
    assert scene.call("a").state == "answered"
    assert scene.tell(facts.ConferenceEnded, **ROOM) == []


def test_a_join_that_comes_twice_is_told_once() -> None:
    scene = Scene()
    scene.arrives("a")
    fact = scene.make(facts.ConferenceJoined, "a", member="1", **ROOM)
    scene.give(fact)
    assert scene.give(fact) == []


def test_a_member_that_was_never_seen_joining_can_leave() -> None:
    scene = Scene()
    scene.arrives("a")
    assert leaves(scene, "a") == []


def test_the_sound_of_a_conference_is_kept_with_a_member_and_belongs_to_nobody() -> None:
    scene = meeting("a", "b")
    started = scene.tell(facts.ConferenceRecordingStarted, **ROOM, path="/rec/room.wav")
    assert types(started) == ["call.recording_started"]
    assert started[0].data == {"path": "/rec/room.wav", "conference": "3001"}
    leaves(scene, "a")
    stopped = scene.tell(
        facts.ConferenceRecordingStopped, **ROOM, path="/rec/room.wav", samples=8_000, size=16_044
    )
    assert types(stopped) == ["call.recording_stopped"]
    (recording,) = [one for leg in scene.call("b").legs for one in leg.recordings]
    assert (recording.leg, recording.conference, recording.samples) == ("", "3001", 8_000)
    assert scene.tell(facts.ConferenceRecordingStopped, **ROOM, path="/rec/room.wav") == []


def test_a_conference_recording_that_runs_to_the_end_is_stopped_with_the_call() -> None:
    scene = meeting("a")
    scene.tell(facts.ConferenceRecordingStarted, **ROOM, path="/rec/room.wav")
    assert types(scene.hangs_up("a"))[-2:] == ["call.recording_stopped", "call.ended"]
    assert scene.changes[-2].data == {"path": "/rec/room.wav", "conference": "3001"}


def test_a_recording_of_an_empty_conference_is_a_surprise() -> None:
    scene = Scene()
    assert scene.tell(facts.ConferenceRecordingStarted, **ROOM, path="/rec/room.wav") == []
    assert scene.board.surprises["conference_recording_without_members"] == 1


def test_a_member_that_is_renamed_stays_a_member() -> None:
    scene = meeting("a")
    scene.tell(facts.LegRenamed, "n", old="a")
    assert scene.board.conferences["meeting-1"].member("n")
    assert types(leaves(scene, "n")) == ["conference.left", "conference.ended"]
