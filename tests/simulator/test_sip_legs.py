"""Agents' legs on the simulated switch: SIP on one side, an ordinary channel on the other."""

import pytest

from freeswitch.simulator.scripts import Extension
from freeswitch.sip import Answered, Ended, Failed, SipError
from tests.simulator.frames import get
from tests.simulator.inside import OFFER, Inside


def _names(inside: Inside, leg: str) -> list[str]:
    peer = inside.bench.peers[0]
    return [get(one, "Event-Name") for one in peer.events() if get(one, "Unique-ID") == leg]


def test_a_leg_is_a_channel_with_the_call_id_as_its_uuid_that_is_answered_and_parked() -> None:
    inside = Inside()
    peer = inside.bench.connect(subscribe="plain CHANNEL_CREATE CHANNEL_ANSWER CHANNEL_PARK")
    (answered,) = [
        one for one in inside.call("leg-1", **{"X-Irisx-agent": "agt_1"}) if isinstance(one, Answered)
    ]
    assert "opus/48000" in answered.sdp
    created, answer, parked = peer.events()
    assert [get(one, "Event-Name") for one in (created, answer, parked)] == [
        "CHANNEL_CREATE", "CHANNEL_ANSWER", "CHANNEL_PARK",
    ]  # fmt: skip
    assert get(parked, "Unique-ID") == get(parked, "variable_sip_call_id") == "leg-1"
    assert get(parked, "variable_sip_h_X-Irisx-agent") == "agt_1"
    assert get(parked, "variable_sofia_profile_name") == get(parked, "Caller-Context") == "inside"
    assert get(parked, "variable_irisx_side") == "agent"
    assert get(parked, "Channel-Read-Codec-Name") == "opus"
    assert get(parked, "variable_switch_r_sdp") == OFFER
    assert get(parked, "variable_rtp_local_sdp_str") == answered.sdp


def test_the_switch_hangs_up_with_a_bye_and_takes_one() -> None:
    inside = Inside()
    inside.leg("by-switch")
    inside.bench.connect().api("uuid_kill by-switch")
    assert inside.exchange() == [Ended("by-switch", by_switch=True)]
    inside.leg("by-browser")
    peer = inside.bench.connect(subscribe="plain CHANNEL_HANGUP CHANNEL_DESTROY")
    inside.phone.bye("by-browser", now=inside.bench.now)
    assert inside.exchange() == [Ended("by-browser", by_switch=False)]
    inside.bench.run(1)
    hangup, destroyed = peer.events()
    assert get(hangup, "Hangup-Cause") == "NORMAL_CLEARING"
    assert get(destroyed, "variable_sip_hangup_disposition") == "recv_bye"
    assert not inside.server.dialogs and len(inside.media.released) == 2


def test_a_leg_that_is_not_answered_can_be_taken_back() -> None:
    inside = Inside(contexts={"inside": (Extension("^wait$", (("park", None),)),)})
    peer = inside.bench.connect(subscribe="plain CHANNEL_HANGUP")
    inside.call("early", "wait")
    inside.phone.cancel("early", now=inside.bench.now)
    inside.exchange()
    inside.bench.run(1)
    (hangup,) = peer.events()
    assert get(hangup, "Hangup-Cause") == "ORIGINATOR_CANCEL"
    assert not inside.server.dialogs and not inside.bench.switch.channels


def test_a_leg_that_the_dialplan_ends_is_refused_with_its_status() -> None:
    inside = Inside(contexts={"inside": (Extension("^busy$", (("hangup", "USER_BUSY"),)),)})
    for number, status in (("busy", 486), ("nobody", 404)):
        (failed,) = [one for one in inside.call(number, number) if isinstance(one, Failed)]
        assert failed.status == status
    assert not inside.server.dialogs


def test_who_does_not_know_the_password_is_let_in_nowhere() -> None:
    inside = Inside()
    stranger = inside.new_phone("wrong")
    stranger.invite("leg", "agent", OFFER, now=inside.bench.now)
    (failed,) = [one for one in inside.exchange(stranger) if isinstance(one, Failed)]
    assert failed.status == 403
    nameless = inside.new_phone("")
    nameless.invite("leg", "agent", OFFER, now=inside.bench.now)
    (failed,) = [one for one in inside.exchange(nameless) if isinstance(one, Failed)]
    assert failed.status == 407
    assert not inside.bench.switch.channels and inside.server.refused == 1


def test_a_uuid_in_use_is_refused_and_the_first_leg_is_unharmed() -> None:
    inside = Inside()
    channel, _ = inside.leg("twice")
    other = inside.new_phone("inside-secret")
    other.invite("twice", "agent", OFFER, now=inside.bench.now)
    (failed,) = [one for one in inside.exchange(other) if isinstance(one, Failed)]
    assert (failed.status, failed.reason) == (503, "Maximum Calls In Progress")
    assert not channel.down
    # ... whoever has it.
    inside.bench.connect().api("sim call to=9001 context=default uuid=theirs")
    other.invite("theirs", "agent", OFFER, now=inside.bench.now)
    (failed,) = [one for one in inside.exchange(other) if isinstance(one, Failed)]
    assert failed.status == 503 and "theirs" not in inside.server.dialogs
    assert len(inside.media.released) == 1, "the sound's side is told, too"


def test_a_renewed_leg_keeps_its_channel_and_its_port() -> None:
    inside = Inside()
    channel, port = inside.leg("leg")
    inside.phone.renew("leg", OFFER.replace("rHUf", "again"), now=inside.bench.now)
    (renewed,) = [one for one in inside.exchange() if isinstance(one, Answered)]
    assert inside.media.ports == [port, port]
    assert channel.get("rtp_local_sdp_str") == renewed.sdp
    inside.phone.renew("leg", "v=0\r\nnothing\r\n", now=inside.bench.now)
    (failed,) = [one for one in inside.exchange() if isinstance(one, Failed)]
    assert failed.status == 488 and not channel.down


def test_another_process_goes_on_with_a_stored_dialog() -> None:
    inside = Inside()
    (answered,) = [one for one in inside.call("leg") if isinstance(one, Answered)]
    before = inside.line
    heir = inside.new_phone("inside-secret")
    before.closed = True
    heir.restore(answered.dialog)
    heir.renew("leg", OFFER, now=inside.bench.now)
    assert any(isinstance(one, Answered) for one in inside.exchange(heir))
    # From now on the switch speaks to the heir.
    inside.bench.connect().api("uuid_kill leg")
    assert inside.exchange(heir) == [Ended("leg", by_switch=True)]


def test_an_answer_that_nobody_acknowledges_ends_the_leg_after_half_a_minute() -> None:
    patient = Extension("^patient$", (("answer", None), ("park", None)))  # (without a media_timeout)
    inside = Inside(contexts={"inside": (patient,)})
    peer = inside.bench.connect(subscribe="plain CHANNEL_HANGUP")
    inside.phone.invite("leg", "patient", OFFER, now=inside.bench.now)
    for _ in range(2):  # (the challenge comes first)
        for event in inside.line.receive(inside.phone.output(), now=inside.bench.now):
            inside.legs.handle(event)
        inside.bench.run(0.1)
        inside.phone.receive(inside.line.output(), now=inside.bench.now)
    inside.bench.run(31)
    assert not peer.events()
    inside.bench.run(2)
    assert get(peer.events()[0], "Hangup-Cause") == "RECOVERY_ON_TIMER_EXPIRE"


def test_a_leg_whose_browser_is_gone_ends_by_its_media_timeout() -> None:
    inside = Inside()
    channel, _ = inside.leg("leg")
    assert channel.get("media_timeout") == "20000"
    peer = inside.bench.connect(subscribe="plain CHANNEL_HANGUP")
    inside.talk(25, leg=500)
    assert not peer.events(), "packets come"
    inside.bench.run(19)
    assert not peer.events()
    inside.bench.run(1.5)
    assert get(peer.events()[0], "Hangup-Cause") == "MEDIA_TIMEOUT"
    assert Ended("leg", by_switch=True) in inside.exchange()


def test_keys_come_from_the_browser_and_go_to_it() -> None:
    inside = Inside()
    _, port = inside.leg("leg")
    peer = inside.bench.connect(subscribe="plain DTMF")
    port.press("5", 120)
    inside.bench.run(0.2)
    (pressed,) = peer.events()
    assert (get(pressed, "DTMF-Digit"), get(pressed, "DTMF-Duration"), get(pressed, "DTMF-Source")) == (
        "5", "960", "RTP",
    )  # fmt: skip
    peer.api("uuid_send_dtmf leg 4w2@100")
    assert list(port.keys) == [("4", 100), ("2", 100)]
    # Who does not take keys as keys hears them.
    port.takes_keys = False
    peer.api("uuid_send_dtmf leg 1@100")
    heard = inside.talk(0.2)["leg"]
    assert any(heard)


def test_a_key_in_an_info_is_a_key() -> None:
    inside = Inside()
    (answered,) = [one for one in inside.call("leg") if isinstance(one, Answered)]
    peer = inside.bench.connect(subscribe="plain DTMF")
    body = "Signal=7\r\nDuration=160\r\n"
    dialog = answered.dialog
    message = (
        f"INFO {dialog.target} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:51361;branch=z9hG4bKi\r\nFrom: {dialog.local}\r\n"
        f"To: {dialog.remote}\r\nCall-ID: leg\r\nCSeq: {dialog.cseq + 1} INFO\r\n"
        f"Content-Type: application/dtmf-relay\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    for event in inside.line.receive(message.encode(), now=inside.bench.now):
        inside.legs.handle(event)
    inside.bench.run(0.2)
    assert get(peer.events()[0], "DTMF-Digit") == "7"
    assert b"SIP/2.0 200 OK" in inside.line.output()


def test_keys_pass_from_one_browser_of_a_bridge_to_the_other() -> None:
    inside = Inside()
    (_, one), (_, other) = inside.leg("one"), inside.leg("other")
    inside.bench.connect().api("uuid_bridge one other")
    inside.bench.run(0.5)
    one.press("9", 100)
    inside.bench.run(0.5)
    assert list(other.keys) == [("9", 100)]


def test_a_switch_that_comes_back_knows_no_leg_of_before() -> None:
    inside = Inside()
    inside.leg("leg")
    inside.legs.drop()
    assert len(inside.media.released) == 1


def test_a_standby_switch_does_not_take_browsers_over() -> None:
    inside = Inside()
    inside.leg("leg")
    peer = inside.bench.connect()
    assert peer.api("sim recoverable") == "+OK 0 legs\n"
    assert not inside.bench.switch.channels and len(inside.media.released) == 1
    assert inside.exchange() == [], "nothing is said"
    inside.phone.bye("leg", now=inside.bench.now)
    assert inside.exchange() == [Ended("leg", by_switch=False)]


def test_what_is_no_sip_ends_the_connection() -> None:
    inside = Inside()
    with pytest.raises(SipError):
        inside.line.receive(b"HELLO\r\nContent-Length: 0\r\n\r\n", now=0)
