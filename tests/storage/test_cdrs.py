"""What remains of a leg and of a call."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.model.cdrs import Cdr, cdrs_of
from core.model.records import Recording
from tests.storage.samples import START, call, change, ended, leg, life

CAPTURES = Path(__file__).parents[1] / "data" / "captures"
SECOND = 1_000_000


def by_kind(records: list[Cdr]) -> tuple[list[Cdr], list[Cdr]]:
    return [one for one in records if one.kind == "leg"], [one for one in records if one.kind == "call"]


def test_a_leg_gets_its_record_when_it_ends_and_a_call_with_its_last_leg() -> None:
    changes = life()
    assert [len(cdrs_of(one)) for one in changes] == [0, 0, 0, 1, 3]
    (of_b,) = cdrs_of(changes[3])
    legs, calls = by_kind(cdrs_of(changes[4]))
    a, b = changes[4].call.legs
    assert [one.leg for one in legs] == [a.uuid, b.uuid]
    assert of_b == legs[1]
    assert [one.subject for one in calls] == [changes[4].call.id]
    assert len({one.id for one in legs + calls}) == 3


def test_records_say_what_the_switch_said() -> None:
    changes = life()
    _, (whole,) = by_kind(cdrs_of(changes[4]))
    (of_b,) = cdrs_of(changes[3])
    assert (of_b.pdd_us, of_b.ring_us) == (400_000, 1_500_000)
    assert (of_b.billsec, of_b.duration) == (7, 9)
    assert (of_b.q850, of_b.sip_status, of_b.hangup_cause) == (16, 200, "NORMAL_CLEARING")
    assert (whole.billsec, whole.duration, whole.legs) == (7, 9, 2)
    assert (whole.pdd_us, whole.ring_us) == (500_000, 1_500_000)
    assert (whole.started_us, whole.answered_us, whole.ended_us) == (
        START,
        START + 2 * SECOND,
        START + 9_100_000,
    )


def test_a_call_nobody_answered_costs_nothing() -> None:
    rang = ended(
        leg("outbound", progress_us=START + SECOND), at=START + 31 * SECOND, hangup_cause="NO_ANSWER"
    )
    one = call(
        rang, state="ended", ended_us=START + 31 * SECOND, hangup_cause="NO_ANSWER", direction="outbound"
    )
    records = cdrs_of(change(one, "call.ended"))
    assert [record.billsec for record in records] == [0, 0]
    assert [record.ring_us for record in records] == [30 * SECOND, 0]
    assert [record.pdd_us for record in records] == [SECOND, SECOND]
    assert records[1].duration == 31


def test_a_leg_whose_end_was_concluded_is_counted_by_the_switchs_rule() -> None:
    gone = ended(
        leg(answered_us=START + 900_000),
        at=START + 2_100_000,
        inferred=True,
        billsec=0,
        duration=0,
        hangup_q850=0,
    )
    (record,) = cdrs_of(change(call(gone, leg()), "call.leg_ended", data={"leg": gone.uuid}))
    assert record.inferred
    assert (record.billsec, record.duration) == (2, 2)


def test_the_codes_of_a_call_are_those_of_the_leg_that_ended_it() -> None:
    a = ended(leg(), at=START + 9, hangup_cause="NORMAL_CLEARING")
    b = ended(leg("outbound"), at=START + 8, hangup_cause="USER_BUSY", hangup_q850=17, sip_status=486)
    one = call(a, b, state="ended", ended_us=START + 9, hangup_cause="USER_BUSY")
    _, (whole,) = by_kind(cdrs_of(change(one, "call.ended")))
    assert (whole.q850, whole.sip_status) == (17, 486)


def test_a_merged_call_leaves_its_record_to_the_one_it_joined() -> None:
    merged = call(leg(), state="ended", legs=(), merged_into="call_other")
    assert cdrs_of(change(merged, "call.merged")) == []


def test_recordings_and_recovery_are_noted() -> None:
    taped = Recording(leg="x", path="/r/1.wav", started_us=START, stopped_us=START + 5)
    a = ended(leg(recordings=(taped,), recovered=True), at=START + SECOND)
    legs, (whole,) = by_kind(cdrs_of(change(call(a, state="ended", ended_us=START + SECOND), "call.ended")))
    assert legs[0].recordings == whole.recordings == (taped,)
    assert legs[0].recovered
    assert whole.recovered


def test_a_leg_is_named_the_same_wherever_its_call_went() -> None:
    a = ended(leg(), at=START + SECOND)
    here = cdrs_of(change(call(a, leg()), "call.leg_ended", data={"leg": a.uuid}))
    there = cdrs_of(change(call(leg(), a, node="node_b"), "call.leg_ended", data={"leg": a.uuid}))
    assert here[0].id == there[0].id
    assert here[0].subject == there[0].subject == a.uuid


@given(st.lists(st.integers(0, 2**62), min_size=5, max_size=5))
def test_no_time_makes_a_negative_count(times: list[int]) -> None:
    gone = ended(
        leg(progress_us=times[0], answered_us=times[1]), at=times[2], inferred=True, created_us=times[3]
    )
    one = call(
        gone, state="ended", created_us=times[3], answered_us=times[1], ringing_us=times[0], ended_us=times[4]
    )
    for record in cdrs_of(change(one, "call.ended")):
        assert min(record.billsec, record.duration, record.ring_us, record.pdd_us) >= 0


def hangups() -> Iterator[tuple[str, dict[str, int]]]:
    for path in sorted(CAPTURES.rglob("*.rx*")):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for found in re.finditer(rb"Event-Name: CHANNEL_HANGUP_COMPLETE\n(.*?)\n\n", data, re.DOTALL):
            pairs = dict(line.split(b": ", 1) for line in found[1].split(b"\n") if b": " in line)
            names = ("start_uepoch", "answer_uepoch", "end_uepoch", "billsec", "duration")
            yield path.name, {name: int(pairs.get(b"variable_" + name.encode(), b"0")) for name in names}


def test_our_rule_for_seconds_is_freeswitchs_own() -> None:
    checked = 0
    for name, said in hangups():
        gone = replace(
            leg(answered_us=said["answer_uepoch"], created_us=said["start_uepoch"]),
            state="ended",
            hangup_us=said["end_uepoch"],
            inferred=True,
        )
        (record,) = cdrs_of(change(call(gone, leg()), "call.leg_ended", data={"leg": gone.uuid}))
        assert (record.billsec, record.duration) == (said["billsec"], said["duration"]), name
        checked += 1
    assert checked > 200


@pytest.mark.parametrize("kind", ["call.created", "call.bridged", "call.transferred", "conference.left"])
def test_other_changes_complete_nothing(kind: str) -> None:
    gone = ended(leg(), at=START + 1)
    assert cdrs_of(change(call(gone, leg()), kind, data={"leg": gone.uuid})) == []
