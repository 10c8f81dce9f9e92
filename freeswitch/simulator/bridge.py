"""Two legs talking: the ``bridge`` application, uuid_bridge, and what is said when it ends.

The first leg's thread runs the bridge (it fires CHANNEL_BRIDGE and CHANNEL_UNBRIDGE), the second one sits in
CS_EXCHANGE_MEDIA until the first lets it go, hangs up or is taken elsewhere.
"""

from freeswitch.simulator import channel as ch
from freeswitch.simulator import lifecycle, originate, sip
from freeswitch.simulator import origins as at
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.lifecycle import app
from freeswitch.simulator.timing import Thread


@app("bridge")
def bridge(channel: Channel, data: str) -> Thread:
    """Call somebody and talk to them; come back when they are gone."""
    channel.set("originate_disposition", "failure")
    channel.set("DIALSTATUS", "INVALIDARGS")
    timeout = float(channel.get("call_timeout") or originate.DEFAULT_TIMEOUT_S)
    ring_back(channel)
    other, cause = yield from originate.call(channel.switch, data, caller=channel, timeout_s=timeout)
    if other is None:
        _failed(channel, cause)
        return
    other_answered = other.answered
    if channel.down:
        lifecycle.hang_up(other, "ORIGINATOR_CANCEL")
        return
    if other_answered and not channel.answered:
        _answer_through(channel, other)
    elif not other_answered and not channel.answered:
        lifecycle.pre_answer(channel)
    channel.set("originate_disposition", "SUCCESS")
    channel.set("DIALSTATUS", "SUCCESS")
    channel.set("originate_causes", f"{other.uuid};NONE")
    channel.set("originate_signal_bond", None)
    yield from talk(channel, other)
    if channel.down:
        return
    if channel.true("hangup_after_bridge") and not channel.transferred:
        lifecycle.hang_up(channel, other.hangup_cause or "NORMAL_CLEARING")
    elif channel.true("park_after_bridge") and not channel.transferred:
        channel.set("park_after_bridge", None)
        yield from lifecycle.execute(channel, "park", None)


def ring_back(channel: Channel) -> None:
    """Nothing is played to the caller here; the variable only makes the leg count as early."""
    if channel.get("ringback") is not None and not channel.answered:
        lifecycle.pre_answer(channel)


def _failed(channel: Channel, cause: str) -> None:
    channel.set("originate_failed_cause", cause)
    channel.set("originate_disposition", cause)
    channel.set("DIALSTATUS", _DIAL_STATUS.get(cause, cause))
    channel.set("hangup_cause", cause)
    if channel.down:
        return
    proceed = channel.get("continue_on_fail")
    if proceed is None or (not ch.is_true(proceed) and cause not in proceed.split(",")):
        # Without leave to go on, a failed bridge ends the call with the far end's cause.
        if not channel.answered or proceed is None:
            lifecycle.hang_up(channel, cause)


_DIAL_STATUS = {
    "USER_BUSY": "BUSY",
    "NO_ANSWER": "NOANSWER",
    "NO_USER_RESPONSE": "NOANSWER",
    "ORIGINATOR_CANCEL": "CANCEL",
    "DESTINATION_OUT_OF_ORDER": "CHANUNAVAIL",
    "CALL_REJECTED": "DONTCALL",
}


def _answer_through(channel: Channel, other: Channel) -> None:
    """Answer the calling leg with what the called one agreed on."""
    if channel.direction != "inbound":
        lifecycle.answer(channel)
        return
    if (sdp := other.get("switch_r_sdp")) is not None:
        channel.set("switch_m_sdp", sdp)
    channel.set("video_media_flow", "inactive")
    channel.set("text_media_flow", "inactive")
    channel.set("audio_media_flow", "sendrecv")
    lifecycle.answer(channel)


def talk(channel: Channel, other: Channel) -> Thread:
    """Run the bridge in the first leg's thread until it ends; both legs may go on afterwards."""
    switch = channel.switch
    now = switch.clock.now_us()
    for leg, mate in ((channel, other), (other, channel)):
        leg.partner = mate
        if leg.profile is not None:
            leg.profile.stamp("bridged", now)
    if other.profile is not None:
        seen = other.profile.clone()
        seen.stamp("bridged", 0)
        seen.set(index="", logical_direction="inbound")
        channel.show_other(seen, "originatee")
    if channel.profile is not None and other.other_type == "":
        mine = channel.profile.clone()
        mine.set(index="")
        other.show_other(mine, "originator")
    channel.set("signal_bond", other.uuid)
    channel.flags.discard("unbridge")
    ends = (("Bridge-A-Unique-ID", channel.uuid), ("Bridge-B-Unique-ID", other.uuid))
    channel.fire(at.CHANNEL_BRIDGE, before=ends)
    other.set("endpoint_disposition", other.get("endpoint_disposition") or "ANSWER")
    other.set("call_uuid", channel.get("call_uuid") or channel.uuid)
    for leg, mate in ((channel, other), (other, channel)):
        leg.set("bridge_to", mate.uuid)
        leg.set("last_bridge_to", mate.uuid)
        leg.set("bridge_channel", mate.name)
        leg.set("bridge_uuid", mate.uuid)
    other.set("signal_bond", channel.uuid)
    other.errand = _second(other, channel)
    other.aim(ch.EXCHANGE_MEDIA)
    other.wake()
    switch.threads.after(switch.settings.tick_s, _update_displays, channel, other)
    while channel.ready and other.ready and other.partner is channel and "unbridge" not in channel.flags:
        if channel.inbox and not channel.locked:
            yield from lifecycle.run_message(channel, channel.inbox.popleft())
            continue
        if channel.dtmf:
            lifecycle.take_digit(channel)
            yield switch.settings.tick_s
            continue
        yield None
    _part(channel, other)


def _second(other: Channel, channel: Channel) -> Thread:
    """Sit in the bridge as its second leg."""
    while other.ready and other.partner is channel and other.state == ch.EXCHANGE_MEDIA:
        if other.inbox and not other.locked:
            yield from lifecycle.run_message(other, other.inbox.popleft())
            continue
        if other.dtmf:
            lifecycle.take_digit(other)
            yield other.switch.settings.tick_s
            continue
        yield None
    channel.wake()


def _update_displays(channel: Channel, other: Channel) -> None:
    for leg, mate, callee in ((channel, other, True), (other, channel, False)):
        if leg.down or leg.partner is not mate or mate.profile is None or leg.profile is None:
            continue
        if callee:
            name, number = mate.profile.callee_id_name, mate.profile.callee_id_number
        else:
            name, number = leg.profile.caller_id_name, leg.profile.caller_id_number
        if not name and not number:
            continue
        leg.set("last_sent_callee_id_name", name)
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


def about_to_hang_up(channel: Channel) -> None:
    """Write on a bridged leg what it gets right before CHANNEL_HANGUP."""
    if channel.partner is not None:
        role = "originator" if channel.other_type == "originatee" else "originatee"
        channel.set("last_bridge_role", role)


def _part(channel: Channel, other: Channel) -> None:
    """End the bridge: the second leg is hung up unless it was taken elsewhere, then CHANNEL_UNBRIDGE."""
    cause = channel.hangup_cause or other.hangup_cause or "NORMAL_CLEARING"
    taken = other.partner is not channel or other.transferred or other.state != ch.EXCHANGE_MEDIA
    channel.set("bridge_to", None)
    if other.partner is channel:
        other.partner = None
        other.set("bridge_to", None)
    if channel.partner is other:
        channel.partner = None
    stays = other.true("park_after_bridge") or "unbridge" in channel.flags
    if not other.down and not taken:
        other.set("last_bridge_hangup_cause", cause)
        if stays and other.true("park_after_bridge"):
            other.extension.clear()
            other.extension.append(("park", None))
            other.aim(ch.EXECUTE)
            other.transferred = True
            other.wake()
        elif "unbridge" not in channel.flags:
            lifecycle.hang_up(other, cause)
            other.set("bridge_hangup_cause", cause)
            other.set("call_uuid", other.uuid)
    channel.flags.discard("unbridge")
    channel.set("bridge_hangup_cause", cause)
    channel.fire(
        at.CHANNEL_UNBRIDGE,
        before=(("Bridge-A-Unique-ID", channel.uuid), ("Bridge-B-Unique-ID", other.uuid)),
    )


def refresh_display(channel: Channel) -> None:
    """Make a new offer of our own on an answered leg (hold, renegotiation)."""
    if channel.answered:
        sip.reoffer(channel)


def join(first: Channel, second: Channel) -> None:
    """Bridge two legs that are up already (uuid_bridge): both leave what they execute."""
    for leg, mate in ((first, second), (second, first)):
        leg.partner, old = None, leg.partner
        if old is not None and old is not mate:
            # The one left behind finds itself alone: its own bridge ends as if the mate had gone.
            old.flags.add("left-alone")
            old.wake()
        leg.extension.clear()
    if not first.answered:
        lifecycle.answer(first)
    second.errand = None
    first.errand = _joined(first, second)
    second.aim(ch.HIBERNATE)
    second.transferred = True
    first.aim(ch.SOFT_EXECUTE)
    first.transferred = True
    second.wake()
    first.wake()


def _joined(first: Channel, second: Channel) -> Thread:
    """Run a bridge made by uuid_bridge in the first leg's thread."""
    while second.state == ch.HIBERNATE and second.running != ch.HIBERNATE and first.ready:
        yield first.switch.settings.tick_s or 0.001
    if not first.ready or second.down:
        lifecycle.hang_up(first, second.hangup_cause or "NORMAL_CLEARING")
        return
    if not second.answered and second.direction == "inbound":
        lifecycle.answer(second)
    yield from talk(first, second)
    if not first.ready:
        return
    if first.true("park_after_bridge"):
        first.set("park_after_bridge", None)
        first.extension.append(("park", None))
        first.aim(ch.EXECUTE)
    elif first.state == ch.SOFT_EXECUTE:
        lifecycle.hang_up(first, second.hangup_cause or "NORMAL_CLEARING")
