"""Two legs talking: the ``bridge`` application, uuid_bridge, and what is left of each leg afterwards.

The first leg's thread runs the bridge and fires CHANNEL_BRIDGE and CHANNEL_UNBRIDGE; the second one sits in
CS_EXCHANGE_MEDIA. Which leg goes where when it is over (parked, on with the dialplan, hung up) follows
switch_ivr_multi_threaded_bridge and audio_bridge_on_exchange_media, checked against a running 1.10.12.
"""

from contextlib import nullcontext

from freeswitch.simulator import answering, executing, originate, transfer
from freeswitch.simulator import channel as ch
from freeswitch.simulator import origins as at
from freeswitch.simulator.apps_media import heard_as
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.executing import app
from freeswitch.simulator.timing import Thread

_DIAL_STATUS = {
    "USER_BUSY": "BUSY",
    "NO_ANSWER": "NOANSWER",
    "NO_USER_RESPONSE": "NOANSWER",
    "ORIGINATOR_CANCEL": "CANCEL",
    "DESTINATION_OUT_OF_ORDER": "CHANUNAVAIL",
    "CALL_REJECTED": "DONTCALL",
    "SUCCESS": "SUCCESS",
}


@app("bridge")
def bridge(channel: Channel, data: str) -> Thread:
    """Call somebody and talk to them; come back when they are gone."""
    channel.set("originate_disposition", "failure")
    channel.set("DIALSTATUS", "INVALIDARGS")
    timeout = float(channel.get("call_timeout") or originate.DEFAULT_TIMEOUT_S)
    waited = channel.answered
    if waited:
        channel.set_call_state(ch.RING_WAIT)
    ringback = channel.get("transfer_ringback" if waited else "ringback")
    with heard_as(channel, ringback) if ringback else nullcontext():
        other, cause = yield from originate.call(channel.switch, data, caller=channel, timeout_s=timeout)
    if other is None:
        _failed(channel, cause)
        return
    if waited:
        _show_each_other(channel, other)
        channel.set_call_state(ch.ACTIVE)
    answer_with(channel, other)
    channel.set("originate_disposition", "SUCCESS")
    channel.set("DIALSTATUS", "SUCCESS")
    channel.set("originate_causes", f"{other.uuid};NONE")
    channel.set("originate_signal_bond", None)
    yield from talk(channel, other)


def _failed(channel: Channel, cause: str) -> None:
    channel.set("originate_disposition", cause)
    channel.set("DIALSTATUS", _DIAL_STATUS.get(cause, cause))
    if (bond := channel.get("originate_signal_bond")) is not None:
        channel.set("originate_causes", f"{bond};{cause}")
    channel.set("originate_failed_cause", cause)
    if not channel.down:
        handle_cause(channel, cause)


def handle_cause(channel: Channel, cause: str) -> None:
    """End the calling leg with the called one's cause unless its variables let it go on (continue_on_fail...)."""
    proceed = channel.get("continue_on_fail")
    failing = channel.get("failure_causes")
    if channel.get("transfer_on_fail") is None:
        if failing is not None and cause not in failing.split(",") and not ch.is_true(failing):
            return
        if proceed is not None and (ch.is_true(proceed) or cause in proceed.upper().split(",")):
            return
    channel.hang_up(cause)


def answer_with(channel: Channel, other: Channel) -> None:
    """Answer (or pre-answer) the calling leg with what the called one agreed on."""
    if channel.down:
        return
    if channel.answered or (channel.direction == "inbound" and not channel.early):
        if (sdp := other.get("switch_r_sdp")) is not None:
            channel.set("switch_m_sdp", sdp)
        channel.set("video_media_flow", "inactive")
        channel.set("text_media_flow", "inactive")
        channel.set("audio_media_flow", "sendrecv")
    if channel.answered:
        return
    if other.answered:
        answering.answer(channel)
    else:
        answering.pre_answer(channel)


def talk(channel: Channel, other: Channel, *, inner: bool = False) -> Thread:
    """Run the bridge in the first leg's thread until it ends; ``inner``: inside another bridge (att_xfer)."""
    switch = channel.switch
    if channel.down or other.down:
        other.hang_up("ORIGINATOR_CANCEL")
        return
    channel.flags.add("bridge-originator")
    other.flags.discard("bridge-originator")
    other.aim(ch.CONSUME_MEDIA)
    other.set("call_uuid", channel.uuid)
    now = switch.clock.now_us()
    for leg in (channel, other):
        if leg.profile is not None:
            leg.profile.stamp("bridged", now)
    _show_each_other(channel, other)
    if channel.get("signal_bond") != other.uuid:
        channel.set("signal_bond", other.uuid)
    ends = (("Bridge-A-Unique-ID", channel.uuid), ("Bridge-B-Unique-ID", other.uuid))
    channel.fire(at.CHANNEL_BRIDGE, before=ends)
    if other.answered and other.get("endpoint_disposition") is None:
        other.set("endpoint_disposition", "ANSWER")
        other.set("call_uuid", channel.uuid)
    for leg, mate in ((channel, other), (other, channel)):
        leg.partner = mate
        leg.set("bridge_to", mate.uuid)
        leg.set("last_bridge_to", mate.uuid)
    for leg, mate in ((channel, other), (other, channel)):
        leg.set("bridge_channel", mate.name)
        leg.set("bridge_uuid", mate.uuid)
        leg.set("signal_bond", mate.uuid)
    other.errand = _second_leg(other, channel)
    other.aim(ch.EXCHANGE_MEDIA)
    other.wake()
    state = channel.state
    shown = False
    while _goes_on(channel, other, state):
        if other.answered and not channel.answered:
            answering.answer(channel)
        if channel.answered and other.answered and not shown:
            shown = True
            switch.threads.after(
                switch.settings.tick_s * switch.rng.random(), _update_displays, channel, other
            )
        yield from _media_turn(channel)
    channel.flags.discard("bridge-originator")
    # The first leg says that the bridge is over only when the second one has left it.
    other.wake()
    while other.state == ch.EXCHANGE_MEDIA and other.partner is channel:
        other.partner = None
        other.wake()
        yield switch.settings.tick_s
    if other.partner is channel:
        # It was sent elsewhere before its own thread came into the bridge.
        other.partner = None
        other.set("bridge_to", None)
    _unbridge(channel, other, inner=inner)


def _goes_on(channel: Channel, other: Channel, state: int) -> bool:
    return (
        channel.ready
        and channel.state == state
        and not other.transferred
        and other.state in (ch.EXCHANGE_MEDIA, ch.CONSUME_MEDIA)
        and other.partner is channel
    )


def _media_turn(leg: Channel) -> Thread:
    """One turn of a leg's media loop: a message, a key, or waiting for either."""
    if leg.inbox and not leg.locked:
        yield from executing.run_message(leg, leg.inbox.popleft())
    elif leg.dtmf:
        lasts = leg.dtmf[0][1] // 8
        key = executing.take_digit(leg)
        if leg.partner is not None and leg.partner.leg is not None:
            leg.partner.leg.send_keys([(key, lasts)])
        yield leg.switch.settings.tick_s
    else:
        yield None


def _show_each_other(channel: Channel, other: Channel) -> None:
    if other.profile is not None:
        seen = other.profile.clone()
        seen.stamp("bridged", 0)
        seen.set(index="", logical_direction="inbound", transfer_source="")
        channel.show_other(seen, "originatee")
    if channel.profile is not None and not other.other_type:
        mine = channel.profile.clone()
        mine.set(index="", transfer_source="")
        other.show_other(mine, "originator")


def _second_leg(other: Channel, channel: Channel) -> Thread:
    """Sit in the bridge as its second leg, then go where that leg is to go."""
    while (
        other.ready
        and other.state == ch.EXCHANGE_MEDIA
        and other.partner is channel
        and channel.ready
        and channel.partner is other
        and "bridge-originator" in channel.flags
    ):
        yield from _media_turn(other)
    channel.wake()
    other.set("bridge_to", None)
    other.partner = None
    if other.transferred or other.state != ch.EXCHANGE_MEDIA:
        return
    if other.true("park_after_bridge"):
        transfer.park(other)
    elif (where := other.get("transfer_after_bridge")) is not None:
        transfer_after(other, where)
    elif "intercept" in other.flags:
        other.hang_up("PICKED_OFF")
    else:
        other.hang_up("NORMAL_CLEARING" if other.answered else "ORIGINATOR_CANCEL")


def transfer_after(channel: Channel, where: str) -> None:
    """Do what ``transfer_after_bridge`` says: ``extension:dialplan:context``."""
    channel.set("transfer_after_bridge", None)
    parts = [*where.split(":"), "", ""]
    transfer.go(channel, parts[0], parts[1], parts[2])


def _update_displays(channel: Channel, other: Channel) -> None:
    if other.state == ch.EXCHANGE_MEDIA and other.running != ch.EXCHANGE_MEDIA:
        channel.switch.threads.after(0.005, _update_displays, channel, other)
        return
    for leg, mate in ((channel, other), (other, channel)):
        if leg.down or leg.partner is not mate or mate.profile is None or leg.profile is None:
            continue
        # Each leg is told whom it now talks to: the callee of a called leg, the caller of a calling one.
        if leg is channel:
            name, number = leg.profile.callee_id_name, leg.profile.callee_id_number
        else:
            name, number = leg.profile.caller_id_name, leg.profile.caller_id_number
        if not number or (
            leg.get("last_sent_callee_id_number") == number
            and leg.get("last_sent_callee_id_name") == (name or number)
        ):
            continue
        leg.set("last_sent_callee_id_name", name or number)
        leg.set("last_sent_callee_id_number", number)
        leg.fire(
            at.CALL_UPDATE_SENT,
            before=(
                ("Direction", "SEND"),
                ("Sent-Callee-ID-Name", name or number),
                ("Sent-Callee-ID-Number", number),
                ("Bridged-To", mate.uuid),
            ),
        )


def _unbridge(channel: Channel, other: Channel, *, inner: bool) -> None:
    """Fire CHANNEL_UNBRIDGE on the first leg and send it where it is to go."""
    if channel.hangup_cause:
        other.set("bridge_hangup_cause", channel.hangup_cause)
    if other.hangup_cause:
        channel.set("bridge_hangup_cause", other.hangup_cause)
    channel.set("bridge_to", None)
    if channel.partner is other:
        channel.partner = None
    other.set("call_uuid", other.uuid)
    channel.fire(
        at.CHANNEL_UNBRIDGE,
        before=(("Bridge-A-Unique-ID", channel.uuid), ("Bridge-B-Unique-ID", other.uuid)),
    )
    if channel.rejoin is not None and channel.state in (ch.HIBERNATE, ch.CONSUME_MEDIA):
        # Taken out of this bridge into another one: CS_RESET at once (CF_REDIRECT).
        channel.aim(ch.RESET)
    if channel.down or channel.transferred or inner:
        return
    cause = other.hangup_cause or "NORMAL_CLEARING"
    after = channel.get("hangup_after_bridge") or ""
    if not other.answered:
        handle_cause(channel, cause)
    if after.lower() == "explicit":
        channel.hang_up(cause)
    if channel.down:
        return
    if other.answered and channel.true("park_after_bridge"):
        transfer.park(channel)
    elif other.answered and (where := channel.get("transfer_after_bridge")) is not None:
        transfer_after(channel, where)
    elif other.answered and ch.is_true(after):
        channel.hang_up(cause)
