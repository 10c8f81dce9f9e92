"""One agent's session, sentence by sentence."""

from typing import Any

from msgspec.structs import replace

from core.model.records import Recording
from core.model.signaling import AgentSeen, Reserved
from core.model.signaling_spine import Came, Give, Keep
from core.model.signaling_states import KEPT_EVENTS
from core.model.signaling_views import view
from tests.signaling.world import BEN, ME, SDP, World, customer, with_agent


def a_page(**given: Any) -> World:
    world = World(**given)
    world.connect()
    return world


def shown(world: World, number: int = 1, **more: Any) -> Reserved:
    """An offer that the page shows."""
    made = world.offer(number, **more)
    world.deliver()
    world.ask("probed", probe=made.id)
    return made


def talking(world: World) -> str:
    """The agent talks to a customer; the agent's leg."""
    offer = shown(world)
    request = world.ask("accept", offer=offer.id, sdp=SDP)
    world.settle()
    leg = str(world.answers(request)[0]["leg"])
    call = with_agent(customer("call_1", "cust1"), leg)
    world.take(world.session.call_entry("call.bridged", call, {}, world.now))
    return leg


def given(world: World, action: str) -> list[Give]:
    return [one for one in world.given if isinstance(one, Give) and one.action == action]


def kept(world: World, do: str) -> list[Keep]:
    return [one for one in world.given if isinstance(one, Keep) and one.do == do]


def test_an_offer_is_shown_when_the_page_has_answered_and_not_before() -> None:
    world = a_page()
    offer = world.offer()
    world.deliver()
    assert world.events("probe") and not world.events("offer")
    world.pass_(1.4)
    world.ask("probed", probe=offer.id)
    (event,) = world.events("offer")
    assert event["offer"]["queue"] == {"id": "que_1", "name": "Sales"}
    world.pass_(5)
    assert not kept(world, "decline")


def test_a_page_that_is_silent_for_a_second_and_a_half_is_declined_for() -> None:
    world = a_page()
    world.offer()
    world.deliver()
    world.pass_(1.6)
    (declined,) = kept(world, "decline")
    assert declined.args == {"offer": "rsv_1", "reason": "no_answer_from_page"}
    world.settle()
    assert not world.events("offer") and not world.events("offer_ended"), "the page never knew of it"
    late = world.ask("probed", probe="rsv_1")
    assert world.answers(late)[0]["code"] == "no_such_probe"


def test_a_page_that_comes_back_in_time_is_asked_again() -> None:
    world = a_page()
    world.lose()
    world.offer()
    world.deliver()
    world.connect(resume=True)
    assert [one["type"] for one in world.frames[1:]] == ["probe", "agent"]
    world.ask("probed", probe="rsv_1")
    assert world.events("offer")


def test_an_accepted_call_is_one_order_with_the_browsers_offer() -> None:
    world = a_page()
    offer = shown(world)
    request = world.ask("accept", offer=offer.id, sdp=SDP)
    again = world.ask("accept", offer=offer.id, sdp=SDP)
    assert world.answers(again)[0]["code"] == "offer_gone"
    assert not given(world, "agent.call"), "first it must be ours"
    world.done("accept")
    (order,) = given(world, "agent.call")
    assert order.args == {
        "agent": "agt_me",
        "sdp": SDP,
        "leg": "leg-1",
        "join": "cust1",
        "to": "",
        "from": "",
    }
    assert (order.node, order.call_id) == ("node_1", "call_1")
    world.settle()
    assert world.answers(request)[0] == {
        "re": request,
        "ok": True,
        "call_id": "call_1",
        "leg": "leg-1",
        "sdp": "v=0 answer",
    }
    assert kept(world, "connected")[0].args == {"offer": "rsv_1", "leg": "leg-1"}


def test_a_callback_is_dialled_when_it_is_accepted() -> None:
    world = a_page()
    offer = shown(world, call_id="", leg="", dial="+4930333")
    world.ask("accept", offer=offer.id, sdp=SDP)
    world.settle()
    (order,) = given(world, "agent.call")
    assert (order.args["to"], order.args["join"]) == ("+4930333", "")


def test_a_conversation_needs_no_telephone() -> None:
    world = a_page()
    offer = shown(world, kind="conversation")
    request = world.ask("accept", offer=offer.id)
    world.settle()
    assert world.answers(request)[0]["conversation_id"] == "conv_1"
    assert not given(world, "agent.call")
    call = shown(world, 2)
    assert world.answers(world.ask("accept", offer=call.id))[0]["code"] == "invalid_sdp"


def test_a_leg_that_comes_too_late_is_ended() -> None:
    world = a_page()
    offer = shown(world)
    request = world.ask("accept", offer=offer.id, sdp=SDP)
    world.done("accept")
    world.pass_(35)
    assert world.answers(request)[0]["code"] == "outcome_unknown"
    world.done("agent.call", call_id="call_1", leg="leg-1", sdp="v=0", node="node_1")
    (end,) = given(world, "call.hangup")
    assert (end.call_id, end.args["leg"]) == ("call_1", "leg-1")
    assert kept(world, "failed")


def test_a_leg_of_which_nobody_knew_is_ended_when_it_is_seen() -> None:
    world = a_page()
    request = world.ask("dial", to="+49 (30) 222", sdp=SDP)
    assert given(world, "agent.call")[0].args["to"] == "+4930222"
    world.refused("agent.call", "outcome_unknown")
    assert not world.answers(request)[0]["ok"]
    own = customer("call_9", "leg-1")
    own = replace(own, legs=(replace(own.legs[0], agent="agt_me"),))
    world.take(world.session.call_entry("call.created", own, {}, world.now))
    assert [(one.call_id, one.args["leg"]) for one in given(world, "call.hangup")] == [("call_9", "leg-1")]
    assert not world.events("call"), "the page was told that it failed"


def test_a_customer_who_hangs_up_ends_the_offer_for_the_page() -> None:
    world = a_page()
    offer = shown(world)
    world.move(offer.id, "withdrawn", reason="caller_left")
    world.deliver()
    assert world.events("offer_ended")[0]["reason"] == "caller_left"
    assert world.answers(world.ask("accept", offer=offer.id, sdp=SDP))[0]["code"] == "offer_gone"


def test_hold_is_for_the_other_one_and_mute_for_oneself() -> None:
    world = a_page()
    leg = talking(world)
    for kind, action, meant in (
        ("hold", "call.hold", "cust1"),
        ("mute", "call.mute", leg),
        ("hangup", "call.hangup", leg),
    ):
        request = world.ask(kind, call="call_1")
        assert given(world, action)[-1].args == {"leg": meant}
        world.settle()
        assert world.answers(request)[0]["ok"]
    world.ask("dtmf", call="call_1", keys="12#")
    assert given(world, "call.dtmf")[-1].args == {"leg": "cust1", "digits": "12#"}
    assert world.answers(world.ask("unhold", call="call_1"))[0]["code"] == "not_held"
    world.ask("conference", call="call_1")
    assert given(world, "conference.add")[-1].args == {"conference": "call_1"}
    world.ask("transfer", call="call_1", to="+4930222", kind="attended")
    assert given(world, "call.transfer_attended")[-1].args == {"leg": "cust1", "to": "+4930222"}


def test_what_is_not_the_agents_own_cannot_be_touched() -> None:
    world = a_page()
    world.take(
        world.session.call_entry("call.bridged", with_agent(customer(), "leg-x", "agt_ben"), {}, world.now)
    )
    for kind in (
        "hold",
        "unhold",
        "mute",
        "hangup",
        "conference",
        "transfer_complete",
        "transfer_cancel",
        "record_pause",
    ):
        assert world.answers(world.ask(kind, call="call_1"))[0]["code"] == "no_such_call"
    assert world.answers(world.ask("renew", leg="leg-x", sdp=SDP))[0]["code"] == "no_such_leg"
    assert world.answers(world.ask("quality", leg="leg-x"))[0]["code"] == "no_such_leg"
    assert not world.given and not world.events("call")


def test_every_recording_of_a_call_is_paused() -> None:
    world = a_page()
    leg = talking(world)
    call = world.session.calls.by_id["call_1"].call
    recordings = (Recording("cust1", "/r/rec_a.wav"), Recording("cust1", "/r/rec_b.wav"))
    call = replace(call, legs=(replace(call.legs[0], recordings=recordings), call.legs[1]), version=9)
    world.take(world.session.call_entry("call.recording_started", call, {}, world.now))
    assert world.events("call")[-1]["call"]["recording"] == "on"
    request = world.ask("record_pause", call="call_1")
    assert [one.args["recording"] for one in given(world, "call.record_pause")] == ["rec_a", "rec_b"]
    world.done("call.record_pause")
    assert not world.answers(request), "both must be"
    world.done("call.record_pause")
    assert world.answers(request)[0]["ok"]
    for name in ("rec_a", "rec_b"):
        world.take(world.session.call_entry("call.recording_paused", call, {"recording": name}, world.now))
    assert world.events("call")[-1]["call"]["recording"] == "paused"
    assert leg


def test_the_end_of_a_call_is_told_once_with_its_cause_and_how_it_was_heard() -> None:
    world = a_page()
    leg = talking(world)
    world.ask("quality", leg=leg, rtt_ms=40.5, jitter_ms=3, lost=2, received=998)
    call = world.session.calls.by_id["call_1"].call
    over = replace(
        call,
        legs=(call.legs[0], replace(call.legs[1], state="ended", hangup_cause="NORMAL_CLEARING")),
        version=9,
    )
    for _ in range(2):
        world.take(world.session.call_entry("call.leg_ended", over, {}, world.now))
    (event,) = world.events("call_ended")
    assert (event["call"], event["cause"]) == ("call_1", "NORMAL_CLEARING")
    (note,) = kept(world, "quality")
    assert note.args["quality"].lost == 2 and note.args["call_id"] == "call_1"


def test_an_older_document_does_not_bring_back_what_was() -> None:
    world = a_page()
    talking(world)
    call = world.session.calls.by_id["call_1"].call
    muted = replace(call, legs=(call.legs[0], replace(call.legs[1], muted=True)), version=7)
    world.take(world.session.call_entry("call.muted", muted, {}, world.now))
    world.take(world.session.call_entry("call.bridged", call, {}, world.now))
    assert world.events("call")[-1]["call"]["muted"] is True


def test_a_colleague_is_rung_and_what_they_decide_decides() -> None:
    for word, cause in (("declined", "CALL_REJECTED"), ("missed", "NO_ANSWER"), ("connected", "")):
        world = a_page()
        request = world.ask("dial", to="12", sdp=SDP)
        world.done("find", agent=BEN)
        world.done("agent.call", call_id="call_5", leg="leg-1", sdp="v=0", node="node_1")
        assert world.answers(request)[0]["ok"]
        (offer,) = kept(world, "offer_direct")
        assert (offer.args["agent"], offer.args["leg"], offer.args["caller"]) == ("agt_ben", "leg-1", "11")
        assert given(world, "call.play")[0].args["leg"] == "leg-1"
        world.done("offer_direct", reservation="rsv_b")
        decided = Reserved(id="rsv_b", agent_id="agt_ben", state=word, version=2)
        world.take(world.session.reservation_entry(word, decided, world.now))
        ended = [one.args for one in given(world, "call.hangup")]
        assert ended == ([{"leg": "leg-1", "cause": cause}] if cause else [])
        world.pass_(60)
        assert len(given(world, "call.hangup")) == len(ended)


def test_a_colleague_who_talks_already_is_busy_and_one_who_is_rung_is_seen_to_ring() -> None:
    world = a_page()
    world.ask("dial", to="12", sdp=SDP)
    world.done("find", agent=BEN)
    world.done("agent.call", call_id="call_5", leg="leg-1", sdp="v=0", node="node_1")
    own = customer("call_5", "leg-1")
    own = replace(own, legs=(replace(own.legs[0], agent="agt_me"),))
    world.take(world.session.call_entry("call.created", own, {}, world.now))
    seen = world.events("call")[-1]["call"]
    assert (seen["state"], seen["other"], seen["other_name"], seen["direction"]) == (
        "ringing",
        "12",
        "Ben",
        "outbound",
    )
    world.refused("offer_direct", "agent_busy")
    assert given(world, "call.hangup")[0].args["cause"] == "USER_BUSY"


def test_nobody_is_that_extension_so_it_is_a_number() -> None:
    world = a_page()
    world.ask("dial", to="112", sdp=SDP)
    world.done("find", agent=None)
    assert given(world, "agent.call")[0].args["to"] == "112"
    offline = replace(BEN, state="offline")
    request = world.ask("dial", to="12", sdp=SDP)
    world.done("find", agent=offline)
    assert world.answers(request)[0]["code"] == "agent_offline"
    request = world.ask("dial", to="11", sdp=SDP)
    world.done("find", agent=ME)
    assert world.answers(request)[0]["code"] == "that_is_you"
    assert world.answers(world.ask("dial", to="not a number", sdp=SDP))[0]["code"] == "invalid_number"


def test_a_customer_whom_a_colleague_does_not_take_comes_back() -> None:
    world = a_page()
    talking(world)
    request = world.ask("transfer", call="call_1", to="agt_ben", kind="blind")
    world.done("find", agent=BEN)
    assert given(world, "call.hold")[0].args == {"leg": "cust1"}
    world.done("call.hold")
    world.done("offer_direct", reservation="rsv_b")
    assert world.answers(request)[0]["ok"]
    assert world.events("call")[-1]["call"]["transfer"] == {"to": "12", "to_name": "Ben", "state": "ringing"}
    declined = Reserved(id="rsv_b", agent_id="agt_ben", state="declined", version=2)
    world.take(world.session.reservation_entry("declined", declined, world.now))
    assert given(world, "call.unhold")[0].args == {"leg": "cust1"}
    assert world.events("call")[-1]["call"]["transfer"] is None
    # Asked for again, and taken back before they have decided.
    world.settle()
    world.ask("transfer", call="call_1", to="agt_ben", kind="blind")
    world.done("find", agent=BEN)
    world.done("call.hold")
    world.done("offer_direct", reservation="rsv_c")
    assert world.answers(world.ask("transfer_cancel", call="call_1"))[0]["ok"]
    assert kept(world, "withdraw")[-1].args == {"offer": "rsv_c", "agent": "agt_ben"}
    assert len(given(world, "call.unhold")) == 2 and not given(world, "call.transfer_cancel")


def test_a_colleague_who_is_asked_first_talks_to_the_agent_while_the_customer_waits() -> None:
    world = a_page()
    talking(world)
    own = world.events("call")[-1]["call"]["leg"]
    request = world.ask("transfer", call="call_1", to="agt_ben", kind="attended")
    world.done("find", agent=BEN)
    assert given(world, "call.hold")[0].args == {"leg": "cust1"}
    world.done("call.hold")
    assert given(world, "call.play")[0].args["leg"] == own
    (offer,) = kept(world, "offer_direct")
    assert (offer.args["agent"], offer.args["leg"]) == ("agt_ben", own)
    world.done("offer_direct", reservation="rsv_b")
    assert world.answers(request)[0]["ok"]
    assert world.events("call")[-1]["call"]["transfer"] == {"to": "12", "to_name": "Ben", "state": "ringing"}
    # They do not want to: the customer is back.
    declined = Reserved(id="rsv_b", agent_id="agt_ben", state="declined", version=2)
    world.take(world.session.reservation_entry("declined", declined, world.now))
    assert given(world, "call.unhold")[0].args == {"leg": "cust1"}


def test_a_colleague_s_leg_beside_a_held_customer_is_one_who_is_asked() -> None:
    call = customer("call_1", "cust1")
    legs = [
        replace(call.legs[0], state="answered", held_since_us=5, other_leg="mine"),
        replace(call.legs[0], uuid="mine", state="answered", agent="agt_me", bridged_to="bens"),
        replace(call.legs[0], uuid="bens", state="answered", agent="agt_ben", bridged_to="mine"),
    ]
    call = replace(call, legs=tuple(legs))
    asking = view(call, legs[1])
    assert asking.state == "consulting"
    assert asking.transfer is not None and asking.transfer.to == "agt_ben"
    assert view(call, legs[2]).state == "talking"


def test_whoever_hangs_up_while_a_colleague_is_rung_is_offered_no_longer() -> None:
    world = a_page()
    world.ask("dial", to="12", sdp=SDP)
    world.done("find", agent=BEN)
    world.done("agent.call", call_id="call_5", leg="leg-1", sdp="v=0", node="node_1")
    world.done("offer_direct", reservation="rsv_b")
    own = customer("call_5", "leg-1")
    own = replace(own, legs=(replace(own.legs[0], agent="agt_me"),))
    world.take(world.session.call_entry("call.created", own, {}, world.now))
    over = replace(own, legs=(replace(own.legs[0], state="ended"),), version=2)
    world.take(world.session.call_entry("call.ended", over, {}, world.now))
    assert kept(world, "withdraw")[0].args["offer"] == "rsv_b"


def test_a_wrap_up_is_told_extended_and_done() -> None:
    world = a_page()
    offer = shown(world)
    world.ask("accept", offer=offer.id, sdp=SDP)
    world.settle()
    world.move(offer.id, "wrap_up", wrap_until_us=world.now.us + 30_000_000)
    world.deliver()
    assert world.events("wrap_up")[0]["offer"] == offer.id
    assert world.events("agent")[-1]["agent"]["activity"] == "wrap_up"
    request = world.ask("wrap_extend", offer=offer.id, seconds=30)
    world.done("extend", until="2026-11-23T09:00:00.000Z")
    assert world.answers(request)[0]["until"] == "2026-11-23T09:00:00.000Z"
    world.ask("wrap_up", offer=offer.id, disposition="sold", notes="")
    world.settle()
    assert world.events("offer_ended")[-1]["reason"] == "done"
    assert world.events("agent")[-1]["agent"]["activity"] == ""


def test_a_session_outlives_its_socket_for_a_minute() -> None:
    world = a_page()
    world.lose()
    world.pass_(59)
    assert not world.over
    assert world.connect(resume=True)["resumed"]
    world.lose()
    world.pass_(61)
    assert [one.offline for one in world.over] == [True]


def test_more_than_is_kept_cannot_be_resumed_and_the_lists_say_so() -> None:
    world = a_page()
    talking(world)
    world.lose()
    call = world.session.calls.by_id["call_1"].call
    for number in range(KEPT_EVENTS + 1):
        changed = replace(
            call, legs=(call.legs[0], replace(call.legs[1], muted=number % 2 == 0)), version=10 + number
        )
        world.take(world.session.call_entry("call.muted", changed, {}, world.now))
    hello = world.connect(resume=True)
    assert not hello["resumed"] and hello["n"] == world.session.n
    assert [one["id"] for one in hello["calls"]] == ["call_1"]


def test_a_repeated_request_is_answered_again_and_done_once() -> None:
    world = a_page()
    offer = shown(world)
    request = world.ask("accept", offer=offer.id, sdp=SDP)
    world.lose()
    world.settle()
    assert not world.answers(request)
    world.connect(resume=True)
    world.ask("accept", request=request, offer=offer.id, sdp=SDP)
    assert world.answers(request)[0]["leg"] == "leg-1"
    assert len(given(world, "agent.call")) == 1


def test_a_silent_socket_is_closed_and_one_that_pings_is_not() -> None:
    world = a_page()
    for _ in range(10):
        world.pass_(20)
        world.ask("ping")
    assert not world.shut
    world.pass_(51)
    assert world.shut and world.shut[0].code == 4409


def test_another_session_of_the_agent_ends_this_one() -> None:
    world = a_page()
    world.take(
        world.session.agent_entry(
            "agent.online", AgentSeen(id="agt_me", session="sgs_9", version=2), world.now
        )
    )
    (bye,) = world.events("bye")
    assert (bye["code"], bye["reconnect"]) == ("replaced", False)
    assert not world.over[0].offline
    # ... and an old entry does not.
    other = a_page()
    other.session.agent = replace(ME, version=5)
    other.take(
        other.session.agent_entry(
            "agent.online", AgentSeen(id="agt_me", session="sgs_0", version=4), other.now
        )
    )
    assert not other.over


def test_what_is_open_when_a_session_begins_is_in_its_lists() -> None:
    open_now = [
        Reserved(
            id="rsv_1",
            agent_id="agt_me",
            call_id="call_1",
            leg="cust1",
            expires_us=World().now.us + 9_000_000,
        ),
        Reserved(id="rsv_2", agent_id="agt_me", state="wrap_up", wrap_until_us=World().now.us),
    ]
    world = World(reserved=open_now, calls=[with_agent(customer("call_3", "cust3"), "leg-3")])
    hello = world.connect()
    assert [one["id"] for one in hello["offers"]] == ["rsv_1"]
    assert [one["offer"] for one in hello["wrap_ups"]] == ["rsv_2"]
    assert [(one["id"], one["state"]) for one in hello["calls"]] == [("call_3", "talking")]
    assert hello["agent"]["activity"] == "reserved"
    world.ask("renew", leg="leg-3", sdp=SDP)
    assert given(world, "agent.renew")[0].args == {"leg": "leg-3", "sdp": SDP, "agent": "agt_me"}


def test_too_many_requests_under_way_are_refused() -> None:
    world = a_page()
    requests = [world.ask("state", state="ready") for _ in range(33)]
    assert world.answers(requests[-1])[0]["code"] == "too_many"
    world.settle()
    assert all(len(world.answers(one)) == 1 for one in requests)
    assert world.answers(world.ask("state", state="asleep"))[0]["code"] == "bad_request"


def test_the_stores_refusal_is_told_and_a_store_that_is_away_loses_no_offer() -> None:
    world = a_page()
    offer = shown(world)
    request = world.ask("accept", offer=offer.id, sdp=SDP)
    world.refused("accept", "unavailable", retryable=True)
    assert world.answers(request)[0]["retryable"]
    request = world.ask("accept", offer=offer.id, sdp=SDP)
    world.settle()
    assert world.answers(request)[0]["ok"]
    assert Came(True).ok
