"""Applications that join other people's calls: eavesdrop, three_way, intercept, att_xfer."""

from freeswitch.simulator import answering, bridge, codec, executing, joining, originate
from freeswitch.simulator import channel as ch
from freeswitch.simulator import origins as at
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.executing import app
from freeswitch.simulator.hearing import Spying
from freeswitch.simulator.timing import Thread

_WHISPER = {"0": (False, False), "1": (False, True), "2": (True, False), "3": (True, True)}
"""Keys while listening: whom the listener speaks to, the leg itself and the other one (switch_ivr_async.c)."""


def _listen(channel: Channel, target: Channel, *, aloud: bool = False) -> Thread:
    """Hang a media bug on ``target`` and stay until either end is gone; ``aloud``: everybody hears the listener."""
    codec.read_as(channel, "L16")
    bug = (("Media-Bug-Function", "eavesdrop"), ("Media-Bug-Target", channel.uuid))
    # Not among `Channel.bugs`: this one ends when its listener notices, before the target does.
    target.fire(at.MEDIA_BUG_START, before=bug)
    if target.profile is not None and channel.profile is not None:
        name, number = target.profile.caller_id_name, target.profile.caller_id_number
        channel.set("last_sent_callee_id_name", name or number)
        channel.set("last_sent_callee_id_number", number)
        channel.fire(
            at.CALL_UPDATE_SENT,
            before=(
                ("Direction", "SEND"),
                ("Sent-Callee-ID-Name", name or number),
                ("Sent-Callee-ID-Number", number),
            ),
        )
    current = channel.switch.threads.current
    if current is not None:
        target.waiters.append(current)
    hearing = channel.switch.hearing
    spying = Spying(
        listener=channel,
        target=target,
        to_target=aloud or channel.true("eavesdrop_whisper_bleg"),
        to_others=aloud or channel.true("eavesdrop_whisper_aleg"),
    )
    if hearing is not None:
        hearing.spy(spying)
    # Nobody looks at private events here: a broadcast or a sendmsg waits until the listening is over.
    while channel.ready and not target.down:
        if channel.dtmf:
            key = executing.take_digit(channel)
            if key in _WHISPER and (channel.get("eavesdrop_enable_dtmf") or "true").lower() != "false":
                spying.to_target, spying.to_others = _WHISPER[key]
            yield channel.switch.settings.tick_s
            continue
        yield None
    if hearing is not None:
        hearing.unspy(spying)
    if current in target.waiters:
        target.waiters.remove(current)
    target.fire(at.MEDIA_BUG_STOP, before=bug)
    codec.read_as_agreed(channel)


@app("eavesdrop", media=True)
def eavesdrop(channel: Channel, data: str) -> Thread:
    """Listen to the channel with that uuid; ``all`` listens to whoever is there, one after the other."""
    if data == "all":
        while channel.ready:
            others = [one for one in channel.switch.channels.values() if one is not channel and one.answered]
            if not others:
                yield from executing.pause(channel, 1.0)
                continue
            yield from _listen(channel, others[0])
        return
    target = channel.switch.channels.get(data)
    if target is not None and not target.down and target is not channel:
        yield from _listen(channel, target)


@app("three_way", media=True)
def three_way(channel: Channel, data: str) -> Thread:
    target = channel.switch.channels.get(data)
    if target is not None and not target.down and target is not channel:
        yield from _listen(channel, target, aloud=True)


@app("intercept")
def intercept(channel: Channel, data: str) -> None:
    """Take over ``[-bleg] uuid``: its partner is hung up with PICKED_OFF."""
    words = data.split()
    if not words:
        return
    target = channel.switch.channels.get(words[-1])
    if target is not None and "-bleg" in words and target.partner is not None:
        target = target.partner
    if target is None or target.down or target is channel:
        return
    if not channel.answered:
        answering.answer(channel)
    partner = target.partner
    if partner is not None:
        partner.flags.add("intercept")
        target.flags.discard("bridge-originator")
        partner.hang_up("PICKED_OFF")
    joining.join(channel, target)


@app("att_xfer")
def att_xfer(channel: Channel, data: str) -> Thread:
    """Consult somebody; when this leg hangs up afterwards, its partner is bridged to them."""
    partner = channel.partner
    if partner is None:
        return
    channel.set_call_state(ch.RING_WAIT)
    other, _ = yield from originate.call(channel.switch, data, caller=channel)
    channel.set_call_state(ch.ACTIVE)
    if other is None:
        return
    other.set("park_after_bridge", "true")
    inside = channel.partner
    yield from bridge.talk(channel, other, inner=True)
    channel.partner = inside
    if channel.down and not other.down and not partner.down:
        other.set("park_after_bridge", None)
        channel.set("transfer_disposition", "recv_replace")
        joining.join(other, partner)
    elif not other.down:
        other.hang_up("NORMAL_CLEARING")
