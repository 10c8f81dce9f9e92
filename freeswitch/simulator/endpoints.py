"""The endpoints a dial string can name: sofia profiles, gateways, users, loopback, error, and who answers.

Each makes a channel in CS_INIT that its own thread takes on, or raises `Refused` with the cause that the
originate answers.
"""

from freeswitch.simulator import answering, identity, lifecycle, loopback, people, sip
from freeswitch.simulator import channel as ch
from freeswitch.simulator import origins as at
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.scripts import Person
from freeswitch.simulator.switch import Refused, Switch
from freeswitch.words import CAUSES


def make(
    switch: Switch,
    endpoint: str,
    variables: dict[str, str],
    *,
    caller: Channel | None,
    name: str,
    number: str,
) -> Channel:
    """Make the leg that ``endpoint`` names and start calling. Raises `Refused`."""
    kind, _, rest = endpoint.partition("/")
    kind = kind.lower()
    if kind == "error":
        cause = rest.strip()
        raise Refused(cause if cause in CAUSES else "NORMAL_CLEARING")
    if kind == "group":
        raise Refused("DESTINATION_OUT_OF_ORDER")
    if kind == "user":
        return _user(switch, rest, variables, caller=caller, name=name, number=number)
    if kind == "loopback":
        return loopback.make(switch, rest, variables, caller=caller, name=name, number=number)
    if kind != "sofia":
        raise Refused("CHAN_NOT_IMPLEMENTED")
    profile, _, target = rest.partition("/")
    if profile == "gateway":
        gateway, _, user = target.partition("/")
        known = switch.gateways.get(gateway)
        if known is None:
            _still_born(switch, variables)
            raise Refused("INVALID_GATEWAY")
        return _sofia(
            switch, known[0], f"{user}@{known[1]}", variables, caller=caller, name=name, number=number
        )
    if profile not in switch.profiles:
        _still_born(switch, variables)
        raise Refused("INVALID_PROFILE")
    return _sofia(switch, profile, target, variables, caller=caller, name=name, number=number)


def _still_born(switch: Switch, variables: dict[str, str]) -> None:
    """Make and destroy the session that FreeSWITCH asks for before it looks the profile or gateway up."""
    channel = switch.new_channel(variables.get("origination_uuid", ""), "N/A", "outbound")
    channel.set("direction", "outbound")
    channel.set("is_outbound", "true")
    channel.set("uuid", channel.uuid)
    channel.set("call_uuid", channel.uuid)
    channel.set("session_id", str(channel.session_id))
    channel.fire(at.CHANNEL_DESTROY)
    channel.enter(ch.DESTROY)
    switch.forget(channel)


def _user(
    switch: Switch, rest: str, variables: dict[str, str], *, caller: Channel | None, name: str, number: str
) -> Channel:
    who = rest.partition("/")[0]
    who = who if "@" in who else f"{who}@{switch.settings.ipv4}"
    found = switch.registrations.get(who)
    if found is None and who not in switch.settings.directory:
        raise Refused("SUBSCRIBER_ABSENT")
    # mod_dptools asks both modules where the user is, and each question is an API event of its own.
    for command, argument in (("sofia_contact", f"*/{rest}"), ("verto_contact", rest)):
        switch.desk.fire(at.API, before=(("API-Command", command), ("API-Command-Argument", argument)))
    if found is None:
        raise Refused("USER_NOT_REGISTERED")
    target = f"{found.user}@{found.network_ip}:{found.network_port}"
    more = {"dialed_user": found.user, "dialed_domain": found.host, **variables}
    return _sofia(switch, found.profile, target, more, caller=caller, name=name, number=number)


def _sofia(
    switch: Switch,
    profile: str,
    target: str,
    variables: dict[str, str],
    *,
    caller: Channel | None,
    name: str,
    number: str,
) -> Channel:
    target = target.removeprefix("sip:")
    uuid = variables.get("origination_uuid", "")
    user = target.partition("@")[0]
    channel = switch.new_channel(uuid, f"sofia/{profile}/{target}", "outbound")
    switch.calls_out[profile] = switch.calls_out.get(profile, 0) + 1
    channel.set("direction", "outbound")
    channel.set("is_outbound", "true")
    channel.set("uuid", channel.uuid)
    if caller is None:
        channel.set("call_uuid", channel.uuid)
    channel.set("session_id", str(channel.session_id))
    channel.set("sip_local_network_addr", switch.settings.ipv4)
    channel.set("sip_profile_name", profile)
    if caller is None:
        channel.set("video_media_flow", "disabled")
    channel.set("text_media_flow", "disabled")
    channel.set("channel_name", channel.name)
    channel.set("sip_destination_url", f"sip:{target}")
    channel.state = ch.INIT
    channel.profile = identity.outbound_profile(
        channel,
        caller=caller,
        number_called=user,
        source="src/switch_ivr_originate.c",
        variables=variables,
        name=name,
        number=number,
    )
    channel.fire(at.CHANNEL_OUTGOING)
    inherited = identity.link(channel, caller) if caller is not None else {}
    for key, value in inherited.items():
        channel.set(key, value)
    if caller is not None:
        _tell_caller(caller, channel)
    extra = {key: value for key, value in variables.items() if value}
    early = "false" if ch.is_true(variables.get("ignore_early_media")) else "true"
    extra["originate_early_media"] = early
    if caller is not None:
        extra["originating_leg_uuid"] = caller.uuid
    extra["originate_endpoint"] = "sofia"
    if caller is not None:
        extra["rtp_use_codec_string"] = "PCMU@8000h@20i"
    sip.invite(channel, profile=profile, number=user, target=target, variables=extra)
    channel.thread = switch.threads.spawn(lifecycle.outbound_thread(channel))
    person = person_for(switch, target)
    channel.pitch = person.pitch
    channel.driver = switch.threads.spawn(people.callee(channel, person, target))
    return channel


def _tell_caller(caller: Channel, channel: Channel) -> None:
    profile = channel.profile
    if profile is None:
        return
    caller.set("originate_signal_bond", channel.uuid)
    entry = f"{channel.uuid};{profile.callee_id_name};{profile.callee_id_number}"
    before = caller.variables.get("originated_legs")
    if before is None:
        caller.set("originated_legs", entry)
    else:
        caller.set("originated_legs", [*([before] if isinstance(before, str) else before), entry])


def show_callee(caller: Channel, leg: Channel) -> None:
    """Show on the calling leg whom it reaches."""
    if caller.profile is not None and leg.profile is not None:
        caller.profile.set(
            callee_id_name=leg.profile.callee_id_name, callee_id_number=leg.profile.callee_id_number
        )


def show_progress(caller: Channel, leg: Channel) -> None:
    """Show on the calling leg that the called one rings."""
    show_callee(caller, leg)
    if not caller.answered:
        answering.ring_ready(caller)
    elif caller.profile is not None and not caller.profile.progress:
        caller.profile.stamp("progress", caller.switch.clock.now_us())
    caller.rung = True


def person_for(switch: Switch, target: str) -> Person:
    """Return who picks up when ``target`` (user@host:port) is called."""
    traffic = switch.traffic
    for rule in traffic.rules:
        if rule.matches(target):
            return rule.person
    return traffic.callee
