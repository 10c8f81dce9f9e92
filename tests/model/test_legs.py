"""The life of one leg, as a board tells it."""

from msgspec.structs import replace

from core.ids import derived_id
from core.model import facts
from tests.model.scenes import SECOND, START, Scene, talking, types


def test_a_caller_who_is_answered_and_hangs_up_is_told_in_three_changes() -> None:
    scene = Scene()
    scene.arrives("a", caller="+4930123", destination="100")
    scene.answers("a")
    scene.hangs_up("a")
    assert types(scene.changes) == ["call.created", "call.answered", "call.ended"]
    assert [change.call.version for change in scene.changes] == [1, 2, 3]
    assert [change.call.state for change in scene.changes] == ["new", "answered", "ended"]
    assert scene.board.calls == {}


def test_a_calls_id_comes_from_its_first_leg_alone() -> None:
    one, two = Scene(), Scene()
    for scene in (one, two):
        scene.arrives("a", created_us=START)
    assert one.last.call.id == two.last.call.id
    assert one.last.call.id == derived_id("call", at_us=START, source="pbx-1/a")


def test_ringing_is_told_once_however_often_the_switch_says_so() -> None:
    scene = Scene()
    scene.is_dialled("a")
    scene.rings("a")
    scene.rings("a")
    scene.tell(facts.LegProgressed, "a", progress_media_us=scene.at, media=True)
    assert types(scene.changes) == ["call.created", "call.ringing"]
    assert scene.leg("a").state == "early"


def test_the_switchs_summary_has_the_last_word() -> None:
    scene = Scene()
    scene.arrives("a", caller="+1", caller_name="Ann", destination="100", other_leg="x")
    scene.answers("a")
    scene.tell(facts.LegHungUp, "a", hangup_cause="NORMAL_CLEARING")
    scene.tell(
        facts.LegEnded,
        "a",
        caller="+2",
        caller_name="",
        destination="300",
        other_leg="",
        created_us=START + 5,
        answered_us=START + 7,
        hangup_us=START + 9,
        hangup_cause="USER_BUSY",
        billsec=42,
        duration=43,
        q850=17,
        sip_status=486,
        sip_disposition="send_refuse",
        disposition="ANSWER",
    )
    (leg,) = scene.last.call.legs
    assert (leg.caller, leg.caller_name, leg.destination, leg.other_leg) == ("+2", "", "300", "")
    assert (leg.created_us, leg.answered_us, leg.hangup_us) == (START + 5, START + 7, START + 9)
    assert (leg.billsec, leg.duration, leg.hangup_q850, leg.sip_status) == (42, 43, 17, 486)
    assert (leg.hangup_cause, leg.sip_disposition, leg.disposition) == ("USER_BUSY", "send_refuse", "ANSWER")
    assert scene.last.call.hangup_cause == "USER_BUSY"
    assert scene.last.call.ended_us == START + 9


def test_a_leg_that_is_hanging_up_is_not_over_before_its_summary() -> None:
    scene = Scene()
    scene.arrives("a")
    assert scene.tell(facts.LegHungUp, "a", hangup_cause="NORMAL_CLEARING") == []
    assert scene.call("a").live
    assert types(scene.tell(facts.LegEnded, "a", hangup_us=scene.at)) == ["call.ended"]


def test_destruction_ends_a_leg_whose_summary_was_lost() -> None:
    scene = Scene()
    scene.arrives("a")
    scene.answers("a")
    answered = scene.leg("a").answered_us
    changes = scene.tell(facts.LegDestroyed, "a", hangup_us=answered + 3 * SECOND, hangup_cause="USER_BUSY")
    assert types(changes) == ["call.ended"]
    (leg,) = changes[-1].call.legs
    assert leg.billsec == 3
    assert leg.hangup_cause == "USER_BUSY"
    assert scene.board.surprises["destroyed_before_its_summary"] == 1


def test_a_channel_that_was_refused_before_it_began_is_no_call() -> None:
    scene = Scene()
    assert scene.tell(facts.LegDestroyed, "a", created_us=0) == []
    assert scene.board.calls == {}


def test_an_answer_after_the_hangup_is_still_an_answer() -> None:
    scene = Scene()
    scene.arrives("a")
    scene.tell(facts.LegHungUp, "a", hangup_cause="NORMAL_CLEARING")
    assert types(scene.answers("a")) == ["call.answered"]


def test_an_answer_after_the_end_is_a_surprise_and_changes_nothing() -> None:
    scene = talking()
    scene.hangs_up("b")
    before = scene.call("a")
    assert scene.answers("b") == []
    assert scene.board.surprises["LegAnswered_after_the_end"] == 1
    assert scene.call("a").surprises == 1
    assert replace(scene.call("a"), surprises=0) == before


def test_late_facts_of_a_call_that_is_gone_begin_no_new_one() -> None:
    scene = talking()
    scene.hangs_up("b")
    scene.hangs_up("a")
    for fact in list(scene.facts):
        assert scene.give(fact) == []
    assert scene.board.calls == {}


def test_ringing_after_the_answer_is_a_surprise() -> None:
    scene = Scene()
    scene.arrives("a")
    scene.answers("a")
    assert scene.rings("a") == []
    assert scene.board.surprises["rang_while_answered"] == 1
    assert scene.leg("a").state == "answered"


def test_ringing_that_is_told_late_is_none() -> None:
    scene = Scene()
    scene.arrives("a")
    ringing = scene.make(facts.LegProgressed, "a")
    scene.answers("a")
    assert scene.give(ringing) == []
    assert not scene.board.surprises


def test_an_answer_that_was_lost_is_read_off_the_next_fact() -> None:
    scene = Scene()
    scene.arrives("a")
    changes = scene.tell(facts.LegSeen, "a", answered_us=scene.at)
    assert types(changes) == ["call.answered"]
    assert changes[0].call.answered_us == scene.leg("a").answered_us


def test_a_leg_met_in_mid_call_is_told_from_its_beginning() -> None:
    scene = Scene()
    changes = scene.tell(
        facts.LegHeld, "a", created_us=START, progress_us=START + 1, answered_us=START + 2, caller="+1"
    )
    assert types(changes) == ["call.created", "call.answered", "call.held"]
    assert scene.leg("a").created_us == START
    assert scene.call("a").answered_us == START + 2


def test_a_leg_met_by_its_end_has_a_record() -> None:
    scene = Scene()
    changes = scene.tell(
        facts.LegEnded, "a", created_us=START, answered_us=START + 1, hangup_us=START + 2, billsec=3
    )
    assert types(changes) == ["call.created", "call.answered", "call.ended"]
    assert changes[-1].call.legs[0].billsec == 3


def test_hold_is_added_up_over_every_time_it_was_held() -> None:
    scene = talking()
    assert types(scene.tell(facts.LegHeld, "a")) == ["call.held"]
    assert scene.call("a").state == "held"
    assert types(scene.tell(facts.LegResumed, "a")) == ["call.resumed"]
    scene.tell(facts.LegHeld, "a")
    scene.tell(facts.LegResumed, "a")
    assert scene.leg("a").hold_us == 2 * SECOND
    assert scene.call("a").state == "bridged"


def test_a_leg_that_ends_on_hold_was_held_until_then() -> None:
    scene = Scene()
    scene.arrives("a")
    scene.tell(facts.LegHeld, "a")
    held_since = scene.at
    scene.tell(facts.LegEnded, "a", hangup_us=held_since + 5 * SECOND)
    (leg,) = scene.last.call.legs
    assert leg.hold_us == 5 * SECOND
    assert leg.held_since_us == 0


def test_our_own_hold_and_mute_are_told_by_mark() -> None:
    scene = talking()
    assert types(scene.board.mark("a", at_us=scene.at, muted=True)) == ["call.muted"]
    assert scene.board.mark("a", at_us=scene.at, muted=True) == []
    assert types(scene.board.mark("a", at_us=scene.at, muted=False)) == ["call.unmuted"]
    assert types(scene.board.mark("b", at_us=scene.at, held=True)) == ["call.held"]
    assert scene.call("a").state == "held"
    assert types(scene.board.mark("b", at_us=scene.at + SECOND, held=False)) == ["call.resumed"]
    assert scene.leg("b").hold_us == SECOND
    assert scene.board.mark("nobody", at_us=scene.at, held=True) == []


def test_keys_are_counted_and_never_twice() -> None:
    scene = Scene()
    scene.arrives("a")
    first = scene.make(facts.DigitPressed, "a")
    second = scene.make(facts.DigitPressed, "a")
    told = [scene.give(fact) for fact in (first, first, second, first, second)]
    assert [types(changes) for changes in told] == [["call.dtmf"], [], ["call.dtmf"], [], []]
    assert scene.leg("a").digits == 2
    assert told[2][0].data == {"leg": "a", "digits": 2}


def test_parking_is_told_and_over_with_the_next_bridge() -> None:
    scene = Scene()
    scene.arrives("a")
    assert types(scene.tell(facts.LegParked, "a")) == ["call.parked"]
    assert scene.tell(facts.LegParked, "a") == []
    scene.is_dialled("b", by="a")
    scene.bridges("a", "b")
    assert not scene.leg("a").parked


def test_a_leg_can_be_parked_again() -> None:
    scene = Scene()
    scene.arrives("a")
    scene.tell(facts.LegParked, "a")
    scene.tell(facts.LegUnparked, "a")
    assert types(scene.tell(facts.LegParked, "a")) == ["call.parked"]


def test_an_older_fact_that_comes_late_undoes_nothing() -> None:
    scene = talking()
    older = scene.make(facts.LegHeld, "a")
    scene.tell(facts.LegHeld, "a")
    scene.tell(facts.LegResumed, "a")
    assert scene.give(older) == []
    assert scene.call("a").state == "bridged"


def test_playback_is_told_without_what_is_said() -> None:
    scene = Scene()
    scene.arrives("a")
    started = scene.tell(facts.PlaybackStarted, "a", path="/sounds/hello.wav")
    stopped = scene.tell(facts.PlaybackStopped, "a", path="")
    assert types(started + stopped) == ["call.playback_started", "call.playback_stopped"]
    assert started[0].data == {"leg": "a", "path": "/sounds/hello.wav"}


def test_a_transfer_is_told_once_with_its_target() -> None:
    scene = talking()
    fields = {"transfer": "0002-1-blind", "transfer_mode": "blind", "transfer_to": "300"}
    changes = scene.tell(facts.LegUnbridged, "a", a="a", b="b", **fields)
    assert types(changes) == ["call.transferred", "call.unbridged"]
    assert changes[0].data == {"leg": "a", "mode": "blind", "to": "300"}
    assert types(scene.tell(facts.LegSeen, "a", destination="300")) == []
    assert scene.leg("a").destination == "300"
    assert scene.call("a").destination == "100", "a call keeps the number that was dialled first"
    assert types(scene.tell(facts.LegSeen, "a", transfer="0003-2-blind")) == ["call.transferred"]


def test_the_switch_may_give_a_leg_another_id() -> None:
    scene = talking()
    scene.channels["n"] = replace(scene.channels["b"], uuid="n")
    assert scene.tell(facts.LegRenamed, "n", old="b") == []
    assert scene.board.leg_of("b") == scene.leg("n")
    assert scene.leg("a").bridged_to == "n"
    assert scene.call("a") is scene.call("n")
    # What comes under the old name, because it was under way, is about the same leg.
    assert types(scene.tell(facts.LegHeld, "b")) == ["call.held"]
    scene.tell(facts.LegResumed, "n")
    scene.hangs_up("n")
    scene.hangs_up("a")
    assert scene.last.type == "call.ended"
    assert [leg.uuid for leg in scene.last.call.legs] == ["a", "n"]
    assert scene.give(scene.facts[1]) == [], "the old name begins nothing new"


def test_facts_under_the_new_id_that_came_first_are_about_the_same_leg() -> None:
    scene = Scene()
    scene.arrives("old", created_us=START)
    scene.tell(facts.DigitPressed, "new", created_us=START + SECOND)
    assert len(scene.board.calls) == 2
    scene.tell(facts.LegRenamed, "new", old="old")
    (call,) = scene.board.calls.values()
    (leg,) = call.legs
    assert (leg.uuid, leg.digits) == ("new", 1)
    assert scene.board.surprises["renamed_late"] == 1


def test_an_id_that_is_used_again_is_another_leg_and_another_call() -> None:
    scene = Scene()
    scene.arrives("a")
    first = scene.call("a").id
    scene.hangs_up("a")
    del scene.channels["a"]
    assert types(scene.arrives("a")) == ["call.created"]
    assert scene.call("a").id != first
