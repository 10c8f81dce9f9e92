"""The life of a channel: from the first state to the last event, one generator for each channel.

The order of events is the captures': states are announced when the channel's thread enters them, the
hangup when somebody asks for it, and everything a running application still owes in between.
"""

from freeswitch.simulator import channel as ch
from freeswitch.simulator import origins as at
from freeswitch.simulator import reporting, transfer
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.executing import execute, run_message, stay_parked, take_digit
from freeswitch.simulator.timing import Thread


def inbound_thread(channel: Channel) -> Thread:
    """Live an inbound leg whose INVITE has been read, from CS_INIT on."""
    channel.aim(ch.INIT)
    channel.enter(ch.INIT)
    channel.aim(ch.ROUTING)
    channel.fire(at.CHANNEL_CREATE)
    yield from states(channel)


def outbound_thread(channel: Channel) -> Thread:
    """Live a leg we call, from CS_INIT on; `originate` decides when it leaves CS_CONSUME_MEDIA."""
    channel.enter(ch.INIT)
    channel.aim(ch.ROUTING)
    channel.fire(at.CHANNEL_CREATE)
    channel.fire(at.CHANNEL_ORIGINATE)
    yield from states(channel)


def states(channel: Channel) -> Thread:
    """Follow the states the channel is told to go to until it is destroyed."""
    while channel.state < ch.HANGUP:
        state = channel.state
        channel.transferred = False
        if state == ch.ROUTING:
            yield from _routing(channel)
        elif state == ch.EXECUTE:
            channel.enter(ch.EXECUTE)
            yield from _executing(channel)
        elif state == ch.RESET:
            channel.enter(ch.RESET)
            rejoin, channel.rejoin = channel.rejoin, None
            if rejoin is not None:
                yield from rejoin
            yield from _stay(channel, ch.RESET)
        elif channel.rejoin is not None:
            # On the way to a bridge by uuid_bridge: asleep for a moment, then CS_RESET.
            channel.enter(state)
            channel.aim(ch.RESET)
        elif state == ch.PARK:
            channel.enter(ch.PARK)
            yield from stay_parked(channel)
            # Told to park where it was parked already, it leaves the park and its thread sleeps: what it is told waits,
            # nothing is played, and only another state wakes it (seen on 1.10.12).
            while channel.state == ch.PARK:
                yield None
        else:
            channel.enter(state)
            errand, channel.errand = channel.errand, None
            if errand is not None:
                yield from errand
            yield from _stay(channel, state)
    yield from _ending(channel)


def _stay(channel: Channel, state: int) -> Thread:
    """Wait in a state without an application of its own, serving messages and digits as media loops do."""
    while channel.state == state and not channel.transferred:
        if channel.inbox and not channel.locked and state != ch.HIBERNATE:
            yield from run_message(channel, channel.inbox.popleft())
            continue
        if channel.dtmf and state in (ch.EXCHANGE_MEDIA, ch.CONSUME_MEDIA):
            take_digit(channel)
            yield channel.switch.settings.tick_s
            continue
        yield None


def _routing(channel: Channel) -> Thread:
    channel.enter(ch.ROUTING)
    if channel.direction == "outbound" and not channel.profile_dialplan():
        # Our own call: nothing to look up, wait for what originate decides. A refusal may be faster.
        yield 0.0
        channel.aim(ch.CONSUME_MEDIA)
        return
    channel.set("call_uuid", channel.uuid)
    if "xferext" in channel.flags:
        channel.flags.discard("xferext")
        channel.aim(ch.EXECUTE)
        return
    # The dialplan is asked with a REQUEST_PARAMS event that nobody receives: its number is missing.
    channel.switch.desk.stamp()
    found = channel.switch.route(channel)
    if channel.down:
        return
    if found is None:
        channel.hang_up("NO_ROUTE_DESTINATION")
        return
    at_once, later = found
    for name, data in at_once:
        yield from execute(channel, name, data)
    if channel.state != ch.ROUTING:
        return
    channel.extension.clear()
    channel.extension.extend(later)
    channel.plan = list(later)
    transfer.turn_round(channel)
    channel.aim(ch.EXECUTE)


def _executing(channel: Channel) -> Thread:
    channel.set("call_uuid", channel.uuid)
    while channel.extension and channel.ready and channel.state == ch.EXECUTE:
        name, data = channel.extension.popleft()
        yield from execute(channel, name, data)
    channel.application = channel.application_data = ""
    if channel.ready and channel.state == ch.EXECUTE:
        channel.hang_up()


def _ending(channel: Channel) -> Thread:
    switch = channel.switch
    channel.enter(ch.HANGUP)
    for recording in list(channel.recordings.values()):
        recording.stop(channel)
    for function, target in channel.bugs.items():
        channel.fire(
            at.MEDIA_BUG_STOP, before=(("Media-Bug-Function", function), ("Media-Bug-Target", target))
        )
    channel.bugs.clear()
    if channel.profile is not None:
        channel.profile.stamp("hungup", switch.clock.now_us())
    channel.set_call_state(ch.HUNG_UP)
    reporting.set_durations(channel)
    if channel.hangup_cause == "LOSE_RACE":
        channel.set("call_completed_elsewhere", "true")
    if channel.name.startswith("loopback/"):
        channel.set("is_loopback", "1")
    if channel.name.startswith("sofia/") and channel.get("sip_hangup_disposition") is None:
        if channel.answered:
            how = "send_bye"
        else:
            how = "send_refuse" if channel.direction == "inbound" else "send_cancel"
        channel.set("sip_hangup_disposition", how)
        if how == "send_cancel":
            channel.set("sip_invite_failure_status", "487")
            channel.set("sip_invite_failure_phrase", "CANCEL")
    if channel.codec == "PCMU" or channel.leg is not None:
        reporting.set_rtp(channel)
    channel.state = ch.REPORTING
    channel.enter(ch.REPORTING)
    for name in ("api_hangup_hook", "api_reporting_hook"):
        if (hook := channel.get(name)) is not None:
            switch.run_api(hook)
    if switch.settings.complete_delay_s:
        yield switch.rng.random() * switch.settings.complete_delay_s
    channel.fire(at.CHANNEL_HANGUP_COMPLETE, before=(("Hangup-Cause", channel.hangup_cause),))
    channel.state = ch.DESTROY
    channel.touch()
    yield from ()
    # Connections that control the session hold it: CHANNEL_DESTROY waits until they let go.
    while channel.holders:
        yield None
    channel.fire(at.CHANNEL_DESTROY)
    channel.enter(ch.DESTROY)
    switch.forget(channel)
    for waiter in channel.waiters:
        waiter.wake()
