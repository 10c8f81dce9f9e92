"""Calls: who may come in, what originate answers, how legs are joined and parted, what lies in HANGUP_COMPLETE."""

import pytest

from freeswitch.simulator import SimulatorSettings
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.scripts import Caller, Digits, Person, fixed
from tests.simulator.bench import Bench, Peer
from tests.simulator.frames import Pairs, get


def _names(events: list[Pairs], uuid: str = "") -> list[str]:
    return [get(one, "Event-Name") for one in events if uuid in ("", get(one, "Unique-ID"))]


def _one(events: list[Pairs], name: str, uuid: str = "") -> Pairs:
    return next(
        one for one in events if get(one, "Event-Name") == name and uuid in ("", get(one, "Unique-ID"))
    )


def _answered(bench: Bench) -> Channel:
    channel = bench.call(Caller(destination="9001", context="default"))
    bench.run(0.5)
    return channel


def _out(bench: Bench, peer: Peer, uuid: str) -> None:
    answer = peer.api(f"originate {{origination_uuid={uuid}}}sofia/internal/{uuid}@198.51.100.9:5060 &park()")
    assert answer == f"+OK {uuid}\n"


def test_seconds_are_differences_of_whole_seconds_and_come_only_at_the_end() -> None:
    bench = Bench()
    peer = bench.connect(subscribe="plain ALL")
    bench.call(Caller(destination="9196", context="default"), Person(talk=fixed(2.5)))
    bench.run(6)
    events = peer.events()
    end = _one(events, "CHANNEL_HANGUP_COMPLETE")
    answered, ended = (int(get(end, f"variable_{name}_uepoch")) for name in ("answer", "end"))
    assert int(get(end, "variable_billsec")) == ended // 1_000_000 - answered // 1_000_000
    assert int(get(end, "variable_billmsec")) == ended // 1000 - answered // 1000
    assert 2_480_000 < ended - answered < 2_560_000
    carriers = {get(one, "Event-Name") for one in events if get(one, "variable_billsec")}
    assert carriers == {"CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY"}


@pytest.mark.parametrize(
    ("dial", "answer"),
    [
        ("sofia/internal/busy@198.51.100.9:5060", "-ERR USER_BUSY\n"),
        ("sofia/internal/absent@198.51.100.9:5060", "-ERR UNALLOCATED_NUMBER\n"),
        ("{originate_timeout=2}sofia/internal/noanswer@198.51.100.9:5060", "-ERR NO_ANSWER\n"),
        ("sofia/internal/nobody@198.51.100.9:1", "-ERR NORMAL_TEMPORARY_FAILURE\n"),
        ("sofia/gateway/none/1", "-ERR INVALID_GATEWAY\n"),
        ("user/1001", "-ERR USER_NOT_REGISTERED\n"),
        ("user/9999", "-ERR SUBSCRIBER_ABSENT\n"),
        ("error/CALL_REJECTED", "-ERR CALL_REJECTED\n"),
    ],
)
def test_originate_answers_the_cause(dial: str, answer: str) -> None:
    bench = Bench()
    assert bench.connect().api(f"originate {dial} &park()") == answer
    bench.run(1)
    assert bench.switch.channels == {}


def test_a_uuid_in_use_is_refused() -> None:
    bench = Bench()
    peer = bench.connect()
    _out(bench, peer, "one")
    again = peer.api("originate {origination_uuid=one}sofia/internal/x@198.51.100.9:5060 &park()")
    assert again == "-ERR DESTINATION_OUT_OF_ORDER\n"
    assert list(bench.switch.channels) == ["one"]


def test_the_fastest_of_several_wins_and_the_others_lose_the_race() -> None:
    bench = Bench()
    peer = bench.connect(subscribe="plain CHANNEL_HANGUP_COMPLETE")
    legs = "[origination_uuid=slow]sofia/internal/noanswer@198.51.100.9:5060,[origination_uuid=fast]sofia/internal/x@198.51.100.9:5060"
    assert peer.api(f"originate {{ignore_early_media=true}}{legs} &park()") == "+OK fast\n"
    bench.run(1)
    assert get(_one(peer.events(), "CHANNEL_HANGUP_COMPLETE", "slow"), "Hangup-Cause") == "LOSE_RACE"


def test_too_many_sessions_a_second_too_many_at_once_and_a_paused_switch_refuse() -> None:
    bench = Bench(SimulatorSettings(port=0, seed=1, sps=3, max_sessions=5))
    peer = bench.connect()

    def call() -> str:
        return peer.api("sim call to=9001 context=default profile=internal")[:4]

    bench.run_until(1010.0)
    first = [call() for _ in range(4)]
    bench.run_until(1012.0)
    then = [call() for _ in range(3)]
    assert (first, then) == (["+OK ", "+OK ", "+OK ", "-ERR"], ["+OK ", "+OK ", "-ERR"])
    bench.run_until(1020.0)
    peer.api("fsctl max_sessions 100")
    peer.api("fsctl pause inbound")
    assert call() == "-ERR"
    peer.api("fsctl resume")
    assert call() == "+OK "


def test_uuid_bridge_joins_two_legs_and_parks_who_wants_it_afterwards() -> None:
    bench = Bench()
    peer = bench.connect(subscribe="plain ALL")
    caller = _answered(bench)
    _out(bench, peer, "agent")
    peer.api(f"uuid_setvar {caller.uuid} park_after_bridge true")
    assert peer.api(f"uuid_bridge {caller.uuid} agent") == "+OK agent\n"
    bench.run(1)
    joined = _one(peer.events(), "CHANNEL_BRIDGE")
    assert (get(joined, "Bridge-A-Unique-ID"), get(joined, "Bridge-B-Unique-ID")) == (caller.uuid, "agent")
    peer.api("uuid_kill agent USER_BUSY")
    bench.run(1)
    events = peer.events()
    assert _names(events, caller.uuid)[-1] == "CHANNEL_PARK"
    assert get(_one(events, "CHANNEL_HANGUP_COMPLETE", "agent"), "Hangup-Cause") == "USER_BUSY"
    assert not caller.down


def test_an_unanswered_caller_cannot_be_bridged_by_uuid_and_is_lost() -> None:
    bench = Bench()
    peer = bench.connect(subscribe="plain CHANNEL_HANGUP_COMPLETE")
    caller = bench.call(Caller(destination="4711"))
    bench.run(0.5)
    _out(bench, peer, "agent")
    assert peer.api(f"uuid_bridge {caller.uuid} agent") == "+OK agent\n"
    bench.run(2)
    causes = {get(one, "Unique-ID"): get(one, "Hangup-Cause") for one in peer.events()}
    assert causes == {caller.uuid: "DESTINATION_OUT_OF_ORDER", "agent": "ORIGINATOR_CANCEL"}


def test_hold_says_success_whatever_happens() -> None:
    bench = Bench()
    peer = bench.connect(subscribe="plain CHANNEL_HOLD CHANNEL_UNHOLD")
    caller = _answered(bench)
    for command in (caller.uuid, "nobody", f"off {caller.uuid}", "off nobody"):
        assert peer.api(f"uuid_hold {command}") == "+OK Success\n"
    bench.run(0.5)
    assert _names(peer.events()) == ["CHANNEL_HOLD", "CHANNEL_UNHOLD"]


def test_a_call_nobody_claims_goes_back_to_the_carrier() -> None:
    bench = Bench()
    peer = bench.connect(subscribe="plain CHANNEL_HANGUP_COMPLETE")
    left, taken = (bench.call(Caller(destination="4711")) for _ in range(2))
    bench.run(10)
    assert peer.api(f"uuid_answer {taken.uuid}") == "+OK\n"
    bench.run(15)
    (lost,) = peer.events()
    assert (get(lost, "Unique-ID"), get(lost, "Hangup-Cause")) == (left.uuid, "NORMAL_TEMPORARY_FAILURE")
    assert not taken.down


def test_without_a_sign_of_life_the_guarded_dialplan_refuses_at_once() -> None:
    bench = Bench()
    peer = bench.connect(subscribe="plain CHANNEL_HANGUP_COMPLETE")
    bench.call(Caller(destination="4711", context="carrier-guarded"))
    bench.run(0.5)
    assert get(peer.events()[0], "variable_irisx_fallback") == "true"
    peer.api("global_setvar irisx_controller=here-1")
    # What the dead controller left behind acts only on its own sign.
    assert peer.api("global_setvar irisx_controller=gone=here-0") == "+OK"
    taken = bench.call(Caller(destination="4711", context="carrier-guarded"))
    bench.run(0.5)
    assert taken.parked


def test_callers_press_keys_and_give_up() -> None:
    bench = Bench()
    peer = bench.connect(subscribe="plain DTMF CHANNEL_HANGUP")
    bench.call(
        Caller(destination="9001", context="default"), Person(talk=fixed(3), digits=(Digits(1, "42#"),))
    )
    bench.call(Caller(destination="4711"), Person(patience=fixed(2)))
    bench.run(5)
    events = peer.events()
    assert "".join(get(one, "DTMF-Digit") for one in events) == "42#"
    assert [get(one, "Hangup-Cause") for one in events if get(one, "Event-Name") == "CHANNEL_HANGUP"] == [
        "ORIGINATOR_CANCEL", "NORMAL_CLEARING",
    ]  # fmt: skip


def test_an_inline_transfer_keeps_the_number_that_was_called() -> None:
    bench = Bench()
    peer = bench.connect(subscribe="plain CHANNEL_PARK")
    caller = _answered(bench)
    peer.events()
    peer.api(f"uuid_transfer {caller.uuid} set:a=1,park: inline")
    bench.run(0.5)
    (parked,) = peer.events()
    assert (get(parked, "Caller-Destination-Number"), get(parked, "variable_a")) == ("9001", "1")


def test_a_broadcast_announces_itself_with_two_event_names() -> None:
    bench = Bench()
    peer = bench.connect(subscribe="plain PRIVATE_COMMAND")
    caller = _answered(bench)
    peer.api(f"uuid_broadcast {caller.uuid} tone_stream://%(100,0,440)")
    bench.run(1)
    (told,) = peer.events()
    assert [value for name, value in told if name == "Event-Name"] == ["COMMAND", "PRIVATE_COMMAND"]


def test_thousands_of_live_calls_cost_no_timers() -> None:
    bench = Bench(SimulatorSettings(port=0, seed=1, sps=10_000, max_sessions=10_000))
    for _ in range(2000):
        bench.call(Caller(destination="9001", context="default"))
    bench.run(2)
    assert len(bench.switch.channels) == 2000
    assert len(bench.switch.threads) < 50


def _bridged(bench: Bench, peer: Peer) -> tuple[Channel, Channel]:
    one, two = _answered(bench), _answered(bench)
    peer.api(f"uuid_bridge {one.uuid} {two.uuid}")
    bench.run(0.3)
    assert one.partner is two
    return one, two


def test_a_leg_that_is_told_to_park_where_it_is_parked_sleeps_until_it_is_bridged() -> None:
    bench = Bench()
    peer = bench.connect(
        subscribe="plain CHANNEL_PARK CHANNEL_UNPARK CHANNEL_HANGUP CHANNEL_BRIDGE PLAYBACK_START"
    )
    one, two = _bridged(bench, peer)
    for leg in (one, two):
        peer.api(f"uuid_setvar {leg.uuid} park_after_bridge true")
    peer.api(f"uuid_park {one.uuid}")
    bench.run(0.3)
    peer.events()
    assert peer.api(f"uuid_park {one.uuid}") == "+OK\n"
    bench.run(0.3)
    assert _names(peer.events()) == ["CHANNEL_UNPARK"]
    peer.api(f"uuid_broadcast {one.uuid} tone_stream://%(1000,0,440)")
    bench.run(0.3)
    assert peer.events() == []
    assert not one.down
    peer.api(f"uuid_bridge {one.uuid} {two.uuid}")
    bench.run(0.3)
    assert "CHANNEL_BRIDGE" in _names(peer.events())


def test_a_command_reaches_no_leg_that_has_hung_up_although_it_is_still_there() -> None:
    bench = Bench()
    peer = bench.connect()
    leg = _answered(bench)
    assert peer.api(f"uuid_kill {leg.uuid}") == "+OK\n"
    assert peer.api(f"uuid_exists {leg.uuid}") == "true"
    for line in (f"uuid_setvar {leg.uuid} a b", f"uuid_getvar {leg.uuid} a", f"uuid_kill {leg.uuid}"):
        assert peer.api(line) == "-ERR No such channel!\n"


@pytest.mark.parametrize(
    ("variable", "state"),
    [("", ""), ("park_after_bridge", "CHANNEL_PARK"), ("uuid_bridge_park_on_cancel", "CHANNEL_PARK")],
)
def test_who_is_joined_with_somebody_who_hangs_up_on_the_way_is_parked_only_if_told_so(
    variable: str, state: str
) -> None:
    bench = Bench()
    peer = bench.connect(subscribe="plain CHANNEL_PARK CHANNEL_BRIDGE CHANNEL_HANGUP")
    first, second = _answered(bench), _answered(bench)
    peer.events()
    if variable:
        peer.api(f"uuid_setvar {first.uuid} {variable} true")
    peer.api(f"uuid_bridge {first.uuid} {second.uuid}")
    # (before the first one looks for it, or while it waits for it)
    bench.run(0 if variable != "uuid_bridge_park_on_cancel" else 0.02)
    peer.api(f"uuid_kill {second.uuid}")
    bench.run(0.5)
    assert first.down == (not state)
    assert _names(peer.events(), first.uuid) == [state or "CHANNEL_HANGUP"]


def test_who_waits_to_be_joined_by_somebody_who_hung_up_waits_for_ever() -> None:
    bench = Bench()
    peer = bench.connect(subscribe="plain CHANNEL_PARK CHANNEL_BRIDGE CHANNEL_HANGUP")
    first, second = _answered(bench), _answered(bench)
    peer.events()
    peer.api(f"uuid_bridge {first.uuid} {second.uuid}")
    peer.api(f"uuid_kill {first.uuid}")
    bench.run(60)
    assert not second.down
    assert _names(peer.events(), second.uuid) == []
    peer.api(f"uuid_park {second.uuid}")
    bench.run(0.3)
    assert _names(peer.events(), second.uuid) == ["CHANNEL_PARK"]


def test_a_leg_that_is_sent_elsewhere_in_the_moment_of_its_bridge_ends_it() -> None:
    bench = Bench()
    peer = bench.connect(subscribe="plain CHANNEL_PARK CHANNEL_BRIDGE CHANNEL_UNBRIDGE")
    one, two = _answered(bench), _answered(bench)
    for leg in (one, two):
        peer.api(f"uuid_setvar {leg.uuid} park_after_bridge true")
    peer.api(f"uuid_bridge {one.uuid} {two.uuid}")
    while one.partner is None:
        bench.run(0.001)
    peer.events()
    peer.api(f"uuid_park {two.uuid}")
    bench.run(0.3)
    told = [name for name in _names(peer.events()) if name != "CHANNEL_BRIDGE"]
    assert sorted(told) == ["CHANNEL_PARK", "CHANNEL_PARK", "CHANNEL_UNBRIDGE"]
