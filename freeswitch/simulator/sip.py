"""What mod_sofia writes on a leg that it calls, at each step of the SIP call; `sip_in` has the other direction.

Order and names are those of the captures (1.10.12, PCMU, no authentication); the values are made up by
the simulator for a far end that does not exist.
"""

from freeswitch.simulator.channel import Channel
from freeswitch.simulator.sdp import host_port, local_sdp, media_port, remote_sdp, tag

_MEDIA = (
    ("ep_codec_string", "CORE_PCM_MODULE.PCMU@8000h@20i@64000b"),
    ("rtp_use_codec_string", ""),
    ("remote_video_media_flow", "inactive"),
    ("remote_text_media_flow", "inactive"),
    ("remote_audio_media_flow", "sendrecv"),
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
)


def transport(channel: Channel, remote: tuple[str, str]) -> None:
    """Write where media comes from and goes to."""
    rng = channel.switch.rng
    channel.set("local_media_ip", channel.switch.settings.ipv4)
    channel.set("local_media_port", channel.get("local_media_port") or str(media_port(rng)))
    channel.set("advertised_media_ip", channel.switch.settings.ipv4)
    channel.set("rtp_use_timer_name", "soft")
    channel.set("rtp_use_pt", "0")
    channel.set("rtp_use_ssrc", str(rng.randrange(1 << 32)))
    channel.set("rtp_2833_send_payload", "101")
    channel.set("rtp_2833_recv_payload", "101")
    channel.set("remote_media_ip", remote[0])
    channel.set("remote_media_port", remote[1])


def invite(channel: Channel, *, profile: str, number: str, target: str, variables: dict[str, str]) -> None:
    """Write what our INVITE leaves on an outbound leg; ``variables`` are the dial string's."""
    switch = channel.switch
    rng, local = switch.rng, switch.settings.ipv4
    port = media_port(rng)
    session = 1_790_000_000 + rng.randrange(9_000_000)
    channel.set_many(variables)
    codecs = channel.get("rtp_use_codec_string") or "PCMU,PCMA"
    channel.set("rtp_use_codec_string", codecs)
    channel.set("local_media_ip", local)
    channel.set("local_media_port", str(port))
    channel.set("advertised_media_ip", local)
    channel.set("audio_media_flow", "sendrecv")
    if channel.get("originating_leg_uuid"):
        channel.set("video_media_flow", "inactive")
    channel.set("rtp_local_sdp_str", local_sdp(port, 1, session, comfort_noise=True))
    sip_port = switch.sip_port(profile)
    channel.set("sip_outgoing_contact_uri", f"<sip:mod_sofia@{local}:{sip_port}>")
    channel.set("sip_req_uri", target)
    channel.set("sip_to_host", target.partition("@")[2])
    channel.set("sip_from_host", local)
    channel.set("sofia_profile_name", profile)
    channel.set("recovery_profile_name", profile)
    channel.set("sofia_profile_url", f"sip:mod_sofia@{local}:{sip_port}")


def ring(channel: Channel, target: str) -> None:
    """Write what a 180 or 183 of the far end leaves on an outbound leg."""
    rng = channel.switch.rng
    user, host, port = host_port(target)
    local = channel.switch.settings.ipv4
    profile = channel.profile
    name = profile.caller_id_name if profile else ""
    number = (profile.caller_id_number if profile else "") or "0000000000"
    from_tag, to_tag, via = tag(rng), tag(rng), f"SIP/2.0/UDP {local};rport;branch=z9hG4bK{tag(rng)}"
    display = f'"{name}" ' if name else ""
    values = {
        "sip_local_network_addr": local,
        "sip_reply_host": host,
        "sip_reply_port": port,
        "sip_network_ip": host,
        "sip_network_port": port,
        "sip_recover_contact": f"<sip:{host}:{port};transport=UDP>",
        "sip_full_via": via,
        "sip_recover_via": via,
        "sip_from_display": name,
        "sip_full_from": f"{display}<sip:{number}@{local}>;tag={from_tag}",
        "sip_full_to": f"<sip:{target}>;tag={to_tag}",
        "sip_from_user": number,
        "sip_from_uri": f"{number}@{local}",
        "sip_from_host": local,
        "sip_to_user": user,
        "sip_to_port": port,
        "sip_to_uri": f"{user}@{host}:{port}",
        "sip_to_host": host,
        "sip_contact_params": "transport=UDP",
        "sip_contact_user": "nobody",
        "sip_contact_port": port,
        "sip_contact_uri": f"nobody@{host}:{port}",
        "sip_contact_host": host,
        "sip_to_tag": to_tag,
        "sip_from_tag": from_tag,
        "sip_cseq": str(120_000_000 + rng.randrange(9_000_000)),
        "sip_call_id": channel.switch.new_uuid(),
    }
    channel.set_many({key: value for key, value in values.items() if value})


def offered(channel: Channel, target: str) -> int:
    """Write the far end's SDP (183 or 200) on an outbound leg; returns its RTP port."""
    _, host, _ = host_port(target)
    media = 20000 + 2 * channel.switch.rng.randrange(16000)
    channel.set("switch_r_sdp", remote_sdp(host, media))
    return media


def accept(channel: Channel, target: str, media: int) -> None:
    """Write what agreeing on the far end's SDP leaves on an outbound leg."""
    _, host, _ = host_port(target)
    codecs = channel.get("rtp_use_codec_string") or "PCMU,PCMA"
    for name, value in _MEDIA:
        channel.set(name, value or codecs)
    transport(channel, (host, str(media)))


def refused(channel: Channel, status: int, phrase: str, q850: int) -> None:
    """Write what a final refusal of the far end leaves on an outbound leg."""
    if channel.get("sip_call_id") is None:
        channel.set("sip_call_id", channel.switch.new_uuid())
        channel.set("sip_local_network_addr", channel.switch.settings.ipv4)
        channel.set("sip_reply_port", "0")
        channel.set("sip_network_port", "0")
    channel.set("sip_hangup_disposition", "recv_refuse")
    channel.set("sip_invite_failure_status", str(status))
    channel.set("sip_invite_failure_phrase", phrase)
    channel.set("sip_term_status", str(status))
    channel.set("proto_specific_hangup_cause", f"sip:{status}")
    channel.set("sip_term_cause", str(q850))


def said_bye(channel: Channel, q850: int = 16) -> None:
    """Write what the far end's BYE leaves before CHANNEL_HANGUP."""
    channel.set("sip_term_status", "200")
    channel.set("proto_specific_hangup_cause", "sip:200")
    channel.set("sip_term_cause", str(q850))
