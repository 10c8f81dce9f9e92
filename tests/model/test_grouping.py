"""Which legs are one call."""

from core.model import facts
from tests.model.scenes import SECOND, START, Scene, talking, types


def test_a_leg_that_was_dialled_for_a_caller_is_in_his_call() -> None:
    scene = Scene()
    scene.arrives("a", caller="+4930123", destination="100")
    assert types(scene.is_dialled("b", by="a")) == ["call.leg_added"]
    assert scene.call("a") is scene.call("b")
    assert (scene.call("a").direction, scene.call("a").caller) == ("inbound", "+4930123")


def test_a_call_goes_on_until_its_last_leg_has_ended() -> None:
    scene = talking()
    assert types(scene.hangs_up("b")) == ["call.leg_ended"]
    assert scene.call("a").state == "answered"
    assert scene.leg("a").bridged_to == ""
    assert types(scene.hangs_up("a")) == ["call.ended"]
    assert [leg.uuid for leg in scene.last.call.legs] == ["a", "b"]


def test_two_legs_that_hang_up_together_are_not_told_as_parted() -> None:
    scene = talking()
    scene.tell(facts.LegHungUp, "a", hangup_cause="NORMAL_CLEARING")
    assert scene.unbridges("a", "b") == []
    assert scene.leg("b").bridged_to == ""


def test_two_legs_that_part_and_live_on_are_told() -> None:
    scene = talking()
    changes = scene.unbridges("a", "b")
    assert types(changes) == ["call.unbridged"]
    assert changes[0].data == {"leg": "a", "other_leg": "b"}
    assert scene.call("a").state == "answered"


def test_an_unbridge_that_does_not_name_the_pair_parts_the_leg_it_came_for() -> None:
    scene = talking()
    assert types(scene.tell(facts.LegUnbridged, "a")) == ["call.unbridged"]
    assert scene.leg("b").bridged_to == ""


def test_a_bridge_is_told_once_for_the_pair() -> None:
    scene = talking()
    assert types(scene.changes)[-1] == "call.bridged"
    assert scene.bridges("a", "b") == []
    assert scene.leg("a").bridged_to == "b"
    assert scene.leg("b").bridged_to == "a"


def test_bridging_two_calls_makes_them_one_and_the_older_lives_on() -> None:
    scene = Scene()
    scene.arrives("a")
    elder = scene.call("a").id
    scene.is_dialled("b")
    younger = scene.call("b").id
    scene.answers("b")
    changes = scene.bridges("b", "a")
    assert types(changes) == ["call.merged", "call.leg_added", "call.bridged"]
    merged, added, _ = changes
    assert (merged.call.id, merged.call.state, merged.call.merged_into) == (younger, "ended", elder)
    assert merged.call.legs == ()
    assert (added.call.id, added.data) == (elder, {"leg": "b", "from_call": younger})
    assert list(scene.board.calls) == [elder]
    assert scene.call("a").answered_us == scene.leg("b").answered_us


def test_a_consultation_joins_the_call_it_was_about() -> None:
    scene = talking("customer", "agent")
    scene.is_dialled("agent2")
    scene.is_dialled("expert", by="agent2")
    scene.bridges("agent2", "expert")
    assert len(scene.board.calls) == 2
    scene.hangs_up("agent", "ATTENDED_TRANSFER")
    scene.bridges("customer", "expert")
    assert len(scene.board.calls) == 1
    assert [leg.uuid for leg in scene.call("customer").legs] == ["customer", "agent", "agent2", "expert"]
    assert scene.leg("customer").bridged_to == "expert"
    assert scene.leg("agent2").bridged_to == ""


def test_a_leg_that_is_bridged_to_another_leaves_the_one_before() -> None:
    scene = talking()
    scene.is_dialled("c", by="a")
    changes = scene.bridges("a", "c")
    assert types(changes) == ["call.unbridged", "call.bridged"]
    assert scene.leg("b").bridged_to == ""
    assert scene.unbridges("a", "b") == [], "the switch's own word comes late"
    assert scene.leg("a").bridged_to == "c"


def test_calls_never_merge_across_tenants() -> None:
    scene = Scene()
    scene.arrives("a", tenant="tnt_one")
    scene.arrives("b", tenant="tnt_two")
    changes = scene.bridges("a", "b")
    assert types(changes) == ["call.bridged", "call.bridged"]
    assert len(scene.board.calls) == 2
    assert scene.board.surprises["cross_tenant"] >= 1
    scene.hangs_up("a")
    assert scene.leg("b").bridged_to == ""
    scene.hangs_up("b")
    assert scene.board.calls == {}


def test_a_leg_of_another_tenant_does_not_join_the_call_it_names() -> None:
    scene = Scene()
    scene.arrives("a", tenant="tnt_one")
    scene.is_dialled("b", by="a", tenant="tnt_two")
    assert scene.call("a") is not scene.call("b")
    assert scene.call("b").tenant_id == "tnt_two"


def test_a_leg_without_a_tenant_has_that_of_its_call_and_else_the_switchs() -> None:
    scene = Scene(tenant="tnt_default")
    scene.arrives("a", tenant="tnt_one")
    scene.is_dialled("b", by="a")
    scene.arrives("c")
    assert scene.call("b").tenant_id == "tnt_one"
    assert scene.call("c").tenant_id == "tnt_default"


def test_an_event_without_variables_begins_no_call() -> None:
    """It does not say whose call it would be."""
    scene = Scene()
    assert scene.tell(facts.LegSeen, "a", detailed=False) == []
    assert scene.tell(facts.DigitPressed, "a", detailed=False) == []
    assert scene.board.calls == {}
    changes = scene.tell(facts.LegAnswered, "a", detailed=True, tenant="tnt_one", answered_us=scene.at)
    assert types(changes) == ["call.created", "call.answered", "call.dtmf"]
    assert scene.leg("a").digits == 1
    assert scene.call("a").tenant_id == "tnt_one"


def test_a_leg_that_was_made_for_a_call_is_in_it() -> None:
    """A supervisor's ear, a consultation: the switch sees no connection, the order did."""
    scene = Scene()
    scene.arrives("a")
    scene.is_dialled("ear", join=scene.call("a").id)
    assert scene.call("ear") is scene.call("a")


def test_an_order_cannot_join_a_leg_to_another_tenants_call() -> None:
    scene = Scene()
    scene.arrives("a", tenant="tnt_one")
    scene.is_dialled("ear", join=scene.call("a").id, tenant="tnt_two")
    assert scene.call("ear") is not scene.call("a")


def test_the_request_that_placed_a_call_is_on_it() -> None:
    scene = Scene()
    scene.is_dialled("a", request_id="req_1")
    assert scene.call("a").request_id == "req_1"


def test_a_called_leg_that_was_met_first_does_not_turn_the_call_around() -> None:
    scene = Scene()
    scene.tell(facts.LegSeen, "b", direction="outbound", other_leg="a", created_us=START + SECOND, caller="x")
    scene.tell(facts.LegSeen, "a", created_us=START, caller="+4930123", destination="100")
    call = scene.call("a")
    assert call is scene.call("b")
    assert (call.direction, call.caller, call.destination) == ("inbound", "+4930123", "100")
    assert [leg.uuid for leg in call.legs] == ["a", "b"]


def test_a_bridge_to_a_leg_that_was_not_met_yet_holds_when_it_is() -> None:
    scene = Scene()
    scene.arrives("a")
    scene.bridges("a", "b")
    scene.tell(facts.LegSeen, "b", direction="outbound")
    assert scene.call("b") is scene.call("a")
    assert scene.leg("b").bridged_to == "a"


def test_the_halves_of_a_loopback_are_one_call_with_the_outbound_half_first() -> None:
    scene = Scene()
    scene.tell(facts.LegCreated, "l-a", direction="outbound", loopback="l-b", created_us=START)
    scene.tell(facts.LegCreated, "l-b", loopback="l-a", created_us=START)
    call = scene.call("l-a")
    assert call is scene.call("l-b")
    assert call.direction == "outbound"


def test_a_loopback_pair_joins_both_ends_and_steps_aside() -> None:
    scene = Scene()
    scene.arrives("caller")
    scene.is_dialled("l-a", by="caller", loopback="l-b")
    scene.tell(facts.LegCreated, "l-b", loopback="l-a")
    scene.is_dialled("far", by="l-b")
    assert len(scene.board.calls) == 1
    scene.bridges("caller", "l-a")
    scene.bridges("l-b", "far")
    scene.hangs_up("l-a", "NORMAL_UNSPECIFIED")
    scene.hangs_up("l-b", "NORMAL_UNSPECIFIED")
    scene.bridges("caller", "far")
    assert scene.call("caller").state == "bridged"
    assert [leg.state for leg in scene.call("caller").legs] == ["new", "ended", "ended", "new"]


def test_who_takes_a_loopbacks_place_is_in_its_call() -> None:
    scene = Scene()
    scene.is_dialled("l-a", loopback="l-b")
    scene.tell(facts.LegCreated, "l-b", loopback="l-a")
    scene.is_dialled("other")
    scene.tell(facts.LegReplaced, leaves="l-b", peer="l-a", stays="other")
    assert scene.call("other") is scene.call("l-a")


def test_a_far_half_that_comes_first_finds_the_call_through_the_near_halfs_first_event() -> None:
    scene = Scene()
    scene.arrives("caller")
    scene.tell(facts.LegSeen, "l-a", direction="outbound", other_leg="caller", detailed=False)
    changes = scene.tell(facts.LegCreated, "l-b", loopback="l-a")
    assert types(changes) == ["call.leg_added"]
    assert scene.call("l-b") is scene.call("caller")


def test_a_new_other_leg_proves_a_bridge_that_was_not_told() -> None:
    scene = Scene()
    scene.arrives("a")
    scene.arrives("b")
    scene.tell(facts.LegSeen, "a", other_leg="b")
    assert scene.call("a") is scene.call("b")


def test_a_calls_cause_is_that_of_the_leg_that_ended_last() -> None:
    scene = talking()
    scene.hangs_up("b", "ATTENDED_TRANSFER")
    scene.hangs_up("a", "NORMAL_CLEARING")
    assert scene.last.call.hangup_cause == "NORMAL_CLEARING"


def test_a_bridge_without_a_pair_is_a_surprise() -> None:
    scene = Scene()
    scene.arrives("a")
    assert scene.tell(facts.LegBridged, "a") == []
    assert scene.board.surprises["bridge_without_pair"] == 1
