"""What browsers hear through the simulated switch, proven by the pitches in it."""

import array
import subprocess
import sys
import wave
from pathlib import Path

from tests.simulator.browser import loudness
from tests.simulator.house import house
from tests.simulator.inside import OFFER


async def test_a_browser_hears_itself_at_the_echo_and_440_hz_at_the_tone() -> None:
    async with house() as at:
        echoed, _ = await at.leg(620, "echo")
        toned, _ = await at.leg(700, "tone")
        await echoed.wait_for(620, without=(440, 700))
        await toned.wait_for(440, without=(620, 700))


async def test_two_browsers_hear_each_other_and_nothing_when_parked() -> None:
    async with house() as at:
        (one, first), (other, second) = await at.leg(500), await at.leg(800)
        await one.wait_for_silence()
        at.api(f"uuid_bridge {first} {second}")
        await one.wait_for(800, without=(500,))
        await other.wait_for(500, without=(800,))
        at.api(f"uuid_audio {first} start read mute -4")
        await other.wait_for_silence()
        at.api(f"uuid_audio {first} stop")
        await other.wait_for(500)


async def test_a_browser_and_a_simulated_caller_talk_and_the_recording_has_both(tmp_path: Path) -> None:
    async with house() as at:
        browser, leg = await at.leg(500)
        caller = await at.caller(pitch=740)
        assert at.api(f"sim pitch {caller}") == "+OK 740\n"
        await at.until(lambda: at.channel(caller).answered)
        at.api(f"uuid_setvar {caller} RECORD_STEREO true")
        at.api(f"uuid_bridge {caller} {leg}")
        await browser.wait_for(740)
        path = tmp_path / "both.wav"
        at.api(f"uuid_record {caller} start {path}")
        await at.until(lambda: at.channel(caller).recordings[str(path)].samples > 8000)
        at.api(f"uuid_record {caller} stop {path}")
        left, right = _sides(path)
        assert loudness(left, 740) > 3000 and loudness(left, 500) < 100, "the caller's side"
        assert loudness(right, 500) > 3000 and loudness(right, 740) < 100, "the browser's side"


def _sides(path: Path) -> tuple["array.array[int]", "array.array[int]"]:
    with wave.open(str(path), "rb") as sound:
        assert (sound.getnchannels(), sound.getframerate()) == (2, 8000)
        both = array.array("h", sound.readframes(sound.getnframes()))
    return both[0::2], both[1::2]


async def test_a_page_loaded_again_in_a_call_is_heard_and_hears_as_before() -> None:
    async with house() as at:
        (one, first), (other, second) = await at.leg(500), await at.leg(800)
        at.api(f"uuid_bridge {first} {second}")
        await other.wait_for(500)
        await at.renew(one, first)
        one.forget()
        other.forget()
        await one.wait_for(800)
        await other.wait_for(500)
        assert at.channel(first).partner is at.channel(second)


async def test_another_network_in_a_call_changes_the_path_and_nothing_else() -> None:
    async with house() as at:
        (one, first), (other, second) = await at.leg(500), await at.leg(800)
        at.api(f"uuid_bridge {first} {second}")
        await other.wait_for(500)
        for _ in range(2):
            await at.restart(one, first)
            one.forget()
            other.forget()
            await one.wait_for(800)
            await other.wait_for(500)


async def test_a_browser_that_never_comes_leaves_nothing_behind() -> None:
    async with house() as at:
        await at.phone.call("alone", "agent", OFFER)
        await at.phone.call("given-up", "agent", OFFER)
        await at.phone.hang_up("given-up")
        await at.until(lambda: list(at.simulator.switch.channels) == ["alone"])
    # (an open socket is a warning, and warnings are errors here)


async def test_a_network_that_is_gone_for_a_while_comes_back_with_the_sound() -> None:
    async with house() as at:
        (one, first), (other, second) = await at.leg(500), await at.leg(800)
        at.api(f"uuid_bridge {first} {second}")
        await one.wait_for(800)
        at.api(f"sim cut {first} on")
        await other.wait_for_silence()
        await one.wait_for_nothing()
        at.api(f"sim cut {first} off")
        one.forget()
        await one.wait_for(800)
        await other.wait_for(500)


async def test_a_switch_that_comes_back_has_sound_for_new_legs() -> None:
    async with house() as at:
        await at.leg(500)
        before = at.phone.statistics.connects
        at.api("sim restart")
        await at.until(lambda: at.simulator.restarts and at.phone.statistics.connects > before)
        assert not at.simulator.switch.channels
        browser, _ = await at.leg(700, "tone")
        await browser.wait_for(440)


def test_without_a_sip_port_nothing_of_the_sound_is_imported() -> None:
    program = "import sys, freeswitch.simulator.server; print({'aiortc', 'aioice', 'av'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
