"""Ringing, early media, answers, and the far end's hangup: what happens to a leg, and the hooks it runs then."""

import re

from freeswitch.simulator import channel as ch
from freeswitch.simulator import origins as at
from freeswitch.simulator import private, sdp, sip, sip_in
from freeswitch.simulator.channel import Channel

_HOOK = re.compile(r"([^ :]*)(::| |:|)(.*)", re.DOTALL)


def pre_answer(channel: Channel) -> None:
    """Start early media on an inbound leg (183 with SDP)."""
    if channel.answered or channel.early or channel.down or channel.profile is None:
        return
    if channel.direction == "inbound" and channel.name.startswith("sofia/"):
        sip_in.start_media(channel)
        if channel.leg is not None:
            channel.leg.pre_answer()
        channel.set("endpoint_disposition", "EARLY MEDIA")
    mark_pre_answered(channel)


def mark_pre_answered(channel: Channel) -> None:
    """Say that media flows before the answer (CHANNEL_PROGRESS_MEDIA)."""
    channel.early = True
    channel.touch()
    if channel.profile is not None:
        channel.profile.stamp("progress_media", channel.switch.clock.now_us())
    channel.fire(at.CHANNEL_PROGRESS_MEDIA)
    run_hooks(channel, "pre_answer")
    run_hooks(channel, "media")
    channel.set_call_state(ch.EARLY)
    channel.wake()


def ring_ready(channel: Channel) -> None:
    """Say that the leg rings (CHANNEL_PROGRESS)."""
    if channel.rung or channel.early or channel.answered or channel.down:
        return
    channel.rung = True
    now = channel.switch.clock.now_us()
    if channel.profile is not None:
        channel.profile.stamp("progress", now)
    if channel.other_type == "originator" and channel.profile_other is not None:
        channel.profile_other.stamp("progress", now)
        channel.other_changed()
    if channel.direction == "inbound" and channel.get("sip_to_tag") is None:
        channel.set("sip_to_tag", sdp.tag(channel.switch.rng))
    if channel.leg is not None:
        channel.leg.ring()
    channel.fire(at.CHANNEL_PROGRESS)
    run_hooks(channel, "ring")
    channel.set_call_state(ch.RINGING)


def answer(channel: Channel) -> None:
    """Answer an inbound leg (200 with SDP). Nothing happens on one that is answered or down."""
    if channel.answered or channel.down:
        return
    if not channel.early and channel.direction == "inbound" and channel.name.startswith("sofia/"):
        sip_in.start_media(channel)
    if channel.leg is not None:
        channel.leg.accept(channel)
    mark_answered(channel)
    channel.set("endpoint_disposition", "ANSWER")
    if channel.leg is None and channel.name.startswith("sofia/") and channel.direction == "inbound":
        channel.switch.threads.after(0.002 + channel.switch.frame_delay(), sip_in.acknowledge, channel)


def mark_answered(channel: Channel) -> None:
    """Say that the leg is answered (CHANNEL_ANSWER) and run what was to be run then."""
    channel.answered = True
    channel.touch()
    if channel.profile is not None:
        channel.profile.stamp("answered", channel.switch.clock.now_us())
    channel.fire(at.CHANNEL_ANSWER)
    run_hooks(channel, "answer")
    if not channel.early:
        run_hooks(channel, "media")
    channel.set_call_state(ch.ACTIVE)
    if channel.driver is not None:
        channel.driver.wake()
    if channel.partner is not None:
        channel.partner.wake()
    channel.wake()


def run_hooks(channel: Channel, occasion: str) -> None:
    """Run every variable whose name begins with ``execute_on_`` or ``api_on_`` and the occasion (``answer``...).

    ``app::data`` is queued; with a blank or one colon it runs here and now, in whatever thread this is.
    """
    switch = channel.switch
    if "hooked" not in channel.flags:
        return
    for prefix in ("execute_on_", "api_on_"):
        wanted = prefix + occasion
        for name in [name for name in channel.variables if name.startswith(wanted)]:
            line = channel.get(name) or ""
            if prefix == "api_on_":
                switch.run_api(private.expand(channel, line))
                continue
            app, between, data = _HOOK.match(line).groups()  # type: ignore[union-attr]  # matches anything
            if between == "::":
                private.order(channel, app, data, at.COMMAND_HOOK)
            else:
                switch.run_application(channel, app, data)


def far_end_hangs_up(channel: Channel, cause: str = "NORMAL_CLEARING") -> None:
    """Let the far end of a SIP leg end it: a BYE, or a CANCEL before the answer."""
    if channel.down:
        return
    if channel.answered:
        sip.said_bye(channel)
        channel.hang_up(cause)
        channel.set("sip_hangup_disposition", "recv_bye")
    else:
        channel.set("sip_hangup_disposition", "recv_cancel")
        channel.set("sip_invite_failure_status", "487")
        channel.set("sip_invite_failure_phrase", "CANCEL")
        channel.set("sip_term_status", "487")
        channel.set("proto_specific_hangup_cause", "sip:487")
        channel.set("sip_term_cause", "487")
        channel.hang_up("ORIGINATOR_CANCEL" if cause == "NORMAL_CLEARING" else cause)
