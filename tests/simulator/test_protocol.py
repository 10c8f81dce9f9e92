"""The Event Socket itself: logging in, subscribing, filtering, and in which order things are sent."""

import pytest

from freeswitch.simulator import SimulatorSettings
from freeswitch.simulator.scripts import Caller, Person, fixed
from freeswitch.simulator.settings import EslUser
from tests.simulator.bench import Bench
from tests.simulator.frames import get

GOODBYE = b"Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"


def _reply(bench: Bench, command: str) -> str:
    return bench.connect().ask(command).header("Reply-Text")


def test_a_wrong_password_is_told_and_the_connection_closed() -> None:
    bench = Bench()
    peer = bench.connect(password="wrong")
    kinds = [frame.kind for frame in peer.frames()]
    assert kinds == ["auth/request", "command/reply", "text/disconnect-notice"]
    assert bytes(peer.received).endswith(GOODBYE)
    assert not peer.open


def test_who_says_nothing_for_25_seconds_is_sent_away() -> None:
    bench = Bench()
    peer = bench._open(None)
    bench.run(24.9)
    assert peer.open
    bench.run(0.2)
    assert not peer.open
    quiet = bench.connect()
    bench.run(3600)
    assert quiet.open


def test_a_user_may_do_what_the_directory_allows() -> None:
    user = EslUser(
        password="secret", allowed_events="CHANNEL_ANSWER", allowed_api="status,bgapi", allowed_log=False
    )
    bench = Bench(SimulatorSettings(port=0, seed=1, users={"bob@example": user}))
    peer = bench._open(None)
    assert peer.ask("userauth bob@example:secret").header("Allowed-Events") == "CHANNEL_ANSWER"
    assert peer.ask("event plain CHANNEL_ANSWER").header("Reply-Text") == "+OK event listener enabled plain"
    assert peer.ask("event plain HEARTBEAT").header("Reply-Text") == "-ERR permission denied"
    assert peer.api("status").startswith("UP ")
    assert peer.ask("api uptime").header("Reply-Text") == "-ERR permission denied"
    assert peer.ask("log 7").header("Reply-Text") == "-ERR permission denied"


def test_an_event_comes_as_two_writes() -> None:
    bench = Bench(SimulatorSettings(port=0, seed=1, heartbeat_s=1.0))
    peer = bench.connect(subscribe="plain HEARTBEAT")
    before = len(peer.sizes)
    bench.run(1.1)
    envelope, body = peer.sizes[before:]
    assert bytes(peer.received)[-body:].startswith(b"Event-Name: HEARTBEAT\n")
    assert envelope < 80


def test_a_reply_is_cut_at_511_bytes() -> None:
    assert len(_reply(Bench(), "sendmsg " + "x" * 700).encode()) == 511


@pytest.mark.parametrize(
    ("rules", "passes"),
    [
        ((), True),
        (("Caller-Destination-Number 9001",), True),
        (("Caller-Destination-Number 9002",), False),
        (("Caller-Destination-Number 9002", "Event-Name CHANNEL_PARK"), True),
        (("Event-Name CHANNEL_PARK", "Caller-Destination-Number -9001"), False),
        (("Event-Name /^channel_p/",), False),
        (("Event-Name /^channel_p/i",), True),
        (("No-Such-Header x",), False),
    ],
)
def test_filters_let_through_what_one_of_them_matches_and_none_forbids(
    rules: tuple[str, ...], passes: bool
) -> None:
    bench = Bench()
    peer = bench.connect(subscribe="plain CHANNEL_PARK")
    for rule in rules:
        peer.ask(f"filter {rule}")
    bench.call(Caller(destination="9001", context="default"))
    bench.run(1)
    assert bool(peer.events()) is passes


def test_custom_events_come_by_subclass_and_all_takes_every_one() -> None:
    bench = Bench()
    some, every = bench.connect(subscribe="plain CUSTOM lab::a"), bench.connect(subscribe="plain ALL")
    sender = bench.connect()
    for subclass in ("lab::a", "lab::b"):
        assert (
            sender.ask(f"sendevent CUSTOM\nEvent-Subclass: {subclass}")
            .header("Reply-Text")
            .startswith("+OK ")
        )
    bench.run(0.1)
    assert [get(one, "Event-Subclass") for one in some.events()] == ["lab::a"]
    custom = [one for one in every.events() if get(one, "Event-Name") == "CUSTOM"]
    assert [get(one, "Event-Subclass") for one in custom] == ["lab::a", "lab::b"]


def test_myevents_of_an_unknown_uuid_leaks_the_events_of_every_channel() -> None:
    bench = Bench()
    peer = bench.connect()
    assert peer.ask("myevents no-such-uuid").header("Reply-Text") == "+OK Events Enabled"
    channel = bench.call(Caller(destination="9001", context="default"))
    bench.run(1)
    assert {get(one, "Unique-ID") for one in peer.events()} == {channel.uuid}


def test_a_command_that_has_begun_to_arrive_holds_events_back() -> None:
    bench = Bench(SimulatorSettings(port=0, seed=1, heartbeat_s=1.0))
    peer = bench.connect(subscribe="plain HEARTBEAT")
    peer.say("api ec")
    bench.run(3.5)
    peer.frames()
    assert peer.events() == []
    peer.say("ho hi\n\n")
    bench.run(0.1)
    assert [frame.kind for frame in peer.frames()][:2] == ["api/response", "text/event-plain"]


def test_api_holds_its_own_connection_back_and_no_other() -> None:
    bench = Bench(SimulatorSettings(port=0, seed=1, heartbeat_s=1.0))
    asking, other = bench.connect(subscribe="plain HEARTBEAT"), bench.connect(subscribe="plain HEARTBEAT")
    asking.say("api msleep 2500\n\n")
    bench.run(2.2)
    asking_kinds = [frame.kind for frame in asking.frames()]
    assert "text/event-plain" not in asking_kinds
    assert len(other.events()) == 2
    bench.run(0.5)
    assert [frame.kind for frame in asking.frames()] == ["api/response"] + ["text/event-plain"] * 2


def test_bgapi_answers_before_its_job_and_keeps_the_uuid_it_was_given() -> None:
    bench = Bench()
    peer = bench.connect(subscribe="plain BACKGROUND_JOB")
    assert peer.ask("bgapi version short\nJob-UUID: mine").header("Job-UUID") == "mine"
    bench.run(0.1)
    (job,) = peer.events()
    assert (get(job, "Job-UUID"), get(job, "Job-Command"), get(job, "_body")) == (
        "mine", "version", "1.10.12-release\n",
    )  # fmt: skip


def test_a_queue_that_overflows_for_too_long_ends_the_connection() -> None:
    bench = Bench(SimulatorSettings(port=0, seed=1, event_queue=100, freeze_when_stuck=False))
    peer, sender = bench.connect(subscribe="plain CUSTOM x::y"), bench.connect()
    watch = bench.connect()
    watch.ask("log 2")
    peer.congested = True
    # A hundred wait, and 500 may be lost in a row.
    for _ in range(600):
        sender.say("sendevent CUSTOM\nEvent-Subclass: x::y\n\n")
    bench.run(1)
    assert peer.open
    sender.say("sendevent CUSTOM\nEvent-Subclass: x::y\n\n")
    bench.run(1)
    assert not peer.open
    assert b"Max queue size reached" in watch.received
    assert b"Killing listener because of too many lost events" in watch.received


def test_event_numbers_have_gaps() -> None:
    bench = Bench()
    peer = bench.connect(subscribe="plain ALL")
    for _ in range(5):
        bench.call(Caller(destination="9196", context="default"), Person(talk=fixed(1)))
    bench.run(5)
    numbers = [int(get(one, "Event-Sequence")) for one in peer.events()]
    assert len(set(numbers)) == len(numbers)
    assert max(numbers) - min(numbers) + 1 > len(numbers)


def test_the_three_formats_say_the_same() -> None:
    bench = Bench()
    peers = [bench.connect(subscribe=f"{form} CHANNEL_HANGUP_COMPLETE") for form in ("plain", "json", "xml")]
    name = 'Zoë "Quote" <Müller> & 東京 %20'
    bench.call(Caller(destination="9196", context="default", name=name), Person(talk=fixed(1)))
    bench.run(5)
    plain, json_, xml = (peer.events()[0] for peer in peers)
    assert get(json_, "Caller-Caller-ID-Name") == name
    # Plain leaves %20 as it stands, so that reading it back makes a blank of it; json alone loses nothing.
    assert (
        get(plain, "Caller-Caller-ID-Name") == get(xml, "Caller-Caller-ID-Name") == name.replace("%20", " ")
    )
    assert [n for n, _ in plain] == [n for n, _ in json_] == [n for n, _ in xml]
