"""Who a leg that we call says it is, and what it gets from the leg it is called for."""

from freeswitch.simulator.channel import Channel
from freeswitch.simulator.profile import Profile
from freeswitch.simulator.wire import Value

_INHERITED = ("sip_h_X-Carrier-Trace",)


def outbound_profile(
    channel: Channel,
    *,
    caller: Channel | None,
    number_called: str,
    source: str,
    variables: dict[str, str],
    name: str,
    number: str,
) -> Profile:
    """Return the profile of a leg we call: our own identity, or that of the leg it is called for."""
    now = channel.switch.clock.now_us()
    callee = ("Outbound Call", number_called)
    if caller is not None and caller.profile is not None:
        own = caller.profile
        profile = Profile(
            direction="outbound",
            uuid=channel.uuid,
            created_us=now,
            logical_direction="outbound",
            username=own.username,
            dialplan=own.dialplan,
            caller_id_name=variables.get("origination_caller_id_name", own.caller_id_name),
            caller_id_number=variables.get("origination_caller_id_number", own.caller_id_number),
            orig_caller_id_name=own.orig_caller_id_name,
            orig_caller_id_number=own.orig_caller_id_number,
            callee_id_name=callee[0],
            callee_id_number=callee[1],
            network_addr=own.network_addr,
            ani=own.ani,
            destination=number_called,
            source=own.source,
            context=own.context,
            channel_name=channel.name,
        )
        other = own.clone()
        other.set(index="", transfer_source="")
        other.forget_times()
        channel.show_other(other, "originator")
        return profile
    name = variables.get("origination_caller_id_name", name)
    number = variables.get("origination_caller_id_number", number or "0000000000")
    return Profile(
        direction="outbound",
        uuid=channel.uuid,
        created_us=now,
        logical_direction="outbound",
        caller_id_name=name,
        caller_id_number=number,
        orig_caller_id_name=name,
        orig_caller_id_number=number,
        callee_id_name=callee[0],
        callee_id_number=callee[1],
        ani=number,
        destination=number_called,
        source=source,
        context="default",
        channel_name=channel.name,
    )


def link(channel: Channel, caller: Channel) -> dict[str, Value]:
    """Return what a called leg gets from the leg it is called for, and tell that leg about it."""
    found: dict[str, Value] = {}
    for key in _INHERITED:
        if (value := caller.get(key)) is not None:
            found[key] = value
    found["max_forwards"] = str(int(caller.get("max_forwards") or "70") - 1)
    found["originator_codec"] = "PCMU@8000h@20i"
    found["originator"] = caller.uuid
    found["signal_bond"] = caller.uuid
    if (sdp := caller.get("switch_r_sdp")) is not None:
        found["switch_m_sdp"] = sdp
    if (exports := caller.get("export_vars")) is not None:
        found["export_vars"] = exports
        for key in exports.split(","):
            if (value := caller.get(key.strip())) is not None:
                found[key.strip().removeprefix("nolocal:")] = value
    found["call_uuid"] = caller.get("call_uuid") or caller.uuid
    return found
