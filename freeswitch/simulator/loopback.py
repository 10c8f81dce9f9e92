"""The loopback endpoint: two channels back to back, ``-a`` called and ``-b`` arriving in a dialplan context."""

from freeswitch.simulator import answering, codec, identity, lifecycle
from freeswitch.simulator import channel as ch
from freeswitch.simulator import origins as at
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.profile import Profile
from freeswitch.simulator.switch import Refused, Switch
from freeswitch.simulator.timing import Thread

_CHANNEL_UUID = at.origin("CHANNEL_UUID", "switch_core_session.c", "switch_core_session_set_uuid", 1672)


def make(
    switch: Switch, rest: str, variables: dict[str, str], *, caller: Channel | None, name: str, number: str
) -> Channel:
    """Make both legs of ``loopback/EXTENSION[/CONTEXT[/DIALPLAN]]``; returns the ``-a`` leg."""
    extension, _, place = rest.partition("/")
    context, _, dialplan = place.partition("/")
    context = context or "default"
    a = switch.new_channel("", f"loopback/{rest}-a", "outbound")
    a.set("direction", "outbound")
    a.set("is_outbound", "true")
    a.set("uuid", a.uuid)
    a.set("call_uuid", a.uuid)
    a.set("session_id", str(a.session_id))
    codec.agree_loopback(a)
    a.name = f"loopback/{extension}-a"
    a.set("channel_name", a.name)
    a.state = ch.INIT
    wanted = variables.get("origination_uuid")
    a.profile = identity.outbound_profile(
        a,
        caller=caller,
        number_called=extension,
        source="mod_loopback",
        variables=variables,
        name=name,
        number=number,
    )
    a.profile.set(
        dialplan=dialplan or "xml",
        context=context,
        callee_id_number=context,
        channel_name=a.name,
        source="mod_loopback",
    )
    a.touch()
    if wanted:
        rename(a, wanted)
    a.fire(at.CHANNEL_OUTGOING)
    if caller is not None:
        for key, value in identity.link(a, caller).items():
            a.set(key, value)
        a.set("originating_leg_uuid", caller.uuid)
    a.set_many({key: value for key, value in variables.items() if value})
    a.set("originate_early_media", "false" if ch.is_true(variables.get("ignore_early_media")) else "true")
    a.set("originate_endpoint", "loopback")
    b = _other_half(a, extension, context, dialplan or "xml")
    a.thread = switch.threads.spawn(_a_thread(a, b, list(variables)))
    a.driver = switch.threads.spawn(_couple(a, b))
    a.waiters.append(a.driver)
    b.waiters.append(a.driver)
    return a


def rename(channel: Channel, uuid: str) -> None:
    """Give a channel another uuid and say so (CHANNEL_UUID). Raises `Refused` when it is in use."""
    switch = channel.switch
    if uuid in switch.channels:
        switch.forget(channel)
        raise Refused("DESTINATION_OUT_OF_ORDER")
    old = channel.uuid
    del switch.channels[old]
    channel.uuid = uuid
    switch.channels[uuid] = channel
    channel.set("uuid", uuid)
    channel.set("call_uuid", uuid)
    if channel.profile is not None:
        channel.profile.set(uuid=uuid)
    channel.touch()
    channel.fire(_CHANNEL_UUID, before=(("Old-Unique-ID", old),))


def _other_half(a: Channel, extension: str, context: str, dialplan: str) -> Channel:
    switch = a.switch
    b = switch.new_channel("", f"loopback/{extension}-b", "inbound")
    own = a.profile
    b.profile = Profile(
        direction="inbound",
        uuid=b.uuid,
        created_us=switch.clock.now_us(),
        dialplan=dialplan,
        caller_id_name=own.caller_id_name if own else "",
        caller_id_number=own.caller_id_number if own else "",
        orig_caller_id_name=own.orig_caller_id_name if own else "",
        orig_caller_id_number=own.orig_caller_id_number if own else "",
        callee_id_name=own.callee_id_name if own else "",
        callee_id_number=own.callee_id_number if own else "",
        ani=own.ani if own else "",
        destination=extension,
        source="mod_loopback",
        context=context,
        channel_name=b.name,
    )
    b.set("direction", "inbound")
    b.set("uuid", b.uuid)
    b.set("call_uuid", b.uuid)
    b.set("session_id", str(b.session_id))
    b.set("channel_name", b.name)
    a.set("other_loopback_leg_uuid", b.uuid)
    return b


def _a_thread(a: Channel, b: Channel, given: list[str]) -> Thread:
    a.enter(ch.INIT)
    profile, b.profile = b.profile, None
    codec.agree_loopback(b)
    b.profile = profile
    for name in given:
        b.set(name, a.get(name))
    b.set("other_loopback_leg_uuid", a.uuid)
    b.set("loopback_leg", "B")
    b.thread = a.switch.threads.spawn(lifecycle.inbound_thread(b))
    if b.down:
        a.hang_up(b.hangup_cause)
    a.set("loopback_leg", "A")
    a.aim(ch.ROUTING)
    a.fire(at.CHANNEL_CREATE)
    if b.answered:
        answering.mark_answered(a)
    a.fire(at.CHANNEL_ORIGINATE)
    yield from lifecycle.states(a)


def _couple(a: Channel, b: Channel) -> Thread:
    """Pass on what happens to one half: the answer and the hangup."""
    while not a.down and not b.down:
        if b.answered and not a.answered:
            answering.mark_answered(a)
        elif b.early and not a.early and not a.answered:
            answering.mark_pre_answered(a)
        yield None
    if b.down:
        a.hang_up(b.hangup_cause)
    else:
        b.hang_up(a.hangup_cause)
