"""What mod_sofia writes on a channel that an INVITE has made: variable names and their order as data.

Order and names are those of the captures (1.10.12, PCMU, no authentication); the values are made up by
the simulator for a far end that does not exist.
"""

from freeswitch.simulator.channel import Channel
from freeswitch.simulator.scripts import Caller
from freeswitch.simulator.sdp import local_sdp, media_port, next_version, remote_sdp, tag
from freeswitch.simulator.sip import transport
from freeswitch.simulator.wire import Value, plain_line

# Everything a freshly arrived INVITE leaves on a channel, in order; None is filled in for each call.
_INBOUND: tuple[tuple[str, str | None], ...] = (
    ("direction", "inbound"),
    ("uuid", None),
    ("call_uuid", None),
    ("session_id", None),
    ("sip_from_user", None),
    ("sip_from_port", None),
    ("sip_from_uri", None),
    ("sip_from_host", None),
    ("video_media_flow", "disabled"),
    ("text_media_flow", "disabled"),
    ("channel_name", None),
    ("sip_call_id", None),
    ("sip_local_network_addr", None),
    ("sip_network_ip", None),
    ("sip_network_port", None),
    ("sip_invite_stamp", None),
    ("sip_received_ip", None),
    ("sip_received_port", None),
    ("sip_via_protocol", "udp"),
    ("sip_from_user_stripped", None),
    ("sip_from_tag", None),
    ("sofia_profile_name", None),
    ("sofia_profile_url", None),
    ("recovery_profile_name", None),
    ("sip_full_via", None),
    ("sip_from_display", None),
    ("sip_full_from", None),
    ("sip_full_to", None),
    ("sip_req_user", None),
    ("sip_req_port", None),
    ("sip_req_uri", None),
    ("sip_req_host", None),
    ("sip_to_user", None),
    ("sip_to_port", None),
    ("sip_to_uri", None),
    ("sip_to_host", None),
    ("sip_contact_user", None),
    ("sip_contact_port", None),
    ("sip_contact_uri", None),
    ("sip_contact_host", None),
    ("sip_subject", None),
    ("sip_via_host", None),
    ("sip_via_port", None),
    ("max_forwards", "70"),
    ("sip_h_X-Carrier-Trace", None),
    ("switch_r_sdp", None),
    ("ep_codec_string", "CORE_PCM_MODULE.PCMU@8000h@20i@64000b"),
    ("rtp_use_codec_string", "PCMU,PCMA"),
    ("remote_video_media_flow", "inactive"),
    ("remote_text_media_flow", "inactive"),
    ("remote_audio_media_flow", "sendrecv"),
    ("audio_media_flow", "sendrecv"),
    ("remote_media_ip", None),
    ("remote_media_port", None),
    ("rtp_audio_recv_pt", "0"),
    ("rtp_use_codec_name", "PCMU"),
    ("rtp_use_codec_rate", "8000"),
    ("rtp_use_codec_ptime", "20"),
    ("rtp_use_codec_channels", "1"),
    ("rtp_last_audio_codec_string", "PCMU@8000h@20i@1c"),
    ("read_codec", "PCMU"),
    ("original_read_codec", "PCMU"),
    ("read_rate", "8000"),
    ("original_read_rate", "8000"),
    ("write_codec", "PCMU"),
    ("write_rate", "8000"),
    ("dtmf_type", "rfc2833"),
    ("endpoint_disposition", "RECEIVED"),
)
_INBOUND_TEMPLATE: dict[str, Value] = {name: value or "" for name, value in _INBOUND}
_INBOUND_LINES = {name: plain_line(f"variable_{name}", value) for name, value in _INBOUND if value}


def arrive(channel: Channel, caller: Caller) -> None:
    """Write what an INVITE from ``caller`` brings."""
    rng, ip, port = channel.switch.rng, caller.ip, caller.port
    local = channel.switch.settings.ipv4
    profile, to, number = caller.profile, caller.destination, caller.number
    sip_port = channel.switch.sip_port(profile)
    url = f"sip:mod_sofia@{local}:{sip_port}"
    from_tag, branch = tag(rng), tag(rng)
    display = f'"{caller.name}" ' if caller.name else ""
    media = 20000 + 2 * rng.randrange(16000)
    called = f"{to}@{local}:{sip_port}"
    dynamic = {
        "uuid": channel.uuid,
        "call_uuid": channel.uuid,
        "session_id": str(channel.session_id),
        "sip_from_user": number,
        "sip_from_port": str(port),
        "sip_from_uri": f"{number}@{ip}:{port}",
        "sip_from_host": ip,
        "channel_name": channel.name,
        "sip_call_id": f"{channel.session_id}-{rng.randrange(1 << 30)}@{ip}",
        "sip_local_network_addr": local,
        "sip_network_ip": ip,
        "sip_network_port": str(port),
        "sip_invite_stamp": str(channel.switch.clock.now_us()),
        "sip_received_ip": ip,
        "sip_received_port": str(port),
        "sip_from_user_stripped": number.removeprefix("+"),
        "sip_from_tag": from_tag,
        "sofia_profile_name": profile,
        "sofia_profile_url": url,
        "recovery_profile_name": profile,
        "sip_full_via": f"SIP/2.0/UDP {ip}:{port};branch=z9hG4bK-{branch}",
        "sip_from_display": caller.name,
        "sip_full_from": f"{display}<sip:{number}@{ip}:{port}>;tag={from_tag}",
        "sip_full_to": f"<sip:{called}>",
        "sip_req_user": to,
        "sip_req_port": str(sip_port),
        "sip_req_uri": called,
        "sip_req_host": local,
        "sip_to_user": to,
        "sip_to_port": str(sip_port),
        "sip_to_uri": called,
        "sip_to_host": local,
        "sip_contact_user": "caller",
        "sip_contact_port": str(port),
        "sip_contact_uri": f"caller@{ip}:{port}",
        "sip_contact_host": ip,
        "sip_subject": caller.subject,
        "sip_via_host": ip,
        "sip_via_port": str(port),
        "sip_h_X-Carrier-Trace": caller.trace,
        "switch_r_sdp": remote_sdp(ip, media),
        "remote_media_ip": ip,
        "remote_media_port": str(media),
    }
    variables = dict(_INBOUND_TEMPLATE)
    variables.update(dynamic)
    for name in ("sip_from_display", "sip_subject", "sip_h_X-Carrier-Trace"):
        if not variables[name]:
            del variables[name]
    for name, value in caller.headers.items():
        variables[f"sip_h_{name}"] = value
    channel.set_first(variables, dict(_INBOUND_LINES))


def start_media(channel: Channel) -> None:
    """Write what our 200 or 183 with SDP leaves on an inbound leg."""
    if channel.leg is not None:
        channel.leg.start_media(channel)
        return
    remote = (channel.get("remote_media_ip") or "127.0.0.1", channel.get("remote_media_port") or "0")
    port = media_port(channel.switch.rng)
    session = 1_790_000_000 + channel.switch.rng.randrange(9_000_000)
    channel.set("rtp_local_sdp_str", local_sdp(port, 1, session))
    channel.set("local_media_port", str(port))
    transport(channel, remote)


def reoffer(channel: Channel) -> None:
    """Write the SDP of a re-INVITE of ours (hold, unhold, renegotiation): the version goes up by one."""
    before = channel.get("rtp_local_sdp_str") or local_sdp(media_port(channel.switch.rng), 1, 1_790_000_000)
    channel.set("rtp_local_sdp_str", next_version(before))


def acknowledge(channel: Channel) -> None:
    """Write what the far end's ACK leaves on an inbound leg."""
    if channel.down or (channel.get("sip_to_tag") and channel.get("sip_cseq")):
        return
    rng = channel.switch.rng
    to_tag = channel.get("sip_to_tag") or tag(rng)
    values = {
        "sip_to_tag": to_tag,
        "sip_from_tag": channel.get("sip_from_tag") or "",
        "sip_cseq": "1",
        "sip_call_id": channel.get("sip_call_id") or "",
        "sip_full_via": (channel.get("sip_full_via") or "").rsplit("-", 1)[0] + f"-{tag(rng)}",
        "sip_from_display": channel.get("sip_from_display") or "",
        "sip_full_from": channel.get("sip_full_from") or "",
        "sip_full_to": f"{channel.get('sip_full_to')};tag={to_tag}",
    }
    channel.set_many({name: value for name, value in values.items() if value})
