"""The gateway's machine: every rule of the protocol, and what holds whatever comes in whatever order."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx_channels.discord import gateway
from irisx_channels.discord.gateway import (
    Again,
    BeatEvery,
    Dispatch,
    Frame,
    GiveUp,
    Identify,
    Machine,
    Op,
    Phase,
    Send,
    Session,
    Step,
    Surprise,
)
from irisx_sdk.errors import Malformed

HELLO = Frame(Op.HELLO, {"heartbeat_interval": 45_000})
READY_D = {"session_id": "S", "resume_gateway_url": "wss://r.example", "user": {"id": "900"}}
READY = Frame(Op.DISPATCH, READY_D, 1, "READY")
OLD = Session("S", 42, "wss://r.example", "900")


def after(machine: Machine, *inputs: Frame | str | int) -> Step:
    """The machine after frames, heartbeats ("beat") and close codes; the effects of the last."""
    effects: tuple[gateway.Effect, ...] = ()
    for one in inputs:
        machine, effects = step(machine, one)
    return machine, effects


def step(machine: Machine, given: Frame | str | int) -> Step:
    if isinstance(given, Frame):
        return gateway.receive(machine, given)
    return gateway.beat(machine) if given == "beat" else gateway.closed(machine, int(given))


def test_a_new_session_begins_with_identify_and_heartbeats() -> None:
    machine, effects = after(Machine("T"), HELLO)
    assert effects == (BeatEvery(45.0), Identify())
    machine, effects = after(machine, READY)
    assert machine.phase is Phase.READY
    assert effects == (Dispatch("READY", READY_D, Session("S", 1, "wss://r.example", "900")),)


def test_a_kept_session_is_resumed_where_it_was_stored() -> None:
    machine, effects = after(Machine("T", OLD), HELLO)
    assert effects[1] == Send(Op.RESUME, {"token": "T", "session_id": "S", "seq": 42})
    replayed = Frame(Op.DISPATCH, {"id": "1"}, 43, "MESSAGE_CREATE")
    machine, effects = after(machine, replayed)
    assert machine.phase is Phase.STARTING
    assert effects == (Dispatch("MESSAGE_CREATE", {"id": "1"}, Session("S", 43, "wss://r.example", "900")),)
    machine, _ = after(machine, Frame(Op.DISPATCH, None, 44, "RESUMED"))
    assert machine.phase is Phase.READY


def test_heartbeats_carry_the_last_sequence() -> None:
    _, effects = after(Machine("T"), HELLO, "beat")
    assert effects == (Send(Op.HEARTBEAT, None),)
    _, effects = after(Machine("T"), HELLO, READY, Frame(0, {}, 7, "X"), "beat")
    assert effects == (Send(Op.HEARTBEAT, 7),)


def test_a_connection_that_acknowledges_no_heartbeat_is_left_and_resumed() -> None:
    alive = after(Machine("T"), HELLO, READY, "beat", Frame(Op.HEARTBEAT_ACK), "beat")
    assert alive[0].phase is Phase.READY
    zombie = after(Machine("T"), HELLO, READY, "beat", "beat")
    assert zombie == (zombie[0], (Again(resume=True),))
    assert zombie[0].phase is Phase.OVER


def test_discord_may_ask_for_a_heartbeat_and_is_answered_at_once() -> None:
    _, effects = after(Machine("T"), HELLO, READY, Frame(Op.HEARTBEAT))
    assert effects == (Send(Op.HEARTBEAT, 1),)


def test_reconnect_and_invalid_session() -> None:
    assert after(Machine("T"), HELLO, READY, Frame(Op.RECONNECT))[1] == (Again(resume=True),)
    assert after(Machine("T"), HELLO, READY, Frame(9, True))[1] == (Again(resume=True, pause_s=(1.0, 5.0)),)
    assert after(Machine("T", OLD), HELLO, Frame(9, False))[1] == (Again(resume=False, pause_s=(1.0, 5.0)),)
    assert after(Machine("T"), HELLO, Frame(9, True))[1] == (Again(resume=False, pause_s=(1.0, 5.0)),)


@pytest.mark.parametrize("code", [4004, 4010, 4011, 4012, 4013, 4014])
def test_some_close_codes_need_a_person(code: int) -> None:
    _, effects = after(Machine("T", OLD), HELLO, code)
    assert effects == (GiveUp(code, gateway.HOPELESS[code]),)


@pytest.mark.parametrize("code", [1000, 1001, 1006, 4000, 4001, 4002, 4005, 4008])
def test_after_others_the_session_goes_on(code: int) -> None:
    assert after(Machine("T", OLD), HELLO, code)[1] == (Again(resume=True),)


@pytest.mark.parametrize("code", [4003, 4007, 4009])
def test_after_some_it_begins_anew(code: int) -> None:
    assert after(Machine("T", OLD), HELLO, code)[1] == (Again(resume=False),)


def test_what_has_no_rule_changes_nothing_and_is_said() -> None:
    machine = Machine("T")
    assert gateway.receive(machine, READY) == (machine, (Surprise(Phase.GREETING, 0),))
    ready, _ = after(machine, HELLO, READY)
    for op in (Op.HELLO, 31, 43, -1):
        assert gateway.receive(ready, Frame(op)) == (ready, (Surprise(Phase.READY, op),))


def test_a_heartbeat_interval_that_is_none_is_no_reason_to_spin() -> None:
    for d in (
        None,
        {},
        {"heartbeat_interval": 0},
        {"heartbeat_interval": -5},
        {"heartbeat_interval": 10**12},
    ):
        assert after(Machine("T"), Frame(Op.HELLO, d))[1] == (Again(resume=False),)


def test_identify_says_which_shard_and_fits() -> None:
    d = gateway.identify("T" * 72, 46593, 3, 16)
    assert (d["shard"], d["intents"]) == ([3, 16], 46593)
    assert len(gateway.encode(Op.IDENTIFY, d)) < 4096


FRAMES = st.builds(
    Frame,
    op=st.sampled_from([0, 1, 7, 9, 10, 11, 31, 99]),
    d=st.sampled_from([None, True, False, {}, READY_D, {"heartbeat_interval": 1000}, "x", 3]),
    s=st.integers(0, 50),
    t=st.sampled_from(["READY", "RESUMED", "MESSAGE_CREATE", ""]),
)
CODES = st.sampled_from([1000, 1006, 4000, 4003, 4004, 4007, 4009, 4014, 9999])
INPUTS = st.lists(FRAMES | st.just("beat") | CODES, max_size=30)


@given(st.sampled_from([Session(), OLD]), INPUTS)
def test_whatever_happens_the_rules_hold(session: Session, inputs: list[Any]) -> None:
    machine = Machine("T", session)
    starts = owed = 0
    for one in inputs:
        before = machine
        machine, effects = step(machine, one)
        if before.phase is Phase.OVER:
            assert machine == before
            assert all(isinstance(effect, Surprise) for effect in effects)
        for effect in effects:
            if isinstance(effect, Identify) or (isinstance(effect, Send) and effect.op is Op.RESUME):
                starts += 1  # a session is started once a connection, after Hello
                assert before.phase is Phase.GREETING
            if isinstance(effect, Send):
                assert before.phase is not Phase.OVER
                if effect.op is Op.HEARTBEAT:
                    assert before.phase is not Phase.GREETING
                    assert effect.d in (None, before.session.seq)
            if isinstance(effect, Again):
                assert machine.phase is Phase.OVER
                assert not effect.resume or machine.session.id  # nothing is resumed that was never begun
            if isinstance(effect, GiveUp):
                assert machine.phase is Phase.OVER
            if isinstance(effect, Dispatch):
                assert effect.session == machine.session
        # At most one heartbeat of ours is ever unanswered.
        if one == "beat" and before.phase in (Phase.STARTING, Phase.READY):
            owed = owed + 1 if machine.phase is not Phase.OVER else owed
            assert owed <= 1
        if isinstance(one, Frame) and one.op == Op.HEARTBEAT_ACK:
            owed = 0 if before.phase in (Phase.STARTING, Phase.READY) else owed
    assert starts <= 1


@given(st.lists(st.integers(1, 1000), max_size=20))
def test_the_sequence_never_goes_back_inside_a_session(numbers: list[int]) -> None:
    machine, _ = after(Machine("T"), HELLO, READY)
    highest = 1
    for number in numbers:
        machine, _ = gateway.receive(machine, Frame(0, {}, number, "X"))
        highest = max(highest, number)
        assert machine.session.seq == highest


@given(st.binary(max_size=80) | st.text(max_size=80))
def test_messages_of_any_kind_are_frames_or_malformed(raw: bytes | str) -> None:
    try:
        gateway.frame(raw)
    except Malformed:
        return


def test_frames_are_read() -> None:
    assert gateway.frame('{"op":0,"d":{"a":1},"s":5,"t":"X"}') == Frame(0, {"a": 1}, 5, "X")
    assert gateway.frame(b'{"op":11,"d":null,"s":null,"t":null}') == Frame(11)
