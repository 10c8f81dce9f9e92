"""Hold: a re-INVITE, a call state and two events. The other leg of a bridge hears nothing of it here."""

from freeswitch.simulator import channel as ch
from freeswitch.simulator import origins as at
from freeswitch.simulator import sip_in
from freeswitch.simulator.channel import Channel


def hold(channel: Channel) -> None:
    """Put the far end on hold: call state HELD and CHANNEL_HOLD. Only answered legs can be held."""
    if not channel.answered or channel.down or channel.held:
        return
    channel.held = True
    now = channel.switch.clock.now_us()
    channel.set_call_state(ch.HELD)
    if channel.profile is not None:
        channel.profile.stamp("last_hold", now)
    channel.hold_spans.append([now, 0])
    sip_in.reoffer(channel)
    channel.fire(at.CHANNEL_HOLD)


def unhold(channel: Channel) -> None:
    """Take the far end off hold; the call state goes through UNHELD to ACTIVE."""
    if not channel.held or channel.down:
        return
    channel.held = False
    now = channel.switch.clock.now_us()
    channel.set_call_state(ch.UNHELD)
    span = channel.hold_spans[-1]
    span[1] = now
    if channel.profile is not None:
        channel.profile.stamp("hold_accum", channel.profile.hold_accum + now - span[0])
    sip_in.reoffer(channel)
    channel.fire(at.CHANNEL_UNHOLD)
    channel.switch.threads.after(channel.switch.frame_delay(), _active_again, channel)


def _active_again(channel: Channel) -> None:
    if not channel.down and not channel.held and channel.call_state == ch.UNHELD:
        channel.set_call_state(ch.ACTIVE)
