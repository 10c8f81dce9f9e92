"""Nothing that an order says can become part of a command's structure.

Every order is given to a desk that only writes down what would be sent, with arguments that are partly right and
partly hostile. Each line is then taken apart as FreeSWITCH does it (`tests.freeswitch.switch_parsers`) and must be
one of the few shapes that the orders are made of, with the caller's values whole and in their places.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVarTuple

import msgspec
import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import Conflict
from core.model.orders import Order, Outcome
from core.model.records import Call, Leg, Recording
from core.model.switchboard import Switchboard
from core.telephony.orders import AT_ONCE, IN_TURN, ON_NODES, carry_out
from core.telephony.resync import Report
from core.telephony.turns import Turns
from core.telephony.watch import Watches
from freeswitch import commands
from freeswitch.errors import CommandRefused
from tests.freeswitch.switch_parsers import cut, take_braces

Ts = TypeVarTuple("Ts")
TENANT = "tnt_main"
TEMPLATE = "sofia/gateway/trunk/{number}"
CUSTOMER, AGENT, HELD, WAITING, NEW, MEMBER, MUTED = ("c-1", "a-1", "h-1", "w-1", "n-1", "m-1", "q-1")
FRESH = "0f8fad5b-d9cb-469f-a165-70867728950e"
LEGS = {CUSTOMER, AGENT, HELD, WAITING, NEW, MEMBER, MUTED}
ACTIONS = sorted(action for action in {**IN_TURN, **AT_ONCE, **ON_NODES} if not action.startswith("node."))


def _leg(uuid: str, **fields: Any) -> Leg:
    return Leg(**{"uuid": uuid, "direction": "inbound", "state": "answered", "parked": True, **fields})


def _calls() -> list[Call]:
    recording = Recording(leg=CUSTOMER, path=f"/rec/{TENANT}/rec_1.wav", started_us=1)
    room = {"conference": f"{TENANT}.sales", "parked": False}
    pairs: dict[str, list[Leg]] = {
        "call_pair": [
            _leg(CUSTOMER, bridged_to=AGENT, other_leg=AGENT, parked=False, recordings=(recording,)),
            _leg(AGENT, bridged_to=CUSTOMER, other_leg=CUSTOMER, parked=False),
        ],
        "call_held": [_leg(HELD, held_since_us=1, other_leg=WAITING), _leg(WAITING, other_leg=HELD)],
        "call_new": [_leg(NEW, state="new")],
        "call_room": [
            _leg(MEMBER, conference_member="3", **room),
            _leg(MUTED, conference_member="4", muted=True, **room),
        ],
    }
    return [
        Call(id=id_, tenant_id=TENANT, node="node_1", destination="4930100", legs=tuple(legs))
        for id_, legs in pairs.items()
    ]


class _Switch:
    async def channels(self) -> list[object]:
        return []


class WritingPhone:
    """Writes down what an INVITE would say, and answers it: the agent's leg is there and parked then."""

    def __init__(self, board: Switchboard) -> None:
        self._board = board

    async def call(
        self, tenant_id: str, leg: str, sdp: str, *, agent: str, caller: str, headers: dict[str, str]
    ) -> str:
        assert tenant_id == TENANT and UUID.fullmatch(leg) and re.fullmatch("agt_[0-9a-z]+", agent)
        assert re.fullmatch("[A-Za-z0-9_.+-]+", caller) and sdp.startswith("v=0")
        assert set(headers) <= {
            f"X-Irisx-{name}" for name in ("tenant", "agent", "request_id", "call", "dialled")
        }
        assert all(re.fullmatch("[A-Za-z0-9_.@:+*#-]+", value) for value in headers.values()), headers
        await trio.lowlevel.checkpoint()
        joined = self._board.calls.get(headers.get("X-Irisx-call", ""))
        call = joined or Call(id="call_agent", tenant_id=TENANT, node="node_1")
        call = msgspec.structs.replace(call, legs=(*call.legs, _leg(leg, agent=agent)))
        self._board.restore([call])
        return "v=0"

    async def renew(self, tenant_id: str, leg: str, sdp: str) -> str:
        raise AssertionError("none of the legs here is an agent's")


class WritingDesk:
    """Writes down what would be sent. Nothing ever happens because of it."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.switch: Any = _Switch()
        self.board = Switchboard("node_1", TENANT)
        self.board.restore(_calls())
        self.phone: Any = WritingPhone(self.board)
        self.watches = Watches()
        self.turns = Turns()
        self.state = "active"
        self.settings: Mapping[str, object] = {"recordings_dir": "/rec", "sounds_dir": "/sounds"}
        self.dial_template = TEMPLATE
        self.lines: list[str] = []
        self.told: list[dict[str, str]] = []
        self._nursery = nursery

    async def api(self, line: str, *, deadline_s: float = 5.0) -> str:
        commands.api(line)  # what the link does with it
        self.lines.append(line)
        await trio.lowlevel.checkpoint()
        if line.startswith("global_getvar"):
            raise CommandRefused("-ERR no reply")
        if line.startswith("uuid_dump"):
            return '{"Event-Name":"CHANNEL_DATA","Channel-State":"CS_PARK","Channel-State-Number":"6"}'
        return "true" if line.startswith("file_exists") else "+OK"

    async def bgapi(self, line: str, *, deadline_s: float = 60.0) -> str:
        commands.bgapi(line, job_uuid="job-1")
        return await self.api(line)

    def leg(self, uuid: str) -> Leg | None:
        return self.board.leg_of(uuid)

    def latest(self, call_id: str) -> Call | None:
        return self.board.calls.get(call_id)

    def note(self, leg: str, *, muted: bool | None = None, held: bool | None = None) -> None:
        self.board.mark(leg, muted=muted, held=held, at_us=2)

    def tell(self, kind: str, call_id: str, **data: str) -> None:
        self.told.append(data)

    def calling(self, leg: str) -> AbstractContextManager[None]:
        return nullcontext()

    def background(self, fn: Callable[[*Ts], Awaitable[None]], *args: *Ts) -> None:
        self._nursery.start_soon(fn, *args)

    def refuse_new_calls(self) -> None:
        if self.state != "active":
            raise Conflict("draining", code="draining")

    async def set_state(self, state: str) -> None:
        self.state = state

    async def resync(self, reason: str) -> Report:
        return Report(listed=0, attached=0, ended=0)


def give(action: str, call_id: str, args: dict[str, Any]) -> tuple[Outcome, list[str]]:
    """Carry an order out in virtual time; its outcome and every line that would have been sent."""

    async def main() -> tuple[Outcome, list[str]]:
        async with trio.open_nursery() as nursery:
            desk = WritingDesk(nursery)
            order = Order(
                id="ord_1",
                action=action,
                node="node_1",
                tenant_id=TENANT,
                deadline_us=0,
                call_id=call_id,
                args=args,
                request_id="req_1",
            )
            outcome = await carry_out(desk, order)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        return outcome, desk.lines

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


# -- the shapes of commands

UUID = re.compile(r"[a-z]-1|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DIAL = re.compile(r"(sofia/gateway/trunk/\+?[0-9*#]{1,32}|user/[A-Za-z0-9_.@:-]+)")
APPLICATION = re.compile(
    rf"&(park\(\)|eavesdrop\([a-z]-1\)|conference\({TENANT}\.[A-Za-z0-9_.-]+@default\)|bridge\((.*)\))"
)
VARIABLES = {
    "origination_uuid",
    "originate_timeout",
    "ignore_early_media",
    "irisx_tenant",
    "irisx_request_id",
    "irisx_call",
    "origination_caller_id_number",
    "origination_caller_id_name",
    "hangup_after_bridge",
    "eavesdrop_whisper_aleg",
    "eavesdrop_whisper_bleg",
    "eavesdrop_enable_dtmf",
}
SETTABLE = {
    "park_after_bridge",
    "uuid_bridge_park_on_cancel",
    "send_silence_when_idle",
    "api_reporting_hook",
    "continue_on_fail",
    "hangup_after_bridge",
    "originate_disposition",
    "current_application_response",
    "eavesdrop_whisper_aleg",
    "eavesdrop_whisper_bleg",
    "eavesdrop_enable_dtmf",
    "transfer_ringback",
}


def _check_dial(text: str, given_: dict[str, Any]) -> None:
    variables, dial = take_braces(text)
    assert DIAL.fullmatch(dial), dial
    assert set(variables) <= VARIABLES
    assert variables["irisx_tenant"] == TENANT
    name = variables.get("origination_caller_id_name")
    number = variables.get("origination_caller_id_number")
    assert name in (None, number, given_.get("caller_name"))
    assert number in (None, given_.get("from"), "4930100")


def check(line: str, given_: dict[str, Any]) -> None:
    """One line, taken apart as the switch does: nothing in it but what we mean."""
    assert not re.search("[\r\n\0]", line)
    verb, _, rest = line.partition(" ")
    words = cut(rest, " ", 100)
    if verb == "originate":
        assert len(words) == 7, words
        _check_dial(words[0], given_)
        application = APPLICATION.fullmatch(words[1])
        assert application, words[1]
        if application[2]:
            _check_dial(application[2], given_)
        assert words[2:6] == ["undef"] * 4
        assert words[6].isdigit()
        return
    if verb in ("global_getvar", "file_exists", "fsctl", "version"):
        assert len(words) <= 2
        return
    if verb == "conference":
        assert re.fullmatch(rf"{TENANT}\.[A-Za-z0-9_.-]+", words[0])
        assert words[1:] in (["mute", "3"], ["unmute", "4"], ["hup", "3"], ["hup", "4"], ["hup", "all"])
        return
    assert UUID.fullmatch(words[0]), line
    shapes: dict[str, Callable[[list[str]], bool]] = {
        "uuid_kill": lambda w: len(w) == 1 and re.fullmatch("[A-Z0-9_]+", w[0]) is not None,
        "uuid_answer": lambda w: not w,
        "uuid_park": lambda w: not w,
        "uuid_break": lambda w: w == ["all"],
        "uuid_bridge": lambda w: len(w) == 1 and UUID.fullmatch(w[0]) is not None,
        "uuid_getvar": lambda w: len(w) == 1 and w[0] in SETTABLE | {"bridge_to", "current_application"},
        "uuid_dump": lambda w: w == ["json"],
        "uuid_setvar": lambda w: w[0] in SETTABLE and len(w) <= 2,
        "uuid_audio": lambda w: w in (["start", "read", "mute", "-4"], ["stop"]),
        "uuid_send_dtmf": lambda w: w == [given_.get("digits")],
        "uuid_broadcast": lambda w: (
            len(w) == 2
            and w[1] == "aleg"
            and (w[0] == given_.get("path") or w[0].startswith("tone_stream://"))
        ),
        "uuid_record": lambda w: (
            w[0] in ("start", "stop", "mask", "unmask") and w[1].startswith(f"/rec/{TENANT}/rec_")
        ),
        "uuid_transfer": lambda w: len(w) == 3 and w[1] == "inline",
    }
    assert shapes[verb](words[1:]), line
    if verb == "uuid_transfer":
        inline = words[1]
        if inline.startswith("m:^:"):
            applications = inline[4:].split("^")
            if re.fullmatch(r"eavesdrop:[a-z]-1", applications[0]) and len(applications) == 1:
                return
            assert applications[1:] in (["park:"], [])
            assert applications[0].startswith("bridge:")
            _check_dial(applications[0].removeprefix("bridge:"), given_)
        else:
            assert re.fullmatch(rf"conference:{TENANT}\.[A-Za-z0-9_.-]+@default", inline)


# -- arguments, right and hostile

HOSTILE = st.sampled_from(
    [
        "\n",
        "\r\n\r\n",
        "\0",
        "\nEvent-Name: CHANNEL_HANGUP",
        " ",
        "  ",
        "'",
        '"',
        "\\",
        "\\'",
        "' &system(x) '",
        ",irisx_tenant=tnt_other",
        "}",
        "{x=y}",
        "[x=y]",
        "<x=y>",
        "|error/USER_BUSY",
        ":_:",
        "^",
        "^system:x",
        "^^;",
        ")",
        "(",
        "&park",
        "${uuid}",
        "$${hold_music}",
        "/../",
        "..",
        "://",
        "@x",
        ";",
        "=",
        " inline XML",
        "reload mod_event_socket",
        "é",
        "\ud800",
        "\u2028",
        "all",
        "-bleg",
    ]
)
RIGHT: dict[str, list[object]] = {
    "to": ["+14155550100", "100", "user:alice"],
    "bridge_to": ["101", "user:bob@x"],
    "from": ["+4930111", "100"],
    "caller_name": ["Zoë O'Brien", "R&D"],
    "digits": ["12#", "1w2"],
    "path": ["tone_stream://%(300,100,440)", "/sounds/a.wav", "a.wav", f"/rec/{TENANT}/rec_1.wav"],
    "cause": ["NORMAL_CLEARING", "USER_BUSY"],
    "leg": [*sorted(LEGS), FRESH],
    "join": ["", *sorted(LEGS)],
    "listen": ["", *sorted(LEGS)],
    "agent": ["agt_1"],
    "sdp": ["v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n"],
    "caller": ["100", "+4930"],
    "other_leg": [*sorted(LEGS)],
    "monitor_leg": [*sorted(LEGS)],
    "call_id": ["call_pair", "call_held", "call_new"],
    "conference": ["sales", "x.y-z"],
    "member": ["3", MUTED],
    "mode": ["listen", "whisper", "barge"],
    "recording": ["rec_1"],
    "timeout_s": [1, 30, 120],
}
CALLS = st.sampled_from(["call_pair", "call_held", "call_new", "call_room", "call_none", ""])


def _wrong(right: list[object]) -> st.SearchStrategy[object]:
    texts = st.sampled_from([str(one) for one in right])
    halves = st.tuples(texts, HOSTILE, st.one_of(texts, st.just(""))).map("".join)
    return st.one_of(
        halves, HOSTILE, st.text(max_size=12), st.integers(-5, 200), st.booleans(), st.none(), st.floats()
    )


def _argument(name: str) -> st.SearchStrategy[object]:
    right: st.SearchStrategy[object] = st.sampled_from(RIGHT[name])
    # Mostly right ones, so that the hostile one gets as far as it can.
    return st.one_of(right, right, right, _wrong(RIGHT[name]))


ARGUMENTS = st.fixed_dictionaries({}, optional={name: _argument(name) for name in RIGHT})


@pytest.mark.parametrize("action", ACTIONS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(call_id=CALLS, args=ARGUMENTS)
def test_no_value_of_an_order_becomes_structure_of_a_command(
    action: str, call_id: str, args: dict[str, Any]
) -> None:
    outcome, lines = give(action, call_id, args)
    assert outcome.status in ("done", "refused", "not_found", "unknown")
    for line in lines:
        check(line, args)


@pytest.mark.parametrize("field", sorted(RIGHT))
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_hostile_value_in_one_field_is_refused_or_carried_whole(field: str, data: st.DataObject) -> None:
    hostile = data.draw(_wrong(RIGHT[field]))
    args = {name: right[0] for name, right in RIGHT.items()}
    args |= {"leg": CUSTOMER, "other_leg": HELD, "call_id": "call_held", field: hostile}
    action = {
        "bridge_to": "call.originate",
        "caller_name": "call.originate",
        "from": "call.originate",
        "to": "call.transfer_blind",
        "timeout_s": "call.transfer_blind",
        "conference": "conference.add",
        "member": "conference.kick",
        "mode": "call.monitor",
        "monitor_leg": "call.monitor_stop",
        "digits": "call.dtmf",
        "path": "call.play",
        "recording": "call.record_stop",
        "cause": "call.hangup",
        "leg": "call.hold",
        "other_leg": "call.bridge",
        "call_id": "call.bridge",
        "join": "agent.call",
        "listen": "agent.call",
        "agent": "agent.call",
        "sdp": "agent.call",
        "caller": "agent.call",
    }[field]
    if action == "agent.call":
        args["leg"] = FRESH
    outcome, lines = give(action, "call_pair", args)
    for line in lines:
        check(line, args)
    # (an offer is lines; it goes as a body)
    if field != "sdp" and isinstance(hostile, str) and re.search("[\r\n\0]", hostile):
        assert outcome.status in ("refused", "not_found")


def test_what_is_right_is_really_sent() -> None:
    """The tests above would be empty if everything were refused."""
    sent: dict[str, set[str]] = {action: set() for action in ACTIONS}
    for action in ACTIONS:
        for call_id in ("call_pair", "call_held", "call_new", "call_room"):
            for member in ("3", "4"):
                args = {name: right[0] for name, right in RIGHT.items() if name not in ("leg", "other_leg")}
                args |= {"monitor_leg": MEMBER, "call_id": "call_held", "member": member}
                if action == "agent.call":
                    args |= {"leg": FRESH, "join": CUSTOMER if call_id == "call_pair" else ""}
                _, lines = give(action, call_id, args)
                sent[action].update(line.partition(" ")[0] for line in lines)
    # For these two a transfer would have to be under way, and to renew goes by SIP.
    assert [action for action, verbs in sent.items() if not verbs] == [
        "agent.renew",
        "call.transfer_cancel",
        "call.transfer_complete",
    ]
    assert "originate" in sent["call.originate"] & sent["call.monitor"] & sent["conference.add"]
    assert sent["call.transfer_blind"] >= {"uuid_setvar", "uuid_park", "uuid_transfer"}
    assert sent["agent.call"] >= {"uuid_setvar", "uuid_transfer"}
    assert "uuid_bridge" in sent["call.bridge"] & sent["call.unhold"]
