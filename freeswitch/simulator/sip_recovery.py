"""What taking over a SIP leg leaves on its channel: our re-INVITE, and then the far end's answer to it.

For a call that came in the roles are swapped from then on: ``sip_from_user`` is whom it was for.
"""

from freeswitch.simulator.channel import Channel
from freeswitch.simulator.sdp import host_port, local_sdp, media_port, remote_sdp, tag


def recover(channel: Channel) -> None:
    """Write what taking a leg over leaves on it: our re-INVITE to its far end and a new agreement on media."""
    rng, local = channel.switch.rng, channel.switch.settings.ipv4
    own, far = channel.get("sip_full_to") or "", channel.get("sip_full_from") or ""
    inbound = channel.direction == "inbound"
    target = channel.name.split("/", 2)[2]
    _, host, port = host_port(target)
    media = channel.get("remote_media_port") or str(20000 + 2 * rng.randrange(16000))
    codec = "PCMU@8000h@20i@1c"
    bridged = channel.get("bridge_to") is not None
    channel.set("recovered", "true")
    if inbound:
        channel.set("sip_invite_route_uri", f"<sip:{target};transport=udp>")
    channel.set("sip_handle_full_from", own if inbound else far)
    channel.set("sip_handle_full_to", far if inbound else own)
    if not (inbound and bridged):
        channel.set("video_media_flow", "disabled")
        channel.set("text_media_flow", "disabled")
    channel.set("channel_name", channel.name)
    channel.set("sip_invite_call_id", channel.get("sip_call_id"))
    values = {
        "rtp_use_codec_string": codec, "rtp_use_codec_name": "PCMU", "rtp_use_codec_rate": "8000",
        "rtp_use_codec_ptime": "20", "rtp_use_codec_channels": "1", "rtp_last_audio_codec_string": codec,
        "read_codec": "PCMU", "original_read_codec": "PCMU", "read_rate": "8000", "original_read_rate": "8000",
        "write_codec": "PCMU", "write_rate": "8000",
    }  # fmt: skip
    channel.set_many(values)
    if not (inbound and bridged):
        channel.set("audio_media_flow", "sendrecv")
    channel.set("local_media_ip", local)
    channel.set("local_media_port", str(media_port(rng)))
    channel.set("advertised_media_ip", local)
    channel.set("rtp_use_timer_name", "soft")
    if inbound and bridged:
        channel.set("switch_m_sdp", channel.get("switch_m_sdp") or channel.get("switch_r_sdp"))
        channel.set("video_media_flow", "inactive")
        channel.set("text_media_flow", "inactive")
        channel.set("audio_media_flow", "sendrecv")
    channel.set("rtp_use_pt", "0")
    channel.set("rtp_use_ssrc", str(rng.randrange(1 << 32)))
    channel.set("rtp_2833_send_payload", "101")
    channel.set("rtp_2833_recv_payload", "101")
    channel.set("remote_media_ip", host)
    channel.set("remote_media_port", media)
    sdp = local_sdp(int(channel.get("local_media_port") or "0"), 2, 1_790_000_000 + rng.randrange(9_000_000))
    channel.set("rtp_local_sdp_str", sdp)
    contact = channel.get("sip_contact_user") or "mod_sofia"
    sip_port = channel.switch.sip_port(channel.get("sofia_profile_name") or "")
    channel.set("sip_outgoing_contact_uri", f"<sip:{contact}@{local}:{sip_port}>")
    channel.set("sip_req_uri", target)
    channel.set("sip_to_host", f"{host}:{port}")
    channel.set("sip_from_host", f"{local}:{sip_port}" if inbound else local)


def answered(channel: Channel) -> None:
    """Write what the 200 to our re-INVITE leaves on a recovered leg."""
    if channel.down:
        return
    rng, local = channel.switch.rng, channel.switch.settings.ipv4
    inbound = channel.direction == "inbound"
    user, host, port = host_port(channel.name.split("/", 2)[2])
    sip_port = str(channel.switch.sip_port(channel.get("sofia_profile_name") or ""))
    own = channel.get("sip_req_user" if inbound else "sip_from_user") or ""
    own_address = f"{own}@{local}:{sip_port}" if inbound else f"{own}@{local}"
    via = f"SIP/2.0/UDP {local};rport;branch=z9hG4bK{tag(rng)}"
    display = channel.get("sip_from_display") or ""
    from_tag, to_tag = channel.get("sip_from_tag") or "", channel.get("sip_to_tag") or ""
    media = channel.get("remote_media_port") or "0"
    values = {
        "sip_local_network_addr": local, "sip_reply_host": host, "sip_reply_port": port, "sip_network_ip": host,
        "sip_network_port": port,
        "dlg_req_swap_direction": "true" if inbound else "",
        "sip_recover_contact": "" if inbound else f"<sip:nobody@{host}:{port}>",
        "sip_full_via": via,
        "sip_recover_via": "" if inbound else via,
        "sip_from_display": "" if inbound else display,
        "sip_full_from": channel.get("sip_handle_full_from") or "",
        "sip_to_display": display if inbound else "",
        "sip_full_to": channel.get("sip_handle_full_to") or "",
        "sip_from_user": own,
        "sip_from_port": sip_port if inbound else "",
        "sip_from_uri": own_address, "sip_from_host": local, "sip_to_user": user, "sip_to_port": port,
        "sip_to_uri": f"{user}@{host}:{port}", "sip_to_host": host, "sip_contact_user": "nobody",
        "sip_contact_port": port, "sip_contact_uri": f"nobody@{host}:{port}", "sip_contact_host": host,
        "sip_to_tag": from_tag if inbound else to_tag,
        "sip_from_tag": to_tag if inbound else from_tag,
        "sip_cseq": str(120_000_000 + rng.randrange(9_000_000)),
        "sip_call_id": channel.get("sip_call_id") or "",
        "switch_r_sdp": remote_sdp(host, int(media)),
        "ep_codec_string": "CORE_PCM_MODULE.PCMU@8000h@20i@64000b",
        "rtp_use_codec_string": "PCMU" if inbound else "PCMU@8000h@20i,PCMU",
        "remote_video_media_flow": "inactive", "remote_text_media_flow": "inactive",
        "remote_audio_media_flow": "sendrecv", "remote_media_ip": host, "remote_media_port": media,
        "rtp_audio_recv_pt": "0", "dtmf_type": "rfc2833", "rtp_2833_send_payload": "101",
        "rtp_2833_recv_payload": "101",
    }  # fmt: skip
    if inbound:
        channel.set("sip_from_display", None)
    channel.set_many({name: value for name, value in values.items() if value})
