"""Recordings as files, rooms, registrations, tasks of the scheduler, and a living switch."""

import json
import wave
from collections import Counter
from pathlib import Path

from freeswitch.simulator import LIVING, SimulatorSettings
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.scripts import Caller, Person, fixed
from tests.simulator.bench import Bench
from tests.simulator.frames import get


def _call(bench: Bench, destination: str = "9001") -> Channel:
    channel = bench.call(Caller(destination=destination, context="default"))
    bench.run(0.5)
    return channel


def _frames(path: Path) -> tuple[int, int, bytes]:
    with wave.open(str(path), "rb") as sound:
        assert (sound.getframerate(), sound.getsampwidth()) == (8000, 2)
        return sound.getnchannels(), sound.getnframes(), sound.readframes(sound.getnframes())


def test_a_recording_is_a_real_file_silent_while_masked_and_shorter_for_its_pauses(tmp_path: Path) -> None:
    bench = Bench()
    peer = bench.connect(subscribe="plain RECORD_START RECORD_STOP")
    channel = _call(bench)
    path = tmp_path / "deep" / "one.wav"
    assert peer.api(f"uuid_record {channel.uuid} start {path} 0 {{irisx=a%20b}}") == "+OK Success\n"
    for verb, seconds in (("mask", 1), ("unmask", 1), ("pause", 5), ("resume", 1)):
        bench.run(seconds if verb == "mask" else 0)
        peer.api(f"uuid_record {channel.uuid} {verb} {path}")
        bench.run(seconds)
    peer.api(f"uuid_record {channel.uuid} stop {path}")
    bench.run(0.1)
    channels, frames, sound = _frames(path)
    assert channels == 1
    assert 31_500 < frames < 32_500
    assert any(sound[:16_000])
    assert not any(sound[18_000:30_000])
    started, stopped = peer.events()
    assert get(started, "Recording-Variable-irisx") == "a b"
    assert int(get(stopped, "variable_record_samples")) == frames
    assert path.stat().st_size == int(get(stopped, "variable_record_file_size"))


def test_a_stereo_recording_has_a_side_for_each(tmp_path: Path) -> None:
    bench = Bench()
    peer = bench.connect()
    channel = _call(bench)
    peer.api(f"uuid_setvar {channel.uuid} RECORD_STEREO true")
    path = tmp_path / "two.wav"
    peer.api(f"uuid_record {channel.uuid} start {path} 2")
    bench.run(4)
    channels, frames, sound = _frames(path)
    assert (channels, frames) == (2, 16_000)
    assert sound[0::4] != sound[2::4]


def test_a_recording_ends_with_its_call(tmp_path: Path) -> None:
    bench = Bench()
    peer = bench.connect(subscribe="plain RECORD_STOP CHANNEL_HANGUP_COMPLETE")
    channel = _call(bench)
    peer.api(f"uuid_record {channel.uuid} start {tmp_path}/x.wav")
    bench.run(1)
    peer.api(f"uuid_kill {channel.uuid}")
    bench.run(1)
    assert [get(one, "Event-Name") for one in peer.events()] == ["RECORD_STOP", "CHANNEL_HANGUP_COMPLETE"]


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    bench = Bench()
    peer = bench.connect()
    channel = _call(bench)
    (tmp_path / "file").write_text("")
    assert (
        peer.api(f"uuid_record {channel.uuid} start {tmp_path}/file/x.wav") == "-ERR Cannot record session!\n"
    )


def test_without_a_folder_for_recordings_nothing_is_written_at_the_root() -> None:
    bench = Bench()
    peer = bench.connect(subscribe="plain RECORD_START")
    channel = _call(bench)
    path = Path(f"/{channel.uuid}.wav")
    assert peer.api(f"uuid_record {channel.uuid} start ${{recordings_dir}}{path}") == "+OK Success\n"
    assert peer.api(f"uuid_record {channel.uuid} start {path}") == "+OK Success\n"
    bench.run(0.1)
    assert len(peer.events()) >= 1
    assert not path.exists()


def test_a_room_lists_its_members_and_lets_them_be_muted_and_kicked() -> None:
    bench = Bench()
    peer = bench.connect(subscribe="plain CUSTOM conference::maintenance")
    first, _ = _call(bench, "3001"), _call(bench, "3001")
    assert json.loads(peer.api("conference 3001 json_list"))[0]["member_count"] == 2
    assert peer.api("conference 3001 mute 1") == "+OK mute 1\n"
    assert "|speak" not in peer.api("conference 3001 list").splitlines()[-1]
    assert peer.api("conference 3001 kick 1") == "+OK kicked 1\n"
    bench.run(1)
    actions = [get(one, "Action") for one in peer.events()]
    assert [one for one in actions if one != "floor-change"] == [
        "conference-create", "add-member", "add-member", "mute-member", "kick-member", "del-member",
    ]  # fmt: skip
    assert first.down
    peer.api("hupall")
    bench.run(1)
    assert peer.api("conference list") == "+OK No active conferences.\n"


def test_a_phone_registers_and_is_reached_as_a_user() -> None:
    bench = Bench()
    peer = bench.connect(subscribe="plain CUSTOM sofia::register sofia::unregister sofia::expire")
    peer.api("sim register 1001@127.0.0.1 ip=198.51.100.30 port=5066 expires=5")
    assert json.loads(peer.api("show registrations as json"))["rows"][0]["reg_user"] == "1001"
    assert peer.api("originate user/1001@127.0.0.1 &park()").startswith("+OK ")
    peer.api("sim unregister 1001@127.0.0.1")
    bench.run(0.2)
    assert [get(one, "Event-Subclass") for one in peer.events()] == ["sofia::register", "sofia::unregister"]


def test_tasks_run_in_their_second_and_are_gone_half_a_second_later() -> None:
    bench = Bench()
    peer = bench.connect(subscribe="plain ADD_SCHEDULE DEL_SCHEDULE")
    peer.api("sched_api +2 mine global_setvar done=yes")
    peer.api("sched_api +60 mine global_setvar done=no")
    bench.run(3.1)
    assert peer.api("global_getvar done") == "yes"
    assert peer.api("sched_del mine") == "+OK Deleted: 1\n"
    bench.run(0.6)
    assert [get(one, "Event-Name") for one in peer.events()] == ["ADD_SCHEDULE"] * 2 + ["DEL_SCHEDULE"] * 2


def test_a_standby_takes_over_the_legs_that_a_dead_switch_wrote_down() -> None:
    bench = Bench()
    peer = bench.connect(subscribe="plain CHANNEL_DESTROY CHANNEL_CREATE CHANNEL_PARK")
    channel = _call(bench)
    peer.events()
    assert peer.api("sim recoverable") == "+OK 1 legs\n"
    assert peer.api("show channels count") == "\n0 total.\n"
    assert peer.api("sofia profile carrier recover") == "Recovered 1 session(s)\n"
    bench.run(0.5)
    events = peer.events()
    assert [get(one, "Event-Name") for one in events] == ["CHANNEL_CREATE", "CHANNEL_PARK"]
    assert {get(one, "Unique-ID") for one in events} == {channel.uuid}
    assert get(events[0], "variable_recovered") == "true"


def test_a_living_switch_shows_parked_calls_bridges_rooms_and_recordings_and_never_too_many(
    tmp_path: Path,
) -> None:
    bench = Bench(SimulatorSettings(port=0, seed=4, traffic=LIVING, recordings_dir=str(tmp_path)))
    bench.start_traffic()
    peer = bench.connect(
        subscribe="plain CHANNEL_CREATE CHANNEL_PARK CHANNEL_BRIDGE CHANNEL_HOLD DTMF RECORD_STOP"
        " CHANNEL_HANGUP_COMPLETE CUSTOM conference::maintenance"
    )
    most = 0
    for _ in range(120):
        bench.run(15)
        most = max(most, len(bench.switch.channels))
    names = {get(one, "Event-Name") for one in peer.events()}
    assert names == {
        "CHANNEL_CREATE", "CHANNEL_PARK", "CHANNEL_BRIDGE", "CHANNEL_HOLD", "DTMF", "RECORD_STOP",
        "CHANNEL_HANGUP_COMPLETE", "CUSTOM",
    }  # fmt: skip
    assert 3 < most <= 80
    assert list(tmp_path.glob("*.wav"))
    bench.switch.power_off()


def test_a_living_day_is_a_healthy_one(tmp_path: Path) -> None:
    bench = Bench(SimulatorSettings(port=0, seed=8, traffic=LIVING, recordings_dir=str(tmp_path)))
    bench.start_traffic()
    peer = bench.connect(subscribe="plain CHANNEL_HANGUP_COMPLETE")
    parked = 0
    for _ in range(160):
        bench.run(15)
        waiting = [one for one in bench.switch.channels.values() if one.get("current_application") == "park"]
        parked += bool(waiting)
    ends = [one for one in peer.events() if get(one, "Call-Direction") == "inbound"]
    causes = Counter(get(one, "Hangup-Cause") for one in ends)
    # Nothing that an operator would have to look at.
    assert set(causes) == {"NORMAL_CLEARING", "USER_BUSY", "NO_ANSWER", "ORIGINATOR_CANCEL"}
    assert causes["NORMAL_CLEARING"] > 0.65 * len(ends)
    assert causes["USER_BUSY"] > 0.02 * len(ends) and causes["NO_ANSWER"] > 0.02 * len(ends)
    talks = [int(get(one, "variable_billsec")) for one in ends if get(one, "variable_billsec") != "0"]
    assert min(talks) < 8 and max(talks) > 400
    assert parked > 160 / 12, "now and then somebody waits for an operator"
    bench.switch.power_off()


def test_who_waits_for_an_operator_talks_once_answered(tmp_path: Path) -> None:
    bench = Bench(SimulatorSettings(port=0, seed=8, traffic=LIVING, recordings_dir=str(tmp_path)))
    bench.start_traffic()
    peer = bench.connect(subscribe="plain CHANNEL_PARK CHANNEL_HANGUP_COMPLETE")
    while not (parked := [one for one in peer.events() if get(one, "Event-Name") == "CHANNEL_PARK"]):
        bench.run(5)
    uuid = get(parked[0], "Unique-ID")
    assert peer.api(f"uuid_answer {uuid}").startswith("+OK")
    bench.run(20)
    assert uuid in bench.switch.channels
    bench.switch.power_off()


def test_the_same_seed_brings_the_same_callers(tmp_path: Path) -> None:
    def numbers(seed: int) -> list[str]:
        bench = Bench(SimulatorSettings(port=0, seed=seed, traffic=LIVING, recordings_dir=str(tmp_path)))
        bench.start_traffic()
        peer = bench.connect(subscribe="plain CHANNEL_CREATE")
        bench.run(300)
        bench.switch.power_off()
        return [
            get(one, "Caller-Caller-ID-Number") + get(one, "Caller-Caller-ID-Name") for one in peer.events()
        ]

    assert numbers(5) == numbers(5) != numbers(6)
    assert len(numbers(5)) > 10


def test_a_caller_who_talks_for_ever_is_ended_by_nobody() -> None:
    bench = Bench()
    channel = bench.call(Caller(destination="9196", context="default"), Person(talk=fixed(1e9)))
    bench.run(3600)
    assert not channel.down
