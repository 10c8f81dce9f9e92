"""`irisx replay`: what a recording holds, exactly as the switch itself summed it up."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core import journal
from core.journal import Header, Journal, Mark
from core.model.machine import seconds_between
from core.telephony.replay import Reading, Unreadable, replay
from freeswitch.esl import Decoder
from tests.telephony import independent

DATA = Path(__file__).parent.parent / "data"
CAPTURES = sorted([*(DATA / "captures").glob("*.rx.gz"), *(DATA / "captures-own").glob("*.rx.gz")])
each_capture = pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name.split(".")[0])


def capture(name: str) -> Path:
    return next(path for path in CAPTURES if path.name == f"{name}.rx.gz")


def content(name: str) -> bytes:
    return gzip.decompress(capture(name).read_bytes())


def expected(path: Path) -> dict[str, Any]:
    text = path.with_name(path.name.replace(".rx.gz", ".expected.json")).read_text()
    found: dict[str, Any] = json.loads(text)
    return found


def legs(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {leg["uuid"]: leg for call in result["calls"] for leg in call["legs"]}


def without_file(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key != "file"}


@each_capture
def test_a_capture_is_counted_and_every_leg_is_as_the_switch_says(path: Path) -> None:
    result, wanted = replay(path), expected(path)
    for count in ("frames", "content_types", "events"):
        assert result[count] == wanted[count]
    found = legs(result)
    for leg in wanted["legs"]:
        assert found[leg["uuid"]] == {key: leg[key] for key in found[leg["uuid"]]}


@each_capture
def test_every_recording_that_the_switch_told_of_is_listed_with_its_times(path: Path) -> None:
    result, wanted = replay(path), expected(path)
    found = [one for call in result["calls"] for one in call["recordings"]]
    for event in wanted["recordings"]:
        moment = "started_us" if event["event"] == "RECORD_START" else "stopped_us"
        assert any(one["path"] == event["path"] and one[moment] for one in found)
    starts = [event for event in wanted["recordings"] if event["event"] == "RECORD_START"]
    assert len(found) == len(starts)


@each_capture
def test_a_second_reader_that_shares_no_code_sees_the_same(path: Path) -> None:
    seen = independent.expected(gzip.decompress(path.read_bytes()))
    wanted = expected(path)
    assert seen["events"] == wanted["events"]
    theirs = {leg["uuid"]: leg for leg in wanted["legs"]}
    assert {leg["uuid"] for leg in seen["legs"]} == set(theirs)
    for leg in seen["legs"]:
        assert leg == {key: theirs[leg["uuid"]][key] for key in leg}


@each_capture
def test_a_clean_recording_surprises_nobody(path: Path) -> None:
    assert replay(path)["surprises"] == 0


def test_the_document_has_the_promised_form() -> None:
    result = replay(capture("record-dialplan"))
    assert list(result) == ["file", "frames", "content_types", "events", "surprises", "calls"]
    (call,) = result["calls"]
    assert list(call) == ["id", "state", "legs", "recordings"]
    (leg,) = call["legs"]
    assert list(leg) == [
        "uuid",
        "direction",
        "caller",
        "caller_name",
        "destination",
        "created_us",
        "answered_us",
        "hangup_us",
        "hangup_cause",
        "billsec",
        "other_leg",
    ]
    (recording,) = call["recordings"]
    assert list(recording) == ["leg", "path", "started_us", "stopped_us"]
    assert recording["leg"] == leg["uuid"]
    assert json.loads(json.dumps(result)) == result


@pytest.mark.parametrize("size", [1, 7, 1_000, 1 << 20])
def test_the_result_does_not_depend_on_how_the_bytes_arrive(size: int) -> None:
    data = content("inbound-echo")
    reading = Reading("inbound-echo", "tnt_main")
    for at in range(0, len(data), size):
        reading.feed(data[at : at + size])
    reading.finish()
    assert reading.result() == without_file(replay(capture("inbound-echo")))


def test_a_plain_capture_is_read_like_a_packed_one(tmp_path: Path) -> None:
    plain = tmp_path / "bridge.rx"
    plain.write_bytes(content("bridge"))
    assert without_file(replay(plain)) == without_file(replay(capture("bridge")))


def test_one_call_comes_out_of_three_event_formats() -> None:
    shapes = []
    for name in ("inbound-echo", "inbound-echo-json", "inbound-echo-xml"):
        (call,) = replay(capture(name))["calls"]
        (leg,) = call["legs"]
        same = ("direction", "caller", "caller_name", "destination", "hangup_cause")
        shapes.append((call["state"], *(leg[key] for key in same)))
    assert len(set(shapes)) == 1


def test_both_legs_of_a_bridge_are_one_call() -> None:
    (call,) = replay(capture("bridge"))["calls"]
    assert [leg["direction"] for leg in call["legs"]] == ["inbound", "outbound"]
    assert call["legs"][0]["other_leg"] == call["legs"][1]["uuid"]


def test_a_consultation_ends_as_one_call_of_four_legs() -> None:
    (call,) = replay(capture("consult-merge"))["calls"]
    assert len(call["legs"]) == 4


def test_twenty_recovered_bridges_are_twenty_calls_led_by_their_callers() -> None:
    result = replay(capture("recovery"))
    assert len(result["calls"]) == 20
    for call in result["calls"]:
        assert [leg["direction"] for leg in call["legs"]] == ["inbound", "outbound"]


def frames_without(data: bytes, *names: bytes) -> bytes:
    """The capture as a connection would see it that did not subscribe to these events."""
    out = []
    for frame in Decoder().feed(data):
        if any(frame.body.startswith(b"Event-Name: " + name + b"\n") for name in names):
            continue
        end = b"" if not frame.body else frame.body
        out.append(frame.head + b"\n" + end)
    return b"".join(out)


@pytest.mark.parametrize("name", ["inbound-echo", "bridge", "conference", "park-control", "dual-transfer"])
def test_without_the_switchs_summary_its_numbers_are_worked_out(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.rx"
    path.write_bytes(frames_without(content(name), b"CHANNEL_HANGUP_COMPLETE", b"CHANNEL_DESTROY"))
    found = legs(replay(path))
    for leg in expected(capture(name))["legs"]:
        ours = found[leg["uuid"]]
        for key in ("created_us", "answered_us", "hangup_us", "billsec", "hangup_cause", "other_leg"):
            assert ours[key] == leg[key]


def test_with_five_event_types_a_call_is_still_whole() -> None:
    result = replay(capture("no-hangup-complete"))
    (call,) = result["calls"]
    assert call["state"] == "ended"
    assert len(call["legs"]) == 3
    for leg in call["legs"]:
        assert leg["hangup_us"] and leg["hangup_cause"]
        assert leg["billsec"] == seconds_between(leg["answered_us"], leg["hangup_us"])


def test_an_outbound_socket_tells_of_its_leg_by_the_answer_to_connect() -> None:
    result = replay(capture("outbound-sync"))
    (call,) = result["calls"]
    (leg,) = call["legs"]
    assert leg["destination"] == "8101"
    assert "CHANNEL_DATA" not in result["events"]


def test_a_connection_made_in_the_middle_of_calls_knows_them_whole() -> None:
    result = replay(capture("late-join"))
    assert sorted(len(call["legs"]) for call in result["calls"]) == [1, 2]


def chunks_of(data: bytes, size: int = 4_000) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def write_journal(path: Path, *records: bytes, node: str = "bridge") -> Path:
    made = Journal(path, Header(node=node, started_us=1, tenant="tnt_main"))
    for record in records:
        made.append([record])
    made.close()
    return path


def packed(data: bytes) -> list[bytes]:
    return [journal.pack_chunk(1, chunk) for chunk in chunks_of(data)]


def test_a_journal_says_the_same_as_the_capture_it_holds(tmp_path: Path) -> None:
    path = write_journal(tmp_path / f"x{journal.SUFFIX}", *packed(content("bridge")))
    assert without_file(replay(path)) == without_file(replay(capture("bridge")))


def test_a_journal_that_was_torn_by_a_crash_is_read_to_its_end(tmp_path: Path) -> None:
    path = write_journal(tmp_path / f"x{journal.SUFFIX}", *packed(content("load-200-calls")))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    result = replay(path)
    assert 500 < result["frames"] < 4_205
    states = {call["state"] for call in result["calls"]}
    assert "ended" in states


def test_a_mark_begins_the_stream_anew(tmp_path: Path) -> None:
    half = content("bridge")[:5_000]
    path = write_journal(
        tmp_path / f"x{journal.SUFFIX}",
        journal.pack_chunk(1, half),
        journal.pack_mark(Mark(at_us=2, mark="connected")),
        *packed(content("bridge")),
    )
    assert legs(replay(path)) == legs(replay(capture("bridge")))


def until(data: bytes, name: bytes) -> bytes:
    """The bytes up to the first event of this name."""
    at = data.index(b"Event-Name: " + name)
    return data[: data.rindex(b"Content-Length: ", 0, at)]


def test_what_a_listing_ended_is_ended_again(tmp_path: Path) -> None:
    data = until(content("bridge"), b"CHANNEL_HANGUP\n")
    listing = Mark(at_us=1_795_375_009_000_000, mark="listing", values={"since_us": 1 << 52, "rows": []})
    path = write_journal(tmp_path / f"x{journal.SUFFIX}", *packed(data), journal.pack_mark(listing))
    (call,) = replay(path)["calls"]
    assert call["state"] == "ended"
    assert {leg["hangup_cause"] for leg in call["legs"]} == {"MISSED_END"}
    assert {leg["hangup_us"] for leg in call["legs"]} == {1_795_375_009_000_000}


def test_what_a_listing_showed_goes_on(tmp_path: Path) -> None:
    data = until(content("park-control"), b"CHANNEL_HANGUP\n")
    rows = [{"uuid": "ace26835-c379-411a-8ae2-52257743694f", "callstate": "ACTIVE"}]
    listing = Mark(at_us=1 << 51, mark="listing", values={"since_us": 1 << 52, "rows": rows})
    path = write_journal(tmp_path / f"x{journal.SUFFIX}", *packed(data), journal.pack_mark(listing))
    (call,) = replay(path)["calls"]
    assert call["state"] == "answered"


def test_calls_go_on_at_a_standby_switch_and_keep_their_beginning(tmp_path: Path) -> None:
    """The capture of a standby, and before it what the lost switch would have told of the same legs."""
    after = content("recovery-parked")
    created = 1_795_375_846_500_000
    events = [event for frame in Decoder().feed(after) if (event := frame.event()) is not None]
    before = []
    for event in events:
        if event.name == "CHANNEL_CREATE":
            raw = event.raw.replace(b"variable_recovered: true\n", b"")
            raw = raw.replace(event.exact("Core-UUID").encode(), b"11111111-2222-4333-8444-555555555555")  # type: ignore[union-attr]
            was = event.exact("Caller-Channel-Created-Time")
            raw = raw.replace(str(was).encode(), str(created).encode())
            before.append(b"Content-Length: %d\nContent-Type: text/event-plain\n\n" % len(raw) + raw)
    path = write_journal(tmp_path / f"x{journal.SUFFIX}", *packed(b"".join(before)), *packed(after))
    result = replay(path)
    assert len(result["calls"]) == 5
    for call in result["calls"]:
        (leg,) = call["legs"]
        assert leg["created_us"] == created
        assert leg["billsec"] == 9
        assert call["state"] == "ended"


@pytest.mark.parametrize(
    ("name", "content_"),
    [
        ("x.rx", b"GET / HTTP/1.1\nHost: x\n\n"),
        ("x.rx.gz", b"this is not gzip"),
        (f"x{journal.SUFFIX}", b"this is no journal"),
        ("x.rx", b"Content-Length: 99999999999\n\n"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(tmp_path: Path, name: str, content_: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content_)
    with pytest.raises(Unreadable) as refused:
        replay(path)
    assert name in refused.value.detail


def test_a_packed_capture_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "x.rx.gz"
    whole = capture("load-200-calls").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert replay(path)["frames"] > 1_000


def test_a_damaged_json_event_is_counted_and_the_others_are_read(tmp_path: Path) -> None:
    data = content("inbound-echo-json").replace(
        b'"Event-Name":"CHANNEL_CREATE"', b'"Event-Name":CHANNEL_CREATE" ', 1
    )
    path = tmp_path / "x.rx"
    path.write_bytes(data)
    result = replay(path)
    assert result["surprises"] == 1
    assert legs(result) == legs(replay(capture("inbound-echo-json")))


def test_a_missing_file_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replay(tmp_path / "none.rx")


def test_the_document_is_plain_json() -> None:
    result = replay(capture("originate"))
    assert msgspec.json.decode(msgspec.json.encode(result)) == result
