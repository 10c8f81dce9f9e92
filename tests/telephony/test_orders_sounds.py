"""Playing sounds and recording: what is heard, what is kept, and which files nobody gets to hear."""

import struct
import wave
from pathlib import Path

import trio

from tests.telephony import phones
from tests.telephony.desk_of import Lab, open_lab

BEEP = f"tone_stream://%(400,0,{phones.RINGING})"
LONG = f"tone_stream://%(4000,0,{phones.RINGING});loops=-1"


async def test_a_sound_is_played_to_one_leg_and_then_the_talk_goes_on() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()

        await lab.done("call.play", customer, path=BEEP)

        assert lab.told()[-1] == "call.playback_started"
        await lab.hears(customer, phones.RINGING)
        await lab.told_of("call.playback_stopped")
        await lab.hears(customer, lab.tone(agent))
        await lab.hears(agent, lab.tone(customer))


async def test_a_new_sound_takes_the_place_of_the_one_that_plays() -> None:
    async with open_lab() as lab:
        leg = await lab.call_in()
        await lab.done("call.play", leg, path=LONG)
        await lab.hears(leg, phones.RINGING)
        await lab.done("call.play", leg, path=f"tone_stream://%(4000,0,{phones.MUSIC})")
        await lab.hears(leg, phones.MUSIC)
        result = await lab.done("call.play_stop", leg)
        assert result["stopped"] is True
        await lab.hears(leg)
        result = await lab.done("call.play_stop", leg)
        assert result["stopped"] is False


async def test_an_announcement_to_a_held_leg_gives_way_to_its_music_again() -> None:
    async with open_lab() as lab:
        customer, agent = await lab.talk()
        await lab.done("call.hold", customer)
        await lab.done("call.play", customer, path=BEEP)
        await lab.hears(customer, phones.RINGING)
        await lab.hears(customer, phones.MUSIC)
        await lab.hears(agent)
        await lab.done("call.play", customer, path=LONG)
        await lab.done("call.play_stop", customer)
        await lab.hears(customer, phones.MUSIC)
        await lab.done("call.unhold", customer)
        await lab.hears(customer, lab.tone(agent))


async def test_a_caller_who_is_not_answered_yet_can_be_played_to() -> None:
    async with open_lab() as lab:
        leg = await lab.call_in(answered=False)
        await lab.done("call.play", leg, path=LONG)
        await lab.hears(leg, phones.RINGING)
        assert lab.leg(leg).state == "early"
        assert lab.leg(leg).answered_us == 0


async def test_a_missing_file_is_refused_and_the_talk_is_not_disturbed(tmp_path: Path) -> None:
    async with open_lab(sounds_dir=str(tmp_path)) as lab:
        customer, agent = await lab.talk()
        outcome = await lab.refused("no_such_file", "call.play", customer, path=f"{tmp_path}/none.wav")
        assert "no such file" in outcome.detail
        await lab.hears(customer, lab.tone(agent))
        assert "call.playback_started" not in lab.told()


async def test_a_file_that_holds_no_sound_is_refused_with_what_the_switch_says(tmp_path: Path) -> None:
    (tmp_path / "letter.wav").write_text("Dear Sir or Madam")
    async with open_lab(sounds_dir=str(tmp_path)) as lab:
        leg = await lab.call_in()
        await lab.refused("not_playable", "call.play", leg, path=f"{tmp_path}/letter.wav")


async def test_nothing_outside_the_folders_of_sounds_is_played() -> None:
    async with open_lab(sounds_dir="/srv/sounds", recordings_dir="/srv/recordings") as lab:
        leg = await lab.call_in()
        for path in (
            "/etc/passwd",
            "/srv/sounds/../secret.wav",
            "/srv/sounds2/a.wav",
            "/srv/recordings/tnt_other/rec_1.wav",
            "/srv/recordings/tnt_main/../tnt_other/rec_1.wav",
        ):
            outcome = await lab.give("call.play", leg, path=path)
            assert outcome.status == "refused", path
            assert outcome.code in ("path_not_allowed", "invalid_value")
        for wrong in ("http://127.0.0.1/a.wav", "say:hello", "file_string://a.wav", "shout://x/y", "", 5):
            await lab.refused("invalid_value", "call.play", leg, path=wrong)


async def test_a_tenant_hears_its_own_recordings(tmp_path: Path) -> None:
    async with open_lab(recordings_dir=str(tmp_path)) as lab:
        leg = await lab.call_in()
        started = await lab.done("call.record_start", leg)
        await trio.sleep(0.2)
        await lab.done("call.record_stop", leg, recording=str(started["recording"]))
        await lab.done("call.play", leg, path=str(started["path"]))


async def test_a_recording_keeps_each_side_in_its_channel_and_pauses_are_silence(tmp_path: Path) -> None:
    async with open_lab(recordings_dir=str(tmp_path)) as lab:
        customer, agent = await lab.talk()
        await lab.hears(customer, lab.tone(agent))
        await lab.hears(agent, lab.tone(customer))

        started = await lab.done("call.record_start", customer)
        recording = str(started["recording"])
        assert recording.startswith("rec_")
        assert started["path"] == f"{tmp_path}/tnt_main/{recording}.wav"
        assert [one.path for one in lab.leg(customer).recordings] == [started["path"]]
        await trio.sleep(0.4)
        paused = await lab.done("call.record_pause", customer, recording=recording)
        assert paused["state"] == "paused"
        await trio.sleep(0.4)
        resumed = await lab.done("call.record_resume", customer, recording=recording)
        assert resumed["state"] == "running"
        await trio.sleep(0.4)
        stopped = await lab.done("call.record_stop", customer, recording=recording)
        assert stopped["state"] == "stopped"

        kept = lab.leg(customer).recordings[0]
        assert kept.stopped_us - kept.started_us > 1_100_000
        assert kept.size > 0
        told = [change for change in lab.desk.changes if change.type.startswith("call.recording_")]
        assert [change.type for change in told] == [
            "call.recording_started",
            "call.recording_paused",
            "call.recording_resumed",
            "call.recording_stopped",
        ]
        assert told[1].data == {"leg": customer.uuid, "recording": recording, "path": kept.path}
        if lab.place.real:
            said, heard = _channels(kept.path)
            seconds = len(said) * 0.02
            assert abs(seconds - (kept.stopped_us - kept.started_us) / 1e6) < 0.15
            assert phones.tones_of(said[5:15]) == {lab.tone(customer)}
            assert phones.tones_of(heard[5:15]) == {lab.tone(agent)}
            assert phones.tones_of(said[25:35]) == phones.tones_of(heard[25:35]) == set()
            assert phones.tones_of(said[45:55]) == {lab.tone(customer)}
            assert phones.tones_of(heard[-10:]) == {lab.tone(agent)}


async def test_a_recording_goes_on_through_hold_and_keeps_its_time(tmp_path: Path) -> None:
    async with open_lab(recordings_dir=str(tmp_path)) as lab:
        customer, agent = await lab.talk()
        started = await lab.done("call.record_start", agent)
        await trio.sleep(0.2)
        await lab.done("call.hold", customer)
        await trio.sleep(0.3)
        await lab.done("call.unhold", customer)
        await lab.hears(agent, lab.tone(customer))
        await lab.done("call.record_stop", agent, recording=str(started["recording"]))
        kept = lab.leg(agent).recordings[0]
        assert len(lab.leg(agent).recordings) == 1
        if lab.place.real:
            said, heard = _channels(kept.path)
            assert abs(len(said) * 0.02 - (kept.stopped_us - kept.started_us) / 1e6) < 0.15
            assert phones.tones_of(heard[-5:]) == {lab.tone(customer)}


async def test_a_recording_ends_with_its_leg(tmp_path: Path) -> None:
    async with open_lab(recordings_dir=str(tmp_path)) as lab:
        leg = await lab.call_in()
        await lab.done("call.record_start", leg)
        await trio.sleep(0.1)
        await lab.person(leg).hang_up()
        await lab.ended(leg)
        assert lab.leg(leg).recordings[0].stopped_us > 0


async def test_only_a_running_recording_of_the_call_can_be_changed(tmp_path: Path) -> None:
    async with open_lab(recordings_dir=str(tmp_path)) as lab:
        leg = await lab.call_in()
        started = await lab.done("call.record_start", leg)
        recording = str(started["recording"])
        other = await lab.call_in("+15550101")
        for wrong in ("", "rec_none", recording[:-1], None, "wav"):
            await _no_such_recording(lab, "call.record_pause", leg, wrong)
        await _no_such_recording(lab, "call.record_stop", other, recording)
        await lab.done("call.record_stop", leg, recording=recording)
        await _no_such_recording(lab, "call.record_stop", leg, recording)


async def test_a_leg_without_sound_cannot_be_recorded() -> None:
    async with open_lab() as lab:
        leg = await lab.call_in(answered=False)
        await lab.refused("not_answered", "call.record_start", leg)


async def test_two_recordings_of_one_leg_are_two_files(tmp_path: Path) -> None:
    async with open_lab(recordings_dir=str(tmp_path)) as lab:
        leg = await lab.call_in()
        one = await lab.done("call.record_start", leg)
        two = await lab.done("call.record_start", leg)
        await lab.done("call.record_stop", leg, recording=str(one["recording"]))
        assert [bool(kept.stopped_us) for kept in lab.leg(leg).recordings] == [True, False]
        await lab.done("call.record_pause", leg, recording=str(two["recording"]))


async def _no_such_recording(lab: Lab, action: str, leg: object, recording: str | None) -> None:
    await lab.refused("no_such_recording", action, leg, status="not_found", recording=recording)  # type: ignore[arg-type]


def _channels(path: str) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """A stereo file as frames of 20 ms: what was said, and what was heard."""
    with wave.open(path) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 8000, 2)
        raw = file.readframes(file.getnframes())
    samples = struct.unpack(f"<{len(raw) // 2}h", raw)
    sides = samples[0::2], samples[1::2]
    frames = [
        [side[at : at + phones.FRAME] for at in range(0, len(side) - phones.FRAME + 1, phones.FRAME)]
        for side in sides
    ]
    return frames[0], frames[1]


async def test_a_telephone_that_rings_hears_nothing() -> None:
    async with open_lab() as lab:
        result = await lab.done("call.originate", to="300")
        leg = lab.leg(str(result["leg"]))
        await lab.refused("not_answered", "call.play", leg, path=BEEP)


async def test_an_order_that_names_its_recording_may_be_given_again(tmp_path: Path) -> None:
    """Whoever wants a call recorded cannot know whether an order that was not answered was done."""
    async with open_lab(recordings_dir=str(tmp_path)) as lab:
        leg = await lab.call_in()
        first = await lab.done("call.record_start", leg, recording="rec_0wanted", stereo=False)
        assert first["path"] == f"{tmp_path}/tnt_main/rec_0wanted.wav"
        again = await lab.done("call.record_start", leg, recording="rec_0wanted", stereo=False)
        assert again["path"] == first["path"]
        await lab.done("call.record_stop", leg, recording="rec_0wanted")
        # It was recorded; begun anew it would overwrite itself.
        await lab.done("call.record_start", leg, recording="rec_0wanted")
        assert len(lab.leg(leg).recordings) == 1
        assert lab.told().count("call.recording_started") == 1
        with wave.open(str(first["path"])) as file:
            assert file.getnchannels() == 1
        await lab.refused("invalid_value", "call.record_start", leg, recording="../rec_x")


async def test_a_prompt_of_the_tenants_own_is_played_by_its_id(tmp_path: Path) -> None:
    async with open_lab(recordings_dir=str(tmp_path)) as lab:
        leg = await lab.call_in()
        started = await lab.done("call.record_start", leg)
        await trio.sleep(0.2)
        await lab.done("call.record_stop", leg, recording=str(started["recording"]))
        prompts = tmp_path / "tnt_main" / "prompts"
        prompts.mkdir()
        Path(str(started["path"])).rename(prompts / "med_1.wav")
        await lab.done("call.play", leg, prompt="med_1")
        await lab.refused("no_such_file", "call.play", leg, prompt="med_2")
        await lab.refused("invalid_value", "call.play", leg, prompt="../../tnt_other/prompts/med_1")
