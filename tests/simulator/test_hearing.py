"""Who hears what on the simulated switch: proven in virtual time, with voices that are pitches."""

import array
import wave
from pathlib import Path

from tests.simulator.browser import loudness, tone
from tests.simulator.frames import get
from tests.simulator.inside import Inside


def _pitches(heard: bytes, *asked: int) -> set[int]:
    """Which of these pitches are in the last half second."""
    sound = array.array("h", heard[-8000:])
    return {pitch for pitch in asked if loudness(sound, pitch) > 1500}


def _inside(*legs: str) -> Inside:
    inside = Inside()
    for leg in legs:
        inside.leg(leg)
    inside.bench.connect()
    return inside


def _api(inside: Inside, line: str) -> str:
    answer = inside.bench.peers[0].api(line)
    inside.bench.run(0.5)
    return answer


def test_a_parked_leg_hears_nothing_and_a_bridge_joins_two() -> None:
    inside = _inside("a", "b")
    assert not any(inside.talk(1, a=500, b=800)["a"])
    _api(inside, "uuid_bridge a b")
    heard = inside.talk(1, a=500, b=800)
    assert _pitches(heard["a"], 500, 800) == {800}
    assert _pitches(heard["b"], 500, 800) == {500}


def test_mute_takes_a_voice_away_and_deafness_an_ear() -> None:
    inside = _inside("a", "b")
    _api(inside, "uuid_bridge a b")
    _api(inside, "uuid_audio a start read mute -4")
    heard = inside.talk(1, a=500, b=800)
    assert not any(heard["b"][-8000:]) and _pitches(heard["a"], 800) == {800}
    _api(inside, "uuid_audio a stop")
    _api(inside, "uuid_audio a start write mute -4")
    heard = inside.talk(1, a=500, b=800)
    assert not any(heard["a"][-8000:]) and _pitches(heard["b"], 500) == {500}


def test_simulated_people_speak_their_own_pitch_once_they_have_answered() -> None:
    inside = _inside("a")
    _api(inside, "sim callee 4711 ring=0.1 answer=3 pitch=620")
    _api(inside, "originate {origination_uuid=they,early=1}sofia/carrier/4711@198.51.100.1 &park()")
    assert _api(inside, "sim pitch they") == "+OK 620\n"
    _api(inside, "uuid_bridge a they")
    assert _pitches(inside.talk(1, a=500)["a"], 620) == {620}
    _api(inside, "sim reinvite they hold=on")
    assert not any(inside.talk(1, a=500)["a"][-8000:])


def test_somebody_who_is_called_with_early_media_is_heard_ringing() -> None:
    inside = _inside("a")
    _api(inside, "sim callee 4711 ring=0.1 answer=5 early=on pitch=620")
    inside.bench.peers[0].api("uuid_transfer a 'm:^:bridge:sofia/carrier/4711@198.51.100.1' inline")
    inside.bench.run(1)
    rings = inside.talk(6, a=500)["a"]
    sound = array.array("h", rings)
    loud = sum(1 for n in range(0, len(sound), 160) if max(sound[n : n + 160]) > 1000) / (len(sound) / 160)
    assert loudness(sound, 425) > 500 and 0.1 < loud < 0.5, "a second of tone in five"
    assert _pitches(inside.talk(1, a=500)["a"], 620, 425) == {620}


def test_who_dials_hears_the_ringback_until_somebody_answers() -> None:
    inside = _inside("a")
    _api(inside, "sim callee 4711 ring=0.1 answer=5 pitch=620")
    _api(inside, "uuid_setvar a transfer_ringback %(9000,0,425)")
    inside.bench.peers[0].api("uuid_transfer a 'm:^:bridge:sofia/carrier/4711@198.51.100.1' inline")
    inside.bench.run(1)
    assert _pitches(inside.talk(1, a=500)["a"], 425, 620) == {425}
    inside.talk(4, a=500)
    assert _pitches(inside.talk(1, a=500)["a"], 425, 620) == {620}


def test_what_is_played_to_a_leg_is_heard_by_it_alone() -> None:
    inside = _inside("a", "b")
    _api(inside, "uuid_bridge a b")
    _api(inside, "uuid_broadcast a tone_stream://%(9000,0,700);loops=-1 aleg")
    heard = inside.talk(1, a=500, b=800)
    assert _pitches(heard["a"], 700, 800) == {700}
    assert _pitches(heard["b"], 700, 500) == set(), "its thread is busy with playing"
    _api(inside, "uuid_break a all")
    heard = inside.talk(1, a=500, b=800)
    assert _pitches(heard["a"], 700, 800) == {800} and _pitches(heard["b"], 500) == {500}


def test_a_sound_file_is_found_by_its_relative_name(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "prompt.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(tone(300, 32_000).tobytes())  # (twice the pitch at twice the rate)
    inside = Inside(sounds_dir=str(tmp_path))
    inside.leg("a")
    inside.bench.connect(subscribe="plain PLAYBACK_START PLAYBACK_STOP")
    inside.bench.peers[0].api("uuid_broadcast a prompt.wav aleg")
    assert _pitches(inside.talk(1, a=500)["a"], 600, 300) == {600}
    inside.bench.run(2)
    started, stopped = inside.bench.peers[0].events()
    assert get(started, "Playback-File-Path") == "prompt.wav"
    assert get(stopped, "Playback-Status") == "done"
    assert inside.bench.peers[0].api("uuid_broadcast a absent.wav aleg").startswith("+OK")
    inside.bench.run(1)
    assert inside.bench.peers[0].events() == []


def test_a_caller_on_hold_hears_music_and_comes_back() -> None:
    inside = _inside("a", "b")
    for leg in ("a", "b"):
        _api(inside, f"uuid_setvar {leg} park_after_bridge true")
    _api(inside, "uuid_bridge a b")
    _api(inside, "uuid_park b")
    _api(inside, "uuid_broadcast b local_stream://moh aleg")
    heard = inside.talk(1, a=500, b=800)
    assert _pitches(heard["b"], 262, 330, 500) == {262, 330}
    assert not any(heard["a"][-8000:])
    _api(inside, "uuid_bridge a b")
    assert _pitches(inside.talk(1, a=500, b=800)["b"], 262, 500) == {500}


def test_in_a_room_everybody_hears_the_others() -> None:
    inside = _inside("a", "b", "c")
    for leg in ("a", "b", "c"):
        _api(inside, f"uuid_transfer {leg} conference:team inline")
    heard = inside.talk(1, a=500, b=650, c=800)
    for leg, expected in (("a", {650, 800}), ("b", {500, 800}), ("c", {500, 650})):
        assert _pitches(heard[leg], 500, 650, 800) == expected
    _api(inside, "conference team mute 1")
    assert _pitches(inside.talk(1, a=500, b=650, c=800)["b"], 500, 800) == {800}


def test_a_listener_hears_both_and_is_heard_by_whom_the_variables_name() -> None:
    for variables, agent, caller in (
        ((), {800}, {500}),
        (("eavesdrop_whisper_bleg",), {800, 650}, {500}),
        (("eavesdrop_whisper_aleg", "eavesdrop_whisper_bleg"), {800, 650}, {500, 650}),
    ):
        inside = _inside("agent", "caller", "boss")
        _api(inside, "uuid_bridge agent caller")
        for name in variables:
            _api(inside, f"uuid_setvar boss {name} true")
        _api(inside, "uuid_transfer boss eavesdrop:agent inline")
        heard = inside.talk(1, agent=500, caller=800, boss=650)
        assert _pitches(heard["boss"], 500, 650, 800) == {500, 800}
        assert _pitches(heard["agent"], 500, 650, 800) == agent
        assert _pitches(heard["caller"], 500, 650, 800) == caller


def test_a_recording_has_what_was_said_and_heard_and_nothing_of_what_was_masked(tmp_path: Path) -> None:
    inside = _inside("a", "b")
    _api(inside, "uuid_bridge a b")
    _api(inside, "uuid_setvar a RECORD_STEREO true")
    path, mixed = tmp_path / "a.wav", tmp_path / "mixed.wav"
    _api(inside, f"uuid_record a start {path}")
    _api(inside, f"uuid_record b start {mixed}")
    inside.talk(2, a=500, b=800)
    _api(inside, f"uuid_record a mask {path}")
    inside.talk(2, a=500, b=800)
    _api(inside, f"uuid_record a unmask {path}")
    _api(inside, f"uuid_record a pause {path}")
    inside.talk(2, a=500, b=800)
    _api(inside, f"uuid_record a stop {path}")
    _api(inside, f"uuid_record b stop {mixed}")
    with wave.open(str(path)) as file:
        both = array.array("h", file.readframes(file.getnframes()))
    left, right = both[0::2], both[1::2]
    assert 47_000 < len(left) < 49_000
    assert loudness(left[8000:16_000], 500) > 5000 and loudness(left[8000:16_000], 800) < 100
    assert loudness(right[8000:16_000], 800) > 5000 and loudness(right[8000:16_000], 500) < 100
    assert not any(both[2 * 25_000 : 2 * 42_000]), "masked"
    with wave.open(str(mixed)) as file:
        sound = array.array("h", file.readframes(16_000))[8000:]
    assert loudness(sound, 500) > 5000 and loudness(sound, 800) > 5000


def test_a_callers_recording_begun_alone_goes_on_with_what_is_said_in_the_bridge(tmp_path: Path) -> None:
    inside = _inside("a")
    _api(inside, "sim call to=9001 context=default profile=carrier uuid=they pitch=700")
    path = tmp_path / "they.wav"
    _api(inside, f"uuid_record they start {path}")
    inside.bench.run(1.5)
    _api(inside, "uuid_bridge they a")
    inside.talk(2, a=500)
    _api(inside, "uuid_kill they")
    inside.bench.run(1)
    with wave.open(str(path)) as file:
        sound = array.array("h", file.readframes(file.getnframes()))
    assert loudness(sound[:12_000], 440) > 1000, "a stand-in while nobody listens"
    assert loudness(sound[-12_000:-8000], 500) > 5000 and loudness(sound[-12_000:-8000], 700) > 5000


def test_through_a_loopback_the_other_end_is_heard() -> None:
    inside = _inside("a")
    _api(inside, "originate {origination_uuid=loop}loopback/9198/default &park()")
    _api(inside, "uuid_bridge a loop")
    assert _pitches(inside.talk(1, a=500)["a"], 440) == {440}


def test_what_the_program_was_kept_from_is_made_up_for_or_counted() -> None:
    inside = _inside("a")
    inside.bench.run(0.5)
    port = inside.media.ports[0]
    while port.hear() is not None:
        pass
    inside.bench.now += 0.1
    inside.bench.run(0.001)
    assert sum(1 for _ in iter(port.hear, None)) == 5
    inside.bench.now += 10
    inside.bench.run(0.001)
    assert inside.hearing.late > 480


def test_without_a_leg_nothing_runs() -> None:
    inside = _inside("a")
    _api(inside, "uuid_kill a")
    inside.exchange()
    inside.bench.run(1)
    before = len(inside.bench.switch.threads)
    inside.bench.run(5)
    assert len(inside.bench.switch.threads) == before
    assert not inside.hearing._legs
