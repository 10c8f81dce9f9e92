"""Time that nobody saw: takeover, lost links, restarted switches, listings."""

import msgspec

from core.model import facts
from core.model.facts import Channel
from core.model.records import Call
from core.model.resync import SETTLED_US
from core.model.switchboard import Switchboard
from tests.model.scenes import SECOND, START, Scene, talking, types


def listed(uuid: str, **fields: object) -> Channel:
    return msgspec.convert({"uuid": uuid, "direction": "inbound", "detailed": True, **fields}, Channel)


def test_a_leg_that_the_switch_does_not_list_has_ended_unseen() -> None:
    scene = talking()
    changes = scene.board.reconcile([listed("a")], at_us=scene.at + 5 * SECOND, since_us=scene.at)
    assert types(changes) == ["call.leg_ended"]
    leg = changes[0].call.legs[1]
    assert (leg.inferred, leg.hangup_cause) == (True, "MISSED_END")
    assert leg.hangup_us == scene.at + 5 * SECOND
    assert leg.billsec == (leg.hangup_us - leg.answered_us) // SECOND > 5
    assert scene.leg("a").bridged_to == ""


def test_a_hangup_that_was_seen_keeps_its_time_and_cause() -> None:
    scene = Scene()
    scene.arrives("a")
    scene.tell(facts.LegHungUp, "a", hangup_cause="USER_BUSY")
    hangup_us = scene.at
    changes = scene.board.reconcile([], at_us=scene.at + 9 * SECOND, since_us=scene.at)
    assert types(changes) == ["call.ended"]
    (leg,) = changes[0].call.legs
    assert (leg.hangup_us, leg.hangup_cause, leg.inferred) == (hangup_us, "USER_BUSY", True)


def test_a_leg_that_began_after_the_listing_was_asked_for_is_left_alone() -> None:
    scene = Scene()
    since = scene.at
    scene.arrives("a")
    assert scene.board.reconcile([], at_us=scene.at, since_us=since) == []
    assert scene.call("a").live


def test_a_leg_that_ended_while_the_listing_was_made_does_not_come_back() -> None:
    scene = Scene()
    scene.arrives("a")
    scene.hangs_up("a")
    assert scene.board.reconcile([listed("a")], at_us=scene.at, since_us=scene.at) == []


def test_an_unknown_leg_of_the_listing_is_attached() -> None:
    scene = Scene()
    rows = [
        listed("b", direction="outbound", call_uuid="a", created_us=START + 1, state="answered"),
        listed("a", created_us=START, caller="+1", destination="100", state="answered"),
    ]
    changes = scene.board.reconcile(rows, at_us=scene.at, since_us=scene.at)
    assert types(changes) == ["call.created", "call.answered", "call.leg_added", "call.answered"]
    call = scene.call("a")
    assert call is scene.call("b")
    assert (call.direction, call.caller) == ("inbound", "+1")


def test_the_listing_says_what_was_missed() -> None:
    scene = Scene()
    scene.arrives("a")
    rows = [listed("a", state="answered", destination="100")]
    assert types(scene.board.reconcile(rows, at_us=scene.at, since_us=scene.at)) == ["call.answered"]
    rows = [listed("a", state="held")]
    assert types(scene.board.reconcile(rows, at_us=scene.at, since_us=scene.at)) == ["call.held"]
    rows = [listed("a", state="unheld")]
    assert types(scene.board.reconcile(rows, at_us=scene.at, since_us=scene.at)) == ["call.resumed"]
    assert scene.leg("a").destination == "100"


def test_reconciling_twice_changes_nothing_more() -> None:
    scene = talking()
    rows = [listed("a"), listed("b")]
    assert scene.board.reconcile(rows, at_us=scene.at, since_us=scene.at) == []
    assert scene.board.reconcile(rows, at_us=scene.at, since_us=scene.at) == []


def test_a_lost_link_puts_calls_in_doubt_until_the_switch_lists_them() -> None:
    scene = talking()
    assert types(scene.board.node_lost(scene.at)) == ["call.in_doubt"]
    assert scene.call("a").in_doubt
    assert scene.board.node_lost(scene.at) == []
    changes = scene.board.reconcile([listed("a"), listed("b")], at_us=scene.at, since_us=scene.at)
    assert types(changes) == ["call.recovered"]
    assert changes[0].data == {"by": "listing"}
    assert not scene.call("a").in_doubt


def test_a_call_in_doubt_that_ended_meanwhile_is_closed_once() -> None:
    scene = talking()
    scene.board.node_lost(scene.at)
    changes = scene.board.reconcile([], at_us=scene.at, since_us=scene.at)
    assert types(changes) == ["call.leg_ended", "call.ended"]
    assert (changes[-1].call.inferred, changes[-1].call.in_doubt) == (True, False)
    assert scene.hangs_up("a") == []


def test_a_restarted_switch_has_lost_its_calls() -> None:
    scene = talking()
    changes = scene.board.node_restarted(scene.at)
    assert types(changes) == ["call.leg_ended", "call.ended"]
    assert {leg.hangup_cause for leg in changes[-1].call.legs} == {"NODE_DEATH"}
    assert all(leg.inferred for leg in changes[-1].call.legs)
    assert scene.board.calls == {}
    assert scene.board.conferences == {}


def test_recovered_legs_continue_their_call_with_their_own_beginning() -> None:
    scene = talking()
    created = scene.leg("a").created_us
    answered = scene.leg("a").answered_us
    assert types(scene.board.node_restarted(scene.at, recovering=True)) == ["call.in_doubt"]
    # The standby counts its events from the beginning, and says that the leg was created just now.
    scene.seq = 5
    changes = scene.tell(facts.LegCreated, "a", recovered=True, created_us=scene.at)
    assert types(changes) == ["call.recovered"]
    assert changes[0].data == {"leg": "a", "by": "standby"}
    assert not scene.call("a").in_doubt
    assert (scene.leg("a").created_us, scene.leg("a").answered_us) == (created, answered)
    # Its own numbers are small, and news nevertheless.
    assert types(scene.tell(facts.LegHeld, "a")) == ["call.held"]
    # The other leg did not come back.
    changes = scene.board.reconcile([listed("a")], at_us=scene.at, since_us=scene.at)
    assert types(changes) == ["call.leg_ended"]
    assert changes[0].data["cause"] == "NODE_DEATH"
    scene.tell(
        facts.LegEnded, "a", created_us=created + 30 * SECOND, hangup_us=scene.at, billsec=14, duration=8
    )
    (leg, _) = scene.last.call.legs
    assert leg.created_us == created
    assert leg.billsec == 14
    assert leg.duration == leg.hangup_us // SECOND - created // SECOND


def test_a_standbys_small_numbers_are_newer_than_the_lost_switchs_large_ones() -> None:
    scene = talking()
    scene.tell(facts.LegHeld, "a")
    scene.tell(facts.LegResumed, "a")
    scene.seq = 5
    scene.tell(facts.LegCreated, "a", recovered=True)
    assert types(scene.tell(facts.LegHeld, "a")) == ["call.held"]


def test_a_leg_can_be_recovered_again() -> None:
    scene = Scene()
    scene.arrives("a")
    for _ in range(2):
        scene.board.node_restarted(scene.at, recovering=True)
        scene.seq = 5
        fact = scene.make(facts.LegCreated, "a", recovered=True, created_us=scene.at)
        assert types(scene.give(fact)) == ["call.recovered"]
        assert scene.give(fact) == []


def test_facts_from_before_a_recovery_are_old_whatever_their_number() -> None:
    scene = Scene()
    scene.arrives("a")
    old = scene.make(facts.LegHeld, "a", seq=1_000_000)
    scene.tell(facts.LegCreated, "a", recovered=True)
    assert scene.give(old) == []


def test_a_parked_leg_that_was_recovered_is_not_told_as_parked_again() -> None:
    scene = Scene()
    scene.arrives("a")
    scene.tell(facts.LegParked, "a")
    scene.board.node_restarted(scene.at, recovering=True)
    scene.tell(facts.LegCreated, "a", recovered=True)
    assert scene.tell(facts.LegParked, "a") == []


def test_a_recovered_leg_that_nobody_knew_is_a_call_with_the_switchs_times() -> None:
    scene = Scene()
    changes = scene.tell(facts.LegCreated, "a", recovered=True, created_us=START + 9, answered_us=START)
    assert types(changes) == ["call.created", "call.answered"]
    assert scene.leg("a").recovered
    scene.tell(facts.LegEnded, "a", hangup_us=START + 9 + 6 * SECOND, billsec=9, duration=6)
    (leg,) = scene.last.call.legs
    assert (leg.created_us, leg.billsec, leg.duration) == (START + 9, 9, 6)


def handed_over(scene: Scene) -> Switchboard:
    """An heir's board, from what the store would hold."""
    latest = {change.call.id: change.call for change in scene.changes}
    stored = msgspec.json.decode(msgspec.json.encode(list(latest.values())), type=list[Call])
    heir = Switchboard("pbx-1", "tnt_main")
    heir.restore(stored)
    return heir


def test_an_heir_knows_what_was_stored_and_tells_nothing_of_it_again() -> None:
    scene = talking()
    scene.tell(facts.DigitPressed, "a")
    scene.tell(facts.LegHeld, "a")
    heir = handed_over(scene)
    assert heir.calls == scene.board.calls
    for fact in scene.facts:
        assert heir.advance(fact) == []
    assert heir.calls == scene.board.calls


def test_an_heir_begins_no_call_anew_that_ended_a_moment_ago() -> None:
    scene = talking()
    scene.hangs_up("b")
    scene.hangs_up("a")
    heir = handed_over(scene)
    for fact in scene.facts:
        assert heir.advance(fact) == []


def test_an_heir_tells_what_its_predecessor_could_not_store() -> None:
    scene = talking()
    heir = handed_over(scene)
    fact = scene.make(facts.LegHeld, "a")
    wanted = scene.give(fact)
    told = [change for one in scene.facts for change in heir.advance(one)]
    assert told == wanted


def test_an_heir_does_not_stop_a_recording_that_was_begun_again() -> None:
    scene = Scene()
    scene.arrives("a")
    scene.tell(facts.RecordingStarted, "a", path="/rec/1.wav")
    stop = scene.make(facts.RecordingStopped, "a", path="/rec/1.wav")
    scene.tell(facts.RecordingStarted, "a", path="/rec/2.wav")
    heir = handed_over(scene)
    again = scene.make(facts.RecordingStarted, "a", path="/rec/1.wav")
    assert types(heir.advance(stop)) == ["call.recording_stopped"]
    assert types(heir.advance(again)) == ["call.recording_started"]
    assert heir.advance(stop) == []
    leg = heir.leg_of("a")
    assert leg is not None
    assert [bool(one.stopped_us) for one in leg.recordings] == [True, False, False]


def test_a_stop_from_before_a_recordings_start_is_not_its_own() -> None:
    scene = Scene()
    scene.arrives("a")
    older = scene.make(facts.RecordingStopped, "a", path="/rec/1.wav")
    scene.tell(facts.RecordingStarted, "a", path="/rec/1.wav")
    scene.give(older)
    running = [one for one in scene.leg("a").recordings if not one.stopped_us]
    assert len(running) == 1


def test_an_heir_knows_the_members_of_a_conference() -> None:
    scene = Scene()
    room = {"conference": "3001", "instance": "m"}
    for member, uuid in enumerate("ab", 1):
        scene.arrives(uuid)
        scene.tell(facts.ConferenceJoined, uuid, member=str(member), **room)
    heir = handed_over(scene)
    assert [one.leg for one in heir.conferences["m"].members] == ["a", "b"]
    left = scene.make(facts.ConferenceLeft, "a", member="1", **room)
    assert types(heir.advance(left)) == ["conference.left"]


def test_a_leg_is_in_one_call_whatever_the_store_says() -> None:
    scene = talking()
    (call,) = scene.board.calls.values()
    double = msgspec.structs.replace(call, id="call_other", created_us=call.created_us + 1)
    heir = Switchboard("pbx-1", "tnt_main")
    heir.restore([call, double])
    assert list(heir.calls) == [call.id]
    heir.reconcile([], at_us=scene.at, since_us=scene.at)
    assert heir.calls == {}


def test_a_leg_that_is_described_catches_up_with_its_bridge() -> None:
    scene = Scene()
    changes = scene.tell(facts.LegDescribed, "a", answered_us=START, bridged_to="b")
    assert types(changes) == ["call.created", "call.answered", "call.bridged"]
    changes = scene.tell(facts.LegDescribed, "b", direction="outbound", answered_us=START, bridged_to="a")
    assert scene.call("a") is scene.call("b")
    assert scene.leg("b").bridged_to == "a"


def test_a_leg_that_is_described_as_waiting_is_parked() -> None:
    scene = Scene()
    changes = scene.tell(facts.LegDescribed, "a", parked=True)
    assert types(changes) == ["call.created", "call.parked"]


def test_a_look_at_a_leg_changes_nothing_that_was_told_of_later() -> None:
    scene = talking()
    look = scene.make(facts.LegDescribed, "a", bridged_to="b")
    scene.unbridges("a", "b")
    assert scene.board.advance(look) == []
    assert not scene.leg("a").bridged_to


def test_a_look_shows_a_bridge_that_began_unheard() -> None:
    scene = talking()
    scene.unbridges("a", "b")
    assert types(scene.tell(facts.LegDescribed, "a", bridged_to="b")) == ["call.bridged"]
    assert scene.leg("b").bridged_to == "a"


def test_a_look_shows_a_bridge_that_ended_unheard_but_not_one_that_has_just_begun() -> None:
    scene = talking()
    assert scene.tell(facts.LegDescribed, "a") == []
    scene.at += SETTLED_US
    assert types(scene.tell(facts.LegDescribed, "a")) == ["call.unbridged"]
    assert not scene.leg("b").bridged_to


def test_a_look_shows_who_left_a_meeting_unheard() -> None:
    scene = Scene()
    scene.arrives("a")
    scene.tell(facts.ConferenceJoined, "a", conference="3001", instance="m", member="1")
    look = scene.make(facts.LegDescribed, "a", conference="3001", instance="3001", member="1")
    assert scene.board.advance(look) == []
    assert types(scene.tell(facts.LegDescribed, "a")) == ["conference.left", "conference.ended"]


def test_a_look_shows_a_hold_and_its_end() -> None:
    scene = talking()
    assert types(scene.tell(facts.LegDescribed, "a", bridged_to="b", held=True)) == ["call.held"]
    assert scene.tell(facts.LegDescribed, "a", bridged_to="b") == []
    assert types(scene.tell(facts.LegDescribed, "a", bridged_to="b", held=False)) == ["call.resumed"]


def test_members_who_are_described_are_the_members_of_the_meeting_that_is_told_of_later() -> None:
    scene = Scene()
    scene.tell(facts.LegDescribed, "a", conference="3001", instance="3001", member="1")
    scene.arrives("b")
    scene.tell(facts.ConferenceJoined, "b", conference="3001", instance="m", member="2")
    assert scene.call("a") is scene.call("b")
    assert list(scene.board.conferences) == ["m"]
    changes = scene.tell(facts.ConferenceLeft, "a", conference="3001", instance="m", member="1")
    assert types(changes) == ["conference.left"]
    changes = scene.tell(facts.ConferenceLeft, "b", conference="3001", instance="m", member="2")
    assert types(changes) == ["conference.left", "conference.ended"]


def test_what_waits_for_its_variables_is_met_at_the_end_of_a_recording() -> None:
    scene = Scene()
    scene.tell(facts.LegSeen, "a", detailed=False, answered_us=START)
    assert types(scene.board.settle(scene.at)) == ["call.created", "call.answered"]


def test_a_leg_whose_hangup_was_all_that_came_is_ended_when_no_more_will() -> None:
    scene = Scene()
    scene.arrives("a")
    scene.answers("a")
    answered = scene.leg("a").answered_us
    scene.tell(facts.LegHungUp, "a", hangup_cause="NORMAL_CLEARING")
    changes = scene.board.settle(scene.at)
    assert types(changes) == ["call.ended"]
    (leg,) = changes[0].call.legs
    assert (leg.inferred, leg.hangup_cause) == (True, "NORMAL_CLEARING")
    assert leg.billsec == scene.at // SECOND - answered // SECOND
