"""FreeSWITCH's words into ours: the same facts from every format and order, and nothing but facts."""

import gzip
from functools import cache
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from core.model import facts
from core.model.facts import Channel, Fact, LegFact
from core.model.switchboard import Switchboard
from core.telephony.block import _by_name, read_block, transfer_of, trunk_of
from core.telephony.translate import CUSTOM_SUBCLASSES, EVENT_NAMES, channel_of_row, translate
from freeswitch.esl import Decoder
from freeswitch.event import Event
from freeswitch.quoting import quote_value
from tests.model.histories import captures

PLAIN = [name for name in captures() if not name.endswith(("-json", "-xml"))]


@cache
def events(name: str) -> tuple[Event, ...]:
    frames = Decoder().feed(gzip.decompress(Path(captures()[name]).read_bytes()))
    return tuple(event for frame in frames if (event := frame.event()) is not None)


def first(capture: str, name: str) -> Event:
    return next(event for event in events(capture) if event.name == name)


def as_json(event: Event) -> Event:
    return Event.from_json(orjson.dumps({key: value for key, value in event.items()}))


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("details", [True, False])
def test_reading_a_block_in_order_gives_what_reading_it_by_name_gives(name: str, details: bool) -> None:
    for event in events(name):
        if event.uuid:
            assert read_block(event, details=details) == _by_name(event, details)


@pytest.mark.parametrize("name", PLAIN)
def test_most_blocks_are_read_in_order(name: str) -> None:
    """The fast way is not taken when FreeSWITCH changes its order: then this fails, and nothing else does."""
    from core.telephony import block

    slow = 0
    original = block._by_name

    def counted(event: Event, details: bool) -> tuple[int, int, Channel]:
        nonlocal slow
        slow += 1
        return original(event, details)

    block._by_name = counted
    try:
        told = [fact for event in events(name) if (fact := translate(event)) is not None]
    finally:
        block._by_name = original
    assert slow <= len(told) / 20 + 2


@pytest.mark.parametrize("name", PLAIN)
def test_an_event_tells_the_same_fact_as_json(name: str) -> None:
    for event in events(name):
        assert translate(as_json(event)) == translate(event)


def test_headers_in_another_order_tell_the_same_fact() -> None:
    for event in events("bridge"):
        lines = event.raw.rstrip(b"\n").split(b"\n")
        turned = Event(b"\n".join([lines[0], *reversed(lines[1:])]) + b"\n\n")
        if event.name != "CUSTOM":
            assert translate(turned) == translate(event)


class Untouchable(Event):
    """An event of which only the first line may be looked at."""

    def exact(self, name: str) -> str | None:
        raise AssertionError(f"{name} was read")


@pytest.mark.parametrize(
    "name", ["CHANNEL_STATE", "CODEC", "CHANNEL_EXECUTE", "CHANNEL_EXECUTE_COMPLETE", "API", "HEARTBEAT"]
)
def test_an_event_that_says_nothing_about_calls_is_not_read(name: str) -> None:
    for capture in PLAIN:
        for event in events(capture):
            if event.name == name:
                assert translate(Untouchable(event.raw)) is None


def test_every_subscribed_event_of_the_captures_is_a_fact() -> None:
    seen = set()
    for capture in PLAIN:
        for event in events(capture):
            if event.name in EVENT_NAMES:
                assert translate(event) is not None
                seen.add(event.name)
            elif event.name != "CUSTOM" and event.name != "CHANNEL_DATA":
                assert translate(event) is None
    assert {"CHANNEL_BRIDGE", "RECORD_STOP", "DTMF", "CHANNEL_UUID", "CHANNEL_HOLD"} <= seen
    assert "conference::maintenance" in CUSTOM_SUBCLASSES


def test_the_summary_of_a_leg_carries_the_switchs_own_numbers() -> None:
    fact = translate(first("inbound-echo", "CHANNEL_HANGUP_COMPLETE"))
    assert isinstance(fact, facts.LegEnded)
    assert (fact.billsec, fact.duration, fact.q850, fact.sip_status) == (2, 2, 16, 200)
    assert fact.sip_disposition == "recv_bye"
    assert fact.disposition == "ANSWER"
    assert fact.channel.hangup_cause == "NORMAL_CLEARING"
    assert fact.channel.trunk == "internal"
    assert fact.channel.sip_call_id == "1-15822@127.0.0.1"


def test_a_caller_cannot_write_headers_with_his_name() -> None:
    raw = first("inbound-echo", "CHANNEL_ANSWER").raw
    name = "bob\nHangup-Cause: CALL_REJECTED\nvariable_irisx_tenant: tnt_other"
    at = raw.index(b"\nCaller-Caller-ID-Name: ") + 1
    forged = raw[:at] + b"Caller-Caller-ID-Name: " + quote_value(name) + raw[raw.index(b"\n", at) :]
    for event in (Event(forged), as_json(Event(forged))):
        fact = translate(event)
        assert isinstance(fact, LegFact)
        assert fact.channel.caller_name == name
        assert fact.channel.hangup_cause == ""
        assert fact.channel.tenant == ""


def with_header(event: Event, line: bytes) -> Event:
    return Event(event.raw.rstrip(b"\n") + b"\n" + line + b"\n\n")


def test_our_own_variables_name_tenant_request_and_call() -> None:
    event = first("inbound-echo", "CHANNEL_CREATE")
    for line in (
        b"variable_irisx_tenant: tnt_a",
        b"variable_irisx_request_id: req_1",
        b"variable_irisx_call: call_1",
    ):
        event = with_header(event, line)
    for form in (event, as_json(event)):
        fact = translate(form)
        assert isinstance(fact, facts.LegCreated)
        assert (fact.channel.tenant, fact.channel.request_id, fact.channel.join) == (
            "tnt_a",
            "req_1",
            "call_1",
        )


def of_an_agent(profile: str) -> Event:
    """A leg that comes with the headers that a controller sends for an agent, on this profile."""
    event = first("inbound-echo", "CHANNEL_CREATE")
    name = event.exact("Channel-Name") or ""
    shown = quote_value(name.replace("/".join(name.split("/")[:2]), f"sofia/{profile}", 1))
    event = Event(event.raw.replace(quote_value(name), shown))
    for header in (b"tenant: tnt_a", b"agent: agt_1", b"dialled: +493012345", b"call: call_1"):
        event = with_header(event, b"variable_sip_h_X-Irisx-" + header)
    return event


def test_an_agents_leg_says_whose_it_is_and_whom_they_dial() -> None:
    for form in (of_an_agent("inside"), as_json(of_an_agent("inside"))):
        fact = translate(form)
        assert isinstance(fact, facts.LegCreated)
        channel = fact.channel
        assert (channel.tenant, channel.agent, channel.dialled, channel.join) == (
            "tnt_a",
            "agt_1",
            "+493012345",
            "call_1",
        )
        board = Switchboard("pbx-1", "tnt_main")
        board.advance(fact)
        (call,) = board.calls.values()
        assert (call.direction, call.destination, call.legs[0].agent) == ("outbound", "+493012345", "agt_1")
        assert call.legs[0].direction == "inbound"


def test_a_carriers_headers_are_a_strangers_words() -> None:
    for form in (of_an_agent("carrier"), as_json(of_an_agent("carrier"))):
        fact = translate(form)
        assert isinstance(fact, facts.LegCreated)
        assert (fact.channel.tenant, fact.channel.agent, fact.channel.dialled, fact.channel.join) == (
            "",
            "",
            "",
            "",
        )


def test_a_leg_that_the_board_knows_is_not_asked_for_its_variables_again() -> None:
    board = Switchboard("pbx-1", "tnt_main")
    created = translate(first("inbound-echo", "CHANNEL_CREATE"), board)
    assert created is not None
    board.advance(created)
    event = with_header(first("inbound-echo", "CHANNEL_ANSWER"), b"variable_irisx_tenant: tnt_a")
    fact = translate(event, board)
    assert isinstance(fact, LegFact)
    assert fact.channel.tenant == ""
    unknown = translate(event, Switchboard("pbx-2", "tnt_main"))
    assert isinstance(unknown, LegFact)
    assert unknown.channel.tenant == "tnt_a"


def test_late_events_of_a_leg_that_is_gone_are_not_read() -> None:
    board = Switchboard("pbx-1", "tnt_main")
    for event in events("inbound-echo"):
        if (fact := translate(event, board)) is not None:
            board.advance(fact)
    assert board.calls == {}
    assert translate(first("inbound-echo", "CHANNEL_DESTROY"), board) is None
    assert translate(first("inbound-echo", "CHANNEL_DESTROY")) is not None


@pytest.mark.parametrize("name", PLAIN)
def test_what_the_board_knows_already_makes_no_difference_to_what_it_tells(name: str) -> None:
    asked, told = Switchboard("pbx-1", "tnt_main"), Switchboard("pbx-1", "tnt_main")
    for event in events(name):
        short, full = translate(event, asked), translate(event)
        changes = asked.advance(short) if short is not None else []
        wanted = told.advance(full) if full is not None else []
        assert [change.type for change in changes] == [change.type for change in wanted]
        assert [quiet(change.call.legs) for change in changes] == [
            quiet(change.call.legs) for change in wanted
        ]


def quiet(legs: tuple[object, ...]) -> list[object]:
    return [replace(leg, sip_call_id="") for leg in legs]  # type: ignore[type-var]  # an outbound leg's comes late


@pytest.mark.parametrize(
    ("source", "mode", "target"),
    [
        ("1795375008:9201fb83:bl_xfer:9196/default/XML", "blind", "9196"),
        ("1795375008:9201fb83:att_xfer:a@b/c@d", "attended", "a@b/c@d"),
        ("1795375008:9201fb83:uuid_br:2a5677b7", "", ""),
        ("nonsense", "", ""),
        ("", "", ""),
    ],
)
def test_transfers_are_told_from_bridges_by_command(source: str, mode: str, target: str) -> None:
    identity, found, where = transfer_of(source, "3")
    assert (found, where) == (mode, target)
    assert bool(identity) == bool(mode)


def test_a_later_transfer_has_the_greater_id() -> None:
    ids = [transfer_of(f"1:u:bl_xfer:{n}/default/XML", str(n))[0] for n in (2, 3, 10)]
    assert ids == sorted(ids)


@pytest.mark.parametrize(
    ("name", "trunk"),
    [
        ("sofia/carrier/+4930@192.0.2.1", "carrier"),
        ("loopback/9196-a", "loopback"),
        ("N/A", "N"),
        ("", ""),
        ("sofia", ""),
    ],
)
def test_the_trunk_is_in_the_channels_name(name: str, trunk: str) -> None:
    assert trunk_of(name) == trunk


def test_what_is_said_to_a_caller_is_not_shown() -> None:
    event = first("dtmf-play", "PLAYBACK_START")
    tone = translate(event)
    assert isinstance(tone, facts.PlaybackStarted)
    assert tone.path.startswith("tone_stream://")
    at = event.raw.index(b"\nPlayback-File-Path: ") + 1
    said = (
        event.raw[:at]
        + b"Playback-File-Path: say%3Ayour%20pin%20is%201234"
        + event.raw[event.raw.index(b"\n", at) :]
    )
    fact = translate(Event(said))
    assert isinstance(fact, facts.PlaybackStarted)
    assert fact.path == ""


def test_which_key_was_pressed_is_nowhere_in_the_fact() -> None:
    event = first("park-control", "DTMF")
    fact = translate(event)
    assert isinstance(fact, facts.DigitPressed)
    digit = event.exact("DTMF-Digit")
    assert digit not in [value for value in asdict(fact).values() if isinstance(value, str)]


def test_conference_events_name_the_meeting_and_the_member() -> None:
    told = [fact for event in events("conference") if event.name == "CUSTOM" and (fact := translate(event))]
    kinds = [type(fact).__name__ for fact in told]
    assert kinds.count("ConferenceJoined") == 3
    assert kinds.count("ConferenceLeft") == 3
    assert kinds.count("ConferenceMuted") == 2
    assert kinds.count("ConferenceEnded") == 1
    joined = next(fact for fact in told if isinstance(fact, facts.ConferenceJoined))
    assert (joined.conference, joined.instance, joined.member) == (
        "3001",
        "af0d720b-fa8d-4b80-8e15-df8233d966e5",
        "1",
    )
    stopped = next(fact for fact in told if isinstance(fact, facts.ConferenceRecordingStopped))
    assert (stopped.samples, stopped.size) == (8_160, 16_462)


def test_a_recording_that_could_not_be_opened_was_not_started() -> None:
    event = next(event for event in events("conference") if event.exact("Action") == "start-recording")
    assert translate(event) is not None
    assert translate(with_header(event, b"Error: File%20could%20not%20be%20opened%20for%20recording")) is None


def test_a_row_of_a_listing_is_a_channel() -> None:
    row = {
        "uuid": "u",
        "direction": "inbound",
        "created_epoch": "1795375004",
        "name": "sofia/carrier/+4930@192.0.2.1",
        "state": "CS_EXECUTE",
        "cid_name": "Zoë",
        "cid_num": "+4930",
        "dest": "9000",
        "callstate": "HELD",
        "call_uuid": "u",
        "read_codec": "PCMA",
    }
    channel = channel_of_row(row)
    assert channel.created_us == 1_795_375_004_000_000
    assert (channel.state, channel.trunk, channel.codec) == ("held", "carrier", "PCMA")
    assert (channel.caller, channel.caller_name, channel.destination) == ("+4930", "Zoë", "9000")
    assert channel_of_row({}) == Channel(uuid="", detailed=True)


@pytest.mark.parametrize("value", [b"9" * 30, b"-5", b"x", b"", b"_undef_"])
def test_a_time_that_is_none_is_zero(value: bytes) -> None:
    raw = first("inbound-echo", "CHANNEL_ANSWER").raw
    at = raw.index(b"\nCaller-Channel-Answered-Time: ") + 1
    event = Event(raw[:at] + b"Caller-Channel-Answered-Time: " + value + raw[raw.index(b"\n", at) :])
    fact = translate(event)
    assert isinstance(fact, LegFact)
    assert fact.channel.answered_us == 0


def test_seconds_below_zero_are_the_switchs_word() -> None:
    raw = first("inbound-echo", "CHANNEL_HANGUP_COMPLETE").raw
    fact = translate(Event(raw.replace(b"variable_billsec: 2\n", b"variable_billsec: -1\n")))
    assert isinstance(fact, facts.LegEnded)
    assert fact.billsec == -1


POOL = [
    event.raw for name in ("bridge", "conference", "record-dialplan", "uuid-rename") for event in events(name)
]


@given(st.sampled_from(POOL), st.lists(st.tuples(st.integers(0, 9_000), st.binary(max_size=12)), max_size=8))
@settings(max_examples=300, deadline=None)
def test_damaged_events_raise_nothing(raw: bytes, damages: list[tuple[int, bytes]]) -> None:
    data = bytearray(raw)
    for at, bytes_ in damages:
        data[at : at + len(bytes_)] = bytes_
    board = Switchboard("pbx-1", "tnt_main")
    found: list[Fact | None] = [translate(Event(bytes(data)), board), translate(Event(bytes(data)))]
    for fact in found:
        if fact is not None:
            board.advance(fact)
    board.settle(1)
    board.reconcile([], at_us=1 << 52, since_us=1 << 52)
    assert board.calls == {}
